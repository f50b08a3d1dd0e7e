#include "process/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define KILOBYTE     1024
#define STATUS_BYTES 4096
#define LEVELS_MAX   64
#define V1_UNLIMITED (UINT64_C(1) << 62)

/* "Key:   123 kB" at the beginning of a line. */
static uint64_t kilobytes_of(const char *text, const char *key)
{
	size_t length = strlen(key);
	uint64_t value;

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && sscanf(line + length, ": %" SCNu64, &value) == 1)
			return value < UINT64_MAX / KILOBYTE ? value * KILOBYTE : 0;
	}
	return 0;
}

int memory_held_by(int pid, struct memory_held *held)
{
	char path[32], text[STATUS_BYTES];
	ssize_t length;

	memset(held, 0, sizeof(*held));
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	length = file_read(AT_FDCWD, path, text, sizeof(text));
	if (length < 0)
		return length == -ENOENT ? -ESRCH : (int)length;
	held->private_bytes = kilobytes_of(text, "RssAnon") + kilobytes_of(text, "VmSwap");
	held->shared_bytes = kilobytes_of(text, "RssShmem");
	return 0;
}

struct machine {
	uint64_t total, available, swap, swap_free;
};

static bool read_machine(struct machine *machine)
{
	char text[STATUS_BYTES];

	if (file_read(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) < 0)
		return false;
	machine->total = kilobytes_of(text, "MemTotal");
	machine->available = kilobytes_of(text, "MemAvailable");
	machine->swap = kilobytes_of(text, "SwapTotal");
	machine->swap_free = kilobytes_of(text, "SwapFree");
	return machine->total > 0;
}

static uint64_t least(uint64_t left, uint64_t right)
{
	return left < right ? left : right;
}

static uint64_t rest(uint64_t limit, uint64_t used)
{
	return limit > used ? limit - used : 0;
}

/* What of the cgroup's memory the kernel could give back: as MemAvailable, the pages of files that nobody
 * used of late, and half of those in use: programs cannot run without theirs. */
static uint64_t reclaimable(const struct cgroup *cgroup, const char *inactive, const char *active)
{
	uint64_t inactive_bytes = 0, active_bytes = 0, slab_bytes = 0;

	cgroup_number(cgroup, "memory.stat", inactive, &inactive_bytes);
	cgroup_number(cgroup, "memory.stat", active, &active_bytes);
	if (!cgroup->is_v1)
		cgroup_number(cgroup, "memory.stat", "slab_reclaimable", &slab_bytes);
	return inactive_bytes + active_bytes / 2 + slab_bytes / 2;
}

/* Returns whether this cgroup has a limit. */
static bool read_v2(const struct cgroup *cgroup, const struct machine *machine, struct memory_limit *limit)
{
	uint64_t most, used, swap_most, swap_used = 0, swap = machine->swap, swap_room = machine->swap_free;

	if (cgroup_number(cgroup, "memory.max", "", &most) < 0 ||
	    cgroup_number(cgroup, "memory.current", "", &used) < 0)
		return false;
	if (cgroup_number(cgroup, "memory.swap.max", "", &swap_most) == 0) {
		cgroup_number(cgroup, "memory.swap.current", "", &swap_used);
		swap = least(swap, swap_most);
		swap_room = least(swap_room, rest(swap_most, swap_used));
	}
	limit->limit_bytes = most + swap;
	limit->room_bytes =
	    least(most, rest(most + reclaimable(cgroup, "inactive_file", "active_file"), used)) + swap_room;
	return true;
}

static bool read_v1(const struct cgroup *cgroup, const struct machine *machine, struct memory_limit *limit)
{
	uint64_t most, used, both_most, both_used, given_back;

	if (cgroup_number(cgroup, "memory.limit_in_bytes", "", &most) < 0 || most >= V1_UNLIMITED ||
	    cgroup_number(cgroup, "memory.usage_in_bytes", "", &used) < 0)
		return false;
	given_back = reclaimable(cgroup, "total_inactive_file", "total_active_file");
	limit->limit_bytes = most + machine->swap;
	limit->room_bytes = least(most, rest(most + given_back, used)) + machine->swap_free;
	if (cgroup_number(cgroup, "memory.memsw.limit_in_bytes", "", &both_most) < 0 ||
	    both_most >= V1_UNLIMITED ||
	    cgroup_number(cgroup, "memory.memsw.usage_in_bytes", "", &both_used) < 0)
		return true;
	limit->limit_bytes = least(limit->limit_bytes, both_most);
	limit->room_bytes = least(limit->room_bytes, rest(both_most + given_back, both_used));
	return true;
}

/* Where memory is counted: version 1 where its controller is mounted so, else version 2. */
static int find_cgroup(int pid, struct cgroup *cgroup)
{
	return cgroup_find(pid, "memory", cgroup) == 0 ? 0 : cgroup_find(pid, NULL, cgroup);
}

void memory_limit_of(int pid, struct memory_limit *limit)
{
	struct memory_limit found = {0};
	struct machine machine = {0};
	struct cgroup cgroup;

	memset(limit, 0, sizeof(*limit));
	if (!read_machine(&machine))
		return;
	limit->limit_bytes = machine.total + machine.swap;
	limit->room_bytes = least(limit->limit_bytes, machine.available + machine.swap_free);
	if (find_cgroup(pid, &cgroup) < 0)
		return;
	for (int level = 0; level < LEVELS_MAX; level++) {
		bool has_limit =
		    cgroup.is_v1 ? read_v1(&cgroup, &machine, &found) : read_v2(&cgroup, &machine, &found);

		if (has_limit && found.room_bytes < limit->room_bytes) {
			*limit = found;
			limit->room_bytes = least(limit->room_bytes, limit->limit_bytes);
			limit->is_cgroup = true;
		}
		if (!cgroup_ascend(&cgroup))
			return;
	}
}

static bool read_kills(struct memory_kills *kills)
{
	return cgroup_number(&kills->cgroup, kills->cgroup.is_v1 ? "memory.oom_control" : "memory.events",
	           "oom_kill", &kills->count) == 0;
}

static bool look_for_kills(void *context, const char *line)
{
	struct memory_kills *kills = context;

	kills->is_known = sscanf(line, "oom_kill %" SCNu64, &kills->count) == 1;
	return !kills->is_known;
}

static void read_machine_kills(struct memory_kills *kills)
{
	memset(kills, 0, sizeof(*kills));
	file_each_line(AT_FDCWD, "/proc/vmstat", look_for_kills, kills);
}

/* The root counts nothing in version 2; in version 1 each counts for itself alone. */
void memory_kills_of(int pid, struct memory_kills *kills)
{
	memset(kills, 0, sizeof(*kills));
	if (find_cgroup(pid, &kills->cgroup) == 0) {
		for (int level = 0; level < LEVELS_MAX; level++) {
			if (read_kills(kills)) {
				kills->is_known = kills->is_own = true;
				return;
			}
			if (kills->cgroup.is_v1 || !cgroup_ascend(&kills->cgroup))
				break;
		}
	}
	read_machine_kills(kills);
}

void memory_kills_again(const struct memory_kills *before, struct memory_kills *kills)
{
	if (!before->is_own) {
		read_machine_kills(kills);
		return;
	}
	*kills = *before;
	kills->is_known = read_kills(kills);
}
