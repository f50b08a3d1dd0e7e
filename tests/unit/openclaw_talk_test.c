/* The events "agent" and "chat" of the real gateways, and what is made to look like them; the rows of their
 * lists. */
#include "base/hash.h"
#include "gateway/openclaw_talk.h"
#include "support/tap.h"

#define RUN "5c5a79e5-aedb-40c4-985a-946ec48b40f7"

static struct openclaw_event event;
static char large[1024 * 1024];

static bool when_read(const char *text)
{
	return openclaw_event_read(text, strlen(text), &event);
}

static void given_frame(const char *event_name, const char *payload)
{
	snprintf(large, sizeof(large),
	    "{\"type\":\"event\",\"event\":\"%s\",\"payload\":{\"runId\":\"" RUN "\",%s},\"seq\":9}",
	    event_name, payload);
}

static enum openclaw_what what_of(const char *payload)
{
	given_frame("agent", payload);
	return when_read(large) ? event.what : OPENCLAW_WHAT_COUNT;
}

/* Calls `tell` with each line of a file. */
static int each_line(const char *name, void (*tell)(const char *line, int number))
{
	char path[512], *line = NULL;
	size_t size = 0;
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/sessions/%s", TEST_DATA, name);
	file = fopen(path, "r");
	if (!CHECK(file != NULL))
		return 0;
	for (ssize_t length; (length = getline(&line, &size, file)) > 0; count++) {
		line[length - 1] = '\0';
		tell(line, count);
	}
	free(line);
	fclose(file);
	return count;
}

static const enum openclaw_what whats_2026_9[] = {OPENCLAW_PREPARES, OPENCLAW_BEGAN, OPENCLAW_MOVED,
    OPENCLAW_MOVED, OPENCLAW_TOOL_BEGAN, OPENCLAW_TOOL_ENDED, OPENCLAW_MOVED, OPENCLAW_MOVED, OPENCLAW_MOVED,
    OPENCLAW_ENDED, OPENCLAW_ENDED, OPENCLAW_NOTHING, OPENCLAW_MOVED, OPENCLAW_CHAT_ENDED,
    OPENCLAW_CHAT_ENDED, OPENCLAW_ENDED};
static const enum openclaw_what whats_2026_2[] = {
    OPENCLAW_BEGAN, OPENCLAW_MOVED, OPENCLAW_ENDED, OPENCLAW_MOVED, OPENCLAW_CHAT_ENDED};
static const enum openclaw_what *whats;

static void check_what(const char *line, int number)
{
	CHECK(when_read(line) && event.what == whats[number] && !event.cut);
	CHECK(strlen(event.run) == 36 && strncmp(event.key, "agent:main:", 11) == 0);
	CHECK(event.is_chat || event.ts_ms > 1796000000000);
}

TEST("what the real gateways say of a run is understood")
{
	whats = whats_2026_9;
	CHECK(each_line("2026.9.6-events", check_what) == sizeof(whats_2026_9) / sizeof(whats_2026_9[0]));
	CHECK(event.aborted && event.started_at_ms == 1796073624320);
	CHECK_TEXT(event.id, "33f9f2ab-e740-48e0-9614-c669220346bf");
	CHECK_TEXT(event.key, "agent:main:hang");
	whats = whats_2026_2;
	CHECK(each_line("2026.2.1-events", check_what) == sizeof(whats_2026_2) / sizeof(whats_2026_2[0]));
}

/* Whatever is there of a frame, it is never more than the frame says. */
static void check_cuts(const char *line, int number)
{
	struct openclaw_event whole;
	struct json_span run;
	size_t length = strlen(line);
	bool is_known = false;

	when_read(line);
	whole = event;
	for (size_t cut = 0; cut < length; cut++) {
		char *exact = malloc(cut + 1);
		bool read;

		memcpy(exact + 1, line, cut);
		read = openclaw_event_read(exact + 1, cut, &event);
		CHECK(!is_known || read);
		is_known = read;
		if (read)
			CHECK(strcmp(event.run, whole.run) == 0 &&
			      (event.key[0] == '\0' || strcmp(event.key, whole.key) == 0) &&
			      (event.id[0] == '\0' || strcmp(event.id, whole.id) == 0) &&
			      (event.tool[0] == '\0' || strcmp(event.tool, whole.tool) == 0) &&
			      (event.item == 0 || event.item == whole.item ||
			          whole.what == OPENCLAW_TOOL_BEGAN || whole.what == OPENCLAW_TOOL_ENDED) &&
			      (event.ts_ms == 0 || event.ts_ms == whole.ts_ms) &&
			      (event.started_at_ms == 0 || event.started_at_ms == whole.started_at_ms) &&
			      (event.what != OPENCLAW_ENDED || whole.what == OPENCLAW_ENDED) &&
			      (event.what != OPENCLAW_BEGAN || whole.what == OPENCLAW_BEGAN));
		if (openclaw_event_run(exact + 1, cut, &run))
			CHECK(read && event.what == OPENCLAW_MOVED && run.length == strlen(event.run) &&
			      memcmp(run.bytes, event.run, run.length) == 0);
		free(exact);
	}
}

