/* What core/failover promises, looked at from outside. */
#include <stdio.h>
#include <string.h>

#include "tests/simulation/failover_world.h"

#define HOUR_MS (3600 * (int64_t)1000)

void failover_violated(struct failover_world *world, enum failover_check check, const char *what)
{
	if (world->violated != CHECK_NONE)
		return;
	world->violated = check;
	snprintf(world->why, sizeof(world->why), "step %llu: %s", (unsigned long long)world->step, what);
}

static const struct failover_circuit *own(const struct failover *failover, uint32_t profile)
{
	return &failover->profiles[profile].circuit;
}

/* NULL: the model was not asked for yet. */
static const struct failover_circuit *of_model(
    const struct failover *failover, uint64_t model, uint32_t profile)
{
	for (uint32_t i = 0; i < FAILOVER_MODELS_MAX; i++)
		if (failover->models[i].used && failover->models[i].model == model)
			return &failover->models[i].circuits[profile];
	return NULL;
}

static int64_t until_of(const struct failover *failover, uint64_t model, uint32_t profile)
{
	const struct failover_circuit *circuit = of_model(failover, model, profile);
	int64_t until_ms = own(failover, profile)->until_ms;

	return circuit != NULL && circuit->until_ms > until_ms ? circuit->until_ms : until_ms;
}

static bool is_half_open(const struct failover *failover, uint64_t model, uint32_t profile, int64_t now_ms)
{
	const struct failover_circuit *circuit = of_model(failover, model, profile);

	return (circuit != NULL && circuit_is_half_open(circuit, now_ms)) ||
	       circuit_is_half_open(own(failover, profile), now_ms);
}

/* Whether another call tries it: by what calls were told, not by a flag of the core's. */
static bool is_probed(const struct failover_world *world, const struct world_call *but, uint32_t profile)
{
	for (uint32_t i = 0; i < WORLD_CALLS; i++) {
		const struct world_call *call = &world->calls[i];

		/* What it opened for since is no longer what such a one tries. */
		if (call != but && call->active && !call->committed && call->attempt.probe &&
		    call->attempt.profile == profile && call->call.model == but->call.model &&
		    call->call.attempt_ms > own(&world->before, profile)->opened_ms &&
		    call->call.attempt_ms > of_model(&world->before, call->call.model, profile)->opened_ms)
			return true;
	}
	return false;
}

static bool is_usable(const struct failover_world *world, const struct world_call *call, uint32_t profile)
{
	const struct failover *before = &world->before;
	const struct failover_circuit *circuit = of_model(before, call->call.model, profile);

	if (until_of(before, call->call.model, profile) > world->now_ms)
		return false;
	return !is_half_open(before, call->call.model, profile, world->now_ms) ||
	       !(own(before, profile)->probing || (circuit != NULL && circuit->probing));
}

static int64_t p99_of(const struct failover_world *world, uint32_t model)
{
	uint32_t count = world->latency_counts[model], above = 0;
	int64_t most = 0;

	/* At least one in a hundred takes longer than any clock below this. */
	for (uint32_t i = 0; i < count; i++)
		if (world->latencies[model][i] > most)
			most = world->latencies[model][i];
	(void)above;
	return count >= FAILOVER_LATENCY_LEAST && count < 100 ? most : 0;
}

void check_try(struct failover_world *world, const struct world_call *call)
{
	uint32_t profile = call->attempt.profile;
	bool another = false;
	int64_t p99_ms;

	if (profile >= world->settings.profile_count || (call->tried & 1u << profile) != 0)
		failover_violated(world, CHECK_ONCE_A_CALL, "a call tries a profile again");
	if (until_of(&world->before, call->call.model, profile) > world->now_ms)
		failover_violated(world, CHECK_OPEN_IS_LEFT, "a profile that cools down is used");
	if (is_half_open(&world->before, call->call.model, profile, world->now_ms) &&
	    (!call->attempt.probe || is_probed(world, call, profile)))
		failover_violated(world, CHECK_ONE_PROBE, "two calls try a profile that is half-open");
	for (uint32_t i = 0; i < profile; i++) {
		int64_t closed_ms = world->recovered_ms[i][0];

		if ((call->tried & 1u << i) != 0 || !is_usable(world, call, i))
			continue;
		if (world->recovered_ms[i][call->model + 1] > closed_ms)
			closed_ms = world->recovered_ms[i][call->model + 1];
		if (closed_ms == 0 || world->now_ms - closed_ms >= FAILOVER_RETURN_MS ||
		    call->call.conversation == 0)
			failover_violated(
			    world, CHECK_PREFERRED, "a profile is used although a preferred one is well");
		else
			world->seen[SEEN_STICKY]++;
	}
	for (uint32_t i = 0; i < world->settings.profile_count; i++)
		another |= i != profile && (call->tried & 1u << i) == 0 && is_usable(world, call, i);
	if (!another && call->attempt.first_content_ms != world->settings.last_resort_ms)
		failover_violated(world, CHECK_LAST_RESORT, "nobody else is left, and the clock is short");
	if (call->silences > 0 && call->attempt.first_content_ms != world->settings.last_resort_ms)
		failover_violated(world, CHECK_ONE_SILENCE, "a second silence with the short clock");
	p99_ms = p99_of(world, call->model);
	if (call->attempt.first_content_ms < 2 * p99_ms &&
	    call->attempt.first_content_ms < world->settings.last_resort_ms)
		failover_violated(
		    world, CHECK_CLOCK, "the clock is shorter than the model has been known to take");
	if (call->attempt.first_content_ms > world->settings.first_content_ms && another &&
	    call->silences == 0)
		world->seen[SEEN_LEARNED_CLOCK]++;
}

