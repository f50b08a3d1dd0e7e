/* A real event store in a directory of its own, for the unit tests of the recorder. */
#ifndef HOLDFAST_TESTS_SUPPORT_STORE_HOME_H
#define HOLDFAST_TESTS_SUPPORT_STORE_HOME_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorder/reader.h"
#include "recorder/store.h"

#define NOW_MS ((int64_t)1795252458168) /* 2026-11-21T09:14:18.168Z */

static char directory[64];
static struct store store;
static struct error why;

static inline struct message_event event_of(uint64_t life, uint64_t sequence, const char *kind)
{
	struct message_event event = {
	    .life = life, .sequence = sequence, .real_ms = NOW_MS + (int64_t)sequence};

	snprintf(event.kind, sizeof(event.kind), "%s", kind);
	snprintf(event.reason, sizeof(event.reason), "Event %" PRIu64 " happened.", sequence);
	snprintf(event.evidence, sizeof(event.evidence), "{\"sequence\":%" PRIu64 "}", sequence);
	return event;
}

static inline int store_one(
    uint64_t life, uint64_t sequence, const char *kind, uint64_t incident, int64_t real_ms)
{
	struct message_event event = event_of(life, sequence, kind);

	event.incident = incident;
	event.real_ms = real_ms;
	return store_write(&store, &event, 1, &why);
}

static inline void given_an_empty_directory(void)
{
	/* In memory where that is possible: what is waited for is SQLite, not a disk others write to. */
	snprintf(directory, sizeof(directory), "%s/holdfast-store-XXXXXX",
	    access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(directory) == NULL || store_init(&store, directory, &why) < 0)
		abort();
}

static inline void clean_up(void)
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

static inline int64_t ask(const char *sql)
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

static inline int read_all(const struct event_filter *filter, int64_t after, struct event_row *rows, int max)
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

static inline int files_beginning(const char *prefix, char *name, size_t name_size)
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

static struct event_row rows[16];

#endif
