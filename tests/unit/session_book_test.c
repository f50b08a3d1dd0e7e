/* The book of sessions: what was seen goes in, and whether a run moves, waits, or is over comes out. The
 * events, rows and lines are as the gateway writes them. */
#include "support/session_book_story.h"

TEST("a run by its events: it begins, moves, is silent while it is watched, and ends")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	CHECK(book.running == 1 && look()->waits == SESSION_WAITS_MODEL &&
	      look()->witnesses == SESSION_WITNESS_EVENTS);
	CHECK_TEXT(look()->run, "r1");
	CHECK_TEXT(look()->id, ID);
	CHECK(look()->began_ms == now_ms && look()->quiet_ms == 0);
	watch(10);
	CHECK(look()->quiet_ms == 10000 && look()->moved_ms == now_ms - 10000);
	event(WORD("r1"));
	CHECK(look()->quiet_ms == 0 && look()->moved_ms == now_ms);
	watch(3);
	event(LIFECYCLE("r1", "end"));
	CHECK(book.running == 0 && look()->waits == SESSION_IDLE && look()->quiet_ms == 0);
	CHECK_TEXT(look()->run, "");
	watch(10);
	CHECK(look()->quiet_ms == 0);
	event(CHAT("r1", "final"));
	event(LIFECYCLE("r1", "end"));
	CHECK(book.running == 0);
}

TEST("a run that has ended is not begun again by what comes late, as of one that was aborted; only by its "
     "start")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	event(LIFECYCLE("r1", "end"));
	event(LIFECYCLE("r1", "model"));
	event(WORD("r1"));
	CHECK(book.running == 0);
	event(LIFECYCLE("r1", "error"));
	CHECK(book.running == 0);
	event(LIFECYCLE("r1", "start"));
	CHECK(book.running == 1);
	session_book_ended(&book, place(), now_ms);
	event(WORD("r1")); /* no event had said that it was over */
	CHECK(book.running == 1);
}

TEST("a chat message of a run that is not known begins none")
{
	begin();
	event(CHAT("r1", "delta"));
	event(CHAT("r1", "final"));
	event(LIFECYCLE("r2", "end"));
	CHECK(book.running == 0 && look()->waits == SESSION_IDLE);
}

TEST("a message sent to a session that hangs is no progress; another run that works is")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	watch(20);
	event(CHAT("r2", "status"));
	event(PREPARES("r2"));
	event(CHAT("r2", "final"));
	event(LIFECYCLE("r2", "end"));
	CHECK_TEXT(look()->run, "r1");
	CHECK(look()->quiet_ms == 20000 && book.running == 1);
	event(LIFECYCLE("r3", "start"));
	CHECK_TEXT(look()->run, "r3");
	CHECK(look()->quiet_ms == 0 && book.running == 1);
	watch(5);
	event(WORD("r1")); /* there is one at a time: the old one is back */
	CHECK_TEXT(look()->run, "r1");
	CHECK(look()->quiet_ms == 0 && book.running == 1);
}

TEST("a run by the list: another start is another run, and a queued one waits for its turn")
{
	begin();
	row(true, false, 5000);
	CHECK(
	    book.running == 1 && look()->witnesses == SESSION_WITNESS_LIST && look()->began_real_ms == 5000);
	watch(20);
	row(true, false, 5000);
	CHECK(look()->quiet_ms == 20000);
	row(true, false, 0); /* not said */
	CHECK(look()->quiet_ms == 20000 && look()->began_real_ms == 5000);
	row(true, false, 9000);
	CHECK(look()->quiet_ms == 0 && look()->began_real_ms == 9000 && book.running == 1);
	row(false, true, 9000);
	CHECK(look()->waits == SESSION_WAITS_TURN && book.running == 1);
	row(false, false, 9000);
	CHECK(look()->waits == SESSION_IDLE && book.running == 0);
}

TEST("what the list said counts for a while only")
{
	begin();
	row(true, false, 5000);
	watch(SESSION_BOOK_FRESH_MS / 1000);
	CHECK(look()->witnesses == SESSION_WITNESS_LIST);
	watch(1);
	CHECK(look()->witnesses == 0);
}

TEST("a run that the list denies is over when it is denied twice, and quiet; not when it has just moved")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	row(false, false, 0);
	row(false, false, 0);
	CHECK(book.running == 1);
	watch(SESSION_BOOK_GONE_MS / 1000);
	row(true, false, 5000); /* it was too early to say */
	row(false, false, 5000);
	CHECK(book.running == 1);
	row(false, false, 5000);
	CHECK(book.running == 0 && look()->waits == SESSION_IDLE);
}

TEST("time that nobody watched is no silence: signs of life too far apart, and a lost connection")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	watch(5);
	session_book_alive(&book, now_ms += GAP_MS + 1);
	CHECK(look()->quiet_ms == 5000);
	session_book_alive(&book, now_ms += GAP_MS);
	CHECK(look()->quiet_ms == 5000 + GAP_MS);
	session_book_alive(&book, now_ms - 1000); /* time does not go back */
	CHECK(look()->quiet_ms == 5000 + GAP_MS);
	session_book_blind(&book);
	CHECK(look()->quiet_ms == 0 && book.running == 1);
	now_ms += 5000;
	session_book_alive(&book, now_ms);
	CHECK(look()->quiet_ms == 0);
	watch(2);
	CHECK(look()->quiet_ms == 2000);
}

