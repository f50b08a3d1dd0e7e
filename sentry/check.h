/* A probe that is no HTTP: a command of the user's that says how the gateway is (health.command), or a mere
 * connection to its port (health.path ""). One at a time. */
#ifndef HOLDFAST_SENTRY_CHECK_H
#define HOLDFAST_SENTRY_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "core/health.h"
#include "loop/loop.h"

#define CHECK_LINE_MAX      160
#define CHECK_VARIABLES_MAX 1024

struct check {
	/* PROBE_PROCOK, _PROCERR, _PROCTOUT, _L4OK, _L4CON, _L4TOUT or _SOCKERR (also for a command that is
	 * not there or cannot be run: exit status 126 or 127). `status`: a command's exit status, 128 and the
	 * signal's number for one that was ended by a signal. May start the next one. */
	void (*done)(struct check *check, enum probe_result result, unsigned status);
	void *context;

	/* Private. */
	struct loop *loop;
	const struct settings *settings;
	struct loop_source end, output; /* end: the connection, or the command's pidfd; fd -1: none */
	struct loop_timer deadline;
	int pid; /* of the command, and of its group; 0: it is a connection */
	bool is_late, is_refused, is_given_up;
	char line[CHECK_LINE_MAX]; /* the last that the command printed */
	uint32_t line_length;
	bool line_ended;
};

/* Whether the settings name a probe of this kind. */
bool check_is_wanted(const struct settings *settings);

/* Both are borrowed. `done` and `context` are set by the owner. */
void check_init(struct check *check, struct loop *loop, const struct settings *settings);

/* Begins; `done` is called later, from the loop, exactly once. A command that is not through by then is
 * killed with its whole process group. Returns 0, or a negative errno when nothing was begun and `done` will
 * not be called. */
int check_start(struct check *check, int gateway_pid, uint32_t port, int64_t timeout_ms);

/* Gives up silently; a command is killed, and one that does not end at once keeps it busy until it does.
 * Harmless when nothing is under way. */
void check_cancel(struct check *check);

static inline bool check_is_busy(const struct check *check)
{
	return check->end.fd >= 0;
}

/* The last line that the last command printed, printable; "" none. */
const char *check_line(const struct check *check);

#endif
