/* A check that cannot fail is a defect: each planted bug must be found, by the check that is there for it,
 * and without it the same worlds must pass. */
#include <inttypes.h>

#include "tests/simulation/simulation.h"

#define STEPS_MAX 1000000

static bool is_found(const struct plant *plant)
{
	struct simulation planted = {.seed = 1, .steps = STEPS_MAX, .plant = plant};
	struct simulation clean = {.seed = 1};

	if (simulation_run(&planted, NULL, "") == 0) {
		printf("# not found in %d steps\n", STEPS_MAX);
		return false;
	}
	printf("# found after %" PRIu64 " steps, by %s\n", planted.steps_done, check_name(planted.violated));
	/* The same rounds as before, the last of them to its end. */
	clean.steps =
	    (planted.steps_done + SIMULATION_ROUND_STEPS) / SIMULATION_ROUND_STEPS * SIMULATION_ROUND_STEPS;
	return planted.violated == plant->found_by && simulation_run(&clean, stdout, "# ") == 0;
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
