/* Runs that the gateway does not tell everybody of: what is known of them all the same. */
#include <string.h>

#include "base/hash.h"
#include "sentry/session_book.h"

/* Where what it says is not what is known already, the gateway is asked: the runs that come through a channel
 * tell nobody that they begin. */
void session_book_change(struct session_book *book, const struct openclaw_row *row, int64_t now_ms)
{
	int place = session_table_find(&book->table, row->key);
	bool runs = row->running || row->queued;
	struct session_entry *entry;

	if (place < 0 && (runs || !row->knows_running))
		place = session_book_place(book, row->key, now_ms);
	if (place < 0)
		return;
	entry = &book->entries[place];
	if (row->knows_running && runs == session_entry_runs(entry) &&
	    (row->started_at_ms == 0 || entry->began_real_ms == 0 ||
	        row->started_at_ms == entry->began_real_ms))
		return;
	entry->is_wanted = book->has_wanted = book->has_news = true;
}

/* What is written after the end of a run is still its own. */
bool session_book_writes_hidden(
    const struct session_book *book, int place, const struct openclaw_event *event)
{
	const struct session_entry *entry = &book->entries[place];

	return event->is_chat && event->what == OPENCLAW_MOVED && entry->is_hidden && entry->run[0] == '\0' &&
	       session_entry_runs(entry) && entry->ended_run != hash_bytes(event->run, strlen(event->run));
}

/* That is no move: what was said of it before stays true. */
void session_book_heard(struct session_book *book, int place)
{
	book->entries[place].is_heard = true;
	book->entries[place].heard_watched_ms = book->watched_ms;
}

/* Whose events come knows its tools better. */
void session_book_works(struct session_entry *entry, const char *work)
{
	if (strcmp(work, "model_call") == 0)
		entry->is_unsure = false;
	else if (strcmp(work, "tool_call") == 0 && (!entry->by_events || entry->is_hidden))
		entry->is_unsure = true;
}
