/* The core's invariants hold in worlds of fixed seeds and in worlds nobody has seen before, and each cell of
 * its table is executed often enough for that to mean something. */
#include <inttypes.h>
#include <sys/random.h>

#include "tests/simulation/simulation.h"
#include "tests/support/tap.h"

#define FIXED_STEPS      16000000
#define FRESH_STEPS      8000000
#define EXECUTIONS_LEAST 1000

static struct simulation fixed = {.seed = 1, .steps = FIXED_STEPS}, fresh = {.steps = FRESH_STEPS};

TEST("worlds of fixed seeds: every check holds at every step")
{
	CHECK(simulation_run(&fixed, stdout, "# ") == 0);
}

TEST("every cell of the table was executed at least 1,000 times")
{
	enum supervision_state state = 0;
	enum supervision_event_type type = 0;
	uint64_t least = coverage_least(&fixed.coverage, &state, &type);

	printf("# %" PRIu64 " steps, %u cells; the least executed: %s in %s, %" PRIu64 " times\n",
	    fixed.steps_done, coverage_existing_cells(), supervision_event_name(type),
	    supervision_state_name(state), least);
	CHECK(least >= EXECUTIONS_LEAST);
}

TEST("every cell that does not exist has a known reason")
{
	char *table = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&table, &size);

	coverage_print(&fixed.coverage, memory);
	fclose(memory);
	CHECK(strstr(table, "NO REASON KNOWN") == NULL);
	free(table);
}

TEST("worlds of fresh seeds: every check holds at every step")
{
	getrandom(&fresh.seed, sizeof(fresh.seed), 0);
	fresh.seed >>= 16; /* easier to type again */
	printf("# from seed %" PRIu64 "\n", fresh.seed);
	CHECK(simulation_run(&fresh, stdout, "# ") == 0);
}
