/* Bugs, each of which one check must find. */
#include <string.h>

#include "tests/simulation/failover_world.h"

#define PLANT(name)                                                                                          \
	static void name(struct failover_world *world, struct world_call *call,                              \
	    enum failover_verdict *verdict, const struct failover_report *report)

static struct failover_circuit *circuit_of(
    struct failover_world *world, const struct world_call *call, uint32_t profile)
{
	struct failover_model *model = failover_find_model(&world->failover, call->call.model);

	return &model->circuits[profile];
}

PLANT(tries_again)
{
	if (*verdict == FAILOVER_TRY)
		call->attempt.profile = (uint32_t)__builtin_ctz(call->tried);
}

PLANT(two_probes)
{
	if (*verdict == FAILOVER_TRY && call->attempt.probe) {
		world->failover.profiles[call->attempt.profile].circuit.probing = false;
		circuit_of(world, call, call->attempt.profile)->probing = false;
	}
}

PLANT(uses_open)
{
	for (uint32_t i = 0; i < world->settings.profile_count; i++)
		if (*verdict == FAILOVER_COOLING &&
		    circuit_is_open(&world->failover.profiles[i].circuit, world->now_ms)) {
			*verdict = FAILOVER_TRY;
			call->attempt = (struct failover_try){
			    .profile = i, .first_content_ms = world->settings.last_resort_ms};
			call->call.profile = (int32_t)i;
		}
}

PLANT(prolongs)
{
	for (uint32_t i = 0; i < world->settings.profile_count; i++) {
		struct failover_circuit *circuit = circuit_of(world, call, i);

		if (circuit->opened_ms < world->now_ms && circuit_is_open(circuit, world->now_ms))
			circuit->until_ms += 5000;
	}
}

PLANT(wipes_others)
{
	for (uint32_t i = 0; i < FAILOVER_MODELS_MAX; i++)
		world->failover.models[i].circuits[call->attempt.profile].until_ms = 0;
}

PLANT(wipes_other_profiles)
{
	for (uint32_t i = 0; i < world->settings.profile_count; i++)
		if (i != call->attempt.profile)
			world->failover.profiles[i].circuit.until_ms = 0;
}

PLANT(does_not_close)
{
	struct failover_circuit *circuit = circuit_of(world, call, call->attempt.profile);

	if (circuit->closed_ms == world->now_ms)
		circuit->until_ms = world->now_ms;
}

PLANT(late_success_closes)
{
	circuit_of(world, call, call->attempt.profile)->until_ms = 0;
}

PLANT(halves_retry_after)
{
	for (uint32_t i = 0; i < world->settings.profile_count; i++) {
		struct failover_circuit *circuit = circuit_of(world, call, i);

		if (report->retry_after_ms > 2000 && circuit->opened_ms == world->now_ms)
			circuit->until_ms -= report->retry_after_ms / 2;
	}
}

PLANT(cools_too_long)
{
	for (uint32_t i = 0; i < world->settings.profile_count; i++) {
		struct failover_circuit *circuit = circuit_of(world, call, i);

		if (report->retry_after_ms < 0 && circuit->opened_ms == world->now_ms &&
		    circuit->failures > 3)
			circuit->until_ms = world->now_ms + 2 * FAILOVER_RETURN_MS;
	}
}

PLANT(long_is_short)
{
	struct failover_circuit *circuit =
	    circuit_of(world, call, (uint32_t)(31 - __builtin_clz(call->tried)));

	if (report->outcome == FAILOVER_BILLING && report->retry_after_ms < 0 &&
	    circuit->opened_ms == world->now_ms)
		circuit->until_ms = world->now_ms + 1000;
}

PLANT(blames_the_profile)
{
	for (uint32_t i = 0; i < world->settings.profile_count; i++)
		if (report->scope == FAILOVER_MODEL && circuit_of(world, call, i)->opened_ms == world->now_ms)
			world->failover.profiles[i].circuit.until_ms = world->now_ms + 1000;
}

PLANT(blames_another_model)
{
	for (uint32_t i = 0; i < FAILOVER_MODELS_MAX; i++)
		if (world->failover.models[i].used && world->failover.models[i].model != call->call.model)
			world->failover.models[i].circuits[0].until_ms = world->now_ms + 1000;
}

PLANT(forgets_the_organisation)
{
	const struct failover_model *model = failover_find_model(&world->failover, call->call.model);
	const struct failover_model *was = &world->before.models[model - world->failover.models];
	uint32_t own = (uint32_t)(31 - __builtin_clz(call->tried));

	for (uint32_t i = 0; i < world->settings.profile_count; i++) {
		struct failover_circuit *circuit = circuit_of(world, call, i);

		if (report->scope != FAILOVER_ORGANISATION || i == own ||
		    circuit->until_ms == was->circuits[i].until_ms)
			continue;
		*circuit = was->circuits[i];
		world->failover.change_count--;
	}
}

PLANT(refuses)
{
	if (random_permille(&world->random, 5))
		*verdict = FAILOVER_COOLING;
}

PLANT(gives_up)
{
	if (*verdict == FAILOVER_TRY && random_permille(&world->random, 100))
		*verdict = FAILOVER_COOLING;
}

PLANT(comes_back_late)
{
	call->call.soonest_ms += 1000;
}

PLANT(retries_callers_fault)
{
	if (report->outcome == FAILOVER_CONTEXT_TOO_LONG)
		*verdict = FAILOVER_TRY;
}

