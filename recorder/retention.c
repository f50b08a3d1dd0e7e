/* What is kept, and for how long. In small steps: the recorder answers the supervisor between two of them. */
#include <errno.h>

#include "recorder/store.h"

#define ROWS_A_STEP     500
#define PAGES_A_STEP    256
#define PAGES_KEPT_FREE 256 /* for the events of the next hour */

static int64_t number(struct store *store, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t value = -1;

	if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return value;
}

static int delete_some(
    struct store *store, enum store_statement which, int64_t oldest_ms, int64_t keep_from, int *deleted)
{
	sqlite3_stmt *statement = store->statements[which];
	int code;

	sqlite3_bind_int64(statement, 1, oldest_ms);
	sqlite3_bind_int64(statement, 2, keep_from);
	sqlite3_bind_int(statement, 3, ROWS_A_STEP);
	code = sqlite3_step(statement);
	if (code != SQLITE_DONE) {
		int result = store_fault(store, NULL);

		sqlite3_reset(statement);
		return result;
	}
	*deleted = sqlite3_changes(store->database);
	return sqlite3_reset(statement) == SQLITE_OK ? 0 : store_fault(store, NULL);
}

static bool is_too_big(struct store *store, int64_t size_bytes)
{
	int64_t pages = number(store, "PRAGMA page_count") - number(store, "PRAGMA freelist_count");

	return size_bytes > 0 && pages * number(store, "PRAGMA page_size") > size_bytes;
}

static int give_pages_back(struct store *store, bool *more)
{
	int64_t before = number(store, "PRAGMA freelist_count");
	char sql[64];

	if (before <= PAGES_KEPT_FREE)
		return 0;
	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA incremental_vacuum(%d)", PAGES_A_STEP);
	if (sqlite3_exec(store->database, sql, NULL, NULL, NULL) != SQLITE_OK)
		return store_fault(store, NULL);
	*more = number(store, "PRAGMA freelist_count") < before;
	return 0;
}

int store_trim(struct store *store, const struct store_retention *retention, int64_t now_ms, bool *more)
{
	/* A stop without an end: 0 days keeps everything that fits. */
	int64_t oldest_ms = retention->days > 0 ? now_ms - (int64_t)retention->days * 86400000 : INT64_MIN;
	int64_t keep_from;
	int deleted = 0, result;

	*more = false;
	if (store->database == NULL || store->damaged)
		return 0;
	keep_from = number(store, "SELECT max(id) FROM events") - STORE_KEPT_ALWAYS + 1;
	result = delete_some(store, STORE_DELETE_OLD, oldest_ms, keep_from, &deleted);
	if (result == 0 && deleted == 0 && is_too_big(store, retention->size_bytes))
		result = delete_some(store, STORE_DELETE_FIRST, oldest_ms, keep_from, &deleted);
	if (result < 0)
		return result;
	if (deleted > 0) {
		*more = true;
		return 0;
	}
	result = delete_some(store, STORE_DELETE_INCIDENTS, oldest_ms, keep_from, &deleted);
	return result < 0 ? result : give_pages_back(store, more);
}
