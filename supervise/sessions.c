/* Stuck sessions: the sentry's looks go to the core's judge, and what it decides to the sentry, to the record
 * and to the core's table. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "format/json_write.h"
#include "supervise/supervisor.h"
#include "worker/session_policy.h"

#define TICK_MS      1000
#define ROUNDS_TOLD  3    /* rounds of aborts of one session that failed */
#define CLOCKS_MS    1000 /* a look may be so far ahead of us */
#define LONGEST_MS   INT64_C(1000000000000000)
#define NAMED_MAX    3
#define NAME_SHOWN   80
#define EVIDENCE_KEY 96 /* of a key that would not fit whole */

void sessions_prepare(struct supervisor *supervisor)
{
	session_policy_read(supervisor->settings, &supervisor->sessions.settings);
	sessions_init(&supervisor->sessions.sessions, &supervisor->sessions.settings);
}

void sessions_inherit(struct supervisor *supervisor)
{
	const struct record *record = &supervisor->record;
	struct sessions_memory *memory = &supervisor->sessions.sessions.memory;

	_Static_assert(sizeof(*memory) <= RECORD_SESSIONS_MAX, "the memory of sessions fits the record");
	if (record->sessions_size != sizeof(*memory) || record->sessions_version != SESSIONS_MEMORY_VERSION)
		return;
	memcpy(memory, record->sessions, sizeof(*memory));
	if (memory->count > SESSIONS_REMEMBERED)
		memory->count = 0;
}

void sessions_save(struct supervisor *supervisor)
{
	const struct sessions_memory *memory = &supervisor->sessions.sessions.memory;

	supervisor->record.sessions_size = sizeof(*memory);
	supervisor->record.sessions_version = SESSIONS_MEMORY_VERSION;
	memcpy(supervisor->record.sessions, memory, sizeof(*memory));
}

/* --- For people. --- */

/* What was seen, as JSON. A key that leaves no room for the rest is told by its beginning. What is stuck was
 * not aborted yet, whatever was begun by the time it is told. */
static void write_evidence(
    const struct session *session, enum sessions_record record, int key_bytes, struct text *json)
{
	const struct session_look *look = &session->look;
	char key[SESSION_KEY_MAX];

	text_copy(key, (size_t)key_bytes, look->key);
	json_write_begin(json, '{');
	json_write_key(json, "session");
	json_write_string(json, key);
	json_write_key(json, "run");
	json_write_string(json, session->judged_run);
	json_write_key(json, "waits");
	json_write_string(json, session_waits_name((enum session_waits)look->waits));
	if (look->tool[0] != '\0') {
		json_write_key(json, "tool");
		json_write_string(json, look->tool);
	}
	json_write_key(json, "quiet_ms");
	json_write_integer(json, look->quiet_ms);
	json_write_key(json, "limit_ms");
	json_write_integer(json, session->limit_ms);
	json_write_key(json, "witnesses");
	json_write_bits(json, look->witnesses, SESSION_WITNESS_COUNT, session_witness_name);
	if (look->witnesses & SESSION_WITNESS_LOG) {
		json_write_key(json, "own_quiet_ms");
		json_write_integer(json, look->own_quiet_ms);
	}
	if (session->attempts > 0 && record != SESSIONS_RECORD_STUCK) {
		json_write_key(json, "attempts");
		json_write_unsigned(json, session->attempts);
		json_write_key(json, "outcome");
		json_write_string(json, abort_outcome_name((enum abort_outcome)session->outcome));
	}
	json_write_key(json, "queued");
	json_write_unsigned(json, look->queued);
	json_write_end(json, '}');
}

static void describe_wait(const struct session_look *look, struct text *text)
{
	char duration[32];

	text_add(text, "for ");
	text_add(text, text_duration(duration, sizeof(duration), look->quiet_ms));
	if (look->waits == SESSION_WAITS_TOOL && look->tool[0] != '\0')
		text_addf(text, ", waiting for the tool %s", look->tool);
	else
		text_add(text,
		    look->waits == SESSION_WAITS_TOOL ? ", waiting for a tool" : ", waiting for a model");
}

