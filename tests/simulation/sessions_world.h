/* A world for core/sessions alone: a gateway whose sessions run, stream slowly, work in tools, wait and hang;
 * its list and its log, late, stale, wrong or missing; a sentry that loses looks, is replaced or away; aborts
 * that take, take late, never, are refused, or are answered wrongly; people; a supervisor that is restarted.
 * The same seed gives the same world. Nothing is allocated. */
#ifndef HOLDFAST_TESTS_SIMULATION_SESSIONS_WORLD_H
#define HOLDFAST_TESTS_SIMULATION_SESSIONS_WORLD_H

#include <stdio.h>

#include "core/sessions.h"
#include "tests/simulation/random.h"

#define PLAYED_MAX       24 /* sessions that are played; those of the crowd are only seen */
#define POST_MAX         512
#define TASKS_MAX        32
#define POST_LATE_MAX_MS 4000
#define REAL_OFFSET_MS   1700000000000

enum sessions_check {
	SESSIONS_CHECK_NONE,
	SESSIONS_CHECK_SILENT,    /* who moved within its limit is not aborted; a look of now says that it did
	                             not */
	SESSIONS_CHECK_WAITS,     /* nor who waits for a person, or for its turn */
	SESSIONS_CHECK_RELAYED,   /* nor whose request the relay has */
	SESSIONS_CHECK_WITNESSES, /* nor of whom one witness speaks */
	SESSIONS_CHECK_MAY_ACT,   /* nor while nothing may be done */
	SESSIONS_CHECK_TURN,      /* nor in the turn of the gateway's own recovery */
	SESSIONS_CHECK_RUN,       /* the run that was judged, and no other */
	SESSIONS_CHECK_ONCE,      /* one abort of a session at a time */
	SESSIONS_CHECK_MAX,       /* and so many of all */
	SESSIONS_CHECK_AGAIN,     /* no third attempt soon */
	SESSIONS_CHECK_FOUND,     /* who hangs is asked for */
	SESSIONS_CHECK_SETTLED,   /* and then something is said of it */
	SESSIONS_CHECK_ANSWER,    /* an answer belongs to what was asked */
	SESSIONS_CHECK_RECOVERED, /* the judged run has left, or moves */
	SESSIONS_CHECK_ATTEMPTS,  /* failed: after two attempts */
	SESSIONS_CHECK_SEEN,      /* ... and it was seen to be there since */
	SESSIONS_CHECK_THRESHOLD, /* condemned: so many failed */
	SESSIONS_CHECK_REMEMBERED, /* ... of which no restart was made before */
	SESSIONS_CHECK_SAVED,      /* what is forgotten is forgotten in the record */
	SESSIONS_CHECK_COUNTS,
	SESSIONS_CHECK_TABLE,
	SESSIONS_CHECK_ROOM, /* for actions */
	SESSIONS_CHECK_COUNT
};

/* What becomes of an abort. */
enum played_abort {
	PLAYED_TAKES,
	PLAYED_TAKES_LATE,    /* answered at once, within the time it has, or not */
	PLAYED_TAKES_UNHEARD, /* it takes; the answer is lost */
	PLAYED_MOVES,         /* it wakes the run up */
	PLAYED_LIED,          /* done, says the gateway; it is not */
	PLAYED_NOTHING,       /* there is no such run, says the gateway; there is */
	PLAYED_REFUSED,
	PLAYED_REFUSED_ONCE,
	PLAYED_UNREACHABLE,
	PLAYED_LOST,
	PLAYED_ANSWERED_LATE, /* refused, said when nobody waits for it any more */
	PLAYED_ABORT_COUNT
};

