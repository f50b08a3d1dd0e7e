/* When may a process be started again? Exponential back-off with jitter, a history of its own for each cause,
 * and a budget of boots for gateways that punish quick restarts. Pure: time and chance come in as values. */
#ifndef HOLDFAST_CORE_RESTART_POLICY_H
#define HOLDFAST_CORE_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum restart_cause {
	RESTART_CRASH,
	RESTART_HANG,
	RESTART_STUCK_SESSIONS,
	RESTART_MEMORY,
	RESTART_CAUSE_COUNT
};

#define RESTART_BOOTS_KEPT 8

struct restart_policy {
	int64_t initial_ms, max_ms, reset_after_ms;
	double factor, jitter; /* jitter 0.2: the delay is stretched by up to a fifth either way */
	bool immediate_first;
	uint32_t boot_limit; /* 0: no budget */
	int64_t boot_window_ms;
};

struct restart_history {
	uint32_t attempts[RESTART_CAUSE_COUNT]; /* restarts since the last reset */
	uint32_t boot_count;
	int64_t boots_ms[RESTART_BOOTS_KEPT]; /* boots without a clean end, oldest first; the newest may be
	                                         running: the latest moment at which the gateway noted it */
};

/* A boot begins. The oldest is forgotten when all places are taken. */
void restart_history_boot(struct restart_history *history, int64_t now_ms);

/* The newest boot has come to its readiness, or has ended before it: the gateway, which counts a boot from
 * when its own code runs, has noted it by now. On a slow machine that is long after it was spawned. */
void restart_history_boot_noted(struct restart_history *history, int64_t now_ms);

/* The newest boot ended cleanly: it does not count. */
void restart_history_clean_end(struct restart_history *history);

/* The process was healthy for so long: after reset_after_ms all back-off is forgotten. */
void restart_history_healthy(
    const struct restart_policy *policy, struct restart_history *history, int64_t healthy_ms);

/* The delay before the next start for this cause, and counts the attempt. `was_ready`: the run that ended had
 * been ready. `chance` is in [0, 1). Never negative, never above max_ms * (1 + jitter). */
int64_t restart_policy_delay(const struct restart_policy *policy, struct restart_history *history,
    enum restart_cause cause, bool was_ready, double chance);

/* Milliseconds until a start would stay within the boot budget; 0: now. */
int64_t restart_policy_boot_wait(
    const struct restart_policy *policy, const struct restart_history *history, int64_t now_ms);

/* How many boots count against the budget now. */
uint32_t restart_policy_boots_counted(
    const struct restart_policy *policy, const struct restart_history *history, int64_t now_ms);

#endif
