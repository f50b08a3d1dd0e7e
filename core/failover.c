#include "core/failover.h"

#include <string.h>

#include "core/failover_step.h"

#define STICKY_MS       (5 * 60 * (int64_t)1000) /* as long as providers keep a prompt's cache at least */
#define SILENT_PROBE_MS 10000
#define PROBED_MS       1000 /* a probe under way ends, one hopes, in about that time */

const char *failover_outcome_name(enum failover_outcome outcome)
{
	static const char *const names[] = {"answered", "rate_limited", "overloaded", "quota", "billing",
	    "auth", "context_too_long", "content_filter", "bad_request", "server_error", "reset", "refused",
	    "dns", "tls", "silent", "stalled", "cut", "abandoned"};

	return (uint32_t)outcome < FAILOVER_OUTCOME_COUNT ? names[outcome] : "unknown";
}

const char *failover_scope_name(enum failover_scope scope)
{
	static const char *const names[] = {"model", "profile", "organisation"};

	return (uint32_t)scope < sizeof(names) / sizeof(names[0]) ? names[scope] : "unknown";
}

void failover_init(struct failover *failover, const struct failover_settings *settings)
{
	memset(failover, 0, sizeof(*failover));
	failover->settings = *settings;
	if (failover->settings.profile_count > FAILOVER_PROFILES_MAX)
		failover->settings.profile_count = FAILOVER_PROFILES_MAX;
}

enum usable { USABLE_NOT, USABLE_AS_PROBE, USABLE };

/* Both circuits of a profile, for one model. */
struct way {
	struct failover_circuit *profile, *model;
};

static struct way way_of(struct failover *failover, struct failover_model *model, uint32_t profile)
{
	return (struct way){&failover->profiles[profile].circuit, &model->circuits[profile]};
}

static enum usable is_usable(const struct way *way, int64_t now_ms)
{
	bool half_open =
	    circuit_is_half_open(way->profile, now_ms) || circuit_is_half_open(way->model, now_ms);

	if (circuit_is_open(way->profile, now_ms) || circuit_is_open(way->model, now_ms))
		return USABLE_NOT;
	if (!half_open)
		return USABLE;
	return way->profile->probing || way->model->probing ? USABLE_NOT : USABLE_AS_PROBE;
}

/* Each has one place where it may be: who comes later takes it, and the one before is merely no longer
 * preferred. */
static struct failover_conversation *find_conversation(struct failover *failover, uint64_t conversation)
{
	struct failover_conversation *place = &failover->conversations[conversation % FAILOVER_STICKY_MAX];

	return conversation != 0 && place->conversation == conversation ? place : NULL;
}

static void remember_conversation(
    struct failover *failover, uint64_t conversation, uint32_t profile, int64_t now_ms)
{
	if (conversation != 0)
		failover->conversations[conversation % FAILOVER_STICKY_MAX] =
		    (struct failover_conversation){conversation, now_ms, profile};
}

/* The preferred one has been well for a moment only: a conversation stays where its prompt is cached. */
static bool is_just_well(const struct way *way, int64_t now_ms)
{
	int64_t closed_ms =
	    way->profile->closed_ms > way->model->closed_ms ? way->profile->closed_ms : way->model->closed_ms;

	return closed_ms != 0 && now_ms - closed_ms < FAILOVER_RETURN_MS;
}

/* Whether the call is better tried with the profile that its conversation was with: each that would come
 * before has been well for a moment only. */
static bool stays(struct failover *failover, struct failover_model *model, const struct failover_call *call,
    uint32_t first, int64_t now_ms)
{
	const struct failover_conversation *kept = find_conversation(failover, call->conversation);
	struct way way;

	if (kept == NULL || kept->profile <= first || kept->profile >= failover->settings.profile_count ||
	    now_ms - kept->used_ms > STICKY_MS || (call->tried & 1u << kept->profile) != 0)
		return false;
	way = way_of(failover, model, kept->profile);
	if (is_usable(&way, now_ms) != USABLE)
		return false;
	for (uint32_t i = first; i < kept->profile; i++) {
		way = way_of(failover, model, i);
		if ((call->tried & 1u << i) == 0 && is_usable(&way, now_ms) != USABLE_NOT &&
		    (is_usable(&way, now_ms) != USABLE || !is_just_well(&way, now_ms)))
			return false;
	}
	return true;
}

/* The profile to be tried next; -1: none is usable. */
static int32_t choose(
    struct failover *failover, struct failover_model *model, const struct failover_call *call, int64_t now_ms)
{
	for (uint32_t i = 0; i < failover->settings.profile_count; i++) {
		struct way way = way_of(failover, model, i);

		if ((call->tried & 1u << i) != 0 || is_usable(&way, now_ms) == USABLE_NOT)
			continue;
		if (stays(failover, model, call, i, now_ms))
			return (int32_t)find_conversation(failover, call->conversation)->profile;
		return (int32_t)i;
	}
	return -1;
}

static bool is_another_usable(struct failover *failover, struct failover_model *model,
    const struct failover_call *call, uint32_t but, int64_t now_ms)
{
	for (uint32_t i = 0; i < failover->settings.profile_count; i++) {
		struct way way = way_of(failover, model, i);

		if (i != but && (call->tried & 1u << i) == 0 && is_usable(&way, now_ms) != USABLE_NOT)
			return true;
	}
	return false;
}

