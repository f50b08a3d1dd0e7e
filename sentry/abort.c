#include "sentry/abort.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "format/json_write.h"

#define PROTOCOL_WITH_ABORT 4
#define ASK_TIMEOUT_MS      15000 /* the gateway may wait for the run to settle before it answers */
#define ASK_BYTES           2048
#define ROWS_MAX            50 /* that a search may find */
#define CHAT_SENTENCE                                                                                        \
	"The previous request made no progress and was ended (by Holdfast, which watches this gateway). "    \
	"Please send it again."

static void step(struct abort_sense *sense, struct abort_job *job);

static bool has_call(const struct abort_sense *sense)
{
	return sense->link.hello.protocol >= PROTOCOL_WITH_ABORT;
}

static bool is_busy(const struct abort_sense *sense)
{
	for (int i = 0; i < ABORT_JOBS_MAX; i++)
		if (sense->jobs[i].is_taken)
			return true;
	return false;
}

static void finish(struct abort_sense *sense, struct abort_job *job)
{
	*job = (struct abort_job){0};
	if (!is_busy(sense))
		link_stop(&sense->link);
}

static void answer(
    struct abort_sense *sense, const struct abort_job *job, enum abort_outcome outcome, const char *sentence)
{
	struct message_aborted message = {
	    .generation = job->wanted.generation, .serial = job->wanted.serial, .outcome = outcome};

	text_copy(message.sentence, sizeof(message.sentence), sentence);
	sense->answered(sense, &message);
}

static void end(
    struct abort_sense *sense, struct abort_job *job, enum abort_outcome outcome, const char *sentence)
{
	if (!job->is_done)
		answer(sense, job, outcome, sentence);
	finish(sense, job);
}

static void unreachable(struct abort_sense *sense, struct abort_job *job, int result)
{
	end(sense, job, ABORT_UNREACHABLE,
	    result == -ETIMEDOUT ? "the gateway did not answer in time" : "the gateway could not be asked");
}

/* A name that is used once, as the gateway wants for what is sent. */
static void write_once(struct text *text, const char *key)
{
	uint64_t number = 0;
	char name[48];

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
		number = (uint64_t)clock_boot_ms();
	snprintf(name, sizeof(name), "holdfast-%016" PRIx64, number);
	json_write_key(text, key);
	json_write_string(text, name);
}

static void write_member(struct text *text, const char *key, const char *value)
{
	if (*value == '\0')
		return;
	json_write_key(text, key);
	json_write_string(text, value);
}

/* Returns whether it is under way. */
static bool ask(struct abort_sense *sense, struct abort_job *job, const char *method, const struct text *text,
    link_answered *came)
{
	int result = text->truncated
	                 ? -EMSGSIZE
	                 : link_request(&sense->link, method, text->data, ASK_TIMEOUT_MS, came, job);

	if (result < 0)
		unreachable(sense, job, result);
	return result == 0;
}

static struct abort_sense *sense_of(struct link *link)
{
	return link->context;
}

static void refused(struct abort_sense *sense, struct abort_job *job, const struct link_frame *frame)
{
	char sentence[256];

	snprintf(sentence, sizeof(sentence), "the gateway refuses: %s: %.180s", frame->code, frame->sentence);
	end(sense, job, ABORT_REFUSED, sentence);
}

/* --- The chat is told. --- */

static void told(struct link *link, int result, const struct link_frame *frame, void *context)
{
	(void)result;
	(void)frame;
	finish(sense_of(link), context);
}

/* Through the channel that the session's answers go to; where that is the gateway's own web chat, into its
 * transcript, which 2026.2.1 cannot. */
static void tell_chat(struct abort_sense *sense, struct abort_job *job)
{
	bool has_channel =
	    job->row.channel[0] != '\0' && strcmp(job->row.channel, "webchat") != 0 && job->row.to[0] != '\0';
	char bytes[ASK_BYTES];
	struct text text;

	job->is_done = true;
	text_init(&text, bytes, sizeof(bytes));
	json_write_begin(&text, '{');
	json_write_key(&text, "message");
	json_write_string(&text, CHAT_SENTENCE);
	if (has_channel) {
		write_member(&text, "channel", job->row.channel);
		write_member(&text, "to", job->row.to);
		write_member(&text, "accountId", job->row.account);
		write_once(&text, "idempotencyKey");
	} else {
		write_member(&text, "sessionKey", job->wanted.key);
	}
	json_write_end(&text, '}');
	if (has_channel || has_call(sense))
		ask(sense, job, has_channel ? "send" : "chat.inject", &text, told);
	else
		finish(sense, job);
}

