#include "tests/simulation/coverage.h"

#include <inttypes.h>

void coverage_add(struct coverage *target, const struct coverage *source)
{
	for (int state = 0; state < STATE_COUNT; state++)
		for (int type = 0; type < EVENT_TYPE_COUNT; type++)
			target->cells[state][type] += source->cells[state][type];
}

uint64_t coverage_least(
    const struct coverage *coverage, enum supervision_state *state, enum supervision_event_type *type)
{
	uint64_t least = UINT64_MAX;

	for (enum supervision_state s = 0; s < STATE_COUNT; s++)
		for (enum supervision_event_type t = 0; t < EVENT_TYPE_COUNT; t++)
			if (supervision_cell_exists(s, t) && coverage->cells[s][t] < least) {
				least = coverage->cells[s][t];
				*state = s;
				*type = t;
			}
	return least;
}

uint32_t coverage_existing_cells(void)
{
	uint32_t count = 0;

	for (enum supervision_state state = 0; state < STATE_COUNT; state++)
		for (enum supervision_event_type type = 0; type < EVENT_TYPE_COUNT; type++)
			count += supervision_cell_exists(state, type);
	return count;
}

static const char *why_absent(enum supervision_event_type type)
{
	switch (type) {
	case ON_FOUND:
		return "comes before the first start only, when the state is stopped";
	case ON_ADOPTED:
	case ON_ADOPT_REFUSED:
		return "answers DO_ADOPT, which is issued in no other state than adopting";
	case ON_SPAWNED:
	case ON_SPAWN_FAILED:
		return "answers DO_SPAWN at once, which always leads to starting";
	case ON_TREE_GONE:
	case ON_TREE_LEFT:
		return "answers DO_KILL_TREE at once, which always leads to killing";
	case ON_TIMER:
		return "the state has no deadline, so no timer is ever due";
	default:
		return "NO REASON KNOWN";
	}
}

void coverage_print(const struct coverage *coverage, FILE *out)
{
	fprintf(out, "%-15s", "");
	for (enum supervision_state state = 0; state < STATE_COUNT; state++)
		fprintf(out, "%12s", supervision_state_name(state));
	fprintf(out, "\n");
	for (enum supervision_event_type type = 0; type < EVENT_TYPE_COUNT; type++) {
		fprintf(out, "%-15s", supervision_event_name(type));
		for (enum supervision_state state = 0; state < STATE_COUNT; state++)
			if (supervision_cell_exists(state, type))
				fprintf(out, "%12" PRIu64, coverage->cells[state][type]);
			else
				fprintf(out, "%12s", "-");
		fprintf(out, "\n");
	}
	fprintf(out, "\nCells that do not exist (-), and why nothing can reach them:\n");
	for (enum supervision_event_type type = 0; type < EVENT_TYPE_COUNT; type++) {
		const char *separator = "";

		for (enum supervision_state state = 0; state < STATE_COUNT; state++) {
			if (supervision_cell_exists(state, type))
				continue;
			if (*separator == '\0')
				fprintf(out, "  %-14s in ", supervision_event_name(type));
			fprintf(out, "%s%s", separator, supervision_state_name(state));
			separator = ", ";
		}
		if (*separator != '\0')
			fprintf(out, ": %s\n", why_absent(type));
	}
}
