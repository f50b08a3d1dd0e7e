/* Runs whose events are not for everybody. 2026.9.6 tells of what came through a channel (Telegram and the
 * like) only those who have asked for its session, and not even them of everything: so such events show what
 * a run does, and their silence counts by the limit for tools at the earliest. */
#include <string.h>

#include "format/json_write.h"
#include "sentry/sessions.h"

#define TIMEOUT_MS     10000
#define REQUEST_BYTES  512
#define SUBSCRIBED_MAX 64

static bool is_subscribed(const struct link_frame *frame)
{
	const struct json_value *value = frame->ok && frame->payload != NULL
	                                     ? json_find(frame->document, frame->payload, "subscribed")
	                                     : NULL;

	return value != NULL && value->type == JSON_BOOL && value->boolean;
}

static void changes_came(struct link *link, int result, const struct link_frame *frame, void *context)
{
	struct sessions_sense *sense = context;

	(void)link;
	sense->book.nonsense += result == 0 && !is_subscribed(frame);
}

void sessions_subscribe(struct sessions_sense *sense)
{
	link_request(sense->link, "sessions.subscribe", "{}", TIMEOUT_MS, changes_came, sense);
}

/* Of one that runs by the gateway's list events should come, if they are for everybody. */
static void find_hidden(struct sessions_sense *sense, int place)
{
	struct session_entry *entry = &sense->book.entries[place];

	if (entry->is_listed && !entry->by_events &&
	    session_book_quiet_ms(&sense->book, place) >= sense->pace_ms)
		entry->is_hidden = true;
}

/* Returns the place of one whose events are to be asked for, or not any more; -1: none. */
static int choose(struct sessions_sense *sense)
{
	struct session_book *book = &sense->book;
	int chosen = -1;
	uint32_t subscribed = 0;

	for (int i = 0; i < (int)book->table.used; i++) {
		const struct session_entry *entry = &book->entries[i];

		if (!book->table.places[i].is_taken)
			continue;
		find_hidden(sense, i);
		subscribed += entry->is_subscribed;
		if (entry->is_subscribed && (!session_entry_runs(entry) || !entry->is_hidden))
			return i;
		if (chosen < 0 && entry->is_hidden && !entry->is_subscribed && session_entry_runs(entry))
			chosen = i;
	}
	return subscribed < SUBSCRIBED_MAX ? chosen : -1;
}

/* What is refused is not asked for again in this run: nothing depends on it. */
static void subscription_came(struct link *link, int result, const struct link_frame *frame, void *context)
{
	struct sessions_sense *sense = context;
	int place = session_table_find(&sense->book.table, sense->subscribing_key);

	(void)link;
	sense->is_subscribing = false;
	if (result != 0)
		return;
	sense->book.nonsense += !frame->ok;
	/* Until now events may have come: who began then is not known to be for everybody. */
	if (place >= 0 && sense->is_unsubscribing) {
		sense->book.entries[place].is_subscribed = sense->book.entries[place].is_heard = false;
		sense->book.entries[place].is_hidden &= session_entry_runs(&sense->book.entries[place]);
	}
	if (place >= 0 && !sense->is_unsubscribing && is_subscribed(frame))
		session_book_heard(&sense->book, place);
	sessions_follow_hidden(sense);
}

/* One after the other. */
void sessions_follow_hidden(struct sessions_sense *sense)
{
	char bytes[REQUEST_BYTES];
	struct text text;
	int place;

	if (sense->is_subscribing || !sense->is_up || !sessions_have_states(sense))
		return;
	place = choose(sense);
	if (place < 0)
		return;
	sense->is_unsubscribing = sense->book.entries[place].is_subscribed;
	text_copy(
	    sense->subscribing_key, sizeof(sense->subscribing_key), sense->book.table.places[place].key);
	text_init(&text, bytes, sizeof(bytes));
	json_write_begin(&text, '{');
	json_write_key(&text, "key");
	json_write_string(&text, sense->subscribing_key);
	json_write_end(&text, '}');
	sense->is_subscribing =
	    !text.truncated &&
	    link_request(sense->link,
	        sense->is_unsubscribing ? "sessions.messages.unsubscribe" : "sessions.messages.subscribe",
	        bytes, TIMEOUT_MS, subscription_came, sense) == 0;
	sense->book.entries[place].is_subscribed |= sense->is_subscribing;
}
