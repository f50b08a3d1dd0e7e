#include "cli/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/print.h"

#define LINE_MAX_BYTES 1024

/* What a state means, and what to do about it. */
static const struct state_words {
	const char *state;
	enum colour colour;
	const char *sentence; /* followed by ", for 12 s." */
	const char *advice;
} state_words[] = {
    {"running", COLOUR_GREEN, "The gateway is running and ready", NULL},
    {"starting", COLOUR_YELLOW, "The gateway is starting", NULL},
    {"adopting", COLOUR_YELLOW, "The gateway of an earlier supervisor goes on, and is being taken over",
        NULL},
    {"suspect", COLOUR_YELLOW, "The gateway is running, and something speaks against its health", NULL},
    {"examining", COLOUR_RED, "The gateway hangs; why is being found out before it is replaced", NULL},
    {"draining", COLOUR_YELLOW, "The gateway is finishing what it has in hand before it ends", NULL},
    {"killing", COLOUR_YELLOW, "The gateway's processes are being removed", NULL},
    {"backing-off", COLOUR_RED, "The gateway is down and waits for its next start",
        "\"holdfast start --force\" starts it now"},
    {"parked", COLOUR_RED, "The gateway is down, and a start would fail",
        "once the cause is mended, \"holdfast start\" starts it at once"},
    {"stopped", COLOUR_RED, "The gateway is stopped", "\"holdfast start\" starts it"},
};

static void line(const char *label, const char *text)
{
	printf("  %-11s ", label);
	print_text(text);
	putchar('\n');
}

static const struct state_words *find_words(const char *state)
{
	for (size_t i = 0; i < sizeof(state_words) / sizeof(state_words[0]); i++)
		if (strcmp(state_words[i].state, state) == 0)
			return &state_words[i];
	return NULL;
}

static const char *between(char *target, size_t size, int64_t from_ms, int64_t to_ms)
{
	return text_duration(target, size, to_ms > from_ms ? to_ms - from_ms : 0);
}

static void print_state(const struct control_reply *reply)
{
	const struct state_words *words = find_words(reply->state);
	char sentence[LINE_MAX_BYTES], duration[32];
	struct text text;

	text_init(&text, sentence, sizeof(sentence));
	if (words != NULL)
		text_add(&text, words->sentence);
	else
		text_addf(&text, "The gateway is in the state \"%s\"", reply->state);
	if (reply->state_since_ms > 0)
		text_addf(&text, ", for %s",
		    between(duration, sizeof(duration), reply->state_since_ms, reply->real_ms));
	text_add(&text, ".");
	print_coloured(words != NULL ? words->colour : COLOUR_NONE, sentence);
	putchar('\n');
}

static void print_next(const struct control_reply *reply)
{
	const struct state_words *words = find_words(reply->state);
	bool waits = strcmp(reply->state, "backing-off") == 0 || strcmp(reply->state, "parked") == 0;
	char sentence[LINE_MAX_BYTES], duration[32];
	struct text text;

	text_init(&text, sentence, sizeof(sentence));
	if (waits && reply->next_try_ms > 0 && reply->next_try_ms < INT64_MAX)
		text_addf(&text, "tried again in %s",
		    between(duration, sizeof(duration), reply->real_ms, reply->next_try_ms));
	if (words != NULL && words->advice != NULL)
		text_addf(&text, "%s%s", text.length > 0 ? "; " : "", words->advice);
	if (text.length > 0)
		line("next", sentence);
	if (reply->paused_until_ms == 0)
		return;
	if (reply->paused_until_ms == INT64_MAX) {
		line("paused", "nothing is done until \"holdfast resume\"");
		return;
	}
	text_init(&text, sentence, sizeof(sentence));
	text_addf(&text, "nothing is done for %s more; \"holdfast resume\" ends it",
	    between(duration, sizeof(duration), reply->real_ms, reply->paused_until_ms));
	line("paused", sentence);
}

static void print_gateway(const struct control_reply *reply)
{
	char sentence[LINE_MAX_BYTES], duration[32];
	struct text text;

	text_init(&text, sentence, sizeof(sentence));
	text_add(&text, reply->gateway.kind[0] != '\0' ? reply->gateway.kind : "gateway");
	if (reply->gateway.pid != 0)
		text_addf(&text, ", pid %d", reply->gateway.pid);
	if (reply->gateway.port != 0)
		text_addf(&text, ", port %u", reply->gateway.port);
	if (reply->gateway.pid != 0 && reply->gateway.started_ms > 0)
		text_addf(&text, ", started %s ago",
		    between(duration, sizeof(duration), reply->gateway.started_ms, reply->real_ms));
	if (reply->gateway.restarts > 0)
		text_addf(&text, ", restarted %" PRIu64 " %s", reply->gateway.restarts,
		    reply->gateway.restarts == 1 ? "time" : "times");
	line("gateway", sentence);
	if (reply->gateway.command[0] == '\0')
		return;
	text_init(&text, sentence, sizeof(sentence));
	text_add(&text, reply->gateway.command);
	if (text.length == sizeof(reply->gateway.command) - 1)
		text_add(&text, "..."); /* it was cut */
	line("command", sentence);
}

