#include "tests/simulation/world.h"

#include <string.h>

#include "tests/simulation/plants.h"

void world_init(struct world *world, uint64_t seed)
{
	bool live = world->trace.live;

	memset(world, 0, sizeof(*world));
	world->trace.live = live;
	world->seed = world->random.state = seed;
	world->now_ms = 1 + random_below(&world->random, 1000000);
	world_queue_init(world);
	world_draw_settings(world);
	world_schedule(world, HAPPEN_MEDDLE, 1);
	checks_init(world);
	world_begin_life(world);
}

static void mend(struct world *world)
{
	bool changed = world->config_broken || world->migration_needed;

	world->config_broken = world->migration_needed = world->copy_broken = false;
	if (changed && world->watches_config)
		sentry_say(world, ON_CONFIG_CHANGED, 0);
}

/* As the supervisor does when a process of the tree has ended: it looks again without waiting for the timer.
 */
static void tree_changed(struct world *world, const struct plant *plant)
{
	const struct supervision *machine = &world->machine;
	struct supervision_event event = {
	    .type = ON_TREE_GONE, .generation = machine->generation, .now_ms = world->now_ms};

	if (machine->state != STATE_KILLING || !machine->tree)
		return;
	event.value = gateway_kill_tree(world, machine->generation, &event.holds);
	if (event.value > 0)
		event.type = ON_TREE_LEFT;
	world_deliver(world, event, plant);
}

static void deliver(struct world *world, struct supervision_event event, const struct plant *plant)
{
	event.now_ms = world->now_ms;
	/* An event may carry a time read before the one delivered last. */
	if (random_permille(&world->random, world->temper.clock_back))
		event.now_ms -=
		    random_between(&world->random, 1, world->now_ms - 1 > 3600000 ? 3600000 : world->now_ms);
	world_deliver(world, event, plant);
}

static void happen(struct world *world, const struct pending *pending, const struct plant *plant)
{
	switch (pending->what) {
	case HAPPEN_DELIVER:
	case HAPPEN_REPORT:
		deliver(world, pending->event, plant);
		break;
	case HAPPEN_TREE_CHANGED:
		tree_changed(world, plant);
		break;
	case HAPPEN_MENDED:
		mend(world);
		break;
	case HAPPEN_INTERFERE:
		if (world->machine.state == STATE_EXAMINING) /* the moment may be over */
			interfere(world);
		break;
	case HAPPEN_MEDDLE:
		meddle(world);
		break;
	default:
		gateway_happening(world, pending);
		break;
	}
}

static void tick(struct world *world, const struct plant *plant)
{
	struct supervision_event timer = {.type = ON_TIMER};

	if (world->now_ms < world->machine.deadline_ms && world->machine.deadline_ms != INT64_MAX)
		world->now_ms = world->machine.deadline_ms;
	/* Timers come late as well: the loop has other things to do. */
	if (random_permille(&world->random, 50))
		world->now_ms += random_between(&world->random, 0, 50);
	timer.now_ms = world->now_ms;
	timer.generation = world->machine.generation;
	world_deliver(world, timer, plant);
}

static void advance(struct world *world, const struct plant *plant)
{
	int64_t deadline_ms = supervision_deadline_ms(&world->machine);
	struct pending next;

	if (world->finished) {
		world->now_ms += random_duration(&world->random, 1, 600000);
		world_begin_life(world);
		return;
	}
	if (world->result_count > 0) {
		struct supervision_event result = world->results[0];

		memmove(world->results, world->results + 1, --world->result_count * sizeof(result));
		result.now_ms = world->now_ms;
		world_deliver(world, result, plant);
		return;
	}
	if (deadline_ms != 0 && (deadline_ms <= world->now_ms || world->pending_count == 0 ||
	                            deadline_ms <= world->heap[0].at_ms)) {
		tick(world, plant);
		return;
	}
	if (!world_next(world, &next))
		return;
	happen(world, &next, plant);
}

int world_run(struct world *world, uint64_t steps, const struct plant *plant)
{
	while (world->steps < steps && !world_violated(world))
		advance(world, plant);
	return world_violated(world) ? -1 : 0;
}
