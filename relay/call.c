/* One request: attempts, one after another, until one brings content or none is left. What is tried next is
 * decided by core/failover. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "relay/relay.h"
#include "relay/reply.h"

static struct profile *profile_of(const struct call *call)
{
	return &call->provider->profiles[call->attempt.profile];
}

static uint32_t bucket(int64_t ms)
{
	uint32_t place = 0;

	while (place < RELAY_HISTOGRAM - 1 && ms > (int64_t)1 << place)
		place++;
	return place;
}

static void count_latency(struct call *call, enum failover_outcome outcome)
{
	struct profile_figures *figures = &profile_of(call)->figures;
	int64_t took_ms = relay_now_ms(call->relay) - call->attempt_ms;

	figures->latency[outcome][bucket(took_ms)]++;
	figures->latency_sum_ms[outcome] += (uint64_t)took_ms;
}

static void forget_request(struct call *call)
{
	call->relay->stored_bytes -= call->stored.length;
	chain_clear(&call->stored, &call->relay->segments);
	free(call->head);
	call->head = NULL;
}

void call_free(struct call *call)
{
	const struct failover_report abandoned = {
	    .outcome = FAILOVER_ABANDONED, .scope = FAILOVER_MODEL, .retry_after_ms = -1};

	if (call->trying) {
		profile_of(call)->figures.outcomes[FAILOVER_ABANDONED]++;
		failover_end(
		    &call->provider->failover, &call->failover, &abandoned, relay_now_ms(call->relay));
	}
	if (call->upstream != NULL)
		upstream_close(call->upstream);
	forget_request(call);
	answer_clear(call);
	deadline_forget(&call->relay->deadlines, &call->clock);
	relay_call_gone(call->relay, call);
	relay_bury(call->relay, call);
}

/* The call is no longer its client's. */
static struct client *part(struct call *call)
{
	struct client *client = call->client;

	if (!call->stored_whole)
		client->closing = client->lingering = true;
	client->call = NULL;
	call_free(call);
	return client;
}

/* Nobody can take it over any more, or nobody may. */
static void conclude(struct call *call, enum failover_verdict verdict)
{
	struct provider *provider = call->provider;
	int64_t now_ms = relay_now_ms(call->relay);
	char sentence[400];
	unsigned status = 0;

	if (verdict == FAILOVER_COOLING || call->outcome == FAILOVER_RATE_LIMITED)
		status = rotate_status(call);
	if (status != 0) {
		snprintf(sentence, sizeof(sentence),
		    "This login of %s is limited%s%s. Holdfast says it in this way so that the next login is "
		    "used at "
		    "once.",
		    provider->name, call->sentence[0] != '\0' ? ": " : "", call->sentence);
		client_reply(call->client, provider->api, status, -1, sentence);
		return;
	}
	if (verdict == FAILOVER_COOLING) {
		int64_t wait_ms = call->failover.soonest_ms > now_ms ? call->failover.soonest_ms - now_ms : 0;
		char duration[32];

		provider->all_cooling++;
		snprintf(sentence, sizeof(sentence),
		    "Every profile of %s is cooling down%s%s: the first is tried again in %s.",
		    provider->name, call->sentence[0] != '\0' ? "; the last one: " : "", call->sentence,
		    text_duration(duration, sizeof(duration), wait_ms));
		client_reply(call->client, provider->api, 429, wait_ms > 0 ? wait_ms : 1000, sentence);
		return;
	}
	if (call->answer.is_error && call->answer.body.ended) {
		answer_pass_on(call);
		return;
	}
	status = call->outcome == FAILOVER_SILENT ? 504 : 502;
	snprintf(sentence, sizeof(sentence), "The relay got no answer from %s: %s.", provider->name,
	    call->sentence[0] != '\0' ? call->sentence : failover_outcome_name(call->outcome));
	client_reply(call->client, provider->api, status, -1, sentence);
}

/* Returns 0 or a negative errno: the connection is lost. */
static int send_request(struct call *call)
{
	const struct profile *profile = profile_of(call);
	const char *key = NULL;
	size_t key_length = 0;
	ssize_t length;

	if (!profile->is_gateways)
		key = keys_get(&call->relay->keys, call->provider->index, call->attempt.profile, &key_length);
	length = outgoing_write(call, profile, key, key_length);
	return length < 0 ? (int)length
	                  : upstream_request(call->upstream, call->relay->outgoing, (size_t)length);
}

