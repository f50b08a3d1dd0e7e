#include "core/session_table.h"

#include <string.h>

#include "base/hash.h"

static uint32_t bucket_of(uint64_t hash)
{
	return (uint32_t)(hash ^ hash >> 32) % SESSIONS_MAX;
}

int session_table_find(const struct session_table *table, const char *key)
{
	uint64_t hash = hash_bytes(key, strlen(key));

	for (uint16_t at = table->first[bucket_of(hash)]; at != 0; at = table->places[at - 1].next) {
		const struct session_place *place = &table->places[at - 1];

		if (place->hash == hash && strcmp(place->key, key) == 0)
			return at - 1;
	}
	return -1;
}

/* The one that was idle longest; -1: every session runs. */
static int oldest_idle(const struct session_table *table)
{
	int oldest = -1;

	for (int i = 0; i < SESSIONS_MAX; i++) {
		const struct session_place *place = &table->places[i];

		if (!place->runs && (oldest < 0 || place->touched_ms < table->places[oldest].touched_ms))
			oldest = i;
	}
	return oldest;
}

static int free_place(struct session_table *table)
{
	int place;

	if (table->used < SESSIONS_MAX)
		return (int)table->used++;
	for (int i = 0; table->count < SESSIONS_MAX && i < SESSIONS_MAX; i++)
		if (!table->places[i].is_taken)
			return i;
	place = oldest_idle(table);
	if (place < 0) {
		table->refused++;
		return -1;
	}
	session_table_remove(table, place);
	table->left++;
	return place;
}

int session_table_add(struct session_table *table, const char *key, int64_t now_ms, bool *is_new)
{
	size_t length = strnlen(key, SESSION_KEY_MAX);
	int place = length > 0 && length < SESSION_KEY_MAX ? session_table_find(table, key) : -1;
	struct session_place *target;
	uint16_t *first;

	*is_new = false;
	if (place >= 0)
		return place;
	if (length == 0 || length == SESSION_KEY_MAX) {
		table->refused++;
		return -1;
	}
	place = free_place(table);
	if (place < 0)
		return -1;
	*is_new = true;
	target = &table->places[place];
	*target =
	    (struct session_place){.hash = hash_bytes(key, length), .touched_ms = now_ms, .is_taken = true};
	memcpy(target->key, key, length + 1);
	first = &table->first[bucket_of(target->hash)];
	target->next = *first;
	*first = (uint16_t)(place + 1);
	table->count++;
	return place;
}

void session_table_touch(struct session_table *table, int place, int64_t now_ms, bool runs)
{
	table->places[place].touched_ms = now_ms;
	table->places[place].runs = runs;
}

void session_table_remove(struct session_table *table, int place)
{
	struct session_place *gone = &table->places[place];
	uint16_t *link = &table->first[bucket_of(gone->hash)];

	if (!gone->is_taken)
		return;
	while (*link != place + 1)
		link = &table->places[*link - 1].next;
	*link = gone->next;
	*gone = (struct session_place){0};
	table->count--;
}

void session_table_clear(struct session_table *table)
{
	memset(table->first, 0, sizeof(table->first));
	memset(table->places, 0, table->used * sizeof(table->places[0]));
	table->count = table->used = 0;
}
