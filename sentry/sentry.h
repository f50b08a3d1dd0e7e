/* The sentry: the supervisor's senses. It drains the gateway's console, reads the gateway's last words, tells
 * when a started gateway is ready, and when its configuration changes. It decides nothing, and it never makes
 * the gateway wait. Left alone by its supervisor it goes on draining for as long as the gateway lives. */
#ifndef HOLDFAST_SENTRY_SENTRY_H
#define HOLDFAST_SENTRY_SENTRY_H

#include "gateway/gateway.h"
#include "sentry/console.h"
#include "sentry/fallback.h"
#include "sentry/handover.h"
#include "sentry/logfile.h"
#include "sentry/probe.h"
#include "sentry/ring.h"
#include "sentry/senses.h"
#include "sentry/sink.h"
#include "sentry/stream.h"
#include "sentry/watch.h"
#include "worker/worker.h"

#define SENTRY_NOTES_MAX 16

/* One of our sentences that came before the console did. */
struct sentry_note {
	int64_t real_ms;
	char text[MESSAGE_TEXT_MAX];
};

/* One gateway's lines on the console: positions as in struct tail. */
struct sentry_range {
	uint64_t generation; /* 0: none */
	uint64_t begin, end; /* end UINT64_MAX: it is not gone yet */
};

struct sentry {
	struct worker worker;
	const struct gateway_facts *facts;

	struct console console;
	struct ring ring;
	struct sink file_sink, stream_sink;
	bool has_sinks; /* ring and sinks are ready: from the first console on */
	struct logfile logfile;
	struct stream stream;
	struct probe probe;
	struct watch watch;
	struct handover handover;
	struct senses senses;
	struct fallback fallback;

	struct sentry_range current, previous;
	uint64_t boundary; /* where the next gateway's lines begin */
	int pid;           /* of the current gateway */
	uint32_t port;     /* it was started with this one; 0: none known */
	struct sentry_note notes[SENTRY_NOTES_MAX];
	int note_count;
	struct message_drain drain_told;
	int64_t drain_told_ms;
	uint64_t ready_generation; /* the last one that became ready; 0: none */
};

/* `sentry` is all zero and lives as long as the program. Returns 0 or a negative errno with *why. */
int sentry_init(struct sentry *sentry, struct error *why);

/* Runs until told to finish. Returns the exit code. */
int sentry_run(struct sentry *sentry);

#endif
