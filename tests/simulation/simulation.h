/* Many worlds, one after another: the work of `simulate` and of its tests. */
#ifndef HOLDFAST_TESTS_SIMULATION_SIMULATION_H
#define HOLDFAST_TESTS_SIMULATION_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/simulation/coverage.h"
#include "tests/simulation/plants.h"

#define SIMULATION_ROUND_STEPS 20000

struct simulation {
	uint64_t seed;             /* of the first round; each round has the next */
	uint64_t steps;            /* of all rounds together */
	uint64_t rounds;           /* 0: one for each SIMULATION_ROUND_STEPS */
	const struct plant *plant; /* NULL: none */
	bool trace;                /* print every event */

	/* Results */
	struct coverage coverage;
	uint64_t steps_done;
	enum check violated; /* CHECK_NONE: nothing was */
	uint64_t violated_seed, violated_step;
};

/* Runs until a check fails or all steps are done. On a failure its story goes to `out` (NULL: nowhere), every
 * line prefixed with `prefix`. Returns 0, or -1 when a check failed. */
int simulation_run(struct simulation *simulation, FILE *out, const char *prefix);

#endif
