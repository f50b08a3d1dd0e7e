#include "sentry/session_book.h"

#include <string.h>

#include "base/hash.h"
#include "base/text.h"

#define UNLOCKED_LOOKS 2

_Static_assert(OPENCLAW_KEY_MAX == SESSION_KEY_MAX && OPENCLAW_RUN_MAX == SESSION_RUN_MAX &&
                   OPENCLAW_ID_MAX == SESSION_ID_MAX && OPENCLAW_TOOL_MAX == SESSION_TOOL_MAX,
    "what the gateway says fits what the judge keeps");

void session_book_clear(struct session_book *book)
{
	if (book->table.used > 0) {
		memset(book->entries, 0, book->table.used * sizeof(book->entries[0]));
		memset(book->runs, 0, sizeof(book->runs));
		session_table_clear(&book->table);
	}
	book->running = 0;
	book->has_wanted = false;
	book->watched_ms = book->alive_ms = 0;
}

void session_book_alive(struct session_book *book, int64_t now_ms)
{
	int64_t gap_ms = now_ms - book->alive_ms;

	if (gap_ms <= 0)
		return;
	if (book->alive_ms != 0 && gap_ms <= book->gap_ms)
		book->watched_ms += gap_ms;
	book->alive_ms = now_ms;
}

/* --- Which session has which run. --- */

static uint32_t bucket_of(const char *run, size_t length)
{
	uint64_t hash = hash_bytes(run, length);

	return (uint32_t)(hash ^ hash >> 32) % SESSIONS_MAX;
}

int session_book_find_run(const struct session_book *book, const char *run, size_t length)
{
	for (uint16_t at = book->runs[bucket_of(run, length)]; at != 0; at = book->entries[at - 1].next_run) {
		const struct session_entry *entry = &book->entries[at - 1];

		if (strncmp(entry->run, run, length) == 0 && entry->run[length] == '\0')
			return at - 1;
	}
	return -1;
}

static void set_run(struct session_book *book, int place, const char *run)
{
	struct session_entry *entry = &book->entries[place];
	uint16_t *link;

	if (entry->run[0] != '\0') {
		link = &book->runs[bucket_of(entry->run, strlen(entry->run))];
		while (*link != place + 1)
			link = &book->entries[*link - 1].next_run;
		*link = entry->next_run;
	}
	text_copy(entry->run, sizeof(entry->run), run);
	entry->next_run = 0;
	if (*run == '\0')
		return;
	link = &book->runs[bucket_of(run, strlen(run))];
	entry->next_run = *link;
	*link = (uint16_t)(place + 1);
}

/* --- Moves. --- */

void session_book_changed(struct session_book *book, struct session_entry *entry)
{
	entry->has_changed = book->has_news = true;
}

static void count(struct session_book *book, int place, bool ran, int64_t now_ms)
{
	bool runs = session_entry_runs(&book->entries[place]);

	book->running += (uint32_t)runs - (uint32_t)ran;
	session_table_touch(&book->table, place, now_ms, runs);
}

/* A new place is another session's from now on; whoever left it must not be found by its run. */
int session_book_place(struct session_book *book, const char *key, int64_t now_ms)
{
	bool is_new;
	int place = session_table_add(&book->table, key, now_ms, &is_new);

	if (place < 0 || !is_new)
		return place;
	set_run(book, place, "");
	book->entries[place] = (struct session_entry){0};
	session_book_changed(book, &book->entries[place]);
	return place;
}

/* It was not seen to move, but may have: its silence begins anew. */
static void begin_silence(struct session_book *book, struct session_entry *entry)
{
	entry->moved_watched_ms = book->watched_ms;
	entry->said_ms = 0; /* the log spoke of the time before */
	entry->recovery = SESSION_RECOVERY_NONE;
}

void session_book_moved(struct session_book *book, int place, int64_t now_ms)
{
	begin_silence(book, &book->entries[place]);
	book->entries[place].moved_ms = now_ms;
}

static void forget_tools(struct session_entry *entry)
{
	entry->tool_count = 0;
	entry->has_written_tool = false;
	entry->tool_began_ms = 0;
	entry->tool[0] = '\0';
	entry->work_cpu_ticks = entry->work_io_bytes = 0;
	entry->work_processes = 0;
}

