/* simulate: drives the core through simulated worlds and checks its invariants at every step.
 *
 * Exits 0 when all held, 1 when one was violated or a cell was executed too seldom, 2 on wrong usage. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "tests/simulation/simulation.h"

#define STEPS_DEFAULT 1000000

static const struct option options[] = {{"seed", required_argument, NULL, 's'},
    {"steps", required_argument, NULL, 'n'}, {"rounds", required_argument, NULL, 'r'},
    {"plant", required_argument, NULL, 'p'}, {"at-least", required_argument, NULL, 'l'},
    {"coverage", no_argument, NULL, 'c'}, {"trace", no_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0}};

static struct simulation simulation = {.seed = 1, .steps = STEPS_DEFAULT};
static bool show_coverage;
static uint64_t at_least;

static void usage(FILE *out)
{
	fprintf(out,
	    "usage: simulate [--seed N] [--steps N] [--rounds N] [--plant NAME] [--at-least N] [--coverage] "
	    "[--trace]\n"
	    "\n"
	    "  --seed N      the first world's seed; each further world has the next (default 1)\n"
	    "  --steps N     events in all (default %d)\n"
	    "  --rounds N    worlds among which the steps are divided (default: one for %d steps)\n"
	    "  --plant NAME  plant a bug, to see that it is found\n"
	    "  --at-least N  fail when a cell of the table was executed less often\n"
	    "  --coverage    print how often each cell was executed\n"
	    "  --trace       print every event\n"
	    "\nPlants:\n",
	    STEPS_DEFAULT, SIMULATION_ROUND_STEPS);
	for (size_t i = 0; plant_at(i) != NULL; i++)
		fprintf(out, "  %-31s %s (found by %s)\n", plant_at(i)->name, plant_at(i)->what,
		    check_name(plant_at(i)->found_by));
}

static uint64_t read_number(const char *text)
{
	uint64_t value = 0;

	if (text_to_u64(text, UINT64_MAX, &value) < 0) {
		fprintf(stderr, "simulate: \"%s\" is not a number.\n", text);
		exit(2);
	}
	return value;
}

static void read_options(int count, char **arguments)
{
	int option;

	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			simulation.seed = read_number(optarg);
			break;
		case 'n':
			simulation.steps = read_number(optarg);
			break;
		case 'r':
			simulation.rounds = read_number(optarg);
			break;
		case 'l':
			at_least = read_number(optarg);
			break;
		case 'p':
			simulation.plant = plant_find(optarg);
			if (simulation.plant != NULL)
				break;
			fprintf(stderr, "simulate: there is no plant \"%s\"; --help lists them.\n", optarg);
			exit(2);
		case 'c':
			show_coverage = true;
			break;
		case 't':
			simulation.trace = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind < count) {
		fprintf(stderr, "simulate: unexpected \"%s\".\n", arguments[optind]);
		exit(2);
	}
}

int main(int count, char **arguments)
{
	enum supervision_state state = 0;
	enum supervision_event_type type = 0;
	struct timespec began, ended;
	double seconds;
	uint64_t least;
	int result;

	read_options(count, arguments);
	clock_gettime(CLOCK_MONOTONIC, &began);
	result = simulation_run(&simulation, stdout, "");
	clock_gettime(CLOCK_MONOTONIC, &ended);
	seconds = (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
	if (show_coverage)
		coverage_print(&simulation.coverage, stdout);
	least = coverage_least(&simulation.coverage, &state, &type);
	printf("%" PRIu64 " steps from seed %" PRIu64
	       " in %.1f s (%.2f million a second), %u cells, the least executed %" PRIu64
	       " times (%s in %s): %s.\n",
	    simulation.steps_done, simulation.seed, seconds, (double)simulation.steps_done / seconds / 1e6,
	    coverage_existing_cells(), least, supervision_event_name(type), supervision_state_name(state),
	    result == 0 ? "every check held" : "A CHECK FAILED");
	if (result == 0 && least < at_least) {
		printf("%s in %s was executed %" PRIu64 " times, fewer than %" PRIu64 ".\n",
		    supervision_event_name(type), supervision_state_name(state), least, at_least);
		return 1;
	}
	return result == 0 ? 0 : 1;
}
