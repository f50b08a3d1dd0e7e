/* What a generic gateway says of itself by sd_notify(3), and the promise that it makes there: once it has
 * said READY=1 or WATCHDOG=1, a WATCHDOG=1 comes at least so often.
 *
 * The supervisor makes the socket and hands it over; only the gateway's own process and its descendants are
 * heard. Whatever it runs inherits NOTIFY_SOCKET: what might have it ended (STOPPING=1, WATCHDOG=trigger ...)
 * counts only from its own process and from the one that speaks for it: the first that said READY=1 or
 * WATCHDOG=1, and when that one has ended, the next.
 *
 * What must not be forgotten when this process dies (that it is ready, what it promised) lies in a small file
 * in the runtime directory. Nothing is decided here. */
#ifndef HOLDFAST_SENTRY_NOTIFY_H
#define HOLDFAST_SENTRY_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/message.h"
#include "config/settings.h"
#include "loop/loop.h"
#include "sentry/notify_words.h"

#define NOTIFY_STRAYS_MAX 8

/* What is kept over our own death. */
struct notify_memory {
	uint32_t magic, version;
	uint64_t generation, start_time;
	int32_t pid;
	bool is_ready, is_promised, is_reloading, is_stopping;
	int64_t interval_ms; /* 0: nothing is promised */
	int64_t speaker_pid; /* who said READY=1 or WATCHDOG=1, until it ends; 0: nobody */
	uint64_t speaker_start_time;
	uint64_t sum; /* of all before it */
};

struct notify {
	struct loop *loop;
	const struct settings *settings;
	/* READY=1 came from the gateway, also the second time. */
	void (*ready)(struct notify *notify);
	/* It asked for more time: said at once and every few seconds until that time is over. */
	void (*extended)(struct notify *notify);
	/* STOPPING=1; or, while it stops, more time was asked for. */
	void (*stopping)(struct notify *notify, int64_t budget_ms);
	/* A WATCHDOG=1 that was promised did not come. Said again, at least every second, until one comes. */
	void (*missed)(struct notify *notify);
	void *context;

	/* Private. */
	struct loop_source source; /* the socket is ours; fd -1: none */
	struct loop_timer due, extension, again;
	struct notify_memory memory; /* generation 0: there is no gateway */
	bool is_overdue;
	bool is_triggered;  /* it asked for that itself: no WATCHDOG=1 takes it back */
	uint32_t postponed; /* so often in a row because we were late ourselves */
	int64_t due_ms;
	int64_t heard_ms; /* when the last sign came, or the promise began; 0: never */
	int64_t extended_until_ms;
	char status[NOTIFY_STATUS_MAX];
	/* Said by somebody who is not of the gateway we know: the next one may be quicker than the word of
	 * it. */
	struct {
		int pid; /* 0: none */
		struct notify_words words;
	} strays[NOTIFY_STRAYS_MAX];
	uint32_t stray_count;
};

/* Members before `source` are set. */
void notify_init(struct notify *notify);

/* The socket, or another one in its place; takes `fd`. */
void notify_take(struct notify *notify, int fd);

/* A new gateway, or the one that we know, said again. */
void notify_gateway_started(struct notify *notify, const struct message_gateway *gateway);
void notify_gateway_gone(struct notify *notify);

/* It is up, as the supervisor knows: it has said READY=1, should nobody remember that. Returns whether it is.
 */
bool notify_gateway_is_up(struct notify *notify, uint64_t generation);

/* Whether this gateway has said READY=1; or it has run for so long that nobody can know any more. */
bool notify_is_ready(const struct notify *notify, uint64_t generation);

/* Whether this gateway has said STOPPING=1, and no READY=1 since. */
bool notify_is_stopping(const struct notify *notify, uint64_t generation);

/* It promised, and did not keep it. */
bool notify_is_overdue(const struct notify *notify);

/* The members of a look that come from here: the promise, and whether it reloads. */
void notify_look(const struct notify *notify, struct health_look *look);

/* Its STATUS=; "" none. */
const char *notify_status(const struct notify *notify);

/* No more is read. What waits in the socket is the next reader's. */
void notify_stop(struct notify *notify);

#endif