/* What was reached. */
enum sessions_seen {
	SEEN_LOOKS,
	SEEN_HANGS,
	SEEN_OUTAGES, /* everything that runs hangs at once */
	SEEN_ASKED,
	SEEN_ASKED_AGAIN, /* after SESSIONS_AGAIN_MS */
	SEEN_STUCK,
	SEEN_ABORTED,
	SEEN_RECOVERED,
	SEEN_RECOVERED_ITSELF,
	SEEN_FAILED,
	SEEN_FAILED_REMEMBERED,
	SEEN_CONDEMNED,
	SEEN_CONDEMNED_IN_VAIN, /* it may not be restarted for it */
	SEEN_REMEMBERED_FORGOTTEN,
	SEEN_REMEMBERED_EXPIRED,
	SEEN_MEMORY_LOST,
	SEEN_SUPERVISOR_RESTARTED,
	SEEN_GATEWAY_RESTARTED,
	SEEN_SENTRY_REPLACED,
	SEEN_LINK_LOST,
	SEEN_LOOK_LOST,
	SEEN_ANSWER_OF_FORMER_LIFE,
	SEEN_NO_ROOM, /* more were stuck than may be aborted at once */
	SEEN_TURN,    /* judged in the turn of the gateway's own recovery */
	SEEN_CLAIMED_IN_VAIN,
	SEEN_PERSON,
	SEEN_PERSON_OF_MOVING,
	SEEN_PERSON_FAILED,
	SEEN_STUCK_IN_PAUSE,
	SEEN_NEW_RUN_BETWEEN,
	SEEN_GONE_WHILE_STUCK,
	SEEN_ASKED_OF_DARK,
	SEEN_ASKED_BY_CARRIED, /* of a run whose events only a former sentry had seen */
	SEEN_LEFT_TABLE,
	SEEN_COUNT
};

struct sessions_world;

/* A bug planted around the core. */
struct sessions_plant {
	const char *name, *what;
	enum sessions_check found_by;
	void (*before)(struct sessions_world *world, struct session_look *look);
	void (*before_tick)(struct sessions_world *world);
	void (*after)(struct sessions_world *world, struct sessions_actions *actions);
	bool acts_always, forgets_at_restart;
};

struct played {
	char key[48];
	uint32_t incarnation;
	bool exists, dark, locks; /* dark: its events are not seen; locks: the lock of its transcript is */

	/* What is true. */
	uint32_t waits; /* enum session_waits */
	bool hung, hangs_again, asked_in_this_life;
	uint64_t run;
	int64_t began_ms, moved_ms, next_ms, relayed_until_ms;
	enum played_abort abort;
	uint32_t refusals;

	/* What the gateway says. */
	uint64_t log_run, list_run;
	uint32_t list_waits, log_waits;
	bool log_lies;
	int64_t log_at_ms, log_quiet_ms, list_at_ms, list_began_ms, recovery_ms;
	uint32_t recovery;

	/* What the sentry knows. */
	bool knows; /* by its events */
	int64_t quiet_ms, look_due_ms;
	uint64_t said_run;
	uint32_t said_waits;
	bool said, gone_to_say;

	/* What the checks know: the last look that was delivered, and what was true then. */
	struct session_look last;
	uint64_t last_run, told_run;         /* told_run: whose events were told of in this life */
	int64_t last_silent_ms, previous_ms; /* when the one before was taken */
	uint32_t last_waits, told_waits;
	bool told;
	/* ... and what is being done about it. */
	bool judged, failed, by_person;
	uint64_t judged_run, serial;
	int64_t judged_moved_ms, asked_ms[2], settled_ms, ripe_ms, turn_ms, verify_ms, again_ms;
	uint32_t asks;
	bool pending;
	int64_t remembered_ms; /* 0: not */
};

struct task {
	bool taken, of_former_life;
	uint64_t serial, run;
	uint32_t session;
	int64_t take_ms, answer_ms; /* 0: never */
	bool moves;
	enum abort_outcome outcome;
};

struct post {
	int64_t at_ms;
	bool is_answer;
	uint32_t session;
	uint64_t serial, run;
	int64_t silent_ms;
	uint32_t waits;
	enum abort_outcome outcome;
	struct session_look look;
};