PLANT(blames_callers_fault)
{
	if (report->outcome == FAILOVER_BAD_REQUEST)
		circuit_of(world, call, (uint32_t)(31 - __builtin_clz(call->tried)))->until_ms =
		    world->now_ms + 5000;
}

PLANT(two_silences)
{
	if (*verdict == FAILOVER_TRY && call->silences > 0)
		call->attempt.first_content_ms = world->settings.first_content_ms;
}

PLANT(hurries)
{
	if (*verdict == FAILOVER_TRY && call->attempt.first_content_ms < world->settings.last_resort_ms)
		call->attempt.first_content_ms /= 4;
}

PLANT(hurries_the_last)
{
	if (*verdict == FAILOVER_TRY && world->settings.profile_count == 1)
		call->attempt.first_content_ms = world->settings.first_content_ms;
}

PLANT(pins)
{
	/* As if the preferred one had only just become well, for ever. */
	for (uint32_t i = 0; i < FAILOVER_MODELS_MAX; i++)
		for (uint32_t j = 0; j < world->settings.profile_count; j++)
			if (world->failover.models[i].circuits[j].closed_ms != 0)
				world->failover.models[i].circuits[j].closed_ms = world->now_ms + 3600000;
}

PLANT(prefers_the_last)
{
	uint32_t last = world->settings.profile_count - 1;

	if (*verdict == FAILOVER_TRY && !call->attempt.probe && call->attempt.profile != last && last > 0 &&
	    !circuit_is_open(circuit_of(world, call, last), world->now_ms) &&
	    circuit_of(world, call, last)->until_ms == 0 &&
	    world->failover.profiles[last].circuit.until_ms == 0)
		call->attempt.profile = last;
}

PLANT(leaks_the_probe)
{
	if (call->attempt.probe && report->outcome == FAILOVER_ABANDONED)
		world->failover.profiles[call->attempt.profile].circuit.probing = true;
}

PLANT(tells_too_much)
{
	if (*verdict == FAILOVER_TRY && world->failover.change_count < FAILOVER_CHANGES_MAX)
		world->failover.change_count++;
}

PLANT(tells_nothing)
{
	world->failover.change_count = 0;
}

static const struct failover_plant plants[] = {
    {"a profile is tried again in the same call", PLANT_FAILED, tries_again, CHECK_ONCE_A_CALL},
    {"a probe does not keep others away", PLANT_BEGAN, two_probes, CHECK_ONE_PROBE},
    {"a profile that cools down is used", PLANT_BEGAN, uses_open, CHECK_OPEN_IS_LEFT},
    {"a failure inside a cool-down prolongs it", PLANT_FAILED, prolongs, CHECK_NOT_PROLONGED},
    {"a success wipes other models' circuits", PLANT_CONTENT, wipes_others, CHECK_OTHERS_UNTOUCHED},
    {"a success wipes other profiles' circuits", PLANT_CONTENT, wipes_other_profiles, CHECK_OTHERS_UNTOUCHED},
    {"a probe that went well closes nothing", PLANT_CONTENT, does_not_close, CHECK_CLOSES},
    {"a success of before closes a circuit", PLANT_CONTENT, late_success_closes, CHECK_CLOSES},
    {"Retry-After is halved", PLANT_FAILED, halves_retry_after, CHECK_RETRY_AFTER},
    {"cool-downs grow without end", PLANT_FAILED, cools_too_long, CHECK_RETURN},
    {"who has no credit is tried again soon", PLANT_FAILED, long_is_short, CHECK_LONG},
    {"a model's failure is blamed on the whole profile", PLANT_FAILED, blames_the_profile, CHECK_SCOPE},
    {"a failure is blamed on other models", PLANT_FAILED, blames_another_model, CHECK_SCOPE},
    {"a limit of the organisation is one key's", PLANT_FAILED, forgets_the_organisation, CHECK_ORGANISATION},
    {"a call is refused although a profile is well", PLANT_BEGAN, refuses, CHECK_COOLING},
    {"a call is given up although a profile is left", PLANT_FAILED, gives_up, CHECK_COOLING},
    {"the time to come back is too late", PLANT_BEGAN, comes_back_late, CHECK_SOONEST},
    {"too long a context is tried elsewhere", PLANT_FAILED, retries_callers_fault, CHECK_CALLERS_FAULT},
    {"a bad request is blamed on the profile", PLANT_FAILED, blames_callers_fault, CHECK_CALLERS_FAULT},
    {"every silence has the short clock", PLANT_FAILED, two_silences, CHECK_ONE_SILENCE},
    {"the clock knows nothing of the model", PLANT_BEGAN, hurries, CHECK_CLOCK},
    {"the last one has the short clock", PLANT_BEGAN, hurries_the_last, CHECK_LAST_RESORT},
    {"a conversation is pinned", PLANT_ENDED, pins, CHECK_PREFERRED},
    {"the last profile is preferred", PLANT_BEGAN, prefers_the_last, CHECK_PREFERRED},
    {"an abandoned probe is never freed", PLANT_ENDED, leaks_the_probe, CHECK_PROBE_FREED},
    {"what did not happen is told", PLANT_BEGAN, tells_too_much, CHECK_CHANGES},
    {"what happened is not told", PLANT_FAILED, tells_nothing, CHECK_CHANGES},
};

const struct failover_plant *failover_plant_at(size_t index)
{
	return index < sizeof(plants) / sizeof(plants[0]) ? &plants[index] : NULL;
}