TEST("a frame that is cut at any byte says what is there of it, and nothing else")
{
	each_line("2026.9.6-events", check_cuts);
	each_line("2026.2.1-events", check_cuts);
}

static int short_ones;

static void count_short(const char *line, int number)
{
	struct json_span run;

	if (openclaw_event_run(line, strlen(line), &run)) {
		short_ones++;
		CHECK(run.length == 36 && strstr(line, "\"delta\"") != NULL);
	} else {
		CHECK(strstr(line, "\"assistant\",\"data\"") == NULL &&
		      strstr(line, "\"state\":\"delta\"") == NULL);
	}
}

TEST("pieces of an answer, and only they, go the short way")
{
	short_ones = 0;
	each_line("2026.9.6-events", count_short);
	each_line("2026.2.1-events", count_short);
	CHECK(short_ones == 4);
}

TEST("a tool's call is known by its id")
{
	CHECK(what_of("\"stream\":\"item\",\"data\":{\"itemId\":\"tool:call_1\",\"toolCallId\":\"call_1\","
	              "\"name\":\"exec\","
	              "\"kind\":\"tool\",\"phase\":\"start\"},\"sessionKey\":\"agent:main:a\"") ==
	      OPENCLAW_TOOL_BEGAN);
	CHECK_TEXT(event.tool, "exec");
	CHECK(event.item == hash_bytes("call_1", 6));
	CHECK(what_of("\"stream\":\"tool\",\"data\":{\"phase\":\"start\",\"name\":\"read\",\"toolCallId\":"
	              "\"t1\",\"args\":{"
	              "\"phase\":\"result\",\"toolCallId\":\"x\"}}") == OPENCLAW_TOOL_BEGAN);
	CHECK(event.item == hash_bytes("t1", 2));
	CHECK(what_of("\"stream\":\"tool\",\"data\":{\"phase\":\"update\",\"toolCallId\":\"t1\"}") ==
	      OPENCLAW_MOVED);
	CHECK(what_of("\"stream\":\"tool\",\"data\":{\"phase\":\"result\",\"name\":\"read\",\"toolCallId\":"
	              "\"t1\"}") == OPENCLAW_TOOL_ENDED);
	CHECK(what_of("\"stream\":\"item\",\"data\":{\"kind\":\"command\",\"phase\":\"end\"}") ==
	      OPENCLAW_MOVED);
	CHECK(
	    what_of("\"stream\":\"item\",\"data\":{\"itemId\":\"i\",\"kind\":\"tool\",\"phase\":\"end\"}") ==
	    OPENCLAW_TOOL_ENDED);
	CHECK(event.item == hash_bytes("i", 1));
}

TEST("who waits for a person, or before a model is asked again, says so")
{
	CHECK(what_of("\"stream\":\"approval\",\"data\":{\"phase\":\"requested\",\"kind\":\"exec\","
	              "\"status\":\"pending\"}") == OPENCLAW_ASKED);
	CHECK(what_of(
	          "\"stream\":\"approval\",\"data\":{\"phase\":\"requested\",\"status\":\"unavailable\"}") ==
	      OPENCLAW_MOVED);
	CHECK(what_of("\"stream\":\"approval\",\"data\":{\"phase\":\"resolved\",\"status\":\"denied\"}") ==
	      OPENCLAW_ANSWERED);
	CHECK(what_of("\"sessionKey\":\"agent:main:a\",\"stream\":\"run_status\",\"data\":{\"phase\":"
	              "\"retrying\",\"message\":"
	              "\"Retrying\",\"retryAttempt\":1,\"maxRetries\":9,\"delayMs\":2000,\"reason\":\"rate_"
	              "limit\"}") == OPENCLAW_RETRIES);
	CHECK(
	    what_of("\"stream\":\"error\",\"data\":{\"reason\":\"seq gap\",\"expected\":2,\"received\":4}") ==
	    OPENCLAW_NOTHING);
	CHECK(what_of("\"stream\":\"compaction\",\"data\":{\"phase\":\"end\"}") == OPENCLAW_KEEPS_HOUSE);
	CHECK(what_of("\"stream\":\"something new\"") == OPENCLAW_MOVED);
}

