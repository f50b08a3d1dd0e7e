/* What people, and the gateway's own tree, ask for, and what that entitles the supervisor to. */
#include <inttypes.h>

#include "tests/simulation/world.h"

#define INSIDE_WINDOW_MS 3600000

bool checks_is_up(enum supervision_state state)
{
	return state == STATE_STARTING || state == STATE_RUNNING || state == STATE_SUSPECT ||
	       state == STATE_EXAMINING || state == STATE_DRAINING;
}

bool checks_has_action(const struct supervision_actions *actions, enum supervision_action_type type)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == type)
			return true;
	return false;
}

/* It ends, or is to, by what somebody asked for, or has ended already: a start comes after that. */
static bool is_ending(const struct checks *checks, enum supervision_state before)
{
	return before == STATE_DRAINING || before == STATE_KILLING ||
	       (before == STATE_ADOPTING && checks_was_ending(checks));
}

static void note_start(
    struct world *world, const struct supervision_event *event, enum supervision_state before)
{
	struct checks_kept *kept = &world->checks.kept;
	bool is_down = before == STATE_STOPPED || before == STATE_BACKING_OFF || before == STATE_PARKED;
	bool is_restart = event->type == ON_RESTART && (checks_is_up(before) || before == STATE_ADOPTING);

	kept->wish = true;
	if (before == STATE_ADOPTING && !checks_was_ending(&world->checks)) /* a stop is taken back in time */
		kept->gateway.asked = false;
	kept->promised |=
	    is_restart || (is_ending(&world->checks, before) && checks_was_ending(&world->checks));
	if (is_down || is_restart || is_ending(&world->checks, before)) {
		kept->planned = true;
		kept->not_before_ms = 0;
		kept->insisted = event->force;
	}
	if (is_restart) {
		kept->gateway.restart_asked |= before == STATE_ADOPTING;
		kept->gateway.asked = true;
		kept->gateway.forced |= event->force;
	}
}

/* From inside the gateway's own tree, and granted. */
static void note_inside(
    struct world *world, const struct supervision_event *event, enum supervision_state before)
{
	struct checks *checks = &world->checks;
	struct checks_kept *kept = &checks->kept;
	bool exists = checks_is_up(before) || before == STATE_ADOPTING;

	if (event->type != ON_RESTART || (before != STATE_KILLING && (!exists || !kept->wish)))
		return;
	if (kept->inside_ms[0] != 0 && kept->inside_ms[0] + INSIDE_WINDOW_MS > checks->now_ms)
		checks_violate(world, CHECK_INSIDE_BUDGET, "%d restarts within %" PRId64 " ms",
		    CHECK_INSIDE_KEPT + 1, checks->now_ms - kept->inside_ms[0]);
	for (int i = 1; i < CHECK_INSIDE_KEPT; i++)
		kept->inside_ms[i - 1] = kept->inside_ms[i];
	kept->inside_ms[CHECK_INSIDE_KEPT - 1] = checks->now_ms;
	if (checks_is_up(before) && !checks_was_ending(checks))
		kept->insisted = false;
	kept->planned = kept->promised = true;
	kept->gateway.restart_asked |= before == STATE_ADOPTING;
	kept->gateway.asked |= exists;
}

void checks_people(struct world *world, const struct supervision_event *event, enum supervision_state before,
    const struct supervision_actions *actions)
{
	struct checks_kept *kept = &world->checks.kept;

	switch (event->type) {
	case ON_START:
	case ON_RESTART:
		if (kept->finishing || checks_has_action(actions, DO_REFUSE))
			break;
		if (event->inside)
			note_inside(world, event, before);
		else
			note_start(world, event, before);
		break;
	case ON_SHUTDOWN:
		kept->finishing = true;
		kept->gateway.forced |= event->force;
		kept->wish = kept->promised = false;
		kept->gateway.asked = true;
		break;
	case ON_STOP:
		kept->wish = kept->promised = false;
		kept->gateway.asked = true;
		break;
	case ON_PAUSE:
		if (event->value > world->checks.now_ms)
			kept->paused_until_ms = event->value;
		break;
	default:
		break;
	}
}
