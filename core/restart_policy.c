#include "core/restart_policy.h"

#include <string.h>

#define ATTEMPTS_COUNTED_MAX 4096 /* beyond it even a factor near 1 has reached any maximum worth setting */

void restart_history_boot(struct restart_history *history, int64_t now_ms)
{
	if (history->boot_count == RESTART_BOOTS_KEPT) {
		memmove(history->boots_ms, history->boots_ms + 1,
		    sizeof(history->boots_ms) - sizeof(history->boots_ms[0]));
		history->boot_count--;
	}
	history->boots_ms[history->boot_count++] = now_ms;
}

void restart_history_boot_noted(struct restart_history *history, int64_t now_ms)
{
	if (history->boot_count > 0)
		history->boots_ms[history->boot_count - 1] = now_ms;
}

void restart_history_clean_end(struct restart_history *history)
{
	if (history->boot_count > 0)
		history->boot_count--;
}

void restart_history_healthy(
    const struct restart_policy *policy, struct restart_history *history, int64_t healthy_ms)
{
	if (healthy_ms >= policy->reset_after_ms)
		memset(history->attempts, 0, sizeof(history->attempts));
}

int64_t restart_policy_delay(const struct restart_policy *policy, struct restart_history *history,
    enum restart_cause cause, bool was_ready, double chance)
{
	uint32_t attempt = history->attempts[cause];
	double delay = (double)policy->initial_ms, max = (double)policy->max_ms;

	if (attempt < UINT32_MAX)
		history->attempts[cause]++;
	if (attempt == 0 && policy->immediate_first && was_ready)
		return 0;
	/* After an immediate first restart the second is the first to wait. */
	if (attempt > 0 && policy->immediate_first)
		attempt--;
	if (attempt > ATTEMPTS_COUNTED_MAX)
		attempt = ATTEMPTS_COUNTED_MAX;
	for (; attempt > 0 && delay < max; attempt--)
		delay *= policy->factor;
	if (delay > max)
		delay = max;
	delay *= 1 + policy->jitter * (2 * chance - 1);
	return delay < 0 ? 0 : (int64_t)delay;
}

uint32_t restart_policy_boots_counted(
    const struct restart_policy *policy, const struct restart_history *history, int64_t now_ms)
{
	uint32_t counted = 0;

	for (uint32_t i = 0; i < history->boot_count; i++)
		counted += history->boots_ms[i] + policy->boot_window_ms > now_ms;
	return counted;
}

int64_t restart_policy_boot_wait(
    const struct restart_policy *policy, const struct restart_history *history, int64_t now_ms)
{
	uint32_t counted = restart_policy_boots_counted(policy, history, now_ms);
	int64_t frees_ms;

	if (policy->boot_limit == 0 || counted < policy->boot_limit)
		return 0;
	/* The boot whose leaving brings the count below the limit. */
	frees_ms = history->boots_ms[history->boot_count - policy->boot_limit] + policy->boot_window_ms;
	return frees_ms - now_ms;
}
