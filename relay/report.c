/* What the relay says of itself on its port: /healthz, /profiles and /metrics. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "format/json_write.h"
#include "relay/relay.h"

#define REPORT_MAX (512 * 1024)

static void write_tokens(struct text *text, const struct profile_figures *figures)
{
	json_write_key(text, "tokens");
	json_write_begin(text, '{');
	json_write_key(text, "input");
	json_write_unsigned(text, figures->input_tokens);
	json_write_key(text, "output");
	json_write_unsigned(text, figures->output_tokens);
	json_write_key(text, "cacheRead");
	json_write_unsigned(text, figures->cache_read_tokens);
	json_write_key(text, "cacheWrite");
	json_write_unsigned(text, figures->cache_write_tokens);
	json_write_end(text, '}');
}

static void write_outcomes(struct text *text, const struct profile_figures *figures)
{
	json_write_key(text, "attempts");
	json_write_begin(text, '{');
	for (uint32_t i = 0; i < FAILOVER_OUTCOME_COUNT; i++) {
		if (figures->outcomes[i] == 0)
			continue;
		json_write_key(text, failover_outcome_name((enum failover_outcome)i));
		json_write_unsigned(text, figures->outcomes[i]);
	}
	json_write_end(text, '}');
	json_write_key(text, "failovers");
	json_write_unsigned(text, figures->failovers);
}

/* "ready", or why it is not used. */
static void write_state(struct text *text, const struct provider *provider, uint32_t index)
{
	struct failover_circuit circuit;
	int64_t now_ms = clock_boot_ms();
	char until[CLOCK_TEXT_MAX];
	size_t length;
	uint64_t model;

	if (!provider->profiles[index].is_gateways &&
	    keys_get(&provider->relay->keys, provider->index, index, &length) == NULL) {
		json_write_key(text, "state");
		json_write_string(text, "no_key");
		json_write_key(text, "why");
		json_write_string(text, keys_why(&provider->relay->keys, provider->index, index));
		return;
	}
	json_write_key(text, "state");
	if (!failover_profile_state(&provider->failover, index, now_ms, &circuit, &model)) {
		json_write_string(text, "ready");
		return;
	}
	json_write_string(text, circuit.until_ms <= now_ms ? "probing" : "cooling");
	json_write_key(text, "cause");
	json_write_string(text, failover_outcome_name(circuit.cause));
	json_write_key(text, "until");
	json_write_string(
	    text, clock_format(until, sizeof(until), clock_real_ms() + circuit.until_ms - now_ms));
}

static void write_profile(struct text *text, const struct provider *provider, uint32_t index)
{
	const struct profile *profile = &provider->profiles[index];

	json_write_begin(text, '{');
	json_write_key(text, "id");
	json_write_string(text, profile->id);
	json_write_key(text, "heldBy");
	json_write_string(text, profile->is_gateways ? "gateway" : "relay");
	write_state(text, provider, index);
	write_outcomes(text, &profile->figures);
	write_tokens(text, &profile->figures);
	json_write_end(text, '}');
}

static void write_profiles(struct relay *relay, struct text *text)
{
	json_write_begin(text, '{');
	json_write_key(text, "clients");
	json_write_unsigned(text, relay->client_count);
	json_write_key(text, "calls");
	json_write_unsigned(text, relay->call_count);
	json_write_key(text, "providers");
	json_write_begin(text, '[');
	for (uint32_t i = 0; i < relay->provider_count; i++) {
		const struct provider *provider = &relay->providers[i];

		json_write_begin(text, '{');
		json_write_key(text, "name");
		json_write_string(text, provider->name);
		json_write_key(text, "api");
		json_write_string(text, provider->api_name);
		json_write_key(text, "calls");
		json_write_unsigned(text, provider->calls);
		json_write_key(text, "allCooling");
		json_write_unsigned(text, provider->all_cooling);
		json_write_key(text, "profiles");
		json_write_begin(text, '[');
		for (uint32_t j = 0; j < provider->profile_count; j++)
			write_profile(text, provider, j);
		json_write_end(text, ']');
		json_write_end(text, '}');
	}
	json_write_end(text, ']');
	json_write_end(text, '}');
	text_add(text, "\n");
}

static void write_histogram(
    struct text *text, const struct provider *provider, const struct profile *profile, uint32_t outcome)
{
	const struct profile_figures *figures = &profile->figures;
	const char *name = failover_outcome_name((enum failover_outcome)outcome);
	uint64_t count = 0;

	for (uint32_t i = 0; i < RELAY_HISTOGRAM; i++) {
		count += figures->latency[outcome][i];
		if (i == RELAY_HISTOGRAM - 1)
			text_addf(text,
			    "holdfast_relay_attempt_seconds_bucket{provider=\"%s\",profile=\"%s\",outcome=\"%"
			    "s\",le=\"+Inf\"}"
			    " %" PRIu64 "\n",
			    provider->name, profile->id, name, count);
		else
			text_addf(text,
			    "holdfast_relay_attempt_seconds_bucket{provider=\"%s\",profile=\"%s\",outcome=\"%"
			    "s\",le=\"%g\"}"
			    " %" PRIu64 "\n",
			    provider->name, profile->id, name, (double)(1u << i) / 1000, count);
	}
	text_addf(text,
	    "holdfast_relay_attempt_seconds_sum{provider=\"%s\",profile=\"%s\",outcome=\"%s\"} %g\n"
	    "holdfast_relay_attempt_seconds_count{provider=\"%s\",profile=\"%s\",outcome=\"%s\"} %" PRIu64
	    "\n",
	    provider->name, profile->id, name, (double)figures->latency_sum_ms[outcome] / 1000,
	    provider->name, profile->id, name, count);
}

