#include "recorder/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "channel/message.h"
#include "recorder/store.h"

#define SQL_MAX      2048
#define BUSY_WAIT_MS 2000

int reader_init(struct reader *reader, const char *directory, struct error *why)
{
	memset(reader, 0, sizeof(*reader));
	if (strlen(directory) + 64 > sizeof(reader->path))
		return error_set(why, -ENAMETOOLONG, "The state directory's name is too long.");
	snprintf(reader->path, sizeof(reader->path), "%s/" STORE_FILE_NAME, directory);
	return 0;
}

void reader_close(struct reader *reader)
{
	if (reader->database != NULL)
		sqlite3_close(reader->database);
	reader->database = NULL;
}

static int read_fault(struct reader *reader, struct error *why)
{
	int code = sqlite3_errcode(reader->database) & 0xff,
	    system_errno = sqlite3_system_errno(reader->database);

	switch (code) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return error_set(why, -EUCLEAN,
		    "%.300s is damaged: a running recorder puts it aside and begins a new one, and sqlite3's "
		    ".recover can "
		    "often read it.",
		    reader->path);
	case SQLITE_ERROR:
		return error_set(
		    why, -EUCLEAN, "%.300s is not an event store of this version of Holdfast.", reader->path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return error_set(why, -EBUSY,
		    "%.300s is locked by another program; try again when that has ended.", reader->path);
	case SQLITE_NOMEM:
		return error_set(why, -ENOMEM, "There is not enough memory to read the events.");
	default:
		if (system_errno == 0)
			return error_set(why, -EIO, "%.300s cannot be read: %s.", reader->path,
			    sqlite3_errmsg(reader->database));
		return error_set(
		    why, -system_errno, "%.300s cannot be read: %s.", reader->path, strerror(system_errno));
	}
}

/* A URI, so that "?" and "#" and "%" in the path are written as %XX. */
static void write_uri(struct text *uri, const char *path, bool frozen)
{
	text_add(uri, "file:");
	for (; *path != '\0'; path++) {
		if (strchr("?#%", *path) != NULL)
			text_addf(uri, "%%%02x", (unsigned char)*path);
		else
			text_add_bytes(uri, path, 1);
	}
	text_add(uri, frozen ? "?mode=ro&immutable=1" : "?mode=ro");
}

static int count_tables(void *tables, int columns, char **values, char **names)
{
	(void)columns, (void)names;
	*(int *)tables = values[0] != NULL && strcmp(values[0], "0") != 0;
	return 0;
}

static int open_as(struct reader *reader, bool frozen, int *tables)
{
	static char buffer[3 * PATH_MAX];
	struct text uri;
	int code;

	text_init(&uri, buffer, sizeof(buffer));
	write_uri(&uri, reader->path, frozen);
	reader->frozen = frozen;
	code = sqlite3_open_v2(
	    buffer, &reader->database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK)
		return code;
	sqlite3_extended_result_codes(reader->database, 1);
	sqlite3_busy_timeout(reader->database, BUSY_WAIT_MS);
	/* The first read finds out whether the log's companions can be opened at all. */
	return sqlite3_exec(reader->database,
	    "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -512; SELECT count(*) FROM sqlite_schema",
	    count_tables, tables, NULL);
}

static bool log_is_empty(const struct reader *reader)
{
	char path[PATH_MAX + 8];
	struct stat status;

	snprintf(path, sizeof(path), "%s-wal", reader->path);
	return stat(path, &status) < 0 ? errno == ENOENT : status.st_size == 0;
}

static int connect_reader(struct reader *reader, struct error *why)
{
	int tables = 0, code = open_as(reader, false, &tables), result = 0;

	if (code != SQLITE_OK) {
		result = read_fault(reader, why);
		reader_close(reader);
		code &= 0xff;
		/* On a read-only or a full disk SQLite cannot make the index of the log; with nothing in the
		 * log it needs none. */
		if ((code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_IOERR ||
		        code == SQLITE_FULL) &&
		    result != -EACCES && log_is_empty(reader) && open_as(reader, true, &tables) == SQLITE_OK)
			result = 0;
	}
	if (result == 0 && tables == 0)
		result = error_set(why, -ENOENT, "There are no events yet.");
	if (result < 0)
		reader_close(reader);
	return result;
}

