/* Where console lines go: a bounded ring of bytes, filled by the loop, emptied by a thread of its own that
 * may block on a slow disk or terminal as long as it likes. What does not fit is dropped in whole lines and
 * counted, and said in the same place once there is room again. The loop never waits for a sink.
 *
 * The bytes and the counts are in the ring (sentry/ring.h): what one sentry did not write, the next one does.
 */
#ifndef HOLDFAST_SENTRY_SINK_H
#define HOLDFAST_SENTRY_SINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sentry/ring.h"

#define SINK_BYTES     RING_SINK_BYTES
#define SINK_RESERVE   (16 * 1024) /* kept for our own lines */
#define SINK_WRITE_MAX (64 * 1024)

/* Called from the sink's thread only; may block. Writes some of the bytes and returns how many, at least one,
 * or a negative errno: then it is called again later with the same bytes, after 1 s, 2 s ... 30 s. */
typedef ssize_t sink_write(void *context, const char *bytes, size_t length);

struct sink {
	sink_write *write;
	void *context;
	const char *slow_words;    /* what to say when it was only slow */
	const char *notice_prefix; /* before "[holdfast] ..." */
	struct ring *ring;         /* borrowed */
	enum ring_region region;   /* RING_FILE or RING_STREAM */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t filled, ended; /* something to write; the thread has ended */
	uint64_t base, end;           /* what is published to the thread */
	int error;                    /* of the last write, 0: it works */
	bool finishing, has_ended;

	/* Used by the loop only. */
	bool is_joined;
	bool is_short; /* the ring could not grow when it was last asked to */
};

/* `sink` has its first six members set. Starts the thread, which begins with what is in the ring. Returns 0
 * or a negative errno. */
int sink_init(struct sink *sink);

/* Adds console bytes: whole lines, or a piece of a long or unfinished one. `begins_line`: the first byte is a
 * line's first. Never blocks. They are written once ring_commit and then sink_publish were called: never may
 * anything be written that a successor does not know of. */
void sink_offer(struct sink *sink, const char *bytes, size_t length, bool begins_line);
void sink_publish(struct sink *sink);

/* Adds a line of ours (without line end), which never lands inside another line. Commits and publishes. */
void sink_say(struct sink *sink, const char *line);

/* Whether lines are being dropped. */
bool sink_is_dropping(const struct sink *sink);

/* Says what was dropped, if there is room again. To be called now and then while it is dropping. */
void sink_settle(struct sink *sink);

/* What was dropped since the last sink_take_losses, which begins to count anew. */
const struct sink_losses *sink_losses(const struct sink *sink);
struct sink_losses sink_take_losses(struct sink *sink);

/* While held, the thread takes nothing new and forgets nothing; it may be in the middle of a write. */
void sink_hold(struct sink *sink, bool hold);

/* Lets the thread write what it has and end. Returns true when all was written within `timeout_ms`; else the
 * thread may still hang in its target, and the program ends around it. */
bool sink_finish(struct sink *sink, int64_t timeout_ms);

/* "the disk was full": why lines were dropped. */
const char *sink_loss_words(const struct sink *sink, int error);

#endif
