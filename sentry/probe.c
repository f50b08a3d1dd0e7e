#include "sentry/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "format/json5.h"
#include "process/procfs.h"

#define QUICK_MS         250
#define SLOW_MS          1000
#define QUICK_FOR_MS     30000
#define LOOK_MS          5000
#define SECOND_ANSWER_MS 2000  /* without a start-up probe: it answers now as it did so long ago */
#define WORDLESS_MS      20000 /* it listens, and cannot be asked: with TLS a start looks like this for ever */
#define NO_RESTART_MS                                                                                        \
	5000 /* after the word of a drain: it still says started, so the drain was called off                \
	      */
#define ANSWER_VALUES 128

static enum probe_answer read_json(
    const struct gateway_facts *facts, unsigned status, const char *body, size_t body_length, char *said)
{
	struct json_value values[ANSWER_VALUES];
	char strings[2048];
	struct json_document document = {
	    .values = values, .value_max = ANSWER_VALUES, .strings = strings, .string_size = sizeof(strings)};
	struct json_fault fault;
	const struct json_value *ok, *word;

	if (json_parse(&document, body, body_length, JSON_STRICT, &fault) < 0 ||
	    json_root(&document)->type != JSON_OBJECT)
		return PROBE_TURNING;
	ok = json_find(&document, json_root(&document), "ok");
	word = json_find(&document, json_root(&document), "status");
	if (word == NULL || word->type != JSON_STRING)
		return PROBE_TURNING;
	text_copy(said, sizeof(((struct probe *)0)->said), word->string.bytes);
	if (status == 200 && ok != NULL && ok->type == JSON_BOOL && ok->boolean &&
	    json_string_is(word, facts->startup_status))
		return PROBE_STARTED;
	return PROBE_NOT_YET;
}

enum probe_answer probe_read_answer(
    const struct gateway_facts *facts, unsigned status, const char *body, size_t body_length, char *said)
{
	enum probe_answer answer;

	said[0] = '\0';
	if (facts->startup_status == NULL)
		return status >= 200 && status < 400 ? PROBE_STARTED : PROBE_NOT_YET;
	if (body_length > 2048)
		answer = PROBE_TURNING; /* a page, not a status */
	else
		answer = read_json(facts, status, body, body_length, said);
	/* 5xx without a word of its own is no proof of anything but that something listens. */
	return answer == PROBE_TURNING && status >= 500 ? PROBE_NOT_YET : answer;
}

/* Another path than the gateway's own start-up probe was configured: only its HTTP status can be read. */
static const struct gateway_facts *reading_facts(const struct probe *probe)
{
	const char *path = settings_string(probe->settings, probe->settings->health.ready_path);

	if (probe->facts->startup_path != NULL && strcmp(path, probe->facts->startup_path) == 0)
		return probe->facts;
	return &gateway_generic;
}

/* Another program may hold the port: the answer must come from the gateway's own tree. */
static bool is_foreign(const struct probe *probe)
{
	struct procfs_listener listener = {0};

	if (procfs_listener(probe->port, &listener) <= 0 || listener.pid <= 0)
		return false; /* /proc forbids looking: believe the answer */
	return !procfs_is_descendant(listener.pid, probe->pid);
}

static void say_ready(struct probe *probe, const char *what)
{
	char proof[MESSAGE_TEXT_MAX], duration[32];

	snprintf(proof, sizeof(proof), "%s after %s", what,
	    text_duration(duration, sizeof(duration), clock_boot_ms() - probe->began_ms));
	probe->proved = probe->answer >= PROBE_TURNING;
	probe_stop(probe);
	probe->ready(probe, probe->generation, proof);
}

static void judge(struct probe *probe)
{
	const char *path = settings_string(probe->settings, probe->settings->health.ready_path);
	int64_t now_ms = clock_boot_ms();
	char what[128];

	if (probe->answer != PROBE_NONSENSE)
		probe->wordless_since_ms = 0;
	else if (probe->wordless_since_ms == 0)
		probe->wordless_since_ms = now_ms;
	else if (!probe->rewatching && now_ms - probe->wordless_since_ms >= WORDLESS_MS) {
		/* Never ready would mean killed one day, however well it is. */
		say_ready(
		    probe, "it takes connections, but no plain HTTP (TLS?), so its start cannot be proved,");
		return;
	}
	if (probe->answer < PROBE_TURNING) {
		probe->turning_since_ms = 0;
		probe->said_otherwise = probe->said_otherwise || probe->answer != PROBE_NOTHING;
		return;
	}
	if (probe->turning_since_ms == 0)
		probe->turning_since_ms = now_ms;
	if (probe->rewatching && !probe->said_otherwise && now_ms - probe->began_ms < NO_RESTART_MS)
		return;
	if (probe->answer == PROBE_STARTED) {
		if (probe->said[0] != '\0')
			snprintf(what, sizeof(what), "GET %.64s said %s", path, probe->said);
		else
			snprintf(what, sizeof(what), "GET %.64s was answered with %u", path, probe->status);
		say_ready(probe, what);
	} else if (!probe->speaks_json && probe->heard_listening) {
		say_ready(probe, "it said on its console that it listens, and answered");
	} else if (!probe->speaks_json && now_ms - probe->turning_since_ms >= SECOND_ANSWER_MS) {
		say_ready(probe, "it answered twice");
	}
}

