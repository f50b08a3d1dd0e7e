/* What an inspector says is taken apart; what it should not say does no harm. */
#include "support/tap.h"

#include <unistd.h>

#include "sentry/inspector.h"

static struct loop loop;
static struct inspector inspector;
static int ended;

static void count_end(struct inspector *of)
{
	(void)of;
	ended++;
}

static void given_an_attached_inspector(void)
{
	static bool is_ready;

	if (!is_ready && CHECK(loop_init(&loop) == 0))
		is_ready = true;
	inspector_init(&inspector, &loop);
	inspector.ended = count_end;
	ended = 0;
	CHECK(inspector_ask(&inspector, getpid()) == 0);
	inspector.state = INSPECTOR_ATTACHED;
}

static void when_it_says(const char *text, bool whole)
{
	inspector.websocket.message(&inspector.websocket, text, strlen(text), whole);
}

#define PAUSED(frames)                                                                                       \
	"{\"method\":\"Debugger.paused\",\"params\":{\"callFrames\":[" frames "],\"reason\":\"other\"}}"
#define FRAME(function, script, line)                                                                        \
	"{\"callFrameId\":\"1\",\"functionName\":\"" function "\",\"location\":{\"scriptId\":\"" script      \
	"\",\"lineNumber\":" line                                                                            \
	",\"columnNumber\":4},\"url\":\"\",\"scopeChain\":[{\"name\":\"} ] \\\" {\"}]}"
#define SCRIPT(id, url)                                                                                      \
	"{\"method\":\"Debugger.scriptParsed\",\"params\":{\"scriptId\":\"" id "\",\"url\":\"" url           \
	"\",\"startLine\":0}}"

TEST("frames come with the files of their scripts, and are counted from 1")
{
	given_an_attached_inspector();
	when_it_says(SCRIPT("7", "file:///srv/my%20plugin.js"), true);
	when_it_says(SCRIPT("8", "node:internal/timers"), true);
	when_it_says("{\"id\":2,\"result\":{}}", true);
	CHECK(inspector.state == INSPECTOR_ENABLED);
	when_it_says(PAUSED(FRAME("spin", "7", "11") "," FRAME("", "8", "0") "," FRAME("x", "9", "0")), true);
	CHECK(inspector.state == INSPECTOR_PAUSED && ended == 1);
	CHECK(inspector.frame_count == 3);
	CHECK_TEXT(inspector.frames[0].function, "spin");
	CHECK_TEXT(inspector.frames[0].file, "/srv/my plugin.js");
	CHECK(inspector.frames[0].line == 12 && inspector.frames[0].column == 5);
	CHECK_TEXT(inspector.frames[1].file, "node:internal/timers");
	CHECK_TEXT(inspector.frames[2].file, "");
	inspector_close(&inspector);
}

TEST("of a message that was cut, the whole frames are taken")
{
	given_an_attached_inspector();
	when_it_says("{\"method\":\"Debugger.paused\",\"params\":{\"callFrames\":[" FRAME(
	                 "a", "1", "1") ","
	                                "{\"functionName\":\"b\",\"loc",
	    false);
	CHECK(inspector.state == INSPECTOR_PAUSED && inspector.frame_count == 1);
	CHECK_TEXT(inspector.frames[0].function, "a");
	inspector_close(&inspector);
}

TEST("nonsense is survived")
{
	static const char *const messages[] = {
	    "",
	    "x",
	    "{\"method\":\"Debugger.scriptParsed\"",
	    "{\"method\":\"Debugger.scriptParsed\",\"params\":[]}",
	    "{\"method\":\"Debugger.scriptParsed\",\"params\":{\"scriptId\":7,\"url\":{}}}",
	    SCRIPT("-1", "file:///a"),
	    SCRIPT("99999999999999999999", "file:///%"),
	    SCRIPT("1", "file:///%2"),
	    SCRIPT("1", "file:///%00%zz"),
	};
	static const char *const pauses[] = {
	    "{\"method\":\"Debugger.paused\"}",
	    "{\"method\":\"Debugger.paused\",\"params\":{\"callFrames\":[",
	    PAUSED(""),
	    PAUSED("{}"),
	    PAUSED("]]]]"),
	    PAUSED("{]"),
	    PAUSED("{\"location\":[]}"),
	    PAUSED("{\"functionName\":{},\"location\":{\"lineNumber\":-1,\"columnNumber\":1e300}}"),
	};

	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		given_an_attached_inspector();
		for (size_t j = 0; j < sizeof(messages) / sizeof(messages[0]); j++)
			when_it_says(messages[j], true);
		CHECK(ended == 0);
		when_it_says(pauses[i], true);
		CHECK(inspector.state == INSPECTOR_PAUSED && ended == 1);
		for (uint32_t j = 0; j < inspector.frame_count; j++)
			CHECK(inspector.frames[j].line == 1 && inspector.frames[j].column == 1);
		inspector_close(&inspector);
	}
}

TEST("more scripts than there is room for are left out")
{
	char url[200], message[400];

	given_an_attached_inspector();
	memset(url, 'u', sizeof(url) - 1);
	url[sizeof(url) - 1] = '\0';
	for (int i = 1; i <= 20000; i++) {
		snprintf(message, sizeof(message), SCRIPT("%d", "%s"), i, url);
		when_it_says(message, true);
	}
	when_it_says(PAUSED(FRAME("first", "1", "1") "," FRAME("last", "20000", "1")), true);
	CHECK_TEXT(inspector.frames[0].file, url);
	CHECK_TEXT(inspector.frames[1].file, "");
	inspector_close(&inspector);
}

TEST("it keeps the innermost frames of a deep stack, and lets a second pause pass")
{
	char message[32 * 1024];
	size_t length = 0;

	given_an_attached_inspector();
	length += (size_t)snprintf(
	    message, sizeof(message), "{\"method\":\"Debugger.paused\",\"params\":{\"callFrames\":[");
	for (int i = 0; i < 100; i++)
		length += (size_t)snprintf(message + length, sizeof(message) - length,
		    "%s" FRAME("f", "1", "%d"), i > 0 ? "," : "", i);
	when_it_says(message, true);
	CHECK(inspector.frame_count == INSPECTOR_FRAMES_MAX && inspector.frames[31].line == 32);
	when_it_says(PAUSED(FRAME("again", "1", "1")), true);
	CHECK(ended == 1);
	CHECK_TEXT(inspector.frames[0].function, "f");
	inspector_rest(&inspector);
	when_it_says(SCRIPT("1", "late"), true);
	inspector_close(&inspector);
	CHECK(inspector.state == INSPECTOR_IDLE);
}
