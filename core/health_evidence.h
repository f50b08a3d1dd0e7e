/* What a look says for and against the gateway, measured against where the counters stood 15 to 30 s ago.
 * Inside of core/health. */
#ifndef HOLDFAST_CORE_HEALTH_EVIDENCE_H
#define HOLDFAST_CORE_HEALTH_EVIDENCE_H

#include "core/health.h"

/* Measures from the last look that was added. */
void evidence_begin(struct health *health);

/* Takes the look into account: marks older than needed are left behind. */
void evidence_add(struct health *health, const struct health_look *look);

/* Whether something has been measured long enough to be judged by. */
bool evidence_suffices(const struct health *health);

/* Fill the shares of `verdict` and return WITNESS_... other than _UNANSWERED, and the HELD_... that are
 * postponements. `look` is the one that was added last, health->last the one before; the witnesses come
 * first. */
uint32_t evidence_witnesses(
    const struct health *health, const struct health_look *look, struct health_verdict *verdict);
uint32_t evidence_postpones(
    const struct health *health, const struct health_look *look, struct health_verdict *verdict);

/* The WebSocket has promised a frame, and it is overdue; or is not due yet. */
bool evidence_tick_overdue(const struct health *health, const struct health_look *look);
bool evidence_tick_pending(const struct health *health, const struct health_look *look);

#endif
