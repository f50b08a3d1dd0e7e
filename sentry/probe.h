/* The start-up probe: when is a gateway that was started really up, and does it move until then? */
#ifndef HOLDFAST_SENTRY_PROBE_H
#define HOLDFAST_SENTRY_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "channel/message.h"
#include "config/settings.h"
#include "gateway/gateway.h"
#include "http/get.h"
#include "loop/loop.h"
#include "sentry/activity.h"

/* What the gateway's port said, from "nothing" to "up". */
enum probe_answer {
	PROBE_NOTHING,  /* not asked yet */
	PROBE_REFUSED,  /* nothing listens */
	PROBE_SILENT,   /* connected, but no answer in time */
	PROBE_NONSENSE, /* it takes connections, but speaks no HTTP: broken, or TLS */
	PROBE_FOREIGN,  /* a process that is not of this gateway answers */
	PROBE_NOT_YET,  /* it says that it is starting, or draining */
	PROBE_TURNING,  /* it answers, but has no start-up probe to say more */
	PROBE_STARTED,
};

struct probe {
	struct loop *loop;
	const struct settings *settings;
	const struct gateway_facts *facts;
	const uint64_t *console_bytes; /* all that ever came on the console */
	void (*ready)(struct probe *probe, uint64_t generation, const char *proof);
	void (*progress)(struct probe *probe, uint64_t generation);
	void *context;

	/* To be read in `ready`: whether it answered, or there was only nothing to be asked. */
	bool proved;

	/* Private. */
	struct http_get get;
	struct loop_timer next, look;
	uint64_t generation;
	int pid;
	uint32_t port; /* 0: none */
	bool probing, rewatching, heard_listening, speaks_json, answer_changed, said_otherwise;
	enum probe_answer answer;
	unsigned status;
	char said[32]; /* the "status" of the last JSON answer */
	int64_t began_ms, asked_ms, turning_since_ms, wordless_since_ms;
	struct activity activity;
	uint64_t seen_console_bytes;
};

/* Members before `get` are set. */
void probe_init(struct probe *probe);

/* Begins anew for this gateway. */
void probe_start(struct probe *probe, const struct message_gateway *gateway);

/* The gateway, which is up, drains by itself and may start again in the same process: `ready` will be said
 * again, by what is asked or by its READY=1. */
void probe_drain_began(struct probe *probe, uint64_t generation, int pid, uint32_t port);

/* The console line came by which versions without a start-up probe say that they serve; it may come before
 * probe_start is called. */
void probe_heard_listening(struct probe *probe);

/* It said READY=1: that counts where there is nothing to ask (health.readyPath "notify" or ""), and after a
 * drain. */
void probe_heard_ready(struct probe *probe);

void probe_stop(struct probe *probe);

/* Stops, and forgets what that gateway said. */
void probe_gateway_gone(struct probe *probe);

/* Reads the answer to GET startup_path. For tests: pure. `said` holds 32 bytes. */
enum probe_answer probe_read_answer(
    const struct gateway_facts *facts, unsigned status, const char *body, size_t body_length, char *said);

#endif
