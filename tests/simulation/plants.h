/* Bugs planted around the core's step, one or more for each check: proof that the simulator finds what it
 * says it looks for. They live here and nowhere else. */
#ifndef HOLDFAST_TESTS_SIMULATION_PLANTS_H
#define HOLDFAST_TESTS_SIMULATION_PLANTS_H

#include <stddef.h>

#include "core/supervision.h"
#include "tests/simulation/checks.h"

struct plant {
	const char *name;
	const char *what; /* the bug in one sentence */
	enum check found_by;
	/* Instead of supervision_step. */
	void (*step)(struct supervision *machine, const struct supervision_event *event,
	    struct supervision_actions *actions);
};

/* NULL beyond the last. */
const struct plant *plant_at(size_t index);

/* plants_lives.c: what a new life may forget of the life before it, or make of it. */
extern const struct plant plants_of_lives[];
extern const size_t plants_of_lives_count;

/* plants_examine.c: what is condemned, examined, continued, or started from the copy of its configuration. */
extern const struct plant plants_of_examining[];
extern const size_t plants_of_examining_count;

/* NULL when there is none of that name. */
const struct plant *plant_find(const char *name);

#endif