typedef void write_figures(struct text *text, const struct provider *provider, const struct profile *profile);

/* Names of providers and profiles need no escape: letters, digits and ".", "_", ":", "@", "-". */
static void each_profile(struct relay *relay, struct text *text, write_figures *write_each)
{
	for (uint32_t i = 0; i < relay->provider_count; i++)
		for (uint32_t j = 0; j < relay->providers[i].profile_count; j++)
			write_each(text, &relay->providers[i], &relay->providers[i].profiles[j]);
}

static void write_attempts(struct text *text, const struct provider *provider, const struct profile *profile)
{
	for (uint32_t i = 0; i < FAILOVER_OUTCOME_COUNT; i++)
		if (profile->figures.outcomes[i] > 0)
			text_addf(text,
			    "holdfast_relay_attempts_total{provider=\"%s\",profile=\"%s\",outcome=\"%s\"} "
			    "%" PRIu64 "\n",
			    provider->name, profile->id, failover_outcome_name((enum failover_outcome)i),
			    profile->figures.outcomes[i]);
}

static void write_latency(struct text *text, const struct provider *provider, const struct profile *profile)
{
	for (uint32_t i = 0; i < FAILOVER_OUTCOME_COUNT; i++)
		if (profile->figures.outcomes[i] > 0)
			write_histogram(text, provider, profile, i);
}

static void write_failovers(struct text *text, const struct provider *provider, const struct profile *profile)
{
	text_addf(text, "holdfast_relay_failovers_total{provider=\"%s\",profile=\"%s\"} %" PRIu64 "\n",
	    provider->name, profile->id, profile->figures.failovers);
}

static void write_usage(struct text *text, const struct provider *provider, const struct profile *profile)
{
	const struct profile_figures *figures = &profile->figures;
	const struct {
		const char *kind;
		uint64_t tokens;
	} kinds[] = {{"input", figures->input_tokens}, {"output", figures->output_tokens},
	    {"cache_read", figures->cache_read_tokens}, {"cache_write", figures->cache_write_tokens}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		text_addf(text,
		    "holdfast_relay_tokens_total{provider=\"%s\",profile=\"%s\",kind=\"%s\"} %" PRIu64 "\n",
		    provider->name, profile->id, kinds[i].kind, kinds[i].tokens);
}

static void write_metrics(struct relay *relay, struct text *text)
{
	text_add(text, "# HELP holdfast_relay_attempts_total Attempts by what became of them.\n"
	               "# TYPE holdfast_relay_attempts_total counter\n");
	each_profile(relay, text, write_attempts);
	text_add(text, "# HELP holdfast_relay_failovers_total Calls that went on to another profile after "
	               "this one failed.\n"
	               "# TYPE holdfast_relay_failovers_total counter\n");
	each_profile(relay, text, write_failovers);
	text_add(text,
	    "# HELP holdfast_relay_attempt_seconds From an attempt's beginning to its first content, or its "
	    "failure.\n"
	    "# TYPE holdfast_relay_attempt_seconds histogram\n");
	each_profile(relay, text, write_latency);
	text_add(text, "# HELP holdfast_relay_tokens_total Tokens as the answers count them.\n"
	               "# TYPE holdfast_relay_tokens_total counter\n");
	each_profile(relay, text, write_usage);
	text_addf(text,
	    "# HELP holdfast_relay_calls Calls under way.\n# TYPE holdfast_relay_calls gauge\n"
	    "holdfast_relay_calls %" PRIu32
	    "\n# HELP holdfast_relay_refused_total Connections of other users' processes that were refused.\n"
	    "# TYPE holdfast_relay_refused_total counter\nholdfast_relay_refused_total %" PRIu64 "\n",
	    relay->call_count, relay->refused_foreign);
}

bool report_write(struct relay *relay, const char *path, bool keep_alive, struct chain *out)
{
	bool is_metrics = strcmp(path, "/metrics") == 0, is_profiles = strcmp(path, "/profiles") == 0;
	char *buffer, head[256];
	struct text text;
	int length;

	if (!is_metrics && !is_profiles && strcmp(path, "/healthz") != 0)
		return false;
	buffer = malloc(REPORT_MAX);
	if (buffer == NULL)
		return false;
	text_init(&text, buffer, REPORT_MAX);
	if (is_metrics)
		write_metrics(relay, &text);
	else if (is_profiles)
		write_profiles(relay, &text);
	else
		text_add(&text, "{\"status\":\"ok\"}");
	length = snprintf(head, sizeof(head),
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
	    "Connection: %s\r\n\r\n",
	    text.truncated ? "500 Internal Server Error" : "200 OK",
	    is_metrics ? "text/plain; version=0.0.4" : "application/json", text.truncated ? 0 : text.length,
	    keep_alive ? "keep-alive" : "close");
	if (chain_add(out, &relay->segments, head, (size_t)length) == 0 && !text.truncated)
		chain_add(out, &relay->segments, buffer, text.length);
	free(buffer);
	return true;
}
