/* Channels of a gateway that is well: the sentry's looks go to the core's judge (core/channels.h), and the
 * sentry is asked to restart what that calls dead. The core's table hears nothing of it: no channel is a
 * reason to restart the gateway.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "format/json_write.h"
#include "supervise/supervisor.h"

#define LOOK_INTERVALS  2
#define ERROR_SHOWN_MAX 120

void channels_prepare(struct supervisor *supervisor)
{
	const struct settings *settings = supervisor->settings;

	supervisor->channels.settings =
	    (struct channels_settings){.dead_ms = LOOK_INTERVALS * settings->health.interval_ms,
	        .restarts = settings->gateway.auto_restart.on_dead_channel};
	channels_init(&supervisor->channels.channels, &supervisor->channels.settings);
}

static void add_text(struct text *json, const char *key, const char *value)
{
	json_write_key(json, key);
	json_write_string(json, value);
}

static void add_word(struct text *json, const char *key, uint32_t word)
{
	json_write_key(json, key);
	if (word == CHANNEL_UNSAID)
		json_write_null(json);
	else
		json_write_bool(json, word == CHANNEL_YES);
}

static void add_number(struct text *json, const char *key, int64_t value)
{
	json_write_key(json, key);
	json_write_integer(json, value);
}

static void write_look(struct text *json, const struct channel_look *look,
    const struct channels_verdict *verdict, const char *error)
{
	json_write_begin(json, '{');
	add_text(json, "channel", look->channel);
	add_text(json, "account", look->account);
	add_word(json, "running", look->running);
	add_word(json, "connected", look->connected);
	add_text(json, "health", channel_health_name((enum channel_health)look->health));
	add_number(json, "own_restarts", look->restarts);
	add_number(json, "dead_ms", verdict->dead_ms);
	add_number(json, "tries", verdict->tries);
	if (error[0] != '\0')
		add_text(json, "error", error);
	json_write_end(json, '}');
}

/* What the judgement rests on. `bytes` is EVENT_EVIDENCE_MAX long. */
static const char *evidence_of(
    char *bytes, const struct channel_look *look, const struct channels_verdict *verdict)
{
	struct text json;

	text_init(&json, bytes, EVENT_EVIDENCE_MAX);
	write_look(&json, look, verdict, look->error);
	if (!json.truncated)
		return bytes;
	text_init(&json, bytes, EVENT_EVIDENCE_MAX);
	write_look(&json, look, verdict, "");
	return json.truncated ? "{}" : bytes;
}

/* What is done about a dead one, or why nothing is. */
static const char *remedy_of(const struct supervisor *supervisor, const struct channel_look *look)
{
	if (!look->has_ladder)
		return "This version of OpenClaw has no call that restarts a channel, so nothing is done: "
		       "\"holdfast "
		       "restart\" restarts the gateway with all of them";
	if (!supervisor->channels.settings.restarts)
		return "Nothing is done, because gateway.autoRestart.onDeadChannel is off";
	return "It is restarted; the gateway is not";
}

static void tell_dead(
    struct supervisor *supervisor, const struct channel_look *look, const struct channels_verdict *verdict)
{
	char evidence[EVENT_EVIDENCE_MAX], duration[32];

	events_record(supervisor, "channel.dead", SEVERITY_WARNING, 0, evidence_of(evidence, look, verdict),
	    "The channel %s (account %s) is dead by the gateway's own word for %s (%.*s). %s.", look->channel,
	    look->account, text_duration(duration, sizeof(duration), verdict->dead_ms), ERROR_SHOWN_MAX,
	    look->error[0] != '\0' ? look->error : channel_health_name((enum channel_health)look->health),
	    remedy_of(supervisor, look));
}

static void tell_recovered(
    struct supervisor *supervisor, const struct channel_look *look, const struct channels_verdict *verdict)
{
	char evidence[EVENT_EVIDENCE_MAX], duration[32];