/* "answered 4 s ago (L7OK), WebSocket heard 12 s ago (WSOK)" */
static void print_health(const struct control_reply *reply)
{
	const struct control_health *health = &reply->health;
	char sentence[LINE_MAX_BYTES], duration[32];
	struct text text;

	if (health->state[0] == '\0')
		return;
	text_init(&text, sentence, sizeof(sentence));
	text_add(&text, health->state);
	if (health->answered_ms > 0)
		text_addf(&text, ", answered %s ago",
		    between(duration, sizeof(duration), health->answered_ms, reply->real_ms));
	if (health->unanswered > 0)
		text_addf(&text, ", %u probes unanswered", health->unanswered);
	text_addf(&text, " (%s", health->probe);
	if (health->heard_ms > 0)
		text_addf(&text, "; WebSocket %s, heard %s ago", health->link,
		    between(duration, sizeof(duration), health->heard_ms, reply->real_ms));
	text_add(&text, ")");
	if (health->loop_delay_max_ms >= 0)
		text_addf(&text, ", its event loop was at most %d ms late", health->loop_delay_max_ms);
	line("health", sentence);
	if (health->failing[0] != '\0')
		line("not ready", health->failing);
	if (health->said[0] != '\0')
		line("it says", health->said);
}

static void print_sessions(const struct control_health *health)
{
	char sentence[LINE_MAX_BYTES];

	if (health->stuck_sessions == 0)
		return;
	snprintf(sentence, sizeof(sentence), "%u session%s stuck: \"holdfast sessions\" lists %s",
	    health->stuck_sessions, health->stuck_sessions == 1 ? " is" : "s are",
	    health->stuck_sessions == 1 ? "it" : "them");
	line("sessions", sentence);
}

static void print_processes(const struct control_reply *reply)
{
	const struct control_health *health = &reply->health;
	char sentence[LINE_MAX_BYTES], size[32], duration[32];
	struct text text;

	if (health->tree_bytes > 0) {
		text_init(&text, sentence, sizeof(sentence));
		text_addf(&text, "%s", text_bytes(size, sizeof(size), health->tree_bytes));
		if (health->processes > 0)
			text_addf(
			    &text, " in %u process%s", health->processes, health->processes == 1 ? "" : "es");
		if (health->limit_bytes > 0)
			text_addf(&text, "; %s left below its limit",
			    text_bytes(size, sizeof(size), health->room_bytes));
		line("memory", sentence);
	}
	for (int i = 0; i < CONTROL_ORPHANS_MAX && health->orphans[i].pid != 0; i++) {
		text_init(&text, sentence, sizeof(sentence));
		text_addf(&text, "%d %s (%s, %s, %s old)", health->orphans[i].pid, health->orphans[i].name,
		    health->orphans[i].kind, text_bytes(size, sizeof(size), health->orphans[i].bytes),
		    text_duration(duration, sizeof(duration), health->orphans[i].age_ms));
		line(i == 0 ? "orphans" : "", sentence);
	}
}

static void print_supervisor(const struct control_reply *reply)
{
	char sentence[LINE_MAX_BYTES], duration[32];
	struct text text;

	text_init(&text, sentence, sizeof(sentence));
	text_addf(&text, "pid %d, up for %s", reply->supervisor.pid,
	    between(duration, sizeof(duration), reply->supervisor.started_ms, reply->real_ms));
	if (strcmp(reply->supervisor.version, HOLDFAST_VERSION) != 0)
		text_addf(
		    &text, ", version %s (this command is %s)", reply->supervisor.version, HOLDFAST_VERSION);
	line("supervisor", sentence);
	text_init(&text, sentence, sizeof(sentence));
	for (int i = 0; i < CONTROL_WORKER_COUNT; i++) {
		const struct control_worker *worker = &reply->workers[i];

		if (worker->name[0] == '\0')
			continue;
		text_addf(&text, "%s%s ", text.length > 0 ? ", " : "", worker->name);
		if (worker->pid != 0)
			text_addf(&text, "%d", worker->pid);
		else if (worker->retry_in_ms > 0)
			text_addf(&text, "down (started again in %s)",
			    text_duration(duration, sizeof(duration), worker->retry_in_ms));
		else
			text_add(&text, "down");
	}
	if (text.length > 0)
		line("workers", sentence);
}

static void print_records(const struct control_reply *reply, const struct settings *settings)
{
	char sentence[LINE_MAX_BYTES];
	struct text text;

	text_init(&text, sentence, sizeof(sentence));
	text_add(&text, "\"holdfast events\" prints them");
	if (!reply->store.writable && reply->store.why[0] != '\0')
		text_addf(&text, "; they cannot be stored now: %s", reply->store.why);
	if (reply->store.waiting > 0)
		text_addf(&text, "; %" PRIu64 " not stored yet", reply->store.waiting);
	if (reply->store.dropped > 0)
		text_addf(&text, "; %" PRIu64 " lost", reply->store.dropped);
	line("events", sentence);
	text_init(&text, sentence, sizeof(sentence));
	text_addf(&text, "%s/" CONSOLE_LOG_NAME, settings_string(settings, settings->state_dir));
	if (reply->console.lines_dropped > 0)
		text_addf(&text, " (%" PRIu64 " lines dropped)", reply->console.lines_dropped);
	if (reply->console.bytes_discarded > 0)
		text_addf(&text, " (%" PRIu64 " bytes discarded)", reply->console.bytes_discarded);
	line("console", sentence);
}

void report_text(const struct control_reply *reply, const struct settings *settings)
{
	print_state(reply);
	if (reply->reason[0] != '\0')
		line("why", reply->reason);
	print_next(reply);
	if (reply->incident != 0)
		printf("  %-11s %" PRIu64 " (\"holdfast events --incident %" PRIu64 "\")\n", "incident",
		    reply->incident, reply->incident);
	print_gateway(reply);
	print_health(reply);
	print_sessions(&reply->health);
	print_processes(reply);
	print_supervisor(reply);
	print_records(reply, settings);
}
