/* Processes of the running gateway's tree that have outlived their parent: which are there, and which of them
 * may be asked to end. Pure: looks in, decisions out.
 *
 * What an agent left running in the background is somebody's work and is never ended while the gateway lives.
 * Commands of the gateway's own (a one-shot `openclaw ...` whose caller is gone) that used neither CPU nor
 * I/O for ORPHANS_IDLE_MS are asked to end, once each. */
#ifndef HOLDFAST_CORE_ORPHANS_H
#define HOLDFAST_CORE_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

#define ORPHANS_MAX     24
#define ORPHANS_IDLE_MS (15 * 60000)
#define ORPHANS_TELL_MS (10 * 60000)
/* It has grown by so much since it was last told, and by half. */
#define ORPHANS_TELL_BYTES (64 * 1024 * 1024)
/* Longer without a look (the host slept, the sentry was away), and nobody knows what they did meanwhile. */
#define ORPHANS_GAP_MS (3 * 60000)

enum orphan_kind {
	ORPHAN_OWN_COMMAND, /* a command of the gateway's own program */
	ORPHAN_BACKGROUND,  /* anything else: an agent's work */
	ORPHAN_HELPER,      /* a helper process of the gateway itself */
};

struct orphan {
	int32_t pid;
	uint32_t kind;                /* enum orphan_kind */
	uint64_t start_time;          /* clock ticks since boot: field 22 of /proc/PID/stat */
	uint64_t cpu_ticks, io_bytes; /* of it and what is below it */
	uint64_t resident_bytes;      /* of it and what is below it */
	int64_t age_ms;
	char name[24];
};

struct orphans_look {
	uint64_t generation;
	int64_t at_ms;
	uint32_t processes, helpers; /* of the whole tree; of them the gateway's own helpers, with a parent */
	uint64_t tree_bytes;
	uint32_t found; /* orphans there are; more than ORPHANS_MAX are counted and not listed */
	uint64_t found_bytes;
	uint32_t count;
	struct orphan list[ORPHANS_MAX]; /* own commands first */
};

/* Private: since when each has not moved. */
struct orphans {
	uint64_t generation;
	int64_t at_ms;
	uint32_t told; /* how many were there when it was last told, or since then at the least */
	uint64_t told_bytes;
	int64_t told_ms; /* 0: never */
	uint32_t count;
	struct orphan_kept {
		int32_t pid;
		uint64_t start_time, cpu_ticks, io_bytes;
		int64_t still_since_ms;
		bool asked;
	} kept[ORPHANS_MAX];
};

struct orphans_verdict {
	bool tell;      /* they are more, or hold more memory, than when it was told last */
	uint32_t count; /* of those to be asked to end */
	struct {
		int32_t pid;
		uint64_t start_time;
	} end[ORPHANS_MAX];
};

void orphans_init(struct orphans *orphans);

/* `reap_idle`: the setting, and that nobody asked us to leave the gateway alone (pause): whom it keeps from
 * being asked now is asked later. */
void orphans_step(struct orphans *orphans, const struct orphans_look *look, bool reap_idle,
    struct orphans_verdict *verdict);

#endif
