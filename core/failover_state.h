/* The state behind core/failover.h: included by it alone. */
#ifndef HOLDFAST_CORE_FAILOVER_STATE_H
#define HOLDFAST_CORE_FAILOVER_STATE_H

struct failover_model {
	uint64_t model; /* 0: free */
	int64_t used_ms;
	struct failover_circuit circuits[FAILOVER_PROFILES_MAX];
};

struct failover_profile {
	struct failover_circuit circuit; /* of the whole profile */
	uint64_t organisation;           /* as its answers said; 0: unknown */
};

struct failover {
	struct failover_settings settings;
	struct failover_profile profiles[FAILOVER_PROFILES_MAX];
	struct failover_model models[FAILOVER_MODELS_MAX];
};

#endif
