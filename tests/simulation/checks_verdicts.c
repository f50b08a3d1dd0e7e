/* What is said about the gateway's health, and whether it is heeded: verdicts and calls to wake it at once,
 * unless they may not be; suspicions for as long as they are said; and its start-up probe's proof over lives.
 */
#include <inttypes.h>

#include "tests/simulation/world.h"

#define SUSPECT_MAX_MS 600000

static bool is_verdict(enum supervision_reason reason)
{
	return reason == REASON_HUNG || reason == REASON_WATCHDOG || reason == REASON_DEAF ||
	       reason == REASON_STUCK_SESSIONS || reason == REASON_MEMORY;
}

/* An adopted one that an earlier life had seen ready may hang before this one has. */
static bool may_act(const struct checks *checks, enum supervision_state before)
{
	return checks->kept.paused_until_ms == 0 &&
	       (before == STATE_RUNNING || before == STATE_SUSPECT ||
	           (before == STATE_STARTING && checks->kept.gateway.ready));
}

static void check_heeded(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions)
{
	enum restart_cause cause = checks_cause_of(event->reason);

	if (!may_act(&world->checks, before))
		return;
	if (event->type == ON_WAKE && !checks_has_action(actions, DO_CONTINUE))
		checks_violate(world, CHECK_HEEDED, "it is stopped, %s, and not told to continue",
		    supervision_state_name(before));
	if (event->type != ON_CONDEMNED || (before == STATE_STARTING && cause != RESTART_HANG) ||
	    !world->settings.restart_on[cause])
		return;
	if (!checks_has_record(actions, RECORD_CONDEMNED))
		checks_violate(world, CHECK_HEEDED,
		    "a verdict for reason %d with evidence %" PRId64 " changes nothing in state %s",
		    (int)event->reason, event->value, supervision_state_name(before));
}

static void check_suspicion(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions)
{
	const struct checks *checks = &world->checks;

	if (before == STATE_RUNNING && event->type == ON_SUSPECTED &&
	    !checks_has_record(actions, RECORD_SUSPECTED))
		checks_violate(world, CHECK_SUSPICION, "it is suspected, and that is not on record");
	if (before == STATE_SUSPECT && event->type == ON_TIMER &&
	    checks_has_record(actions, RECORD_CLEARED) &&
	    checks->now_ms - checks->accused_ms < SUSPECT_MAX_MS)
		checks_violate(world, CHECK_SUSPICION,
		    "withdrawn by time alone %" PRId64 " ms after something was said against it",
		    checks->now_ms - checks->accused_ms);
}

void checks_verdicts(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions)
{
	struct checks *checks = &world->checks;
	bool is_said = event->type == ON_SUSPECTED ||
	               (event->type == ON_CONDEMNED && event->value != 0 && is_verdict(event->reason));
	bool is_heard = is_said && checks->now_ms >= checks->judge_after_ms;

	if (event->type == ON_TIMER)
		check_suspicion(world, event, before, actions);
	if (event->generation != checks->kept.generation || !(is_heard || event->type == ON_WAKE))
		return;
	if (is_said)
		checks->accused_ms = checks->now_ms;
	check_suspicion(world, event, before, actions);
	check_heeded(world, event, before, actions);
}

void checks_verdicts_settled(struct world *world)
{
	const struct checks_gateway *gateway = &world->checks.kept.gateway;

	if (world->gateway.alive && world->machine.alive && world->machine.proved != gateway->proved)
		checks_violate(world, CHECK_PROOF_IS_TRUE, "its proof is %s, and its start-up probe %s",
		    world->machine.proved ? "known" : "unknown", gateway->proved ? "gave one" : "gave none");
}

int64_t checks_incident_since_ms(const struct checks *checks, const struct supervision_event *event)
{
	int64_t ready_ms = checks->kept.gateway.ready_ms;
	int64_t since_ms = checks->now_ms - event->value;

	if (event->type != ON_CONDEMNED || (event->reason != REASON_HUNG && event->reason != REASON_DEAF))
		return checks->now_ms;
	return since_ms > ready_ms ? since_ms : ready_ms;
}
