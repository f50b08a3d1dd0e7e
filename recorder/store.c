#include "recorder/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "recorder/autopsies.h"
#include "world/world.h"

int store_init(struct store *store, const char *directory, struct error *why)
{
	memset(store, 0, sizeof(*store));
	/* Room for "events.db.corrupt-20261121T091418Z-99-wal" beside it. */
	if (strlen(directory) + 64 > sizeof(store->path))
		return error_set(
		    why, -ENAMETOOLONG, "Events cannot be stored: the state directory's name is too long.");
	text_copy(store->directory, sizeof(store->directory), directory);
	snprintf(store->path, sizeof(store->path), "%s/" STORE_FILE_NAME, directory);
	return 0;
}

void store_find_reports(struct store *store, const char *directory)
{
	if (!text_copy(store->reports, sizeof(store->reports), directory))
		store->reports[0] = '\0';
}

void store_close(struct store *store)
{
	for (int i = 0; i < STORE_STATEMENT_COUNT; i++) {
		sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
	if (store->database != NULL)
		sqlite3_close(store->database);
	store->database = NULL;
}

static int io_fault(int system_errno, struct error *why)
{
	switch (system_errno) {
	case ENOSPC:
		return error_set(
		    why, -ENOSPC, "Events cannot be stored: the disk is full. Free some space on it.");
	case EDQUOT:
		return error_set(why, -EDQUOT,
		    "Events cannot be stored: this user's disk quota is used up. Free some space.");
	case EFBIG:
		return error_set(
		    why, -EFBIG, "Events cannot be stored: events.db reached the largest file size allowed.");
	case EROFS:
		return error_set(
		    why, -EROFS, "Events cannot be stored: the state directory is on a read-only disk.");
	case ENOENT:
		return error_set(
		    why, -ENOENT, "Events cannot be stored: the state directory is gone. Make it again.");
	case EACCES:
	case EPERM:
		return error_set(why, -EACCES,
		    "Events cannot be stored: the state directory may not be written by this user.");
	case 0:
		return error_set(why, -EIO,
		    "Events cannot be stored: the disk does not take them. Look at the kernel log.");
	default:
		return error_set(why, -EIO, "Events cannot be stored: %.60s. Look at the kernel log.",
		    strerror(system_errno));
	}
}

int store_fault(struct store *store, struct error *why)
{
	/* SQLite knows errno for some failures only; else it is what the failed system call left. */
	int system_errno = errno, code = sqlite3_errcode(store->database) & 0xff;

	if (sqlite3_system_errno(store->database) != 0)
		system_errno = sqlite3_system_errno(store->database);
	switch (code) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table or column is missing: not as we made it */
	case SQLITE_SCHEMA:
	case SQLITE_FORMAT:
		store->damaged = true;
		return error_set(why, -EUCLEAN, "Events cannot be stored: events.db is damaged.");
	case SQLITE_FULL:
		return io_fault(ENOSPC, why);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return error_set(
		    why, -EROFS, "Events cannot be stored: events.db or its directory is read-only.");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return error_set(
		    why, -EBUSY, "Events cannot be stored: another program keeps events.db locked. End it.");
	case SQLITE_NOMEM:
		return error_set(why, -ENOMEM, "Events cannot be stored: the machine is out of memory.");
	default:
		return io_fault(system_errno, why);
	}
}

static int64_t bounded_ms(int64_t ms)
{
	return ms < 0 ? 0 : ms > STORE_TIME_MAX_MS ? STORE_TIME_MAX_MS : ms;
}

static int64_t bounded_severity(uint32_t severity)
{
	return severity > SEVERITY_CRITICAL ? SEVERITY_CRITICAL : severity;
}

/* SQLite's integers are signed: a number above INT64_MAX is stored as the negative one of the same bits. */
static void bind_number(sqlite3_stmt *statement, int index, uint64_t value)
{
	sqlite3_bind_int64(statement, index, (sqlite3_int64)value);
}

static int run(struct store *store, enum store_statement which)
{
	int code = sqlite3_step(store->statements[which]);

	return code == SQLITE_DONE ? 0 : -1;
}

/* It is ready again; or it was condemned, and proved to be well before anything was done. */
static bool ends_incident(const char *kind)
{
	return strcmp(kind, "gateway.recovered") == 0 || strcmp(kind, "gateway.cleared") == 0;
}

static int add_to_incident(struct store *store, const struct message_event *event, int64_t id)
{
	sqlite3_stmt *statement = store->statements[STORE_INSERT_INCIDENT];
	int result;

	bind_number(statement, 1, event->incident);
	sqlite3_bind_int64(statement, 2, bounded_ms(event->real_ms));
	sqlite3_bind_int64(statement, 3, id);
	sqlite3_bind_int64(statement, 4, bounded_severity(event->severity));
	sqlite3_bind_text(statement, 5, event->kind, -1, SQLITE_STATIC);
	sqlite3_bind_int(statement, 6, ends_incident(event->kind));
	sqlite3_bind_text(statement, 7, event->reason, -1, SQLITE_STATIC);
	result = run(store, STORE_INSERT_INCIDENT);
	return result;
}

