/* The book of sessions: what others than events say of them: the log, transcripts, processes; and what makes
 * no sense. */
#include "support/session_book_story.h"

TEST("a line of the log counts with the id and the key of the session, from the gateway's own subsystem, and "
     "until it moves")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	watch(5);
	line(STALLED(ID, KEY "2", "none"));
	line(STALLED(ID, KEY " state=processing", "none"));
	line(STALLED(ID, "agent:main:b " KEY, "none"));
	line(STALLED(ID, KEY, "none") " and more");
	line("chat: " STALLED(ID, KEY, "none"));
	line_of("gateway/ws", STALLED(ID, KEY, "none"));
	session_book_line(&book, STALLED(ID, KEY, "none"), strlen(STALLED(ID, KEY, "none")), now_ms);
	CHECK(look()->witnesses == SESSION_WITNESS_EVENTS && book.unknown_ids == 0);
	line(STALLED("7777f06c-ffac-4681-91df-f3102aa7e651", KEY, "none"));
	CHECK(look()->witnesses == SESSION_WITNESS_EVENTS && book.unknown_ids == 1);
	line(STALLED(ID, KEY, "none"));
	CHECK(look()->witnesses == (SESSION_WITNESS_EVENTS | SESSION_WITNESS_LOG));
	CHECK(look()->own_quiet_ms == 385000 && look()->queued == 2 && look()->quiet_ms == 5000);
	CHECK(look()->recovery == SESSION_RECOVERY_NONE);
	event(WORD("r1"));
	CHECK(look()->witnesses == SESSION_WITNESS_EVENTS);
}

TEST("the gateway's own recovery: it looks, it claims, and what moves needs none")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	watch(5);
	line(STALLED(ID, KEY, "checking"));
	CHECK(look()->recovery == SESSION_RECOVERY_CHECKING && look()->recovery_ms == now_ms);
	line("stuck session recovery: sessionId=" ID " sessionKey=" KEY
	     "2 age=400s action=abort_embedded_run aborted=true "
	     "drained=true released=0");
	CHECK(look()->recovery == SESSION_RECOVERY_CHECKING);
	line("stuck session recovery: sessionId=" ID " sessionKey=" KEY
	     " age=400s action=abort_embedded_run aborted=true "
	     "drained=true released=0");
	CHECK(look()->recovery == SESSION_RECOVERY_CLAIMED && look()->waits == SESSION_WAITS_MODEL &&
	      look()->quiet_ms == 5000);
	event(WORD("r1"));
	CHECK(look()->recovery == SESSION_RECOVERY_NONE);
}

TEST("2026.2.1: a lock says that it runs, a transcript that grows that it moves, and its last message what "
     "it waits for")
{
	struct transcript seen = {.is_locked = true, .exists = true, .bytes = 100, .waits = TRANSCRIPT_MODEL};
	struct openclaw_row given = {.key = KEY, .id = ID};

	begin();
	session_book_row(&book, &given, now_ms);
	CHECK(book.running == 0);
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(book.running == 1 && look()->witnesses == SESSION_WITNESS_LOCK &&
	      look()->waits == SESSION_WAITS_MODEL);
	watch(5);
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(look()->quiet_ms == 5000);
	seen = (struct transcript){
	    .is_locked = true, .exists = true, .bytes = 200, .waits = TRANSCRIPT_TOOL, .tool = "exec"};
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(look()->quiet_ms == 0 && look()->waits == SESSION_WAITS_TOOL);
	CHECK_TEXT(look()->tool, "exec");
	seen.waits = TRANSCRIPT_UNKNOWN; /* it may be a tool */
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(look()->waits == SESSION_WAITS_TOOL);
	seen.is_locked = false;
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(book.running == 0 && look()->waits == SESSION_IDLE && look()->witnesses == 0);
}

TEST("2026.2.1: a run that is known by its events is not over for want of a lock")
{
	struct transcript seen = {.is_locked = true, .exists = true, .bytes = 100, .waits = TRANSCRIPT_MODEL};

	begin();
	event(LIFECYCLE("r1", "start"));
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(look()->witnesses == (SESSION_WITNESS_EVENTS | SESSION_WITNESS_LOCK) && book.running == 1);
	seen.is_locked = false;
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(look()->witnesses == SESSION_WITNESS_EVENTS && book.running == 1);
	event(LIFECYCLE("r1", "end"));
	CHECK(book.running == 0);
	/* One that was never seen to be locked may be locked elsewhere. */
	event(LIFECYCLE("r2", "start"));
	watch(SESSION_BOOK_GONE_MS / 1000);
	for (int i = 0; i < 3; i++)
		session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(book.running == 1);
}

TEST("2026.2.1: that an aborted run has ended is said by its lock alone, twice, and what is written then is "
     "no progress")
{
	struct transcript seen = {.is_locked = true, .exists = true, .bytes = 100, .waits = TRANSCRIPT_MODEL};

	begin();
	event(LIFECYCLE("r1", "start"));
	session_book_transcript(&book, place(), &seen, now_ms);
	watch(SESSION_BOOK_GONE_MS / 1000);
	seen.is_locked = false;
	seen.bytes = 200;
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(look()->quiet_ms == SESSION_BOOK_GONE_MS && book.running == 1);
	seen.is_locked = true; /* only for a moment */
	session_book_transcript(&book, place(), &seen, now_ms);
	seen.is_locked = false;
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(book.running == 1);
	seen.bytes = 300;
	session_book_transcript(&book, place(), &seen, now_ms);
	CHECK(book.running == 0 && look()->waits == SESSION_IDLE);
}

