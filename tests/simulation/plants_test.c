/* A check that cannot fail is a defect: each planted bug must be found, by the check that is there for it,
 * and without it the same worlds must pass. */
#include <inttypes.h>

#include "tests/simulation/simulation.h"

#define STEPS_MAX   1000000
#define SEEDS_APART 1000
#define SEED_LAST   20000

/* The same worlds must pass without it: the same rounds, the last of them to its end. */
static bool passes_without(const struct simulation *planted)
{
	struct simulation clean = {.seed = planted->seed};

	clean.steps =
	    (planted->steps_done + SIMULATION_ROUND_STEPS) / SIMULATION_ROUND_STEPS * SIMULATION_ROUND_STEPS;
	return simulation_run(&clean, stdout, "# ") == 0;
}

/* In some worlds another check comes first, for one bug violates more than one. */
static bool is_found(const struct plant *plant)
{
	for (uint64_t seed = 1; seed <= SEED_LAST; seed += SEEDS_APART) {
		struct simulation planted = {.seed = seed, .steps = STEPS_MAX, .plant = plant};

		if (simulation_run(&planted, NULL, "") == 0) {
			printf("# not found in %d steps\n", STEPS_MAX);
			return false;
		}
		printf("# found after %" PRIu64 " steps from seed %" PRIu64 ", by %s\n", planted.steps_done,
		    seed, check_name(planted.violated));
		if (planted.violated == plant->found_by)
			return passes_without(&planted);
	}
	return false;
}

int main(void)
{
	bool checked[CHECK_COUNT] = {[CHECK_NONE] = true};
	int failed = 0, number = 0;
	size_t count = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (plant_at(count) != NULL)
		count++;
	printf("1..%zu\n", count + 1);
	for (size_t i = 0; i < count; i++) {
		const struct plant *plant = plant_at(i);
		bool found = is_found(plant);

		failed += !found;
		checked[plant->found_by] = true;
		printf("%s %d - a supervisor whose bug is that %s is found out: %s\n",
		    found ? "ok" : "not ok", ++number, plant->what, check_name(plant->found_by));
	}
	for (enum check check = 0; check < CHECK_COUNT; check++)
		if (!checked[check]) {
			printf("# no plant for %s\n", check_name(check));
			failed++, checked[CHECK_NONE] = false;
		}
	printf("%s %d - every check has a planted bug that it finds\n", checked[CHECK_NONE] ? "ok" : "not ok",
	    ++number);
	return failed != 0;
}
