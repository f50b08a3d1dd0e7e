/* simulate-health [--seed N] [--steps N] [--plant NAME] [--trace]: core/health in simulated worlds.
 *
 * Exits 0 when every check held, 1 when one was violated, 2 on wrong usage. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "tests/simulation/health_world.h"

static struct health_world world;

static int usage(void)
{
	fprintf(
	    stderr, "usage: simulate-health [--seed N] [--steps N] [--plant NAME] [--trace]\n\nPlants:\n");
	for (size_t i = 0; health_plant_at(i) != NULL; i++)
		fprintf(stderr, "  %-28s %s\n", health_plant_at(i)->name, health_plant_at(i)->what);
	return 2;
}

int main(int count, char **arguments)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
	    {"steps", required_argument, NULL, 'n'}, {"plant", required_argument, NULL, 'p'},
	    {"trace", no_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	const struct health_plant *plant = NULL;
	uint64_t seed = 1, steps = 1000000;
	int option, result;

	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		if (option == 's' && text_to_u64(optarg, UINT64_MAX, &seed) == 0)
			continue;
		if (option == 'n' && text_to_u64(optarg, UINT64_MAX, &steps) == 0)
			continue;
		if (option == 'p' && (plant = health_plant_find(optarg)) != NULL)
			continue;
		if (option != 't')
			return usage();
		world.trace = stdout;
	}
	result = health_simulate(&world, seed, steps, plant);
	if (result < 0)
		printf("%s\nAgain: simulate-health --seed %" PRIu64 " --steps %" PRIu64 "%s%s\n", world.why,
		    world.seed, world.steps, plant != NULL ? " --plant " : "",
		    plant != NULL ? plant->name : "");
	printf("%" PRIu64 " looks, %" PRIu64 " lives, found: %" PRIu64 " hung, %" PRIu64 " closed, %" PRIu64
	       " half-dead, %" PRIu64 " broken promises: %s.\n",
	    world.steps, world.lives, world.found[FATE_HUNG], world.found[FATE_CLOSED],
	    world.found[FATE_HALF_DEAD], world.found[FATE_PROMISE],
	    result == 0 ? "every check held" : "A CHECK FAILED");
	return result == 0 ? 0 : 1;
}
