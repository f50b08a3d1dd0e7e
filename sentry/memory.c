#include "sentry/memory.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "sentry/family.h"

/* Idle, OpenClaw 2026.9.6 and its two helpers use about 1 % of a core. */
#define QUIET_PERMILLE 50
#define FIRST_LOOK_MS  200

static void sample_due(struct loop_timer *timer)
{
	struct memory_sense *sense = timer->context;
	struct memory_look look;

	memory_sense_sample(sense, &look);
	loop_timer_arm(sense->loop, timer, clock_boot_ms() + MEMORY_SAMPLE_MS);
	if (look.tree_bytes > 0)
		sense->looked(sense, &look);
}

void memory_sense_begin(struct memory_sense *sense, const struct message_gateway *gateway)
{
	if (sense->generation == gateway->generation && sense->pid == gateway->pid)
		return;
	memory_sense_watch(sense, false);
	sense->generation = gateway->generation;
	sense->pid = gateway->pid;
	sense->start_time = gateway->start_time;
	sense->at_ms = 0;
	memory_kills_of(sense->pid, &sense->kills);
}

void memory_sense_watch(struct memory_sense *sense, bool on)
{
	bool is_on = sense->timer.due_ms != 0;

	sense->timer.callback = sample_due;
	sense->timer.context = sense;
	/* Not in the way of a program that is just being started. */
	if (on != is_on)
		loop_timer_arm(sense->loop, &sense->timer, on ? clock_boot_ms() + FIRST_LOOK_MS : 0);
}

/* A child that ended takes its ticks away until it is waited for: that is no quiet moment either. */
static bool is_quiet(const struct memory_sense *sense, uint64_t cpu_ticks, int64_t now_ms)
{
	uint64_t ticks_per_second = (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t window_ms = (uint64_t)(now_ms - sense->at_ms);

	return sense->at_ms != 0 && cpu_ticks >= sense->cpu_ticks &&
	       (cpu_ticks - sense->cpu_ticks) * 1000 * 1000 < window_ms * ticks_per_second * QUIET_PERMILLE;
}

void memory_sense_sample(struct memory_sense *sense, struct memory_look *look)
{
	static struct family family;
	struct memory_limit limit;
	struct memory_kills kills;
	uint64_t cpu_ticks;

	*look = (struct memory_look){.generation = sense->generation, .at_ms = clock_boot_ms()};
	/* Before it is seen to be alive, so that its own end is never counted as one before it. */
	memory_kills_of(sense->pid, &kills);
	family_read(&family, sense->pid, sense->start_time, sense->instance);
	if (family.count == 0)
		return;
	look->tree_bytes = family_bytes(&family, FAMILY_ALL);
	memory_limit_of(sense->pid, &limit);
	look->limit_bytes = limit.limit_bytes;
	look->room_bytes = limit.room_bytes;
	look->limit_is_cgroup = limit.is_cgroup;
	cpu_ticks = family_cpu_ticks(&family);
	look->quiet = is_quiet(sense, cpu_ticks, look->at_ms);
	sense->cpu_ticks = cpu_ticks;
	sense->at_ms = look->at_ms;
	if (kills.is_known)
		sense->kills = kills;
	look->oom_kills = kills.count;
}

bool memory_sense_was_killed(
    const struct memory_sense *sense, uint64_t generation, char *line, size_t line_size)
{
	struct memory_kills now;
	struct text text;

	if (generation != sense->generation || !sense->kills.is_known)
		return false;
	memory_kills_again(&sense->kills, &now);
	if (!now.is_known || now.count <= sense->kills.count)
		return false;
	text_init(&text, line, line_size);
	text_add(&text, "the kernel's out-of-memory killer, ");
	if (now.is_own)
		text_addf(&text, "cgroup %s: %s ", cgroup_name(&now.cgroup),
		    now.cgroup.is_v1 ? "memory.oom_control" : "memory.events");
	else
		text_add(&text, "on this machine: /proc/vmstat ");
	text_addf(&text, "oom_kill %" PRIu64 " -> %" PRIu64, sense->kills.count, now.count);
	return true;
}
