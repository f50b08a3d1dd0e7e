/* The gateway of the simulated world: it starts fast, slowly or never, crashes at any moment, drains and
 * restarts by itself, hangs, ignores signals, and has helpers that a SIGKILL does not always end at once. */
#include <errno.h>

#include "tests/simulation/world.h"

#define HOUR_MS 3600000ll

struct supervision_exit gateway_draw_exit(struct world *world)
{
	static const struct supervision_exit exits[] = {{EXIT_CODE, 0}, {EXIT_CODE, 1}, {EXIT_CODE, 1},
	    {EXIT_CODE, 78}, {EXIT_CODE, 134}, {EXIT_CODE, 255}, {EXIT_SIGNAL, 6}, {EXIT_SIGNAL, 9},
	    {EXIT_SIGNAL, 9}, {EXIT_SIGNAL, 11}};

	return exits[random_below(&world->random, sizeof(exits) / sizeof(exits[0]))];
}

static void exit_later(struct world *world, int64_t after_ms, struct supervision_exit exit)
{
	world_schedule(world, HAPPEN_EXITS, after_ms)->event.exit = exit;
}

static void draw_helpers(struct world *world)
{
	struct random *random = &world->random;
	uint32_t wanted = random_below(random, 4);

	for (uint32_t i = 0; i < WORLD_HELPERS_MAX && wanted > 0; i++) {
		struct helper *helper = &world->helpers[i];

		if (helper->alive)
			continue;
		*helper = (struct helper){.alive = true, .generation = world->gateway.generation};
		if (random_permille(random, world->temper.stuck_helpers)) {
			helper->stuck_for_ms = random_permille(random, 700)
			                           ? random_duration(random, 1, 40000)
			                           : random_duration(random, 20000, 300000);
			helper->holds = random_permille(random, 300);
		}
		wanted--;
	}
}

/* The ends of a boot that cannot succeed, with what its last lines say. Returns whether this is one. */
static bool fails_to_boot(struct world *world)
{
	struct random *random = &world->random;
	struct gateway_process *gateway = &world->gateway;
	struct supervision_exit refusal = {EXIT_CODE, random_permille(random, 700) ? 78 : 1};

	bool refused = gateway->from_copy ? world->copy_broken : world->config_broken;

	gateway->words = refused                                   ? VERDICT_CONFIG_INVALID
	                 : world->migration_needed                 ? VERDICT_MIGRATION_REQUIRED
	                 : world->foreign_until_ms > world->now_ms ? VERDICT_CONTENTION
	                                                           : VERDICT_CRASH;
	if (gateway->words != VERDICT_CRASH) {
		exit_later(world, random_duration(random, 5, 20000), refusal);
		return true;
	}
	if (random_permille(random, 150)) {
		exit_later(world, random_duration(random, 1, 60000), gateway_draw_exit(world));
		return true;
	}
	return random_permille(random, 40); /* it will sit there for ever */
}

static void begin_boot(struct world *world)
{
	struct random *random = &world->random;
	bool moves = random_permille(random, 700);

	world->gateway.ready = world->gateway.draining = world->gateway.hung = false;
	world->gateway.boot++;
	draw_helpers(world);
	if (moves)
		world_schedule(world, HAPPEN_MOVES, random_duration(random, 100, 30000));
	if (fails_to_boot(world))
		return;
	if (random_permille(random, 100))
		world_schedule(world, HAPPEN_READY,
		    random_duration(random, 1000, 3 * world->settings.startup_timeout_ms));
	else
		world_schedule(world, HAPPEN_READY, random_duration(random, 10, 20000));
}

bool gateway_spawn(struct world *world, uint64_t generation, bool from_copy, int *error)
{
	static const int errors[] = {ENOENT, EACCES, EAGAIN, ENOMEM};
	struct random *random = &world->random;
	uint32_t boot = world->gateway.boot;

	if (random_permille(random, world->temper.spawn_fails)) {
		*error = errors[random_below(random, 4)];
		return false;
	}
	world->gateway = (struct gateway_process){.alive = true,
	    .child = true,
	    .generation = generation,
	    .from_copy = from_copy,
	    .boot = boot,
	    .exit = world->gateway.exit,
	    .exited_generation = world->gateway.exited_generation};
	world->gateway.ignores_term = random_permille(random, 100);
	if (random_permille(random, 30))
		world->gateway.stuck_for_ms = random_duration(random, 1, 300000);
	begin_boot(world);
	return true;
}