/* `life` 0 and `sequence` 0: an event of the recorder itself. `id` 0: the next one. */
static int add_event(struct store *store, const struct message_event *event, int64_t id)
{
	sqlite3_stmt *statement = store->statements[STORE_INSERT_EVENT];
	int64_t stored;

	sqlite3_clear_bindings(statement);
	sqlite3_bind_int64(statement, 1, bounded_ms(event->real_ms));
	sqlite3_bind_text(statement, 2, event->kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, bounded_severity(event->severity));
	if (event->incident != 0)
		bind_number(statement, 4, event->incident);
	sqlite3_bind_text(statement, 5, event->reason, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 6, event->evidence, -1, SQLITE_STATIC);
	if (event->sequence != 0) {
		bind_number(statement, 7, event->life);
		bind_number(statement, 8, event->sequence);
	}
	if (id != 0)
		sqlite3_bind_int64(statement, 9, id);
	if (run(store, STORE_INSERT_EVENT) < 0)
		return -1;
	if (sqlite3_changes(store->database) == 0)
		return 0; /* sent again: it is stored, and its incident knows it */
	stored = sqlite3_last_insert_rowid(store->database);
	if (autopsy_take(store, event, stored) < 0)
		return -1;
	return event->incident == 0 ? 0 : add_to_incident(store, event, stored);
}

static void reset_statements(struct store *store)
{
	for (int i = 0; i < STORE_STATEMENT_COUNT; i++)
		sqlite3_reset(store->statements[i]);
}

/* Ends a transaction that failed; the cause is read before the rollback hides it. */
static int give_up(struct store *store, struct error *why)
{
	int result = store_fault(store, why);

	reset_statements(store);
	if (!sqlite3_get_autocommit(store->database))
		sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
	/* After an error of the disk nothing is believed about the open file. A full disk and a lock pass by
	 * themselves. */
	if (result != -ENOSPC && result != -EBUSY)
		store_close(store);
	return result;
}

