#include "sentry/sessions.h"

#include <string.h>

#include "base/clock.h"
#include "process/procfs.h"
#include "worker/session_policy.h"

#define PACE_MIN_MS 250
#define PACE_MAX_MS 5000
#define PACE_PARTS  8 /* of the shortest timeout */
#define GAP_PARTS   2 /* ... so that no sign of life that is late makes a session stuck */
#define GAP_MAX_MS  15000
#define SOON_MS     250   /* what changes is told together with what changes next */
#define BUSY_MS     10000 /* one that moves is told so often */
#define LIST_MS     60000 /* the list is not read more often */

static int64_t shortest_timeout(const struct sessions_settings *policy)
{
	int64_t least_ms = policy->session_timeout_ms;

	if (policy->tool_timeout_ms < least_ms)
		least_ms = policy->tool_timeout_ms;
	for (uint32_t i = 0; i < policy->pattern_count; i++) {
		if (policy->patterns[i].session_timeout_ms < least_ms)
			least_ms = policy->patterns[i].session_timeout_ms;
		if (policy->patterns[i].tool_timeout_ms < least_ms)
			least_ms = policy->patterns[i].tool_timeout_ms;
	}
	return least_ms;
}

/* Short timeouts want quick looks, and a gateway that is heard often. */
static void set_pace(struct sessions_sense *sense)
{
	int64_t timeout_ms = shortest_timeout(&sense->policy), pace_ms = timeout_ms / PACE_PARTS,
	        gap_ms = timeout_ms / GAP_PARTS;

	sense->pace_ms = pace_ms < PACE_MIN_MS ? PACE_MIN_MS : pace_ms > PACE_MAX_MS ? PACE_MAX_MS : pace_ms;
	sense->book.gap_ms = gap_ms > GAP_MAX_MS ? GAP_MAX_MS : gap_ms;
}

static void arm(struct sessions_sense *sense, int64_t delay_ms)
{
	int64_t due_ms = clock_boot_ms() + delay_ms;

	if (sense->timer.due_ms == 0 || sense->timer.due_ms > due_ms)
		loop_timer_arm(sense->loop, &sense->timer, due_ms);
}

/* --- Looks. --- */

static bool is_due(const struct sessions_sense *sense, int place, int64_t now_ms)
{
	const struct session_entry *entry = &sense->book.entries[place];
	int64_t every_ms =
	    session_book_quiet_ms(&sense->book, place) >= sense->pace_ms ? sense->pace_ms : BUSY_MS;

	return entry->has_changed || (session_entry_runs(entry) && now_ms - entry->told_ms >= every_ms);
}

static uint64_t count_strange(const struct sessions_sense *sense)
{
	return sense->book.nonsense + sense->book.table.refused + sense->log.oversized;
}

static bool say(
    struct sessions_sense *sense, struct message_sessions *looks, const int *places, int64_t now_ms)
{
	if (looks->count == 0 && count_strange(sense) == sense->strange_told)
		return true;
	looks->generation = sense->generation;
	looks->strange = count_strange(sense);
	if (sense->looked(sense, looks) < 0)
		return false;
	sense->strange_told = looks->strange;
	for (uint32_t i = 0; i < looks->count; i++)
		session_book_told(&sense->book, places[i], now_ms);
	looks->count = 0;
	return true;
}

/* Returns false when the supervisor does not listen: the rest is told later. */
static bool tell(struct sessions_sense *sense, int64_t now_ms)
{
	static struct message_sessions looks;
	int places[MESSAGE_LOOKS_MAX] = {0};

	looks.count = 0;
	for (uint32_t i = 0; i < sense->book.table.used; i++) {
		if (!sense->book.table.places[i].is_taken || !is_due(sense, (int)i, now_ms))
			continue;
		places[looks.count] = (int)i;
		session_book_look(&sense->book, (int)i, now_ms, &looks.looks[looks.count++]);
		if (looks.count == MESSAGE_LOOKS_MAX && !say(sense, &looks, places, now_ms))
			return false;
	}
	return say(sense, &looks, places, now_ms);
}

/* --- The turn. --- */

static void log_line(struct log_follow *log, const char *line, size_t length)
{
	struct sessions_sense *sense = log->context;

	session_book_line(&sense->book, line, length, clock_boot_ms());
}

