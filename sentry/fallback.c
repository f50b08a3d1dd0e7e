#include "sentry/fallback.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "format/json_write.h"

#define TICK_MS 10 /* of start times in /proc: USER_HZ is 100 on every machine we run on */

static void say(struct fallback *fallback, const char *kind, enum event_severity severity,
    const char *sentence, const char *path)
{
	struct message message = {0};
	struct text evidence;

	message.finding.generation = fallback->generation;
	message.finding.severity = severity;
	text_copy(message.finding.kind, sizeof(message.finding.kind), kind);
	text_copy(message.finding.reason, sizeof(message.finding.reason), sentence);
	text_init(&evidence, message.finding.evidence, sizeof(message.finding.evidence));
	json_write_begin(&evidence, '{');
	json_write_key(&evidence, "path");
	json_write_string(&evidence, path);
	json_write_end(&evidence, '}');
	if (evidence.truncated)
		text_copy(message.finding.evidence, sizeof(message.finding.evidence), "{}");
	worker_send(fallback->worker, MESSAGE_FINDING, &message);
}

static void kept(struct known_good *known_good, const char *path)
{
	say(known_good->context, "config.kept", SEVERITY_INFO,
	    "The gateway has been well with its configuration for five minutes: a copy of it was kept aside.",
	    path);
}

static void failed(struct known_good *known_good, const char *sentence)
{
	const struct settings *settings = known_good->settings;

	say(known_good->context, "config.not_kept", SEVERITY_WARNING, sentence,
	    settings_string(settings, settings->gateway.config_path));
}

static void answer(struct fallback *fallback, bool valid, const char *why)
{
	struct message message = {0};

	message.validated.generation = fallback->generation;
	message.validated.valid = valid;
	text_copy(message.validated.why, sizeof(message.validated.why), why);
	worker_send(fallback->worker, MESSAGE_VALIDATED, &message);
}

static void answered(struct validate *validate, enum validate_answer what, const char *why)
{
	struct fallback *fallback = validate->context;

	/* Where nobody can be asked, a start must tell; what is no JSON5 needs none. */
	if (what == VALIDATE_UNKNOWN)
		answer(fallback, !fallback->broken, fallback->broken ? "it is no JSON5" : "");
	else
		answer(fallback, what == VALIDATE_VALID, why);
}

static const char *gateway_variable(const struct settings *settings, const char *name)
{
	size_t length = strlen(name);

	for (uint32_t i = 0; i < settings->gateway.variable_count; i++) {
		const char *value = settings_string(settings, settings->gateway.variables[i]);

		if (strncmp(value, name, length) == 0 && value[length] == '=')
			return value + length + 1;
	}
	return getenv(name);
}

/* OpenClaw looks for its .env, skills and extensions in OPENCLAW_STATE_DIR or, without it, beside a
 * configuration file that OPENCLAW_CONFIG_PATH names. One in a place of its own cannot be replaced by a copy
 * elsewhere, then. */
static bool reads_state_apart(const struct settings *settings)
{
	const char *set = gateway_variable(settings, "OPENCLAW_STATE_DIR");
	const char *state = settings_string(settings, settings->gateway.state_directory);
	const char *path = settings_string(settings, settings->gateway.config_path);
	size_t length = strlen(state);

	if (settings->gateway.kind != GATEWAY_OPENCLAW)
		return false;
	return (set != NULL && set[0] != '\0') || (strncmp(path, state, length) == 0 && path[length] == '/' &&
	                                              strchr(path + length + 1, '/') == NULL);
}

void fallback_init(struct fallback *fallback, struct worker *worker, const struct gateway_facts *facts)
{
	fallback->worker = worker;
	fallback->known_good = (struct known_good){.loop = &worker->loop,
	    .settings = worker->settings,
	    .after_ms = KNOWN_GOOD_AFTER_MS,
	    .reads_state_apart = reads_state_apart(worker->settings),
	    .kept = kept,
	    .failed = failed,
	    .context = fallback};
	known_good_init(&fallback->known_good);
	fallback->validate.loop = &worker->loop;
	fallback->validate.settings = worker->settings;
	fallback->validate.facts = facts;
	fallback->validate.max_ms = VALIDATE_MAX_MS;
	fallback->validate.answered = answered;
	fallback->validate.context = fallback;
	validate_init(&fallback->validate);
}

void fallback_started(struct fallback *fallback, const struct message_gateway *gateway)
{
	if (gateway->generation == fallback->generation)
		return;
	fallback->generation = gateway->generation;
	fallback->from_copy = gateway->fallback != 0;
	known_good_started(
	    &fallback->known_good, (int64_t)gateway->start_time * TICK_MS, fallback->from_copy);
}

void fallback_restarts(struct fallback *fallback)
{
	if (!fallback->from_copy)
		known_good_started(&fallback->known_good, clock_boot_ms(), false);
}

void fallback_look(struct fallback *fallback, int64_t pace_ms)
{
	if (pace_ms >= fallback->worker->settings->health.interval_ms)
		known_good_well(&fallback->known_good);
	else
		known_good_doubted(&fallback->known_good);
}

void fallback_gone(struct fallback *fallback)
{
	known_good_gone(&fallback->known_good);
}

bool fallback_prepare(struct fallback *fallback)
{
	return known_good_prepare(&fallback->known_good);
}

void fallback_validate(struct fallback *fallback)
{
	if (known_good_is_refused(&fallback->known_good, &fallback->broken))
		answer(fallback, false, ""); /* not changed since: there is nothing new to say */
	else
		validate_begin(&fallback->validate, environ);
}

void fallback_finish(struct fallback *fallback)
{
	known_good_finish(&fallback->known_good);
	validate_finish(&fallback->validate);
}