TEST("what is said within a text or an argument is not the event's own")
{
	CHECK(what_of("\"stream\":\"assistant\",\"data\":{\"text\":\"\\\"stream\\\":\\\"lifecycle\\\","
	              "\\\"phase\\\":\\\"end\\\"\","
	              "\"stream\":\"lifecycle\",\"phase\":\"end\",\"sessionKey\":\"agent:main:forged\","
	              "\"aborted\":true},"
	              "\"sessionKey\":\"agent:main:own\"") == OPENCLAW_MOVED);
	CHECK_TEXT(event.key, "agent:main:own");
	CHECK(!event.aborted);
	CHECK(what_of("\"stream\":\"tool\",\"data\":{\"args\":{\"runId\":\"x\",\"phase\":\"end\",\"kind\":"
	              "\"tool\"},\"phase\":"
	              "\"update\"}") == OPENCLAW_MOVED);
	CHECK_TEXT(event.run, RUN);
	/* The first of two counts. */
	CHECK(what_of("\"stream\":\"assistant\",\"stream\":\"lifecycle\",\"runId\":\"x\",\"data\":{\"phase\":"
	              "\"end\"}") == OPENCLAW_MOVED);
	CHECK_TEXT(event.run, RUN);
}

TEST("a tool's event for who asked for changes is an event of its run: the same call, by the same id")
{
	uint64_t item;

	given_frame("session.tool",
	    "\"stream\":\"tool\",\"data\":{\"phase\":\"start\",\"name\":\"write\",\"toolCallId\":\"call_1\","
	    "\"args\":{\"phase\":\"result\"}},\"sessionKey\":\"agent:main:a\",\"status\":\"running\"");
	CHECK(when_read(large) && event.what == OPENCLAW_TOOL_BEGAN && event.is_visible && !event.is_chat);
	CHECK_TEXT(event.tool, "write");
	CHECK_TEXT(event.key, "agent:main:a");
	item = event.item;
	CHECK(
	    what_of(
	        "\"stream\":\"item\",\"data\":{\"itemId\":\"tool:call_1\",\"toolCallId\":\"call_1\",\"kind\":"
	        "\"tool\",\"phase\":\"start\"}") == OPENCLAW_TOOL_BEGAN);
	CHECK(event.item == item && item != 0 && !event.is_visible);
	given_frame("session.tool",
	    "\"stream\":\"tool\",\"data\":{\"phase\":\"input_delta\",\"toolCallId\":\"call_1\"}");
	CHECK(when_read(large) && event.what == OPENCLAW_MOVED);
	given_frame(
	    "session.tool", "\"stream\":\"tool\",\"data\":{\"phase\":\"result\",\"toolCallId\":\"call_1\"}");
	CHECK(when_read(large) && event.what == OPENCLAW_TOOL_ENDED && event.item == item);
}

#define CHANGED(payload)                                                                                     \
	"{\"type\":\"event\",\"event\":\"sessions.changed\",\"payload\":{" payload "},\"seq\":3}"

static bool when_change_read(const char *text, struct openclaw_row *row)
{
	return openclaw_change_read(text, strlen(text), row);
}

