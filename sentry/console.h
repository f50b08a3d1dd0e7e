/* The gateway's console: drained from its FIFO without ever making the gateway wait, handed to the sinks in
 * whole lines, and remembered for a while. One disk, one terminal or one reader that stands still costs
 * lines, never time. */
#ifndef HOLDFAST_SENTRY_CONSOLE_H
#define HOLDFAST_SENTRY_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "sentry/line.h"
#include "sentry/sink.h"
#include "sentry/tail.h"

#define CONSOLE_NAME       "console" /* in the runtime directory */
#define CONSOLE_READ_BYTES (64 * 1024)

struct console {
	struct loop *loop;
	const char *runtime_dir; /* borrowed */
	struct sink *file, *stream;

	/* Called for each console line with one of the phrases in it, colours removed. */
	void (*line_found)(struct console *console, const char *line);
	/* At most every 5 s, and only then: what the file lost. */
	void (*lines_lost)(struct console *console, const struct sink_losses *losses);
	const char *phrases[4]; /* NULL: none */
	void *context;

	struct loop_source source;
	struct loop_timer reopen, flush, settle;
	int64_t settled_ms;
	uint64_t bytes; /* all that ever came */
	struct tail tail;

	/* Private: what was read, beginning with the unfinished line. */
	size_t held;
	bool begins_line, started;
	char buffer[LINE_MAX_BYTES + CONSOLE_READ_BYTES];
};

/* Members before `source` are set. Does nothing yet: all else may be called from now on. */
void console_init(struct console *console);

/* Opens the FIFO, or tries again every second. */
void console_start(struct console *console);

/* Reads what is in the FIFO now, at most `limit` bytes; the unfinished line counts as one. */
void console_drain(struct console *console, uint64_t limit);

/* The FIFO may have been made anew: opens the one that is there now, once started. */
void console_reopen(struct console *console);

/* Reads no more. */
void console_close(struct console *console);

#endif