static int write_once(struct store *store, const struct message_event *events, size_t count, int64_t first_id,
    struct error *why)
{
	errno = 0;
	if (sqlite3_exec(store->database, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return give_up(store, why);
	for (size_t i = 0; i < count; i++) {
		if (add_event(store, &events[i], i == 0 ? first_id : 0) < 0)
			return give_up(store, why);
		sqlite3_reset(store->statements[STORE_INSERT_EVENT]);
		sqlite3_reset(store->statements[STORE_INSERT_INCIDENT]);
	}
	if (sqlite3_exec(store->database, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return give_up(store, why);
	if (sqlite3_last_insert_rowid(store->database) > store->last_id)
		store->last_id = sqlite3_last_insert_rowid(store->database);
	return 0;
}

/* The log goes first: a log left behind would be taken for the new file's own. A name that is taken is not
 * used. */
static int put_aside(struct store *store, struct error *why)
{
	char time_text[CLOCK_TEXT_MAX], from[PATH_MAX], to[PATH_MAX];
	struct stat status;

	clock_format(time_text, sizeof(time_text), clock_real_ms());
	for (int number = 1; number < 100; number++) {
		snprintf(
		    store->moved_to, sizeof(store->moved_to), STORE_FILE_NAME ".corrupt-%.19sZ", time_text);
		if (number > 1)
			snprintf(store->moved_to, sizeof(store->moved_to),
			    STORE_FILE_NAME ".corrupt-%.19sZ-%d", time_text, number);
		snprintf(to, sizeof(to), "%.*s/%.*s", PATH_MAX - 64, store->directory, 59, store->moved_to);
		if (lstat(to, &status) < 0)
			break;
	}
	snprintf(from, sizeof(from), "%.*s-wal", PATH_MAX - 8, store->path);
	snprintf(to, sizeof(to), "%.*s/%.*s-wal", PATH_MAX - 64, store->directory, 55, store->moved_to);
	if (world_rename(from, to) < 0 && errno != ENOENT)
		return io_fault(errno, why);
	snprintf(from, sizeof(from), "%.*s-shm", PATH_MAX - 8, store->path);
	world_unlink(from); /* an index of the log, made anew from it */
	to[strlen(to) - 4] = '\0';
	if (world_rename(store->path, to) < 0)
		return io_fault(errno, why);
	store->damaged = false;
	return 0;
}

/* Nobody may find a gap without a word: the new file begins with what happened to the old one. */
static int write_note(struct store *store, struct error *why)
{
	struct message_event event = {
	    .real_ms = clock_real_ms(), .severity = SEVERITY_WARNING, .kind = "store.replaced"};
	int result;

	/* Ids never run backwards, so that "after 17" means the same to every reader. Where the old ones are
	 * not known, seconds since 1970 are higher. */
	if (store->last_id == 0)
		store->last_id = clock_real_ms() / 1000;
	text_copy(event.reason, sizeof(event.reason), store->note);
	if (store->moved_to[0] != '\0')
		snprintf(event.evidence, sizeof(event.evidence), "{\"movedTo\":\"%s\"}", store->moved_to);
	result = write_once(store, &event, 1, store->last_id + 1, why);
	if (result == 0)
		store->note[0] = store->moved_to[0] = '\0';
	return result;
}

static int replace(struct store *store, const char *cause, struct error *why)
{
	int result;

	store_close(store);
	result = put_aside(store, why);
	if (result < 0)
		return result;
	snprintf(store->note, sizeof(store->note), "%.100s It was put aside as %s, and a new one was begun.",
	    cause, store->moved_to);
	return 0;
}

static int ensure_open(struct store *store, struct error *why)
{
	struct error cause = {.text = "events.db was damaged."};
	int result;

	if (store->damaged) {
		result = replace(store, cause.text, why);
		if (result < 0)
			return result;
	}
	if (store->database == NULL) {
		result = store_connect(store, &cause);
		if (result == -EUCLEAN) {
			result = replace(store, store->damaged ? "events.db was damaged." : cause.text, why);
			if (result == 0)
				result = store_connect(store, &cause);
		}
		if (result < 0)
			return error_set(why, result, "%s", cause.text);
	}
	return store->note[0] != '\0' ? write_note(store, why) : 0;
}

static bool is_there(const struct store *store, const char *suffix)
{
	char path[PATH_MAX];
	struct stat status;

	snprintf(path, sizeof(path), "%.*s%s", PATH_MAX - 8, store->path, suffix);
	return lstat(path, &status) == 0;
}

/* Whether what was written is where people will look for it: a file removed while open takes commits and
 * keeps none. Closing saves what it can: when only the log was removed, its content goes into the file. */
static bool still_in_place(struct store *store)
{
	int moved = 0;

	sqlite3_file_control(store->database, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	if (!moved && is_there(store, "-wal") && is_there(store, "-shm"))
		return true;
	store_close(store);
	if (!is_there(store, ""))
		text_copy(store->note, sizeof(store->note),
		    "events.db was removed while in use: a new one was begun, and the events before are "
		    "gone.");
	return false;
}

int store_write(struct store *store, const struct message_event *events, size_t count, struct error *why)
{
	int result = -EAGAIN;

	for (int attempt = 0; attempt < 3; attempt++) {
		result = ensure_open(store, why);
		if (result == 0)
			result = write_once(store, events, count, 0, why);
		if (result == 0 && still_in_place(store)) {
			for (size_t i = 0; i < count; i++)
				autopsy_remove_file(store, &events[i]);
			return 0;
		}
		if (result < 0 && result != -EUCLEAN)
			return result;
	}
	return result < 0 ? result
	                  : error_set(why, -ESTALE,
	                        "Events cannot be stored: events.db is removed again and again.");
}

int store_last_sequence(struct store *store, uint64_t life, uint64_t *sequence, struct error *why)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		int result = ensure_open(store, why);
		sqlite3_stmt *statement = store->statements[STORE_LAST_SEQUENCE];

		if (result < 0)
			return result;
		bind_number(statement, 1, life);
		if (sqlite3_step(statement) == SQLITE_ROW) {
			*sequence = (uint64_t)sqlite3_column_int64(statement, 0);
			sqlite3_reset(statement);
			return 0;
		}
		result = give_up(store, why);
		if (result != -EUCLEAN)
			return result;
	}
	return -EUCLEAN;
}

int store_probe(struct store *store, struct error *why)
{
	char sql[64];
	int result = ensure_open(store, why);

	if (result < 0)
		return result;
	store_settle(store);
	errno = 0;
	/* The number is what it was: the page that holds it is written all the same. */
	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA application_id = %d", STORE_APPLICATION_ID);
	if (sqlite3_exec(store->database, sql, NULL, NULL, NULL) != SQLITE_OK)
		return give_up(store, why);
	return still_in_place(store) ? 0 : store_write(store, NULL, 0, why);
}

int store_settle(struct store *store)
{
	int left = 0, done = 0, code;

	if (store->database == NULL)
		return 0;
	sqlite3_busy_timeout(store->database, 0); /* a reader in the way is no reason to wait */
	code = sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left, &done);
	sqlite3_busy_timeout(store->database, 2000);
	return code == SQLITE_OK ? 0 : store_fault(store, NULL);
}