TEST("a change says of which session, and as much of it as it knows")
{
	static const char *const others[] = {"", "{}", CHANGED("\"session\":{\"key\":\"agent:main:a\"}"),
	    CHANGED("\"sessionKey\":\"\""), CHANGED("\"sessionKey\":7"),
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"a\",\"sessionKey\":\"b\"}}",
	    "{\"type\":\"res\",\"event\":\"sessions.changed\",\"payload\":{\"sessionKey\":\"b\"}}"};
	const char *text =
	    CHANGED("\"sessionKey\":\"agent:main:a\",\"phase\":\"start\",\"runId\":\"r\",\"ts\":3,"
	            "\"session\":{\"key\":\"agent:main:b\",\"status\":\"done\"},\"sessionId\":\"id-1\","
	            "\"status\":\"running\",\"hasActiveRun\":true,\"startedAt\":1796079961512");
	struct openclaw_row row;

	CHECK(when_change_read(text, &row) && row.knows_running && row.running && !row.queued);
	CHECK(row.started_at_ms == 1796079961512);
	CHECK_TEXT(row.key, "agent:main:a");
	CHECK_TEXT(row.id, "id-1");
	CHECK(!when_read(text));
	for (size_t length = 0; length < strlen(text); length++)
		if (openclaw_change_read(text, length, &row))
			CHECK(strcmp(row.key, "agent:main:a") == 0 && (!row.knows_running || row.running));
	CHECK(when_change_read(
	          CHANGED("\"sessionKey\":\"a\",\"status\":\"done\",\"hasActiveRun\":false"), &row) &&
	      row.knows_running && !row.running);
	CHECK(when_change_read(
	          CHANGED("\"sessionKey\":\"a\",\"status\":\"queued\",\"hasActiveRun\":true"), &row) &&
	      row.queued && !row.running);
	CHECK(when_change_read(CHANGED("\"sessionKey\":\"a\",\"reason\":\"delete\""), &row) &&
	      !row.knows_running);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		CHECK(!when_change_read(others[i], &row));
}

TEST("no other frame is an event of a run")
{
	static const char *const frames[] = {"", "{}", "[]", "agent",
	    "{\"type\":\"res\",\"id\":\"1\",\"ok\":true}",
	    "{\"type\":\"event\",\"event\":\"tick\",\"payload\":{\"runId\":\"a\",\"stream\":\"assistant\"}}",
	    "{\"type\":\"res\",\"event\":\"agent\",\"payload\":{\"runId\":\"a\",\"stream\":\"assistant\"}}",
	    "{\"event\":\"agent\",\"payload\":{\"runId\":\"a\",\"stream\":\"assistant\"}}",
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"\",\"stream\":\"assistant\"}}",
	    ("{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"a\\n\",\"stream\":"
	     "\"assistant\"}}"),
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":7,\"stream\":\"assistant\"}}",
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"a\"}}",
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"stream\":\"assistant\"}}",
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"a\",\"stream\":\"assistant\"]}",
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":\"runId\"}",
	    "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"runId\":\"a\",\"stream\":\"assistant\"}}",
	    ("{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"\xff\",\"stream\":"
	     "\"assistant\"}}")};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		if (!CHECK(!when_read(frames[i])))
			printf("# %s\n", frames[i]);
}

TEST("what does not fit is none, and is never cut")
{
	char payload[600];

	snprintf(payload, sizeof(payload),
	    "\"stream\":\"item\",\"data\":{\"kind\":\"tool\",\"phase\":\"start\",\"name\":\"%032d\"},"
	    "\"sessionKey\":\"%0192d\","
	    "\"sessionId\":\"%040d\"",
	    0, 0, 0);
	CHECK(what_of(payload) == OPENCLAW_TOOL_BEGAN);
	CHECK(event.key[0] == '\0' && event.id[0] == '\0' && event.tool[0] == '\0');
	snprintf(payload, sizeof(payload), "\"stream\":\"assistant\",\"sessionKey\":\"%0191d\"", 0);
	CHECK(what_of(payload) == OPENCLAW_MOVED && strlen(event.key) == 191);
	snprintf(large, sizeof(large),
	    "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"%072d\",\"stream\":"
	    "\"assistant\",\"data\":1}}",
	    0);
	CHECK(!when_read(large));
	CHECK(!openclaw_event_run(large, strlen(large), &(struct json_span){0}));
}