static void aborted(struct abort_sense *sense, struct abort_job *job, const char *sentence)
{
	answer(sense, job, ABORT_DONE, sentence);
	if (job->wanted.notify)
		tell_chat(sense, job);
	else
		finish(sense, job);
}

/* --- The abort. --- */

static const char *member(const struct link_frame *frame, const char *key)
{
	const struct json_value *value =
	    frame->payload != NULL ? json_find(frame->document, frame->payload, key) : NULL;

	return value != NULL && value->type == JSON_STRING ? value->string.bytes : "";
}

static void abort_came(struct link *link, int result, const struct link_frame *frame, void *context)
{
	struct abort_sense *sense = sense_of(link);
	struct abort_job *job = context;

	if (result != 0)
		unreachable(sense, job, result);
	else if (!frame->ok)
		refused(sense, job, frame);
	else if (!has_call(sense))
		aborted(sense, job,
		    "Messages that waited behind it are lost: this version drops them with the run.");
	else if (strcmp(member(frame, "status"), "aborted") == 0)
		aborted(sense, job, "");
	else if (strcmp(member(frame, "status"), "no-active-run") == 0)
		end(sense, job, ABORT_NOTHING, "the gateway says that it has no such run");
	else
		end(sense, job, ABORT_REFUSED, "the gateway's answer has no meaning known here");
}

/* By the run's id; when that was of no use, the run of the session that was just looked at, if it began when
 * the judged one did. */
static void ask_abort(struct abort_sense *sense, struct abort_job *job)
{
	char bytes[ASK_BYTES];
	struct text text;

	text_init(&text, bytes, sizeof(bytes));
	json_write_begin(&text, '{');
	if (has_call(sense)) {
		write_member(&text, "key", job->wanted.key);
		if (job->wanted.attempt < 2 || job->wanted.began_real_ms == 0 ||
		    job->row.started_at_ms != job->wanted.began_real_ms)
			write_member(&text, "runId", job->wanted.run);
	} else {
		write_member(&text, "sessionKey", job->wanted.key);
		write_member(&text, "message", "[sup] /stop");
		write_once(&text, "idempotencyKey");
	}
	json_write_end(&text, '}');
	ask(sense, job, has_call(sense) ? "sessions.abort" : "chat.send", &text, abort_came);
}

/* What our own events, and its row, show since it was judged. */
static bool has_moved(const struct abort_sense *sense, const struct abort_job *job)
{
	int place = session_table_find(&sense->book->table, job->wanted.key);
	const struct session_entry *entry = place >= 0 ? &sense->book->entries[place] : NULL;

	if (job->wanted.began_real_ms != 0 && job->row.started_at_ms != 0 &&
	    job->row.started_at_ms != job->wanted.began_real_ms)
		return true;
	if (job->wanted.by_person)
		return false;
	if (entry == NULL) /* nobody here has watched it */
		return true;
	if (job->wanted.run[0] != '\0' && entry->by_events && strcmp(entry->run, job->wanted.run) != 0)
		return true;
	return !session_entry_runs(entry) || entry->moved_ms >= job->wanted.judged_ms ||
	       session_book_quiet_ms(sense->book, place) < job->wanted.quiet_ms;
}

static const struct json_value *find_row(const struct abort_sense *sense, const struct link_frame *frame)
{
	const char *key = has_call(sense) ? "session" : "sessions";
	const struct json_value *value =
	    frame->payload != NULL ? json_find(frame->document, frame->payload, key) : NULL;

	return value != NULL && value->type == JSON_ARRAY ? json_first(frame->document, value) : value;
}

