/* What nobody in the world planned: people, noise, the host's sleep, and the supervisor's own death. */
#include "tests/simulation/world.h"

#define HOUR_MS 3600000ll

static bool is_meddled_with(enum supervision_event_type type)
{
	return type < ON_FOUND || type > ON_TREE_LEFT;
}

/* An event for the current state, rather one that this state has seldom had: that is what reaches rare cells.
 */
static enum supervision_event_type draw_event(struct world *world)
{
	const uint64_t *cells = world->coverage.cells[world->machine.state];
	enum supervision_event_type best = EVENT_TYPE_COUNT;

	/* The one way into a state that is left again at almost every event. */
	if (world->machine.state == STATE_RUNNING && random_permille(&world->random, 500))
		return ON_SUSPECTED;
	if (world->machine.state == STATE_SUSPECT && random_permille(&world->random, 600) &&
	    !supervision_is_paused(&world->machine, world->now_ms))
		return ON_CONDEMNED;
	if (world->machine.state == STATE_STARTING && world->machine.ready &&
	    random_permille(&world->random, 300))
		return ON_CONDEMNED;
	/* Short as it is, the news of a sleep often comes when it is over. */
	if (world->machine.state == STATE_EXAMINING && random_permille(&world->random, 150))
		return ON_HOST_RESUMED;
	for (int tries = 0; tries < 4 || best == EVENT_TYPE_COUNT; tries++) {
		enum supervision_event_type type = random_below(&world->random, EVENT_TYPE_COUNT);

		if (is_meddled_with(type) && supervision_cell_exists(world->machine.state, type) &&
		    (best == EVENT_TYPE_COUNT || cells[type] < cells[best]))
			best = type;
	}
	return best;
}

static enum supervision_event_type draw_natural_event(struct world *world)
{
	static const enum supervision_event_type events[] = {
	    ON_TIMER, ON_TIMER, ON_EXITED, ON_HOST_RESUMED, ON_SUSPECTED, ON_CLEARED, ON_RESUME, ON_PROGRESS};

	if (world->machine.state == STATE_STOPPED)
		return ON_START;
	return events[random_below(&world->random, sizeof(events) / sizeof(events[0]))];
}

static void ask(struct world *world, enum supervision_event_type type)
{
	struct random *random = &world->random;
	struct supervision_event event = {.type = type, .generation = world->machine.generation};

	event.force = random_permille(random, 300);
	event.inside = type == ON_RESTART && random_permille(random, 400);
	if (type == ON_PAUSE) {
		event.value = random_permille(random, 50) ? world->now_ms - 1000
		              : random_permille(random, 100)
		                  ? INT64_MAX
		                  : world->now_ms + random_duration(random, 100, HOUR_MS);
	}
	world_schedule(world, HAPPEN_DELIVER, 0)->event = event;
}

/* The gateway ends at this moment; when there is none, the report of the last end comes once more. */
static void end_gateway(struct world *world)
{
	struct gateway_process *gateway = &world->gateway;
	struct supervision_event again = {
	    .type = ON_EXITED, .generation = gateway->exited_generation, .exit = gateway->exit};

	if (gateway->alive && !gateway->dying)
		gateway_exit(world, gateway_draw_exit(world));
	else
		world_schedule(world, HAPPEN_DELIVER, 0)->event = again;
}

/* The host sleeps and says so, or does not; or says so without having slept. */
static void sleep_host(struct world *world)
{
	struct random *random = &world->random;
	uint32_t kind = random_below(random, 100);
	int64_t slept_ms = kind < 75 ? random_duration(random, 1000, 10 * HOUR_MS) : 0;
	struct supervision_event event = {
	    .type = ON_HOST_RESUMED, .generation = world->machine.generation, .value = slept_ms};

	if (slept_ms != 0) {
		trace_note(&world->trace, world->now_ms, "the host sleeps for ms", slept_ms);
		world_sleep(world, slept_ms);
	}
	if (kind < 50 || kind >= 75)
		world_schedule(world, HAPPEN_DELIVER, kind < 40 ? 0 : random_duration(random, 1, 2000))
		    ->event = event;
}

static void die(struct world *world)
{
	trace_note(&world->trace, world->now_ms, "the supervisor is killed in life", world->lives);
	if (world->gateway.alive && random_permille(&world->random, 300))
		gateway_exit(world, gateway_draw_exit(world));
	world->now_ms += random_duration(&world->random, 1, 60000);
	world_begin_life(world);
}

/* It saves and executes itself anew: the gateway remains its child. */
static void execute_anew(struct world *world)
{
	bool was_child = world->gateway.child;

	trace_note(&world->trace, world->now_ms, "the supervisor executes itself anew in life", world->lives);
	world_save(world);
	world_begin_life(world);
	world->gateway.child = was_child;
}

static void break_something(struct world *world)
{
	struct random *random = &world->random;
	uint32_t kind = random_below(random, 3);

	world->copy_broken |= random_permille(random, 100);
	if (kind == 0)
		world->config_broken = true;
	else if (kind == 1)
		world->migration_needed = true;
	else
		world->foreign_until_ms = world->now_ms + random_duration(random, 1000, HOUR_MS);
	if (kind < 2)
		world_schedule(world, HAPPEN_MENDED, random_duration(random, 1000, 3 * HOUR_MS));
}

void meddle(struct world *world)
{
	struct random *random = &world->random;

	if (world->now_ms < world->quiet_until_ms) {
		world_schedule(world, HAPPEN_MEDDLE, world->quiet_until_ms - world->now_ms);
		return;
	}
	world_schedule(world, HAPPEN_MEDDLE, random_duration(random, 1, world->temper.meddle_most_ms));
	if (random_permille(random, world->temper.dies)) {
		if (random_permille(random, 200))
			execute_anew(world);
		else
			die(world);
		return;
	}
	if (random_permille(random, 50)) /* a worker was started */
		world_save(world);
	if (random_permille(random, 20))
		break_something(world);
	interfere(world);
}

void interfere(struct world *world)
{
	enum supervision_event_type type = random_permille(&world->random, world->temper.meddles_evenly)
	                                       ? draw_event(world)
	                                       : draw_natural_event(world);
	if (type == ON_TIMER) {
		if (world->machine.deadline_ms != INT64_MAX)
			world->quiet_until_ms = world->machine.deadline_ms;
	} else if (type == ON_EXITED) {
		end_gateway(world);
	} else if (type == ON_HOST_RESUMED) {
		sleep_host(world);
	} else if (type <= ON_RESUME) {
		ask(world, type);
	} else {
		sentry_draw_noise(world, type);
	}
}
