#include "sentry/senses.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "sentry/tail.h"

#define PROTOCOL_WITH_INSPECTOR 4 /* OpenClaw's, from 2026.9 on */

/* Looks */

static void fill_look(struct pulse *pulse, struct health_look *look)
{
	struct senses *senses = pulse->context;
	const struct link *link = &senses->link;

	look->link = (uint16_t)link_result(link, look->at_ms);
	look->heard_ms = link_heard_ms(link);
	look->tick_interval_ms = link->state == LINK_UP ? link->tick_interval_ms : 0;
	look->link_failing_since_ms = link->failing_since_ms;
	/* Whether the old connection lives says nothing about new ones. */
	if (look->failing_since_ms != 0 && link->state != LINK_OFF)
		link_try(&senses->link);
	notify_look(&senses->notify, look);
}

/* What it says of itself in its own words: STATUS= of sd_notify(3), or what a probe that is a command
 * printed. */
static const char *own_words(const struct senses *senses)
{
	const char *status = notify_status(&senses->notify);

	return *status != '\0' ? status : check_line(&senses->pulse.check);
}

static void say_figures(struct senses *senses)
{
	struct message message = {.figures = senses->signs.figures};

	text_copy(message.figures.status, sizeof(message.figures.status), own_words(senses));
	text_copy(message.figures.version, sizeof(message.figures.version), senses->link.hello.version);
	text_copy(senses->words_told, sizeof(senses->words_told), own_words(senses));
	worker_send(senses->worker, MESSAGE_FIGURES, &message);
}

static void looked(struct pulse *pulse, const struct health_look *look)
{
	struct senses *senses = pulse->context;
	struct message message = {.health = *look};

	worker_send(senses->worker, MESSAGE_LOOKED, &message);
	if (strncmp(senses->words_told, own_words(senses), sizeof(senses->words_told) - 1) != 0)
		say_figures(senses);
}

void senses_look(struct senses *senses, const struct message_look *look)
{
	const struct settings *settings = senses->worker->settings;

	if (look->pace_ms <= 0) {
		senses_rest(senses);
		return;
	}
	pulse_set(&senses->pulse, look);
	/* Not while something speaks against the gateway itself. */
	channels_sense_watch(&senses->channels, look->gateway.generation,
	    settings->gateway.kind == GATEWAY_OPENCLAW && look->pace_ms >= settings->health.interval_ms);
	if (senses->gateway.generation == look->gateway.generation)
		return;
	senses->gateway = look->gateway;
	memory_sense_begin(&senses->memory, &look->gateway);
	memory_sense_watch(&senses->memory, true);
	orphans_sense_begin(&senses->orphans, &look->gateway);
	orphans_sense_watch(&senses->orphans, true);
	signs_start(
	    &senses->signs, look->gateway.generation, look->gateway.port, settings->health.interval_ms);
	if (settings->gateway.kind != GATEWAY_OPENCLAW || look->gateway.port == 0)
		return;
	sessions_sense_start(&senses->sessions, &look->gateway);
	link_start(&senses->link, look->gateway.generation, look->gateway.pid, look->gateway.port);
}

/* Sessions */

static int sessions_seen(struct sessions_sense *sense, struct message_sessions *looks)
{
	struct senses *senses = sense->context;
	struct message message = {.sessions = *looks};

	return worker_send(senses->worker, MESSAGE_SESSIONS, &message);
}

static void abort_answered(struct abort_sense *sense, const struct message_aborted *answer)
{
	struct senses *senses = sense->context;
	struct message message = {.aborted = *answer};

	worker_send(senses->worker, MESSAGE_ABORTED, &message);
}

static void link_event(struct link *link, const char *text, size_t length)
{
	struct senses *senses = link->context;

	sessions_sense_event(&senses->sessions, text, length);
}

void senses_abort(struct senses *senses, const struct message_abort *wanted)
{
	if (wanted->generation == senses->gateway.generation)
		abort_sense_begin(&senses->abort, wanted, &senses->gateway);
}

static void init_sessions(struct senses *senses)
{
	senses->sessions.loop = senses->abort.loop = &senses->worker->loop;
	senses->sessions.settings = senses->abort.settings = senses->worker->settings;
	senses->sessions.facts = senses->facts;
	senses->sessions.link = &senses->link;
	senses->sessions.looked = sessions_seen;
	senses->abort.book = &senses->sessions.book;
	senses->abort.answered = abort_answered;
	senses->sessions.context = senses->abort.context = senses;
	sessions_sense_init(&senses->sessions);
	abort_sense_init(&senses->abort);
}

/* Memory and orphans */

static void memory_looked(struct memory_sense *sense, const struct memory_look *look)
{
	struct senses *senses = sense->context;
	struct message message = {.memory = *look};

	worker_send(senses->worker, MESSAGE_MEMORY, &message);
}

