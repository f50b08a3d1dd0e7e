/* The configuration with which the gateway was last well, kept aside (gateway.configFallback).
 *
 *   STATE/known-good/           0700
 *     kept-N/                   the copy: openclaw.json and what it includes, 0600; the highest N counts
 *     running/                  a copy of the copy, for a gateway that is started from it: what it writes
 *                               into its configuration it writes there
 *     refused                   which files were refused when `running` was made
 *
 * Kept is what the gateway was started with, once it has been well for five minutes and the files still say
 * the same: a change that a running gateway was never started with proves nothing. The user's own files are
 * never written. Copies are made on a thread: a slow disk keeps nobody waiting. */
#ifndef HOLDFAST_SENTRY_KNOWN_GOOD_H
#define HOLDFAST_SENTRY_KNOWN_GOOD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "loop/loop.h"
#include "sentry/config_files.h"

#define KNOWN_GOOD_AFTER_MS  300000
#define KNOWN_GOOD_DIRECTORY "known-good"
#define KNOWN_GOOD_RUNNING   "running"

struct known_good {
	struct loop *loop;
	const struct settings *settings;
	int64_t after_ms;       /* well for so long: KNOWN_GOOD_AFTER_MS */
	bool reads_state_apart; /* the gateway finds its other files without its configuration's place */
	/* A copy was made; or could not be, for the first time since one could: a sentence. */
	void (*kept)(struct known_good *known_good, const char *path);
	void (*failed)(struct known_good *known_good, const char *sentence);
	void *context;

	/* Private. */
	bool proves, well; /* a gateway runs that was started with the files hashed in `content` */
	uint64_t content;  /* when it was started */
	struct loop_timer due, look;
	struct config_files files; /* the loop's */
	bool told;                 /* the last attempt failed */

	/* The thread's while `busy`. */
	bool busy;
	pthread_t thread;
	uint64_t job_content;
	struct config_files job_files;
	int job_result;
	struct error job_why;
	char job_kept[PATH_MAX];
	atomic_bool job_done;
};

/* Members before `proves` are set. */
void known_good_init(struct known_good *known_good);

/* A gateway is started, or begins to read its files again in the same process. `from_copy`: from `running`;
 * it proves nothing then. `started_ms` (CLOCK_BOOTTIME): long ago, it counts only when no file has changed
 * since. */
void known_good_started(struct known_good *known_good, int64_t started_ms, bool from_copy);

/* It is ready, or was found well: the five minutes begin, unless they have begun. */
void known_good_well(struct known_good *known_good);

/* It is suspect: they begin anew with the next known_good_well. */
void known_good_doubted(struct known_good *known_good);

void known_good_gone(struct known_good *known_good);

/* Before the program ends. A copy that is being made is left to itself: nothing else may be called. */
void known_good_finish(struct known_good *known_good);

/* The gateway has refused its files. Returns whether it can be started from a copy: there is one, it says
 * something else than the files, and `running` is made from it. */
bool known_good_prepare(struct known_good *known_good);

/* Are the user's files still those that were refused? They are no more once one of them was written, be it
 * with the same. *broken: they cannot even be read as JSON5. */
bool known_good_is_refused(struct known_good *known_good, bool *broken);

#endif
