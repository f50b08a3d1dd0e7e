/* Keys in, places out: bounded, and whoever runs stays. */
#include "core/session_table.h"
#include "tests/support/tap.h"

static struct session_table table;
static bool is_new;

static int add(uint32_t number, int64_t at_ms)
{
	char key[32];

	snprintf(key, sizeof(key), "agent:main:%u", number);
	return session_table_add(&table, key, at_ms, &is_new);
}

static int find(uint32_t number)
{
	char key[32];

	snprintf(key, sizeof(key), "agent:main:%u", number);
	return session_table_find(&table, key);
}

static void fill(void)
{
	memset(&table, 0, sizeof(table));
	for (uint32_t i = 0; i < SESSIONS_MAX; i++)
		add(i, 1000 + i);
}

TEST("a session has one place, and keeps it")
{
	int first;

	memset(&table, 0, sizeof(table));
	first = add(1, 10);
	CHECK(first == 0 && is_new);
	CHECK(add(2, 20) == 1 && is_new);
	CHECK(add(1, 30) == first && !is_new);
	CHECK(find(1) == 0 && find(2) == 1 && find(3) == -1);
	CHECK(table.count == 2 && table.used == 2);
}

TEST("no key, and one that is too long, are refused and counted; the longest that fits is not")
{
	char key[SESSION_KEY_MAX + 1];

	memset(&table, 0, sizeof(table));
	memset(key, 'k', sizeof(key));
	key[SESSION_KEY_MAX] = '\0';
	CHECK(session_table_add(&table, key, 1, &is_new) == -1 && !is_new);
	CHECK(session_table_add(&table, "", 1, &is_new) == -1 && !is_new);
	CHECK(table.refused == 2 && table.count == 0);
	key[SESSION_KEY_MAX - 1] = '\0';
	CHECK(session_table_add(&table, key, 1, &is_new) == 0 && is_new);
	CHECK(session_table_find(&table, key) == 0 && table.refused == 2);
}

TEST("when all places are taken, the idle session that was touched longest ago leaves, and is counted")
{
	int place;

	fill();
	CHECK(table.count == SESSIONS_MAX && table.left == 0);
	session_table_touch(&table, find(0), 9000, false);
	place = find(1);
	CHECK(add(SESSIONS_MAX, 9001) == place && is_new);
	CHECK(find(1) == -1 && find(0) >= 0 && find(SESSIONS_MAX) == place);
	CHECK(table.count == SESSIONS_MAX && table.left == 1 && table.refused == 0);
}

TEST("one that runs never leaves, however long ago it was touched")
{
	fill();
	for (uint32_t i = 0; i < SESSIONS_MAX; i++)
		session_table_touch(&table, find(i), i, i != 77);
	CHECK(add(SESSIONS_MAX, 9000) >= 0 && find(77) == -1 && table.left == 1);
	session_table_touch(&table, find(SESSIONS_MAX), 9000, true);
	CHECK(add(SESSIONS_MAX + 1, 9001) == -1 && !is_new);
	CHECK(table.refused == 1 && table.left == 1 && table.count == SESSIONS_MAX);
}

TEST("every session is found among those of the same hash, whichever of them are removed")
{
	fill(); /* as many keys as there are hashes: a third of them share theirs */
	for (uint32_t i = 0; i < SESSIONS_MAX; i += 3)
		session_table_remove(&table, find(i));
	for (uint32_t i = 0; i < SESSIONS_MAX; i++)
		CHECK((find(i) >= 0) == (i % 3 != 0));
	CHECK(table.count == SESSIONS_MAX - (SESSIONS_MAX + 2) / 3);
	for (uint32_t i = 0; i < SESSIONS_MAX; i += 3)
		CHECK(add(i, 5) >= 0 && is_new);
	for (uint32_t i = 0; i < SESSIONS_MAX; i++)
		CHECK(find(i) >= 0);
	CHECK(table.count == SESSIONS_MAX && table.left == 0);
}

TEST("what is removed twice is removed once; a table that was cleared is empty")
{
	int place;

	fill();
	place = find(5);
	session_table_remove(&table, place);
	session_table_remove(&table, place);
	CHECK(table.count == SESSIONS_MAX - 1);
	CHECK(add(5, 1) == place);
	session_table_clear(&table);
	CHECK(table.count == 0 && table.used == 0 && find(6) == -1);
	CHECK(add(6, 1) == 0 && is_new);
}
