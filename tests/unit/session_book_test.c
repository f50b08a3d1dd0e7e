/* The book of sessions: what was seen goes in, and whether a run moves, waits, or is over comes out. The
 * events, rows and lines are as the gateway writes them. */
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
