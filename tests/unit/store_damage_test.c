/* The event store when its file or its disk is not what it should be. */
#include "tests/support/store_home.h"
#include "tests/support/tap.h"

static void damage(off_t offset, size_t length)
{
	static const char rubbish[65536] = "these bytes are no page of any database";
	int fd = open(store.path, O_WRONLY | O_CREAT, 0600);

	for (size_t done = 0; done < length; done += sizeof(rubbish))
		CHECK(pwrite(fd, rubbish, length < sizeof(rubbish) ? length : sizeof(rubbish),
		          offset + (off_t)done) > 0);
	close(fd);
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
