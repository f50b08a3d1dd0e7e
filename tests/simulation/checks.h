/* The invariants of supervision, judged from outside at every step: from the events that were delivered, the
 * actions that came out, and the truth of the simulated world. Where the machine's own memory is looked at,
 * it is to compare it with that truth. */
#ifndef HOLDFAST_TESTS_SIMULATION_CHECKS_H
#define HOLDFAST_TESTS_SIMULATION_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/supervision.h"

enum check {
	CHECK_NONE,
	CHECK_NEVER_TWO_GATEWAYS,
	CHECK_NO_START_OVER_OLD_TREE,
	CHECK_WAITING_HAS_TIMER,
	CHECK_TIMERS_DO_NOT_SPIN,
	CHECK_BOOT_BUDGET,
	CHECK_HEALTHY_UNTOUCHED,
	CHECK_GRACE_RESPECTED,
	CHECK_VERDICT_NEEDS_EVIDENCE,
	CHECK_DEAD_IS_RESTARTED,
	CHECK_UP_IS_NOTICED,
	CHECK_READY_IS_TRUE,
	CHECK_PARKED_SAYS_WHY,
	CHECK_INCIDENTS,
	CHECK_ACTIONS_FIT,
	CHECK_PAUSED_IS_PASSIVE,
	CHECK_BACK_OFF,
	CHECK_GENERATIONS,
	CHECK_STOP_HOLDS,
	CHECK_SAVED,
	CHECK_FINISH_LEAVES_NOTHING,
	CHECK_UNKILLABLE_IS_TOLD,
	CHECK_COUNT
};

#define CHECK_BOOTS_KEPT 64

/* What the gateway that runs or ran last has a right to. */
struct checks_gateway {
	bool asked, forced, condemned, overdue; /* why it may be ended */
	bool ready;
	int64_t started_ms, moved_ms, ready_ms;
	int64_t terminated_ms, grace_ms, drain_ends_ms; /* 0: not */
};

struct checks {
	enum check violated;
	char why[256];

	int64_t now_ms, step_ms; /* the supervisor's time; what the last step added to it */
	bool wish;               /* people want it up */
	bool finishing, insisted, planned;
	enum restart_cause cause;
	bool first_was_ready; /* the run that ended had been ready */
	int64_t paused_until_ms, judge_after_ms, kill_began_ms;
	struct checks_gateway gateway;

	uint64_t generation;
	uint32_t attempts[RESTART_CAUSE_COUNT], saved_attempts[RESTART_CAUSE_COUNT];
	int64_t not_before_ms;
	uint32_t boot_count;
	int64_t boots_ms[CHECK_BOOTS_KEPT];

	uint64_t incident, highest_incident;
	enum supervision_reason parked_for;
	int64_t words_asked_ms;            /* 0: not */
	enum supervision_reason must_park; /* what its last words said, in time */
	struct supervision_exit exit;
	bool may_park, told_left;
	int64_t held_since_ms;

	bool was_held_down, was_ending;
	int64_t down_since_ms, unwanted_since_ms;
	int64_t spin_ms;
	uint32_t timers_now, spawns_now;
};

struct world;

const char *check_name(enum check check);
/* What must hold, in one sentence. */
const char *check_sentence(enum check check);

void checks_init(struct world *world);
void checks_new_life(struct world *world, bool found);
void checks_slept(struct world *world, int64_t slept_ms);
void checks_saved(struct world *world); /* the machine has just been saved */

/* In this order, for every event: */
void checks_before(struct world *world, const struct supervision_event *event);
void checks_after(struct world *world, const struct supervision_event *event, enum supervision_state before,
    const struct supervision_actions *actions);
void checks_action(struct world *world, const struct supervision_action *action); /* before its effect */
void checks_settled(
    struct world *world, const struct supervision_event *event, enum supervision_state before);

/* Between checks.c and its parts. */
void checks_violate(struct world *world, enum check check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void checks_story(struct world *world, const struct supervision_event *event, enum supervision_state before,
    const struct supervision_actions *actions);
void checks_incidents(
    struct world *world, const struct supervision_event *event, const struct supervision_actions *actions);
bool checks_ended_unasked(const struct checks *checks, const struct supervision_event *event);

#endif
