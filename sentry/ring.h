/* What was read from the console and is not written yet, in memory that outlives the sentry: a file on tmpfs
 * in the runtime directory, mapped. The next sentry goes on where the killed one was, at whatever instruction
 * that happened, so that no line is lost and none is written twice.
 *
 * How it stays whole: what the loop changes is in two copies, and one store says which counts. What a sink's
 * thread changes is one number. Bytes that a read(2) has just taken from the FIFO are found because nothing
 * but zeros was there before. Belongs to whoever holds the lock on the FIFO; where the file cannot be,
 * private memory does the same for as long as the process lives. */
#ifndef HOLDFAST_SENTRY_RING_H
#define HOLDFAST_SENTRY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_NAME          "console.ring" /* in the runtime directory */
#define RING_SINK_BYTES    (1024 * 1024)
#define RING_LANDING_BYTES (128 * 1024)
#define RING_READ_BYTES    (64 * 1024)
#define RING_KEPT_BYTES    (32 * 1024) /* of each region, also while it is empty */
#define RING_NOTHING_NOTED UINT64_MAX

enum ring_region {
	RING_FILE,
	RING_STREAM,
	RING_SINK_COUNT,
	RING_LANDING = RING_SINK_COUNT,
	RING_REGION_COUNT
};

struct sink_losses {
	uint64_t lines, bytes;
	int32_t error; /* the errno that caused them, 0: too slow */
	uint32_t unused;
};

/* The loop's part of a sink. A position counts the bytes of all time; base is at the region's beginning. */
struct ring_sink {
	uint64_t base, end;
	struct sink_losses untold, unreported; /* not yet said in the sink; not yet told the supervisor */
	uint32_t dropping, mid_line;
};

/* All that the loop changes, at once. */
struct ring_state {
	uint32_t from, held; /* in the landing region: read, not yet offered to the sinks */
	uint32_t begins_line, unused;
	struct ring_sink sinks[RING_SINK_COUNT];
};

/* The part of a sink's thread: up to `begin` all is written. The rest is noted by the file's sink before each
 * write, and counts while noted == begin: which file, and how long it was. */
struct ring_cursor {
	uint64_t begin, noted;
	uint64_t device, inode;
	int64_t size_bytes;
};

struct ring_header {
	uint64_t magic;
	uint32_t version, size;
	uint32_t current;       /* which of the two states counts */
	uint32_t reading_until; /* a read(2) may be filling the landing region up to here; 0: none is */
	struct ring_state states[2];
	struct ring_cursor cursors[RING_SINK_COUNT];
};

struct ring {
	struct ring_state state;     /* the loop's: what the next commit makes true */
	struct ring_cursor *cursors; /* shared with the sinks' threads */
	char *bytes[RING_REGION_COUNT];

	/* Private. */
	struct ring_header *header;
	int fd; /* -1: private memory */
	size_t reserved[RING_REGION_COUNT];
	size_t dirty; /* of the landing region: from here on it is all zero */
};

enum ring_opened { RING_NEW, RING_FOUND, RING_DAMAGED };

/* Opens, or makes, the file in `directory`; NULL, or a directory that does not allow it: private memory (see
 * ring_is_kept). Returns enum ring_opened (RING_DAMAGED: there was one that made no sense, and what was in it
 * is lost), or a negative errno when there is no memory at all. */
int ring_open(struct ring *ring, const char *directory);

/* Unmaps; the file stays. */
void ring_close(struct ring *ring);

/* Whether what is in it outlives the process. */
bool ring_is_kept(const struct ring *ring);

/* Makes ring->state true. */
void ring_commit(struct ring *ring);

/* Makes sure that the first `bytes` of the region have memory. Returns how many have: fewer when the file
 * system is full. */
size_t ring_reserve(struct ring *ring, enum ring_region region, size_t bytes);

/* Whether a burst has left memory behind that ring_trim may give back. */
bool ring_is_spread(const struct ring *ring);

/* Gives the region's memory back, if it is empty and has more than so many bytes. */
void ring_trim(struct ring *ring, enum ring_region region, size_t above);

/* Where the next read(2) goes, right behind what is held; it must not be longer than *room. To be followed by
 * ring_read_end with what it brought (0: nothing). */
char *ring_read_begin(struct ring *ring, size_t *room);
void ring_read_end(struct ring *ring, size_t got);

/* The first `length` held bytes were offered to the sinks: the next commit forgets them here. */
void ring_release_held(struct ring *ring, size_t length);

/* When the file is not in `directory` any more, makes it there, with all that is in it. The sinks' threads
 * are held meanwhile (sink_hold). */
void ring_move(struct ring *ring, const char *directory);

#endif
