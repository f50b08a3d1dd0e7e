/* What the files of the failover share. */
#ifndef HOLDFAST_CORE_FAILOVER_STEP_H
#define HOLDFAST_CORE_FAILOVER_STEP_H

#include "core/failover.h"

/* failover_circuit.c */
static inline bool circuit_is_open(const struct failover_circuit *circuit, int64_t now_ms)
{
	return circuit->until_ms > now_ms;
}

static inline bool circuit_is_half_open(const struct failover_circuit *circuit, int64_t now_ms)
{
	return circuit->until_ms != 0 && circuit->until_ms <= now_ms;
}

/* The model's place; a free one, or the one that was unused longest, when it is new. */
struct failover_model *failover_model(struct failover *failover, uint64_t model, int64_t now_ms);
/* NULL: it was forgotten. */
struct failover_model *failover_find_model(struct failover *failover, uint64_t model);

/* Opens the circuits of the report's scope for the attempt under way. */
void failover_open(struct failover *failover, const struct failover_call *call,
    const struct failover_report *report, int64_t now_ms);
/* The attempt proved that its profile works for its model. */
void failover_close(struct failover *failover, const struct failover_call *call, int64_t now_ms);

/* failover_latency.c */
void latency_add(struct failover_latency *latency, int64_t ms);
/* The time in which 99 of 100 had begun to answer; 0: too few are known. */
int64_t latency_p99_ms(struct failover_latency *latency);

#endif
