/* What is condemned and examined before its end, what it died of, and which configuration it is started with.
 */
#include <inttypes.h>

#include "tests/simulation/world.h"

#define EXAMINE_SLACK_MS 1000 /* how late the world's timers are */

bool checks_has_record(const struct supervision_actions *actions, enum supervision_record record)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == DO_RECORD && actions->list[i].record == record)
			return true;
	return false;
}

enum restart_cause checks_cause_of(enum supervision_reason reason)
{
	return reason == REASON_STUCK_SESSIONS ? RESTART_STUCK_SESSIONS
	       : reason == REASON_MEMORY       ? RESTART_MEMORY
	                                       : RESTART_HANG;
}

bool checks_is_condemned(const struct checks_gateway *gateway)
{
	return gateway->condemned && (!gateway->examined || gateway->opened || gateway->asked_ms != 0);
}

/* What a gateway has from the SIGTERM that this step sends to the SIGKILL. */
int64_t checks_grace_ms(const struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions)
{
	const struct supervision_settings *settings = &world->settings;
	const struct checks_gateway *gateway = &world->checks.kept.gateway;
	bool is_verdict = event->type == ON_EXAMINED || event->type == ON_TIMER;
	bool was_examined = before == STATE_EXAMINING || (event->type == ON_ADOPTED && gateway->opened);

	if (was_examined && is_verdict)
		return settings->hang_grace_ms;
	if (was_examined)
		return settings->hang_grace_ms < settings->stop_timeout_ms ? settings->hang_grace_ms
		                                                           : settings->stop_timeout_ms;
	return checks_has_record(actions, RECORD_CONDEMNED) ? gateway->grace_ms : settings->stop_timeout_ms;
}

static void note_examine(struct world *world, const struct supervision_event *event,
    const struct supervision_actions *actions, const struct supervision_action *action)
{
	struct checks *checks = &world->checks;
	struct checks_gateway *gateway = &checks->kept.gateway;

	if (event->type != ON_CONDEMNED || !world->settings.autopsy ||
	    !checks_has_record(actions, RECORD_CONDEMNED) || (action->value != 0 && !event->may_open) ||
	    action->generation != checks->kept.generation)
		checks_violate(world, CHECK_EXAMINATION, "examined on %s, and nobody may",
		    supervision_event_name(event->type));
	gateway->examined = true;
	gateway->opened = action->value != 0;
	checks->examine_began_ms = checks->now_ms;
}

/* The verdict is withdrawn: what rested on it rests on nothing any more. */
static void note_let_be(struct world *world, enum supervision_state before)
{
	struct checks *checks = &world->checks;
	struct checks_gateway *gateway = &checks->kept.gateway;

	if (before != STATE_EXAMINING)
		return;
	if (gateway->opened)
		checks_violate(
		    world, CHECK_OPENED_IS_REPLACED, "it is let be, and its inspector may be open");
	gateway->condemned = gateway->examined = gateway->no_grace = false;
	checks->condemned_generation = 0;
}

static void check_left_alone(
    struct world *world, enum supervision_state before, const struct supervision_action *action)
{
	const struct checks *checks = &world->checks;
	bool is_examined = before == STATE_EXAMINING &&
	                   (action->reason == REASON_PAUSED || action->reason == REASON_HOST_SLEPT);

	if (!is_examined && world->settings.restart_on[checks_cause_of(action->reason)])
		checks_violate(world, CHECK_VERDICT_NEEDS_EVIDENCE,
		    "left alone for reason %d, and nothing forbids to replace it", (int)action->reason);
	if (checks->kept.paused_until_ms != 0 && !is_examined)
		checks_violate(world, CHECK_PAUSED_IS_PASSIVE, "a verdict was heeded while paused");
}

static void note_memory(struct world *world, const struct supervision_event *event)
{
	struct checks_kept *kept = &world->checks.kept;

	if (event->type != ON_WORDS ||
	    (event->verdict != VERDICT_OUT_OF_MEMORY && event->verdict != VERDICT_OOM_KILLED))
		checks_violate(world, CHECK_MEMORY_IS_NAMED, "on %s with verdict %d",
		    supervision_event_name(event->type), (int)event->verdict);
	if (!world->settings.reads_words) /* the next start does not wait for what is only told */
		return;
	kept->cause = RESTART_MEMORY;
	kept->died_of_memory = true;
}

