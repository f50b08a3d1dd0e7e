#include "core/failover_step.h"

/* Bucket 4n+k holds up to 2^n * (1 + k/4) ms. */
static int64_t limit_ms(uint32_t bucket)
{
	return ((int64_t)4 + bucket % 4) << (bucket / 4) >> 2;
}

void latency_add(struct failover_latency *latency, int64_t ms)
{
	uint32_t bucket = 0;

	while (bucket < FAILOVER_LATENCY_BUCKETS - 1 && ms > limit_ms(bucket))
		bucket++;
	latency->counts[bucket]++;
	/* What is known changes with the first ones, and with slow ones. */
	if (latency->total < 100 || ms >= latency->p99_ms || latency->total % 64 == 0)
		latency->p99_ms = -1;
	if (++latency->total < FAILOVER_LATENCY_MAX)
		return;
	latency->p99_ms = -1;
	latency->total = 0;
	for (uint32_t i = 0; i < FAILOVER_LATENCY_BUCKETS; i++) {
		latency->counts[i] /= 2;
		latency->total += latency->counts[i];
	}
}

int64_t latency_p99_ms(struct failover_latency *latency)
{
	uint32_t above = 0;

	if (latency->total < FAILOVER_LATENCY_LEAST)
		return 0;
	if (latency->p99_ms >= 0)
		return latency->p99_ms;
	for (uint32_t i = FAILOVER_LATENCY_BUCKETS; i-- > 0;) {
		above += latency->counts[i];
		if (above * 100 > latency->total) {
			latency->p99_ms = limit_ms(i);
			break;
		}
	}
	return latency->p99_ms;
}
