/* Ends one run of one session, when the supervisor asks for it.
 *
 * The standing connection may only read. For an abort a second one is opened, with an administrator's rights
 * (2026.9.6 lets anybody else end only what he began himself), and closed when nothing more is to be asked.
 * Right before, the session is looked at once more: what has moved since it was judged, or runs another run,
 * is left alone.
 *
 * 2026.9.6 has a call for it, which takes the id of the run. 2026.2.1 has none that reaches every run: there
 * a chat message is sent that its own reply dispatch takes for a stop command ("/stop" alone would be caught
 * earlier, and end only runs that a chat.send began); it also drops the messages that wait behind the run.
 * Both were tried. */
#ifndef HOLDFAST_SENTRY_ABORT_H
#define HOLDFAST_SENTRY_ABORT_H

#include "channel/message.h"
#include "config/settings.h"
#include "sentry/link.h"
#include "sentry/session_book.h"

#define ABORT_JOBS_MAX 8 /* more than may be under way: the chat of some is still being told */

struct abort_job {
	bool is_taken, is_asked;
	bool is_found; /* right before: only what came with that on the standing connection is still to be
	                  read */
	bool is_done;  /* aborted; only the chat is still to be told */
	struct message_abort wanted;
	struct openclaw_row row; /* where its answers go */
};

struct abort_sense {
	struct loop *loop;
	const struct settings *settings;
	const struct session_book *book; /* what is known of the sessions; borrowed */
	void (*answered)(struct abort_sense *sense, const struct message_aborted *answer);
	void *context;

	/* Private. */
	struct link link;
	struct loop_timer timer;
	struct message_gateway gateway;
	struct abort_job jobs[ABORT_JOBS_MAX];
};

/* Members before `link` are set. */
void abort_sense_init(struct abort_sense *sense);

/* `answered` is called once for each, from the loop or from here. */
void abort_sense_begin(
    struct abort_sense *sense, const struct message_abort *wanted, const struct message_gateway *gateway);

/* The gateway is gone, or nobody waits any more: nothing is answered. */
void abort_sense_stop(struct abort_sense *sense);

#endif
