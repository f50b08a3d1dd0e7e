/* Reports of autopsies: they come into the store with their events, or not at all, and go with them. */
#include "recorder/autopsies.h"
#include "tests/support/store_home.h"
#include "tests/support/tap.h"

#define DAY_MS ((int64_t)86400000)

static struct message_event autopsy_of(uint64_t sequence, const char *evidence)
{
	struct message_event event = event_of(1, sequence, AUTOPSY_KIND);

	snprintf(event.evidence, sizeof(event.evidence), "%s", evidence);
	return event;
}

static int name_of(const char *evidence)
{
	struct message_event event = autopsy_of(1, evidence);
	char name[AUTOPSY_NAME_MAX];

	return autopsy_name(&event, name);
}

static void given_a_report(uint64_t number, size_t length)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/autopsy.%" PRIu64 ".json", directory, number);
	file = fopen(path, "w");
	if (file == NULL)
		abort();
	fprintf(file, "{\"fill\":\"%0*d\"}", (int)length, 0);
	fclose(file);
}

static int store_autopsy(uint64_t number, int64_t real_ms)
{
	char evidence[64];
	struct message_event event;

	snprintf(evidence, sizeof(evidence), "{\"report\":\"autopsy.%" PRIu64 ".json\"}", number);
	event = autopsy_of(number, evidence);
	event.real_ms = real_ms;
	return store_write(&store, &event, 1, &why);
}

static void change(const char *sql)
{
	sqlite3 *database;

	CHECK(sqlite3_open(store.path, &database) == SQLITE_OK);
	CHECK(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(database);
}

TEST("only the exact name of a report is one")
{
	struct message_event event = autopsy_of(1, "{\"report\":\"autopsy.18446744073709551615.json\"}");
	char name[AUTOPSY_NAME_MAX];

	CHECK(autopsy_name(&event, name) == 0);
	CHECK_TEXT(name, "autopsy.18446744073709551615.json");
	snprintf(event.kind, sizeof(event.kind), "gateway.exited");
	CHECK(autopsy_name(&event, name) == -ENOENT);

	CHECK(
	    name_of("{}") == -ENOENT && name_of("") == -ENOENT && name_of("[\"autopsy.1.json\"]") == -ENOENT);
	CHECK(name_of("{\"report\":\"\"}") == -ENOENT && name_of("{\"report\":null}") == -ENOENT);
	CHECK(name_of("{\"report\":\"autopsy.1.json\"") == -ENOENT); /* cut off */
	CHECK(name_of("{\"report\":1}") == -EINVAL && name_of("{\"report\":{}}") == -EINVAL);
	CHECK(name_of("{\"report\":\"../autopsy.1.json\"}") == -EINVAL);
	CHECK(name_of("{\"report\":\"autopsy.1/../2.json\"}") == -EINVAL);
	CHECK(name_of("{\"report\":\"autopsy..json\"}") == -EINVAL);
	CHECK(name_of("{\"report\":\"autopsy.-1.json\"}") == -EINVAL);
	CHECK(name_of("{\"report\":\"autopsy.1.json \"}") == -EINVAL);
	CHECK(name_of("{\"report\":\"autopsy.1.json\\u0000\"}") == -EINVAL);
	CHECK(name_of("{\"report\":\"autopsy.1\\u0000.json\"}") == -EINVAL);
	CHECK(name_of("{\"report\":\"autopsy.123456789012345678901.json\"}") == -EINVAL);
}

TEST("a report comes with its event, and its file goes")
{
	given_an_empty_directory();
	store_find_reports(&store, directory);
	given_a_report(1, 100);

	CHECK(store_autopsy(1, NOW_MS) == 0);

	CHECK(ask("SELECT count(*) FROM events JOIN autopsies ON event = id") == 1);
	CHECK(ask("SELECT length(report ->> 'fill') FROM autopsies") == 100);
	CHECK(files_beginning("autopsy.", NULL, 0) == 0);
	clean_up();
}

TEST("the longest report is taken, and one byte more is said to be too long")
{
	given_an_empty_directory();
	store_find_reports(&store, directory);
	given_a_report(1, AUTOPSY_REPORT_BYTES_MAX - 11);
	given_a_report(2, AUTOPSY_REPORT_BYTES_MAX - 10);

	CHECK(store_autopsy(1, NOW_MS) == 0 && store_autopsy(2, NOW_MS) == 0);

	CHECK(ask("SELECT length(report) FROM autopsies") == AUTOPSY_REPORT_BYTES_MAX);
	CHECK(ask("SELECT count(*) FROM events WHERE evidence ->> 'missing' LIKE '%too long%'") == 1);
	CHECK(files_beginning("autopsy.", NULL, 0) == 1);
	clean_up();
}

TEST("what fails leaves the report in its file, and it is taken when it is tried again")
{
	struct message_event events[2];

	given_an_empty_directory();
	store_find_reports(&store, directory);
	given_a_report(1, 100);
	CHECK(store_write(&store, NULL, 0, &why) == 0);
	events[0] = autopsy_of(1, "{\"report\":\"autopsy.1.json\"}");
	events[1] = event_of(1, 2, "refused");
	change("CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.kind = 'refused' BEGIN"
	       " SELECT RAISE(ABORT, 'no'); END");

	CHECK(store_write(&store, events, 2, &why) < 0);
	CHECK(ask("SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM autopsies)") == 0);
	CHECK(files_beginning("autopsy.", NULL, 0) == 1);

	change("DROP TRIGGER refuse");
	CHECK(store_write(&store, events, 2, &why) == 0);
	CHECK(ask("SELECT count(*) FROM autopsies") == 1);
	CHECK(files_beginning("autopsy.", NULL, 0) == 0);
	clean_up();
}

TEST("without a runtime directory the event is stored, and what is missing is said")
{
	given_an_empty_directory();

	CHECK(store_autopsy(1, NOW_MS) == 0);

	CHECK(read_all(NULL, 0, rows, 2) == 1);
	CHECK(strstr(rows[0].evidence, "\"missing\":\"The report autopsy.1.json was gone") != NULL);
	clean_up();
}

TEST("reports go with their events: by age, and because their size counts")
{
	const struct store_retention days = {.days = 30, .size_bytes = 200000000},
	                             size = {.size_bytes = 1000000};
	bool more = true;

	given_an_empty_directory();
	store_find_reports(&store, directory);
	for (uint64_t number = 1; number <= 40; number++) {
		given_a_report(number, 50000);
		CHECK(store_autopsy(number, number == 1 ? NOW_MS - 40 * DAY_MS : NOW_MS) == 0);
	}
	CHECK(ask("SELECT count(*) FROM autopsies") == 40);
	for (uint64_t number = 41; number < 41 + STORE_KEPT_ALWAYS; number++)
		CHECK(store_one(1, number, "gateway.waiting", 0, NOW_MS) == 0);

	while (more)
		CHECK(store_trim(&store, &days, NOW_MS, &more) == 0);
	CHECK(ask("SELECT count(*) FROM autopsies") == 39);
	more = true;
	while (more)
		CHECK(store_trim(&store, &size, NOW_MS, &more) == 0);

	CHECK(ask("SELECT count(*) FROM autopsies WHERE event NOT IN (SELECT id FROM events)") == 0);
	CHECK(ask("SELECT count(*) FROM autopsies") < 20);
	CHECK(ask("SELECT count(*) FROM events") >= STORE_KEPT_ALWAYS);
	clean_up();
}
