#include <string.h>

#include "tests/simulation/failover_world.h"

static void meddle(struct failover_world *world, enum plant_moment moment, struct world_call *call,
    enum failover_verdict *verdict, const struct failover_report *report)
{
	if (world->plant != NULL && world->plant->moment == moment)
		world->plant->meddle(world, call, verdict, report);
}

static void new_temper(struct failover_world *world, struct temper *temper)
{
	static const enum failover_outcome outcomes[] = {FAILOVER_RATE_LIMITED, FAILOVER_RATE_LIMITED,
	    FAILOVER_OVERLOADED, FAILOVER_QUOTA, FAILOVER_BILLING, FAILOVER_AUTH, FAILOVER_CONTEXT_TOO_LONG,
	    FAILOVER_CONTENT_FILTER, FAILOVER_BAD_REQUEST, FAILOVER_SERVER_ERROR, FAILOVER_RESET,
	    FAILOVER_REFUSED, FAILOVER_DNS, FAILOVER_TLS, FAILOVER_SILENT, FAILOVER_SILENT};
	struct random *random = &world->random;

	*temper = (struct temper){.well = random_permille(random, 500), .retry_after_ms = -1};
	temper->until_ms = world->now_ms + random_duration(random, 100, 600000);
	temper->latency_ms = random_duration(random, 20, random_permille(random, 100) ? 90000 : 4000);
	temper->outcome = outcomes[random_below(random, sizeof(outcomes) / sizeof(outcomes[0]))];
	temper->scope = (enum failover_scope)random_below(random, 3);
	if (temper->outcome != FAILOVER_RATE_LIMITED && temper->scope == FAILOVER_ORGANISATION)
		temper->scope = FAILOVER_MODEL;
	if (random_permille(random, 300))
		temper->retry_after_ms = random_duration(random, 1, 40 * 3600 * (int64_t)1000);
}

static struct temper *temper_of(struct failover_world *world, uint32_t profile, uint32_t model)
{
	struct temper *temper = &world->tempers[profile][model];

	if (world->now_ms >= temper->until_ms)
		new_temper(world, temper);
	return temper;
}

/* An attempt is under way: when it will show what comes of it. */
static void launch(struct failover_world *world, struct world_call *call)
{
	const struct temper *temper = temper_of(world, call->attempt.profile, call->model);
	int64_t takes_ms = temper->well ? temper->latency_ms : random_duration(&world->random, 1, 2000);

	call->tried |= 1u << call->attempt.profile;
	if (!temper->well && temper->outcome == FAILOVER_SILENT)
		takes_ms = call->attempt.first_content_ms;
	call->decided_ms = world->now_ms + takes_ms;
}

static void begin(struct failover_world *world, struct world_call *call)
{
	uint64_t conversation =
	    random_permille(&world->random, 700) ? 1 + random_below(&world->random, 4) : 0;
	enum failover_verdict verdict;

	memset(call, 0, sizeof(*call));
	call->model = random_below(&world->random, WORLD_MODELS);
	world->before = world->failover;
	verdict = failover_begin(
	    &world->failover, &call->call, call->model + 1, conversation, world->now_ms, &call->attempt);
	meddle(world, PLANT_BEGAN, call, &verdict, NULL);
	check_began(world, call, verdict);
	call->active = verdict == FAILOVER_TRY;
	if (call->active)
		launch(world, call);
}

static void fail(struct failover_world *world, struct world_call *call, const struct failover_report *report)
{
	uint32_t profile = call->attempt.profile;
	bool was_probe = call->attempt.probe;
	int64_t attempt_ms = call->call.attempt_ms;
	enum failover_verdict verdict;

	world->before = world->failover;
	verdict = failover_failed(&world->failover, &call->call, report, world->now_ms, &call->attempt);
	call->silences += report->outcome == FAILOVER_SILENT;
	meddle(world, PLANT_FAILED, call, &verdict, report);
	check_failed(world, call, profile, attempt_ms, report, verdict);
	world->seen[SEEN_PROBE_FAILED] += was_probe;
	if (verdict != FAILOVER_TRY) {
		call->active = false;
		return;
	}
	world->seen[SEEN_FAILOVER]++;
	world->seen[SEEN_SECOND_SILENCE] += call->silences > 0;
	/* What is tried next is judged by how things stand after the failure. */
	{
		struct failover now = world->failover, was = world->before;

		world->before = now;
		world->before.profiles[call->attempt.profile].circuit.probing = false;
		for (uint32_t i = 0; i < FAILOVER_MODELS_MAX; i++)
			if (now.models[i].used && now.models[i].model == call->call.model)
				world->before.models[i].circuits[call->attempt.profile].probing = false;
		check_try(world, call);
		world->before = was;
	}
	launch(world, call);
}

