/* The tables of the event store, how they came about, and opening a file that may be anything. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "recorder/store.h"
#include "world/world.h"

/* migrations[N] takes a file of version N to N + 1. Never change one that was released: add the next.
 * The events of the recorder itself have no life and no sequence; SQLite holds NULLs for distinct. */
static const char *const migrations[] = {
    "CREATE TABLE events ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " time_ms INTEGER NOT NULL,"
    " kind TEXT NOT NULL,"
    " severity INTEGER NOT NULL,"
    " incident INTEGER,"
    " reason TEXT NOT NULL,"
    " evidence TEXT NOT NULL,"
    " life INTEGER,"
    " sequence INTEGER,"
    " UNIQUE (life, sequence)"
    ") STRICT;"
    "CREATE INDEX events_by_time ON events (time_ms);"
    "CREATE INDEX events_by_incident ON events (incident) WHERE incident IS NOT NULL;"
    "CREATE TABLE incidents ("
    " id INTEGER PRIMARY KEY,"
    " opened_ms INTEGER NOT NULL,"
    " last_ms INTEGER NOT NULL,"
    " closed_ms INTEGER," /* NULL: no recovery was verified */
    " duration_ms INTEGER GENERATED ALWAYS AS (closed_ms - opened_ms) VIRTUAL,"
    " first_event INTEGER NOT NULL,"
    " last_event INTEGER NOT NULL,"
    " events INTEGER NOT NULL,"
    " severity INTEGER NOT NULL," /* the highest of its events */
    " kind TEXT NOT NULL,"        /* of the first event: the cause */
    " reason TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX incidents_open ON incidents (id) WHERE closed_ms IS NULL;",
    /* The report goes with its event, whatever removes that. */
    "CREATE TABLE autopsies ("
    " event INTEGER PRIMARY KEY,"
    " report TEXT NOT NULL" /* a JSON object */
    ") STRICT;"
    "CREATE TRIGGER autopsies_go AFTER DELETE ON events WHEN OLD.kind = 'gateway.autopsy'"
    " BEGIN DELETE FROM autopsies WHERE event = OLD.id; END;",
};

#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

/* Retention takes from the front, and the sequence of ids must not begin anew when a table runs empty. */
static const char *const statements[STORE_STATEMENT_COUNT] = {
    [STORE_INSERT_EVENT] =
        "INSERT INTO events (id, time_ms, kind, severity, incident, reason, evidence, life, sequence) VALUES"
        " (?9, ?1, ?2, ?3, ?4, ?5,"
        "  CASE WHEN ?6 = '' THEN '{}'"
        "       WHEN NOT json_valid(?6) THEN json_object('text', ?6)"
        "       WHEN json_type(?6) <> 'object' THEN json_object('text', ?6) ELSE ?6 END,"
        "  ?7, ?8) ON CONFLICT (life, sequence) DO NOTHING",
    [STORE_INSERT_INCIDENT] =
        "INSERT INTO incidents (id, opened_ms, last_ms, closed_ms, first_event, last_event, events, "
        "severity, kind, reason)"
        " VALUES (?1, ?2, ?2, CASE WHEN ?6 THEN ?2 END, ?3, ?3, 1, ?4, ?5, ?7)"
        " ON CONFLICT (id) DO UPDATE SET last_ms = excluded.last_ms, last_event = excluded.last_event,"
        "  events = events + 1, severity = max(severity, excluded.severity),"
        "  closed_ms = coalesce(closed_ms, excluded.closed_ms)",
    [STORE_INSERT_AUTOPSY] = "INSERT INTO autopsies (event, report) SELECT ?1, ?2"
                             " WHERE CASE WHEN json_valid(?2) THEN json_type(?2) = 'object' ELSE 0 END",
    [STORE_AUTOPSY_MISSING] =
        "UPDATE events SET evidence = json_set(evidence, '$.missing', ?2) WHERE id = ?1",
    [STORE_HAS_AUTOPSY] = "SELECT 1 FROM events JOIN autopsies ON autopsies.event = events.id"
                          " WHERE life = ?1 AND sequence = ?2",
    [STORE_LAST_SEQUENCE] = "SELECT max(sequence) FROM events WHERE life = ?1",
    /* ?1 the oldest time kept, ?2 the first id always kept, ?3 how many. An incident that is open is kept
     * whole while it is spoken of: without a word for as long as events are kept, it will not be closed any
     * more. */
    [STORE_DELETE_OLD] =
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time_ms < ?1 AND id < ?2"
        " AND (incident IS NULL OR incident NOT IN"
        "  (SELECT id FROM incidents WHERE closed_ms IS NULL AND last_ms >= ?1))"
        " ORDER BY time_ms LIMIT ?3)",
    [STORE_DELETE_FIRST] = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ?2"
                           " AND (incident IS NULL OR incident NOT IN"
                           "  (SELECT id FROM incidents WHERE closed_ms IS NULL AND last_ms >= ?1))"
                           " ORDER BY id LIMIT ?3)",
    [STORE_DELETE_INCIDENTS] =
        "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE last_event < ?2"
        " AND (closed_ms IS NOT NULL OR last_ms < ?1)"
        " AND NOT EXISTS (SELECT 1 FROM events WHERE incident = incidents.id) LIMIT ?3)",
};

