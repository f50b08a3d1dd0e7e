/* The console on its way out: to the file and to the terminal, with our own sentences among its lines. */
#ifndef HOLDFAST_SENTRY_WRITING_H
#define HOLDFAST_SENTRY_WRITING_H

#include "sentry/sentry.h"

#define DRAIN_BYTES_MAX (4 * 1024 * 1024) /* more than the FIFO holds: more would be somebody flooding it */

/* Where it will be written to; nothing is begun before the first console is there. */
void writing_prepare(struct sentry *sentry);

/* One of our sentences; cleaned, and kept until there is somewhere to write it. */
void writing_say(struct sentry *sentry, const char *raw);

/* The gateway's console, or another one: what is left in the one before comes first. `fd` stays the caller's.
 */
void writing_console_came(struct sentry *sentry, int fd);

/* A handover's callback: the console is ours to read. */
void writing_granted(struct handover *handover, bool locked);

/* Writes what there is, for as long as it is given. */
void writing_finish(struct sentry *sentry, int64_t stream_until_ms, int64_t file_until_ms);

#endif
