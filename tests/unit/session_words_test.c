/* What is told of a stuck session fits, and what matters in it is not cut away, however long its key and the
 * gateway's answers are. */
#include <stdarg.h>
#include <string.h>

#include "format/utf8.h"
#include "supervise/supervisor.h"
#include "tests/support/tap.h"

static struct supervisor supervisor;
static struct settings settings;
static struct session *session;
static char kind[EVENT_KIND_MAX], reason[2 * EVENT_REASON_MAX], evidence[EVENT_EVIDENCE_MAX];

void events_record(struct supervisor *self, const char *what, enum event_severity severity, uint64_t incident,
    const char *figures, const char *format, ...)
{
	va_list arguments;

	text_copy(kind, sizeof(kind), what);
	text_copy(evidence, sizeof(evidence), figures);
	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
}

static bool ends_whole(const char *string)
{
	return utf8_whole(string, strlen(string)) == strlen(string);
}

static bool has(const char *part)
{
	return strstr(reason, part) != NULL;
}

static bool ends(const char *string, const char *end)
{
	return strlen(string) >= strlen(end) && strcmp(string + strlen(string) - strlen(end), end) == 0;
}

static void tell(enum sessions_record record)
{
	const struct sessions_action action = {.type = SESSIONS_TELL, .record = record};

	sessions_tell(&supervisor, &action);
	CHECK(strlen(reason) < EVENT_REASON_MAX && ends_whole(reason));
	CHECK(evidence[0] == '{' && ends(evidence, "}") && strcmp(evidence, "{}") != 0);
}

static int add(const char *key)
{
	struct sessions *sessions = &supervisor.sessions.sessions;
	bool is_new;
	int place = session_table_add(&sessions->table, key, 1000, &is_new);

	session = &sessions->sessions[place];
	*session = (struct session){.state = SESSION_FAILED,
	    .counts = true,
	    .attempts = 2,
	    .outcome = ABORT_REFUSED,
	    .serial = 77,
	    .limit_ms = 120000,
	    .judged_run = "4f2c8a52-3e8b-4d0a-9d5c-1f1b8c1d2e3f",
	    .look = {.waits = SESSION_WAITS_MODEL,
	        .quiet_ms = 86400000,
	        .run = "4f2c8a52-3e8b-4d0a-9d5c-1f1b8c1d2e3f",
	        .witnesses = SESSION_WITNESS_EVENTS | SESSION_WITNESS_LIST}};
	text_copy(session->look.key, sizeof(session->look.key), key);
	sessions->stuck++;
	sessions->failed++;
	return place;
}

static void begin(const char *key)
{
	supervisor.settings = &settings;
	settings.gateway.auto_restart.on_stuck_sessions = true;
	supervisor.sessions.settings.threshold = 1000;
	memset(supervisor.sessions.answers, 0, sizeof(supervisor.sessions.answers));
	sessions_init(&supervisor.sessions.sessions, &supervisor.sessions.settings);
	add(key);
}

static void answer(uint64_t serial, const char *sentence)
{
	supervisor.sessions.answers[3].serial = serial;
	text_copy(supervisor.sessions.answers[3].sentence, sizeof(supervisor.sessions.answers[3].sentence),
	    sentence);
}

/* A text of `length` bytes, of characters of two after the first `odd`. */
static const char *long_text(size_t odd, size_t length)
{
	static char text[4][512];
	static int next;
	char *target = text[next++ % 4];

	for (size_t i = 0; i < length; i++)
		target[i] = i < odd ? 'k' : (i - odd) % 2 == 0 ? '\xc3' : '\xbc';
	target[length - (length - odd) % 2] = '\0';
	return target;
}

TEST("an abort that failed: what is to be done comes before what the gateway says, and all of it fits")
{
	for (size_t odd = 0; odd < 2; odd++) {
		begin(long_text(odd, 190));
		supervisor.sessions.sessions.failed = 1000;
		answer(77, long_text(odd, 250));
		tell(SESSIONS_RECORD_ABORT_FAILED);
		CHECK(has("is stuck still") && has("\"holdfast restart\" frees it") &&
		      has("tried again every"));
		CHECK(has("The gateway is restarted once 1000 sessions are so; now 1000 are."));
		CHECK(has("The last time: ") && ends(reason, "..."));
		session->counts = false;
		tell(SESSIONS_RECORD_ABORT_FAILED);
		CHECK(has("does not cause another") && has("The last time: ") && ends(reason, "..."));
	}
}

TEST("an answer is told of the abort that it was said to, and of no other")
{
	begin("agent:main:main");
	answer(76, "of another");
	tell(SESSIONS_RECORD_ABORT_FAILED);
	CHECK(!has("The last time"));
	session->outcome = ABORT_UNREACHABLE;
	tell(SESSIONS_RECORD_ABORT_FAILED);
	CHECK(ends(reason, "The last time the gateway did not answer."));
	answer(77, "it refuses");
	tell(SESSIONS_RECORD_ABORT_FAILED);
	CHECK(ends(reason, "The last time: it refuses"));
}

