/* Which session has which place: keys in, places 0 ... SESSIONS_MAX-1 out. Bounded: when all places are
 * taken, the idle session that was touched longest ago leaves; one that runs never does.
 *
 * Pure, and without allocation. What is kept of a session is kept by whoever uses the table, in arrays by
 * place. */
#ifndef HOLDFAST_CORE_SESSION_TABLE_H
#define HOLDFAST_CORE_SESSION_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define SESSIONS_MAX    4096
#define SESSION_KEY_MAX 192 /* with its NUL; a session with a longer key is not followed, and counted */

/* All zero is an empty table. */
struct session_table {
	uint32_t count;
	uint32_t used;                /* places that were ever taken: the others were never touched */
	uint64_t left;                /* idle ones that made room for others */
	uint64_t refused;             /* no place was to be had: every session runs */
	uint16_t first[SESSIONS_MAX]; /* by hash: a place + 1, 0: none */
	struct session_place {
		uint64_t hash;
		int64_t touched_ms;
		uint16_t next; /* of the same hash, as in `first` */
		bool is_taken, runs;
		char key[SESSION_KEY_MAX];
	} places[SESSIONS_MAX];
};

/* Returns the session's place, or -1. */
int session_table_find(const struct session_table *table, const char *key);

/* Returns the session's place, which may be a new one (*is_new); -1 when the key is empty or too long, or
 * none is to be had. Whatever the caller keeps at a new place is of another session, and is for the caller to
 * clear. */
int session_table_add(struct session_table *table, const char *key, int64_t now_ms, bool *is_new);

/* It was seen; `runs`: it may not leave. */
void session_table_touch(struct session_table *table, int place, int64_t now_ms, bool runs);

void session_table_remove(struct session_table *table, int place);

/* All of them leave, uncounted. */
void session_table_clear(struct session_table *table);

#endif