static int64_t first_content_ms(struct failover *failover, struct failover_model *model,
    const struct failover_call *call, const struct way *way, int64_t now_ms)
{
	const struct failover_settings *settings = &failover->settings;
	int64_t least_ms = 2 * latency_p99_ms(&model->latency), limit_ms = settings->first_content_ms;

	if (call->silent || !is_another_usable(failover, model, call, (uint32_t)call->profile, now_ms))
		return settings->last_resort_ms;
	/* Who was silent is asked again, but not waited for as long. */
	if (call->probe && (way->model->cause == FAILOVER_SILENT || way->profile->cause == FAILOVER_SILENT) &&
	    limit_ms > SILENT_PROBE_MS)
		limit_ms = SILENT_PROBE_MS;
	if (limit_ms < least_ms)
		limit_ms = least_ms;
	return limit_ms < settings->last_resort_ms ? limit_ms : settings->last_resort_ms;
}

/* When the first of them is usable again. */
static int64_t soonest_ms(struct failover *failover, struct failover_model *model, int64_t now_ms)
{
	int64_t soonest = INT64_MAX;

	for (uint32_t i = 0; i < failover->settings.profile_count; i++) {
		struct way way = way_of(failover, model, i);
		int64_t until_ms =
		    way.profile->until_ms > way.model->until_ms ? way.profile->until_ms : way.model->until_ms;

		if (until_ms <= now_ms)
			until_ms = now_ms + (is_usable(&way, now_ms) == USABLE_NOT ? PROBED_MS : 0);
		if (until_ms < soonest)
			soonest = until_ms;
	}
	return soonest;
}

static enum failover_verdict try_next(
    struct failover *failover, struct failover_call *call, int64_t now_ms, struct failover_try *next)
{
	struct failover_model *model = failover_model(failover, call->model, now_ms);
	int32_t profile = choose(failover, model, call, now_ms);
	struct way way;

	call->profile = profile;
	if (profile < 0) {
		call->soonest_ms = soonest_ms(failover, model, now_ms);
		return FAILOVER_COOLING;
	}
	way = way_of(failover, model, (uint32_t)profile);
	call->probe = is_usable(&way, now_ms) == USABLE_AS_PROBE;
	if (call->probe) {
		way.profile->probing = circuit_is_half_open(way.profile, now_ms);
		way.model->probing = circuit_is_half_open(way.model, now_ms);
	}
	call->tried |= 1u << profile;
	call->attempt_ms = now_ms;
	*next = (struct failover_try){.profile = (uint32_t)profile,
	    .probe = call->probe,
	    .first_content_ms = first_content_ms(failover, model, call, &way, now_ms),
	    .gap_ms = failover->settings.gap_ms};
	return FAILOVER_TRY;
}

enum failover_verdict failover_begin(struct failover *failover, struct failover_call *call, uint64_t model,
    uint64_t conversation, int64_t now_ms, struct failover_try *next)
{
	*call = (struct failover_call){
	    .model = model, .conversation = conversation, .profile = -1, .began_ms = now_ms};
	return try_next(failover, call, now_ms, next);
}

static void free_probe(struct failover_circuit *circuit, const struct failover_call *call)
{
	/* One that opened anew since is tried by another call, or will be. (A probe begins after it opened.)
	 */
	if (call->attempt_ms > circuit->opened_ms)
		circuit->probing = false;
}

/* The place of the probe is free again. */
static void end_probe(struct failover *failover, struct failover_call *call)
{
	struct failover_model *model = failover_find_model(failover, call->model);

	if (!call->probe)
		return;
	call->probe = false;
	free_probe(&failover->profiles[call->profile].circuit, call);
	if (model != NULL)
		free_probe(&model->circuits[call->profile], call);
}

static bool is_callers_fault(enum failover_outcome outcome)
{
	return outcome == FAILOVER_CONTEXT_TOO_LONG || outcome == FAILOVER_CONTENT_FILTER ||
	       outcome == FAILOVER_BAD_REQUEST;
}

/* Of these a word of ours with the time to come back is worth more than the last one's own. */
static bool is_limit(enum failover_outcome outcome)
{
	return outcome == FAILOVER_RATE_LIMITED || outcome == FAILOVER_QUOTA || outcome == FAILOVER_BILLING ||
	       outcome == FAILOVER_AUTH;
}

enum failover_verdict failover_failed(struct failover *failover, struct failover_call *call,
    const struct failover_report *report, int64_t now_ms, struct failover_try *next)
{
	enum failover_verdict verdict;

	end_probe(failover, call);
	if (is_callers_fault(report->outcome)) {
		failover_close(failover, call, now_ms);
		call->profile = -1;
		return FAILOVER_PASS_ON;
	}
	failover_open(failover, call, report, now_ms);
	call->silent |= report->outcome == FAILOVER_SILENT;
	verdict = try_next(failover, call, now_ms, next);
	if (verdict == FAILOVER_COOLING &&
	    (failover->settings.profile_count == 1 || !is_limit(report->outcome)))
		return FAILOVER_PASS_ON;
	return verdict;
}

void failover_content(struct failover *failover, struct failover_call *call, int64_t now_ms)
{
	struct failover_model *model = failover_model(failover, call->model, now_ms);

	end_probe(failover, call);
	failover_close(failover, call, now_ms);
	latency_add(&model->latency, now_ms - call->attempt_ms);
	remember_conversation(failover, call->conversation, (uint32_t)call->profile, now_ms);
}

void failover_end(struct failover *failover, struct failover_call *call, const struct failover_report *report,
    int64_t now_ms)
{
	if (call->profile < 0)
		return;
	end_probe(failover, call);
	if (report->outcome != FAILOVER_ANSWERED && report->outcome != FAILOVER_ABANDONED &&
	    !is_callers_fault(report->outcome))
		failover_open(failover, call, report, now_ms);
	call->profile = -1;
}
