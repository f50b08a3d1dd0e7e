/* One GET to a port of this machine, without blocking and with a deadline. It follows nothing, keeps nothing
 * alive, and reads at most HTTP_BODY_MAX bytes of the answer. */
#ifndef HOLDFAST_HTTP_GET_H
#define HOLDFAST_HTTP_GET_H

#include <stdbool.h>
#include <stdint.h>

#include "http/head.h"
#include "loop/loop.h"

#include <llhttp.h>

#define HTTP_BODY_MAX    (16 * 1024)
#define HTTP_REQUEST_MAX 1024

/* How it ended: by layer, so that "nothing listens" and "nobody answers" are never confused. */
enum http_get_result {
	HTTP_GET_ANSWERED,   /* status, content_type and body are filled */
	HTTP_GET_REFUSED,    /* nothing listens */
	HTTP_GET_CLOSED,     /* connected, and closed or reset before an answer began: TLS looks like this */
	HTTP_GET_TIMED_OUT,  /* connected or not: no whole answer before the deadline */
	HTTP_GET_MALFORMED,  /* bytes came that are no acceptable HTTP answer */
	HTTP_GET_IMPOSSIBLE, /* this process cannot ask: no socket, no memory */
};

struct http_get {
	struct loop_source source;
	struct loop_timer deadline;
	struct loop *loop;
	void (*done)(
	    struct http_get *get, enum http_get_result result); /* may start the next GET, or free this one */
	void *context;

	/* The answer, valid in `done`. */
	unsigned status;
	char content_type[64];
	char body[HTTP_BODY_MAX + 1]; /* NUL-terminated; cut at HTTP_BODY_MAX */
	size_t body_length;

	/* Private. */
	int fd;
	bool whole, head_checked;
	size_t head_length, request_length, request_sent;
	char request[HTTP_REQUEST_MAX];
	char head[HTTP_HEAD_MAX];
	llhttp_t parser;
};

/* `loop` is borrowed for as long as the structure lives; done and context are set by the owner. */
void http_get_init(struct http_get *get, struct loop *loop);

/* Asks http://127.0.0.1:port/path; `path` begins with "/" and holds visible ASCII only. `done` is called
 * later, from the loop, exactly once. Returns 0, or a negative errno when nothing was begun and `done` will
 * not be called. */
int http_get_start(struct http_get *get, uint32_t port, const char *path, int64_t timeout_ms);

/* Gives up silently: `done` is not called. Harmless when nothing is under way. */
void http_get_cancel(struct http_get *get);

static inline bool http_get_is_busy(const struct http_get *get)
{
	return get->fd >= 0;
}

#endif
