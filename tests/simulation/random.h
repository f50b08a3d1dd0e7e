/* Chance from a seed: the same seed, the same world. */
#ifndef HOLDFAST_TESTS_SIMULATION_RANDOM_H
#define HOLDFAST_TESTS_SIMULATION_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

/* SplitMix64: one addition and three mixes a number, and every seed is a good one. */
static inline uint64_t random_next(struct random *random)
{
	uint64_t mixed = random->state += 0x9e3779b97f4a7c15ull;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
	return mixed ^ mixed >> 31;
}

/* 0 .. limit - 1 */
static inline uint32_t random_below(struct random *random, uint32_t limit)
{
	return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

static inline int64_t random_between(struct random *random, int64_t low, int64_t high)
{
	return low + (int64_t)(random_next(random) % (uint64_t)(high - low + 1));
}

static inline bool random_permille(struct random *random, uint32_t permille)
{
	return random_below(random, 1000) < permille;
}

static inline double random_unit(struct random *random)
{
	return (double)(random_next(random) >> 11) / 9007199254740992.0;
}

/* A duration whose magnitude is even: as often 10-20 ms as 10-20 minutes. 0 < low <= high. */
static inline int64_t random_duration(struct random *random, int64_t low, int64_t high)
{
	uint32_t doublings = 63 - (uint32_t)__builtin_clzll((uint64_t)(high / low));
	int64_t base = low << random_below(random, doublings + 1);
	int64_t value = random_between(random, base, 2 * base);

	return value > high ? high : value;
}

#endif
