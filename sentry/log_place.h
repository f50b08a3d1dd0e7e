/* Where an OpenClaw gateway's own log file can be (read in the code of 2026.2.1 and 2026.9.6).
 *
 * A name with a date is one of a family, of which there is a file for each day: openclaw-DATE.log, or
 * openclaw-PROFILE-DATE.log of a profile (2026.9.6). It lies in /tmp/openclaw; 2026.9.6 takes
 * TMPDIR/openclaw-UID instead where that directory is not safely its own. The day is the gateway's local one,
 * which need not be ours: the latest day that has a file counts. */
#ifndef HOLDFAST_SENTRY_LOG_PLACE_H
#define HOLDFAST_SENTRY_LOG_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/token.h"

#define LOG_FAMILY_MAX     256
#define LOG_CANDIDATES_MAX 7

struct log_place {
	char fixed[PATH_MAX];          /* a file by that name; "": none */
	char family[LOG_FAMILY_MAX];   /* "openclaw", "openclaw-PROFILE"; "": none */
	char directories[2][PATH_MAX]; /* of the family, the preferred one first; "": none */
};

struct log_candidate {
	char path[PATH_MAX];
	bool is_of_family; /* others may write to its directory: no link is followed */
};

/* The file of that name and, when the name has a date, its family. `path` is absolute. */
void log_place_named(struct log_place *place, const char *path);

/* Where a gateway logs whose configuration says nothing. `preferred` is /tmp/openclaw, but for tests. */
void log_place_default(struct log_place *place, const struct settings *settings,
    const struct token_environment *environment, const char *preferred);

/* The candidates at that moment, the one that is to be taken before all others first. Returns how many. */
uint32_t log_place_candidates(
    const struct log_place *place, int64_t real_ms, struct log_candidate list[LOG_CANDIDATES_MAX]);

#endif
