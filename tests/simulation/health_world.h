/* A world for core/health alone: a gateway whose loop turns, blocks for a while, or hangs for ever; a machine
 * that is busy, robbed or out of memory; a sentry that is late, blind, deaf on one ear, or dies. The same
 * seed gives the same world. Nothing is allocated. */
#ifndef HOLDFAST_TESTS_SIMULATION_HEALTH_WORLD_H
#define HOLDFAST_TESTS_SIMULATION_HEALTH_WORLD_H

#include <stdio.h>

#include "core/health.h"
#include "tests/simulation/random.h"

#define HEALTH_PROBES_MAX 32
#define HEALTH_FOR_EVER   INT64_MAX

enum health_check {
	HEALTH_CHECK_NONE,
	HEALTH_CHECK_UNTOUCHED,
	HEALTH_CHECK_HUNG_FOUND,
	HEALTH_CHECK_DEAF_FOUND,
	HEALTH_CHECK_PROMISE_FOUND,
	HEALTH_CHECK_TWO_WITNESSES,
	HEALTH_CHECK_WINDOW,
	HEALTH_CHECK_DEAF_SILENCE,
	HEALTH_CHECK_EXCEPTIONS,
	HEALTH_CHECK_WAKE,
	HEALTH_CHECK_PACE,
	HEALTH_CHECK_CLEARED,
	HEALTH_CHECK_CHANGED,
	HEALTH_CHECK_PROVED,
	HEALTH_CHECK_COUNT
};

/* What keeps the loop from turning. */
enum health_block {
	BLOCK_SPIN,
	BLOCK_CALL, /* asleep in a call: looks idle */
	BLOCK_DISK, /* D */
	BLOCK_STOPPED,
	BLOCK_STARVED,
	BLOCK_STOLEN,
	BLOCK_SWAPPING,
	BLOCK_RELOADING,
	BLOCK_TRACED,
	BLOCK_FROZEN,
	BLOCK_COUNT
};

/* How a life ends. */
enum health_fate {
	FATE_HUNG,
	FATE_CLOSED,    /* the listener is gone, the loop turns */
	FATE_HALF_DEAD, /* frames of old connections come; no new connection is made */
	FATE_PROMISE,
	FATE_COUNT
};

struct health_world;

/* A bug planted around the step. */
struct health_plant {
	const char *name, *what;
	enum health_check found_by;
	void (*step)(struct health *health, const struct health_look *look, struct health_verdict *verdict);
	bool forgets_sleep, begins_proved;
};

struct health_world {
	uint64_t seed, steps, lives, found[FATE_COUNT], blocks[BLOCK_COUNT];
	struct random random;
	const struct health_plant *plant;
	FILE *trace;
	int64_t now_ms;
	struct health_settings settings;
	struct health health;
	struct health_look look;
	struct health_verdict verdict;

	/* The gateway. */
	enum health_block block;
	int64_t block_from_ms, block_until_ms, latency_ms, next_tick_ms, woken_at_ms;
	bool sick, ignores_cont, up_proved;
	enum health_fate fate;
	int64_t sick_ms, life_looks, promise_lasts_ms, next_beat_ms;
	bool has_schedstat, sees_queue, has_link, hogs;

	/* The sentry. */
	struct {
		int64_t asked_ms, served_ms;
		bool missed;
	} probes[HEALTH_PROBES_MAX];
	uint32_t probe_count, lost_in_a_row;
	int64_t unanswered_since_ms, link_back_ms, blind_until_ms, calm_since_ms, last_success_ms;

	/* What the checks remember. */
	enum health_state state_before;
	bool woke, postponed;
	enum health_check violated;
	char why[160];
};

void health_world_init(struct health_world *world, uint64_t seed);
/* Takes one look, and has it judged. */
void health_world_step(struct health_world *world);

/* health_checks.c */
void health_check_step(struct health_world *world);
const char *health_check_name(enum health_check check);

/* health_plants.c: NULL beyond the last, and of an unknown name. */
const struct health_plant *health_plant_at(size_t index);
const struct health_plant *health_plant_find(const char *name);

/* health_run.c: runs `steps` looks in worlds of 20,000 each, the first of `seed`; returns 0, or -1 with
 * `world` at the violation. */
int health_simulate(
    struct health_world *world, uint64_t seed, uint64_t steps, const struct health_plant *plant);

static inline bool health_world_blocked(const struct health_world *world)
{
	return world->now_ms >= world->block_from_ms && world->now_ms < world->block_until_ms;
}

#endif
