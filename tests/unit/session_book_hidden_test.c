/* Runs that not everybody is told of: found by a change, and not judged by events that do not come. */
#include "support/tap.h"

#include <stdarg.h>

#include "sentry/session_book.h"

#define GAP_MS INT64_C(15000)
#define ID     "ce9f06cc-ffac-4681-91df-f3102aa7e651"
#define KEY    "agent:main:a"
#define LIFECYCLE(run, phase)                                                                                \
	"{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"" run "\",\"sessionKey\":\"" KEY   \
	"\",\"sessionId\":\"" ID "\",\"stream\":\"lifecycle\",\"data\":{\"phase\":\"" phase                  \
	"\"},\"seq\":3}}"
#define STREAM(run, stream, data)                                                                            \
	"{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"" run "\",\"stream\":\"" stream    \
	"\",\"data\":{" data "},\"sessionKey\":\"" KEY "\",\"seq\":4}}"
#define TOOL(run, id, phase)                                                                                 \
	STREAM(run, "item",                                                                                  \
	    "\"itemId\":\"tool:" id "\",\"toolCallId\":\"" id                                                \
	    "\",\"name\":\"exec\",\"kind\":\"tool\",\"phase\":\"" phase "\"")
#define CHAT(run, state)                                                                                     \
	"{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"runId\":\"" run "\",\"sessionKey\":\"" KEY    \
	"\",\"state\":\"" state "\"}}"
#define STALLED(id, key, recovery)                                                                           \
	"stalled session: sessionId=" id " sessionKey=" key                                                  \
	" state=processing age=386s queueDepth=2 reason=active_work_without_progress "                       \
	"classification=stalled_agent_run activeWorkKind=model_call lastProgress=model_call:started "        \
	"lastProgressAge=385s recovery=" recovery

#define CHANGED(more)                                                                                        \
	"{\"type\":\"event\",\"event\":\"sessions.changed\",\"payload\":{\"sessionKey\":\"" KEY "\"" more "}}"
#define SESSION_TOOL(run, id, phase)                                                                         \
	"{\"type\":\"event\",\"event\":\"session.tool\",\"payload\":{\"runId\":\"" run                       \
	"\",\"stream\":\"tool\",\"data\":{\"phase\":\"" phase "\",\"name\":\"exec\",\"toolCallId\":\"" id    \
	"\"},\"sessionKey\":\"" KEY "\"}}"

static struct session_book book;
static int64_t now_ms;

static void begin(void)
{
	session_book_clear(&book);
	book.gap_ms = GAP_MS;
	book.nonsense = book.unknown_ids = 0;
	book.has_news = false;
	now_ms = 1000000;
	session_book_alive(&book, now_ms);
}

static void event(const char *text)
{
	session_book_event(&book, text, strlen(text), now_ms);
}

/* Seconds in which the gateway is seen to be alive each second. */
static void watch(int seconds)
{
	for (int i = 0; i < seconds; i++)
		session_book_alive(&book, now_ms += 1000);
}

static int place(void)
{
	return session_table_find(&book.table, KEY);
}

static const struct session_look *look(void)
{
	static struct session_look found;

	session_book_look(&book, place(), now_ms, &found);
	return &found;
}

static void row(bool running, bool queued, int64_t started_at_ms)
{
	struct openclaw_row given = {.key = KEY,
	    .id = ID,
	    .knows_running = true,
	    .running = running,
	    .queued = queued,
	    .started_at_ms = started_at_ms};

	session_book_row(&book, &given, now_ms);
}

static void line_of(const char *subsystem, const char *text)
{
	char line[2048];
	int length = snprintf(line, sizeof(line),
	    "{\"0\":\"{\\\"subsystem\\\":\\\"%s\\\"}\",\"1\":\"%s\",\"_meta\":{\"logLevelName\":\"WARN\","
	    "\"name\":"
	    "\"{\\\"subsystem\\\":\\\"%s\\\"}\"},\"time\":\"2026-11-30T21:20:15.858+00:00\",\"message\":\"%"
	    "s\"}",
	    subsystem, text, subsystem, text);

	session_book_line(&book, line, (size_t)length, now_ms);
}

static void line(const char *text)
{
	line_of("diagnostic", text);
}

