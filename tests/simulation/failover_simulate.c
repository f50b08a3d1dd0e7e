/* simulate-failover [--seed N] [--steps N]: core/failover in its world, for as long as is wanted. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/failover_world.h"

int main(int count, char **arguments)
{
	static struct failover_world world;
	uint64_t seed = 1, steps = 1000000;

	for (int i = 1; i + 1 < count; i += 2) {
		if (strcmp(arguments[i], "--seed") == 0)
			seed = strtoull(arguments[i + 1], NULL, 10);
		else if (strcmp(arguments[i], "--steps") == 0)
			steps = strtoull(arguments[i + 1], NULL, 10);
	}
	if (failover_simulate(&world, seed, steps, NULL) < 0) {
		printf("seed %" PRIu64 ": %s\n", seed, world.why);
		return 1;
	}
	printf("seed %" PRIu64 ": %" PRIu64 " steps, every check held\n", seed, steps);
	for (int i = 0; i < SEEN_SEEN_COUNT; i++)
		printf("%12" PRIu64 " %s\n", world.seen[i], failover_seen_name((enum failover_seen)i));
	return 0;
}
