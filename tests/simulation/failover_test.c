/* Which profile takes a call: every promise holds at every step, and each check finds the bug planted for it.
 */
#include <inttypes.h>
#include <sys/random.h>

#include "tests/simulation/failover_world.h"
#include "tests/support/tap.h"

#define FIXED_STEPS 400000
#define FRESH_STEPS 200000
#define PLANT_STEPS 400000

static struct failover_world world;

static bool holds(uint64_t seed, uint64_t steps)
{
	int result = failover_simulate(&world, seed, steps, NULL);

	if (result < 0)
		printf("# %s\n", world.why);
	return result == 0;
}

TEST("worlds of a fixed seed: every check holds at every step, and what is rare was reached")
{
	CHECK(holds(1, FIXED_STEPS));
	for (int i = 0; i < SEEN_SEEN_COUNT; i++) {
		printf("# %" PRIu64 " %s\n", world.seen[i], failover_seen_name((enum failover_seen)i));
		CHECK(world.seen[i] >= 20);
	}
}

TEST("worlds of fresh seeds: every check holds at every step")
{
	uint64_t seed = 0;

	getrandom(&seed, sizeof(seed), 0);
	seed >>= 16; /* easier to type again */
	printf("# from seed %" PRIu64 "\n", seed);
	CHECK(holds(seed, FRESH_STEPS));
}

TEST("each planted bug is found by the check that is there for it, and every check has one")
{
	bool checked[CHECK_COUNT] = {[CHECK_NONE] = true};

	for (size_t i = 0; failover_plant_at(i) != NULL; i++) {
		const struct failover_plant *plant = failover_plant_at(i);
		bool found = failover_simulate(&world, 1, PLANT_STEPS, plant) < 0;

		printf("# %s: %s\n", plant->name, found ? world.why : "not found");
		CHECK(found && world.violated == plant->found_by);
		checked[plant->found_by] = true;
	}
	for (int i = 0; i < CHECK_COUNT; i++)
		CHECK(checked[i]);
}
