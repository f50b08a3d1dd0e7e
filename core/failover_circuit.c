#include <string.h>

#include "core/failover_step.h"

#define LONG_MS       (3600 * (int64_t)1000)
#define LONGEST_MS    (24 * LONG_MS)
#define LEAST_MS      1000
#define LIMITED_MS    5000
#define SILENT_MS     10000
#define BROKEN_MS     2000
#define DOUBLINGS_MAX 8

struct failover_model *failover_find_model(struct failover *failover, uint64_t model)
{
	struct failover_model *recent = &failover->models[failover->recent];

	/* One call asks for its model several times. */
	if (recent->used && recent->model == model)
		return recent;
	for (uint32_t i = 0; i < FAILOVER_MODELS_MAX; i++) {
		if (failover->models[i].used && failover->models[i].model == model) {
			failover->recent = i;
			return &failover->models[i];
		}
	}
	return NULL;
}

static bool is_cooling(const struct failover_model *model, int64_t now_ms)
{
	for (uint32_t i = 0; i < FAILOVER_PROFILES_MAX; i++)
		if (circuit_is_open(&model->circuits[i], now_ms))
			return true;
	return false;
}

/* Which of two is to be forgotten rather: a free one, one without a cool-down, the one unused longer. */
static bool is_lesser(const struct failover_model *one, const struct failover_model *other, int64_t now_ms)
{
	bool one_cools, other_cools;

	if (!one->used || !other->used)
		return !one->used && other->used;
	one_cools = is_cooling(one, now_ms);
	other_cools = is_cooling(other, now_ms);
	return one_cools != other_cools ? other_cools : one->used_ms < other->used_ms;
}

struct failover_model *failover_model(struct failover *failover, uint64_t model, int64_t now_ms)
{
	struct failover_model *found = failover_find_model(failover, model);

	if (found == NULL) {
		found = &failover->models[0];
		for (uint32_t i = 1; i < FAILOVER_MODELS_MAX; i++)
			if (is_lesser(&failover->models[i], found, now_ms))
				found = &failover->models[i];
		memset(found, 0, sizeof(*found));
		found->model = model;
		found->used = true;
	}
	found->used_ms = now_ms;
	return found;
}

static void tell(struct failover *failover, const struct failover_change *change)
{
	if (failover->change_count == FAILOVER_CHANGES_MAX) {
		failover->changes_lost++;
		return;
	}
	failover->changes[(failover->change_first + failover->change_count++) % FAILOVER_CHANGES_MAX] =
	    *change;
}

static bool is_long(enum failover_outcome cause)
{
	return cause == FAILOVER_QUOTA || cause == FAILOVER_BILLING || cause == FAILOVER_AUTH;
}

/* How long it is not used, after so many failures in a row. */
static int64_t cool_down_ms(const struct failover_report *report, uint32_t failures)
{
	int64_t first_ms = report->outcome == FAILOVER_RATE_LIMITED ? LIMITED_MS
	                   : report->outcome == FAILOVER_SILENT     ? SILENT_MS
	                                                            : BROKEN_MS;
	uint32_t doublings = failures < DOUBLINGS_MAX ? failures : DOUBLINGS_MAX;

	if (report->retry_after_ms >= 0 && report->outcome != FAILOVER_AUTH) {
		if (report->retry_after_ms < LEAST_MS)
			return LEAST_MS;
		return report->retry_after_ms < LONGEST_MS ? report->retry_after_ms : LONGEST_MS;
	}
	if (is_long(report->outcome))
		return LONG_MS;
	first_ms <<= doublings;
	return first_ms < FAILOVER_RETURN_MS ? first_ms : FAILOVER_RETURN_MS;
}