/* Of one whose beginning nobody saw, a tool may be at work already. */
static void begin_run(
    struct session_book *book, int place, const struct openclaw_event *event, int64_t now_ms)
{
	struct session_entry *entry = &book->entries[place];
	bool ran = session_entry_runs(entry);

	set_run(book, place, event->run);
	forget_tools(entry);
	entry->is_unsure = event->what != OPENCLAW_BEGAN && event->what != OPENCLAW_PREPARES;
	entry->by_events = true;
	entry->is_gone = false;
	entry->is_asking = entry->is_queued = entry->is_listed = entry->is_locked = entry->was_locked = false;
	entry->unlocked = 0;
	entry->began_ms = now_ms;
	entry->ended_run = 0;
	entry->began_real_ms = 0;
	entry->denials = entry->queued = 0;
	session_book_changed(book, entry);
	session_book_moved(book, place, now_ms);
	count(book, place, ran, now_ms);
}

void session_book_ended(struct session_book *book, int place, int64_t now_ms)
{
	struct session_entry *entry = &book->entries[place];
	bool ran = session_entry_runs(entry);

	set_run(book, place, "");
	forget_tools(entry);
	entry->by_events = entry->is_listed = entry->is_queued = entry->is_locked = entry->is_asking = false;
	entry->is_unsure = false;
	entry->began_real_ms = 0;
	session_book_changed(book, entry);
	session_book_moved(book, place, now_ms);
	count(book, place, ran, now_ms);
}

void session_book_blind(struct session_book *book)
{
	book->alive_ms = 0;
	book->has_wanted = false; /* the list is read anew */
	for (uint32_t i = 0; i < book->table.used; i++) {
		book->entries[i].is_subscribed = book->entries[i].is_heard = false;
		if (!book->table.places[i].is_taken || !session_entry_runs(&book->entries[i]))
			continue;
		begin_silence(book, &book->entries[i]);
		book->entries[i].is_unsure = true;
		book->entries[i].is_asking = false; /* who was asked may have answered */
		session_book_changed(book, &book->entries[i]);
	}
}

/* --- Events. --- */

static void begin_tool(struct session_book *book, struct session_entry *entry,
    const struct openclaw_event *event, int64_t now_ms)
{
	entry->is_asking = false;
	for (uint32_t i = 0; i < entry->tool_count; i++)
		if (event->item != 0 && entry->tools[i] == event->item)
			return; /* told of twice, as "item" and as "tool" */
	if (entry->tool_count < SESSION_BOOK_TOOLS)
		entry->tools[entry->tool_count++] = event->item;
	else
		entry->is_unsure = true; /* more at once than are kept */
	if (entry->tool_count == 1)
		entry->tool_began_ms = now_ms;
	text_copy(entry->tool, sizeof(entry->tool), event->tool);
	session_book_changed(book, entry);
}

static void end_tool(
    struct session_book *book, struct session_entry *entry, const struct openclaw_event *event)
{
	uint32_t at = 0;

	while (at < entry->tool_count && entry->tools[at] != event->item)
		at++;
	if (at == entry->tool_count)
		return;
	entry->tools[at] = entry->tools[--entry->tool_count];
	if (entry->tool_count == 0)
		forget_tools(entry);
	session_book_changed(book, entry);
}

static void follow_run(
    struct session_book *book, int place, const struct openclaw_event *event, int64_t now_ms)
{
	struct session_entry *entry = &book->entries[place];

	session_book_moved(book, place, now_ms);
	switch (event->what) {
	case OPENCLAW_TOOL_BEGAN:
		begin_tool(book, entry, event, now_ms);
		break;
	case OPENCLAW_TOOL_ENDED:
		end_tool(book, entry, event);
		break;
	case OPENCLAW_ASKED:
	case OPENCLAW_ANSWERED:
		entry->is_asking = event->what == OPENCLAW_ASKED;
		session_book_changed(book, entry);
		break;
	case OPENCLAW_BEGAN: /* a first time, or another attempt of the same run */
		entry->began_real_ms = event->started_at_ms;
		break;
	case OPENCLAW_KEEPS_HOUSE:
		entry->is_unsure = true;
		session_book_changed(book, entry);
		break;
	case OPENCLAW_ENDED:
		entry->ended_run = hash_bytes(event->run, strlen(event->run));
		session_book_ended(book, place, now_ms);
		break;
	default:
		break;
	}
}

