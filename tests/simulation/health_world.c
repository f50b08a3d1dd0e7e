#include "tests/simulation/health_world.h"

#include <inttypes.h>
#include <string.h>

#define CLOSE_TO_MS 3000 /* a healthy gateway is blocked for so much less than the window */

static int64_t window_ms(const struct health_world *world)
{
	return health_window_ms(&world->settings);
}

/* --- The gateway. --- */

static void draw_block(struct health_world *world)
{
	struct random *random = &world->random;
	int64_t own_most_ms = window_ms(world) - CLOSE_TO_MS - world->latency_ms, least_ms = 50;

	if (own_most_ms < least_ms)
		own_most_ms = least_ms;
	world->block = (enum health_block)random_below(random, BLOCK_COUNT);
	/* What came meanwhile is answered before the next. */
	world->block_from_ms =
	    world->now_ms + 2 * world->latency_ms + 2000 + random_duration(random, 1, 600000);
	world->ignores_cont = world->block == BLOCK_STOPPED && random_permille(random, 500);
	if (world->ignores_cont) /* stopped by somebody who forgot it: SIGCONT is what it needs */
		world->block_until_ms = HEALTH_FOR_EVER;
	else if (world->block <= BLOCK_STOPPED)
		world->block_until_ms =
		    world->block_from_ms + (random_permille(random, 500)
		                                   ? own_most_ms
		                                   : random_between(random, least_ms, own_most_ms));
	else if (world->block <= BLOCK_RELOADING)
		world->block_until_ms =
		    world->block_from_ms + random_between(random, 1000, 5 * window_ms(world) / 2);
	else
		world->block_until_ms = world->block_from_ms + random_duration(random, 1000, 3600000);
}

static void serve_later(struct health_world *world, uint32_t probe)
{
	int64_t until_ms = world->block_until_ms;

	world->probes[probe].served_ms =
	    until_ms == HEALTH_FOR_EVER ? until_ms
	                                : until_ms + random_between(&world->random, 1, world->latency_ms);
}

static void block_begins(struct health_world *world)
{
	world->blocks[world->block]++;
	for (uint32_t i = 0; i < world->probe_count; i++)
		if (world->probes[i].served_ms > world->block_from_ms)
			serve_later(world, i);
}

static void block_ends(struct health_world *world)
{
	if (world->look.queue > 0)
		world->look.queue = 0;
	if (world->block >= BLOCK_TRACED)
		world->calm_since_ms = world->now_ms;
	world->next_tick_ms = world->now_ms;
	if (world->look.watchdog_ms != 0)
		world->look.watchdog_heard_ms = world->now_ms;
	draw_block(world);
}

static void count(uint64_t *counter, int64_t by_ms)
{
	if (*counter != HEALTH_UNKNOWN_COUNT)
		*counter += (uint64_t)by_ms;
}

/* What the counters of /proc say of `for_ms` in which it was as it is now. */
static void pass_time(struct health_world *world, int64_t for_ms)
{
	struct health_look *look = &world->look;
	bool blocked = health_world_blocked(world), hogs = world->hogs;
	int64_t ran_ms = for_ms / 100, all_ms = for_ms * look->processors, others_ms;

	if (blocked)
		ran_ms = world->block == BLOCK_SPIN ? for_ms : 0;
	if (blocked && world->block == BLOCK_STARVED)
		hogs = true, ran_ms = for_ms / 20;
	if (hogs && blocked && world->block == BLOCK_SPIN)
		ran_ms = for_ms * 3 / 10;
	if (blocked && (world->block == BLOCK_STARVED || (hogs && world->block == BLOCK_SPIN)))
		count(&look->main_waited_ms, for_ms - ran_ms);
	others_ms = hogs ? all_ms - ran_ms : 0;
	count(&look->main_cpu_ms, ran_ms);
	count(&look->tree_cpu_ms, ran_ms);
	count(&look->busy_cpu_ms, ran_ms + others_ms);
	if (blocked && world->block == BLOCK_STOLEN)
		count(&look->steal_cpu_ms, all_ms / 2);
	if (blocked && world->block == BLOCK_SWAPPING) {
		count(&look->memory_stall_ms, for_ms);
		count(&look->tree_stall_ms, for_ms);
		count(&look->main_faults, for_ms / 20);
	}
}

