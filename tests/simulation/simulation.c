#include "tests/simulation/simulation.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/simulation/world.h"

static struct world world;

static void tell(const struct simulation *simulation, FILE *out, const char *prefix)
{
	char *story = NULL, *line;
	size_t size = 0;
	FILE *memory = open_memstream(&story, &size);

	if (memory == NULL)
		return;
	trace_print(&world.trace, memory);
	fprintf(memory, "\n%s is violated: %s.\n  %s (seed %" PRIu64 ", step %" PRIu64 ")\n",
	    check_name(world.checks.violated), check_sentence(world.checks.violated), world.checks.why,
	    world.seed, world.steps);
	fprintf(memory, "Again: simulate --seed %" PRIu64 " --steps %" PRIu64 " --rounds 1%s%s\n", world.seed,
	    world.steps, simulation->plant != NULL ? " --plant " : "",
	    simulation->plant != NULL ? simulation->plant->name : "");
	fclose(memory);
	for (line = story; *line != '\0';) {
		char *end = line;

		while (*end != '\n' && *end != '\0')
			end++;
		fprintf(out, "%s%.*s\n", prefix, (int)(end - line), line);
		line = *end == '\n' ? end + 1 : end;
	}
	free(story);
}

/* The core aborts when its own invariant is broken: the story is what one needs to know then. */
static void aborted(int signal_number)
{
	signal(signal_number, SIG_DFL);
	trace_print(&world.trace, stderr);
	fprintf(stderr, "The core aborted at the event after these (seed %" PRIu64 ", step %" PRIu64 ").\n",
	    world.seed, world.steps + 1);
	raise(signal_number);
}

static int run_round(
    struct simulation *simulation, uint64_t seed, uint64_t steps, FILE *out, const char *prefix)
{
	int result;

	world.trace.live = simulation->trace;
	world_init(&world, seed);
	result = world_run(&world, steps, simulation->plant);
	coverage_add(&simulation->coverage, &world.coverage);
	simulation->steps_done += world.steps;
	if (result == 0)
		return 0;
	simulation->violated = world.checks.violated;
	simulation->violated_seed = seed;
	simulation->violated_step = world.steps;
	if (out != NULL)
		tell(simulation, out, prefix);
	return -1;
}

int simulation_run(struct simulation *simulation, FILE *out, const char *prefix)
{
	uint64_t rounds = simulation->rounds;
	uint64_t left = simulation->steps, each;

	signal(SIGABRT, aborted);
	if (rounds == 0)
		rounds = (simulation->steps + SIMULATION_ROUND_STEPS - 1) / SIMULATION_ROUND_STEPS;
	each = rounds > 0 ? (simulation->steps + rounds - 1) / rounds : 0;
	for (uint64_t round = 0; left > 0; round++) {
		uint64_t steps = left < each ? left : each;

		if (run_round(simulation, simulation->seed + round, steps, out, prefix) < 0)
			return -1;
		left -= steps;
	}
	return 0;
}
