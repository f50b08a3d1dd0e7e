#include <string.h>

#include "tests/simulation/health_world.h"

#define STEPS_A_WORLD 20000

int health_simulate(
    struct health_world *world, uint64_t seed, uint64_t steps, const struct health_plant *plant)
{
	uint64_t done = 0, found[FATE_COUNT] = {0}, blocks[BLOCK_COUNT] = {0}, lives = 0;

	world->plant = plant;
	while (done < steps) {
		uint64_t each = steps - done < STEPS_A_WORLD ? steps - done : STEPS_A_WORLD;

		health_world_init(world, seed++);
		while (world->steps < each && world->violated == HEALTH_CHECK_NONE)
			health_world_step(world);
		done += world->steps;
		if (world->violated != HEALTH_CHECK_NONE)
			return -1;
		for (int i = 0; i < FATE_COUNT; i++)
			found[i] += world->found[i];
		for (int i = 0; i < BLOCK_COUNT; i++)
			blocks[i] += world->blocks[i];
		lives += world->lives;
	}
	memcpy(world->found, found, sizeof(found));
	memcpy(world->blocks, blocks, sizeof(blocks));
	world->lives = lives;
	world->steps = done;
	return 0;
}
