/* The event store on a real file: what is kept, what is counted once, and for how long. */
#include "tests/support/store_home.h"
#include "tests/support/tap.h"

#define DAY_MS ((int64_t)86400000)

TEST("what is stored is read back whole, and the file is the owner's alone")
{
	struct message_event events[3] = {event_of(7, 1, "gateway.started"), event_of(7, 2, "gateway.ready"),
	    event_of(UINT64_MAX, 1, "gateway.exited")};
	struct stat status;
	uint64_t sequence = 0;

	given_an_empty_directory();
	events[2].severity = SEVERITY_ERROR;
	events[2].incident = 4;

	CHECK(store_write(&store, events, 3, &why) == 0);

	CHECK(read_all(NULL, 0, rows, 10) == 3);
	CHECK(rows[0].id == 1 && rows[2].id == 3 && rows[0].time_ms == NOW_MS + 1);
	CHECK(rows[0].incident == 0 && rows[2].incident == 4 && rows[2].severity == SEVERITY_ERROR);
	CHECK_TEXT(rows[2].kind, "gateway.exited");
	CHECK_TEXT(rows[1].reason, "Event 2 happened.");
	CHECK_TEXT(rows[1].evidence, "{\"sequence\":2}");
	CHECK(store_last_sequence(&store, 7, &sequence, &why) == 0 && sequence == 2);
	CHECK(store_last_sequence(&store, UINT64_MAX, &sequence, &why) == 0 && sequence == 1);
	CHECK(store_last_sequence(&store, 8, &sequence, &why) == 0 && sequence == 0);
	CHECK(stat(store.path, &status) == 0 && (status.st_mode & 0777) == 0600);
	clean_up();
}

TEST("an event sent again is stored once, and its incident counts it once")
{
	given_an_empty_directory();
	CHECK(store_one(1, 1, "gateway.exited", 9, NOW_MS) == 0);

	CHECK(store_one(1, 1, "gateway.exited", 9, NOW_MS) == 0);
	store_close(&store);
	CHECK(store_one(1, 1, "gateway.exited", 9, NOW_MS) == 0);

	CHECK(ask("SELECT count(*) FROM events") == 1);
	CHECK(ask("SELECT events FROM incidents WHERE id = 9") == 1);
	clean_up();
}

TEST("an incident opens with its first event and closes with the recovery, and has a duration")
{
	given_an_empty_directory();
	CHECK(store_one(1, 1, "gateway.exited", 5, NOW_MS) == 0);
	CHECK(ask("SELECT closed_ms IS NULL FROM incidents WHERE id = 5") == 1);
	CHECK(store_one(1, 2, "gateway.started", 5, NOW_MS + 1000) == 0);

	CHECK(store_one(1, 3, "gateway.recovered", 5, NOW_MS + 4500) == 0);
	CHECK(store_one(1, 4, "gateway.ready", 0, NOW_MS + 5000) == 0);

	CHECK(ask("SELECT count(*) FROM incidents") == 1);
	CHECK(ask("SELECT duration_ms FROM incidents WHERE id = 5") == 4500);
	CHECK(ask("SELECT kind = 'gateway.exited' AND events = 3 AND first_event = 1 AND last_event = 3 FROM "
	          "incidents") == 1);
	clean_up();
}

TEST("evidence that is no JSON object is kept as text")
{
	struct message_event events[4] = {
	    event_of(1, 1, "a"), event_of(1, 2, "b"), event_of(1, 3, "c"), event_of(1, 4, "d")};

	given_an_empty_directory();
	snprintf(events[0].evidence, sizeof(events[0].evidence), "{\"cut\":\"of");
	snprintf(events[1].evidence, sizeof(events[1].evidence), "[1, 2]");
	events[2].evidence[0] = '\0';

	CHECK(store_write(&store, events, 4, &why) == 0);

	CHECK(read_all(NULL, 0, rows, 10) == 4);
	CHECK_TEXT(rows[0].evidence, "{\"text\":\"{\\\"cut\\\":\\\"of\"}");
	CHECK_TEXT(rows[1].evidence, "{\"text\":\"[1, 2]\"}");
	CHECK_TEXT(rows[2].evidence, "{}");
	clean_up();
}

TEST("hostile numbers are bounded")
{
	struct message_event event = event_of(1, 1, "x");

	given_an_empty_directory();
	event.severity = UINT32_MAX;
	event.real_ms = INT64_MIN;
	event.incident = UINT64_MAX;

	CHECK(store_write(&store, &event, 1, &why) == 0);

	CHECK(read_all(NULL, 0, rows, 10) == 1);
	CHECK(
	    rows[0].severity == SEVERITY_CRITICAL && rows[0].time_ms == 0 && rows[0].incident == UINT64_MAX);
	clean_up();
}

