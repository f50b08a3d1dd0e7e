/* Reads along in the body of an answer while it passes: where its events end, when the first content comes,
 * whether an error came instead, whether it ended as its interface says. Nothing is copied but an event that
 * lies across two reads, up to SCAN_EVENT_MAX of it; a longer one is content. */
#ifndef HOLDFAST_RELAY_SCAN_H
#define HOLDFAST_RELAY_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/classify.h"

#define SCAN_EVENT_MAX (8 * 1024)
#define SCAN_MODEL_MAX 96

struct scan_usage {
	int64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens; /* -1: not said */
};

/* What one piece of the body brought. */
struct scan_found {
	size_t complete; /* bytes of this piece up to the end of its last whole event; what follows is the
	                    beginning of one (a body that is no event stream is all complete) */
	bool content;    /* an event with content (text, tool arguments, thinking, a finish) was among them */
	bool error;      /* an error event, or an error as the body: report is filled */
	bool broken;     /* a body that is the beginning of a JSON document only */
	bool ended;      /* the interface's own end came (message_stop, [DONE]) */
	struct failover_report report;
};

struct scan {
	enum api api;
	bool stream;  /* text/event-stream */
	bool content; /* some came so far */
	bool ended, failed;
	bool opaque; /* compressed or of another interface: each byte is content */
	struct scan_usage usage;
	char model[SCAN_MODEL_MAX]; /* that answered; "" not said yet */

	bool finished; /* it said why it stopped: an interface's end without its end marker */

	/* Private. */
	bool too_long; /* the event under way is longer than is kept of one */
	int line;      /* what there is of the line under way */
	uint32_t pending_length;
	char *pending; /* the event that is cut; allocated only while there is one */
};

/* `stream`: the answer's content type is text/event-stream. */
void scan_init(struct scan *scan, enum api api, bool stream);
void scan_release(struct scan *scan);

/* The next bytes of the decoded body. Of a body that is no stream, content comes with its first byte. Returns
 * 0 or -ENOMEM (then it is opaque from here on). */
int scan_feed(struct scan *scan, const char *bytes, size_t length, struct scan_found *found);

/* A whole body that is no stream: usage and model, and whether it is an error. */
void scan_whole(struct scan *scan, const char *body, size_t length, struct scan_found *found);

/* A request's body: the model it asks for, and a hash of the first thing that was said in its conversation,
 * which stays the same from one call to the next. The body may be cut; one that is no JSON leaves all empty.
 */
struct scan_request {
	char model[SCAN_MODEL_MAX];
	uint64_t conversation; /* 0: unknown */
};
void scan_request_read(const char *body, size_t length, struct scan_request *request);

#endif
