/* What the gateway says of itself while it runs: slow listeners and a late event loop on its console, figures
 * in the answer of its readiness probe. They become events and figures; nothing is done because of them. */
#ifndef HOLDFAST_SENTRY_SIGNS_H
#define HOLDFAST_SENTRY_SIGNS_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/message.h"
#include "gateway/gateway.h"
#include "http/get.h"
#include "loop/loop.h"

#define SIGNS_KINDS_MAX 4

struct signs {
	struct loop *loop;
	const struct gateway_facts *facts;
	/* Each kind at most every SIGNS_AGAIN_MS; what came meanwhile is counted in the next. */
	void (*found)(struct signs *signs, const struct message_finding *finding);
	/* The figures may have changed. */
	void (*changed)(struct signs *signs);
	void *context;

	/* To be read. */
	struct message_figures figures;

	/* Private. */
	struct http_get get;
	struct loop_timer next;
	int64_t interval_ms; /* 0: off */
	uint32_t port;
	bool was_degraded;
	struct {
		int64_t told_ms;
		uint32_t untold;
	} kinds[SIGNS_KINDS_MAX];
};

/* Members before `figures` are set. */
void signs_init(struct signs *signs);

/* The gateway is up: its readiness probe is asked so often, where it has one. */
void signs_start(struct signs *signs, uint64_t generation, uint32_t port, int64_t interval_ms);
void signs_stop(struct signs *signs);

/* A console line without colours. */
void signs_line(struct signs *signs, const char *line);

/* Reads the answer of the readiness probe into *figures. For tests: pure. Returns whether it was one;
 * *degraded: the gateway itself calls its event loop degraded. */
bool signs_read_ready(const char *body, size_t length, struct message_figures *figures, bool *degraded);

#endif