static void trim_to_the_end(const struct store_retention *retention, int64_t now_ms)
{
	bool more = true;

	for (int step = 0; more && step < 1000; step++)
		CHECK(store_trim(&store, retention, now_ms, &more) == 0);
	CHECK(!more);
}

static void store_many(uint64_t first, uint64_t count, uint64_t incident, int64_t real_ms)
{
	static struct message_event events[500];

	while (count > 0) {
		size_t now = count > 500 ? 500 : (size_t)count;

		for (size_t i = 0; i < now; i++) {
			events[i] = event_of(1, first + i, "gateway.waiting");
			events[i].real_ms = real_ms;
			events[i].incident = incident;
		}
		CHECK(store_write(&store, events, now, &why) == 0);
		first += now;
		count -= now;
	}
}

TEST("what is older than its days goes, in bounded steps, except for an open incident and the newest")
{
	const struct store_retention retention = {.days = 30, .size_bytes = 200000000};
	bool more = false;

	given_an_empty_directory();
	store_many(1, 1500, 0, NOW_MS - 40 * DAY_MS);  /* old */
	store_many(1501, 10, 3, NOW_MS - 35 * DAY_MS); /* old, but its incident is open and spoken of today */
	store_many(1511, 10, 2, NOW_MS - 35 * DAY_MS); /* old, its incident is closed */
	CHECK(store_one(1, 1521, "gateway.recovered", 2, NOW_MS - 35 * DAY_MS) == 0);
	store_many(
	    1522, 10, 1, NOW_MS - 34 * DAY_MS); /* old, never closed, and nothing was heard of it since */
	store_many(1532, 300, 0, NOW_MS - DAY_MS);
	CHECK(store_one(1, 1832, "gateway.waiting", 3, NOW_MS) == 0);

	CHECK(store_trim(&store, &retention, NOW_MS, &more) == 0);
	CHECK(more && ask("SELECT count(*) FROM events") == 1832 - 500);
	trim_to_the_end(&retention, NOW_MS);

	CHECK(ask("SELECT count(*) FROM events") == 311);
	CHECK(ask("SELECT count(*) FROM events WHERE incident = 3") == 11);
	CHECK(ask("SELECT count(*) FROM incidents") == 1 && ask("SELECT id FROM incidents") == 3);
	clean_up();
}

TEST("the newest events are kept whatever their age: they may be sent again")
{
	const struct store_retention retention = {.days = 1, .size_bytes = 1};
	uint64_t sequence = 0;

	given_an_empty_directory();
	store_many(1, 400, 0, 1000); /* the clock of a machine that has just started */

	trim_to_the_end(&retention, NOW_MS);

	CHECK(ask("SELECT count(*) FROM events") == STORE_KEPT_ALWAYS);
	CHECK(store_last_sequence(&store, 1, &sequence, &why) == 0 && sequence == 400);
	clean_up();
}

TEST("beyond its size the oldest goes first, and the file shrinks")
{
	const struct store_retention retention = {.days = 30, .size_bytes = 400000};
	struct stat before, after;

	given_an_empty_directory();
	store_many(1, 20000, 0, NOW_MS);
	CHECK(store_settle(&store) == 0);
	CHECK(stat(store.path, &before) == 0);

	trim_to_the_end(&retention, NOW_MS);
	CHECK(store_settle(&store) == 0);

	CHECK(stat(store.path, &after) == 0);
	CHECK(before.st_size > 2000000 && after.st_size < 400000 + 256 * 4096 + 65536);
	CHECK(ask("SELECT max(id) FROM events") == 20000 &&
	      ask("SELECT count(*) FROM events") >= STORE_KEPT_ALWAYS);
	CHECK(ask("SELECT max(id) - min(id) + 1 - count(*) FROM events") == 0);
	clean_up();
}

TEST("the log does not grow: it is cut when the store settles, and stays bounded before")
{
	char companion[PATH_MAX + 8];
	struct stat status;

	given_an_empty_directory();
	snprintf(companion, sizeof(companion), "%s-wal", store.path);
	store_many(1, 30000, 0, NOW_MS);
	CHECK(stat(companion, &status) == 0 && status.st_size < 4000000);

	CHECK(store_settle(&store) == 0);

	CHECK(stat(companion, &status) == 0 && status.st_size == 0);
	clean_up();
}