static void describe_witnesses(const struct session_look *look, struct text *text)
{
	static const char *const words[SESSION_WITNESS_COUNT] = {"its events", "the gateway's log",
	    "the gateway's list of sessions", "the lock of its transcript"};
	const char *before = ", as ";

	for (uint32_t i = 0; i < SESSION_WITNESS_COUNT; i++) {
		if (!(look->witnesses & (1u << i)))
			continue;
		text_addf(text, "%s%s", before, words[i]);
		before = " and ";
	}
	if (*before == ' ')
		text_add(text, " show");
}

static void describe_stuck(const struct session *session, struct text *text)
{
	char duration[32];

	text_add(text, "its run has made no progress ");
	describe_wait(&session->look, text);
	text_addf(text, " (limit %s)", text_duration(duration, sizeof(duration), session->limit_ms));
	describe_witnesses(&session->look, text);
	text_add(text, session->look.recovery == SESSION_RECOVERY_CHECKING
	                   ? ". The gateway's own recovery is at it; after that it is aborted."
	                   : ". It is aborted.");
}

static void describe_failure(
    const struct supervisor *supervisor, const struct session *session, struct text *text)
{
	const struct sessions *sessions = &supervisor->sessions.sessions;

	text_addf(text, "it could not be aborted in %u attempts", session->attempts);
	if (session->outcome == ABORT_REFUSED || session->outcome == ABORT_UNREACHABLE)
		text_addf(text, " (%.120s)", supervisor->sessions.answer);
	if (session->state != SESSION_FAILED) { /* a person's, of one that is not stuck */
		text_add(text, ". \"holdfast restart\" frees it.");
		return;
	}
	text_addf(text, ". It is tried again every %d min", SESSIONS_AGAIN_MS / 60000);
	if (session->counts)
		text_addf(text, "; %u of the %u sessions for which the gateway is restarted",
		    sessions->failed, sessions->settings->threshold);
	else
		text_add(text, "; having caused a restart already, it does not cause another");
	text_add(text, ". \"holdfast restart\" frees it.");
}

static void describe_recovery(const struct session *session, int64_t now_ms, struct text *text)
{
	char duration[32];
	bool is_gone = session->look.waits == SESSION_IDLE || session->look.gone;

	text_addf(text, "%s, %s after it was found", is_gone ? "the run has ended" : "it moves again",
	    text_duration(duration, sizeof(duration), now_ms - session->stuck_ms));
	if (session->attempts == 0)
		text_add(text, " and before it was aborted");
	text_add(text, is_gone && session->attempts > 0 ? ". Its next message is taken." : ".");
}

static const struct {
	const char *kind;
	enum event_severity severity;
	const char *sentence;
} narrations[] = {
    [SESSIONS_RECORD_STUCK] = {"session.stuck", SEVERITY_WARNING, "is stuck: "},
    [SESSIONS_RECORD_ABORTED] = {"session.aborted", SEVERITY_WARNING, "was aborted"},
    [SESSIONS_RECORD_RECOVERED] = {"session.recovered", SEVERITY_INFO, "has recovered: "},
    [SESSIONS_RECORD_ABORT_FAILED] = {"session.abort_failed", SEVERITY_ERROR, "is stuck still: "},
};

/* What fails every ten minutes is not told for ever. */
static bool is_old_news(const struct session *session, enum sessions_record record)
{
	return (record == SESSIONS_RECORD_ABORT_FAILED && session->rounds > ROUNDS_TOLD) ||
	       (record == SESSIONS_RECORD_ABORTED && session->rounds >= ROUNDS_TOLD);
}

