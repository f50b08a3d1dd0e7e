/* A connection to OpenClaw's WebSocket that has shown the gateway's secret.
 *
 * The standing one asks for nothing but to read, and is there for what comes by itself: a tick every 30 s,
 * the proof that the gateway's loop turns. It is opened again with back-off for as long as the gateway runs.
 * A short one, with other scopes and for one request, is the same structure with `once` set.
 *
 * Whether a new connection can be opened is another question than whether the old one lives, and needs no
 * secret: link_try opens one more, waits for the gateway's first word ("connect.challenge"), and closes it
 * again.
 *
 * A secret that is not accepted is no illness: it is told once, and tried again when it has changed and every
 * five minutes; meanwhile a new connection is tried once in each interval of looks. */
#ifndef HOLDFAST_SENTRY_LINK_H
#define HOLDFAST_SENTRY_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "core/health.h"
#include "http/websocket.h"
#include "loop/loop.h"
#include "sentry/link_words.h"

#define LINK_REQUESTS_MAX    16
#define LINK_DENIED_AGAIN_MS (5 * 60 * 1000)
#define LINK_BACKOFF_MIN_MS  1000
#define LINK_BACKOFF_MAX_MS  60000
#define LINK_TRIAL_BYTES     1024

enum link_state {
	LINK_OFF,
	LINK_CONNECTING, /* until the challenge */
	LINK_CHALLENGED, /* the secret was shown */
	LINK_UP,
	LINK_DENIED,  /* the gateway answers, and there is no secret, or it is not accepted */
	LINK_WAITING, /* for the next attempt */
};

struct link;

/* result: 0, `frame` is the answer (its ok may be false), valid in the callback only; -EMSGSIZE, it came and
 * was too large to be read; -ETIMEDOUT; -ECONNRESET, the connection ended first. May call link_request and
 * link_stop. */
typedef void link_answered(struct link *link, int result, const struct link_frame *frame, void *context);

struct link_request {
	uint64_t number; /* 0: free */
	int64_t due_ms;
	link_answered *answered;
	void *context;
};

struct link {
	/* Set by the owner before link_init; all borrowed. */
	struct loop *loop;
	const struct settings *settings;
	const char *const *scopes; /* ends with NULL */
	bool once;                 /* one attempt: what ends it leaves it LINK_OFF, or LINK_DENIED */
	void (*changed)(
	    struct link *link); /* state or last_result; may be NULL; may call link_request and link_stop */
	/* An event of a run or a session ("agent", "chat", "session.tool", "sessions.changed"), as it came;
	 * the beginning of one that is too long. May be NULL. */
	void (*event)(struct link *link, const char *text, size_t length);
	void (*said)(struct link *link,
	    const char *sentence); /* for people: why the secret is of no use; may be NULL */
	void *context;

	/* To be read for a look. Times are CLOCK_BOOTTIME in ms; 0: never, or none. */
	enum link_state state;
	enum probe_result
	    last_result;          /* PROBE_WSOK, PROBE_WSAUTH, PROBE_L4CON ...: how the last attempt ended */
	int64_t tick_ms;          /* the last tick of this connection */
	int64_t tick_interval_ms; /* promised by hello-ok; 0 when not LINK_UP */
	int64_t up_since_ms;
	int64_t failing_since_ms; /* the first in a row of new connections without a challenge */
	bool ever_up;             /* since link_start */
	uint32_t status;          /* the HTTP status with PROBE_L7STS */
	uint64_t ticks;           /* since link_start */
	struct link_hello hello;  /* of the last hello-ok */

	/* Private. */
	uint64_t generation, next_request, secret_hash;
	int pid;
	uint32_t port, failures;
	int64_t denied_ms;   /* when the secret was last shown in vain, or found missing */
	uint32_t tries_left; /* of a secret that is new, and may not have reached the gateway yet */
	bool has_said;
	struct loop_timer timer, request_timer, trial_timer;
	struct link_request requests[LINK_REQUESTS_MAX];
	struct websocket main, trial;
	char trial_text[LINK_TRIAL_BYTES];
	char text[LINK_TEXT_BYTES];
};

void link_init(struct link *link);

/* The gateway is up: connect, now and for as long as it runs. `pid` is the process whose environment names
 * its secret. */
void link_start(struct link *link, uint64_t generation, int pid, uint32_t port);

/* Closes everything; requests under way are forgotten, without an answer. */
void link_stop(struct link *link);

/* Tries whether a new connection can be opened: while LINK_UP or LINK_DENIED by one of its own, else the
 * attempts of the link itself show it. One at a time: more calls change nothing. For looks that doubt. */
void link_try(struct link *link);

/* The gateway's configuration has changed: a secret that was not accepted may be now. */
void link_configuration_changed(struct link *link);

/* When bytes last came on the standing connection; 0 while it is not LINK_UP. */
int64_t link_heard_ms(const struct link *link);

/* What a look says of it: last_result, or PROBE_WSTICK when the tick that was due did not come. */
enum probe_result link_result(const struct link *link, int64_t now_ms);

/* Asks; `parameters` is JSON or NULL. The answer comes once, from the loop. Returns 0; -ENOTCONN when it is
 * not LINK_UP; -EBUSY with LINK_REQUESTS_MAX under way; -EAGAIN; or -EMSGSIZE. */
int link_request(struct link *link, const char *method, const char *parameters, int64_t timeout_ms,
    link_answered *answered, void *context);

const char *link_state_name(enum link_state state);

#endif