static int pragma_number(struct store *store, const char *sql, int64_t *value)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		*value = sqlite3_column_int64(statement, 0);
		code = SQLITE_OK;
	} else if (code == SQLITE_DONE) {
		*value = 0;
		code = SQLITE_OK;
	}
	sqlite3_finalize(statement);
	return code;
}

/* The file must exist with 0600 before SQLite sees it: its companions take their mode from it. */
static int prepare_file(struct store *store, struct error *why)
{
	struct stat status;
	int fd CLOSE_ON_RETURN = -1;

	if (lstat(store->path, &status) == 0 && !S_ISREG(status.st_mode))
		return error_set(why, -EUCLEAN, "events.db is not a file.");
	fd = world_open(store->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd >= 0) {
		if (fstat(fd, &status) == 0 && (status.st_mode & 077) != 0)
			world_fchmod(fd, 0600);
		return 0;
	}
	switch (errno) {
	case ENOENT:
		return error_set(
		    why, -ENOENT, "Events cannot be stored: the state directory is gone. Make it again.");
	case EROFS:
		return error_set(
		    why, -EROFS, "Events cannot be stored: the state directory is on a read-only disk.");
	case EACCES:
	case EPERM:
		return error_set(why, -EACCES,
		    "Events cannot be stored: the state directory may not be written by this user.");
	case ENOSPC:
	case EDQUOT:
		return error_set(
		    why, -ENOSPC, "Events cannot be stored: the disk is full. Free some space on it.");
	default:
		return error_set(why, -errno, "Events cannot be stored: %s.", strerror(errno));
	}
}

static int check_owner(struct store *store, int64_t *version, struct error *why)
{
	int64_t application = 0, tables = 0;

	/* As one look: another recorder may be making the tables right now. */
	if (sqlite3_exec(store->database, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
	    pragma_number(store, "PRAGMA application_id", &application) != SQLITE_OK ||
	    pragma_number(store, "PRAGMA user_version", version) != SQLITE_OK ||
	    pragma_number(store, "SELECT count(*) FROM sqlite_schema", &tables) != SQLITE_OK ||
	    sqlite3_exec(store->database, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return store_fault(store, why);
	if (application == 0 && *version == 0 && tables == 0)
		return 0; /* new, or its first moment was its last */
	if (application != STORE_APPLICATION_ID)
		return error_set(why, -EUCLEAN, "events.db belongs to another program.");
	if (*version > SCHEMA_VERSION)
		return error_set(why, -EPROTONOSUPPORT,
		    "Events cannot be stored: events.db is from a newer Holdfast. Install that one, or move "
		    "the file away.");
	return 0;
}

/* A dead supervisor's recorder may still be at it when the next one's begins: the version counts that is read
 * under the lock. */
static int migrate(struct store *store, struct error *why)
{
	for (;;) {
		int64_t version = 0;
		char finish[128];

		if (sqlite3_exec(store->database, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
		    pragma_number(store, "PRAGMA user_version", &version) != SQLITE_OK)
			return store_fault(store, why);
		if (version >= SCHEMA_VERSION)
			break;
		sqlite3_snprintf(sizeof(finish), finish,
		    "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", STORE_APPLICATION_ID,
		    (int)version + 1);
		if (sqlite3_exec(store->database, migrations[version], NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(store->database, finish, NULL, NULL, NULL) != SQLITE_OK)
			return store_fault(store, why);
	}
	return sqlite3_exec(store->database, "COMMIT", NULL, NULL, NULL) == SQLITE_OK
	           ? 0
	           : store_fault(store, why);
}

static int prepare_statements(struct store *store, struct error *why)
{
	int64_t last_id = 0;

	for (int i = 0; i < STORE_STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(store->database, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
		        &store->statements[i], NULL) != SQLITE_OK)
			return store_fault(store, why);
	if (pragma_number(store, "SELECT seq FROM sqlite_sequence WHERE name = 'events'", &last_id) !=
	    SQLITE_OK)
		return store_fault(store, why);
	if (last_id > store->last_id)
		store->last_id = last_id;
	return 0;
}

static int open_and_check(struct store *store, struct error *why)
{
	/* auto_vacuum comes first: it can be chosen only before the first page is written. */
	static const char settings[] =
	    "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
	    "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 1048576;"
	    "PRAGMA wal_autocheckpoint = 256; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;"
	    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON";
	int64_t version = 0;
	int result = prepare_file(store, why);

	if (result < 0)
		return result;
	if (sqlite3_open_v2(store->path, &store->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
	        NULL) != SQLITE_OK)
		return store_fault(store, why);
	sqlite3_extended_result_codes(store->database, 1);
	sqlite3_busy_timeout(store->database, 2000);
	/* Looked at before anything is changed: a file of another program is left exactly as it was. */
	result = check_owner(store, &version, why);
	if (result < 0)
		return result;
	if (sqlite3_exec(store->database, settings, NULL, NULL, NULL) != SQLITE_OK)
		return store_fault(store, why);
	if (version < SCHEMA_VERSION)
		result = migrate(store, why);
	return result < 0 ? result : prepare_statements(store, why);
}

int store_connect(struct store *store, struct error *why)
{
	int result = open_and_check(store, why);

	if (result < 0)
		store_close(store);
	return result;
}