void sessions_sense_relayed(struct sessions_sense *sense, const struct message_relayed *relayed)
{
	for (uint32_t i = 0; i < relayed->count; i++)
		session_book_relayed(
		    &sense->book, relayed->calls[i].trace, relayed->calls[i].heard_ms, clock_boot_ms());
}

static void look(struct loop_timer *timer)
{
	struct sessions_sense *sense = timer->context;
	int64_t now_ms = clock_boot_ms();
	bool told;

	if (sense->is_up)
		session_book_alive(&sense->book, link_heard_ms(sense->link));
	log_follow_poll(&sense->log, clock_real_ms());
	sessions_walk(sense, now_ms);
	sessions_receive(sense, now_ms);
	if (sense->book.unknown_ids != sense->unknown_ids && now_ms - sense->listed_ms >= LIST_MS)
		sessions_list(sense);
	sense->asked = 0;
	sessions_ask(sense, now_ms);
	sessions_follow_hidden(sense);
	sense->book.has_news = false;
	told = tell(sense, now_ms);
	if (sense->book.running > 0 || sense->book.has_wanted)
		arm(sense, sense->pace_ms);
	if (!told)
		arm(sense, SOON_MS);
}

void sessions_sense_event(struct sessions_sense *sense, const char *text, size_t length)
{
	if (sense->generation == 0)
		return;
	session_book_event(&sense->book, text, length, link_heard_ms(sense->link));
	if (sense->book.has_news)
		arm(sense, SOON_MS);
}

void sessions_sense_hint(struct sessions_sense *sense)
{
	if (sense->generation == 0 || clock_boot_ms() - sense->listed_ms < LIST_MS)
		return;
	sessions_list(sense);
	arm(sense, SOON_MS);
}

void sessions_sense_link_changed(struct sessions_sense *sense)
{
	bool is_up = sense->link->state == LINK_UP;

	if (sense->generation == 0 || is_up == sense->is_up)
		return;
	sense->is_up = is_up;
	sense->is_asking = sense->is_subscribing =
	    false; /* what was under way has ended with the connection, or is not ours */
	session_book_blind(&sense->book);
	if (!is_up)
		return;
	if (sessions_have_states(sense))
		sessions_subscribe(sense);
	sessions_list(sense);
	arm(sense, SOON_MS);
}

/* A supervisor that is new knows nothing yet. */
static void tell_all(struct sessions_sense *sense)
{
	for (uint32_t i = 0; i < sense->book.table.used; i++)
		sense->book.entries[i].has_changed = sense->book.table.places[i].is_taken;
}

static bool find_variable(void *context, const char *name, char *value, size_t size)
{
	const struct sessions_sense *sense = context;

	return procfs_variable(sense->pid, name, value, size) > 0;
}

void sessions_sense_init(struct sessions_sense *sense)
{
	session_policy_read(sense->settings, &sense->policy);
	set_pace(sense);
	sense->timer = (struct loop_timer){.callback = look, .context = sense};
	sense->environment = (struct token_environment){find_variable, sense};
	sense->log.settings = sense->settings;
	sense->log.environment = &sense->environment;
	sense->log.line = log_line;
	sense->log.context = sense;
	log_follow_init(&sense->log);
}

void sessions_sense_start(struct sessions_sense *sense, const struct message_gateway *gateway)
{
	if (sense->generation == gateway->generation)
		return;
	sessions_sense_stop(sense);
	/* After a supervisor's death the gateway is the same, and so are its runs. */
	if (sense->book_generation == gateway->generation)
		tell_all(sense);
	else
		session_book_clear(&sense->book);
	sense->generation = sense->book_generation = gateway->generation;
	sense->pid = gateway->pid;
	sense->start_time = gateway->start_time;
	sense->unknown_ids = sense->book.unknown_ids;
	log_follow_start(&sense->log, clock_real_ms());
	sessions_sense_link_changed(sense);
}

void sessions_sense_stop(struct sessions_sense *sense)
{
	loop_timer_arm(sense->loop, &sense->timer, 0);
	log_follow_stop(&sense->log);
	sense->generation = 0;
	sense->is_up = sense->is_asking = sense->is_subscribing = false;
}