static void record(struct supervisor *supervisor, const struct sessions_action *action)
{
	const struct session *session = &supervisor->sessions.sessions.sessions[action->place];
	char sentence[EVENT_REASON_MAX], evidence[EVENT_EVIDENCE_MAX];
	struct text text, json;

	if (is_old_news(session, action->record))
		return;
	text_init(&json, evidence, sizeof(evidence));
	write_evidence(session, action->record, SESSION_KEY_MAX, &json);
	if (json.truncated) {
		text_init(&json, evidence, sizeof(evidence));
		write_evidence(session, action->record, EVIDENCE_KEY, &json);
	}
	text_init(&text, sentence, sizeof(sentence));
	text_addf(
	    &text, "Session %.*s %s", NAME_SHOWN, session->look.key, narrations[action->record].sentence);
	switch (action->record) {
	case SESSIONS_RECORD_STUCK:
		describe_stuck(session, &text);
		break;
	case SESSIONS_RECORD_ABORTED:
		text_addf(&text, "%s; that its run has ended is still to be seen.%s%s",
		    session->by_person ? " as it was asked for" : ", and no other",
		    supervisor->sessions.answer[0] != '\0' ? " " : "", supervisor->sessions.answer);
		break;
	case SESSIONS_RECORD_RECOVERED:
		describe_recovery(session, clock_boot_ms(), &text);
		break;
	case SESSIONS_RECORD_ABORT_FAILED:
		describe_failure(supervisor, session, &text);
		break;
	}
	events_record(supervisor, narrations[action->record].kind, narrations[action->record].severity,
	    supervisor->machine.incident, json.truncated ? "{}" : evidence, "%s", sentence);
}

/* Those that cannot be freed, by name. */
void sessions_describe(const struct supervisor *supervisor, struct text *text)
{
	const struct sessions *sessions = &supervisor->sessions.sessions;
	const char *before = ": ";
	uint32_t named = 0;

	for (uint32_t i = 0; i < sessions->table.used && named < NAMED_MAX; i++) {
		if (!sessions->table.places[i].is_taken || !sessions->sessions[i].counts)
			continue;
		text_addf(text, "%s%.*s", before, NAME_SHOWN, sessions->table.places[i].key);
		before = ", ";
		named++;
	}
	if (sessions->failed > named && named > 0)
		text_addf(text, " and %u more", sessions->failed - named);
}

void sessions_write_evidence(const struct supervisor *supervisor, struct text *json)
{
	const struct sessions *sessions = &supervisor->sessions.sessions;
	char key[EVIDENCE_KEY];
	uint32_t named = 0;

	json_write_key(json, "stuck");
	json_write_unsigned(json, sessions->stuck);
	json_write_key(json, "threshold");
	json_write_unsigned(json, sessions->settings->threshold);
	json_write_key(json, "sessions");
	json_write_begin(json, '[');
	for (uint32_t i = 0; i < sessions->table.used && named < NAMED_MAX; i++) {
		if (!sessions->table.places[i].is_taken || !sessions->sessions[i].counts)
			continue;
		text_copy(key, sizeof(key), sessions->table.places[i].key);
		json_write_string(json, key);
		named++;
	}
	json_write_end(json, ']');
}

/* --- The core's hands. --- */

static void say_abort(struct supervisor *supervisor, int place)
{
	const struct session *session = &supervisor->sessions.sessions.sessions[place];
	struct message message = {.abort = {.generation = supervisor->sessions.sessions.generation,
	                              .serial = session->serial,
	                              .attempt = session->attempts,
	                              .by_person = session->by_person,
	                              .notify = supervisor->settings->gateway.notify_chat,
	                              .judged_ms = session->look.at_ms,
	                              .quiet_ms = session->look.quiet_ms,
	                              .began_real_ms = session->judged_began_real_ms}};

	text_copy(message.abort.key, sizeof(message.abort.key), session->look.key);
	text_copy(message.abort.id, sizeof(message.abort.id), session->look.id);
	text_copy(message.abort.run, sizeof(message.abort.run), session->judged_run);
	worker_say(supervisor, WORKER_SENTRY, MESSAGE_ABORT, &message, -1);
}

/* The sessions that caused it are remembered once the gateway is really asked to end for them. */
static void condemn(struct supervisor *supervisor, uint32_t count)
{
	struct supervision_event event = {.type = ON_CONDEMNED,
	    .reason = REASON_STUCK_SESSIONS,
	    .generation = supervisor->machine.generation,
	    .value = count};

	supervisor_step(supervisor, &event);
	if (supervisor->machine.state != STATE_DRAINING ||
	    supervisor->machine.cause != RESTART_STUCK_SESSIONS)
		return;
	sessions_condemned(&supervisor->sessions.sessions, clock_boot_ms());
	supervisor_save(supervisor);
}

