/* From one life of the supervisor to the next: what the killed one had saved, said or promised, and what the
 * next one makes of it. */
#include <inttypes.h>

#include "tests/simulation/world.h"

#define SLACK_MS                                                                                             \
	10000 /* how late the world's timers are, and a grace that was over before it was adopted            \
	       */

/* Its end was asked for, or known, when the machine was saved. */
bool checks_was_ending(const struct checks *checks)
{
	const struct checks_gateway *gateway = &checks->kept.gateway;

	return gateway->asked_ms != 0 || gateway->end_known || gateway->restart_asked || gateway->opened;
}

/* Whoever starts a supervisor again that was told to end wants the gateway up, and that is a first start. */
static void begin_anew(struct checks *checks)
{
	checks->kept.wish = true;
	checks->kept.finishing = checks->kept.insisted = false;
	checks->kept.planned = checks_was_ending(checks);
	checks->kept.restarts = 0;
	checks->kept.not_before_ms = 0;
}

/* What the dead supervisor had not saved it had not promised to anybody: check_saved sees to that. */
void checks_new_life(struct world *world)
{
	struct checks *checks = &world->checks;
	struct checks_gateway *gateway = &checks->kept.gateway;
	int64_t terminated_ms =
	    checks->saved.generation == checks->kept.generation ? gateway->terminated_ms : 0;

	checks->kept = checks->saved;
	gateway->terminated_ms = terminated_ms;
	if (checks->kept.finishing)
		begin_anew(checks);
	if (gateway->asked_ms == 0) {
		gateway->asked = !checks->kept.wish || gateway->restart_asked;
		gateway->forced &= gateway->restart_asked;
		gateway->condemned = gateway->condemned && gateway->opened; /* else it is judged anew */
		gateway->examined = gateway->examined && gateway->opened;
		gateway->no_grace = false;
	}
	if (!checks_was_ending(checks))
		checks->kept.planned = false;
	gateway->started_ms = gateway->moved_ms = world->now_ms;
	gateway->drain_ends_ms = 0;
	checks->now_ms = world->now_ms;
	checks->adopted_ms = world->now_ms;
	checks->judge_after_ms = 0;
	checks->parked_for = checks->must_park = REASON_NONE;
	checks->words_asked_ms = 0;
	checks->told_left = checks->may_park = false;
	checks->was_held_down = checks->was_ending = true;
	checks->life_begins = true;
}

void checks_saved(struct world *world)
{
	world->checks.saved = world->checks.kept;
}

/* The wait goes on to the moment that was said, for the reason that was said. */
static void check_wait_goes_on(struct world *world, const struct supervision_action *action)
{
	const struct checks_kept *kept = &world->checks.kept;
	int64_t until_ms = action->value == 0 ? INT64_MAX : world->checks.now_ms + action->value;

	if (until_ms != kept->waits_until_ms && kept->waits_until_ms != 0)
		checks_violate(world, CHECK_WAIT_OUTLIVES,
		    "it waits %" PRId64 " ms longer than the life before it had said",
		    until_ms - kept->waits_until_ms);
	else if (action->reason != kept->waits_for && kept->waits_until_ms != 0)
		checks_violate(world, CHECK_WAIT_OUTLIVES, "it waits for reason %d, and %d had been said",
		    (int)action->reason, (int)kept->waits_for);
}

static void check_first_step(struct world *world, const struct supervision_actions *actions)
{
	const struct checks *checks = &world->checks;
	const struct checks_kept *kept = &checks->kept;

	if (world->machine.restarts != kept->restarts)
		checks_violate(world, CHECK_GENERATIONS, "%" PRIu64 " restarts, and it had been %" PRIu64,
		    world->machine.restarts, kept->restarts);
	if (world->machine.state == STATE_PARKED)
		checks_violate(world, CHECK_DEAD_IS_RESTARTED, "parked, and this life has not tried");
	for (uint32_t i = 0; i < actions->count; i++) {
		const struct supervision_action *action = &actions->list[i];

		if (action->type == DO_SPAWN && checks->now_ms < kept->waits_until_ms)
			checks_violate(world, CHECK_WAIT_OUTLIVES,
			    "started %" PRId64 " ms before the life before it would have",
			    kept->waits_until_ms - checks->now_ms);
		if (action->type == DO_RECORD && action->record == RECORD_WAITING)
			check_wait_goes_on(world, action);
		if (action->type == DO_RECORD && action->record == RECORD_STOPPED &&
		    action->reason != kept->stopped_for)
			checks_violate(world, CHECK_ORDERS_OUTLIVE, "stopped for reason %d, and it was %d",
			    (int)action->reason, (int)kept->stopped_for);
	}
}

void checks_lives(
    struct world *world, const struct supervision_event *event, const struct supervision_actions *actions)
{
	struct checks *checks = &world->checks;
	enum supervision_state after = world->machine.state;

	checks->was_known = checks_was_ending(checks);
	if (checks->life_begins)
		check_first_step(world, actions);
	checks->life_begins = false;
	if (event->type != ON_ADOPTED)
		return;
	checks->adopted_ms = checks->now_ms;
	if ((checks->kept.gateway.asked_ms != 0 || checks->kept.gateway.restart_asked ||
	        checks->kept.gateway.opened) &&
	    after != STATE_DRAINING && after != STATE_KILLING)
		checks_violate(world, CHECK_ORDERS_OUTLIVE, "it had been asked to end, and is %s now",
		    supervision_state_name(after));
}

/* The time it was given goes on over all lives; while its identity cannot be proved nobody can end it. */
void checks_lives_settled(struct world *world, const struct supervision_event *event)
{
	const struct checks *checks = &world->checks;
	const struct checks_gateway *gateway = &checks->kept.gateway;
	int64_t slack_ms = SLACK_MS + world->settings.hang_grace_ms;

	if (gateway->end_by_ms == 0 || !world->gateway.alive || world->gateway.dying ||
	    event->type == ON_HOST_RESUMED || world->machine.state == STATE_ADOPTING)
		return;
	if (checks->now_ms > gateway->end_by_ms + slack_ms && checks->now_ms > checks->adopted_ms + slack_ms)
		checks_violate(world, CHECK_ORDERS_OUTLIVE,
		    "it was to end %" PRId64 " ms ago, and is alive after %" PRId64 " ms of this life",
		    checks->now_ms - gateway->end_by_ms, checks->now_ms - checks->adopted_ms);
}