/* Ticks, and the heartbeats of the promise. */
static void say_it_lives(struct health_world *world, int64_t to_ms)
{
	struct health_look *look = &world->look;
	bool promise_broken = world->sick && world->fate == FATE_PROMISE;

	if (world->has_link && world->link_back_ms <= world->now_ms && look->link == PROBE_WSOK) {
		while (world->next_tick_ms <= to_ms) {
			look->heard_ms = world->next_tick_ms;
			world->next_tick_ms += look->tick_interval_ms;
		}
		if (look->heard_ms < world->block_from_ms && world->next_tick_ms < world->now_ms)
			look->heard_ms = world->now_ms;
	}
	if (look->watchdog_ms != 0 && !promise_broken)
		look->watchdog_heard_ms = to_ms;
}

static void advance(struct health_world *world, int64_t to_ms)
{
	while (world->now_ms < to_ms) {
		bool blocked = health_world_blocked(world);
		int64_t edge_ms = blocked ? world->block_until_ms : world->block_from_ms;
		int64_t end_ms = edge_ms < to_ms ? edge_ms : to_ms;

		pass_time(world, end_ms - world->now_ms);
		if (!blocked)
			say_it_lives(world, end_ms);
		world->now_ms = end_ms;
		if (end_ms == edge_ms && blocked)
			block_ends(world);
		else if (end_ms == edge_ms)
			block_begins(world);
	}
}

/* --- The sentry. --- */

static void ask(struct health_world *world)
{
	struct health_look *look = &world->look;
	uint32_t last = world->probe_count;

	if (world->now_ms < world->blind_until_ms)
		return;
	if (last == HEALTH_PROBES_MAX) {
		memmove(
		    world->probes + 1, world->probes + 2, (HEALTH_PROBES_MAX - 2) * sizeof(world->probes[0]));
		last--;
	}
	world->probe_count = last + 1;
	world->probes[last].asked_ms = world->now_ms;
	world->probes[last].missed = false;
	world->probes[last].served_ms = world->now_ms + random_between(&world->random, 1, world->latency_ms);
	if (world->sick && (world->fate == FATE_CLOSED || world->fate == FATE_HALF_DEAD))
		world->probes[last].served_ms = HEALTH_FOR_EVER;
	else if (health_world_blocked(world))
		serve_later(world, last);
	else if (world->probes[last].served_ms > world->block_from_ms) {
		serve_later(world, last);
		return; /* accepted, and not answered */
	}
	if (health_world_blocked(world) && look->queue >= 0)
		look->queue += 1 + (int32_t)random_below(&world->random, 2);
}

static void drop_probe(struct health_world *world, uint32_t probe)
{
	world->probe_count--;
	memmove(world->probes + probe, world->probes + probe + 1,
	    (world->probe_count - probe) * sizeof(world->probes[0]));
}

static void read_answers(struct health_world *world)
{
	struct health_look *look = &world->look;
	bool answered = false;

	for (uint32_t i = 0; i < world->probe_count;) {
		if (world->probes[i].served_ms <= world->now_ms) {
			look->answered_ms = world->last_success_ms = world->now_ms;
			answered = true;
			drop_probe(world, i);
		} else
			i++;
	}
	if (answered) {
		world->probe_count = look->unanswered = 0;
		world->unanswered_since_ms = look->failing_since_ms = 0;
		look->probe = random_permille(&world->random, 900) ? PROBE_L7OK : PROBE_L7STS;
	}
	for (uint32_t i = 0; i < world->probe_count; i++) {
		if (world->probes[i].missed ||
		    world->now_ms - world->probes[i].asked_ms < world->settings.timeout_ms)
			continue;
		world->probes[i].missed = true;
		look->unanswered++;
		look->probe = world->sick && world->fate == FATE_CLOSED ? PROBE_L4CON : PROBE_L7TOUT;
		if (world->unanswered_since_ms == 0)
			world->unanswered_since_ms = world->probes[i].asked_ms;
		if (look->failing_since_ms == 0)
			look->failing_since_ms = world->probes[i].asked_ms;
	}
	look->asked_ms = world->unanswered_since_ms;
	if (look->asked_ms == 0 && world->probe_count > 0)
		look->asked_ms = world->probes[0].asked_ms;
}

