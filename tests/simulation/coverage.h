/* How often each cell of the core's table was executed. */
#ifndef HOLDFAST_TESTS_SIMULATION_COVERAGE_H
#define HOLDFAST_TESTS_SIMULATION_COVERAGE_H

#include <stdint.h>
#include <stdio.h>

#include "core/supervision.h"

struct coverage {
	uint64_t cells[STATE_COUNT][EVENT_TYPE_COUNT];
};

void coverage_add(struct coverage *target, const struct coverage *source);

/* The least executed of the cells that exist. Returns its count; *state and *type say which it is. */
uint64_t coverage_least(
    const struct coverage *coverage, enum supervision_state *state, enum supervision_event_type *type);

uint32_t coverage_existing_cells(void);

/* The table, and for each cell that does not exist why it does not. */
void coverage_print(const struct coverage *coverage, FILE *out);

#endif