static loop_timer_callback tick;

/* Looks that come often do not put it off. */
static void arm_tick(struct supervisor *supervisor)
{
	struct loop_timer *timer = &supervisor->sessions.timer;
	bool wants = supervisor->sessions.sessions.stuck > 0;

	timer->callback = tick;
	timer->context = supervisor;
	if (!wants || timer->due_ms == 0)
		loop_timer_arm(&supervisor->loop, timer, wants ? clock_boot_ms() + TICK_MS : 0);
}

static void carry_out(struct supervisor *supervisor, const struct sessions_actions *actions)
{
	for (uint32_t i = 0; i < actions->count; i++) {
		const struct sessions_action *action = &actions->list[i];

		switch (action->type) {
		case SESSIONS_ABORT:
			say_abort(supervisor, action->place);
			break;
		case SESSIONS_TELL:
			record(supervisor, action);
			break;
		case SESSIONS_CONDEMN:
			condemn(supervisor, action->count);
			break;
		case SESSIONS_SAVE:
			supervisor_save(supervisor);
			break;
		}
	}
	arm_tick(supervisor);
}

/* A gateway that starts, drains, is suspect or left alone is not judged by its sessions. */
static bool may_act(const struct supervisor *supervisor)
{
	return supervisor->machine.state == STATE_RUNNING &&
	       !supervision_is_paused(&supervisor->machine, clock_boot_ms());
}

static void tick(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;
	struct sessions_actions actions;

	sessions_tick(&supervisor->sessions.sessions, may_act(supervisor), clock_boot_ms(), &actions);
	carry_out(supervisor, &actions);
}

/* --- What came. --- */

void sessions_follow(struct supervisor *supervisor)
{
	if (supervisor->sessions.sessions.generation == supervisor->machine.generation)
		return;
	sessions_begin(&supervisor->sessions.sessions, supervisor->machine.generation);
	loop_timer_arm(&supervisor->loop, &supervisor->sessions.timer, 0);
}

/* The sentry reads what comes from the network: what it says is not believed blindly. */
static bool makes_sense(const struct session_look *look, int64_t now_ms)
{
	const int64_t times[] = {look->at_ms, look->began_ms, look->moved_ms, look->recovery_ms};
	const int64_t durations[] = {look->quiet_ms, look->own_quiet_ms, look->began_real_ms};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] < 0 || times[i] > now_ms + CLOCKS_MS)
			return false;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		if (durations[i] < 0 || durations[i] > LONGEST_MS)
			return false;
	return look->waits < SESSION_WAITS_COUNT;
}

static void looked(struct supervisor *supervisor, const struct message_sessions *message)
{
	struct sessions_actions actions;

	for (uint32_t i = 0; i < message->count; i++) {
		if (!makes_sense(&message->looks[i], clock_boot_ms()))
			continue;
		sessions_looked(&supervisor->sessions.sessions, &message->looks[i], may_act(supervisor),
		    clock_boot_ms(), &actions);
		carry_out(supervisor, &actions);
	}
}

void sessions_said(struct supervisor *supervisor, const struct message *message)
{
	struct sessions_actions actions;

	/* Both begin with the generation they speak of. */
	if (message->sessions.generation != supervisor->machine.generation || !supervisor->machine.alive)
		return;
	sessions_follow(supervisor);
	if (message->type == MESSAGE_SESSIONS) {
		supervisor->sessions.strange = message->sessions.strange;
		looked(supervisor, &message->sessions);
		return;
	}
	text_copy(
	    supervisor->sessions.answer, sizeof(supervisor->sessions.answer), message->aborted.sentence);
	sessions_answered(&supervisor->sessions.sessions, message->aborted.serial,
	    (enum abort_outcome)message->aborted.outcome, clock_boot_ms(), &actions);
	carry_out(supervisor, &actions);
}