static void see_link(struct health_world *world)
{
	struct health_look *look = &world->look;
	bool refused = world->sick && (world->fate == FATE_CLOSED || world->fate == FATE_HALF_DEAD);

	if (!world->has_link)
		return;
	if (refused && look->link_failing_since_ms == 0)
		look->link_failing_since_ms = world->now_ms;
	if (refused && look->heard_ms == 0)
		look->link = PROBE_L7TOUT;
	if (world->now_ms < world->link_back_ms || refused || health_world_blocked(world))
		return;
	if (look->heard_ms == 0) {
		look->heard_ms = world->last_success_ms = world->now_ms;
		look->link = PROBE_WSOK;
		look->link_failing_since_ms = 0;
		look->tick_interval_ms = random_permille(&world->random, 800) ? 30000 : 5000;
		world->next_tick_ms = world->now_ms + look->tick_interval_ms;
	}
}

static void see_process(struct health_world *world)
{
	static const char letters[BLOCK_COUNT] = {'R', 'S', 'D', 'T', 'R', 'R', 'D', 'S', 't', 'S'};
	struct health_look *look = &world->look;
	bool blocked = health_world_blocked(world);

	look->process = blocked ? letters[world->block] : random_permille(&world->random, 900) ? 'S' : 'R';
	look->is_traced = blocked && world->block == BLOCK_TRACED;
	look->is_frozen = blocked && world->block == BLOCK_FROZEN;
	look->is_busy_with_itself = blocked && world->block == BLOCK_RELOADING;
	if (world->now_ms < world->blind_until_ms)
		look->probe = PROBE_SOCKERR;
	look->watchdog_missed =
	    look->watchdog_ms != 0 && !blocked && world->now_ms - look->watchdog_heard_ms > look->watchdog_ms;
}

/* --- What happens to both. --- */

static void sentry_dies(struct health_world *world)
{
	struct health_look *look = &world->look;

	/* With it would go the old connection: the only witness of a loop asleep in a call. */
	if (world->sick && world->fate == FATE_HUNG && world->block == BLOCK_CALL && look->queue < 0)
		return;
	world->probe_count = look->unanswered = 0;
	world->unanswered_since_ms = look->answered_ms = look->failing_since_ms = look->asked_ms = 0;
	look->heard_ms = look->tick_interval_ms = look->link_failing_since_ms = 0;
	look->probe = PROBE_UNK;
	look->link = PROBE_UNK;
	world->link_back_ms = world->now_ms + 1000;
	world->calm_since_ms = world->now_ms;
}

static void host_sleeps(struct health_world *world)
{
	int64_t slept_ms = random_duration(&world->random, 100000, 86400000);

	/* Nothing runs: what was to come is to come later by so much. */
	world->now_ms += slept_ms;
	if (world->block_from_ms != HEALTH_FOR_EVER)
		world->block_from_ms += slept_ms;
	if (world->block_until_ms != HEALTH_FOR_EVER)
		world->block_until_ms += slept_ms;
	for (uint32_t i = 0; i < world->probe_count; i++)
		if (world->probes[i].served_ms != HEALTH_FOR_EVER)
			world->probes[i].served_ms += slept_ms;
	if (world->look.watchdog_ms != 0 && !(world->sick && world->fate == FATE_PROMISE))
		world->look.watchdog_heard_ms = world->now_ms;
	world->next_tick_ms += slept_ms;
	world->calm_since_ms = world->now_ms;
	if (world->plant == NULL || !world->plant->forgets_sleep)
		health_slept(&world->health, world->now_ms);
}