static void open_circuit(struct failover *failover, struct failover_circuit *circuit,
    const struct failover_call *call, uint32_t profile, const struct failover_report *report, int64_t now_ms)
{
	/* What began before it opened, or fails while it is open, says nothing new. */
	if (circuit_is_open(circuit, now_ms) ||
	    (circuit->until_ms != 0 && call->attempt_ms < circuit->opened_ms) ||
	    (circuit->closed_ms != 0 && call->attempt_ms < circuit->opened_ms))
		return;
	circuit->until_ms = now_ms + cool_down_ms(report, circuit->failures);
	circuit->opened_ms = now_ms;
	circuit->failures++;
	circuit->cause = report->outcome;
	circuit->probing = false;
	tell(failover, &(struct failover_change){.kind = is_long(report->outcome) ? FAILOVER_CHANGE_DISABLED
	                                                                          : FAILOVER_CHANGE_COOLING,
	                   .cause = report->outcome,
	                   .scope = report->scope,
	                   .profile = profile,
	                   .model = call->model,
	                   .at_ms = now_ms,
	                   .until_ms = circuit->until_ms});
}

void failover_open(struct failover *failover, const struct failover_call *call,
    const struct failover_report *report, int64_t now_ms)
{
	uint32_t own = (uint32_t)call->profile;
	struct failover_profile *profile = &failover->profiles[own];
	struct failover_model *model = failover_model(failover, call->model, now_ms);

	if (report->organisation != 0)
		profile->organisation = report->organisation;
	if (report->scope == FAILOVER_PROFILE) {
		open_circuit(failover, &profile->circuit, call, own, report, now_ms);
		return;
	}
	open_circuit(failover, &model->circuits[own], call, own, report, now_ms);
	if (report->scope != FAILOVER_ORGANISATION || profile->organisation == 0)
		return;
	for (uint32_t i = 0; i < failover->settings.profile_count; i++)
		if (i != own && failover->profiles[i].organisation == profile->organisation)
			open_circuit(failover, &model->circuits[i], call, i, report, now_ms);
}

static void close_circuit(struct failover *failover, struct failover_circuit *circuit,
    const struct failover_call *call, enum failover_scope scope, int64_t now_ms)
{
	/* A success of what began before it opened is no proof against it. */
	if (circuit->until_ms == 0 || call->attempt_ms < circuit->opened_ms)
		return;
	tell(failover, &(struct failover_change){.kind = FAILOVER_CHANGE_RECOVERED,
	                   .cause = circuit->cause,
	                   .scope = scope,
	                   .profile = (uint32_t)call->profile,
	                   .model = call->model,
	                   .at_ms = now_ms,
	                   .until_ms = now_ms});
	circuit->until_ms = 0;
	circuit->closed_ms = now_ms;
	circuit->failures = 0;
	circuit->probing = false;
}

void failover_close(struct failover *failover, const struct failover_call *call, int64_t now_ms)
{
	struct failover_model *model = failover_find_model(failover, call->model);

	close_circuit(failover, &failover->profiles[call->profile].circuit, call, FAILOVER_PROFILE, now_ms);
	if (model != NULL)
		close_circuit(failover, &model->circuits[call->profile], call, FAILOVER_MODEL, now_ms);
}

bool failover_has_changes(const struct failover *failover)
{
	return failover->change_count > 0;
}

bool failover_take_change(struct failover *failover, struct failover_change *change)
{
	if (failover->change_count == 0)
		return false;
	*change = failover->changes[failover->change_first];
	failover->change_first = (failover->change_first + 1) % FAILOVER_CHANGES_MAX;
	failover->change_count--;
	return true;
}

void failover_reset_profile(struct failover *failover, uint32_t profile, int64_t now_ms)
{
	struct failover_circuit *circuit = &failover->profiles[profile].circuit;

	if (circuit->until_ms != 0)
		circuit->closed_ms = now_ms;
	circuit->until_ms = 0;
	circuit->failures = 0;
	circuit->probing = false;
}

bool failover_profile_state(const struct failover *failover, uint32_t profile, int64_t now_ms,
    struct failover_circuit *circuit, uint64_t *model)
{
	const struct failover_circuit *worst = &failover->profiles[profile].circuit;

	(void)now_ms;
	*model = 0;
	for (uint32_t i = 0; i < FAILOVER_MODELS_MAX; i++) {
		const struct failover_model *one = &failover->models[i];

		if (one->used && one->circuits[profile].until_ms > worst->until_ms) {
			worst = &one->circuits[profile];
			*model = one->model;
		}
	}
	*circuit = *worst;
	return worst->until_ms != 0;
}
