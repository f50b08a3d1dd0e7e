/* What the sentry perceives of a gateway that is up, put together: looks, its WebSocket, its promise, what it
 * says of itself, its memory and its orphans, and the autopsy. Each is a file of its own; here they are wired
 * to each other and to the supervisor. */
#ifndef HOLDFAST_SENTRY_SENSES_H
#define HOLDFAST_SENTRY_SENSES_H

#include "gateway/gateway.h"
#include "sentry/abort.h"
#include "sentry/autopsy.h"
#include "sentry/channel_restart.h"
#include "sentry/channels.h"
#include "sentry/link.h"
#include "sentry/memory.h"
#include "sentry/notify.h"
#include "sentry/orphans.h"
#include "sentry/pulse.h"
#include "sentry/sessions.h"
#include "sentry/signs.h"
#include "worker/worker.h"

/* What the inspector says on the console once it is open. */
#define INSPECTOR_PHRASE "Debugger listening on ws://"

struct senses {
	struct worker *worker; /* borrowed */
	const struct gateway_facts *facts;
	/* The last lines of this gateway's console, into `target` of TAIL_BYTES; returns how many bytes. */
	size_t (*last_lines)(struct senses *senses, char *target);
	/* READY=1 of sd_notify(3), more time asked for, and the end begun. */
	void (*ready)(struct senses *senses);
	void (*progress)(struct senses *senses);
	void (*draining)(struct senses *senses, int64_t budget_ms);
	void *context;

	/* Private. */
	struct pulse pulse;
	struct link link;
	struct notify notify;
	struct autopsy autopsy;
	struct signs signs;
	struct memory_sense memory;
	struct orphans_sense orphans;
	struct sessions_sense sessions;
	struct abort_sense abort;
	struct channels_sense channels;
	struct channel_restart channel_restart;
	struct message_gateway gateway; /* looked at; generation 0: none */
	char words_told[160];           /* its own words, as they were last passed on */
	bool speaks_json; /* its start-up probe did: its version is one whose SIGUSR1 opens the inspector */
};

/* Members before `pulse` are set, and the worker's loop and settings. */
void senses_init(struct senses *senses);

/* The gateway is ready, and how its start-up probe spoke. */
void senses_gateway_ready(struct senses *senses, bool speaks_json);
void senses_gateway_gone(struct senses *senses);

/* Looks are wanted so often, or no more. */
void senses_look(struct senses *senses, const struct message_look *look);
void senses_examine(struct senses *senses, const struct message_examine *examine);
void senses_restart_channel(struct senses *senses, const struct message_channel_restart *wanted);

/* One run of one session is to be ended. */
void senses_abort(struct senses *senses, const struct message_abort *wanted);

/* A console line with one of the phrases. */
void senses_line(struct senses *senses, const char *line);

/* Nobody listens to us any more: nothing is asked; what must be drained is drained. */
void senses_rest(struct senses *senses);
/* ... and nothing at all. */
void senses_stop(struct senses *senses);

#endif
