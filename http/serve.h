/* The server side of HTTP/1.1, for what the recorder and the relay tell on their ports.
 *
 * One request a connection: every answer says "Connection: close". A connection kept alive would be one that
 * a worker which hands over has to cut, perhaps just when the next request is on its way; on loopback a new
 * one costs nothing that counts. What follows the first request (a body, a pipelined one) is read and thrown
 * away for a moment, because closing over it would make the kernel reset the connection and the answer be
 * lost.
 *
 * Everything is bounded and nothing is allocated: SERVE_CONNECTIONS_MAX connections, each with a buffer and a
 * deadline for every phase. When all are taken, the one closest to its deadline makes room: bytes that
 * trickle buy no time. The memory of a crowd is given back once it has gone.
 *
 * The listening socket is borrowed. It is open elsewhere too, and another process may accept from it at the
 * same time, so that one can go and another come without a caller being refused. */
#ifndef HOLDFAST_HTTP_SERVE_H
#define HOLDFAST_HTTP_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "http/request.h"
#include "loop/loop.h"

#define SERVE_CONNECTIONS_MAX 64
#define SERVE_BUFFER_BYTES    (8 * 1024) /* a request's head, and later the whole answer */
#define SERVE_BODY_MAX        (4 * 1024)

#define SERVE_HEAD_MS   10000 /* from being accepted to a whole head */
#define SERVE_ANSWER_MS 10000 /* to take the whole answer */
#define SERVE_LINGER_MS 2000  /* to close after the answer */

enum serve_phase { SERVE_FREE, SERVE_HEAD, SERVE_ANSWER, SERVE_LINGER };

/* Filled by the owner's callback. `body` begins empty; HEAD is answered without it by itself. */
struct serve_answer {
	unsigned status;
	const char *content_type; /* application/json unless set */
	const char *allow;        /* the methods that a 405 must name, or NULL */
	struct text body;
};

struct serve;

struct serve_connection {
	struct loop_source source;
	struct serve *serve;
	int fd;
	enum serve_phase phase;
	int64_t deadline_ms;
	uint64_t turn; /* when the phase began, in order */
	size_t length; /* bytes in the buffer: of the request, then of the answer */
	size_t sent, discarded;
};

struct serve {
	/* Set by the owner after serve_init. */
	void (*request)(struct serve *serve, const struct http_request *request, struct serve_answer *answer);
	void (*drained)(struct serve *serve); /* may be NULL */
	void *context;
	int64_t head_ms, answer_ms, linger_ms; /* set by serve_init; others are for tests */

	/* Private. */
	struct loop *loop;
	const char *host;
	struct loop_source listener;
	struct loop_timer timer;
	int listener_fd, spare_fd;
	int64_t accept_again_ms; /* 0: accepting */
	int64_t drain_ms;        /* 0: not draining */
	bool done;               /* drained, or released */
	int count, slots_used;
	uint64_t turns;
	struct serve_connection connections[SERVE_CONNECTIONS_MAX];
	char buffers[SERVE_CONNECTIONS_MAX][SERVE_BUFFER_BYTES];
};

/* `loop` is borrowed for as long as the structure lives, and so is `host`, the configured one: see
 * http/request.h. */
void serve_init(struct serve *serve, struct loop *loop, const char *host);

/* Accepts from `fd` from now on, instead of any other before. It is the caller's, who closes it after the
 * next serve_listen or serve_release. Makes it non-blocking, for everyone who shares it: two who accept race
 * for each caller. What cannot be watched now is tried again by itself. Returns 0, -ESHUTDOWN when draining,
 * or another negative errno when `fd` is none. */
int serve_listen(struct serve *serve, int fd);

/* Stops accepting, finishes what is in flight for at most `at_most_ms`, then calls `drained`, once and from
 * the loop. */
void serve_drain(struct serve *serve, int64_t at_most_ms);

/* Closes everything at once; `drained` is not called. */
void serve_release(struct serve *serve);

/* {"error":SENTENCE} */
void serve_say(struct serve_answer *answer, unsigned status, const char *sentence);

/* What GET /healthz gives: that this program turns. */
void serve_say_healthy(struct serve_answer *answer);

#endif
