/* simulate-health [--seed N] [--steps N] [--plant NAME] [--trace]: core/health in simulated worlds.
 *
 * Exits 0 when every check held, 1 when one was violated, 2 on wrong usage. */
#include <inttypes.h>
#include <string.h>

#include "tests/simulation/health_world.h"
#include "tests/simulation/simulate_options.h"

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
	struct simulate_options options;
	const struct health_plant *plant = NULL;
	int result;

	if (!simulate_options_read(count, arguments, &options))
		return usage();
	if (options.plant != NULL && (plant = health_plant_find(options.plant)) == NULL)
		return usage();
	if (options.trace)
		world.trace = stdout;
	result = health_simulate(&world, options.seed, options.steps, plant);
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