/* The attempt is on its way; or it is known at once what became of it: false, and *report. */
static bool begin_attempt(struct call *call, struct failover_report *report)
{
	struct relay *relay = call->relay;
	const struct profile *profile = profile_of(call);
	size_t length;
	int result;

	*report = (struct failover_report){
	    .outcome = FAILOVER_REFUSED, .scope = FAILOVER_PROFILE, .retry_after_ms = -1};
	if (!profile->is_gateways &&
	    keys_get(&relay->keys, call->provider->index, call->attempt.profile, &length) == NULL) {
		report->outcome = FAILOVER_AUTH;
		snprintf(call->sentence, sizeof(call->sentence), "its key cannot be had");
		return false;
	}
	call->attempts++;
	call->attempt_ms = relay_now_ms(call->relay);
	for (bool fresh = false;; fresh = true) {
		bool was_reused;

		result = endpoint_connect(profile->endpoint, call, fresh);
		if (result == 0 && call->upstream->state == UPSTREAM_BUSY)
			result = send_request(call);
		if (result == 0)
			break;
		was_reused = call->upstream != NULL && call->upstream->reused;
		if (call->upstream != NULL)
			upstream_close(call->upstream);
		if (!was_reused) {
			snprintf(call->sentence, sizeof(call->sentence), "%s", strerror(-result));
			return false;
		}
	}
	deadline_set(&relay->deadlines, &call->clock, call->attempt.first_content_ms);
	return true;
}

/* Carries out a verdict, and those that follow from it at once. */
static void carry_out(struct call *call, enum failover_verdict verdict)
{
	struct provider *provider = call->provider;

	while (verdict == FAILOVER_TRY) {
		struct failover_report report;

		if (begin_attempt(call, &report))
			return;
		call->outcome = report.outcome;
		provider->profiles[call->attempt.profile].figures.outcomes[report.outcome]++;
		verdict = failover_failed(
		    &provider->failover, &call->failover, &report, relay_now_ms(call->relay), &call->attempt);
	}
	call->trying = false;
	conclude(call, verdict);
}

void call_failed(struct call *call, const struct failover_report *report, const char *sentence)
{
	struct provider *provider = call->provider;
	struct profile *profile = profile_of(call);
	struct failover_report seen = *report;
	uint32_t from = call->attempt.profile, to;
	enum failover_verdict verdict;

	/* The gateway renews its own logins, and knows best what a refusal of one means. */
	if (profile->is_gateways) {
		rotate_limited(call, report);
		seen.scope = FAILOVER_MODEL;
		if (seen.outcome == FAILOVER_AUTH)
			seen.outcome = FAILOVER_BAD_REQUEST;
	}
	profile->figures.outcomes[report->outcome]++;
	count_latency(call, report->outcome);
	call->outcome = report->outcome;
	snprintf(call->sentence, sizeof(call->sentence), "%s", sentence);
	deadline_clear(&call->clock);
	call->reading_error = false;
	if (call->upstream != NULL && call->answer.body.ended && call->answer.may_be_kept)
		upstream_keep(call->upstream);
	else if (call->upstream != NULL)
		upstream_close(call->upstream);
	verdict = failover_failed(
	    &provider->failover, &call->failover, &seen, relay_now_ms(call->relay), &call->attempt);
	/* The file may hold another key by now: the next call tries that one. */
	if (report->outcome == FAILOVER_AUTH && !profile->is_gateways &&
	    keys_refresh(&call->relay->keys, provider->index, from))
		failover_reset_profile(&provider->failover, from, relay_now_ms(call->relay));
	to = call->attempt.profile;
	if (verdict == FAILOVER_TRY) {
		answer_clear(call);
		profile->figures.failovers++;
		tell_failover(call, from, to, &seen);
	}
	carry_out(call, verdict);
	tell_changes(provider);
}

void call_lost(struct call *call, enum failover_outcome outcome, const char *sentence)
{
	struct upstream *upstream = call->upstream;
	const struct failover_report report = {.outcome = outcome,
	    /* Where nobody listens, no model does. */
	    .scope = outcome == FAILOVER_RESET ? FAILOVER_MODEL : FAILOVER_PROFILE,
	    .retry_after_ms = -1};

	/* A connection that was kept may have been closed by the other side just then: that is no failure. */
	if (upstream != NULL && upstream->reused && !upstream->heard && call->answer.status == 0) {
		upstream_close(upstream);
		if (endpoint_connect(profile_of(call)->endpoint, call, true) == 0)
			return;
	}
	call_failed(call, &report, sentence);
}

void call_ready(struct call *call)
{
	if (send_request(call) < 0)
		call_lost(call, FAILOVER_RESET, "the connection broke while the request was sent");
}

