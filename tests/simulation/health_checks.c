#include "tests/simulation/health_world.h"

#include <inttypes.h>

#define SECOND_WITNESSES                                                                                     \
	(WITNESS_PINNED | WITNESS_STOPPED | WITNESS_UNINTERRUPTIBLE | WITNESS_NO_TICK | WITNESS_QUEUE)
#define POSTPONEMENTS (HELD_RELOADING | HELD_STARVED | HELD_STOLEN | HELD_MEMORY | HELD_LATE)
#define DEAF_MS       180000
#define SLACK_MS      16000 /* looks, the evidence's least time, lateness, and the while after SIGCONT */

const char *health_check_name(enum health_check check)
{
	static const char *const names[HEALTH_CHECK_COUNT] = {"none", "healthy-untouched", "hung-is-found",
	    "deaf-is-found", "broken-promise-is-found", "two-witnesses", "whole-window", "deaf-needs-silence",
	    "exceptions-hold", "wake-once", "pace", "suspicion-ends", "changed-is-true", "proved-first"};

	return names[check];
}

static void violate(struct health_world *world, enum health_check check, int64_t value)
{
	if (world->violated != HEALTH_CHECK_NONE)
		return;
	world->violated = check;
	snprintf(world->why, sizeof(world->why),
	    "%s: %s after %" PRIi64 " ms, witnesses %x, held %x, block %d, fate %d (seed %" PRIu64
	    ", look %" PRIu64 ")",
	    health_check_name(check), health_state_name(world->verdict.state), value,
	    world->verdict.witnesses, world->verdict.held, (int)world->block, (int)world->fate, world->seed,
	    world->steps);
}

static void check_found(struct health_world *world)
{
	enum health_state state = world->verdict.state;
	int64_t window_ms = health_window_ms(&world->settings);
	int64_t since_ms = world->calm_since_ms > world->sick_ms ? world->calm_since_ms : world->sick_ms;
	int64_t seeing_ms = world->blind_until_ms > since_ms ? world->blind_until_ms : since_ms;
	int64_t for_ms = world->now_ms - seeing_ms, times = world->postponed ? 3 : 1;
	int64_t tick_ms = world->look.tick_interval_ms + world->settings.timeout_ms;
	/* Where ticks are seldom, theirs may be the only witness. */
	int64_t bound_ms =
	    times * (tick_ms > window_ms ? tick_ms : window_ms) + world->settings.interval_ms + SLACK_MS;

	if (!world->sick || !world->health.proved)
		return;
	if (world->fate == FATE_HUNG && for_ms > bound_ms && state != HEALTH_HUNG)
		violate(world, HEALTH_CHECK_HUNG_FOUND, for_ms);
	if ((world->fate == FATE_CLOSED || world->fate == FATE_HALF_DEAD) && state < HEALTH_HUNG &&
	    for_ms >
	        times * DEAF_MS + 2 * world->settings.interval_ms + 2 * world->settings.timeout_ms + SLACK_MS)
		violate(world, HEALTH_CHECK_DEAF_FOUND, for_ms);
	if (world->fate == FATE_PROMISE && state != HEALTH_BROKEN_PROMISE &&
	    for_ms > world->look.watchdog_ms + 2 * world->settings.interval_ms + SLACK_MS)
		violate(world, HEALTH_CHECK_PROMISE_FOUND, for_ms);
}

static void check_verdict(struct health_world *world)
{
	const struct health_verdict *verdict = &world->verdict;
	const struct health_look *look = &world->look;
	int64_t blocked_ms = health_world_blocked(world) ? world->now_ms - world->block_from_ms : 0;
	bool condemned = verdict->state > HEALTH_SUSPECT;

	if (condemned && !world->up_proved)
		violate(world, HEALTH_CHECK_PROVED, 0);
	if (condemned &&
	    (look->is_traced || look->is_frozen || look->process == 't' ||
	        (look->is_busy_with_itself && blocked_ms < 3 * health_window_ms(&world->settings))))
		violate(world, HEALTH_CHECK_EXCEPTIONS, blocked_ms);
	if (verdict->state == HEALTH_HUNG &&
	    !((verdict->witnesses & WITNESS_UNANSWERED) && (verdict->witnesses & SECOND_WITNESSES)))
		violate(world, HEALTH_CHECK_TWO_WITNESSES, blocked_ms);
	if (verdict->state == HEALTH_HUNG &&
	    (look->asked_ms == 0 || world->now_ms - look->asked_ms < health_window_ms(&world->settings)))
		violate(world, HEALTH_CHECK_WINDOW, blocked_ms);
	if (verdict->state == HEALTH_DEAF && world->now_ms - world->last_success_ms < DEAF_MS)
		violate(world, HEALTH_CHECK_DEAF_SILENCE, world->now_ms - world->last_success_ms);
	if (condemned && !world->sick)
		violate(world, HEALTH_CHECK_UNTOUCHED, blocked_ms);
}

static void check_wake(struct health_world *world)
{
	const struct health_verdict *verdict = &world->verdict;

	if (verdict->state <= HEALTH_LIVE)
		world->woke = false;
	if (verdict->wake && (world->look.process != 'T' || world->woke))
		violate(world, HEALTH_CHECK_WAKE, 0);
	world->woke |= verdict->wake;
	if (verdict->state == HEALTH_HUNG && world->look.process == 'T' && !world->woke)
		violate(world, HEALTH_CHECK_WAKE, 0);
}

void health_check_step(struct health_world *world)
{
	const struct health_verdict *verdict = &world->verdict;
	const struct health_look *look = &world->look;
	int64_t pace_ms = health_pace_ms(&world->health);
	bool answers = look->answered_ms == world->now_ms && look->unanswered == 0 &&
	               look->failing_since_ms == 0 && !look->watchdog_missed;

	world->postponed |= (verdict->held & POSTPONEMENTS) != 0;
	check_verdict(world);
	check_wake(world);
	check_found(world);
	if (verdict->state >= HEALTH_SUSPECT ? pace_ms > 1000 : pace_ms != world->settings.interval_ms)
		violate(world, HEALTH_CHECK_PACE, pace_ms);
	if (answers && verdict->state > HEALTH_LIVE && (!look->is_traced && !look->is_frozen))
		violate(world, HEALTH_CHECK_CLEARED, 0);
	if (verdict->changed != (verdict->state != world->state_before))
		violate(world, HEALTH_CHECK_CHANGED, 0);
	world->state_before = verdict->state;
	if (verdict->state <= HEALTH_LIVE && !world->sick)
		world->postponed = false;
}