static void link_breaks(struct health_world *world)
{
	struct health_look *look = &world->look;

	if (!world->has_link || world->sick)
		return;
	look->heard_ms = look->tick_interval_ms = 0;
	look->link = random_permille(&world->random, 500) ? PROBE_WSAUTH : PROBE_L7RSP;
	look->link_failing_since_ms = look->link == PROBE_WSAUTH ? 0 : world->now_ms;
	world->link_back_ms = world->now_ms + random_duration(&world->random, 1000, 3600000);
}

static void meddle(struct health_world *world)
{
	struct random *random = &world->random;

	if (!random_permille(random, world->sick ? 2 : 30))
		return;
	switch (random_below(random, 6)) {
	case 0:
		sentry_dies(world);
		break;
	case 1:
		host_sleeps(world);
		break;
	case 2:
		link_breaks(world);
		break;
	case 3:
		world->blind_until_ms = world->now_ms + random_duration(random, 1000, 300000);
		break;
	case 4:
		world->hogs = !world->hogs;
		break;
	default:
		if (world->has_link && world->look.heard_ms != 0)
			world->look.tick_interval_ms = random_permille(random, 500) ? 30000 : 10000;
		break;
	}
}

/* --- Lives. --- */

static void fall_sick(struct health_world *world)
{
	struct random *random = &world->random;

	world->sick = true;
	world->sick_ms = world->calm_since_ms = world->now_ms;
	if (world->blind_until_ms > world->now_ms)
		world->blind_until_ms = world->now_ms;
	world->fate = (enum health_fate)random_below(random, FATE_COUNT);
	if (world->fate == FATE_PROMISE && world->look.watchdog_ms == 0)
		world->fate = FATE_HUNG;
	/* One whose WebSocket never opened, or that never answered, has nobody to speak against it: never
	 * judged. */
	if (world->fate == FATE_HALF_DEAD &&
	    (world->has_link ? world->look.heard_ms == 0 : world->look.answered_ms == 0))
		world->fate = FATE_CLOSED;
	if (world->fate != FATE_HUNG) {
		world->block_from_ms = world->block_until_ms = HEALTH_FOR_EVER;
		world->probe_count = 0;
		return;
	}
	world->block = (enum health_block)random_below(random, BLOCK_STOPPED + 1);
	if (world->block == BLOCK_CALL && world->look.heard_ms == 0 && world->look.queue < 0)
		world->block = BLOCK_SPIN;
	world->block_from_ms = world->now_ms;
	world->block_until_ms = HEALTH_FOR_EVER;
	world->ignores_cont = false;
	block_begins(world);
}

static void begin_life(struct health_world *world)
{
	struct random *random = &world->random;
	struct health_look *look = &world->look;
	bool begins_proved = world->plant != NULL && world->plant->begins_proved;

	*look = (struct health_look){.generation = look->generation + 1, .at_ms = world->now_ms};
	world->lives++;
	world->latency_ms = random_permille(random, 700) ? 200 : world->settings.timeout_ms * 9 / 10;
	world->has_schedstat = random_permille(random, 600);
	world->sees_queue = random_permille(random, 700);
	world->has_link = random_permille(random, 600);
	world->sick = world->hogs = world->woke = world->postponed = false;
	world->life_looks = random_between(random, 50, 800);
	world->probe_count = 0;
	world->unanswered_since_ms = world->link_back_ms = world->blind_until_ms = 0;
	world->calm_since_ms = world->last_success_ms = world->now_ms;
	look->queue = world->sees_queue ? 0 : -1;
	look->processors = 1 + random_below(random, 4);
	if (!world->has_schedstat)
		look->main_waited_ms = HEALTH_UNKNOWN_COUNT;
	if (random_permille(random, 300))
		look->memory_stall_ms = look->tree_stall_ms = HEALTH_UNKNOWN_COUNT;
	if (random_permille(random, 300)) {
		look->watchdog_ms = random_between(random, 100, 60000);
		look->watchdog_heard_ms = world->now_ms;
	}
	world->up_proved = random_permille(random, 800);
	health_begin(&world->health, look->generation, world->now_ms, world->up_proved || begins_proved);
	if (random_permille(random, 50)) { /* it was never well, and never will be */
		world->up_proved = false;
		look->watchdog_ms = look->watchdog_heard_ms = 0;
		health_begin(&world->health, look->generation, world->now_ms, begins_proved);
		fall_sick(world);
		world->life_looks = 400;
	} else
		draw_block(world);
	world->state_before = world->health.state;
}