static void orphans_looked(struct orphans_sense *sense, const struct orphans_look *look)
{
	struct senses *senses = sense->context;
	struct message message = {.orphans = *look};

	worker_send(senses->worker, MESSAGE_ORPHANS, &message);
}

/* Channels */

static void channel_looked(struct channels_sense *sense, const struct channel_look *look)
{
	struct senses *senses = sense->context;
	struct message message = {.channel = *look};

	worker_send(senses->worker, MESSAGE_CHANNEL, &message);
}

static void channels_puzzled(struct channels_sense *sense)
{
	struct senses *senses = sense->context;
	struct message message = {.finding = {.generation = senses->gateway.generation,
	                              .severity = SEVERITY_WARNING,
	                              .kind = "channel.unreadable"}};

	text_copy(message.finding.reason, sizeof(message.finding.reason),
	    "What the gateway says of its channels is not understood in all its parts; what is not "
	    "understood is "
	    "not acted on.");
	worker_send(senses->worker, MESSAGE_FINDING, &message);
}

static void channel_restarted(struct channel_restart *restart, const struct message_channel_restarted *result)
{
	struct senses *senses = restart->context;
	struct message message = {.channel_restarted = *result};

	channels_sense_hurry(&senses->channels);
	worker_send(senses->worker, MESSAGE_CHANNEL_RESTARTED, &message);
}

void senses_restart_channel(struct senses *senses, const struct message_channel_restart *wanted)
{
	if (wanted->generation != 0 && wanted->generation == senses->gateway.generation)
		channel_restart_begin(
		    &senses->channel_restart, wanted, senses->gateway.pid, senses->gateway.port);
}

static void init_channels(struct senses *senses)
{
	senses->channels.loop = senses->channel_restart.loop = &senses->worker->loop;
	senses->channels.settings = senses->channel_restart.settings = senses->worker->settings;
	senses->channels.context = senses->channel_restart.context = senses;
	senses->channels.link = &senses->link;
	senses->channels.looked = channel_looked;
	senses->channels.puzzled = channels_puzzled;
	senses->channel_restart.done = channel_restarted;
	channels_sense_init(&senses->channels);
	channel_restart_init(&senses->channel_restart);
}

static void init_tree_senses(struct senses *senses)
{
	senses->memory.loop = senses->orphans.loop = &senses->worker->loop;
	senses->memory.instance = senses->orphans.instance = senses->worker->settings->instance;
	senses->memory.context = senses->orphans.context = senses;
	senses->memory.looked = memory_looked;
	senses->orphans.facts = senses->facts;
	senses->orphans.looked = orphans_looked;
}

/* The promise was broken: that cannot wait. */
static void promise_missed(struct notify *notify)
{
	struct senses *senses = notify->context;

	pulse_look_now(&senses->pulse);
}

static void notify_said_ready(struct notify *notify)
{
	struct senses *senses = notify->context;

	senses->ready(senses);
}

static void notify_extended(struct notify *notify)
{
	struct senses *senses = notify->context;

	senses->progress(senses);
}

static void notify_stopping(struct notify *notify, int64_t budget_ms)
{
	struct senses *senses = notify->context;

	senses->draining(senses, budget_ms);
}

/* What it says of itself */

static void sign_found(struct signs *signs, const struct message_finding *finding)
{
	struct senses *senses = signs->context;
	struct message message = {.finding = *finding};

	worker_send(senses->worker, MESSAGE_FINDING, &message);
}

static void figures_changed(struct signs *signs)
{
	say_figures(signs->context);
}

static void link_said(struct link *link, const char *sentence)
{
	struct senses *senses = link->context;
	struct message message = {.finding = {.generation = senses->gateway.generation,
	                              .severity = SEVERITY_WARNING,
	                              .kind = "sentry.denied"}};

	text_copy(message.finding.reason, sizeof(message.finding.reason), sentence);
	worker_send(senses->worker, MESSAGE_FINDING, &message);
}

static void link_changed(struct link *link)
{
	struct senses *senses = link->context;

	sessions_sense_link_changed(&senses->sessions);
	say_figures(senses);
}

void senses_line(struct senses *senses, const char *line)
{
	char path[38];
	uint32_t port;

	autopsy_line(&senses->autopsy, line);
	if (inspector_read_address(line, &port, path) && port != senses->gateway.port)
		senses->pulse.inspector_port = port;
	if (senses->gateway.generation == 0)
		return;
	/* Anybody's output may be on the console: it is a reason to look, and no witness. */
	if (senses->facts->stuck_phrase != NULL && strstr(line, senses->facts->stuck_phrase) != NULL)
		sessions_sense_hint(&senses->sessions);
	signs_line(&senses->signs, line);
}

