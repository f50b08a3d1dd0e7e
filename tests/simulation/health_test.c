/* A gateway that is well is never condemned, one that hangs always is; each check finds the bug that was
 * planted for it. */
#include <inttypes.h>
#include <sys/random.h>

#include "tests/simulation/health_world.h"
#include "tests/support/tap.h"

#define FIXED_LOOKS 2000000
#define FRESH_LOOKS 1000000
#define PLANT_LOOKS 2000000

static struct health_world world;

static bool holds(uint64_t seed, uint64_t looks)
{
	int result = health_simulate(&world, seed, looks, NULL);

	if (result < 0)
		printf("# %s\n", world.why);
	return result == 0;
}

TEST("worlds of fixed seeds: every check holds at every look, and every way to block and to end was seen")
{
	CHECK(holds(1, FIXED_LOOKS));
	for (int i = 0; i < FATE_COUNT; i++)
		CHECK(world.found[i] >= 100);
	for (int i = 0; i < BLOCK_COUNT; i++)
		CHECK(world.blocks[i] >= 100);
}

TEST("worlds of fresh seeds: every check holds at every look")
{
	uint64_t seed = 0;

	getrandom(&seed, sizeof(seed), 0);
	seed >>= 16; /* easier to type again */
	printf("# from seed %" PRIu64 "\n", seed);
	CHECK(holds(seed, FRESH_LOOKS));
}

TEST("each planted bug is found by the check that is there for it, and every check has one")
{
	bool checked[HEALTH_CHECK_COUNT] = {[HEALTH_CHECK_NONE] = true};

	for (size_t i = 0; health_plant_at(i) != NULL; i++) {
		const struct health_plant *plant = health_plant_at(i);
		bool found = health_simulate(&world, 1, PLANT_LOOKS, plant) < 0;

		printf("# %s: %s\n", plant->name, found ? world.why : "not found");
		CHECK(found && world.violated == plant->found_by);
		checked[plant->found_by] = true;
	}
	for (int i = 0; i < HEALTH_CHECK_COUNT; i++)
		CHECK(checked[i]);
}
