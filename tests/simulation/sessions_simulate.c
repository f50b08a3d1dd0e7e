/* simulate-sessions [--seed N] [--steps N] [--plant NAME] [--trace]: core/sessions in simulated worlds.
 *
 * Exits 0 when every check held, 1 when one was violated, 2 on wrong usage. */
#include <inttypes.h>
#include <string.h>

#include "tests/simulation/sessions_world.h"
#include "tests/simulation/simulate_options.h"

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
	struct simulate_options options;
	const struct sessions_plant *plant = NULL;
	int result;

	if (!simulate_options_read(count, arguments, &options))
		return usage();
	if (options.plant != NULL && (plant = sessions_plant_find(options.plant)) == NULL)
		return usage();
	if (options.trace)
		world.trace = stdout;
	result = sessions_simulate(&world, options.seed, options.steps, plant);
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
