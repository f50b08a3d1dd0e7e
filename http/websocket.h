/* A WebSocket client (RFC 6455) for a port of this machine, without blocking: text messages both ways.
 *
 * Nothing the server sends makes it allocate, wait or end the connection because of its size: a message is
 * put together in a buffer that the owner lends, and of one that does not fit the first bytes are kept and
 * the rest is read past. Pings are answered, binary messages are read past. No Origin is sent, no extension
 * is offered, and what a server may not do (mask its frames, send half a message within another ...) ends the
 * connection. Whether text is valid UTF-8 is left to whoever parses it. */
#ifndef HOLDFAST_HTTP_WEBSOCKET_H
#define HOLDFAST_HTTP_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/head.h"
#include "http/websocket_handshake.h"
#include "loop/loop.h"

#define WEBSOCKET_OUTPUT_BYTES (16 * 1024)
#define WEBSOCKET_REASON_MAX   124  /* with its NUL: what a close frame can hold */
#define WEBSOCKET_NO_CODE      1005 /* it was closed, and no code was given (RFC 6455, 7.1.5) */

/* How it ended, by layer: the connection, then what was said over it. */
enum websocket_end {
	WEBSOCKET_REFUSED,    /* L4CON: nothing listens */
	WEBSOCKET_NO_CONNECT, /* L4TOUT: no connection before the deadline */
	WEBSOCKET_UNANSWERED, /* L7TOUT: connected; no whole answer to the handshake before the deadline */
	WEBSOCKET_STATUS,     /* L7STS: answered with another HTTP status than 101; `code` is that status */
	WEBSOCKET_NONSENSE,   /* L7RSP: closed instead of an answer, or what came is no WebSocket */
	WEBSOCKET_CLOSED,     /* it was open, and the server closed it; `code` is its close code */
	WEBSOCKET_RESET,      /* it was open, and ended without a word */
	WEBSOCKET_IMPOSSIBLE, /* SOCKERR: this process cannot ask: no descriptor, no memory */
};

enum websocket_state { WEBSOCKET_IDLE, WEBSOCKET_CONNECTING, WEBSOCKET_SHAKING, WEBSOCKET_OPEN };

struct wslay_frame_context;

struct websocket {
	/* Set by the owner after websocket_init. `buffer` is borrowed; a whole message is shorter than
	 * `buffer_size` and is NUL-terminated there. From `opened` and `message` it may be closed or sent to,
	 * but neither opened anew nor freed; from `closed`, which comes exactly once for each websocket_open
	 * that returned 0 unless websocket_close came first, it may be opened anew. */
	char *buffer;
	size_t buffer_size;
	void (*opened)(struct websocket *websocket);
	/* `whole` false: it did not fit; these are its first bytes, and `message_length` says how many it
	 * had. */
	void (*message)(struct websocket *websocket, const char *text, size_t length, bool whole);
	void (*closed)(struct websocket *websocket, enum websocket_end end, unsigned code);
	void *context;

	/* To be read. */
	enum websocket_state state;
	int64_t heard_ms;        /* bytes last came on this connection (CLOCK_BOOTTIME); 0: none yet */
	uint64_t message_length; /* of the message being told */
	uint64_t too_large;      /* messages that did not fit, since websocket_init */
	char reason[WEBSOCKET_REASON_MAX]; /* in `closed` with WEBSOCKET_CLOSED: the server's own words, or ""
	                                    */

	/* Private. */
	struct loop *loop;
	struct loop_source source;
	struct loop_timer timer; /* until it is open: the deadline */
	struct wslay_frame_context *frames;
	int fd;
	bool refused_at_once, in_frame, in_message, is_text, end_sent;
	uint8_t opcode;
	uint64_t frame_left;
	size_t kept; /* of the message, in `buffer` */
	size_t control_length;
	uint8_t control[125];
	char accept[WEBSOCKET_ACCEPT_LENGTH + 1]; /* what the answer to our key must be */
	size_t input_length, input_used, output_length, output_sent;
	char input[HTTP_HEAD_MAX]; /* the head of the answer, later what frames are read from */
	char output[WEBSOCKET_OUTPUT_BYTES];
};

/* `loop` is borrowed for as long as the structure lives. Uses one timer of the loop while it opens. */
void websocket_init(struct websocket *websocket, struct loop *loop);

/* Opens ws://127.0.0.1:port/path; `path` begins with "/" and holds visible ASCII only. `opened` or `closed`
 * comes later, from the loop, within `timeout_ms`. Once open there is no deadline. Returns 0, or a negative
 * errno when nothing was begun and `closed` will not be called: -EBUSY, -EINVAL, -ENAMETOOLONG, or what the
 * system refused. */
int websocket_open(struct websocket *websocket, uint32_t port, const char *path, int64_t timeout_ms);

/* Sends one text message. Returns 0 once it is taken; -EAGAIN when the server has not read enough of what
 * went before; -EMSGSIZE when it could never fit WEBSOCKET_OUTPUT_BYTES; -ENOTCONN when it is not open. */
int websocket_send(struct websocket *websocket, const char *text, size_t length);

/* Ends it without a callback, with a close frame where it is open. Harmless when it is idle. Gives back all
 * that it holds: nothing needs to be released after it. */
void websocket_close(struct websocket *websocket);

/* "L4CON", "L7STS" ...; "WSCLS" and "WSRST" for what ended after it was open. */
const char *websocket_end_name(enum websocket_end end);

#endif