	events_record(supervisor, "channel.recovered", SEVERITY_INFO, 0, evidence_of(evidence, look, verdict),
	    "The channel %s (account %s) works again after %s.", look->channel, look->account,
	    text_duration(duration, sizeof(duration), verdict->dead_ms));
}

/* `why`: a sentence's end. */
static void tell_failed(struct supervisor *supervisor, const struct channel_look *look,
    const struct channels_verdict *verdict, const char *why)
{
	char evidence[EVENT_EVIDENCE_MAX], duration[32], next[96];

	if (verdict->last && verdict->state == CHANNEL_REFUSED)
		text_copy(next, sizeof(next), "It is not tried again: see to what its server says of it");
	else
		snprintf(next, sizeof(next), "The next try is in %s%s",
		    text_duration(duration, sizeof(duration), verdict->next_ms),
		    verdict->last ? ", and is not told of until it works" : "");
	events_record(supervisor, "channel.restart_failed", SEVERITY_WARNING, 0,
	    evidence_of(evidence, look, verdict),
	    "The restart of the channel %s (account %s) did not help: %.*s. %s.", look->channel,
	    look->account, ERROR_SHOWN_MAX, why, next);
}

static void ask_restart(struct supervisor *supervisor, const struct channel_look *look)
{
	struct message message = {
	    .channel_restart = {.generation = look->generation, .stop = look->running == CHANNEL_YES}};

	text_copy(message.channel_restart.channel, sizeof(message.channel_restart.channel), look->channel);
	text_copy(message.channel_restart.account, sizeof(message.channel_restart.account), look->account);
	worker_say(supervisor, WORKER_SENTRY, MESSAGE_CHANNEL_RESTART, &message, -1);
}

static void looked(struct supervisor *supervisor, const struct channel_look *look)
{
	const struct supervision *machine = &supervisor->machine;
	struct channels_verdict verdict;

	if (look->generation != machine->generation || !machine->alive)
		return;
	channels_step(&supervisor->channels.channels, look,
	    machine->state == STATE_RUNNING && !supervision_is_paused(machine, clock_boot_ms()), &verdict);
	if (verdict.dead)
		tell_dead(supervisor, look, &verdict);
	if (verdict.restart)
		ask_restart(supervisor, look);
	if (verdict.recovered)
		tell_recovered(supervisor, look, &verdict);
	if (verdict.failed)
		tell_failed(
		    supervisor, look, &verdict, look->error[0] != '\0' ? look->error : "it is not connected");
}

static void restarted(struct supervisor *supervisor, const struct message_channel_restarted *result)
{
	struct channel_look look = {.generation = result->generation};
	char evidence[EVENT_EVIDENCE_MAX];
	struct channels_verdict verdict;

	if (result->generation != supervisor->machine.generation || !supervisor->machine.alive)
		return;
	channels_restarted(&supervisor->channels.channels, result->channel, result->account,
	    (enum channel_outcome)result->outcome, clock_boot_ms(), &verdict);
	text_copy(look.channel, sizeof(look.channel), result->channel);
	text_copy(look.account, sizeof(look.account), result->account);
	text_copy(look.error, sizeof(look.error), result->sentence);
	if (result->outcome == CHANNEL_STARTED && verdict.tries > 0 && !verdict.quiet)
		events_record(supervisor, "channel.restarted", SEVERITY_INFO, 0,
		    evidence_of(evidence, &look, &verdict),
		    "The channel %s (account %s) was restarted (try %" PRIu32
		    "); whether it connects is seen within "
		    "two minutes.",
		    look.channel, look.account, verdict.tries);
	if (verdict.failed)
		tell_failed(supervisor, &look, &verdict,
		    result->outcome == CHANNEL_LEFT_STOPPED ? "it was stopped, and not started" : look.error);
}

void channels_said(struct supervisor *supervisor, const struct message *message)
{
	if (message->type == MESSAGE_CHANNEL)
		looked(supervisor, &message->channel);
	else if (message->type == MESSAGE_CHANNEL_RESTARTED)
		restarted(supervisor, &message->channel_restarted);
}
