/* The sentry's messages, as the supervisor gets them: late, twice, out of order, of an earlier generation, or
 * not. */
#include "tests/simulation/world.h"

void sentry_say_event(struct world *world, struct supervision_event event, int64_t after_ms)
{
	struct random *random = &world->random;
	uint32_t copies = random_permille(random, world->temper.lost) ? 0 : 1;

	if (random_permille(random, world->temper.doubled))
		copies++;
	for (; copies > 0; copies--) {
		int64_t delay_ms = after_ms + random_between(random, 0, 20);

		if (random_permille(random, world->temper.late))
			delay_ms += random_duration(random, 100, 600000);
		world_schedule(world, HAPPEN_DELIVER, delay_ms)->event = event;
	}
}

void sentry_say(struct world *world, enum supervision_event_type type, int64_t after_ms)
{
	struct supervision_event event = {.type = type, .generation = world->gateway.generation};

	event.proved = type == ON_READY && world->ready_proved;
	sentry_say_event(world, event, after_ms);
}

void sentry_probe(struct world *world, uint64_t generation)
{
	const struct gateway_process *gateway = &world->gateway;

	world->probed_generation = generation;
	if (!gateway->alive || !gateway->ready || gateway->generation != generation)
		return;
	if (gateway->hung) /* since an earlier life: it is looked at before this one has seen it ready */
		sentry_notice_hang(world);
	else
		sentry_say(world, ON_READY, random_between(&world->random, 0, 1000));
}

/* That it ran out of memory is seen from its words, or in the kernel's log. */
static enum exit_verdict draw_words(struct world *world)
{
	const struct gateway_process *gateway = &world->gateway;
	struct supervision_exit exit = gateway->exit;

	if (gateway->words == VERDICT_CRASH && (exit.kind == EXIT_UNKNOWN || exit.value == 9))
		return random_permille(&world->random, 400) ? VERDICT_OOM_KILLED : VERDICT_CRASH;
	if (gateway->words == VERDICT_CRASH && (exit.value == 6 || exit.value == 134))
		return random_permille(&world->random, 400) ? VERDICT_OUT_OF_MEMORY : VERDICT_CRASH;
	return gateway->words;
}

void sentry_answer_words(struct world *world, uint64_t generation)
{
	struct supervision_event event = {.type = ON_WORDS,
	    .generation = generation,
	    .verdict = draw_words(world),
	    .fallback = world->copy_exists};

	sentry_say_event(world, event, random_duration(&world->random, 1, 4000));
}

/* It answers in time, late, or dies midway; the inspector may be open however that ends. */
void sentry_examine(struct world *world, uint64_t generation, bool may_open)
{
	struct random *random = &world->random;

	if (!world->gateway.alive || world->gateway.generation != generation)
		return;
	if (may_open && random_permille(random, 700))
		world_schedule(world, HAPPEN_OPENED, random_between(random, 0, 1000));
	for (int i = 0; i < 12; i++)
		world_schedule(world, HAPPEN_INTERFERE, random_between(random, 0, 2000));
	if (random_permille(random, 850))
		sentry_say(world, ON_EXAMINED, random_duration(random, 50, 3000));
	if (random_permille(random, 200))
		sentry_say(world, ON_CLEARED, random_duration(random, 50, 3000));
}

void sentry_validate(struct world *world)
{
	struct supervision_event event = {.type = ON_VALIDATED, .value = !world->config_broken};

	sentry_say_event(world, event, random_duration(&world->random, 100, 5000));
}

static enum supervision_reason draw_verdict(struct world *world)
{
	static const enum supervision_reason reasons[] = {REASON_HUNG, REASON_HUNG, REASON_HUNG, REASON_HUNG,
	    REASON_HUNG, REASON_WATCHDOG, REASON_DEAF, REASON_DEAF, REASON_STUCK_SESSIONS, REASON_MEMORY,
	    REASON_NONE};

	return reasons[random_below(&world->random, sizeof(reasons) / sizeof(reasons[0]))];
}

void sentry_notice_hang(struct world *world)
{
	struct random *random = &world->random;
	struct supervision_event event = {.generation = world->gateway.generation, .value = 1};
	int64_t after_ms = random_duration(random, 1000, 60000);

	event.type = ON_SUSPECTED;
	event.reason = random_permille(random, 700) ? REASON_HUNG : draw_verdict(world);
	sentry_say_event(world, event, after_ms);
	if (random_permille(random, 300))
		sentry_say(world, ON_WAKE, after_ms + 1000);
	after_ms += random_duration(random, 1000, 120000);
	event.may_open = random_permille(random, 500);
	event.type = random_permille(random, 300) ? ON_CLEARED : ON_CONDEMNED;
	event.value = random_duration(random, 1, 600000);
	sentry_say_event(world, event, after_ms);
}

/* A message that nothing in the world gave reason for just now, yet that may come. */
void sentry_draw_noise(struct world *world, enum supervision_event_type type)
{
	struct random *random = &world->random;
	struct supervision_event event = {.type = type, .generation = world->machine.generation};

	if (event.generation > 0 && random_permille(random, 300))
		event.generation -=
		    random_below(random, event.generation < 4 ? (uint32_t)event.generation : 4);
	switch (type) {
	case ON_READY:
		/* Of this generation only what it has truly said: a message may double, not lie. */
		if (event.generation > world->ready_generation)
			event.generation = world->ready_generation;
		event.proved = world->ready_proved;
		break;
	case ON_WORDS:
		event.verdict = world->gateway.words;
		event.fallback = world->copy_exists;
		break;
	case ON_VALIDATED:
		event.value = !world->config_broken;
		break;
	case ON_DRAIN_BEGAN:
		event.value = random_duration(random, 100, 330000);
		if (event.generation == world->gateway.generation && world->gateway.alive) {
			world_schedule(world, HAPPEN_DRAINS, 0);
			return;
		}
		break;
	case ON_SUSPECTED:
		event.reason = draw_verdict(world);
		event.value = random_between(random, 0, 3);
		break;
	case ON_CONDEMNED:
		event.reason = draw_verdict(world);
		event.value = random_permille(random, 300) ? 0 : random_duration(random, 1, 600000);
		event.may_open = random_permille(random, 500);
		break;
	default:
		break;
	}
	world_schedule(world, HAPPEN_DELIVER, 0)->event = event;
}
