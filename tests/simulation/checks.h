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
	CHECK_INSIDE_BUDGET,
	CHECK_WAIT_OUTLIVES,
	CHECK_ORDERS_OUTLIVE,
	CHECK_EXAMINATION,
	CHECK_OPENED_IS_REPLACED,
	CHECK_MEMORY_IS_NAMED,
	CHECK_FALLBACK,
	CHECK_HEEDED,
	CHECK_SUSPICION,
	CHECK_PROOF_IS_TRUE,
	CHECK_COUNT
};

#define CHECK_BOOTS_KEPT  64
#define CHECK_INSIDE_KEPT 3

/* What the gateway that runs or ran last has a right to. */
struct checks_gateway {
	bool asked, forced, condemned, overdue; /* why it may be ended */
	bool examined;                          /* it was condemned to be examined first */
	bool opened;                            /* its inspector may be open */
	bool no_grace;                          /* it may be killed without SIGTERM */
	bool ready, proved;
	bool end_known;     /* its end was reported */
	bool restart_asked; /* while its identity was being proved */
	enum supervision_reason condemned_for;
	int64_t evidence;
	int64_t started_ms, moved_ms, ready_ms, drain_ends_ms;
	int64_t asked_ms, grace_ms, end_by_ms; /* 0: nobody has ended it yet */
	int64_t terminated_ms;                 /* 0: not */
};

/* What the next life must know, and what follows from it. */
struct checks_kept {
	bool wish; /* people want it up */
	bool finishing, insisted, planned;
	bool promised; /* planned because somebody asked for it, and was answered */
	bool fallback; /* starts are from the copy of the configuration */
	bool died_of_memory;
	enum restart_cause cause;
	bool first_was_ready; /* the run that ended had been ready */
	int64_t paused_until_ms, not_before_ms;
	int64_t waits_until_ms; /* as it was said; 0: it does not wait */
	enum supervision_reason waits_for, stopped_for;
	struct checks_gateway gateway;
	uint64_t generation, restarts, incident;
	int64_t incident_since_ms;
	uint32_t attempts[RESTART_CAUSE_COUNT];
	int64_t inside_ms[CHECK_INSIDE_KEPT]; /* what was granted to the gateway's tree, oldest first */
};

struct checks {
	enum check violated;
	char why[256];

	int64_t now_ms, step_ms;        /* the supervisor's time; what the last step added to it */
	struct checks_kept kept, saved; /* now, and when the machine was saved last */
	bool life_begins;               /* no event has reached it */
	bool was_known;                 /* checks_was_ending before this event */
	int64_t judge_after_ms, kill_began_ms, adopted_ms, examine_began_ms;
	int64_t accused_ms; /* when something was said last against its health */

	uint32_t boot_count;
	int64_t boots_ms[CHECK_BOOTS_KEPT];

	uint64_t highest_incident;
	uint64_t condemned_generation; /* whose condemnation is on record */
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
void checks_new_life(struct world *world);
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
/* checks_people.c */
void checks_people(struct world *world, const struct supervision_event *event, enum supervision_state before,
    const struct supervision_actions *actions);
bool checks_is_up(enum supervision_state state);
bool checks_has_action(const struct supervision_actions *actions, enum supervision_action_type type);
/* checks_lives.c: what a new life does with what the killed one had promised. */
void checks_lives(
    struct world *world, const struct supervision_event *event, const struct supervision_actions *actions);
void checks_lives_settled(struct world *world, const struct supervision_event *event);
bool checks_was_ending(const struct checks *checks);
/* checks_examine.c: what is examined before its end, and starts from the copy of the configuration. */
void checks_examine(struct world *world, const struct supervision_event *event, enum supervision_state before,
    const struct supervision_actions *actions);
void checks_examine_settled(struct world *world, const struct supervision_event *event);
/* checks_verdicts.c: whether what is said about its health is heeded. */
void checks_verdicts(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions);
void checks_verdicts_settled(struct world *world);
/* When the incident began that this event opens. */
int64_t checks_incident_since_ms(const struct checks *checks, const struct supervision_event *event);
int64_t checks_grace_ms(const struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions);
bool checks_has_record(const struct supervision_actions *actions, enum supervision_record record);
enum restart_cause checks_cause_of(enum supervision_reason reason);
/* Whether the verdict stands: to be examined is not to be given up yet. */
bool checks_is_condemned(const struct checks_gateway *gateway);
bool checks_ended_unasked(const struct checks *checks, const struct supervision_event *event);

#endif
