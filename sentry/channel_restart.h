/* Restarts one channel of the gateway, on a connection of its own that may write: channels.stop where it
 * runs, then channels.start (2026.9.6; both need operator.admin). One that does not run needs no stop, and a
 * start alone does nothing for one that runs.
 *
 * A channel that was stopped here and is not started again would be worse off than before, for the gateway
 * leaves alone what was stopped by a request: so a start is tried again on a new connection, and whether
 * nobody wants to hear of it any more changes nothing. */
#ifndef HOLDFAST_SENTRY_CHANNEL_RESTART_H
#define HOLDFAST_SENTRY_CHANNEL_RESTART_H

#include "channel/message.h"
#include "sentry/link.h"

#define CHANNEL_RESTART_CONNECTIONS 3
#define CHANNEL_RESTART_AGAIN_MS    2000
#define CHANNEL_RESTART_STEP_MS     20000 /* a stop may wait for its plugin twice 5 s */

struct channel_restart {
	/* Set by the owner before channel_restart_init; all borrowed. */
	struct loop *loop;
	const struct settings *settings;
	void (*done)(struct channel_restart *restart, const struct message_channel_restarted *result);
	void *context;

	/* Private. */
	struct link link;
	struct loop_timer again;
	struct message_channel_restart wanted; /* generation 0: nothing is under way */
	uint32_t connections;
	bool stop_asked, said_stopped;
	int pid;
	uint32_t port;
	uint64_t attempt;
};

void channel_restart_init(struct channel_restart *restart);

/* Begins; one that is under way already goes on, and this one is answered at once: UNREACHABLE. */
void channel_restart_begin(
    struct channel_restart *restart, const struct message_channel_restart *wanted, int pid, uint32_t port);

/* The gateway is gone: nothing is left to be done. */
void channel_restart_cancel(struct channel_restart *restart);

#endif
