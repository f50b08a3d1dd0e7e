/* The gateway's console: drained from its FIFO without ever making the gateway wait, handed to the sinks in
 * whole lines, and remembered for a while. One disk, one terminal or one reader that stands still costs
 * lines, never time. What has been read is in the ring from the first moment on. */
#ifndef HOLDFAST_SENTRY_CONSOLE_H
#define HOLDFAST_SENTRY_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "sentry/line.h"
#include "sentry/ring.h"
#include "sentry/sink.h"
#include "sentry/tail.h"

struct console {
	struct loop *loop;
	struct ring *ring; /* borrowed */
	struct sink *file, *stream;

	/* Called for each console line with one of the phrases in it, colours removed. */
	void (*line_found)(struct console *console, const char *line);
	/* At most every 5 s, and only then: what the file lost. */
	void (*lines_lost)(struct console *console, const struct sink_losses *losses);
	const char *phrases[12]; /* NULL: none */
	void *context;

	struct loop_source source; /* fd -1: there is nothing to read from */
	struct loop_timer flush, settle;
	int64_t settled_ms;
	uint64_t bytes; /* all that ever came */
	struct tail tail;
};

/* Members before `source` are set; the ring and the sinks need not be ready before console_start. */
void console_init(struct console *console);

/* Reads from `fd`, which is not blocking and stays the caller's, beginning with what a predecessor had read
 * and not handed out. The sinks are ready. */
void console_start(struct console *console, int fd);

/* Reads what is in the FIFO now, at most `limit` bytes; the unfinished line counts as one. */
void console_drain(struct console *console, uint64_t limit);

/* Reads no more; hands out the unfinished line. */
void console_stop(struct console *console);

/* Tells what was lost and not told yet, without waiting for its time. */
void console_report(struct console *console);

#endif