static void answer(struct failover_world *world, struct world_call *call)
{
	uint32_t profile = call->attempt.profile, count = world->latency_counts[call->model];
	enum failover_verdict verdict = FAILOVER_TRY;

	world->before = world->failover;
	failover_content(&world->failover, &call->call, world->now_ms);
	world->latencies[call->model][count % FAILOVER_LATENCY_MAX] = world->now_ms - call->call.attempt_ms;
	world->latency_counts[call->model] = count + 1;
	meddle(world, PLANT_CONTENT, call, &verdict, NULL);
	check_content(world, call, profile);
	world->seen[SEEN_PROBE_WELL] += call->attempt.probe;
	call->committed = true;
	call->decided_ms = world->now_ms + random_duration(&world->random, 1, 60000);
}

static void end(struct failover_world *world, struct world_call *call, enum failover_outcome outcome)
{
	const struct failover_report report = {
	    .outcome = outcome, .scope = FAILOVER_MODEL, .retry_after_ms = -1};
	enum failover_verdict verdict = FAILOVER_PASS_ON;

	world->before = world->failover;
	world->seen[SEEN_PROBE_ABANDONED] +=
	    outcome == FAILOVER_ABANDONED && call->attempt.probe && !call->committed;
	failover_end(&world->failover, &call->call, &report, world->now_ms);
	meddle(world, PLANT_ENDED, call, &verdict, &report);
	call->active = false;
}

static void decide(struct failover_world *world, struct world_call *call)
{
	const struct temper *temper = temper_of(world, call->attempt.profile, call->model);

	if (call->committed) {
		end(world, call, random_permille(&world->random, 900) ? FAILOVER_ANSWERED : FAILOVER_CUT);
	} else if (temper->well) {
		answer(world, call);
	} else {
		const struct failover_report report = {.outcome = temper->outcome,
		    .scope = temper->scope,
		    .retry_after_ms = temper->retry_after_ms,
		    .organisation = world->organisations[call->attempt.profile]};

		fail(world, call, &report);
	}
}

static void step(struct failover_world *world)
{
	struct world_call *call = &world->calls[random_below(&world->random, WORLD_CALLS)];

	if (!call->active)
		begin(world, call);
	else if (random_permille(&world->random, 30))
		end(world, call, FAILOVER_ABANDONED);
	else if (world->now_ms >= call->decided_ms)
		decide(world, call);
	else
		world->before = world->failover;
	check_step(world);
	if (random_permille(&world->random, 400))
		world->now_ms +=
		    random_duration(&world->random, 1, random_permille(&world->random, 20) ? 7200000 : 8000);
}

static void settle(struct failover_world *world)
{
	struct random *random = &world->random;

	world->now_ms = 1000000;
	world->settings =
	    (struct failover_settings){.profile_count = 1 + random_below(random, WORLD_PROFILES),
	        .first_content_ms = random_duration(random, 1000, 60000),
	        .last_resort_ms = 300000,
	        .gap_ms = 120000};
	for (uint32_t i = 0; i < WORLD_PROFILES; i++)
		world->organisations[i] = random_below(random, 3);
	failover_init(&world->failover, &world->settings);
	memset(world->calls, 0, sizeof(world->calls));
	memset(world->latency_counts, 0, sizeof(world->latency_counts));
	memset(world->recovered_ms, 0, sizeof(world->recovered_ms));
	for (uint32_t i = 0; i < WORLD_PROFILES; i++)
		for (uint32_t j = 0; j < WORLD_MODELS; j++)
			new_temper(world, &world->tempers[i][j]);
}

int failover_simulate(
    struct failover_world *world, uint64_t seed, uint64_t steps, const struct failover_plant *plant)
{
	memset(world, 0, sizeof(*world));
	world->random.state = seed;
	world->plant = plant;
	for (world->step = 0; world->step < steps && world->violated == CHECK_NONE; world->step++) {
		if (world->step % 2000 == 0)
			settle(world);
		step(world);
	}
	return world->violated == CHECK_NONE ? 0 : -1;
}

const char *failover_seen_name(enum failover_seen seen)
{
	static const char *const names[] = {"calls that went on elsewhere",
	    "calls refused because all cool down", "probes that went well", "probes that failed",
	    "probes abandoned by their caller", "refused because of a probe under way",
	    "conversations that stayed", "failures of before a cool-down", "successes of before a cool-down",
	    "limits of an organisation", "attempts after a silence", "clocks lengthened by what was learned",
	    "callers' own faults"};

	return names[seen];
}
