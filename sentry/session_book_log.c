/* What the gateway's own log says of sessions. */
#include <string.h>

#include "base/text.h"
#include "sentry/session_book.h"

static int find_id(const struct session_book *book, const char *id)
{
	for (uint32_t i = 0; *id != '\0' && i < book->table.used; i++)
		if (book->table.places[i].is_taken && strcmp(book->entries[i].id, id) == 0)
			return (int)i;
	return -1;
}

static void take_progressless(
    struct session_book *book, struct session_entry *entry, const struct openclaw_line *line, int64_t now_ms)
{
	entry->said_ms = now_ms;
	entry->own_quiet_ms = line->progress_age_ms >= 0 ? line->progress_age_ms : line->age_ms;
	entry->queued = line->queue_depth > 0 ? (uint32_t)line->queue_depth : 0;
	session_book_works(entry, line->work);
	if (!line->checking)
		return;
	entry->recovery = SESSION_RECOVERY_CHECKING;
	entry->recovery_ms = now_ms;
	session_book_changed(book, entry);
}

/* Its run need not be known yet. */
static void take_trace(struct session_book *book, const struct openclaw_line *line)
{
	uint32_t place = book->next_trace++ % SESSION_BOOK_TRACES;

	text_copy(book->traces[place].trace, sizeof(book->traces[place].trace), line->trace);
	text_copy(book->traces[place].run, sizeof(book->traces[place].run), line->run);
}

void session_book_relayed(struct session_book *book, const char *trace, int64_t heard_ms, int64_t now_ms)
{
	struct session_entry *entry;
	int place = -1;

	for (uint32_t i = 0; i < SESSION_BOOK_TRACES && place < 0 && trace[0] != '\0'; i++)
		if (strcmp(book->traces[i].trace, trace) == 0)
			place = session_book_find_run(book, book->traces[i].run, strlen(book->traces[i].run));
	if (place < 0)
		return;
	entry = &book->entries[place];
	entry->relayed_ms = now_ms;
	if (heard_ms <= entry->relay_heard_ms)
		return;
	/* Content that comes is progress of the run, whoever tells of it. */
	entry->relay_heard_ms = heard_ms;
	session_book_moved(book, place, now_ms);
}

void session_book_line(struct session_book *book, const char *text, size_t length, int64_t now_ms)
{
	struct openclaw_line line;
	int place;

	if (!openclaw_line_read(text, length, &line))
		return;
	if (line.kind == OPENCLAW_LINE_TRACE) {
		take_trace(book, &line);
		return;
	}
	place = line.run[0] != '\0' ? session_book_find_run(book, line.run, strlen(line.run)) : -1;
	if (place < 0)
		place = find_id(book, line.id);
	if (place < 0) {
		book->unknown_ids += line.id[0] != '\0';
		return;
	}
	switch (line.kind) {
	case OPENCLAW_LINE_PROGRESSLESS:
		/* The line names the session by its id; what follows the key is only read behind the key that
		 * belongs to it. */
		if (openclaw_line_fits(&line, book->table.places[place].key))
			take_progressless(book, &book->entries[place], &line, now_ms);
		break;
	case OPENCLAW_LINE_RECOVERY:
	case OPENCLAW_LINE_RECOVERY_OUTCOME:
		if (!openclaw_line_fits(&line, book->table.places[place].key))
			break;
		book->entries[place].recovery = SESSION_RECOVERY_CLAIMED;
		book->entries[place].recovery_ms = now_ms;
		session_book_changed(book, &book->entries[place]);
		break;
	case OPENCLAW_LINE_RUN_TIMEOUT:
	case OPENCLAW_LINE_FAILOVER:
		session_book_moved(book, place, now_ms);
		break;
	default:
		break;
	}
}
