/* A world of callers and providers around core/failover: profiles that are well, or fail in every way, for a
 * while; several calls at once; time that runs, and jumps forward. At every step all that the header of
 * core/failover promises is checked against what was seen, not against how it is done. */
#ifndef HOLDFAST_TESTS_SIMULATION_FAILOVER_WORLD_H
#define HOLDFAST_TESTS_SIMULATION_FAILOVER_WORLD_H

#include "core/failover_step.h"
#include "tests/simulation/random.h"

#define WORLD_PROFILES 5
#define WORLD_MODELS   5
#define WORLD_CALLS    8

enum failover_check {
	CHECK_NONE,
	CHECK_ONCE_A_CALL,      /* a call tries each profile once at most */
	CHECK_ONE_PROBE,        /* what is half-open is tried by one call at a time */
	CHECK_OPEN_IS_LEFT,     /* what is cooling is not used */
	CHECK_NOT_PROLONGED,    /* a failure while it is open changes nothing */
	CHECK_OTHERS_UNTOUCHED, /* a success closes the circuits of its own profile and model only */
	CHECK_CLOSES,           /* ... and those it does close */
	CHECK_RETRY_AFTER,      /* is obeyed */
	CHECK_RETURN,           /* nobody is left out for more than 30 s that nobody asked for */
	CHECK_LONG,             /* out of credit, over a cap, a bad key: an hour at least */
	CHECK_SCOPE,            /* a failure opens its own scope's circuits, and those only */
	CHECK_ORGANISATION,     /* a limit of the organisation is one for all its profiles */
	CHECK_COOLING,          /* only when nothing is usable */
	CHECK_SOONEST,          /* and then with the soonest time */
	CHECK_CALLERS_FAULT,    /* is passed on, and blamed on nobody */
	CHECK_ONE_SILENCE,      /* the short clock once a call */
	CHECK_CLOCK,            /* never below twice what the model takes */
	CHECK_LAST_RESORT,      /* the long clock where nobody else is left */
	CHECK_PREFERRED,   /* the preferred usable one, but for a conversation's sake, and not for long */
	CHECK_PROBE_FREED, /* no call under way, no probe under way */
	CHECK_CHANGES,     /* each opening and closing is told, and nothing else */
	CHECK_COUNT
};

enum failover_seen {
	SEEN_FAILOVER,
	SEEN_ALL_COOLING,
	SEEN_PROBE_WELL,
	SEEN_PROBE_FAILED,
	SEEN_PROBE_ABANDONED,
	SEEN_BUSY_PROBE,
	SEEN_STICKY,
	SEEN_LATE_FAILURE,
	SEEN_LATE_SUCCESS,
	SEEN_ORGANISATION,
	SEEN_SECOND_SILENCE,
	SEEN_LEARNED_CLOCK,
	SEEN_PASSED_ON,
	SEEN_SEEN_COUNT
};

struct failover_plant;

/* How a profile treats a model. */
struct temper {
	bool well;
	enum failover_outcome outcome;
	enum failover_scope scope;
	int64_t retry_after_ms, until_ms, latency_ms;
};

struct world_call {
	bool active, committed;
	struct failover_call call;
	struct failover_try attempt;
	uint32_t tried;
	uint32_t silences;
	uint32_t model;
	int64_t decided_ms; /* when the attempt under way shows what it is */
};

struct failover_world {
	struct random random;
	struct failover failover, before;
	int64_t now_ms;
	struct failover_settings settings;
	uint64_t organisations[WORLD_PROFILES]; /* as they are; 0: it says none */
	struct temper tempers[WORLD_PROFILES][WORLD_MODELS];
	struct world_call calls[WORLD_CALLS];
	/* The latencies that each model showed, the newest last. */
	int64_t latencies[WORLD_MODELS][FAILOVER_LATENCY_MAX];
	uint32_t latency_counts[WORLD_MODELS];
	/* When each circuit was last told to have recovered: of a profile (0), or for a model of it. */
	int64_t recovered_ms[WORLD_PROFILES][WORLD_MODELS + 1];
	uint64_t seen[SEEN_SEEN_COUNT];
	const struct failover_plant *plant;
	enum failover_check violated;
	char why[256];
	uint64_t step;
};

/* A bug: changes what the core did. */
enum plant_moment { PLANT_BEGAN, PLANT_FAILED, PLANT_CONTENT, PLANT_ENDED };

struct failover_plant {
	const char *name;
	enum plant_moment moment;
	void (*meddle)(struct failover_world *world, struct world_call *call, enum failover_verdict *verdict,
	    const struct failover_report *report);
	enum failover_check found_by;
};

const struct failover_plant *failover_plant_at(size_t index);
const char *failover_seen_name(enum failover_seen seen);

/* Runs `steps` steps from `seed`. Returns 0, or -1 with violated and why. */
int failover_simulate(
    struct failover_world *world, uint64_t seed, uint64_t steps, const struct failover_plant *plant);

/* failover_checks.c */
void failover_violated(struct failover_world *world, enum failover_check check, const char *what);
void check_began(struct failover_world *world, const struct world_call *call, enum failover_verdict verdict);
void check_try(struct failover_world *world, const struct world_call *call);
void check_failed(struct failover_world *world, const struct world_call *call, uint32_t profile,
    int64_t attempt_ms, const struct failover_report *report, enum failover_verdict verdict);
void check_content(struct failover_world *world, const struct world_call *call, uint32_t profile);
void check_step(struct failover_world *world);

#endif