/* What its predecessor was asked is not answered any more. */
void sessions_sentry_is_new(struct supervisor *supervisor)
{
	struct sessions *sessions = &supervisor->sessions.sessions;
	struct sessions_actions actions;

	for (uint32_t i = 0; sessions->under_way > 0 && i < sessions->table.used; i++) {
		if (!sessions->table.places[i].is_taken || sessions->sessions[i].state != SESSION_ABORTING)
			continue;
		sessions_answered(
		    sessions, sessions->sessions[i].serial, ABORT_UNREACHABLE, clock_boot_ms(), &actions);
		carry_out(supervisor, &actions);
	}
}

/* --- What people ask. --- */

int sessions_abort_asked(struct supervisor *supervisor, const char *key, char *sentence, size_t size)
{
	struct sessions_actions actions;
	int result = supervisor->machine.alive
	                 ? sessions_abort(&supervisor->sessions.sessions, key, clock_boot_ms(), &actions)
	                 : -ENOENT;

	switch (result) {
	case 0:
		snprintf(sentence, size,
		    "The gateway is asked to abort the run of session %.*s; \"holdfast events --kind "
		    "'session.*'\" tells what became of it.",
		    NAME_SHOWN, key);
		carry_out(supervisor, &actions);
		break;
	case -ENODATA:
		snprintf(sentence, size, "Session %.*s has no run that could be aborted.", NAME_SHOWN, key);
		break;
	case -EALREADY:
		snprintf(sentence, size, "Session %.*s is being aborted already.", NAME_SHOWN, key);
		break;
	default:
		snprintf(sentence, size,
		    "No session %.*s is known: \"holdfast sessions --all\" lists those that are.", NAME_SHOWN,
		    key);
	}
	return result;
}

static void fill_row(
    const struct supervisor *supervisor, const struct session *session, struct control_session *row)
{
	const struct session_look *look = &session->look;
	int64_t now_ms = clock_boot_ms(), limit_ms;
	bool runs = look->waits != SESSION_IDLE;

	limit_ms =
	    sessions_limit_ms(&supervisor->sessions.settings, look->key, (enum session_waits)look->waits);
	text_copy(row->key, sizeof(row->key), look->key);
	text_copy(row->id, sizeof(row->id), look->id);
	text_copy(row->run, sizeof(row->run), look->run);
	text_copy(row->tool, sizeof(row->tool), look->tool);
	text_copy(row->state, sizeof(row->state),
	    session->state != SESSION_QUIET ? session_state_name(session->state)
	    : runs                          ? "running"
	                                    : "idle");
	text_copy(row->waits, sizeof(row->waits), session_waits_name((enum session_waits)look->waits));
	row->age_ms = runs && look->began_ms != 0 ? now_ms - look->began_ms : -1;
	row->quiet_ms = runs ? look->quiet_ms : -1;
	row->limit_ms = runs && limit_ms != INT64_MAX ? limit_ms : -1;
	row->witnesses = look->witnesses;
	row->attempts = session->state != SESSION_QUIET ? session->attempts : 0;
	row->queued = look->queued;
}

static uint32_t count_running(const struct sessions *sessions)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sessions->table.used; i++)
		count +=
		    sessions->table.places[i].is_taken && sessions->sessions[i].look.waits != SESSION_IDLE;
	return count;
}

void sessions_reply(const struct supervisor *supervisor, uint32_t after, struct control_sessions *reply)
{
	const struct sessions *sessions = &supervisor->sessions.sessions;
	bool has_them = supervisor->machine.alive && sessions->generation == supervisor->machine.generation;

	*reply = (struct control_sessions){.version = CONTROL_VERSION};
	if (!has_them)
		return;
	reply->known = sessions->table.count;
	reply->running = count_running(sessions);
	reply->stuck = sessions->stuck;
	reply->left = sessions->table.left;
	reply->strange = supervisor->sessions.strange;
	for (uint32_t i = after; i < sessions->table.used; i++) {
		if (!sessions->table.places[i].is_taken)
			continue;
		if (reply->count == CONTROL_SESSIONS_ROWS) {
			reply->next = i;
			return;
		}
		fill_row(supervisor, &sessions->sessions[i], &reply->rows[reply->count++]);
	}
}
