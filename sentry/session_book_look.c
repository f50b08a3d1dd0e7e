/* A session as it is told to the supervisor. */
#include "base/text.h"
#include "sentry/session_book.h"

int64_t session_book_quiet_ms(const struct session_book *book, int place)
{
	const struct session_entry *entry = &book->entries[place];

	return session_entry_runs(entry) ? book->watched_ms - entry->moved_watched_ms : 0;
}

static enum session_waits waits_of(const struct session_entry *entry)
{
	if (!session_entry_runs(entry))
		return SESSION_IDLE;
	if (entry->is_asking)
		return SESSION_WAITS_PERSON;
	if (entry->is_queued)
		return SESSION_WAITS_TURN;
	return session_entry_has_tool(entry) ? SESSION_WAITS_TOOL : SESSION_WAITS_MODEL;
}

static bool is_fresh(int64_t at_ms, int64_t now_ms)
{
	return at_ms != 0 && now_ms - at_ms <= SESSION_BOOK_FRESH_MS;
}

/* Not all events of a hidden run come: what says something is only that none does, since they are heard. */
static void look_at_hidden(
    const struct session_book *book, const struct session_entry *entry, struct session_look *look)
{
	int64_t heard_ms = book->watched_ms - entry->heard_watched_ms;

	if (!entry->is_heard)
		return;
	look->witnesses |= SESSION_WITNESS_SILENCE;
	if (heard_ms < look->quiet_ms)
		look->quiet_ms = heard_ms;
}

void session_book_look(const struct session_book *book, int place, int64_t now_ms, struct session_look *look)
{
	const struct session_entry *entry = &book->entries[place];

	*look = (struct session_look){.at_ms = now_ms,
	    .began_ms = entry->began_ms,
	    .moved_ms = entry->moved_ms,
	    .quiet_ms = session_book_quiet_ms(book, place),
	    .own_quiet_ms = entry->own_quiet_ms,
	    .recovery_ms = entry->recovery_ms,
	    .began_real_ms = entry->began_real_ms,
	    .waits = waits_of(entry),
	    .recovery = entry->recovery,
	    .gone = entry->is_gone,
	    .relayed = entry->relayed_ms != 0 && now_ms - entry->relayed_ms < SESSION_BOOK_RELAYED_MS,
	    .queued = entry->queued};
	text_copy(look->key, sizeof(look->key), book->table.places[place].key);
	text_copy(look->id, sizeof(look->id), entry->id);
	text_copy(look->run, sizeof(look->run), entry->run);
	text_copy(look->tool, sizeof(look->tool), entry->tool);
	if (entry->is_hidden)
		look_at_hidden(book, entry, look);
	else if (entry->by_events)
		look->witnesses |= SESSION_WITNESS_EVENTS;
	if (entry->is_listed && is_fresh(entry->listed_ms, now_ms))
		look->witnesses |= SESSION_WITNESS_LIST;
	if (entry->is_locked && is_fresh(entry->locked_ms, now_ms))
		look->witnesses |= SESSION_WITNESS_LOCK;
	if (is_fresh(entry->said_ms, now_ms))
		look->witnesses |= SESSION_WITNESS_LOG;
}
