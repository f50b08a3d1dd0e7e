/* Takes looks at a gateway that is up: asks it, listens to its WebSocket, and reads what the kernel shows of
 * it. What a look means is decided elsewhere (core/health.h).
 *
 * Two probes take turns. The standing one is never given up while it goes unanswered: the answer that comes
 * late is the proof that the loop turned. Beside it fresh ones are made as often as looks are wanted, and
 * given up after a second: they stay in the gateway's queue for as long as it accepts nothing, and are
 * counted there. */
#ifndef HOLDFAST_SENTRY_PULSE_H
#define HOLDFAST_SENTRY_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/message.h"
#include "config/settings.h"
#include "core/health.h"
#include "gateway/gateway.h"
#include "http/get.h"
#include "loop/loop.h"
#include "sentry/check.h"

/* One probe under way: the same for all its kinds. */
struct pulse_probe {
	struct pulse *pulse;
	struct http_get get;
	int64_t asked_ms; /* 0: it is not under way */
	bool missed;      /* it is past its deadline, and still waited for */
};

struct pulse {
	struct loop *loop;
	const struct settings *settings;
	const struct gateway_facts *facts;
	/* Adds to a look what others know: the standing WebSocket, the promise of a watchdog. */
	void (*fill)(struct pulse *pulse, struct health_look *look);
	void (*looked)(struct pulse *pulse, const struct health_look *look);
	void *context;

	/* Private. */
	struct loop_timer next, deadline;
	struct pulse_probe standing, fresh;
	struct check check; /* where the settings name a command, or a connection is all that can be tried */
	int64_t pace_ms;    /* 0: no looks are taken */
	int64_t due_ms, interval_ms;
	int64_t unanswered_since_ms; /* the first of those in a row that went unanswered was sent; 0: none */
	int gateway_pid, pid;        /* the process started; the one of its tree that answers */
	uint32_t port;
	uint32_t inspector_port; /* as it said on its console; 0: it has not */
	uint64_t listener_inode, busy_cpu_ms, tree_cpu_ms;
	struct health_look look;
};

/* Members before `next` are set. */
void pulse_init(struct pulse *pulse);

/* Looks at this gateway so often from now on; the first look comes at once when it is another gateway, or one
 * is due. Pace 0: no more. */
void pulse_set(struct pulse *pulse, const struct message_look *wanted);

/* Something happened that cannot wait for the next look: the promise was broken. */
void pulse_look_now(struct pulse *pulse);

void pulse_stop(struct pulse *pulse);

#endif
