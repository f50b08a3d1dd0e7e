/* Runs that not everybody is told of: found by a change, and not judged by events that do not come. */
#include "support/session_book_story.h"

#define CHANGED(more)                                                                                        \
	"{\"type\":\"event\",\"event\":\"sessions.changed\",\"payload\":{\"sessionKey\":\"" KEY "\"" more "}}"
#define SESSION_TOOL(run, id, phase)                                                                         \
	"{\"type\":\"event\",\"event\":\"session.tool\",\"payload\":{\"runId\":\"" run                       \
	"\",\"stream\":\"tool\",\"data\":{\"phase\":\"" phase "\",\"name\":\"exec\",\"toolCallId\":\"" id    \
	"\"},\"sessionKey\":\"" KEY "\"}}"

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
