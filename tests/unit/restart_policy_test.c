/* When a process may be started again, with exact values. */
#include "core/restart_policy.h"
#include "tests/support/tap.h"

#define EVEN 0.5 /* the chance at which jitter changes nothing */

static const struct restart_policy defaults = {.initial_ms = 1000,
    .max_ms = 2400000,
    .reset_after_ms = 3600000,
    .factor = 2,
    .jitter = 0.2,
    .immediate_first = true,
    .boot_limit = 3,
    .boot_window_ms = 300000};

static int64_t crash(const struct restart_policy *policy, struct restart_history *history, bool was_ready)
{
	return restart_policy_delay(policy, history, RESTART_CRASH, was_ready, EVEN);
}

TEST("after a healthy run the first restart comes at once, then 1 s, 2 s, 4 s, 8 s")
{
	static const int64_t expected_ms[] = {0, 1000, 2000, 4000, 8000};
	struct restart_history history = {0};

	for (int i = 0; i < 5; i++)
		CHECK(crash(&defaults, &history, true) == expected_ms[i]);
}

TEST("a start that never became ready is not repeated at once")
{
	struct restart_history history = {0};

	CHECK(crash(&defaults, &history, false) == 1000);
	CHECK(crash(&defaults, &history, false) == 1000);
	CHECK(crash(&defaults, &history, false) == 2000);
}

TEST("without immediateFirst the first restart waits as well")
{
	struct restart_policy policy = defaults;
	struct restart_history history = {0};

	policy.immediate_first = false;
	CHECK(crash(&policy, &history, true) == 1000);
	CHECK(crash(&policy, &history, true) == 2000);
}

TEST("the wait grows up to the maximum and no further, however often it crashes")
{
	struct restart_history history = {0};
	int64_t delay_ms = 0;

	for (int i = 0; i < 13; i++)
		delay_ms = crash(&defaults, &history, true);
	CHECK(delay_ms == 2048000);
	for (int i = 0; i < 100000; i++)
		delay_ms = crash(&defaults, &history, true);
	CHECK(delay_ms == 2400000);
	history.attempts[RESTART_CRASH] = UINT32_MAX;
	CHECK(crash(&defaults, &history, true) == 2400000);
	CHECK(history.attempts[RESTART_CRASH] == UINT32_MAX);
}

TEST("jitter stretches the wait by up to a fifth either way")
{
	struct restart_history low = {.attempts = {3}}, high = {.attempts = {3}};

	CHECK(restart_policy_delay(&defaults, &low, RESTART_CRASH, true, 0) == 3200);
	CHECK(restart_policy_delay(&defaults, &high, RESTART_CRASH, true, 0.999999) == 4799);
}

TEST("crashes, hangs, stuck sessions and memory are counted apart")
{
	struct restart_history history = {0};

	for (int i = 0; i < 5; i++)
		crash(&defaults, &history, true);

	CHECK(restart_policy_delay(&defaults, &history, RESTART_HANG, true, EVEN) == 0);
	CHECK(restart_policy_delay(&defaults, &history, RESTART_HANG, true, EVEN) == 1000);
	CHECK(restart_policy_delay(&defaults, &history, RESTART_MEMORY, true, EVEN) == 0);
	CHECK(crash(&defaults, &history, true) == 16000);
}

TEST("back-off is forgotten after 60 healthy minutes and not a moment sooner")
{
	struct restart_history history = {0};

	for (int i = 0; i < 4; i++)
		crash(&defaults, &history, true);
	restart_history_healthy(&defaults, &history, 3599999);
	CHECK(crash(&defaults, &history, true) == 8000);
	restart_history_healthy(&defaults, &history, 3600000);
	CHECK(crash(&defaults, &history, true) == 0);
}

TEST("a back-off of 0 never waits")
{
	struct restart_policy policy = defaults;
	struct restart_history history = {0};

	policy.initial_ms = 0;
	for (int i = 0; i < 20; i++)
		CHECK(crash(&policy, &history, false) == 0);
}

TEST("the fourth boot waits until fewer than three of the last five minutes count")
{
	struct restart_history history = {0};

	restart_history_boot(&history, 1000);
	restart_history_boot(&history, 11000);
	CHECK(restart_policy_boot_wait(&defaults, &history, 12000) == 0);
	restart_history_boot(&history, 21000);

	CHECK(restart_policy_boots_counted(&defaults, &history, 22000) == 3);
	CHECK(restart_policy_boot_wait(&defaults, &history, 22000) == 279000);
	CHECK(restart_policy_boot_wait(&defaults, &history, 300999) == 1);
	CHECK(restart_policy_boot_wait(&defaults, &history, 301000) == 0);
	CHECK(restart_policy_boots_counted(&defaults, &history, 301000) == 2);
}

TEST("a boot counts from when the gateway had noted it at the latest")
{
	struct restart_history history = {0};

	for (int i = 0; i < 3; i++) {
		restart_history_boot(&history, 1000 + 60000 * i);
		restart_history_boot_noted(&history, 41000 + 60000 * i);
	}

	CHECK(restart_policy_boot_wait(&defaults, &history, 300000) == 41000);
	restart_history_clean_end(&history);
	CHECK(restart_policy_boot_wait(&defaults, &history, 300000) == 0);
	history.boot_count = 0;
	restart_history_boot_noted(&history, 1000); /* none is on record: nothing to note */
	CHECK(history.boot_count == 0);
}

TEST("a boot that ended cleanly does not count")
{
	struct restart_history history = {0};

	for (int i = 0; i < 10; i++) {
		restart_history_boot(&history, 1000 + i);
		restart_history_clean_end(&history);
	}
	CHECK(restart_policy_boots_counted(&defaults, &history, 2000) == 0);
	restart_history_clean_end(&history);
	CHECK(history.boot_count == 0);
}

TEST("more boots than are kept: the newest decide")
{
	struct restart_history history = {0};

	for (int i = 0; i < 20; i++)
		restart_history_boot(&history, 1000 * (i + 1));
	CHECK(history.boot_count == RESTART_BOOTS_KEPT);
	CHECK(restart_policy_boot_wait(&defaults, &history, 21000) == 18000 + 300000 - 21000);
}

TEST("a gateway without a boot budget never waits for one")
{
	struct restart_policy policy = defaults;
	struct restart_history history = {0};

	policy.boot_limit = 0;
	for (int i = 0; i < 8; i++)
		restart_history_boot(&history, 1000);
	CHECK(restart_policy_boot_wait(&policy, &history, 1000) == 0);
}
