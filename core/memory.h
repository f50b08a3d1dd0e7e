/* Is the gateway on its way to being killed for memory? Pure: samples in, a verdict with its evidence out.
 *
 * Never a fixed number: what counts is the room that is left below the nearest limit (of its cgroup or of the
 * machine), how fast it shrinks, and whether it is the gateway's tree that takes it. It is short of memory
 * when
 *
 * - its tree grows steadily: through the last looks without a pause and above everything seen before, or over
 *   the whole time that is remembered, quarter for quarter. A jump to a plateau is neither, nor is the
 * sawtooth of a garbage collector;
 * - the room shrinks with it, and at least half of what is lost went to the tree. What others take from the
 *   machine is not the gateway's fault, and a restart would not give it back;
 * - and the end is near: less than 15 % of the limit is left, and at this pace it is gone within 5 min; or
 *   almost nothing is left, the tree holds most of what is used, and it is gone within 15 min.
 *
 * Short, it is condemned in a quiet moment; or without one, when what is left would not last for the drain
 * (60 s) and until the next look (30 s). */
#ifndef HOLDFAST_CORE_MEMORY_H
#define HOLDFAST_CORE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* One sample, every 30 s; times are CLOCK_BOOTTIME in ms. Bytes; 0 where it cannot be seen. */
struct memory_look {
	uint64_t generation;
	int64_t at_ms;
	uint64_t tree_bytes;  /* of the gateway and its descendants, what the kernel could not simply drop:
	                       * anonymous,  shared (once) and swapped */
	uint64_t limit_bytes; /* the nearest limit above it: of a cgroup, or the machine's memory and swap */
	uint64_t room_bytes;  /* left below that limit, counting what the kernel could give back */
	uint32_t limit_is_cgroup;
	uint32_t quiet;     /* nothing seems to be under way in the gateway just now */
	uint64_t oom_kills; /* that the kernel has made so far, where the gateway is counted */
};

enum memory_state {
	MEMORY_WELL,
	MEMORY_SHORT,     /* on its way; told, and a quiet moment is waited for */
	MEMORY_CONDEMNED, /* now: a quiet moment, or no time left to wait for one */
};

struct memory_verdict {
	enum memory_state state;
	bool changed;
	uint64_t tree_bytes, limit_bytes, room_bytes;
	int64_t growth_per_minute; /* bytes of its tree; less than 0: it shrinks */
	int64_t left_ms; /* until nothing is left, if it goes on so; INT64_MAX: it does not grow steadily */
};

#define MEMORY_LOOKS_MAX 64

/* Private. */
struct memory {
	uint64_t generation;
	enum memory_state state;
	uint32_t count;  /* of looks kept, oldest first */
	uint32_t better; /* looks in a row that gave no reason for the state */
	struct memory_look looks[MEMORY_LOOKS_MAX];
};

void memory_init(struct memory *memory);

/* One look. A new generation or another limit begins anew; a look that says nothing changes nothing. */
void memory_step(struct memory *memory, const struct memory_look *look, struct memory_verdict *verdict);

#endif