TEST("an answer of a megabyte is skipped, and its session is known")
{
	static const char head[] = "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"" RUN
	                           "\",\"stream\":\"assistant\",\"data\":{\"text\":\"",
	                  tail[] =
	                      "\"},\"sessionKey\":\"agent:main:large\",\"ts\":1796073628259},\"seq\":28}";
	size_t pairs = (sizeof(large) - sizeof(head) - sizeof(tail)) / 2;

	memcpy(large, head, sizeof(head) - 1);
	memset(large + sizeof(head) - 1, '\\', pairs * 2);
	memcpy(large + sizeof(head) - 1 + pairs * 2, tail, sizeof(tail));
	CHECK(when_read(large) && event.what == OPENCLAW_MOVED && event.ts_ms == 1796073628259);
	CHECK_TEXT(event.key, "agent:main:large");
}

static struct json_value values[64];
static char strings[2048];
static struct openclaw_row row;

static bool when_row(const char *text)
{
	struct json_document document = {
	    .values = values, .value_max = 64, .strings = strings, .string_size = sizeof(strings)};
	struct json_fault fault;

	if (!CHECK(json_parse(&document, text, strlen(text), JSON_STRICT, &fault) == 0))
		return false;
	return openclaw_row_read(&document, json_root(&document), &row);
}

TEST("a row of 2026.9.6 says whether its session runs")
{
	CHECK(when_row(
	    "{\"key\":\"agent:main:hang\",\"kind\":\"direct\",\"updatedAt\":1796073628800,\"sessionId\":"
	    "\"33f9f2ab-e740-48e0-9614-c669220346bf\",\"status\":\"running\",\"startedAt\":1796073628449,"
	    "\"hasActiveRun\":true,\"deliveryContext\":{\"channel\":\"telegram\",\"to\":\"telegram:42\","
	    "\"accountId\":\"bot\"},\"lastChannel\":\"webchat\"}"));
	CHECK_TEXT(row.key, "agent:main:hang");
	CHECK_TEXT(row.id, "33f9f2ab-e740-48e0-9614-c669220346bf");
	CHECK(row.knows_running && row.running && !row.queued);
	CHECK(row.started_at_ms == 1796073628449 && row.updated_at_ms == 1796073628800);
	CHECK_TEXT(row.channel, "telegram");
	CHECK_TEXT(row.to, "telegram:42");
	CHECK_TEXT(row.account, "bot");
	CHECK(when_row("{\"key\":\"a\",\"status\":\"queued\",\"hasActiveRun\":true}"));
	CHECK(row.knows_running && !row.running && row.queued && row.started_at_ms == 0);
	CHECK(when_row("{\"key\":\"a\",\"status\":\"done\",\"hasActiveRun\":true}") && row.running);
	CHECK(when_row("{\"key\":\"a\",\"status\":\"done\",\"hasActiveRun\":false}") && row.knows_running &&
	      !row.running);
}

TEST("a row of 2026.2.1 does not say it")
{
	CHECK(when_row(
	    "{\"key\":\"agent:main:s1\",\"kind\":\"direct\",\"updatedAt\":1795242340127,\"sessionId\":"
	    "\"38aed7c1-2365-4af3-9d30-26e01258e6e2\",\"abortedLastRun\":false,\"lastChannel\":\"whatsapp\","
	    "\"lastTo\":\"+4912345\"}"));
	CHECK(!row.knows_running && !row.running && row.updated_at_ms == 1795242340127);
	CHECK_TEXT(row.channel, "whatsapp");
	CHECK_TEXT(row.to, "+4912345");
	CHECK_TEXT(row.account, "");
}

TEST("what is no row, or has a key of another kind, is none")
{
	char text[300];

	CHECK(!when_row("[]"));
	CHECK(!when_row("{}"));
	CHECK(!when_row("{\"key\":7}"));
	CHECK(!when_row("{\"key\":\"\"}"));
	CHECK(!when_row("{\"key\":\"a\\u0000b\"}"));
	CHECK(!when_row("{\"key\":\"a\\nb\"}"));
	snprintf(text, sizeof(text), "{\"key\":\"%0192d\"}", 0);
	CHECK(!when_row(text));
	CHECK(when_row(
	    "{\"key\":\"a\",\"startedAt\":-5,\"updatedAt\":\"now\",\"deliveryContext\":{\"channel\":\"x\"},"
	    "\"lastTo\":\"y\"}"));
	CHECK(row.started_at_ms == 0 && row.updated_at_ms == 0 && row.channel[0] == '\0');
	CHECK_TEXT(row.to, "y");
}