int reader_open(struct reader *reader, bool *replaced, struct error *why)
{
	struct stat status;
	int result;

	*replaced = false;
	if (stat(reader->path, &status) < 0) {
		result = -errno;
		reader_close(reader);
		return error_set(why, result,
		    result == -ENOENT ? "There are no events yet: %.300s does not exist."
		                      : "%.300s cannot be read by this user.",
		    reader->path);
	}
	if (reader->database != NULL && !reader->frozen && status.st_dev == reader->device &&
	    status.st_ino == reader->inode)
		return 0;
	if (status.st_size == 0) {
		reader_close(reader);
		return error_set(why, -ENOENT, "There are no events yet.");
	}
	*replaced = reader->inode != 0 && (status.st_dev != reader->device || status.st_ino != reader->inode);
	reader_close(reader);
	reader->device = status.st_dev;
	reader->inode = status.st_ino;
	return connect_reader(reader, why);
}

int event_filter_add_kinds(struct event_filter *filter, const char *kinds, struct error *why)
{
	while (*kinds != '\0') {
		size_t length = strcspn(kinds, ",");
		struct text pattern;

		if (filter->pattern_count == READER_PATTERNS_MAX)
			return error_set(
			    why, -E2BIG, "At most %d kinds can be asked for at once.", READER_PATTERNS_MAX);
		text_init(&pattern, filter->patterns[filter->pattern_count], READER_PATTERN_SIZE);
		for (size_t i = 0; i < length; i++) {
			if (strchr("?[", kinds[i]) != NULL)
				text_addf(
				    &pattern, "[%c]", kinds[i]); /* GLOB's own signs stand for themselves */
			else if (kinds[i] != '*' || pattern.length == 0 ||
			         pattern.data[pattern.length - 1] != '*')
				text_add_bytes(&pattern, &kinds[i], 1);
		}
		if (length == 0 || pattern.truncated)
			return error_set(why, -EINVAL,
			    "\"%.60s\" is not a kind: write gateway.exited, or gateway.* for a group.",
			    kinds);
		filter->pattern_count++;
		kinds += length + (kinds[length] == ',');
	}
	return 0;
}

static void write_condition(struct text *sql, const struct event_filter *filter)
{
	text_add(sql, "id > ?1");
	if (filter->since_ms != 0)
		text_add(sql, " AND time_ms >= ?2");
	if (filter->min_severity != 0)
		text_add(sql, " AND severity >= ?3");
	if (filter->incident != 0)
		text_add(sql, " AND incident = ?4");
	for (uint32_t i = 0; i < filter->pattern_count; i++)
		text_addf(sql, "%s kind GLOB ?%u", i == 0 ? " AND (" : " OR", i + 6);
	if (filter->pattern_count > 0)
		text_add(sql, ")");
}

static int prepare(struct reader *reader, const char *sql, const struct event_filter *filter, int64_t after,
    int64_t limit, sqlite3_stmt **statement)
{
	int code = sqlite3_prepare_v2(reader->database, sql, -1, statement, NULL);

	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_int64(*statement, 1, after);
	if (filter->since_ms != 0)
		sqlite3_bind_int64(*statement, 2, filter->since_ms);
	if (filter->min_severity != 0)
		sqlite3_bind_int64(*statement, 3, filter->min_severity);
	if (filter->incident != 0)
		sqlite3_bind_int64(*statement, 4, (sqlite3_int64)filter->incident);
	sqlite3_bind_int64(*statement, 5, limit);
	for (uint32_t i = 0; i < filter->pattern_count; i++)
		sqlite3_bind_text(*statement, (int)i + 6, filter->patterns[i], -1, SQLITE_STATIC);
	return SQLITE_OK;
}

