/* The autopsy: a gateway was condemned as hung; before it is ended, where does it hang?
 *
 * From outside and within AUTOPSY_LIMIT_MS, whatever the gateway does: /proc is read, and where it runs
 * JavaScript, its inspector is asked for the stack. Nothing here waits for anything but the loop. What may
 * not be seen is said to be not visible; the rest is told all the same.
 *
 * A process whose inspector was opened must be replaced whatever comes: it stays paused, and anybody of this
 * machine who knows the address could command it. */
#ifndef HOLDFAST_SENTRY_AUTOPSY_H
#define HOLDFAST_SENTRY_AUTOPSY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "process/examine.h"
#include "sentry/inspector.h"

#define AUTOPSY_WINDOW_MS    300  /* so long its threads are watched */
#define AUTOPSY_LIMIT_MS     2500 /* then what there is is told */
#define AUTOPSY_SENTENCE_MAX 304
#define AUTOPSY_FILE_MAX     32
#define AUTOPSY_REPORT_MAX   (64 * 1024)
#define AUTOPSY_REPORTS_KEPT 8
#define AUTOPSY_LINES_MAX    200

enum autopsy_cause {
	AUTOPSY_UNKNOWN,
	AUTOPSY_JAVASCRIPT,
	AUTOPSY_CHILD,
	AUTOPSY_FILE,
	AUTOPSY_PIPE,
	AUTOPSY_LOCK,
	AUTOPSY_SOCKET,
	AUTOPSY_STOPPED,
	AUTOPSY_UNINTERRUPTIBLE,
	AUTOPSY_CAUSE_COUNT
};

struct autopsy_result {
	uint64_t generation;
	int pid;
	bool opened;               /* its inspector was asked for (SIGUSR1 was sent) */
	int64_t began_ms, took_ms; /* began: Unix time */
	enum autopsy_cause cause;
	char sentence[AUTOPSY_SENTENCE_MAX]; /* where it hangs */
	char advice[AUTOPSY_SENTENCE_MAX];   /* what to do about it */
	char file[AUTOPSY_FILE_MAX];         /* in the runtime directory; "": could not be written */
};

/* What was found: what the sentence and the report are made of. */
struct autopsy_findings {
	struct examine_process process;
	bool is_node;
	struct examine_call call; /* of the last sample in which it slept; else of the last */
	struct examine_object object;
	char tracer[EXAMINE_COMMAND_MAX];
	int serves;                                 /* examine_epoll_serves of the epoll that it waits in */
	uint32_t samples, running, uninterruptible; /* of its main thread */
	struct examine_thread threads[EXAMINE_THREADS_MAX];
	int thread_count;  /* negative: not visible */
	int64_t window_ms; /* in which they used threads[].window_ns */
	struct examine_child children[EXAMINE_CHILDREN_MAX];
	int child_count;
	struct examine_lock locks[EXAMINE_LOCKS_MAX];
	int lock_count; /* negative: not visible */
	struct examine_sockets sockets;
	int64_t blocked_ms; /* it has hung for at least so long; 0: not known */
	bool ended;         /* it ended meanwhile */
	enum inspector_state inspector;
	const struct inspector_frame *frames; /* the innermost first */
	uint32_t frame_count;
};

struct autopsy {
	struct loop *loop;
	/* From the loop, once for each autopsy_begin that returned 0 unless autopsy_cancel came first. */
	void (*done)(struct autopsy *autopsy, const struct autopsy_result *result);
	void *context;

	/* Private. */
	struct loop_timer tick;
	struct inspector inspector;
	struct autopsy_findings findings;
	struct examine_thread before[EXAMINE_THREADS_MAX];
	int before_count, pid_fd;
	bool under_way, may_open;
	int64_t began_boot_ms;
	const char *directory;
	char *console; /* a mapping of AUTOPSY_REPORT_MAX bytes, while one is under way */
	size_t console_length;
	struct autopsy_result result;
};

/* What is to be examined. Everything is borrowed until autopsy_begin returns, but `directory` until `done`.
 */
struct autopsy_request {
	uint64_t generation;
	int pid;
	uint32_t port;             /* the gateway's; 0: none */
	int64_t blocked_ms;        /* it has hung for at least so long; 0: not known */
	bool may_open;             /* its inspector may be opened: it will be replaced whatever comes */
	const char *console_lines; /* the last ones, separated by newlines; may be NULL */
	size_t console_length;
	const char *directory; /* where the report goes: the runtime directory */
};

/* loop, done and context are set. */
void autopsy_init(struct autopsy *autopsy);

/* Returns 0; -ESRCH when there is no such process; -EBUSY while one is under way; or another negative errno.
 */
int autopsy_begin(struct autopsy *autopsy, const struct autopsy_request *request);

/* A line that came on the gateway's console, NUL-terminated: its inspector says its address there. Harmless
 * at any time. */
void autopsy_line(struct autopsy *autopsy, const char *line);

/* Gives up: `done` is not called. Call it when the gateway is gone, too: what was paused is let go. */
void autopsy_cancel(struct autopsy *autopsy);

/* "javascript", "child" ... */
const char *autopsy_cause_name(enum autopsy_cause cause);

/* ---- its parts, and for tests ---- */

/* Cause, sentence and advice from what was found. Pure. */
void autopsy_judge(const struct autopsy_findings *findings, struct autopsy_result *result);

/* Writes the report to directory/result->file, whole or not at all, and removes the oldest of more than
 * AUTOPSY_REPORTS_KEPT. Returns 0 or a negative errno. */
int autopsy_write(const struct autopsy_findings *findings, const struct autopsy_result *result,
    const char *console, size_t console_length, const char *directory);

/* Makes a text of the gateway fit for people: valid UTF-8, and nothing that a terminal would obey. In place.
 */
void autopsy_clean(char *text);

#endif
