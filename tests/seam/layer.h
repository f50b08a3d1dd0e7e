/* What the seam's layer and a test share: one file, mapped by both, named by WORLD_PLAN. The test writes the
 * plan; the layer counts the calls of each place in the code, keeps a trace of all of them, and does what the
 * plan says at the one call it names. It lives through executions and lives: so do the counts.
 *
 * tests/support/seam.py reads and writes the same layout. */
#ifndef HOLDFAST_TESTS_SEAM_LAYER_H
#define HOLDFAST_TESTS_SEAM_LAYER_H

#include <stdint.h>

#define LAYER_MAGIC       0x6d61657364657068ULL
#define LAYER_CALLS_MAX   96
#define LAYER_NAME_BYTES  24
#define LAYER_PLACES_MAX  8192  /* a power of two */
#define LAYER_ENTRIES_MAX 65536 /* a power of two; the newest are kept */

/* Who calls: the number of a program, and more of what it is. */
#define LAYER_TRIAL   32 /* added: it runs on a copy of the state (`holdfast upgrade`) */
#define LAYER_SPAWNED 64 /* added: between its being cloned and the program it is to execute */

enum layer_action {
	LAYER_NOTHING,
	LAYER_KILL_BEFORE,
	LAYER_KILL_AFTER,
	LAYER_FAIL,
	LAYER_FAIL_ON,            /* and all later calls of the place */
	LAYER_KILL_PARENT_BEFORE, /* whoever calls goes on without its parent */
	LAYER_KILL_PARENT_AFTER,
};

struct layer_plan {
	uint64_t place;  /* an address in the program, as its symbol table counts */
	uint32_t caller; /* 0: no plan */
	uint32_t nth;    /* from 1 on, of the calls of this place by this caller */
	uint32_t action;
	int32_t error;
	uint32_t fired; /* how often it was done */
	int32_t fired_pid;
};

struct layer_place {
	uint64_t key; /* caller and address; 0: free */
	uint32_t count, reserved;
};

struct layer_entry {
	uint64_t place;
	uint32_t nth;
	int32_t pid;
	uint16_t call, caller;
	uint32_t order; /* 1 + its index of all; 0: never written */
};

struct layer_file {
	uint64_t magic;
	uint32_t call_count, entry_count; /* of entries: of all ever written */
	struct layer_plan plan;
	char call_names[LAYER_CALLS_MAX][LAYER_NAME_BYTES];
	struct layer_place places[LAYER_PLACES_MAX];
	struct layer_entry entries[LAYER_ENTRIES_MAX];
};

#endif
