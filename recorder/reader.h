/* The read side of the event store: finds events page by page, whether or not a recorder is writing, the disk
 * is full, or everything is read-only. No read transaction outlives a call, so that a reader that stalls
 * never makes the write-ahead log grow. */
#ifndef HOLDFAST_RECORDER_READER_H
#define HOLDFAST_RECORDER_READER_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define READER_PATTERNS_MAX  16
#define READER_PATTERN_SIZE  128
#define READER_KIND_SIZE     64
#define READER_REASON_SIZE   1024
#define READER_EVIDENCE_SIZE 2048

struct event_row {
	int64_t id, time_ms;
	uint64_t incident; /* 0: none */
	uint32_t severity; /* enum event_severity */
	char kind[READER_KIND_SIZE];
	char reason[READER_REASON_SIZE];
	char evidence[READER_EVIDENCE_SIZE]; /* a JSON object, but for its UTF-8, which is not checked */
};

struct event_filter {
	int64_t since_ms;      /* 0: from the first */
	uint32_t min_severity; /* enum event_severity */
	uint64_t incident;     /* 0: any */
	uint32_t pattern_count;
	char patterns[READER_PATTERNS_MAX]
	             [READER_PATTERN_SIZE]; /* for SQLite's GLOB, made by event_filter_add_kinds */
};

struct incident_row {
	uint64_t id;
	int64_t opened_ms, last_ms;
	int64_t closed_ms; /* 0: no recovery is recorded */
	int64_t first_event, last_event, events;
	uint32_t severity; /* the highest of its events */
	char kind[READER_KIND_SIZE];
	char reason[READER_REASON_SIZE];
};

/* Adds comma-separated kinds, in which * stands for any text. Returns 0, or -EINVAL or -E2BIG with *why. */
int event_filter_add_kinds(struct event_filter *filter, const char *kinds, struct error *why);

struct reader {
	char path[PATH_MAX];
	sqlite3 *database; /* NULL: closed */
	dev_t device;
	ino_t inode;
	bool frozen; /* opened as a file that nobody writes: on a read-only disk, or a full one */
};

/* Returns 0 or -ENAMETOOLONG; opens nothing. `directory` is copied. */
int reader_init(struct reader *reader, const char *directory, struct error *why);

/* Opens the store, or opens it anew when it is another file than before: *replaced then becomes true. Returns
 * 0, -ENOENT when there is no store yet, or a negative errno with *why. */
int reader_open(struct reader *reader, bool *replaced, struct error *why);
void reader_close(struct reader *reader);

/* The next events with ids above `after`, in order. Returns how many (at most `max`) or a negative errno. */
int reader_page(struct reader *reader, const struct event_filter *filter, int64_t after,
    struct event_row *rows, int max, struct error *why);

/* Where to start for the last `count` events that pass: *after is to be given to reader_page. */
int reader_before_last(struct reader *reader, const struct event_filter *filter, int64_t count,
    int64_t *after, struct error *why);

/* The incident `number`, or the one that began last for 0. Returns 1, 0 when there is none, or a negative
 * errno. */
int reader_incident(struct reader *reader, uint64_t number, struct incident_row *row, struct error *why);

/* The suspicion that an incident began with: what makes one suspect belongs to no incident yet. *event is 0
 * where there was none. Returns 0 or a negative errno. */
int reader_suspicion(
    struct reader *reader, const struct incident_row *incident, int64_t *event, struct error *why);

/* The last report of an autopsy in the incident, NUL-terminated; *event (may be NULL) is the event that told
 * of it. Returns its length, -ENOENT when there is none, -EFBIG, -EBADMSG when it is no JSON, or another
 * negative errno. */
int reader_report(
    struct reader *reader, uint64_t incident, char *report, size_t size, int64_t *event, struct error *why);

/* The highest id stored, 0 for none. Returns 0 or a negative errno. */
int reader_newest(struct reader *reader, int64_t *id, struct error *why);

#endif