TEST("tools are counted: it waits for one until the last has ended, and each of them once")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	watch(1);
	event(TOOL("r1", "c1", "start"));
	CHECK(look()->waits == SESSION_WAITS_TOOL);
	CHECK_TEXT(look()->tool, "exec");
	CHECK(book.entries[place()].tool_began_ms == now_ms);
	watch(1);
	event(TOOL("r1", "c2", "start"));
	event(TOOL("r1", "c1", "end"));
	event(TOOL("r1", "c1", "end"));
	event(TOOL("r1", "c9", "end"));
	CHECK(look()->waits == SESSION_WAITS_TOOL && book.entries[place()].tool_count == 1);
	event(TOOL("r1", "c2", "end"));
	CHECK(look()->waits == SESSION_WAITS_MODEL);
	CHECK_TEXT(look()->tool, "");
	event(TOOL("r1", "c3", "start"));
	event(LIFECYCLE("r1", "end"));
	event(LIFECYCLE("r2", "start"));
	CHECK(look()->waits == SESSION_WAITS_MODEL);
}

TEST("more tools than fit are one that does not end before the run: late, and never too early")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	for (int i = 0; i < SESSION_BOOK_TOOLS + 3; i++) {
		char text[512];

		snprintf(text, sizeof(text), TOOL("r1", "c%d", "start"), i, i);
		event(text);
	}
	CHECK(book.entries[place()].tool_count == SESSION_BOOK_TOOLS && look()->waits == SESSION_WAITS_TOOL);
	for (int i = 0; i < SESSION_BOOK_TOOLS; i++) {
		char text[512];

		snprintf(text, sizeof(text), TOOL("r1", "c%d", "end"), i, i);
		event(text);
	}
	CHECK(look()->waits == SESSION_WAITS_TOOL); /* those that were not kept may be at work */
	event(WORD("r1"));
	CHECK(look()->waits == SESSION_WAITS_MODEL);
}

TEST("a run that is seen in its middle, or over a gap, may have a tool at work until its model speaks")
{
	begin();
	event(TOOL("r1", "c1", "end"));
	CHECK(book.running == 1 && look()->waits == SESSION_WAITS_TOOL);
	event(WORD("r1"));
	CHECK(look()->waits == SESSION_WAITS_MODEL);
	session_book_blind(&book);
	CHECK(look()->waits == SESSION_WAITS_TOOL);
	event(TOOL("r1", "c2", "start"));
	event(TOOL("r1", "c2", "end"));
	CHECK(look()->waits == SESSION_WAITS_TOOL); /* another may have begun in the gap */
	event(WORD("r1"));
	CHECK(look()->waits == SESSION_WAITS_MODEL);
}

TEST("compaction and a memory flush have a tool's time: nothing is told of their long calls")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	event(STREAM("r1", "compaction", "\"phase\":\"start\""));
	CHECK(look()->waits == SESSION_WAITS_TOOL);
	event(WORD("r1"));
	CHECK(look()->waits == SESSION_WAITS_MODEL);
	event(STREAM("r1", "run_status", "\"phase\":\"memory_flushing\""));
	CHECK(look()->waits == SESSION_WAITS_TOOL);
}

TEST("a session that the gateway does not have any more leaves once that is told, unless it is there again")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	session_book_forget(&book, place(), now_ms);
	event(LIFECYCLE("r2", "start"));
	CHECK(!look()->gone);
	session_book_told(&book, place(), now_ms);
	CHECK(place() >= 0 && book.running == 1);
	event(LIFECYCLE("r2", "end"));
	CHECK(book.running == 0);
	session_book_forget(&book, place(), now_ms);
	CHECK(look()->gone);
	session_book_told(&book, place(), now_ms);
	CHECK(place() < 0 && book.running == 0);
	event(LIFECYCLE("r2", "start")); /* its run is found by no remains of it */
	CHECK(book.running == 1);
}

TEST("a list that is not written yet tells of no other run")
{
	begin();
	event(STREAM("r1", "lifecycle", "\"phase\":\"start\",\"startedAt\":5000"));
	CHECK(look()->began_real_ms == 5000);
	row(true, false, 4000);
	CHECK_TEXT(look()->run, "r1");
	CHECK(!(look()->witnesses & SESSION_WITNESS_LIST));
	row(true, false, 5000);
	CHECK(look()->witnesses & SESSION_WITNESS_LIST);
	row(true, false, 6000);
	CHECK_TEXT(look()->run, "");
}

TEST("an approval is waited for until it is given")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	event(TOOL("r1", "c1", "start"));
	event(APPROVAL("r1", "requested"));
	CHECK(look()->waits == SESSION_WAITS_PERSON);
	event(APPROVAL("r1", "resolved"));
	CHECK(look()->waits == SESSION_WAITS_TOOL);
	/* That it was given is not always told. */
	event(APPROVAL("r1", "requested"));
	event(WORD("r1"));
	CHECK(look()->waits != SESSION_WAITS_PERSON);
	event(APPROVAL("r1", "requested"));
	session_book_blind(&book);
	CHECK(look()->waits != SESSION_WAITS_PERSON);
}