TEST("a tool that is told of twice is one; a word of its arguments is progress")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	watch(5);
	event(SESSION_TOOL("r1", "c1", "input_delta"));
	CHECK(look()->quiet_ms == 0 && look()->waits == SESSION_WAITS_MODEL);
	event(SESSION_TOOL("r1", "c1", "start"));
	event(TOOL("r1", "c1", "start"));
	CHECK(look()->waits == SESSION_WAITS_TOOL && book.entries[place()].tool_count == 1);
	event(SESSION_TOOL("r1", "c1", "result"));
	CHECK(look()->waits == SESSION_WAITS_MODEL);
	event(TOOL("r1", "c1", "end"));
	CHECK(look()->waits == SESSION_WAITS_MODEL && book.entries[place()].tool_count == 0);
}

static bool is_wanted(void)
{
	bool wanted = book.has_wanted && book.entries[place()].is_wanted;

	if (place() >= 0)
		book.entries[place()].is_wanted = false;
	book.has_wanted = false;
	return wanted;
}

TEST("a change is asked about when it is no news only: a run nobody told of, another, or one that is over")
{
	begin();
	event(CHANGED(",\"status\":\"done\",\"hasActiveRun\":false"));
	CHECK(place() < 0 && !book.has_wanted);
	event(CHANGED(",\"status\":\"running\",\"hasActiveRun\":true,\"startedAt\":100"));
	CHECK(place() >= 0 && book.has_news && is_wanted() && book.running == 0);
	row(true, false, 100);
	event(CHANGED(",\"status\":\"running\",\"startedAt\":100"));
	CHECK(!is_wanted());
	event(CHANGED(",\"status\":\"running\",\"startedAt\":200"));
	CHECK(is_wanted());
	event(CHANGED(",\"status\":\"done\""));
	CHECK(is_wanted() && book.running == 1);
	event(CHANGED(",\"reason\":\"delete\""));
	CHECK(is_wanted());
	row(false, false, 0);
	event(LIFECYCLE("r1", "start"));
	event(CHANGED(",\"status\":\"running\",\"hasActiveRun\":true,\"startedAt\":300"));
	CHECK(!is_wanted());
}

TEST("a hidden run is no witness by its events; what is written is of it, and it waits for what the log says")
{
	begin();
	row(true, false, 100);
	CHECK(look()->waits == SESSION_WAITS_TOOL); /* nobody knows */
	row(true, false, 200);
	CHECK(look()->waits == SESSION_WAITS_TOOL); /* nor of the next one */
	book.entries[place()].is_hidden = book.entries[place()].is_subscribed = true;
	CHECK(look()->witnesses == SESSION_WITNESS_LIST); /* they may not come yet */
	watch(5);
	session_book_heard(&book, place());
	CHECK(look()->quiet_ms == 0);
	watch(5);
	CHECK(look()->witnesses == (SESSION_WITNESS_LIST | SESSION_WITNESS_SILENCE) &&
	      look()->quiet_ms == 5000);
	line(STALLED(ID, KEY, "none"));
	CHECK(look()->waits == SESSION_WAITS_MODEL);
	CHECK(look()->witnesses == (SESSION_WITNESS_LIST | SESSION_WITNESS_LOG | SESSION_WITNESS_SILENCE) &&
	      look()->own_quiet_ms == 385000);
	watch(5);
	event(CHAT("r1", "delta"));
	CHECK(look()->quiet_ms == 0 && look()->witnesses == (SESSION_WITNESS_LIST | SESSION_WITNESS_SILENCE));
	CHECK_TEXT(look()->run, "r1");
	watch(5);
	event(CHAT("r1", "delta"));
	CHECK(look()->quiet_ms == 0);
	event(TOOL("r1", "c1", "start"));
	CHECK(look()->waits == SESSION_WAITS_TOOL && !(look()->witnesses & SESSION_WITNESS_EVENTS));
	event(LIFECYCLE("r1", "end"));
	event(CHAT("r1", "delta"));
	CHECK_TEXT(look()->run, "");
	row(true, false, 100); /* the list lags behind */
	event(CHAT("r1", "delta"));
	CHECK_TEXT(look()->run, "");
	event(LIFECYCLE("r2", "start"));
	CHECK(!(look()->witnesses & SESSION_WITNESS_EVENTS));
	event(SESSION_TOOL("r2", "c2", "start")); /* which is for everybody */
	CHECK(look()->witnesses & SESSION_WITNESS_EVENTS);

	begin();
	row(true, false, 100);
	book.entries[place()].is_hidden = true; /* of what was not asked for nothing comes */
	event(LIFECYCLE("r1", "start"));
	CHECK(look()->witnesses & SESSION_WITNESS_EVENTS);
}
