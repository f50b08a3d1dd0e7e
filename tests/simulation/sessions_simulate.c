/* simulate-sessions [--seed N] [--steps N] [--plant NAME] [--trace]: core/sessions in simulated worlds.
 *
 * Exits 0 when every check held, 1 when one was violated, 2 on wrong usage. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "tests/simulation/sessions_world.h"

static struct sessions_world world;

static int usage(void)
{
	fprintf(
	    stderr, "usage: simulate-sessions [--seed N] [--steps N] [--plant NAME] [--trace]\n\nPlants:\n");
	for (size_t i = 0; sessions_plant_at(i) != NULL; i++)
		fprintf(stderr, "  %-28s %s\n", sessions_plant_at(i)->name, sessions_plant_at(i)->what);
	return 2;
}

int main(int count, char **arguments)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
	    {"steps", required_argument, NULL, 'n'}, {"plant", required_argument, NULL, 'p'},
	    {"trace", no_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	const struct sessions_plant *plant = NULL;
	uint64_t seed = 1, steps = 1000000;
	int option, result;

	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		if (option == 's' && text_to_u64(optarg, UINT64_MAX, &seed) == 0)
			continue;
		if (option == 'n' && text_to_u64(optarg, UINT64_MAX, &steps) == 0)
			continue;
		if (option == 'p' && (plant = sessions_plant_find(optarg)) != NULL)
			continue;
		if (option != 't')
			return usage();
		world.trace = stdout;
	}
	result = sessions_simulate(&world, seed, steps, plant);
	if (result < 0)
		printf("%s\nAgain: simulate-sessions --seed %" PRIu64 " --steps %" PRIu64 "%s%s\n", world.why,
		    world.seed, world.steps, plant != NULL ? " --plant " : "",
		    plant != NULL ? plant->name : "");
	for (int i = 0; i < SEEN_COUNT; i++)
		printf("%s%" PRIu64 " %s", i == 0 ? "" : ", ", world.seen[i], sessions_seen_name(i));
	printf(
	    ".\n%" PRIu64 " steps: %s.\n", world.steps, result == 0 ? "every check held" : "A CHECK FAILED");
	return result == 0 ? 0 : 1;
}
