/* What the gateway is asked about its sessions, and what its files and processes show of them. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "format/json_write.h"
#include "sentry/sessions.h"
#include "sentry/tool_work.h"
#include "sentry/transcript.h"

#define ASK_TIMEOUT_MS   10000
#define ASKED_MAX        8 /* sessions a turn: it is the gateway's own loop that answers */
#define ASK_BYTES        1024
#define ASKED_AGAIN_MS   30000 /* of one that is far from its timeout */
#define LIST_ROWS        25    /* 2 kB each in 2026.9.6 */
#define LIST_ROWS_OLD    200   /* 0.4 kB each in 2026.2.1, which cannot go on from where it was */
#define LIST_MAX         2000
#define WALK_MS          5000
#define WALKED_MAX       16
#define RECEIVED_PACES   8     /* a sample that is older tells nothing of now */
#define UNLOCKED_GONE_MS 60000 /* a run without a lock for so long is none */

static int64_t limit_of(const struct sessions_sense *sense, int place)
{
	bool has_tool = session_entry_has_tool(&sense->book.entries[place]);

	return sessions_limit_ms(&sense->policy, sense->book.table.places[place].key,
	    has_tool ? SESSION_WAITS_TOOL : SESSION_WAITS_MODEL);
}

/* --- Files. --- */

/* 2026.2.1 says in no answer what runs; it locks the transcript of each session that does. */
static void look_at_transcript(struct sessions_sense *sense, int place, int64_t now_ms)
{
	const struct settings *settings = sense->settings;
	struct transcript transcript;
	char agent[TRANSCRIPT_AGENT_MAX];

	if (!transcript_agent(sense->book.table.places[place].key, agent) ||
	    transcript_read(settings_string(settings, settings->gateway.state_directory), agent,
	        sense->book.entries[place].id, sense->pid, &transcript) < 0)
		return;
	session_book_transcript(&sense->book, place, &transcript, now_ms);
	if (!transcript.is_locked && session_book_quiet_ms(&sense->book, place) >= UNLOCKED_GONE_MS)
		session_book_ended(&sense->book, place, now_ms);
}

/* A run that nobody saw begin. */
static void look_at_lock(struct sessions_sense *sense, const char *key, int64_t now_ms)
{
	const char *directory = settings_string(sense->settings, sense->settings->gateway.state_directory);
	int place = session_table_find(&sense->book.table, key);
	char agent[TRANSCRIPT_AGENT_MAX];

	if (place < 0 || session_entry_runs(&sense->book.entries[place]) || !transcript_agent(key, agent) ||
	    !transcript_is_locked(directory, agent, sense->book.entries[place].id, sense->pid))
		return;
	look_at_transcript(sense, place, now_ms);
}

/* --- The list. --- */

static link_answered list_came;

static void write_list(const struct sessions_sense *sense, struct text *text)
{
	json_write_begin(text, '{');
	json_write_key(text, "limit");
	json_write_unsigned(text, sense->list_limit);
	if (sessions_have_states(sense)) {
		json_write_key(text, "offset");
		json_write_unsigned(text, sense->list_offset);
	}
	json_write_end(text, '}');
}

static void read_on(struct sessions_sense *sense)
{
	char bytes[ASK_BYTES];
	struct text text;

	text_init(&text, bytes, sizeof(bytes));
	write_list(sense, &text);
	sense->is_asking =
	    link_request(sense->link, "sessions.list", bytes, ASK_TIMEOUT_MS, list_came, sense) == 0;
}

/* Returns how many rows there were; -1: it is no list. */
static int read_rows(struct sessions_sense *sense, const struct link_frame *frame)
{
	const struct json_value *rows =
	    frame->payload != NULL ? json_find(frame->document, frame->payload, "sessions") : NULL;
	struct openclaw_row row;
	int count = 0;

	if (rows == NULL || rows->type != JSON_ARRAY)
		return -1;
	for (const struct json_value *value = json_first(frame->document, rows); value != NULL;
	     value = json_next(frame->document, value), count++) {
		if (!openclaw_row_read(frame->document, value, &row)) {
			sense->book.nonsense++;
			continue;
		}
		session_book_row(&sense->book, &row, clock_boot_ms());
		if (!sessions_have_states(sense))
			look_at_lock(sense, row.key, clock_boot_ms());
	}
	return count;
}

static bool has_more(const struct link_frame *frame)
{
	const struct json_value *more = json_find(frame->document, frame->payload, "hasMore");

	return more != NULL && more->type == JSON_BOOL && more->boolean;
}

static void list_came(struct link *link, int result, const struct link_frame *frame, void *context)
{
	struct sessions_sense *sense = context;
	bool goes_on = false;
	int count = 0;

	(void)link;
	sense->is_asking = false;
	if (result == -EMSGSIZE && sense->list_limit > 1) { /* too many at once for us */
		sense->list_limit /= 2;
		goes_on = true;
	} else if (result == 0) {
		session_book_alive(&sense->book, clock_boot_ms());
		count = frame->ok ? read_rows(sense, frame) : -1;
		sense->book.nonsense += count < 0;
		sense->list_offset += count > 0 ? (uint32_t)count : 0;
		goes_on = count > 0 && sessions_have_states(sense) && has_more(frame) &&
		          sense->list_offset < LIST_MAX;
	}
	if (goes_on)
		read_on(sense);
}