void check_began(struct failover_world *world, const struct world_call *call, enum failover_verdict verdict)
{
	int64_t soonest_ms = INT64_MAX;

	if (verdict == FAILOVER_TRY) {
		check_try(world, call);
		return;
	}
	if (verdict == FAILOVER_PASS_ON)
		failover_violated(world, CHECK_COOLING, "there is nothing to be passed on");
	for (uint32_t i = 0; i < world->settings.profile_count; i++) {
		int64_t until_ms = until_of(&world->before, call->call.model, i);

		if (is_usable(world, call, i))
			failover_violated(
			    world, CHECK_COOLING, "a call is refused although a profile is usable");
		if (until_ms <= world->now_ms) {
			world->seen[SEEN_BUSY_PROBE]++;
			until_ms = world->now_ms + 1000;
		}
		soonest_ms = until_ms < soonest_ms ? until_ms : soonest_ms;
	}
	if (call->call.soonest_ms != soonest_ms)
		failover_violated(world, CHECK_SOONEST, "the time to come back is not the soonest");
	world->seen[SEEN_ALL_COOLING]++;
}

static bool same(const struct failover_circuit *one, const struct failover_circuit *other)
{
	return one->until_ms == other->until_ms && one->failures == other->failures &&
	       one->cause == other->cause;
}

static bool is_callers(enum failover_outcome outcome)
{
	return outcome == FAILOVER_CONTEXT_TOO_LONG || outcome == FAILOVER_CONTENT_FILTER ||
	       outcome == FAILOVER_BAD_REQUEST;
}

static bool is_long(enum failover_outcome outcome)
{
	return outcome == FAILOVER_QUOTA || outcome == FAILOVER_BILLING || outcome == FAILOVER_AUTH;
}

static void check_opened(struct failover_world *world, const struct failover_circuit *circuit,
    const struct failover_report *report)
{
	int64_t for_ms = circuit->until_ms - world->now_ms;

	if (report->retry_after_ms >= 0 && report->outcome != FAILOVER_AUTH) {
		int64_t wanted_ms = report->retry_after_ms < 1000 ? 1000 : report->retry_after_ms;

		if (for_ms != (wanted_ms > 24 * HOUR_MS ? 24 * HOUR_MS : wanted_ms))
			failover_violated(world, CHECK_RETRY_AFTER, "Retry-After is not obeyed");
	} else if (is_long(report->outcome)) {
		if (for_ms < HOUR_MS)
			failover_violated(world, CHECK_LONG, "what only people can mend is tried too soon");
	} else if (for_ms <= 0 || for_ms > FAILOVER_RETURN_MS) {
		failover_violated(world, CHECK_RETURN, "it cools down for longer than it may");
	}
}

/* Every circuit but those in the report's scope is as before. */
static void check_scope(struct failover_world *world, const struct world_call *call, uint32_t profile,
    int64_t attempt_ms, const struct failover_report *report)
{
	uint64_t organisation = world->failover.profiles[profile].organisation;

	for (uint32_t i = 0; i < world->settings.profile_count; i++) {
		bool is_mate = report->scope == FAILOVER_ORGANISATION && organisation != 0 &&
		               world->failover.profiles[i].organisation == organisation;

		if (!same(own(&world->before, i), own(&world->failover, i)) &&
		    (i != profile || report->scope != FAILOVER_PROFILE))
			failover_violated(world, CHECK_SCOPE, "a whole profile is blamed for one model");
		for (uint32_t j = 0; j < FAILOVER_MODELS_MAX; j++) {
			const struct failover_model *was = &world->before.models[j],
			                            *is = &world->failover.models[j];

			if (!was->used || same(&was->circuits[i], &is->circuits[i]))
				continue;
			if (is->model != call->call.model || report->scope == FAILOVER_PROFILE ||
			    (i != profile && !is_mate))
				failover_violated(world, CHECK_SCOPE, "a failure is blamed on another");
		}
		if (is_mate && until_of(&world->failover, call->call.model, i) <= world->now_ms &&
		    of_model(&world->failover, call->call.model, i)->opened_ms <= attempt_ms)
			failover_violated(
			    world, CHECK_ORGANISATION, "a limit of the organisation is one key's");
	}
}

