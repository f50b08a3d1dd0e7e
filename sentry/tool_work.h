/* Does what a tool started do any work? Seen from outside: what of the gateway's tree began with the tool or
 * after it, and the CPU time and the I/O of that. The gateway's own helpers are none of it, and no zombies.
 */
#ifndef HOLDFAST_SENTRY_TOOL_WORK_H
#define HOLDFAST_SENTRY_TOOL_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/gateway.h"

#define TOOL_WORK_SLACK_MS 1500 /* one that began so long before counts as well */

struct tool_work {
	int64_t began_ms; /* the tool, CLOCK_BOOTTIME: filled by the caller */

	uint32_t processes;
	uint64_t cpu_ticks; /* with those of the children they have waited for */
	uint64_t io_bytes;  /* read and written; of what may not be seen 0 */
	bool is_partial;    /* the tree is larger than what was looked at: nothing here speaks against it */
};

/* The gateway with this pid and start time, and the instance, which is of the settings. */
struct tool_work_gateway {
	const struct gateway_facts *facts;
	int pid;
	uint64_t start_time, instance;
};

/* Answers for several tools with one walk. A tool that began before another is answered for with what the
 * other one started as well: they cannot be told apart. 0 in all when the gateway is gone. Between two looks
 * less of anything is a movement, too: a process has ended, and what it used is counted nowhere. */
void tool_work_read(const struct tool_work_gateway *gateway, struct tool_work *tools, uint32_t count);

#endif