void sessions_list(struct sessions_sense *sense)
{
	if (sense->is_asking || sense->link->state != LINK_UP)
		return;
	sense->list_offset = 0;
	sense->list_limit = sessions_have_states(sense) ? LIST_ROWS : LIST_ROWS_OLD;
	sense->listed_ms = clock_boot_ms();
	sense->unknown_ids = sense->book.unknown_ids;
	read_on(sense);
}

/* --- One session. --- */

/* Whether the gateway is to be asked about it: a first time when it falls silent, now and then, and often
 * when its timeout is near. */
static bool wants_asking(const struct sessions_sense *sense, int place, int64_t now_ms)
{
	const struct session_entry *entry = &sense->book.entries[place];
	int64_t quiet_ms = session_book_quiet_ms(&sense->book, place), since_ms = now_ms - entry->asked_ms;

	if (!session_entry_runs(entry) || quiet_ms < sense->pace_ms || since_ms < sense->pace_ms)
		return false;
	return entry->asked_ms < entry->moved_ms || since_ms >= ASKED_AGAIN_MS ||
	       quiet_ms >= limit_of(sense, place) / 2;
}

/* One of which the gateway said that something has changed. */
static int choose_wanted(struct session_book *book)
{
	if (!book->has_wanted)
		return -1;
	for (int i = 0; i < (int)book->table.used; i++)
		if (book->table.places[i].is_taken && book->entries[i].is_wanted)
			return i;
	book->has_wanted = false;
	return -1;
}

/* The one that was asked about longest ago; else, as a sign of life, the most silent one. */
static int choose(const struct sessions_sense *sense, int64_t now_ms)
{
	const struct session_book *book = &sense->book;
	bool needs_sign = now_ms - book->alive_ms >= sense->pace_ms;
	int chosen = -1, silent = -1;

	for (int i = 0; i < (int)book->table.used; i++) {
		if (!book->table.places[i].is_taken || !session_entry_runs(&book->entries[i]))
			continue;
		if (wants_asking(sense, i, now_ms) &&
		    (chosen < 0 || book->entries[i].asked_ms < book->entries[chosen].asked_ms))
			chosen = i;
		if (silent < 0 || book->entries[i].moved_watched_ms < book->entries[silent].moved_watched_ms)
			silent = i;
	}
	return chosen >= 0 ? chosen : needs_sign ? silent : -1;
}

static link_answered session_came;

static void write_question(const struct sessions_sense *sense, int place, struct text *text)
{
	json_write_begin(text, '{');
	json_write_key(text, sessions_have_states(sense) ? "key" : "search");
	json_write_string(text, sense->book.table.places[place].key);
	if (!sessions_have_states(sense)) {
		json_write_key(text, "limit");
		json_write_integer(text, LIST_ROWS);
	}
	json_write_end(text, '}');
}

void sessions_ask(struct sessions_sense *sense, int64_t now_ms)
{
	char bytes[ASK_BYTES];
	struct text text;
	int place;

	if (sense->is_asking || !sense->is_up || sense->link->state != LINK_UP)
		return;
	place = choose_wanted(&sense->book);
	if (place < 0 && sense->book.running > 0)
		place = choose(sense, now_ms);
	if (place < 0)
		return;
	sense->asked++;
	sense->book.entries[place].is_wanted = false;
	sense->book.entries[place].asked_ms = now_ms;
	text_copy(sense->asked_key, sizeof(sense->asked_key), sense->book.table.places[place].key);
	if (!sessions_have_states(sense))
		look_at_transcript(sense, place, now_ms);
	text_init(&text, bytes, sizeof(bytes));
	write_question(sense, place, &text);
	sense->is_asking =
	    !text.truncated &&
	    link_request(sense->link, sessions_have_states(sense) ? "sessions.describe" : "sessions.list",
	        bytes, ASK_TIMEOUT_MS, session_came, sense) == 0;
}

static void read_session(struct sessions_sense *sense, const struct link_frame *frame)
{
	const struct json_value *value =
	    frame->payload != NULL ? json_find(frame->document, frame->payload, "session") : NULL;
	int place = session_table_find(&sense->book.table, sense->asked_key);
	struct openclaw_row row;

	if (value != NULL && value->type == JSON_NULL && place >= 0)
		session_book_forget(&sense->book, place, clock_boot_ms());
	else if (value != NULL && openclaw_row_read(frame->document, value, &row) &&
	         strcmp(row.key, sense->asked_key) == 0)
		session_book_row(&sense->book, &row, clock_boot_ms());
	else
		sense->book.nonsense++;
}

