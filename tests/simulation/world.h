/* A world for the core to live in: a virtual clock, one gateway with helpers that may refuse to die, a sentry
 * whose messages come late, twice, out of order or never, people, and a host that sleeps. It carries out what
 * the core decides, with real consequences, exactly as the supervisor does: actions in order, their results
 * before anything else, the timer at its deadline. The same seed gives the same world. Nothing is allocated.
 */
#ifndef HOLDFAST_TESTS_SIMULATION_WORLD_H
#define HOLDFAST_TESTS_SIMULATION_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/supervision.h"
#include "tests/simulation/checks.h"
#include "tests/simulation/coverage.h"
#include "tests/simulation/random.h"
#include "tests/simulation/trace.h"

#define WORLD_HELPERS_MAX 8
#define WORLD_PENDING_MAX 192
#define WORLD_RESULTS_MAX 4

/* What is due in the world. The gateway's own are void once it is another or has restarted itself. */
enum happening {
	HAPPEN_DELIVER, /* an event reaches the supervisor */
	HAPPEN_REPORT,  /* the same for the kernel's report of an end: never dropped */
	HAPPEN_MOVES,   /* the gateway makes progress in its start */
	HAPPEN_READY,
	HAPPEN_EXITS,
	HAPPEN_DRAINS,   /* it begins to drain by itself */
	HAPPEN_RESTARTS, /* ... and starts anew in the same process */
	HAPPEN_HANGS,
	HAPPEN_OPENED,       /* its inspector is open: anybody on the machine may make it run anything */
	HAPPEN_TREE_CHANGED, /* a process of the tree has ended at last */
	HAPPEN_MENDED,       /* a person mends the configuration, or runs the migration */
	HAPPEN_INTERFERE,    /* the like, at a moment that is short */
	HAPPEN_MEDDLE /* something that nobody asked for: people, noise, the host, the supervisor's own death
	               */
};

struct pending {
	enum happening what;
	uint32_t boot; /* HAPPEN_EXITS and the like: of this boot in the process; 0: of any */
	int64_t value; /* HAPPEN_DRAINS: budget */
	struct supervision_event event; /* HAPPEN_DELIVER; generation and exit serve the gateway's own too */
};

/* When it is due, and where in world->pending it lies. */
struct pending_entry {
	int64_t at_ms;
	uint64_t order; /* of two at the same time the older comes first */
	uint32_t place;
};

struct helper {
	bool alive, holds; /* holds the port or the gateway's lock */
	bool told;         /* RECORD_TREE_LEFT told of it */
	uint64_t generation;
	int64_t stuck_for_ms; /* how long a SIGKILL takes to work */
	int64_t dies_ms;      /* 0: not killed */
};

struct gateway_process {
	bool alive, child; /* not a child: its exit status is nobody's to know */
	bool ready, hung, draining, ignores_term, dying;
	bool from_copy; /* of its configuration */
	bool opened;    /* its inspector */
	uint64_t generation;
	uint32_t boot; /* grows with each restart in the same process */
	int64_t stuck_for_ms, dies_ms;
	enum exit_verdict words;      /* what its last lines say */
	struct supervision_exit exit; /* its last */
	uint64_t exited_generation;
};

struct world {
	uint64_t seed;
	struct random random;
	int64_t now_ms;
	uint64_t steps; /* events that reached a cell of the table */

	struct supervision_settings settings;
	struct supervision machine;
	struct supervision saved; /* as the last DO_SAVE or DO_SPAWN left it */
	bool has_record;          /* it was ever saved */
	bool record_present;      /* the record names a gateway */
	bool knows_gateway; /* this life has spawned or found one: it goes on record with the next save */
	bool finished;      /* DO_FINISH: the supervisor's life ends */
	uint32_t lives;

	struct gateway_process gateway;
	struct helper helpers[WORLD_HELPERS_MAX];

	uint64_t ready_generation;  /* the last that was ever ready */
	bool ready_proved;          /* ... and whether its start-up probe could prove it */
	uint64_t probed_generation; /* the sentry was asked to say when it is ready */
	bool watches_config;
	bool config_broken, migration_needed;
	bool copy_exists, copy_broken; /* of the configuration, as it was when the gateway was last well */
	int64_t foreign_until_ms;      /* another instance holds the port until then */
	int64_t adopt_silent_until_ms; /* nothing can be learnt about the gateway found until then */
	int64_t quiet_until_ms;        /* nobody meddles until then */

	/* How hostile this world is, drawn from the seed; permille unless said otherwise. */
	struct {
		uint32_t lost, doubled, late, spawn_fails, meddles_evenly, dies, stuck_helpers, clock_back;
		int64_t meddle_most_ms;
	} temper;

	uint32_t pending_count;
	uint64_t pending_order;
	struct pending_entry
	    heap[WORLD_PENDING_MAX]; /* by time and order; behind the last one, free places */
	struct pending pending[WORLD_PENDING_MAX];
	uint32_t result_count;
	struct supervision_event results[WORLD_RESULTS_MAX];

	struct checks checks;
	struct coverage coverage;
	struct trace trace;
};

struct plant;

/* Draws the world of this seed and begins the supervisor's first life in it. */
void world_init(struct world *world, uint64_t seed);

/* Runs until `steps` events have reached the table or a check fails. `plant` may be NULL. Returns 0, or -1
 * with world->checks saying what was violated. */
int world_run(struct world *world, uint64_t steps, const struct plant *plant);

/* settings.c: draws the settings and the temper. */
void world_draw_settings(struct world *world);

/* queue.c */
void world_queue_init(struct world *world);
struct pending *world_schedule(struct world *world, enum happening what, int64_t after_ms);
/* Takes the next from the queue, and moves the clock to it. */
bool world_next(struct world *world, struct pending *next);
void world_forget_messages(struct world *world);
void world_sleep(struct world *world, int64_t slept_ms);

/* gateway.c: the gateway process and its tree. */
bool gateway_spawn(struct world *world, uint64_t generation, bool from_copy, int *error);
void gateway_terminate(struct world *world);
/* Kills all of this generation and older; returns how many are left and whether one of them holds something.
 */
uint32_t gateway_kill_tree(struct world *world, uint64_t generation, bool *holds);
void gateway_exit(struct world *world, struct supervision_exit exit);
void gateway_happening(struct world *world, const struct pending *pending);
/* Whether a process of the tree is left; those that nothing can end and that were told of only with `told`.
 */
bool gateway_tree_left(const struct world *world, bool told);
void gateway_reap_helpers(struct world *world);
struct supervision_exit gateway_draw_exit(struct world *world);

/* sentry.c: what the sentry says, with the weaknesses of messages. */
void sentry_say(struct world *world, enum supervision_event_type type, int64_t after_ms);
void sentry_say_event(struct world *world, struct supervision_event event, int64_t after_ms);
void sentry_probe(struct world *world, uint64_t generation);
void sentry_answer_words(struct world *world, uint64_t generation);
void sentry_examine(struct world *world, uint64_t generation, bool may_open);
void sentry_validate(struct world *world);
void sentry_notice_hang(struct world *world);
void sentry_draw_noise(struct world *world, enum supervision_event_type type);

/* meddle.c */
void meddle(struct world *world);
void interfere(struct world *world); /* once */

/* carry_out.c: the supervisor's hands. */
void carry_out(struct world *world, const struct supervision_actions *actions);
void world_save(struct world *world);
void world_begin_life(struct world *world);
void world_deliver(struct world *world, struct supervision_event event, const struct plant *plant);

static inline bool world_violated(const struct world *world)
{
	return world->checks.violated != CHECK_NONE;
}

#endif
