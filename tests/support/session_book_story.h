/* For the tests of the book of sessions: what the gateway says, and what is in the book. */
#ifndef HOLDFAST_TESTS_SUPPORT_SESSION_BOOK_STORY_H
#define HOLDFAST_TESTS_SUPPORT_SESSION_BOOK_STORY_H

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
#define WORD(run)     STREAM(run, "assistant", "\"delta\":\"word\"")
#define PREPARES(run) STREAM(run, "run_status", "\"phase\":\"preparing_workspace\"")
#define TOOL(run, id, phase)                                                                                 \
	STREAM(run, "item",                                                                                  \
	    "\"itemId\":\"tool:" id "\",\"toolCallId\":\"" id                                                \
	    "\",\"name\":\"exec\",\"kind\":\"tool\",\"phase\":\"" phase "\"")
#define APPROVAL(run, phase) STREAM(run, "approval", "\"phase\":\"" phase "\",\"status\":\"pending\"")
#define CHAT(run, state)                                                                                     \
	"{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"runId\":\"" run "\",\"sessionKey\":\"" KEY    \
	"\",\"state\":\"" state "\"}}"
#define STALLED(id, key, recovery)                                                                           \
	"stalled session: sessionId=" id " sessionKey=" key                                                  \
	" state=processing age=386s queueDepth=2 reason=active_work_without_progress "                       \
	"classification=stalled_agent_run activeWorkKind=model_call lastProgress=model_call:started "        \
	"lastProgressAge=385s recovery=" recovery

static struct session_book book;
static int64_t now_ms;

static inline void begin(void)
{
	session_book_clear(&book);
	book.gap_ms = GAP_MS;
	book.nonsense = book.unknown_ids = 0;
	book.has_news = false;
	now_ms = 1000000;
	session_book_alive(&book, now_ms);
}

static inline void event(const char *text)
{
	session_book_event(&book, text, strlen(text), now_ms);
}

/* Seconds in which the gateway is seen to be alive each second. */
static inline void watch(int seconds)
{
	for (int i = 0; i < seconds; i++)
		session_book_alive(&book, now_ms += 1000);
}

static inline int place(void)
{
	return session_table_find(&book.table, KEY);
}

static inline const struct session_look *look(void)
{
	static struct session_look found;

	session_book_look(&book, place(), now_ms, &found);
	return &found;
}

static inline void row(bool running, bool queued, int64_t started_at_ms)
{
	struct openclaw_row given = {.key = KEY,
	    .id = ID,
	    .knows_running = true,
	    .running = running,
	    .queued = queued,
	    .started_at_ms = started_at_ms};

	session_book_row(&book, &given, now_ms);
}

static inline void line_of(const char *subsystem, const char *text)
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

static inline void line(const char *text)
{
	line_of("diagnostic", text);
}

#endif
