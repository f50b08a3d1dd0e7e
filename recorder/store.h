/* The event store: one SQLite file in the state directory, written by the recorder alone.
 *
 * What store_write returned 0 for survives a SIGKILL at any moment (WAL, synchronous=NORMAL: a power cut may
 * take the last moments, never the file). An event is known by the supervisor's life and its sequence within
 * it, so that one sent again is stored once. The rows of incidents follow in the same transaction as the
 * events they are made of, and so does the report that an event names (recorder/autopsies.h); so will what is
 * owed for an event, such as its alerts.
 *
 * A file that is damaged or not ours is put aside as events.db.corrupt-TIME, never deleted, and a new one
 * begun. */
#ifndef HOLDFAST_RECORDER_STORE_H
#define HOLDFAST_RECORDER_STORE_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "channel/message.h"

#define STORE_FILE_NAME      "events.db"
#define STORE_APPLICATION_ID 0x486f6c64 /* "Hold", in the header of the file */
#define STORE_NOTE_MAX       256
#define STORE_NAME_MAX       64
#define STORE_TIME_MAX_MS    253402300799999 /* the end of the year 9999 */

/* What becomes visible to a person when events cannot be stored fits into the message that carries it. */
#define STORE_WHY_MAX 128

enum store_statement {
	STORE_INSERT_EVENT,
	STORE_INSERT_INCIDENT,
	STORE_INSERT_AUTOPSY,
	STORE_AUTOPSY_MISSING,
	STORE_HAS_AUTOPSY,
	STORE_LAST_SEQUENCE,
	STORE_DELETE_OLD,
	STORE_DELETE_FIRST,
	STORE_DELETE_INCIDENTS,
	STORE_STATEMENT_COUNT
};

struct store {
	char directory[PATH_MAX];
	char path[PATH_MAX];
	char reports[PATH_MAX]; /* where the files of autopsies are, "" for nowhere */
	sqlite3 *database;      /* NULL: closed */
	sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
	bool damaged;    /* to be put aside before the next use */
	int64_t last_id; /* the highest id known to be given, also by a file since lost: ids never run
	                    backwards */
	char note[STORE_NOTE_MAX];     /* the reason of a store.replaced event not yet written, "" if none */
	char moved_to[STORE_NAME_MAX]; /* where the old file went, "" when it was gone */
};

struct store_retention {
	uint32_t days;
	int64_t size_bytes;
};

/* The newest events are kept whatever their age and size: the supervisor may send them again. */
#define STORE_KEPT_ALWAYS 256

/* Nothing is opened yet. Returns 0, or -ENAMETOOLONG. `directory` is copied. */
int store_init(struct store *store, const char *directory, struct error *why);

/* Where to find the files that events of autopsies name: the runtime directory. It is copied; one whose name
 * is too long is none. */
void store_find_reports(struct store *store, const char *directory);

/* Checkpoints and closes; harmless on a closed store. The next use opens it again. */
void store_close(struct store *store);

/* Stores all of `events` in one transaction, or none. Opens, replaces a damaged file, and begins anew where
 * the file was removed, as needed. Returns 0 or a negative errno (-ENOSPC, -EROFS, -ENOENT, -EBUSY, -EIO ...)
 * with a sentence of less than STORE_WHY_MAX bytes. */
int store_write(struct store *store, const struct message_event *events, size_t count, struct error *why);

/* The highest sequence stored of this life, 0 for none. Returns 0 or a negative errno, as store_write. */
int store_last_sequence(struct store *store, uint64_t life, uint64_t *sequence, struct error *why);

/* Proves that events can be written now, by writing. Returns 0 or a negative errno, as store_write. */
int store_probe(struct store *store, struct error *why);

/* Moves the write-ahead log into the file and cuts it to nothing. Returns 0, or a negative errno (-EBUSY
 * while a reader is in the way): harmless, try later. */
int store_settle(struct store *store);

/* One bounded step of retention (recorder/retention.c): what is older than `days`, then the oldest beyond
 * `size_bytes`, except the events of an incident that is open and still spoken of. Sets *more when another
 * step is to follow. Returns 0 or a negative errno. */
int store_trim(struct store *store, const struct store_retention *retention, int64_t now_ms, bool *more);

/* For the parts of the store only: what SQLite's latest failure means. Returns a negative errno (-EUCLEAN for
 * a damaged file, which is then replaced before the next use) with *why (may be NULL). */
int store_fault(struct store *store, struct error *why);

/* For the parts of the store only (recorder/schema.c): opens store->path, makes or migrates the tables.
 * Returns 0, -EUCLEAN for a file that is damaged or not ours, or another negative errno. On failure nothing
 * stays open. */
int store_connect(struct store *store, struct error *why);

#endif
