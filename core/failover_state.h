/* The state behind core/failover.h: included by it alone. */
#ifndef HOLDFAST_CORE_FAILOVER_STATE_H
#define HOLDFAST_CORE_FAILOVER_STATE_H

#define FAILOVER_LATENCY_BUCKETS 80   /* four to each doubling, from 1 ms to 12 days */
#define FAILOVER_LATENCY_MAX     1024 /* samples; then all are halved, so that old ones fade */
#define FAILOVER_LATENCY_LEAST   20   /* fewer say nothing of the slowest */

/* How long a model takes to its first content. */
struct failover_latency {
	uint16_t counts[FAILOVER_LATENCY_BUCKETS];
	uint32_t total;
	int64_t p99_ms; /* as it was last worked out; -1: it must be worked out anew */
};

struct failover_model {
	uint64_t model;
	bool used;
	int64_t used_ms;
	struct failover_latency latency;
	struct failover_circuit circuits[FAILOVER_PROFILES_MAX];
};

struct failover_profile {
	struct failover_circuit circuit; /* of the whole profile */
	uint64_t organisation;           /* as its answers said; 0: unknown */
};

struct failover_conversation {
	uint64_t conversation; /* 0: free */
	int64_t used_ms;
	uint32_t profile;
};

struct failover {
	struct failover_settings settings;
	struct failover_profile profiles[FAILOVER_PROFILES_MAX];
	struct failover_model models[FAILOVER_MODELS_MAX];
	uint32_t recent; /* of the models, the one that was last looked for */
	struct failover_conversation conversations[FAILOVER_STICKY_MAX];
	struct failover_change changes[FAILOVER_CHANGES_MAX]; /* a ring */
	uint32_t change_first, change_count;
	uint64_t changes_lost;
};

#endif
