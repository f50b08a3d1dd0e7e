#include "tests/simulation/world.h"

#define MINUTE_MS 60000ll

#define DRAW(world, ...)                                                                                     \
	((const int64_t[]){__VA_ARGS__}[random_below(                                                        \
	    &(world)->random, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))])

static void draw_policy(struct world *world, struct restart_policy *policy)
{
	static const double factors[] = {1, 1.5, 2, 2, 10}, jitters[] = {0, 0.2, 0.2, 0.5, 1};
	struct random *random = &world->random;

	policy->initial_ms = DRAW(world, 0, 100, 1000, 1000, 5000);
	policy->max_ms = DRAW(world, 5000, MINUTE_MS, 40 * MINUTE_MS, 40 * MINUTE_MS);
	policy->reset_after_ms = DRAW(world, MINUTE_MS, 10 * MINUTE_MS, 60 * MINUTE_MS, 60 * MINUTE_MS);
	policy->factor = factors[random_below(random, 5)];
	policy->jitter = jitters[random_below(random, 5)];
	policy->immediate_first = random_permille(random, 700);
	policy->boot_limit = (uint32_t)DRAW(world, 0, 1, 3, 3, 3, 5);
	policy->boot_window_ms = DRAW(world, MINUTE_MS, 5 * MINUTE_MS, 5 * MINUTE_MS);
}

static void draw_temper(struct world *world)
{
	world->temper.lost = (uint32_t)DRAW(world, 0, 0, 20, 200);
	world->temper.doubled = (uint32_t)DRAW(world, 0, 20, 200);
	world->temper.late = (uint32_t)DRAW(world, 0, 20, 200);
	world->temper.spawn_fails = (uint32_t)DRAW(world, 10, 30, 300);
	world->temper.meddles_evenly = (uint32_t)DRAW(world, 50, 300, 1000, 1000);
	world->temper.dies = (uint32_t)DRAW(world, 2, 20, 60, 60);
	world->temper.stuck_helpers = (uint32_t)DRAW(world, 10, 100, 400);
	world->temper.clock_back = (uint32_t)DRAW(world, 0, 10, 50);
	world->temper.meddle_most_ms = DRAW(world, 2000, MINUTE_MS, 10 * MINUTE_MS, 60 * MINUTE_MS);
}

void world_draw_settings(struct world *world)
{
	struct supervision_settings *settings = &world->settings;
	struct random *random = &world->random;

	draw_policy(world, &settings->policy);
	draw_temper(world);
	for (int cause = 0; cause < RESTART_CAUSE_COUNT; cause++)
		settings->restart_on[cause] = random_permille(random, 850);
	settings->ready_when_spawned = random_permille(random, 120);
	settings->reads_words = random_permille(random, 850);
	settings->asks_oom = random_permille(random, 850);
	settings->autopsy = random_permille(random, 850);
	settings->config_fallback = random_permille(random, 500);
	settings->config_exit_code = random_permille(random, 700) ? 78 : 0;
	settings->stop_timeout_ms = DRAW(world, 1000, 10000, 330000, 330000);
	settings->startup_timeout_ms = DRAW(world, 1000, 10000, 10 * MINUTE_MS, 10 * MINUTE_MS);
	settings->hang_grace_ms = DRAW(world, 0, 2000, 2000, 10000);
}