static void clock_passed(struct deadline *deadline)
{
	struct call *call = deadline->context;
	struct failover_report report = {
	    .outcome = FAILOVER_SILENT, .scope = FAILOVER_MODEL, .retry_after_ms = -1};
	char sentence[120], duration[32];

	relay_enter(call->relay);
	if (call->reading_error) {
		answer_closed(call, false);
		return;
	}
	/* Who was not given all of the request, or is not listened to because its reader is slow, is not
	 * silent. */
	if (!call->stored_whole || (call->upstream != NULL && call->upstream->paused)) {
		deadline_set(&call->relay->deadlines, deadline, call->attempt.gap_ms);
		return;
	}
	if (call->answer.committed) {
		report.outcome = FAILOVER_STALLED;
		snprintf(sentence, sizeof(sentence), "the model said nothing more for %s",
		    text_duration(duration, sizeof(duration), call->attempt.gap_ms));
		answer_break(call, &report, sentence);
		return;
	}
	snprintf(sentence, sizeof(sentence), "no content for %s",
	    text_duration(duration, sizeof(duration), relay_now_ms(call->relay) - call->attempt_ms));
	call_failed(call, &report, sentence);
}

/* Enough of the body is here to know the model: the first attempt. */
static void choose(struct call *call)
{
	struct provider *provider = call->provider;
	const struct segment *first = call->stored.first;
	size_t length = call->stored.length;
	enum failover_verdict verdict;
	uint64_t model = 0;
	char *copy = NULL;

	call->chosen = true;
	call->clock.passed = clock_passed;
	call->clock.context = call;
	if (length > RELAY_BODY_READ_MAX)
		length = RELAY_BODY_READ_MAX;
	if (first != NULL && first->end - first->start < length) {
		copy = malloc(length);
		if (copy != NULL)
			scan_request_read(copy, chain_copy(&call->stored, copy, length), &call->request);
		free(copy);
	} else if (first != NULL) {
		scan_request_read(first->bytes + first->start, length, &call->request);
	}
	if (call->request.model[0] != '\0')
		model = hash_bytes(call->request.model, strlen(call->request.model));
	/* A limit of one of the gateway's logins is none of another. */
	if (provider->has_gateways)
		model ^= call->credential;
	provider->calls++;
	rotate_seen(call);
	tell_call_began(call);
	verdict = failover_begin(&provider->failover, &call->failover, model, call->request.conversation,
	    relay_now_ms(call->relay), &call->attempt);
	call->trying = verdict == FAILOVER_TRY;
	carry_out(call, verdict);
}

void call_stored(struct call *call)
{
	/* A body of unknown length is sent as one chunk, once it is whole. */
	bool is_enough = call->stored_whole || (call->upload.kind == HTTP_BODY_LENGTH &&
	                                           call->stored.length >= RELAY_BODY_READ_MAX / 2);

	if (!call->chosen && is_enough)
		choose(call);
	else if (call->chosen && call->upstream != NULL && upstream_more(call->upstream) < 0 &&
	         !call->upstream->heard)
		call_lost(call, FAILOVER_RESET, "the connection broke while the request was sent");
}

void call_content(struct call *call)
{
	int64_t now_ms = relay_now_ms(call->relay);

	failover_content(&call->provider->failover, &call->failover, now_ms);
	call->content_ms = call->heard_ms = now_ms;
	count_latency(call, FAILOVER_ANSWERED);
	/* Only while it still goes out is it needed any more. */
	if (call->stored_whole && call->upstream != NULL &&
	    call->upstream->body.passed == call->stored.length && call->upstream->head == NULL) {
		call->upstream->body = (struct chain_cursor){0};
		forget_request(call);
	}
	deadline_set(&call->relay->deadlines, &call->clock, call->attempt.gap_ms);
	tell_changes(call->provider);
}

void call_heard(struct call *call)
{
	call->heard_ms = relay_now_ms(call->relay);
	deadline_set(&call->relay->deadlines, &call->clock, call->attempt.gap_ms);
}

void call_reading_error(struct call *call)
{
	if (call->reading_error)
		return;
	call->reading_error = true;
	deadline_set(&call->relay->deadlines, &call->clock, RELAY_ERROR_MS);
}

void call_passed_on(struct call *call)
{
	client_answered(part(call));
}

static void count_tokens(uint64_t *total, int64_t tokens)
{
	if (tokens > 0)
		*total += (uint64_t)tokens;
}

void call_over(struct call *call, const struct failover_report *report)
{
	struct provider *provider = call->provider;
	struct profile_figures *figures = &profile_of(call)->figures;
	const struct scan_usage *usage = &call->answer.scan.usage;

	figures->outcomes[report->outcome]++;
	count_tokens(&figures->input_tokens, usage->input_tokens);
	count_tokens(&figures->output_tokens, usage->output_tokens);
	count_tokens(&figures->cache_read_tokens, usage->cache_read_tokens);
	count_tokens(&figures->cache_write_tokens, usage->cache_write_tokens);
	failover_end(&provider->failover, &call->failover, report, relay_now_ms(call->relay));
	call->trying = false;
	client_answered(part(call));
	tell_changes(provider);
}

void call_abandon(struct call *call)
{
	struct provider *provider = call->provider;

	call_free(call);
	tell_changes(provider);
}