void check_failed(struct failover_world *world, const struct world_call *call, uint32_t profile,
    int64_t attempt_ms, const struct failover_report *report, enum failover_verdict verdict)
{
	const struct failover_circuit *was, *is;

	if (is_callers(report->outcome)) {
		if (verdict != FAILOVER_PASS_ON || until_of(&world->failover, call->call.model, profile) >
		                                       until_of(&world->before, call->call.model, profile))
			failover_violated(
			    world, CHECK_CALLERS_FAULT, "the caller's own fault is tried again or blamed");
		world->seen[SEEN_PASSED_ON]++;
		return;
	}
	was = report->scope == FAILOVER_PROFILE ? own(&world->before, profile)
	                                        : of_model(&world->before, call->call.model, profile);
	is = report->scope == FAILOVER_PROFILE ? own(&world->failover, profile)
	                                       : of_model(&world->failover, call->call.model, profile);
	if (was == NULL || is == NULL)
		return;
	if (circuit_is_open(was, world->now_ms) || attempt_ms < was->opened_ms) {
		world->seen[SEEN_LATE_FAILURE]++;
		if (!same(was, is))
			failover_violated(
			    world, CHECK_NOT_PROLONGED, "a failure of before changes a cool-down");
	} else {
		check_opened(world, is, report);
	}
	check_scope(world, call, profile, attempt_ms, report);
	if (report->scope == FAILOVER_ORGANISATION && report->organisation != 0)
		world->seen[SEEN_ORGANISATION]++;
	if (verdict == FAILOVER_COOLING || verdict == FAILOVER_PASS_ON)
		for (uint32_t i = 0; i < world->settings.profile_count; i++) {
			const struct failover_circuit *circuit =
			    of_model(&world->failover, call->call.model, i);

			if ((call->tried & 1u << i) == 0 &&
			    until_of(&world->failover, call->call.model, i) <= world->now_ms &&
			    !own(&world->failover, i)->probing && !circuit->probing)
				failover_violated(
				    world, CHECK_COOLING, "a call is given up although a profile is usable");
		}
}

void check_content(struct failover_world *world, const struct world_call *call, uint32_t profile)
{
	for (uint32_t i = 0; i < world->settings.profile_count; i++) {
		if (i != profile && !same(own(&world->before, i), own(&world->failover, i)))
			failover_violated(world, CHECK_OTHERS_UNTOUCHED, "a success changes another profile");
		for (uint32_t j = 0; j < FAILOVER_MODELS_MAX; j++) {
			const struct failover_model *was = &world->before.models[j],
			                            *is = &world->failover.models[j];

			if (was->used && !same(&was->circuits[i], &is->circuits[i]) &&
			    (i != profile || is->model != call->call.model))
				failover_violated(
				    world, CHECK_OTHERS_UNTOUCHED, "a success wipes another model's circuit");
		}
	}
	for (int i = 0; i < 2; i++) {
		const struct failover_circuit *was =
		    i == 0 ? own(&world->before, profile)
		           : of_model(&world->before, call->call.model, profile);
		const struct failover_circuit *is =
		    i == 0 ? own(&world->failover, profile)
		           : of_model(&world->failover, call->call.model, profile);

		if (was == NULL || was->until_ms == 0)
			continue;
		if (call->call.attempt_ms < was->opened_ms)
			world->seen[SEEN_LATE_SUCCESS]++;
		if ((call->call.attempt_ms < was->opened_ms) == (is->until_ms == 0))
			failover_violated(world, CHECK_CLOSES,
			    "a success closes what it does not prove, or not what it does");
	}
}

/* What was told since the last step is what the circuits show. */
static void check_changes(struct failover_world *world)
{
	struct failover_change change;
	int told = 0, happened = 0;

	while (failover_take_change(&world->failover, &change)) {
		told++;
		if (change.kind == FAILOVER_CHANGE_RECOVERED && change.profile < WORLD_PROFILES)
			world->recovered_ms[change.profile][change.scope == FAILOVER_PROFILE
			                                        ? 0
			                                        : change.model % (WORLD_MODELS + 1)] =
			    change.at_ms;
	}
	for (uint32_t i = 0; i < world->settings.profile_count; i++) {
		const struct failover_circuit *was = own(&world->before, i), *is = own(&world->failover, i);

		happened += was->until_ms != is->until_ms;
		for (uint32_t j = 0; j < FAILOVER_MODELS_MAX; j++)
			happened += world->before.models[j].circuits[i].until_ms !=
			            world->failover.models[j].circuits[i].until_ms;
	}
	if (told != happened)
		failover_violated(world, CHECK_CHANGES, "what is told is not what happened");
}

void check_step(struct failover_world *world)
{
	bool active = false;

	check_changes(world);
	for (uint32_t i = 0; i < WORLD_CALLS; i++)
		active |= world->calls[i].active && !world->calls[i].committed;
	for (uint32_t i = 0; !active && i < world->settings.profile_count; i++) {
		bool probing = own(&world->failover, i)->probing;

		for (uint32_t j = 0; j < FAILOVER_MODELS_MAX; j++)
			probing |= world->failover.models[j].circuits[i].probing;
		if (probing)
			failover_violated(world, CHECK_PROBE_FREED, "a probe is under way, and no call is");
	}
}