static void copy_column(char *target, size_t target_size, sqlite3_stmt *statement, int column)
{
	const char *value = (const char *)sqlite3_column_text(statement, column);

	text_copy(target, target_size, value != NULL ? value : "");
}

static int64_t bounded_time(int64_t time_ms)
{
	return time_ms < 0 || time_ms > STORE_TIME_MAX_MS ? 0 : time_ms;
}

static void copy_row(struct event_row *row, sqlite3_stmt *statement)
{
	int64_t severity = sqlite3_column_int64(statement, 3);

	row->id = sqlite3_column_int64(statement, 0);
	row->time_ms = bounded_time(sqlite3_column_int64(statement, 1));
	copy_column(row->kind, sizeof(row->kind), statement, 2);
	row->severity = severity < 0 || severity > SEVERITY_CRITICAL ? SEVERITY_CRITICAL : (uint32_t)severity;
	row->incident = (uint64_t)sqlite3_column_int64(statement, 4);
	copy_column(row->reason, sizeof(row->reason), statement, 5);
	copy_column(row->evidence, sizeof(row->evidence), statement, 6);
}

int reader_page(struct reader *reader, const struct event_filter *filter, int64_t after,
    struct event_row *rows, int max, struct error *why)
{
	char buffer[SQL_MAX];
	struct text sql;
	sqlite3_stmt *statement = NULL;
	int count = 0, code;

	text_init(&sql, buffer, sizeof(buffer));
	/* Written by us, but read as if anybody had: what is no JSON object, or too long for one here, is
	 * shown as text. */
	text_add(&sql, "SELECT id, time_ms, kind, severity, incident, reason, CASE WHEN length(CAST(evidence "
	               "AS BLOB)) >= 2048"
	               " OR NOT json_valid(evidence) THEN json_object('text', substr(evidence, 1, 256))"
	               " WHEN json_type(evidence) <> 'object' THEN json_object('text', substr(evidence, 1, "
	               "256)) ELSE json(evidence) END"
	               " FROM events WHERE ");
	write_condition(&sql, filter);
	text_add(&sql, " ORDER BY id LIMIT ?5");
	code = prepare(reader, buffer, filter, after, max, &statement);
	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(statement);
		if (code == SQLITE_ROW)
			copy_row(&rows[count++], statement);
	}
	if (code != SQLITE_DONE)
		count = read_fault(reader, why);
	sqlite3_finalize(statement);
	return count;
}

static int one_number(struct reader *reader, const char *sql, const struct event_filter *filter,
    int64_t limit, int64_t *value, struct error *why)
{
	sqlite3_stmt *statement = NULL;
	int result = 0;

	if (prepare(reader, sql, filter, 0, limit, &statement) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		*value = sqlite3_column_int64(statement, 0);
	else
		result = read_fault(reader, why);
	sqlite3_finalize(statement);
	return result;
}

int reader_before_last(struct reader *reader, const struct event_filter *filter, int64_t count,
    int64_t *after, struct error *why)
{
	char buffer[SQL_MAX];
	struct text sql;

	text_init(&sql, buffer, sizeof(buffer));
	text_add(&sql, "SELECT coalesce(min(id) - 1, 0) FROM (SELECT id FROM events WHERE ");
	write_condition(&sql, filter);
	text_add(&sql, " ORDER BY id DESC LIMIT ?5)");
	return one_number(reader, buffer, filter, count, after, why);
}

int reader_newest(struct reader *reader, int64_t *id, struct error *why)
{
	static const struct event_filter all;

	return one_number(reader, "SELECT coalesce(max(id), 0) FROM events", &all, 0, id, why);
}

static int step_one(struct reader *reader, sqlite3_stmt *statement, struct error *why)
{
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return read_fault(reader, why);
	}
}