/* What shows a run that was not known before. A message that waits behind a run that hangs is no sign of
 * life; another run that works is: there is one at a time. Of one that was aborted 2026.9.6 tells the end
 * twice, and once more which model it uses in between. */
static bool begins_run(const struct session_entry *entry, const struct openclaw_event *event)
{
	if (event->is_chat || event->what == OPENCLAW_ENDED || event->what == OPENCLAW_NOTHING)
		return false;
	if (event->what != OPENCLAW_BEGAN && entry->ended_run == hash_bytes(event->run, strlen(event->run)))
		return false;
	return !entry->by_events || event->what != OPENCLAW_PREPARES;
}

void session_book_event(struct session_book *book, const char *text, size_t length, int64_t now_ms)
{
	struct openclaw_event event;
	struct openclaw_row row;
	struct json_span run;
	int place;

	session_book_alive(book, now_ms);
	/* Nearly every event is another word of an answer: of a run that is known, no more than that is read.
	 */
	if (openclaw_event_run(text, length, &run)) {
		place = session_book_find_run(book, run.bytes, run.length);
		if (place >= 0) {
			session_book_moved(book, place, now_ms);
			/* It is the model that speaks. */
			book->entries[place].is_unsure = book->entries[place].is_asking = false;
			return;
		}
	}
	if (openclaw_change_read(text, length, &row)) {
		session_book_change(book, &row, now_ms);
		return;
	}
	if (!openclaw_event_read(text, length, &event) || event.key[0] == '\0')
		return;
	place = session_book_place(book, event.key, now_ms);
	if (place < 0)
		return;
	if (event.id[0] != '\0')
		text_copy(book->entries[place].id, sizeof(book->entries[place].id), event.id);
	if (session_book_writes_hidden(book, place, &event)) {
		set_run(book, place, event.run);
		session_book_moved(book, place, now_ms);
		book->entries[place].is_unsure = false;
		return;
	}
	if (strcmp(book->entries[place].run, event.run) != 0 || !book->entries[place].by_events) {
		if (!begins_run(&book->entries[place], &event))
			return;
		begin_run(book, place, &event, now_ms);
		if (!book->entries[place].is_subscribed) /* it came without being asked for */
			book->entries[place].is_hidden = false;
	}
	if (event.is_visible)
		book->entries[place].is_hidden = false;
	follow_run(book, place, &event, now_ms);
}

/* --- The list. --- */

/* It says that the run is over, and no event has: once may be too early, for it is written down later. */
static void denied(struct session_book *book, int place, int64_t now_ms)
{
	struct session_entry *entry = &book->entries[place];

	if (entry->is_listed || entry->is_queued) {
		bool ran = session_entry_runs(entry);

		entry->is_listed = entry->is_queued = false;
		session_book_changed(book, entry);
		count(book, place, ran, now_ms);
	}
	if (!entry->by_events)
		return;
	entry->denials++;
	if (entry->denials > 1 && now_ms - entry->moved_ms >= SESSION_BOOK_GONE_MS)
		session_book_ended(book, place, now_ms);
}

void session_book_row(struct session_book *book, const struct openclaw_row *row, int64_t now_ms)
{
	int place = session_book_place(book, row->key, now_ms);
	struct session_entry *entry;
	int64_t began_real_ms;
	bool ran;

	if (place < 0)
		return;
	entry = &book->entries[place];
	text_copy(entry->id, sizeof(entry->id), row->id);
	entry->is_gone = false;
	if (!row->knows_running)
		return;
	if (!row->running && !row->queued) {
		denied(book, place, now_ms);
		return;
	}
	ran = session_entry_runs(entry);
	entry->denials = 0;
	/* A row that does not say it is no other run; one that says an earlier one has not been written yet.
	 */
	began_real_ms = row->started_at_ms != 0 ? row->started_at_ms : entry->began_real_ms;
	if (began_real_ms < entry->began_real_ms)
		return;
	if (entry->is_listed != row->running || entry->is_queued != row->queued ||
	    entry->began_real_ms != began_real_ms)
		session_book_changed(book, entry);
	if (!ran) { /* it began before anybody listened */
		begin_silence(book, entry);
		entry->is_unsure = true;
	}
	/* Another run than the one that was listed before, and nobody saw it begin. */
	if (entry->began_real_ms != 0 && entry->began_real_ms != began_real_ms) {
		session_book_ended(book, place, now_ms);
		entry->is_unsure = true;
		ran = false;
	}
	entry->is_listed = row->running;
	entry->is_queued = row->queued;
	entry->began_real_ms = began_real_ms;
	entry->listed_ms = now_ms;
	count(book, place, ran, now_ms);
}

