/* What a program says in one sd_notify(3) datagram. Pure. */
#ifndef HOLDFAST_SENTRY_NOTIFY_WORDS_H
#define HOLDFAST_SENTRY_NOTIFY_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTIFY_DATAGRAM_MAX 4096
#define NOTIFY_STATUS_MAX   160
#define NOTIFY_TIME_MAX_MS  (24 * 60 * 60 * 1000LL)

enum {
	NOTIFY_READY = 1 << 0,     /* READY=1 */
	NOTIFY_STOPPING = 1 << 1,  /* STOPPING=1 */
	NOTIFY_RELOADING = 1 << 2, /* RELOADING=1 */
	NOTIFY_ALIVE = 1 << 3,     /* WATCHDOG=1 */
	NOTIFY_TRIGGER = 1 << 4,   /* WATCHDOG=trigger: it asks to be treated as if it had missed one */
	NOTIFY_INTERVAL = 1 << 5,  /* WATCHDOG_USEC=: watchdog_ms */
	NOTIFY_EXTENSION = 1 << 6, /* EXTEND_TIMEOUT_USEC=: extension_ms */
	NOTIFY_STATUS = 1 << 7,    /* STATUS=: status */
};

struct notify_words {
	uint32_t said;                  /* NOTIFY_... */
	int64_t watchdog_ms;            /* rounded up; 0: no promise any more, as for one longer than a day */
	int64_t extension_ms;           /* rounded up; at most a day */
	char status[NOTIFY_STATUS_MAX]; /* printable UTF-8, cut */
};

/* Reads the lines of a datagram; what is unknown or malformed is passed over line by line. Returns false, and
 * nothing is said, when it is no text at all: empty, too long, or with a NUL elsewhere than at its end. */
bool notify_read(const char *bytes, size_t length, struct notify_words *words);

#endif