static void session_came(struct link *link, int result, const struct link_frame *frame, void *context)
{
	struct sessions_sense *sense = context;

	(void)link;
	sense->is_asking = false;
	if (result != 0)
		return;
	session_book_alive(&sense->book, clock_boot_ms());
	if (!frame->ok)
		sense->book.nonsense++;
	else if (sessions_have_states(sense))
		read_session(sense, frame);
	else if (read_rows(sense, frame) < 0)
		sense->book.nonsense++;
	if (sense->asked < ASKED_MAX) /* the next one that is due */
		sessions_ask(sense, clock_boot_ms());
}

/* --- The work of tools. --- */

/* Since when what its tool started may be there; 0: there is none to be looked at. Where a tool may have
 * begun unseen, it is the run's whole time; and all time, where nobody saw the run begin. */
static int64_t tool_since(const struct sessions_sense *sense, int place)
{
	const struct session_entry *entry = &sense->book.entries[place];

	if (!sense->book.table.places[place].is_taken || !session_entry_has_tool(entry) || entry->is_asking ||
	    session_book_quiet_ms(&sense->book, place) < limit_of(sense, place) / 4)
		return 0;
	if (entry->tool_began_ms != 0)
		return entry->tool_began_ms;
	return entry->began_ms != 0 ? entry->began_ms : 1;
}

/* Those that were looked at longest ago, so that each has its turn. Returns how many. */
static uint32_t choose_tools(const struct sessions_sense *sense, int places[WALKED_MAX])
{
	const struct session_entry *entries = sense->book.entries;
	uint32_t count = 0, latest;

	for (int i = 0; i < (int)sense->book.table.used; i++) {
		if (tool_since(sense, i) == 0)
			continue;
		if (count < WALKED_MAX) {
			places[count++] = i;
			continue;
		}
		latest = 0;
		for (uint32_t k = 1; k < count; k++)
			if (entries[places[k]].worked_ms > entries[places[latest]].worked_ms)
				latest = k;
		if (entries[i].worked_ms < entries[places[latest]].worked_ms)
			places[latest] = i;
	}
	return count;
}

/* Tools that have been silent for a while: what their processes do counts as progress. */
void sessions_walk(struct sessions_sense *sense, int64_t now_ms)
{
	const struct tool_work_gateway gateway = {
	    sense->facts, sense->pid, sense->start_time, sense->settings->instance};
	struct tool_work works[WALKED_MAX];
	int places[WALKED_MAX];
	uint32_t count;

	if (now_ms - sense->walked_ms < (sense->pace_ms < WALK_MS ? sense->pace_ms : WALK_MS))
		return;
	count = choose_tools(sense, places);
	if (count == 0)
		return;
	sense->walked_ms = now_ms;
	for (uint32_t i = 0; i < count; i++)
		works[i] = (struct tool_work){.began_ms = tool_since(sense, places[i])};
	tool_work_read(&gateway, works, count);
	for (uint32_t i = 0; i < count; i++)
		session_book_work(&sense->book, places[i], &works[i], now_ms);
}

/* --- What comes in. --- */

static bool waits_for_model(const struct session_book *book, uint32_t place)
{
	const struct session_entry *entry = &book->entries[place];

	return book->table.places[place].is_taken && session_entry_runs(entry) && !entry->is_asking &&
	       !entry->is_queued && !session_entry_has_tool(entry);
}

static bool is_one_silent(const struct sessions_sense *sense)
{
	for (uint32_t i = 0; i < sense->book.table.used; i++)
		if (waits_for_model(&sense->book, i) &&
		    session_book_quiet_ms(&sense->book, (int)i) >= sense->pace_ms)
			return true;
	return false;
}

/* What a tool's processes do moves its session as well, but is received by nobody. */
static int count_moved(const struct session_book *book, int64_t since_ms)
{
	int count = 0;

	for (uint32_t i = 0; i < book->table.used; i++) {
		const struct session_entry *entry = &book->entries[i];
		bool is_in_tool = session_entry_has_tool(entry) && entry->tool_began_ms <= since_ms;

		count += book->table.places[i].is_taken && entry->moved_ms > since_ms && !is_in_tool;
	}
	return count;
}

/* While a model writes the arguments of a tool call, the gateway tells nobody; but it receives them. More
 * connections that receive than sessions that moved: one of those that are silent is being answered, and
 * nobody can say which. */
void sessions_receive(struct sessions_sense *sense, int64_t now_ms)
{
	int64_t since_ms = sense->received_ms;
	int count;

	if (!sense->is_up || now_ms - since_ms < sense->pace_ms || !is_one_silent(sense))
		return;
	if (now_ms - since_ms > RECEIVED_PACES * sense->pace_ms)
		receiving_forget(&sense->receiving);
	count = receiving_sample(&sense->receiving, sense->pid, sense->settings->gateway.port);
	if (count < 0)
		return;
	sense->received_ms = now_ms;
	if (count <= count_moved(&sense->book, since_ms))
		return;
	for (uint32_t i = 0; i < sense->book.table.used; i++)
		if (waits_for_model(&sense->book, i))
			session_book_moved(&sense->book, (int)i, now_ms);
}