struct sessions_world {
	uint64_t seed, steps, seen[SEEN_COUNT], aborts[PLAYED_ABORT_COUNT];
	struct random random;
	const struct sessions_plant *plant;
	FILE *trace;
	int64_t now_ms;
	struct sessions_settings settings;
	struct sessions core;
	struct sessions_actions actions;
	struct sessions_memory record; /* what the next life would inherit */

	struct played played[PLAYED_MAX];
	uint32_t played_count;
	uint64_t runs, generation;
	uint32_t crowd;

	/* The gateway, and what may be done to it. */
	int64_t paused_until_ms, restarts_at_ms; /* 0: not */
	bool may_restart, has_log, recovers_itself, lists,
	    incurable; /* incurable: next to nothing ends of itself */
	int64_t list_due_ms;
	uint32_t hang_permille;

	/* The sentry. */
	bool linked, forgets_began;
	int64_t away_until_ms, link_back_ms, slow_until_ms;
	struct post post[POST_MAX];
	uint32_t post_first, post_count;
	struct task tasks[TASKS_MAX];

	const struct post *answer; /* the core is being told; or NULL */
	enum sessions_check violated;
	char why[320];
};

void sessions_world_init(struct sessions_world *world, uint64_t seed);
/* A second or so goes by. */
void sessions_world_step(struct sessions_world *world);
bool sessions_world_may_act(const struct sessions_world *world);
void sessions_world_see(struct sessions_world *world, enum sessions_seen what);

/* sessions_gateway.c: what is true, and what the gateway says of it. */
void played_init(struct sessions_world *world, uint32_t index);
void played_advance(struct sessions_world *world, uint32_t index, int64_t step_ms);
/* Of each session; the ones that ran may be resumed, and may hang again. */
void played_restart(struct sessions_world *world);
void played_outage(struct sessions_world *world);
void gateway_say(struct sessions_world *world);
void gateway_abort(struct sessions_world *world, int place);
void gateway_tasks(struct sessions_world *world);

/* sessions_sentry.c: what is seen of that, and what comes of it to the supervisor. */
void sentry_saw(struct sessions_world *world, struct played *played);
void sentry_forget(struct sessions_world *world);
void sentry_look(struct sessions_world *world, int64_t step_ms);
void sentry_answer(struct sessions_world *world, const struct task *task);
/* Everything that comes by now goes to the core. */
void sentry_deliver(struct sessions_world *world);

/* sessions_world.c: what the core wants is done, and checked. */
void sessions_world_carry_out(struct sessions_world *world);

/* sessions_checks.c */
void sessions_check_look(struct sessions_world *world, struct played *played, bool may_act);
void sessions_check_actions(struct sessions_world *world, bool may_act);
void sessions_check_counts(struct sessions_world *world);
/* Nothing of what was begun is known any more: another gateway, or another supervisor. */
void sessions_check_begin(struct sessions_world *world, bool other_life);
void sessions_check_condemned(struct sessions_world *world);
/* Returns whether the core waits for this answer. */
bool sessions_check_answered(struct sessions_world *world, struct played *played, const struct post *answer);
/* One of its runs ended; `itself`: and nobody had asked for it. */
void sessions_check_ended(struct sessions_world *world, struct played *played, bool itself);
void sessions_check_violate(
    struct sessions_world *world, enum sessions_check check, const struct played *played);
const char *sessions_check_name(enum sessions_check check);

/* The session that is played under this key, or NULL. */
struct played *sessions_world_find(struct sessions_world *world, const char *key);

/* sessions_plants.c: NULL beyond the last, and of an unknown name. */
const struct sessions_plant *sessions_plant_at(size_t index);
const struct sessions_plant *sessions_plant_find(const char *name);

/* sessions_run.c: runs `steps` steps in worlds of 20,000 each, the first of `seed`; returns 0, or -1 with
 * `world` at the violation. `world->seen` is the sum of all. */
int sessions_simulate(
    struct sessions_world *world, uint64_t seed, uint64_t steps, const struct sessions_plant *plant);
const char *sessions_seen_name(enum sessions_seen what);

#endif