/* --- Files and processes. --- */

/* 2026.2.1 tells no other connection which tools are at work: the last message of a transcript does, and
 * where it cannot be read, it may be one. */
void session_book_transcript(
    struct session_book *book, int place, const struct transcript *transcript, int64_t now_ms)
{
	struct session_entry *entry = &book->entries[place];
	bool has_tool = transcript->is_locked && transcript->exists && transcript->waits != TRANSCRIPT_MODEL;
	bool ran = session_entry_runs(entry);

	entry->is_gone &= !transcript->is_locked;
	/* A run that nobody saw begin is there as long as its lock. */
	if (!transcript->is_locked && entry->is_locked && !entry->by_events) {
		session_book_ended(book, place, now_ms);
		return;
	}
	if (!ran && transcript->is_locked)
		begin_silence(book, entry);
	/* What is written once the lock is free is not the run's: a note that it was aborted. */
	if (transcript->bytes != entry->transcript_bytes && entry->transcript_bytes != 0 &&
	    transcript->is_locked)
		session_book_moved(book, place, now_ms);
	entry->transcript_bytes = transcript->bytes;
	if (entry->is_locked != transcript->is_locked || has_tool != entry->has_written_tool)
		session_book_changed(book, entry);
	entry->unlocked = transcript->is_locked ? 0 : entry->unlocked + 1;
	entry->was_locked |= transcript->is_locked;
	entry->is_locked = transcript->is_locked;
	entry->locked_ms = now_ms;
	/* A run that is aborted there ends without an event. Between two attempts of a run the lock is free
	 * for a moment: once is not enough; and a run that goes on all the same begins anew here with its
	 * next event. */
	if (entry->was_locked && entry->unlocked >= UNLOCKED_LOOKS) {
		session_book_ended(book, place, now_ms);
		return;
	}
	count(book, place, ran, now_ms);
	entry->is_unsure = false;
	if (has_tool == entry->has_written_tool)
		return;
	if (!has_tool)
		forget_tools(entry);
	entry->has_written_tool = has_tool;
	if (!has_tool)
		return;
	text_copy(entry->tool, sizeof(entry->tool), transcript->tool);
	entry->tool_began_ms = entry->moved_ms;
}

void session_book_work(struct session_book *book, int place, const struct tool_work *work, int64_t now_ms)
{
	struct session_entry *entry = &book->entries[place];
	bool is_first = entry->worked_ms == 0 || entry->worked_ms < entry->tool_began_ms;
	bool is_other = work->cpu_ticks != entry->work_cpu_ticks || work->io_bytes != entry->work_io_bytes ||
	                work->processes != entry->work_processes;

	/* The first look has nothing to be compared with. */
	if ((!is_first && is_other) || work->is_partial)
		session_book_moved(book, place, now_ms);
	entry->worked_ms = now_ms;
	entry->work_cpu_ticks = work->cpu_ticks;
	entry->work_io_bytes = work->io_bytes;
	entry->work_processes = work->processes;
}

void session_book_forget(struct session_book *book, int place, int64_t now_ms)
{
	session_book_ended(book, place, now_ms);
	book->entries[place].is_gone = true;
}

void session_book_told(struct session_book *book, int place, int64_t now_ms)
{
	struct session_entry *entry = &book->entries[place];

	entry->has_changed = false;
	entry->told_ms = now_ms;
	if (!entry->is_gone)
		return;
	entry->is_gone = false;
	if (session_entry_runs(entry)) /* it is there again */
		return;
	set_run(book, place, "");
	session_table_remove(&book->table, place);
	*entry = (struct session_entry){0};
}
