/* Who is stuck is found, aborted and told of, nobody else is; each check finds the bug that was planted for
 * it. */
#include <inttypes.h>
#include <sys/random.h>

#include "tests/simulation/sessions_world.h"
#include "tests/support/tap.h"

#define FIXED_STEPS 600000
#define FRESH_STEPS 100000
#define PLANT_STEPS 400000

static struct sessions_world world;

static bool holds(uint64_t seed, uint64_t steps)
{
	int result = sessions_simulate(&world, seed, steps, NULL);

	if (result < 0)
		printf("# %s\n", world.why);
	return result == 0;
}

TEST("worlds of fixed seeds: every check holds at every step, and what is rare was reached")
{
	CHECK(holds(1, FIXED_STEPS));
	for (int i = 0; i < SEEN_COUNT; i++) {
		printf("# %" PRIu64 " %s\n", world.seen[i], sessions_seen_name((enum sessions_seen)i));
		/* What is remembered for a day is too rare here: tests/unit/sessions_restart_test.c has it.
		 */
		CHECK(world.seen[i] >= 3 || i == SEEN_REMEMBERED_EXPIRED);
	}
	for (int i = 0; i < PLAYED_ABORT_COUNT; i++)
		CHECK(world.aborts[i] >= 50);
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
	bool checked[SESSIONS_CHECK_COUNT] = {[SESSIONS_CHECK_NONE] = true};

	for (size_t i = 0; sessions_plant_at(i) != NULL; i++) {
		const struct sessions_plant *plant = sessions_plant_at(i);
		bool found = sessions_simulate(&world, 1, PLANT_STEPS, plant) < 0;

		printf("# %s: %s\n", plant->name, found ? world.why : "not found");
		CHECK(found && world.violated == plant->found_by);
		checked[plant->found_by] = true;
	}
	for (int i = 0; i < SESSIONS_CHECK_COUNT; i++)
		CHECK(checked[i]);
}