static void look_came(struct link *link, int result, const struct link_frame *frame, void *context)
{
	struct abort_sense *sense = sense_of(link);
	struct abort_job *job = context;
	const struct json_value *value = result == 0 && frame->ok ? find_row(sense, frame) : NULL;
	bool is_found = false;

	if (result != 0) {
		unreachable(sense, job, result);
		return;
	}
	for (; value != NULL && !is_found; value = has_call(sense) ? NULL : json_next(frame->document, value))
		is_found = openclaw_row_read(frame->document, value, &job->row) &&
		           strcmp(job->row.key, job->wanted.key) == 0;
	if (!is_found) {
		end(sense, job, ABORT_NOTHING, "the gateway knows no such session");
	} else if (job->row.knows_running && !job->row.running) {
		end(sense, job, ABORT_NOTHING, "the gateway says that it does not run");
	} else {
		job->is_found = true;
		loop_timer_arm(sense->loop, &sense->timer, clock_boot_ms());
	}
}

/* An event that the gateway sent before its answer has arrived by then, but on the other connection, which
 * may have its turn after this one: timers fire when every connection has had it. */
static void all_is_read(struct loop_timer *timer)
{
	struct abort_sense *sense = timer->context;

	for (int i = 0; i < ABORT_JOBS_MAX; i++) {
		struct abort_job *job = &sense->jobs[i];

		if (!job->is_taken || !job->is_found)
			continue;
		job->is_found = false;
		if (has_moved(sense, job))
			end(sense, job, ABORT_MOVED, "it has moved since it was judged");
		else
			ask_abort(sense, job);
	}
}

/* Looked at once more, over the connection that may write: what answers here is what would abort. */
static void step(struct abort_sense *sense, struct abort_job *job)
{
	char bytes[ASK_BYTES];
	struct text text;

	job->is_asked = true;
	text_init(&text, bytes, sizeof(bytes));
	json_write_begin(&text, '{');
	write_member(&text, has_call(sense) ? "key" : "search", job->wanted.key);
	if (!has_call(sense)) {
		json_write_key(&text, "limit");
		json_write_integer(&text, ROWS_MAX);
	}
	json_write_end(&text, '}');
	ask(sense, job, has_call(sense) ? "sessions.describe" : "sessions.list", &text, look_came);
}

static void link_changed(struct link *link)
{
	struct abort_sense *sense = sense_of(link);

	for (int i = 0; i < ABORT_JOBS_MAX; i++) {
		struct abort_job *job = &sense->jobs[i];

		if (!job->is_taken)
			continue;
		if (link->state == LINK_UP && !job->is_asked)
			step(sense, job);
		else if ((link->state == LINK_OFF || link->state == LINK_DENIED) && !job->is_asked)
			end(sense, job, ABORT_UNREACHABLE,
			    link->state == LINK_DENIED ? "the gateway does not accept our secret"
			                               : "the gateway takes no new connection");
	}
}

/* --- For the owner. --- */

void abort_sense_begin(
    struct abort_sense *sense, const struct message_abort *wanted, const struct message_gateway *gateway)
{
	struct abort_job *job = NULL;

	for (int i = 0; i < ABORT_JOBS_MAX && job == NULL; i++)
		if (!sense->jobs[i].is_taken)
			job = &sense->jobs[i];
	if (job == NULL) {
		answer(sense, &(struct abort_job){.wanted = *wanted}, ABORT_UNREACHABLE,
		    "too many aborts are under way");
		return;
	}
	*job = (struct abort_job){.is_taken = true, .wanted = *wanted};
	if (sense->link.state == LINK_UP && sense->gateway.generation == gateway->generation) {
		step(sense, job);
		return;
	}
	sense->gateway = *gateway;
	if (sense->link.state == LINK_OFF || sense->link.state == LINK_DENIED)
		link_start(&sense->link, gateway->generation, gateway->pid, gateway->port);
}

void abort_sense_init(struct abort_sense *sense)
{
	/* In 2026.9.6 who may only write can end only what he began himself ("unauthorized"), and cannot put
	 * a sentence into a transcript. */
	static const char *const scopes[] = {"operator.read", "operator.write", "operator.admin", NULL};

	sense->link.loop = sense->loop;
	sense->link.settings = sense->settings;
	sense->link.scopes = scopes;
	sense->link.once = true;
	sense->link.changed = link_changed;
	sense->link.context = sense;
	link_init(&sense->link);
	sense->timer = (struct loop_timer){.callback = all_is_read, .context = sense};
}

void abort_sense_stop(struct abort_sense *sense)
{
	link_stop(&sense->link);
	loop_timer_arm(sense->loop, &sense->timer, 0);
	memset(sense->jobs, 0, sizeof(sense->jobs));
}
