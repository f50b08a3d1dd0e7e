/* Looks at the gateway's channels: over the standing link it is asked what it says of them itself
 * (channels.status, without probes of its own: 8 ms of 2026.9.6, once a minute). */
#ifndef HOLDFAST_SENTRY_CHANNELS_H
#define HOLDFAST_SENTRY_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "core/channels.h"
#include "sentry/link.h"

#define CHANNELS_PROTOCOL_WITH_LADDER 4 /* OpenClaw's, from 2026.9 on */

struct channels_sense {
	/* Set by the owner before channels_sense_init; all borrowed. */
	struct loop *loop;
	const struct settings *settings;
	struct link *link;
	void (*looked)(struct channels_sense *sense, const struct channel_look *look);
	/* An answer cannot be read, for the first time of this gateway. */
	void (*puzzled)(struct channels_sense *sense);
	void *context;

	/* To be read. */
	uint64_t wrong; /* answers, or parts of them, that were none; nothing is done because of them */

	/* Private. */
	struct loop_timer timer;
	uint64_t generation, puzzled_generation;
	int64_t asked_ms, quick_until_ms;
	bool asking;
};

void channels_sense_init(struct channels_sense *sense);

/* Looks at this gateway's channels once in two intervals of health looks; or no more. */
void channels_sense_watch(struct channels_sense *sense, uint64_t generation, bool on);

/* ... and the link is stopped, which forgets what was asked. */
void channels_sense_stop(struct channels_sense *sense);

/* One of them is being restarted: for a while it is looked at more often. */
void channels_sense_hurry(struct channels_sense *sense);

/* Reads the answer to channels.status into at most `max` looks, of which channel, account, what is said and
 * has_ladder are filled; returns how many. *wrong counts what is not as it should be. For tests: pure. */
uint32_t channels_read(const struct json_document *document, const struct json_value *payload,
    bool has_ladder, struct channel_look *looks, uint32_t max, uint64_t *wrong);

#endif