/* What becomes of it once it is ready. */
static void draw_fate(struct world *world)
{
	struct random *random = &world->random;
	uint32_t fate = random_below(random, 100);

	if (fate < 15)
		exit_later(world, random_duration(random, 1, 9000), gateway_draw_exit(world));
	else if (fate < 40)
		exit_later(world, random_duration(random, 5000, 2 * HOUR_MS), gateway_draw_exit(world));
	else if (fate < 50)
		exit_later(
		    world, random_duration(random, 9000, HOUR_MS), (struct supervision_exit){EXIT_CODE, 0});
	else if (fate < 65)
		world_schedule(world, HAPPEN_DRAINS, random_duration(random, 100, HOUR_MS));
	else if (fate < 75)
		world_schedule(world, HAPPEN_HANGS, random_duration(random, 100, HOUR_MS));
}

static void become_ready(struct world *world)
{
	struct gateway_process *gateway = &world->gateway;

	gateway->ready = true;
	world->ready_generation = gateway->generation;
	world->ready_proved = random_permille(&world->random, 800);
	world->copy_exists |= random_permille(&world->random, 500);
	draw_helpers(world);
	draw_fate(world);
	if (world->probed_generation == gateway->generation)
		sentry_say(world, ON_READY, random_between(&world->random, 0, 1000));
}

/* It began to drain by itself: then it exits, starts anew in the same process, or overruns what it announced.
 */
static void begin_drain(struct world *world)
{
	struct random *random = &world->random;
	int64_t budget_ms = random_permille(random, 20) ? random_between(random, -5, 10 * HOUR_MS)
	                                                : random_duration(random, 100, 330000);
	struct supervision_event event = {
	    .type = ON_DRAIN_BEGAN, .generation = world->gateway.generation, .value = budget_ms};
	uint32_t end = random_below(random, 100);

	world->gateway.ready = false;
	world->gateway.draining = true;
	sentry_say_event(world, event, 0);
	if (budget_ms < 1)
		budget_ms = 1;
	if (end < 35)
		exit_later(
		    world, random_duration(random, 1, budget_ms), (struct supervision_exit){EXIT_CODE, 0});
	else if (end < 40)
		exit_later(world, random_duration(random, 1, budget_ms), gateway_draw_exit(world));
	else if (end < 75)
		world_schedule(world, HAPPEN_RESTARTS, random_duration(random, 1, budget_ms));
	else if (end < 85)
		world_schedule(world, HAPPEN_RESTARTS, budget_ms + random_duration(random, 1, 120000));
}

void gateway_exit(struct world *world, struct supervision_exit exit)
{
	struct gateway_process *gateway = &world->gateway;
	struct supervision_event event = {.type = ON_EXITED, .generation = gateway->generation, .exit = exit};

	gateway->alive = gateway->ready = gateway->draining = gateway->hung = gateway->dying = false;
	/* The kernel tells the status of a process to its parent only. */
	if (!gateway->child)
		event.exit = (struct supervision_exit){EXIT_UNKNOWN, 0};
	gateway->exit = event.exit;
	gateway->exited_generation = gateway->generation;
	trace_note(
	    &world->trace, world->now_ms, "the gateway is no more, generation", (int64_t)gateway->generation);
	world_schedule(world, HAPPEN_REPORT, random_between(&world->random, 0, 5))->event = event;
	if (random_permille(&world->random, 50))
		world_schedule(world, HAPPEN_DELIVER, random_duration(&world->random, 1, 5000))->event =
		    event;
}

void gateway_terminate(struct world *world)
{
	struct gateway_process *gateway = &world->gateway;
	struct random *random = &world->random;
	struct pending *end;

	if (!gateway->alive || gateway->ignores_term || gateway->hung || gateway->draining)
		return;
	gateway->ready = false;
	gateway->draining = true;
	end = world_schedule(world, HAPPEN_EXITS,
	    random_permille(random, 600) ? random_duration(random, 1, 2000)
	                                 : random_duration(random, 1000, 400000));
	end->boot = 0;
	if (random_permille(random, 150))
		end->event.exit = gateway_draw_exit(world);
	else
		end->event.exit = (struct supervision_exit){EXIT_CODE, 0};
}