static void note_answer(struct probe *probe, enum probe_answer answer)
{
	/* A foreign program's answers are not this gateway's progress. */
	if (answer != probe->answer && answer != PROBE_FOREIGN && probe->answer != PROBE_NOTHING)
		probe->answer_changed = true;
	probe->answer = answer;
	judge(probe);
}

static void get_done(struct http_get *get, enum http_get_result result)
{
	static const enum probe_answer answers[] = {
	    [HTTP_GET_REFUSED] = PROBE_REFUSED,
	    [HTTP_GET_CLOSED] = PROBE_NONSENSE,
	    [HTTP_GET_TIMED_OUT] = PROBE_SILENT,
	    [HTTP_GET_MALFORMED] = PROBE_NONSENSE,
	    [HTTP_GET_IMPOSSIBLE] = PROBE_NOTHING,
	};
	struct probe *probe = get->context;
	int64_t now_ms = clock_boot_ms(),
	        pause_ms = now_ms - probe->began_ms < QUICK_FOR_MS ? QUICK_MS : SLOW_MS;
	enum probe_answer answer = answers[result];

	if (result == HTTP_GET_ANSWERED) {
		char said[sizeof(probe->said)];

		answer =
		    probe_read_answer(reading_facts(probe), get->status, get->body, get->body_length, said);
		probe->speaks_json = probe->speaks_json || said[0] != '\0';
		probe->answer_changed = probe->answer_changed || strcmp(said, probe->said) != 0;
		probe->status = get->status;
		text_copy(probe->said, sizeof(probe->said), said);
	}
	if ((answer == PROBE_NONSENSE || answer >= PROBE_TURNING) && is_foreign(probe))
		answer = PROBE_FOREIGN;
	loop_timer_arm(probe->loop, &probe->next,
	    probe->asked_ms + pause_ms > now_ms ? probe->asked_ms + pause_ms : now_ms);
	note_answer(probe, answer);
}

static void ask(struct loop_timer *timer)
{
	struct probe *probe = timer->context;
	const char *path = settings_string(probe->settings, probe->settings->health.ready_path);

	probe->asked_ms = clock_boot_ms();
	if (http_get_start(&probe->get, probe->port, path, probe->settings->health.timeout_ms) < 0)
		loop_timer_arm(probe->loop, &probe->next, probe->asked_ms + SLOW_MS);
}

static void look(struct loop_timer *timer)
{
	struct probe *probe = timer->context;
	struct activity now;
	bool moved;

	activity_read(probe->pid, &now);
	moved = probe->answer_changed || *probe->console_bytes != probe->seen_console_bytes ||
	        activity_moved(&probe->activity, &now);
	probe->activity = now;
	probe->seen_console_bytes = *probe->console_bytes;
	probe->answer_changed = false;
	loop_timer_arm(probe->loop, &probe->look, clock_boot_ms() + LOOK_MS);
	if (moved)
		probe->progress(probe, probe->generation);
}

void probe_init(struct probe *probe)
{
	http_get_init(&probe->get, probe->loop);
	probe->get.done = get_done;
	probe->get.context = probe;
	probe->next = (struct loop_timer){.callback = ask, .context = probe};
	probe->look = (struct loop_timer){.callback = look, .context = probe};
}

/* Nothing is asked: what says READY=1 is believed. */
static bool asks_nothing(const struct probe *probe)
{
	return settings_string(probe->settings, probe->settings->health.ready_path)[0] != '/';
}

static void begin(struct probe *probe, uint64_t generation, int pid, uint32_t port)
{
	int64_t now_ms = clock_boot_ms();

	probe_stop(probe);
	probe->probing = true;
	probe->generation = generation;
	probe->pid = pid;
	probe->port = port;
	probe->answer = PROBE_NOTHING;
	probe->said[0] = '\0';
	probe->answer_changed = probe->said_otherwise = probe->speaks_json = false;
	probe->began_ms = now_ms;
	probe->turning_since_ms = probe->wordless_since_ms = 0;
	probe->seen_console_bytes = *probe->console_bytes;
	activity_read(pid, &probe->activity);
	loop_timer_arm(probe->loop, &probe->look, now_ms + LOOK_MS);
	if (!asks_nothing(probe) && port != 0)
		loop_timer_arm(probe->loop, &probe->next, now_ms);
}

void probe_start(struct probe *probe, const struct message_gateway *gateway)
{
	const char *path = settings_string(probe->settings, probe->settings->health.ready_path);

	begin(probe, gateway->generation, gateway->pid, gateway->port);
	probe->rewatching = false;
	if (*path == '\0' || (*path == '/' && probe->port == 0))
		say_ready(probe, "there is nothing to ask, so running is ready,");
}

void probe_drain_began(struct probe *probe, uint64_t generation, int pid, uint32_t port)
{
	if (probe->probing)
		return;
	begin(probe, generation, pid, port);
	probe->rewatching = true;
	probe->heard_listening = false;
}

void probe_heard_listening(struct probe *probe)
{
	probe->heard_listening = true;
}

void probe_heard_ready(struct probe *probe)
{
	if (probe->probing && (asks_nothing(probe) || probe->rewatching))
		say_ready(probe, "it said READY=1");
}

void probe_gateway_gone(struct probe *probe)
{
	probe_stop(probe);
	probe->heard_listening = false;
}

void probe_stop(struct probe *probe)
{
	probe->probing = false;
	http_get_cancel(&probe->get);
	if (probe->next.loop != NULL) {
		loop_timer_arm(probe->loop, &probe->next, 0);
		loop_timer_arm(probe->loop, &probe->look, 0);
	}
}