static void note_fallback(struct world *world, const struct supervision_event *event)
{
	struct checks_kept *kept = &world->checks.kept;

	if (!world->settings.config_fallback || kept->fallback || event->type != ON_WORDS || !event->fallback)
		checks_violate(world, CHECK_FALLBACK, "to the copy on %s, which is no reason for it",
		    supervision_event_name(event->type));
	kept->fallback = kept->planned = true;
}

static void note_restored(
    struct world *world, const struct supervision_event *event, const struct supervision_actions *actions)
{
	struct checks_kept *kept = &world->checks.kept;
	bool ends = checks_has_action(actions, DO_TERMINATE);

	if (event->type != ON_VALIDATED || event->value != 1 || !kept->fallback)
		checks_violate(world, CHECK_FALLBACK, "back to the file on %s, and nobody found it valid",
		    supervision_event_name(event->type));
	if (ends && kept->paused_until_ms != 0)
		checks_violate(world, CHECK_PAUSED_IS_PASSIVE, "replaced for its configuration while paused");
	kept->fallback = false;
	kept->gateway.asked |= ends;
	kept->planned |= ends;
}

static void note_record(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions,
    const struct supervision_action *action)
{
	switch (action->record) {
	case RECORD_LEFT_ALONE:
		check_left_alone(world, before, action);
		note_let_be(world, before);
		break;
	case RECORD_CLEARED:
		note_let_be(world, before);
		break;
	case RECORD_OUT_OF_MEMORY:
		note_memory(world, event);
		break;
	case RECORD_FALLBACK:
		note_fallback(world, event);
		break;
	case RECORD_RESTORED:
		note_restored(world, event, actions);
		break;
	case RECORD_PARKED:
		world->checks.kept.fallback = false;
		break;
	default:
		break;
	}
}

static void check_continue(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions)
{
	if (world->checks.kept.paused_until_ms != 0)
		checks_violate(world, CHECK_PAUSED_IS_PASSIVE, "SIGCONT while paused");
	if (event->type != ON_WAKE || event->generation != world->checks.kept.generation ||
	    !checks_has_record(actions, RECORD_CONTINUED))
		checks_violate(world, CHECK_VERDICT_NEEDS_EVIDENCE, "SIGCONT on %s of %" PRIu64,
		    supervision_event_name(event->type), event->generation);
	if (before == STATE_STARTING && !world->checks.kept.gateway.ready)
		checks_violate(world, CHECK_VERDICT_NEEDS_EVIDENCE, "SIGCONT before it was ever ready");
}

void checks_examine(struct world *world, const struct supervision_event *event, enum supervision_state before,
    const struct supervision_actions *actions)
{
	for (uint32_t i = 0; i < actions->count; i++) {
		const struct supervision_action *action = &actions->list[i];

		if (action->type == DO_EXAMINE)
			note_examine(world, event, actions, action);
		else if (action->type == DO_CONTINUE)
			check_continue(world, event, before, actions);
		else if (action->type == DO_RECORD)
			note_record(world, event, before, actions, action);
	}
}

void checks_examine_settled(struct world *world, const struct supervision_event *event)
{
	struct checks *checks = &world->checks;
	const struct supervision *machine = &world->machine;
	bool goes_on = machine->state == STATE_STARTING || machine->state == STATE_RUNNING ||
	               machine->state == STATE_SUSPECT ||
	               (machine->state == STATE_DRAINING && checks->kept.gateway.asked_ms == 0);

	if (world->gateway.alive && world->gateway.opened && goes_on)
		checks_violate(world, CHECK_OPENED_IS_REPLACED, "its inspector is open, and it is %s",
		    supervision_state_name(machine->state));
	if (checks->kept.fallback && !world->watches_config)
		checks_violate(world, CHECK_FALLBACK, "it runs from the copy, and nobody watches the file");
	if (machine->state != STATE_EXAMINING)
		return;
	if (event->type == ON_HOST_RESUMED)
		checks->examine_began_ms = checks->now_ms;
	if (checks->kept.paused_until_ms != 0 && !checks->kept.gateway.opened)
		checks_violate(world, CHECK_PAUSED_IS_PASSIVE, "it is going to be replaced while paused");
	if (machine->deadline_ms > checks->now_ms + EXAMINE_MAX_MS ||
	    checks->now_ms - checks->examine_began_ms > EXAMINE_MAX_MS + EXAMINE_SLACK_MS)
		checks_violate(world, CHECK_EXAMINATION, "examined for %" PRId64 " ms, and %" PRId64 " more",
		    checks->now_ms - checks->examine_began_ms, machine->deadline_ms - checks->now_ms);
}