static void kill_main(struct world *world)
{
	struct gateway_process *gateway = &world->gateway;
	struct supervision_exit killed = {EXIT_SIGNAL, 9};
	struct pending *end;

	if (gateway->stuck_for_ms == 0) {
		gateway_exit(world, killed);
		return;
	}
	if (gateway->dying)
		return;
	gateway->dying = true;
	gateway->ready = false;
	gateway->dies_ms = world->now_ms + gateway->stuck_for_ms;
	end = world_schedule(world, HAPPEN_EXITS, gateway->stuck_for_ms);
	end->boot = 0;
	end->event.exit = killed;
}

void gateway_reap_helpers(struct world *world)
{
	for (uint32_t i = 0; i < WORLD_HELPERS_MAX; i++) {
		struct helper *helper = &world->helpers[i];

		if (helper->alive && helper->dies_ms != 0 && helper->dies_ms <= world->now_ms)
			helper->alive = false;
	}
}

bool gateway_tree_left(const struct world *world, bool told)
{
	for (uint32_t i = 0; i < WORLD_HELPERS_MAX; i++)
		if (world->helpers[i].alive && (told || world->helpers[i].holds || !world->helpers[i].told))
			return true;
	return false;
}

uint32_t gateway_kill_tree(struct world *world, uint64_t generation, bool *holds)
{
	uint32_t left = 0;

	*holds = false;
	if (world->gateway.alive && world->gateway.generation <= generation) {
		kill_main(world);
		left += world->gateway.alive;
	}
	gateway_reap_helpers(world);
	for (uint32_t i = 0; i < WORLD_HELPERS_MAX; i++) {
		struct helper *helper = &world->helpers[i];

		if (!helper->alive || helper->generation > generation ||
		    (helper->told && helper->generation < generation))
			continue;
		if (helper->stuck_for_ms == 0) {
			helper->alive = false;
			continue;
		}
		if (helper->dies_ms == 0) {
			helper->dies_ms = world->now_ms + helper->stuck_for_ms;
			world_schedule(world, HAPPEN_TREE_CHANGED, helper->stuck_for_ms);
		}
		*holds |= helper->holds;
		left++;
	}
	return left;
}

static bool is_void(const struct world *world, const struct pending *pending)
{
	const struct gateway_process *gateway = &world->gateway;

	return !gateway->alive || pending->event.generation != gateway->generation ||
	       (pending->boot != 0 && pending->boot != gateway->boot);
}

void gateway_happening(struct world *world, const struct pending *pending)
{
	struct gateway_process *gateway = &world->gateway;

	if (is_void(world, pending))
		return;
	switch (pending->what) {
	case HAPPEN_MOVES:
		if (gateway->ready || gateway->draining)
			break;
		sentry_say(world, ON_PROGRESS, 0);
		world_schedule(world, HAPPEN_MOVES, random_duration(&world->random, 1000, 200000));
		break;
	case HAPPEN_READY:
		if (!gateway->draining && !gateway->dying)
			become_ready(world);
		break;
	case HAPPEN_EXITS:
		gateway_exit(world, pending->event.exit);
		break;
	case HAPPEN_DRAINS:
		if (!gateway->draining && !gateway->hung && !gateway->dying)
			begin_drain(world);
		break;
	case HAPPEN_RESTARTS:
		if (gateway->dying)
			break;
		trace_note(&world->trace, world->now_ms, "the gateway restarts in the same process, boot",
		    gateway->boot + 1);
		begin_boot(world);
		break;
	case HAPPEN_HANGS:
		if (gateway->draining || gateway->dying)
			break;
		gateway->hung = true;
		sentry_notice_hang(world);
		break;
	case HAPPEN_OPENED:
		gateway->opened = true;
		trace_note(&world->trace, world->now_ms, "the inspector is open of generation",
		    (int64_t)gateway->generation);
		break;
	default:
		break;
	}
}
