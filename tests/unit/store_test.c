/* The event store on a real file: what is kept, what is counted once, what survives which damage. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "recorder/moment.h"
#include "recorder/print.h"
#include "recorder/reader.h"
#include "recorder/store.h"
#include "tests/support/tap.h"

#define DAY_MS ((int64_t)86400000)
#define NOW_MS ((int64_t)1795252458168) /* 2026-11-21T09:14:18.168Z */

static char directory[64];
static struct store store;
static struct error why;

static struct message_event event_of(uint64_t life, uint64_t sequence, const char *kind)
{
	struct message_event event = {
	    .life = life, .sequence = sequence, .real_ms = NOW_MS + (int64_t)sequence};

	snprintf(event.kind, sizeof(event.kind), "%s", kind);
	snprintf(event.reason, sizeof(event.reason), "Event %" PRIu64 " happened.", sequence);
	snprintf(event.evidence, sizeof(event.evidence), "{\"sequence\":%" PRIu64 "}", sequence);
	return event;
}

static int store_one(uint64_t life, uint64_t sequence, const char *kind, uint64_t incident, int64_t real_ms)
{
	struct message_event event = event_of(life, sequence, kind);

	event.incident = incident;
	event.real_ms = real_ms;
	return store_write(&store, &event, 1, &why);
}

static void given_an_empty_directory(void)
{
	snprintf(directory, sizeof(directory), "/tmp/holdfast-store-XXXXXX");
	if (mkdtemp(directory) == NULL || store_init(&store, directory, &why) < 0)
		abort();
}

static void clean_up(void)
{
	DIR *list = opendir(directory);
	struct dirent *entry;

	store_close(&store);
	while (list != NULL && (entry = readdir(list)) != NULL)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(list), entry->d_name, 0);
	if (list != NULL)
		closedir(list);
	rmdir(directory);
}

static int64_t ask(const char *sql)
{
	sqlite3 *database;
	sqlite3_stmt *statement = NULL;
	int64_t value = -1;

	if (sqlite3_open_v2(store.path, &database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(database);
	return value;
}

static int read_all(const struct event_filter *filter, int64_t after, struct event_row *rows, int max)
{
	static const struct event_filter all;
	static struct reader reader;
	bool replaced;
	int count;

	if (reader_init(&reader, directory, &why) < 0 || reader_open(&reader, &replaced, &why) < 0)
		return -1;
	count = reader_page(&reader, filter != NULL ? filter : &all, after, rows, max, &why);
	reader_close(&reader);
	return count;
}

static int files_beginning(const char *prefix, char *name, size_t name_size)
{
	DIR *list = opendir(directory);
	struct dirent *entry;
	int count = 0;

	while (list != NULL && (entry = readdir(list)) != NULL) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
			count++;
			if (name != NULL)
				snprintf(name, name_size, "%s", entry->d_name);
		}
	}
	if (list != NULL)
		closedir(list);
	return count;
}

static void damage(off_t offset, size_t length)
{
	static const char rubbish[65536] = "these bytes are no page of any database";
	int fd = open(store.path, O_WRONLY | O_CREAT, 0600);

	for (size_t done = 0; done < length; done += sizeof(rubbish))
		CHECK(pwrite(fd, rubbish, length < sizeof(rubbish) ? length : sizeof(rubbish),
		          offset + (off_t)done) > 0);
	close(fd);
}

static struct event_row rows[600];

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

static void check_put_aside(int64_t least_id)
{
	char name[NAME_MAX + 1] = "";

	CHECK(files_beginning("events.db.corrupt-", name, sizeof(name)) >= 1);
	CHECK(read_all(NULL, 0, rows, 10) == 2);
	CHECK_TEXT(rows[0].kind, "store.replaced");
	CHECK(rows[0].severity == SEVERITY_WARNING &&
	      strstr(rows[0].reason, "put aside as events.db.corrupt-") != NULL);
	CHECK(strstr(rows[0].evidence, "\"movedTo\":\"events.db.corrupt-") != NULL);
	CHECK_TEXT(rows[1].kind, "gateway.exited");
	CHECK(rows[0].id >= least_id && rows[1].id == rows[0].id + 1);
}