/* Autopsy */

static void examined(struct autopsy *autopsy, const struct autopsy_result *result)
{
	struct senses *senses = autopsy->context;
	struct message message = {
	    .examined = {
	        .generation = result->generation, .opened = result->opened, .took_ms = result->took_ms}};

	text_copy(message.examined.cause, sizeof(message.examined.cause), autopsy_cause_name(result->cause));
	text_copy(message.examined.sentence, sizeof(message.examined.sentence), result->sentence);
	text_copy(message.examined.advice, sizeof(message.examined.advice), result->advice);
	text_copy(message.examined.file, sizeof(message.examined.file), result->file);
	worker_send(senses->worker, MESSAGE_EXAMINED, &message);
}

/* Whether SIGUSR1 opens the inspector in this version; an older one restarts on it. */
static bool opens_inspector(const struct senses *senses)
{
	return senses->facts->opens_inspector &&
	       (senses->speaks_json || senses->link.hello.protocol >= PROTOCOL_WITH_INSPECTOR);
}

void senses_examine(struct senses *senses, const struct message_examine *examine)
{
	static char lines[TAIL_BYTES];
	const struct settings *settings = senses->worker->settings;
	const struct health_look *look = &senses->pulse.look;
	struct autopsy_request request = {.generation = examine->generation,
	    .pid = senses->pulse.pid,
	    .port = senses->gateway.port,
	    .blocked_ms = look->asked_ms != 0 ? clock_boot_ms() - look->asked_ms : 0,
	    .may_open = examine->may_open != 0 && opens_inspector(senses),
	    .console_lines = lines,
	    .directory = settings_string(settings, settings->runtime_dir)};
	struct message message = {.examined = {.generation = examine->generation,
	                              .cause = "unknown",
	                              .sentence = "Where the gateway hangs could not be found out."}};

	if (examine->generation != senses->gateway.generation)
		return;
	request.console_length = senses->last_lines(senses, lines);
	if (autopsy_begin(&senses->autopsy, &request) < 0)
		worker_send(senses->worker, MESSAGE_EXAMINED, &message);
}

/* Beginning and end */

static void init_notify(struct senses *senses)
{
	senses->notify.loop = &senses->worker->loop;
	senses->notify.settings = senses->worker->settings;
	senses->notify.ready = notify_said_ready;
	senses->notify.extended = notify_extended;
	senses->notify.stopping = notify_stopping;
	senses->notify.missed = promise_missed;
	senses->notify.context = senses;
	notify_init(&senses->notify);
}

void senses_init(struct senses *senses)
{
	static const char *const scopes[] = {"operator.read", NULL};
	struct loop *loop = &senses->worker->loop;
	const struct settings *settings = senses->worker->settings;

	senses->pulse.loop = senses->signs.loop = senses->autopsy.loop = loop;
	senses->pulse.settings = settings;
	senses->pulse.facts = senses->signs.facts = senses->facts;
	senses->pulse.fill = fill_look;
	senses->pulse.looked = looked;
	senses->signs.found = sign_found;
	senses->signs.changed = figures_changed;
	senses->autopsy.done = examined;
	senses->pulse.context = senses->signs.context = senses->autopsy.context = senses;
	pulse_init(&senses->pulse);
	signs_init(&senses->signs);
	autopsy_init(&senses->autopsy);
	init_notify(senses);
	init_tree_senses(senses);
	senses->link.loop = loop;
	senses->link.settings = settings;
	senses->link.scopes = scopes;
	senses->link.said = link_said;
	senses->link.changed = link_changed;
	senses->link.event = link_event;
	senses->link.context = senses;
	link_init(&senses->link);
	init_sessions(senses);
	init_channels(senses);
}

void senses_gateway_ready(struct senses *senses, bool speaks_json)
{
	senses->speaks_json = speaks_json;
}

void senses_rest(struct senses *senses)
{
	pulse_stop(&senses->pulse);
	signs_stop(&senses->signs);
	memory_sense_watch(&senses->memory, false);
	orphans_sense_watch(&senses->orphans, false);
	sessions_sense_stop(&senses->sessions);
	abort_sense_stop(&senses->abort);
	channels_sense_stop(&senses->channels);
	link_stop(&senses->link);
	senses->gateway.generation = 0;
}

void senses_gateway_gone(struct senses *senses)
{
	senses_rest(senses);
	channel_restart_cancel(&senses->channel_restart);
	autopsy_cancel(&senses->autopsy);
	notify_gateway_gone(&senses->notify);
	senses->speaks_json = false;
}

void senses_stop(struct senses *senses)
{
	senses_rest(senses);
	channel_restart_cancel(&senses->channel_restart);
	autopsy_cancel(&senses->autopsy);
	notify_stop(&senses->notify);
}
