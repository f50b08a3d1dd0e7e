/* gateway.configFallback in the sentry: keeps the configuration with which the gateway is well, makes it
 * ready for a start when the gateway refuses its own, and says when that is valid again. */
#ifndef HOLDFAST_SENTRY_FALLBACK_H
#define HOLDFAST_SENTRY_FALLBACK_H

#include "sentry/known_good.h"
#include "sentry/validate.h"
#include "worker/worker.h"

struct fallback {
	struct worker *worker;
	struct known_good known_good;
	struct validate validate;
	uint64_t generation; /* of the gateway that runs, or ran last */
	bool from_copy;      /* that gateway was started from the copy */
	bool broken;         /* the files that are being validated are no JSON5 */
};

/* `fallback` is all zero. */
void fallback_init(struct fallback *fallback, struct worker *worker, const struct gateway_facts *facts);

/* A gateway is there; perhaps it has been for long. */
void fallback_started(struct fallback *fallback, const struct message_gateway *gateway);

/* It restarts in its own process, and reads its files again. */
void fallback_restarts(struct fallback *fallback);

/* It is looked at so often: more often than the settings say, or not at all, while something speaks against
 * its health. */
void fallback_look(struct fallback *fallback, int64_t pace_ms);
void fallback_gone(struct fallback *fallback);

/* It has ended, perhaps because it refuses its files: can it be started from a copy? */
bool fallback_prepare(struct fallback *fallback);

/* Answers MESSAGE_VALIDATE. */
void fallback_validate(struct fallback *fallback);

void fallback_finish(struct fallback *fallback);

#endif
