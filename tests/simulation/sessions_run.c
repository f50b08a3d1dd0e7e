#include <string.h>

#include "tests/simulation/sessions_world.h"

#define STEPS_A_WORLD 20000

int sessions_simulate(
    struct sessions_world *world, uint64_t seed, uint64_t steps, const struct sessions_plant *plant)
{
	uint64_t done = 0, seen[SEEN_COUNT] = {0}, aborts[PLAYED_ABORT_COUNT] = {0};

	world->plant = plant;
	while (done < steps) {
		uint64_t each = steps - done < STEPS_A_WORLD ? steps - done : STEPS_A_WORLD;

		sessions_world_init(world, seed++);
		while (world->steps < each && world->violated == SESSIONS_CHECK_NONE)
			sessions_world_step(world);
		done += world->steps;
		if (world->violated != SESSIONS_CHECK_NONE)
			return -1;
		for (int i = 0; i < SEEN_COUNT; i++)
			seen[i] += world->seen[i];
		for (int i = 0; i < PLAYED_ABORT_COUNT; i++)
			aborts[i] += world->aborts[i];
	}
	memcpy(world->seen, seen, sizeof(seen));
	memcpy(world->aborts, aborts, sizeof(aborts));
	world->steps = done;
	return 0;
}

const char *sessions_seen_name(enum sessions_seen what)
{
	static const char *const names[SEEN_COUNT] = {"looks", "hangs", "outages", "aborts asked for",
	    "asked for again", "found stuck", "aborted", "recovered", "recovered by themselves", "failed",
	    "failed, remembered", "condemned", "condemned in vain", "remembered and forgotten",
	    "remembered for long enough", "memories lost", "supervisors restarted", "gateways restarted",
	    "sentries replaced", "links lost", "looks lost", "answers of a former life",
	    "no room for an abort", "turns of its own recovery", "claimed in vain", "asked by a person",
	    "a person's, while it moved", "a person's, failed", "paused while stuck",
	    "another run in between", "gone while stuck", "asked of dark ones",
	    "asked by what a former sentry saw", "left the table"};

	return names[what];
}
