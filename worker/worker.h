/* What the three workers share: the settings and the channel they inherit, the first word, the last word, the
 * listening sockets they keep, the rights they give up after their start, and how they outlive a supervisor.
 *
 * A worker listens on a socket with its name and pid in the runtime directory. When its supervisor dies it
 * goes on; the next supervisor connects there, and that connection is the channel from then on. An abandoned
 * worker ends when the gateway has been gone for WORKER_LINGER_MS, or when there is a new supervisor that did
 * not come for it within WORKER_CLAIM_MS. */
#ifndef HOLDFAST_WORKER_WORKER_H
#define HOLDFAST_WORKER_WORKER_H

#include <stdbool.h>

#include "channel/message.h"
#include "config/settings.h"
#include "loop/loop.h"

#define WORKER_LINGER_MS 10000
#define WORKER_CLAIM_MS  5000
#define WORKER_OWED_MAX  8

struct worker {
	const char *name; /* "sentry", "recorder", "relay" */
	const struct settings *settings;
	struct loop loop;
	struct loop_source channel; /* fd -1 while there is no supervisor */
	bool finishing;             /* the supervisor said FINISH */

	/* Every message but FINISH and LISTENER; `passed_fd` is the callee's, or -1. */
	void (*message)(struct worker *worker, const struct message *message, int passed_fd);
	/* FINISH came, or the end of an abandoned worker: call loop_stop when done. May be NULL: stop at
	 * once. */
	void (*finish)(struct worker *worker);
	/* The channel closed: the supervisor died, or is executing itself anew. May be NULL. */
	void (*abandoned)(struct worker *worker);
	/* A supervisor took the worker back: the channel is open again, HELLO is said. May be NULL. */
	void (*taken_back)(struct worker *worker);
	/* The listening socket `which` is there, or another one in its place; the worker's, until it is told
	 * of another. May be NULL. */
	void (*listener)(struct worker *worker, enum listener_index which, int fd);
	void *context;

	/* Private. */
	struct message_hello hello;
	int listeners[LISTENER_COUNT];          /* -1: none */
	int gateway_pid_fd;                     /* -1: there is none */
	int64_t gateway_gone_ms, owner_came_ms; /* 0: not */
	struct loop_source socket;
	struct loop_timer look;
	struct message owed[WORKER_OWED_MAX]; /* not yet taken by the channel, in order */
	uint32_t owed_count;
	struct loop_timer pay;
};

/* Maps the settings from SETTINGS_FD, makes the loop, watches CHANNEL_FD, ignores SIGINT, SIGHUP and SIGPIPE
 * (they are meant for the supervisor; it says FINISH), listens in the runtime directory, and says HELLO.
 * `worker` has its name and callbacks set. SIGTERM ends the worker as FINISH does. Returns 0 or a negative
 * errno with *why. */
int worker_init(struct worker *worker, struct error *why);

/* Gives up what a running worker does not need: new privileges, core dumps, being traced by others. */
void worker_drop_rights(void);

/* Sends to the supervisor, now or, when the channel does not take it, a little later. Returns 0, -EPIPE when
 * the supervisor is gone, or -EAGAIN when too much is owed already: then the message is dropped. */
int worker_send(struct worker *worker, enum message_type type, struct message *message);

/* Runs the loop; returns the exit code for main. */
int worker_run(struct worker *worker);

#endif
