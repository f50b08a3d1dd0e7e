#include "sentry/tool_work.h"

#include <unistd.h>

#include "sentry/activity.h"
#include "sentry/family.h"
#include "sentry/orphans.h"

static int64_t start_ms(const struct relative *relative)
{
	return (int64_t)(relative->start_time * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static bool is_of(const struct tool_work *tool, int64_t started_ms)
{
	return started_ms >= tool->began_ms - TOOL_WORK_SLACK_MS;
}

static void add(struct tool_work *tools, uint32_t count, const struct relative *relative)
{
	uint64_t io_bytes = activity_io_bytes(relative->pid);

	for (uint32_t i = 0; i < count; i++) {
		if (!is_of(&tools[i], start_ms(relative)))
			continue;
		tools[i].processes++;
		tools[i].cpu_ticks += relative->cpu_ticks;
		tools[i].io_bytes += io_bytes;
	}
}

static bool is_of_any(const struct tool_work *tools, uint32_t count, const struct relative *relative)
{
	for (uint32_t i = 0; i < count; i++)
		if (is_of(&tools[i], start_ms(relative)))
			return true;
	return false;
}

void tool_work_read(const struct tool_work_gateway *gateway, struct tool_work *tools, uint32_t count)
{
	static struct family family;

	for (uint32_t i = 0; i < count; i++)
		tools[i] = (struct tool_work){.began_ms = tools[i].began_ms};
	family_read(&family, gateway->pid, gateway->start_time, gateway->instance);
	for (uint32_t i = 0; i < count; i++)
		tools[i].is_partial = family.processes > family.count;
	for (uint32_t i = 0; i < family.count; i++) {
		const struct relative *relative = &family.list[i];

		if (relative->pid != gateway->pid && is_of_any(tools, count, relative) &&
		    orphan_kind_of_process(gateway->facts, gateway->pid, relative->pid) != ORPHAN_HELPER)
			add(tools, count, relative);
	}
}
