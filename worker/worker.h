/* What the three workers share: the settings and the channel they inherit, the first word, the last word,
 * and the rights they give up after their start. */
#ifndef HOLDFAST_WORKER_WORKER_H
#define HOLDFAST_WORKER_WORKER_H

#include <stdbool.h>

#include "channel/message.h"
#include "config/settings.h"
#include "loop/loop.h"

struct worker {
	const char *name; /* "sentry", "recorder", "relay" */
	const struct settings *settings;
	struct loop loop;
	struct loop_source channel; /* fd -1 once the supervisor is gone */
	bool finishing;             /* the supervisor said FINISH */

	/* Every message but FINISH; `passed_fd` is the callee's, or -1. */
	void (*message)(struct worker *worker, const struct message *message, int passed_fd);
	/* FINISH came: call loop_stop when done. May be NULL: stop at once. */
	void (*finish)(struct worker *worker);
	/* The channel closed: the supervisor died. May be NULL: stop at once. */
	void (*abandoned)(struct worker *worker);
	void *context;
};

/* Maps the settings from SETTINGS_FD, makes the loop, watches CHANNEL_FD, ignores SIGINT, SIGHUP and SIGPIPE
 * (they are meant for the supervisor; it says FINISH), and says HELLO. `worker` has its name and callbacks
 * set. SIGTERM ends the worker as FINISH does. Returns 0 or a negative errno with *why. */
int worker_init(struct worker *worker, struct error *why);

/* Gives up what a running worker does not need: new privileges, core dumps, being traced by others. */
void worker_drop_rights(void);

/* Sends to the supervisor; drops the message when the supervisor is gone (returns -EPIPE) or does not read.
 */
int worker_send(struct worker *worker, enum message_type type, struct message *message);

/* Runs the loop; returns the exit code for main. */
int worker_run(struct worker *worker);

#endif