void health_world_init(struct health_world *world, uint64_t seed)
{
	static const struct health_settings choices[] = {
	    {30000, 10000, 3}, {30000, 10000, 3}, {10000, 5000, 3}, {60000, 20000, 5}, {30000, 3000, 1}};
	const struct health_plant *plant = world->plant;
	FILE *trace = world->trace;

	memset(world, 0, sizeof(*world));
	world->plant = plant;
	world->trace = trace;
	world->seed = seed;
	world->random.state = seed;
	world->now_ms = 1000000;
	world->settings = choices[random_below(&world->random, 5)];
	health_init(&world->health, &world->settings);
	begin_life(world);
}

static void judge(struct health_world *world)
{
	if (world->plant != NULL && world->plant->step != NULL)
		world->plant->step(&world->health, &world->look, &world->verdict);
	else
		health_step(&world->health, &world->look, &world->verdict);
	if (world->trace != NULL)
		fprintf(world->trace,
		    "%" PRIi64 " %s probe %s unanswered %u asked %" PRIi64 " heard %" PRIi64
		    " queue %d %c: %s %x held %x\n",
		    world->now_ms, world->sick ? "sick" : "well", probe_result_name(world->look.probe),
		    world->look.unanswered, world->look.asked_ms, world->look.heard_ms, world->look.queue,
		    world->look.process, health_state_name(world->verdict.state), world->verdict.witnesses,
		    world->verdict.held);
	if (world->verdict.wake && world->ignores_cont && health_world_blocked(world)) {
		world->ignores_cont = false;
		world->block_until_ms = world->now_ms + 1;
		for (uint32_t i = 0; i < world->probe_count; i++)
			if (world->probes[i].served_ms == HEALTH_FOR_EVER)
				serve_later(world, i);
	}
}

void health_world_step(struct health_world *world)
{
	int64_t pace_ms = health_pace_ms(&world->health);
	struct health_look *look = &world->look;

	look->late_ms = random_permille(&world->random, 20) ? random_duration(&world->random, 1, 4000) : 0;
	/* The sentry looks when the first deadline passes as well. */
	if (world->probe_count > 0 && !world->probes[0].missed && pace_ms > world->settings.timeout_ms &&
	    world->now_ms - world->probes[0].asked_ms < world->settings.timeout_ms)
		pace_ms = world->settings.timeout_ms - (world->now_ms - world->probes[0].asked_ms);
	advance(world, world->now_ms + pace_ms + look->late_ms);
	read_answers(world);
	see_link(world);
	see_process(world);
	look->at_ms = world->now_ms;
	world->up_proved |= look->answered_ms != 0 || look->heard_ms != 0 || look->watchdog_heard_ms != 0;
	world->steps++;
	if (world->lost_in_a_row < 2 && random_permille(&world->random, world->sick ? 0 : 10))
		world->lost_in_a_row++;
	else {
		world->lost_in_a_row = 0;
		judge(world);
		health_check_step(world);
	}
	if (look->unanswered > 0 || world->probe_count == 0)
		ask(world);
	if (world->violated != HEALTH_CHECK_NONE)
		return;
	if (world->sick && (world->verdict.state > HEALTH_SUSPECT || world->life_looks < -4000)) {
		world->found[world->fate] += world->verdict.state > HEALTH_SUSPECT;
		begin_life(world);
		return;
	}
	world->life_looks--;
	if (!world->sick && world->life_looks <= 0 && !health_world_blocked(world) && world->health.proved &&
	    look->answered_ms != 0)
		fall_sick(world);
	else if (world->sick && !world->health.proved && world->life_looks <= 0)
		begin_life(world);
	else
		meddle(world);
}
