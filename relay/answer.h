/* Between what reads an answer (answer.c) and what sends it on (answer_out.c). */
#ifndef HOLDFAST_RELAY_ANSWER_H
#define HOLDFAST_RELAY_ANSWER_H

#include <sys/uio.h>

#include "relay/relay.h"

#define PIECES_MAX 24

/* What one read brought of the body. */
struct batch {
	struct iovec pieces[PIECES_MAX];
	uint32_t count;
	uint32_t ready;       /* so many pieces ... */
	size_t ready_bytes;   /* ... and so much of the next belong to whole events */
	bool content, failed; /* failed: an error event or body, not a content */
	struct failover_report report;
};

/* The head, or a part of it; call->answer.status is not 0 once it is whole. Returns how many of these bytes
 * were used, or -EBADMSG. */
ssize_t answer_take_head(struct call *call, const char *bytes, size_t length);

/* Whether the body has ended, and in the way that its interface ends. */
bool answer_is_whole(const struct answer *answer);

/* Sends what is held, the tail, and the whole events of the batch. Returns false when the call is gone. */
bool answer_send(struct call *call, struct batch *batch);

#endif