TEST("the work of a tool's processes is progress; the first look has nothing to be compared with")
{
	struct tool_work work = {.processes = 1, .cpu_ticks = 10, .io_bytes = 100};

	begin();
	event(LIFECYCLE("r1", "start"));
	event(TOOL("r1", "c1", "start"));
	watch(5);
	session_book_work(&book, place(), &work, now_ms);
	CHECK(look()->quiet_ms == 5000);
	watch(1);
	session_book_work(&book, place(), &work, now_ms);
	CHECK(look()->quiet_ms == 6000);
	work.cpu_ticks++;
	session_book_work(&book, place(), &work, now_ms);
	CHECK(look()->quiet_ms == 0);
	watch(1);
	work.io_bytes++;
	session_book_work(&book, place(), &work, now_ms);
	CHECK(look()->quiet_ms == 0);
	watch(1);
	work = (struct tool_work){0}; /* its processes have ended */
	session_book_work(&book, place(), &work, now_ms);
	CHECK(look()->quiet_ms == 0);
	watch(1);
	session_book_work(&book, place(), &work, now_ms);
	CHECK(look()->quiet_ms == 1000);
	work.is_partial = true;
	session_book_work(&book, place(), &work, now_ms);
	CHECK(look()->quiet_ms == 0);
	/* Of another tool it is the first look again. */
	event(TOOL("r1", "c1", "end"));
	watch(1);
	event(TOOL("r1", "c2", "start"));
	watch(1);
	work = (struct tool_work){.processes = 2, .cpu_ticks = 7};
	session_book_work(&book, place(), &work, now_ms);
	CHECK(look()->quiet_ms == 1000);
}

TEST("events that are cut, broken or of nobody change nothing")
{
	static const char *const broken[] = {"", "{", "[]", "7", "{\"type\":\"event\",\"event\":\"agent\"}",
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":[]}",
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":7,\"stream\":\"lifecycle\"}}",
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"r1\",\"stream\":\"lifecycle\","
	    "\"data\":{\"pha",
	    "{\"event\":\"agent\",\"payload\":{\"runId\":\"r1\",\"stream\":\"lifecycle\",\"data\":{\"phase\":"
	    "\"end\"}}}"};

	begin();
	event(LIFECYCLE("r1", "start"));
	watch(5);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		event(broken[i]);
	CHECK(book.running == 1 && look()->quiet_ms == 5000 && book.table.count == 1);
}

TEST("runs whose ids share a place in the book are told apart; one that is gone makes room")
{
	char text[512];
	int count = 0;

	begin();
	for (int i = 0; i < SESSIONS_MAX; i++) {
		snprintf(text, sizeof(text),
		    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"run-%d\","
		    "\"sessionKey\":\"agent:main:%d\","
		    "\"stream\":\"lifecycle\",\"data\":{\"phase\":\"start\"}}}",
		    i, i);
		event(text);
	}
	CHECK(book.running == SESSIONS_MAX);
	watch(5);
	for (int i = 0; i < SESSIONS_MAX; i += 2) {
		snprintf(text, sizeof(text),
		    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"run-%d\",\"stream\":"
		    "\"assistant\",\"data\":{}}}",
		    i);
		event(text);
	}
	for (int i = 0; i < SESSIONS_MAX; i++) {
		char key[32];

		snprintf(key, sizeof(key), "agent:main:%d", i);
		count += session_book_quiet_ms(&book, session_table_find(&book.table, key)) == (i % 2) * 5000;
	}
	CHECK(count == SESSIONS_MAX);
	event(LIFECYCLE("one-more", "start"));
	CHECK(place() == -1 && book.table.refused == 1);
	event("{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"run-7\",\"sessionKey\":"
	      "\"agent:main:7\","
	      "\"stream\":\"lifecycle\",\"data\":{\"phase\":\"end\"}}}");
	event(LIFECYCLE("one-more", "start"));
	CHECK(place() >= 0 && book.running == SESSIONS_MAX);
	session_book_forget(&book, place(), now_ms);
	CHECK(book.running == SESSIONS_MAX - 1);
	session_book_clear(&book);
	CHECK(book.running == 0 && book.table.count == 0);
}

#define TRACE_1 "ef515d3662e523d42b021ae596700894"
#define TRACED                                                                                               \
	"{\"0\":\"{\\\"subsystem\\\":\\\"gateway/ws\\\"}\",\"1\":\"\xe2\x87\x84 res \xe2\x9c\x93 chat.send " \
	"360ms "                                                                                             \
	"runId=r1 conn=a "                                                                                   \
	"id=b\",\"_meta\":{\"name\":\"{\\\"subsystem\\\":\\\"gateway/ws\\\"}\"},\"traceId\":\"" TRACE_1      \
	"\"}"

TEST("a run whose request the relay has is known by its trace: content moves it, and it waits for nothing "
     "else")
{
	begin();
	event(LIFECYCLE("r1", "start"));
	session_book_line(&book, TRACED, strlen(TRACED), now_ms);
	watch(10);
	CHECK(!look()->relayed && look()->quiet_ms == 10000);

	session_book_relayed(&book, TRACE_1, 0, now_ms);
	CHECK(look()->relayed && look()->quiet_ms == 10000);
	session_book_relayed(&book, TRACE_1, now_ms, now_ms);
	CHECK(look()->relayed && look()->quiet_ms == 0);

	watch(11);
	CHECK(!look()->relayed && look()->quiet_ms == 11000);
	session_book_relayed(&book, "00000000000000000000000000000000", now_ms, now_ms);
	CHECK(!look()->relayed);
}