TEST("a person's abort of one that moves has failed: it is not called stuck")
{
	begin("agent:main:main");
	session->state = SESSION_QUIET;
	session->counts = false;
	session->by_person = true;
	session->limit_ms = INT64_MAX;
	tell(SESSIONS_RECORD_ABORT_FAILED);
	CHECK(has("Session agent:main:main could not be aborted: ") && !has("stuck") && !has("is restarted"));
	CHECK(strstr(evidence, "limit_ms") == NULL && strstr(evidence, "\"quiet_ms\":86400000") != NULL);
}

TEST("stuck: the longest sentence fits")
{
	begin(long_text(1, 190));
	session->look.waits = SESSION_WAITS_TOOL;
	session->look.witnesses = (1u << SESSION_WITNESS_COUNT) - 1;
	session->look.recovery = SESSION_RECOVERY_CHECKING;
	text_copy(session->look.tool, sizeof(session->look.tool), "a_tool_with_a_name_of_31_bytes_");
	tell(SESSIONS_RECORD_STUCK);
	CHECK(has("waiting for the tool a_tool") && ends(reason, "after that it is aborted."));
	CHECK(strstr(evidence, "attempts") == NULL);
}

TEST("aborted: a long answer is cut between characters")
{
	begin(long_text(0, 190));
	session->outcome = ABORT_DONE;
	answer(77, long_text(1, 250));
	tell(SESSIONS_RECORD_ABORTED);
	CHECK(has("was aborted, and no other") && ends(reason, "..."));
}

TEST("recovered: its run has ended, another has begun, or it moves; and one that is gone takes no message")
{
	begin("agent:main:main");
	session->outcome = ABORT_DONE;
	tell(SESSIONS_RECORD_RECOVERED);
	CHECK(has("has recovered: it moves again") && has("after it was found.") && !has("message"));
	text_copy(session->look.run, sizeof(session->look.run), "another");
	tell(SESSIONS_RECORD_RECOVERED);
	CHECK(has("another run has begun"));
	session->look.waits = SESSION_IDLE;
	tell(SESSIONS_RECORD_RECOVERED);
	CHECK(has("the run has ended") && ends(reason, "Its next message is taken."));
	session->by_person = true;
	tell(SESSIONS_RECORD_RECOVERED);
	CHECK(has("after its abort was asked for") && !has("found"));
	session->look.gone = 1;
	tell(SESSIONS_RECORD_RECOVERED);
	CHECK(has("is gone") && !has("message"));
	session->look.gone = 0;
	session->attempts = 1;
	session->outcome = ABORT_MOVED;
	tell(SESSIONS_RECORD_RECOVERED);
	CHECK(has("before it was aborted") && !has("message"));
}

TEST("evidence: keys of which every byte needs six leave room for the rest")
{
	char key[SESSION_KEY_MAX];

	memset(key, 1, sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	begin(key);
	memset(session->judged_run, 2, sizeof(session->judged_run) - 1);
	memset(session->look.tool, 3, sizeof(session->look.tool) - 1);
	tell(SESSIONS_RECORD_ABORT_FAILED);
	CHECK(strstr(evidence, "\"outcome\":\"refused\"") != NULL && ends(evidence, "\"queued\":0}"));
}

TEST("a verdict's evidence names as many as there is room for, and says how many it leaves out")
{
	char data[EVENT_EVIDENCE_MAX], key[SESSION_KEY_MAX];
	struct text json;

	memset(key, 1, sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	begin("agent:main:first");
	add(key);
	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "agent:main:%0160d", i);
		add(key);
	}
	add("agent:main:last");
	text_init(&json, data, sizeof(data));
	text_add(&json, "{\"generation\":18446744073709551615,\"pid\":4194304,\"value\":1000");
	sessions_write_evidence(&supervisor, &json);
	text_add(&json, "}");
	CHECK(!json.truncated && ends(data, ",\"left_out\":5}"));
	CHECK(strstr(data, "agent:main:first") != NULL && strstr(data, "agent:main:last") != NULL);
}

TEST("the names of those that condemn are kept when their table is cleared")
{
	begin("agent:main:main");
	for (int i = 0; i < 4; i++) {
		char key[SESSION_KEY_MAX];

		snprintf(key, sizeof(key), "agent:main:%s%d", long_text(0, 140), i);
		add(key);
	}
	sessions_name_condemned(&supervisor);
	sessions_begin(&supervisor.sessions.sessions, 2);
	CHECK(strncmp(supervisor.sessions.condemned, ": agent:main:main, agent:main:", 30) == 0);
	CHECK(ends(supervisor.sessions.condemned, "... and 2 more"));
	CHECK(ends_whole(supervisor.sessions.condemned));
}
