#include "sentry/channel_restart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "format/json_write.h"
#include "sentry/autopsy.h"

#define PARAMETERS_BYTES 1024

static void tell(struct channel_restart *restart, const struct message_channel_restart *wanted,
    enum channel_outcome outcome, const char *sentence)
{
	struct message_channel_restarted result = {.generation = wanted->generation, .outcome = outcome};

	text_copy(result.channel, sizeof(result.channel), wanted->channel);
	text_copy(result.account, sizeof(result.account), wanted->account);
	text_copy(result.sentence, sizeof(result.sentence), sentence);
	autopsy_clean(result.sentence);
	restart->done(restart, &result);
}

static void finish(struct channel_restart *restart, enum channel_outcome outcome, const char *sentence)
{
	struct message_channel_restart wanted = restart->wanted;

	/* What was stopped here, or may have been, and was not started. */
	if (outcome != CHANNEL_STARTED && restart->stop_asked)
		outcome = CHANNEL_LEFT_STOPPED;
	channel_restart_cancel(restart);
	tell(restart, &wanted, outcome, sentence);
}

static void connect_again(struct loop_timer *timer)
{
	struct channel_restart *restart = timer->context;

	restart->connections++;
	link_start(&restart->link, ++restart->attempt, restart->pid, restart->port);
}

/* The connection ended, or was not to be had. */
static void lost(struct channel_restart *restart)
{
	link_stop(&restart->link);
	if (restart->connections >= CHANNEL_RESTART_CONNECTIONS)
		finish(restart, CHANNEL_UNREACHABLE, "no connection to the gateway could be had");
	else
		loop_timer_arm(restart->loop, &restart->again, clock_boot_ms() + CHANNEL_RESTART_AGAIN_MS);
}

static bool request(struct channel_restart *restart, const char *method, link_answered *answered)
{
	char bytes[PARAMETERS_BYTES];
	struct text text;

	text_init(&text, bytes, sizeof(bytes));
	json_write_begin(&text, '{');
	json_write_key(&text, "channel");
	json_write_string(&text, restart->wanted.channel);
	json_write_key(&text, "accountId");
	json_write_string(&text, restart->wanted.account);
	json_write_end(&text, '}');
	return !text.truncated &&
	       link_request(&restart->link, method, bytes, CHANNEL_RESTART_STEP_MS, answered, restart) == 0;
}

static const struct json_value *member(
    const struct link_frame *frame, const struct json_value *object, const char *key, enum json_type type)
{
	const struct json_value *value = object != NULL ? json_find(frame->document, object, key) : NULL;

	return value != NULL && value->type == type ? value : NULL;
}

/* {"started":true,"outcome":{"status":"handed-off"}}; else "skipped" or "retry", with a reason. */
static void started(struct link *link, int result, const struct link_frame *frame, void *context)
{
	struct channel_restart *restart = context;
	const struct json_value *outcome, *status, *reason, *is_running;
	char sentence[160];

	(void)link;
	if (result == -ECONNRESET || result == -ETIMEDOUT) {
		lost(restart);
		return;
	}
	if (result < 0 || !frame->ok) {
		snprintf(sentence, sizeof(sentence), "%.40s: %.100s", frame != NULL ? frame->code : "",
		    frame != NULL ? frame->sentence : "");
		finish(restart, CHANNEL_NOT_STARTED, sentence);
		return;
	}
	outcome = member(frame, frame->payload, "outcome", JSON_OBJECT);
	status = member(frame, outcome, "status", JSON_STRING);
	reason = member(frame, outcome, "reason", JSON_STRING);
	is_running = member(frame, frame->payload, "started", JSON_BOOL);
	/* On a later connection it runs by what was asked on an earlier one. */
	if ((status != NULL && json_string_is(status, "handed-off")) ||
	    (restart->connections > 1 && is_running != NULL && is_running->boolean)) {
		finish(restart, CHANNEL_STARTED, "");
		return;
	}
	snprintf(sentence, sizeof(sentence), "%.40s: %.100s",
	    status != NULL ? status->string.bytes : "no outcome",
	    reason != NULL ? reason->string.bytes : "no reason");
	finish(restart, CHANNEL_NOT_STARTED, sentence);
}

static void start(struct channel_restart *restart)
{
	if (!request(restart, "channels.start", started))
		lost(restart);
}

/* Whatever it says: a start follows, for it takes back that somebody wanted it stopped. */
static void stopped(struct link *link, int result, const struct link_frame *frame, void *context)
{
	struct channel_restart *restart = context;

	(void)link;
	if (result == -ECONNRESET) {
		lost(restart);
		return;
	}
	/* Refused, it runs on as it was; UNAVAILABLE is a stop that went wrong. */
	if (result == 0 && !frame->ok && strcmp(frame->code, "UNAVAILABLE") != 0)
		restart->stop_asked = false;
	start(restart);
}

static void link_changed(struct link *link)
{
	struct channel_restart *restart = link->context;

	if (restart->wanted.generation == 0)
		return;
	if (link->state == LINK_DENIED) {
		finish(restart, CHANNEL_UNREACHABLE, "the gateway does not accept its secret");
	} else if (link->state == LINK_OFF && link->last_result != PROBE_UNK) {
		/* With requests under way their answers say so. */
		if (link->ever_up)
			return;
		lost(restart);
	} else if (link->state == LINK_UP) {
		if (restart->wanted.stop == 0 || restart->stop_asked) {
			start(restart);
			return;
		}
		restart->stop_asked = true;
		if (!request(restart, "channels.stop", stopped)) {
			restart->stop_asked = false;
			lost(restart);
		}
	}
}

void channel_restart_init(struct channel_restart *restart)
{
	static const char *const scopes[] = {"operator.read", "operator.admin", NULL};

	restart->again = (struct loop_timer){.callback = connect_again, .context = restart};
	restart->link.loop = restart->loop;
	restart->link.settings = restart->settings;
	restart->link.scopes = scopes;
	restart->link.once = true;
	restart->link.changed = link_changed;
	restart->link.context = restart;
	link_init(&restart->link);
}

void channel_restart_begin(
    struct channel_restart *restart, const struct message_channel_restart *wanted, int pid, uint32_t port)
{
	if (restart->wanted.generation != 0) {
		tell(restart, wanted, CHANNEL_UNREACHABLE, "another channel is being restarted");
		return;
	}
	restart->wanted = *wanted;
	restart->pid = pid;
	restart->port = port;
	restart->connections = 0;
	restart->stop_asked = false;
	connect_again(&restart->again);
}

void channel_restart_cancel(struct channel_restart *restart)
{
	restart->wanted.generation = 0;
	link_stop(&restart->link);
	if (restart->again.loop != NULL)
		loop_timer_arm(restart->loop, &restart->again, 0);
}
