/* Follows the JSON-lines log file that an OpenClaw gateway writes itself, and hands on each whole line.
 *
 * The file is logging.file of openclaw.json, else the default one (sentry/log_place.h). What the gateway's
 * console says of it does not count: anybody's output may reach that. History is no news: a file that was
 * there at the start is read from its end, one that appears later from its beginning. Of one that was renamed
 * away or whose day is over the rest is read before the next; a file or a directory that is not there may
 * come back. Read is only a regular file that belongs to our own user, and nothing is ever waited for but the
 * disk. No timer is set here. */
#ifndef HOLDFAST_SENTRY_LOG_FOLLOW_H
#define HOLDFAST_SENTRY_LOG_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sentry/log_place.h"

#define LOG_FOLLOW_LINE_MAX   (64 * 1024)        /* without its end; a longer one is passed over */
#define LOG_FOLLOW_POLL_MAX   (1024 * 1024)      /* bytes read by one poll */
#define LOG_FOLLOW_BEHIND_MAX (16 * 1024 * 1024) /* who is further behind jumps to the end */

/* A file that was there at the start: what of it is history. */
struct log_history {
	dev_t device;
	ino_t inode;
	off_t size;
};

struct log_follow {
	/* Set by the owner before anything is called. */
	const struct settings *settings;
	const struct token_environment *environment; /* the gateway's; borrowed */
	/* A whole line, NUL-terminated without its end; it may hold anything, NULs as well. Nothing here may
	 * be called from it. */
	void (*line)(struct log_follow *follow, const char *line, size_t length);
	void *context;
	const char *directory; /* instead of /tmp/openclaw, for tests; NULL */

	/* To be read; they only grow. */
	uint64_t oversized;     /* lines passed over because they were too long */
	uint64_t skipped_bytes; /* jumped over by one who was too far behind */

	/* Private. */
	bool is_on;
	bool in_passed_line; /* up to its end: it began before we did, or is too long */
	int fd;
	dev_t device;
	ino_t inode;
	off_t offset; /* of the next byte to be read */
	struct log_place place;
	uint32_t history_count;
	struct log_history history[LOG_CANDIDATES_MAX];
	size_t length; /* of the line that is not finished */
	char buffer[LOG_FOLLOW_LINE_MAX + 1];
};

/* Members before `oversized` are set. */
void log_follow_init(struct log_follow *follow);

/* The gateway starts, or was found running: follows its log from now on. `real_ms` is CLOCK_REALTIME. */
void log_follow_start(struct log_follow *follow, int64_t real_ms);

/* Reads what was written since, and calls `line` for each whole line of it. */
void log_follow_poll(struct log_follow *follow, int64_t real_ms);

/* The gateway is gone: closes the file. Before that, a last poll may see its last words. */
void log_follow_stop(struct log_follow *follow);

#endif