TEST("a file of rubbish is put aside, and a new one begins by saying so")
{
	given_an_empty_directory();
	damage(0, 100000);

	CHECK(store_one(1, 1, "gateway.exited", 0, NOW_MS) == 0);

	check_put_aside(1000000000); /* ids go on above whatever was given before */
	clean_up();
}

TEST("a short file of rubbish is put aside")
{
	given_an_empty_directory();
	damage(0, 10);

	CHECK(store_one(1, 1, "gateway.exited", 0, NOW_MS) == 0);

	check_put_aside(1000000000);
	clean_up();
}

TEST("a database of another program is put aside unchanged")
{
	sqlite3 *database;
	char name[NAME_MAX + 1] = "", path[PATH_MAX];

	given_an_empty_directory();
	CHECK(sqlite3_open(store.path, &database) == SQLITE_OK);
	CHECK(sqlite3_exec(database, "CREATE TABLE events (mine); INSERT INTO events VALUES (42)", NULL, NULL,
	          NULL) == 0);
	sqlite3_close(database);

	CHECK(store_one(1, 1, "gateway.exited", 0, NOW_MS) == 0);

	check_put_aside(1);
	CHECK(strstr(rows[0].reason, "belongs to another program") != NULL);
	CHECK(files_beginning("events.db.corrupt-", name, sizeof(name)) == 1);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	CHECK(sqlite3_open(path, &database) == SQLITE_OK);
	CHECK(sqlite3_exec(database, "INSERT INTO events VALUES (43)", NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(database);
	clean_up();
}

TEST("a directory in the place of the file is put aside")
{
	char name[NAME_MAX + 1] = "", path[PATH_MAX];

	given_an_empty_directory();
	CHECK(mkdir(store.path, 0700) == 0);

	CHECK(store_one(1, 1, "gateway.exited", 0, NOW_MS) == 0);

	check_put_aside(1);
	CHECK(files_beginning("events.db.corrupt-", name, sizeof(name)) == 1);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	CHECK(rmdir(path) == 0);
	clean_up();
}

TEST("damage that shows while writing is met the same way, and ids go on")
{
	given_an_empty_directory();
	for (uint64_t sequence = 1; sequence <= 200; sequence++)
		CHECK(store_one(1, sequence, "gateway.waiting", 0, NOW_MS) == 0);
	store_close(&store);
	damage(4096, 65536);

	CHECK(store_one(1, 201, "gateway.exited", 0, NOW_MS) == 0);

	check_put_aside(201);
	clean_up();
}

TEST("a store removed while open is begun anew: nothing is acknowledged into a file without a name")
{
	char companion[PATH_MAX + 8];

	given_an_empty_directory();
	CHECK(store_one(1, 1, "gateway.started", 0, NOW_MS) == 0);
	CHECK(unlink(store.path) == 0);
	snprintf(companion, sizeof(companion), "%s-wal", store.path);
	CHECK(unlink(companion) == 0);

	CHECK(store_one(1, 2, "gateway.exited", 0, NOW_MS) == 0);

	CHECK(read_all(NULL, 0, rows, 10) == 2);
	CHECK_TEXT(rows[0].kind, "store.replaced");
	CHECK_TEXT(rows[1].kind, "gateway.exited");
	CHECK(rows[0].id > 1);
	clean_up();
}

TEST("when only the log is removed, nothing is lost")
{
	char companion[PATH_MAX + 8];

	given_an_empty_directory();
	CHECK(store_one(1, 1, "gateway.started", 0, NOW_MS) == 0);
	snprintf(companion, sizeof(companion), "%s-wal", store.path);
	CHECK(unlink(companion) == 0);

	CHECK(store_one(1, 2, "gateway.exited", 0, NOW_MS) == 0);

	CHECK(ask("SELECT count(*) FROM events") == 2);
	clean_up();
}

TEST("a file from a newer Holdfast is left alone")
{
	sqlite3 *database;

	given_an_empty_directory();
	CHECK(store_one(1, 1, "gateway.started", 0, NOW_MS) == 0);
	store_close(&store);
	CHECK(sqlite3_open(store.path, &database) == SQLITE_OK);
	CHECK(sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(database);

	CHECK(store_one(1, 2, "gateway.exited", 0, NOW_MS) == -EPROTONOSUPPORT);

	CHECK(strlen(why.text) < STORE_WHY_MAX && strstr(why.text, "newer Holdfast") != NULL);
	CHECK(files_beginning("events.db.corrupt-", NULL, 0) == 0);
	CHECK(ask("SELECT count(*) FROM events") == 1);
	clean_up();
}

TEST("a directory that is gone is said, and used again once it is back")
{
	given_an_empty_directory();
	CHECK(rmdir(directory) == 0);

	CHECK(store_one(1, 1, "gateway.exited", 0, NOW_MS) == -ENOENT);
	CHECK_TEXT(why.text, "Events cannot be stored: the state directory is gone. Make it again.");
	CHECK(store_probe(&store, &why) == -ENOENT);

	CHECK(mkdir(directory, 0700) == 0);
	CHECK(store_probe(&store, &why) == 0);
	CHECK(store_one(1, 1, "gateway.exited", 0, NOW_MS) == 0);
	CHECK(ask("SELECT count(*) FROM events") == 1);
	clean_up();
}

/* SQLite writes through these: from the given write on the disk fails. */
static int writes_left = INT_MAX, write_errno;

static ssize_t failing_pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	if (writes_left == 0) {
		errno = write_errno;
		return -1;
	}
	writes_left--;
	return pwrite(fd, bytes, length, offset);
}

/* Returns how many events were acknowledged before the disk failed. */
static uint64_t check_disk_failing_after(int writes, int error)
{
	sqlite3_vfs *disk = sqlite3_vfs_find(NULL);
	uint64_t acknowledged = 0;

	given_an_empty_directory();
	disk->xSetSystemCall(disk, "pwrite", (sqlite3_syscall_ptr)failing_pwrite);
	disk->xSetSystemCall(disk, "pwrite64", (sqlite3_syscall_ptr)failing_pwrite);
	writes_left = writes;
	write_errno = error;
	while (acknowledged < 4 && store_one(1, acknowledged + 1, "gateway.exited", 1, NOW_MS) == 0)
		acknowledged++;
	CHECK(acknowledged == 4 || strlen(why.text) < STORE_WHY_MAX);

	writes_left = INT_MAX;
	CHECK(store_probe(&store, &why) == 0);
	CHECK(acknowledged == 0 || ask("SELECT max(sequence) FROM events") >= (int64_t)acknowledged);
	for (uint64_t sequence = acknowledged + 1; sequence <= 4; sequence++)
		CHECK(store_one(1, sequence, "gateway.exited", 1, NOW_MS) == 0);
	disk->xSetSystemCall(disk, NULL, NULL);

	CHECK(ask("SELECT count(*) FROM events WHERE kind = 'gateway.exited'") == 4 &&
	      ask("SELECT events FROM incidents") == 4);
	CHECK(files_beginning("events.db.corrupt-", NULL, 0) == 0);
	clean_up();
	return acknowledged;
}

TEST("a disk that fails at any of its writes costs no acknowledged event, doubles none, and is no damage")
{
	static const int errors[] = {ENOSPC, EIO};

	int seen[5] = {0};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		for (int writes = 0; writes < 140; writes++)
			seen[check_disk_failing_after(writes, errors[i])]++;
	for (int acknowledged = 0; acknowledged <= 4; acknowledged++)
		if (!CHECK(seen[acknowledged] > 0))
			printf("# the disk never failed after %d events\n", acknowledged);
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

TEST("the reader filters by kind, severity, incident, time and id")
{
	struct event_filter filter = {0};

	given_an_empty_directory();
	for (uint64_t i = 1; i <= 6; i++) {
		struct message_event event = event_of(1, i, i % 2 == 1 ? "gateway.exited" : "worker.exited");

		event.severity = (uint32_t)(i % 4);
		event.incident = i > 4 ? 2 : 0;
		CHECK(store_write(&store, &event, 1, &why) == 0);
	}

	CHECK(event_filter_add_kinds(&filter, "gateway.*", &why) == 0 && read_all(&filter, 0, rows, 10) == 3);
	CHECK(event_filter_add_kinds(&filter, "nothing,worker.exited", &why) == 0 &&
	      read_all(&filter, 0, rows, 10) == 6);
	filter = (struct event_filter){.min_severity = SEVERITY_ERROR};
	CHECK(read_all(&filter, 0, rows, 10) == 3);
	filter = (struct event_filter){.incident = 2};
	CHECK(read_all(&filter, 0, rows, 10) == 2 && read_all(&filter, 5, rows, 10) == 1);
	filter = (struct event_filter){.since_ms = NOW_MS + 4};
	CHECK(read_all(&filter, 0, rows, 10) == 3);
	filter = (struct event_filter){0};
	CHECK(event_filter_add_kinds(&filter, "g?teway.exited", &why) == 0 &&
	      read_all(&filter, 0, rows, 10) == 0);
	CHECK(event_filter_add_kinds(&filter, "a,,b", &why) == -EINVAL);
	clean_up();
}

static const char *printed(void (*print)(FILE *, const struct event_row *), const struct event_row *row)
{
	static char buffer[16384];
	FILE *out = fmemopen(buffer, sizeof(buffer), "w");

	print(out, row);
	fclose(out);
	return buffer;
}

static void print_text(FILE *out, const struct event_row *row)
{
	event_print_text(out, row, false);
}

TEST("nothing in an event moves a terminal")
{
	struct event_row row = {.id = 3,
	    .time_ms = NOW_MS,
	    .severity = SEVERITY_ERROR,
	    .incident = 12,
	    .kind = "gateway.exited",
	    .reason = "a\033[2Jb\nc\x7f\xc2\x9b"
	              "31m\xe2\x80\xaez\xff\xc3\xa9.",
	    .evidence = "{\"line\":\"\xc2\x9b\xe2\x80\xae\xff\xc3\xa9\"}"};

	CHECK_TEXT(printed(print_text, &row),
	    "2026-11-21T09:14:18Z  error     gateway.exited            #12    "
	    "a\\x1b[2Jb\\x0ac\\x7f\\u009b31m\\u202ez\\xff\xc3\xa9.\n");
	CHECK_TEXT(printed(event_print_json, &row),
	    "{\"id\":3,\"time\":\"2026-11-21T09:14:18.168Z\",\"kind\":\"gateway.exited\",\"severity\":"
	    "\"error\","
	    "\"incident\":12,\"reason\":\"a\\u001b[2Jb\\nc\\u007f\\u009b31m\\u202ez\xef\xbf\xbd\xc3\xa9.\","
	    "\"evidence\":{\"line\":\"\\u009b\\u202e\\ufffd\xc3\xa9\"}}\n");
}

TEST("moments are read as people write them")
{
	static const struct {
		const char *text;
		int64_t moment_ms; /* -1: refused */
	} cases[] = {
	    {"2h", NOW_MS - 7200000},
	    {"90s", NOW_MS - 90000},
	    {"30m", NOW_MS - 1800000},
	    {"1w", NOW_MS - 7 * DAY_MS},
	    {"2026-11-21", 1795219200000},
	    {"2026-11-21T09:14:18.168Z", NOW_MS},
	    {"2026-11-21T10:14:18.168+01:00", NOW_MS},
	    {"2026-11-21 09:14", NOW_MS - 18168},
	    {"2024-02-29", 1709164800000},
	    {"2026-02-29", -1},
	    {"2026-11-21T25:00Z", -1},
	    {"2026-11-21T09:14:18.Z", -1},
	    {"2026-11-21T09:14:18Zjunk", -1},
	    {"2026-11-21T09:14:18+0100", -1},
	    {"", -1},
	    {"h", -1},
	    {"-2h", -1},
	    {"2 hours", -1},
	    {"99999999999h", -1},
	    {"yesterday", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t moment_ms = -1;
		int result = moment_parse(cases[i].text, NOW_MS, &moment_ms, &why);

		if (!CHECK((result == 0) == (cases[i].moment_ms != -1) &&
		           (result != 0 || moment_ms == cases[i].moment_ms)))
			printf("# with \"%s\": %" PRId64 "\n", cases[i].text, moment_ms);
	}
}