static void copy_incident(struct incident_row *row, sqlite3_stmt *statement)
{
	int64_t severity = sqlite3_column_int64(statement, 7);

	row->id = (uint64_t)sqlite3_column_int64(statement, 0);
	row->opened_ms = bounded_time(sqlite3_column_int64(statement, 1));
	row->last_ms = bounded_time(sqlite3_column_int64(statement, 2));
	row->closed_ms = bounded_time(sqlite3_column_int64(statement, 3));
	row->first_event = sqlite3_column_int64(statement, 4);
	row->last_event = sqlite3_column_int64(statement, 5);
	row->events = sqlite3_column_int64(statement, 6);
	row->severity = severity < 0 || severity > SEVERITY_CRITICAL ? SEVERITY_CRITICAL : (uint32_t)severity;
	copy_column(row->kind, sizeof(row->kind), statement, 8);
	copy_column(row->reason, sizeof(row->reason), statement, 9);
}

int reader_incident(struct reader *reader, uint64_t number, struct incident_row *row, struct error *why)
{
	sqlite3_stmt *statement = NULL;
	int result;

	/* Numbers of incidents are unsigned, and SQLite's are not: the events tell which is the newest. */
	if (sqlite3_prepare_v2(reader->database,
	        "SELECT id, opened_ms, last_ms, closed_ms, first_event, last_event, events, severity, kind,"
	        " reason FROM incidents WHERE ?1 = 0 OR id = ?1 ORDER BY first_event DESC LIMIT 1",
	        -1, &statement, NULL) != SQLITE_OK)
		return read_fault(reader, why);
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
	result = step_one(reader, statement, why);
	if (result > 0)
		copy_incident(row, statement);
	sqlite3_finalize(statement);
	return result;
}

int reader_suspicion(
    struct reader *reader, const struct incident_row *incident, int64_t *event, struct error *why)
{
	sqlite3_stmt *statement = NULL;
	int result;

	*event = 0;
	/* The last word about its health before, if that was a suspicion of its own, and not long ago. */
	if (sqlite3_prepare_v2(reader->database,
	        "SELECT id, kind = 'gateway.suspected' AND incident IS NULL FROM events WHERE id < ?1 AND id "
	        "> ?1 - 64 AND time_ms >= ?2 - 900000 AND kind"
	        " IN ('gateway.suspected', 'gateway.cleared', 'gateway.started', 'gateway.ready',"
	        " 'gateway.recovered') ORDER BY id DESC LIMIT 1",
	        -1, &statement, NULL) != SQLITE_OK)
		return read_fault(reader, why);
	sqlite3_bind_int64(statement, 1, incident->first_event);
	sqlite3_bind_int64(statement, 2, incident->opened_ms);
	result = step_one(reader, statement, why);
	if (result > 0 && sqlite3_column_int(statement, 1) != 0)
		*event = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return result < 0 ? result : 0;
}

int reader_report(
    struct reader *reader, uint64_t incident, char *report, size_t size, int64_t *event, struct error *why)
{
	sqlite3_stmt *statement = NULL;
	int result, length;

	report[0] = '\0';
	/* A store that no recorder of this version has opened yet has no such table. */
	if (sqlite3_table_column_metadata(
	        reader->database, NULL, "autopsies", NULL, NULL, NULL, NULL, NULL, NULL) != SQLITE_OK)
		return -ENOENT;
	if (sqlite3_prepare_v2(reader->database,
	        "SELECT CASE WHEN json_valid(report) THEN json(report) END, event FROM autopsies JOIN events "
	        "ON events.id = event WHERE incident = ?1"
	        " ORDER BY event DESC LIMIT 1",
	        -1, &statement, NULL) != SQLITE_OK)
		return read_fault(reader, why);
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)incident);
	result = step_one(reader, statement, why);
	if (result > 0) {
		if (event != NULL)
			*event = sqlite3_column_int64(statement, 1);
		copy_column(report, size, statement, 0);
		length = sqlite3_column_bytes(statement, 0);
		result = length == 0 ? -EBADMSG : (size_t)length < size ? length : -EFBIG;
	} else if (result == 0) {
		result = -ENOENT;
	}
	sqlite3_finalize(statement);
	return result;
}
