/* The words for what becomes of stuck sessions: a sentence and its evidence. What the gateway says and what
 * its sessions are called may be long: it never costs what is told beside it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "format/json_write.h"
#include "format/utf8.h"
#include "supervise/supervisor.h"

#define ROUNDS_TOLD   3 /* rounds of aborts of one session that failed */
#define NAMED_MAX     3
#define NAMED_BYTES   60 /* of each name in a verdict */
#define EVIDENCE_ROOM 48 /* what follows the names in it */

/* At most `max` bytes more, none of them a piece of a character. */
static void add_cut(struct text *text, const char *string, size_t max)
{
	size_t length = strlen(string);

	if (length <= max) {
		text_add_bytes(text, string, utf8_whole(string, length));
		return;
	}
	if (max < 3)
		return;
	text_add_bytes(text, string, utf8_whole(string, max - 3));
	text_add(text, "...");
}

static size_t room_in(const struct text *text)
{
	return text->size - 1 - text->length;
}

void session_show(char *target, const char *key)
{
	struct text text;

	text_init(&text, target, SESSION_SHOWN_MAX);
	add_cut(&text, key, SESSION_SHOWN_MAX - 1);
}

/* --- Evidence. --- */

static void write_text(struct text *json, const char *name, const char *string, size_t max)
{
	size_t length = strlen(string);

	json_write_key(json, name);
	json_write_bytes(json, string, length <= max ? length : utf8_whole(string, max));
}

static void write_number(struct text *json, const char *name, int64_t value)
{
	json_write_key(json, name);
	json_write_integer(json, value);
}

/* What was seen, with `max` bytes of each text. What is stuck was not aborted yet, whatever was begun by the
 * time it is told. */
static void write_evidence(
    const struct session *session, enum sessions_record record, size_t max, struct text *json)
{
	const struct session_look *look = &session->look;

	json_write_begin(json, '{');
	write_text(json, "session", look->key, max);
	write_text(json, "run", session->judged_run, max);
	write_text(json, "waits", session_waits_name((enum session_waits)look->waits), max);
	if (look->tool[0] != '\0')
		write_text(json, "tool", look->tool, max);
	write_number(json, "quiet_ms", look->quiet_ms);
	if (session->limit_ms != INT64_MAX)
		write_number(json, "limit_ms", session->limit_ms);
	json_write_key(json, "witnesses");
	json_write_bits(json, look->witnesses, SESSION_WITNESS_COUNT, session_witness_name);
	if (look->witnesses & SESSION_WITNESS_LOG)
		write_number(json, "own_quiet_ms", look->own_quiet_ms);
	if (session->attempts > 0 && record != SESSIONS_RECORD_STUCK) {
		write_number(json, "attempts", session->attempts);
		write_text(json, "outcome", abort_outcome_name((enum abort_outcome)session->outcome),
		    SESSION_KEY_MAX);
	}
	write_number(json, "queued", look->queued);
	json_write_end(json, '}');
}

/* A key may hold nothing but what is six bytes in JSON. */
static void write_what_fits(
    const struct session *session, enum sessions_record record, char evidence[EVENT_EVIDENCE_MAX])
{
	struct text json;

	for (size_t max = SESSION_KEY_MAX; max > 8; max /= 2) {
		text_init(&json, evidence, EVENT_EVIDENCE_MAX);
		write_evidence(session, record, max, &json);
		if (!json.truncated)
			return;
	}
	text_copy(evidence, EVENT_EVIDENCE_MAX, "{}");
}

/* Those that are too long to be told make room for others. */
void sessions_write_evidence(const struct supervisor *supervisor, struct text *json)
{
	const struct sessions *sessions = &supervisor->sessions.sessions;
	uint32_t left_out = 0;

	write_number(json, "threshold", sessions->settings->threshold);
	if (sessions->stuck == 0) /* of an earlier life's verdict the sessions are not known any more */
		return;
	write_number(json, "stuck", sessions->stuck);
	json_write_key(json, "sessions");
	json_write_begin(json, '[');
	for (uint32_t i = 0; i < sessions->table.used; i++) {
		size_t before = json->length;

		if (!sessions->table.places[i].is_taken || !sessions->sessions[i].counts)
			continue;
		json_write_string(json, sessions->table.places[i].key);
		if (!json->truncated && room_in(json) >= EVIDENCE_ROOM)
			continue;
		json->length = before;
		json->data[before] = '\0';
		json->truncated = false;
		left_out++;
	}
	json_write_end(json, ']');
	if (left_out > 0)
		write_number(json, "left_out", left_out);
}

/* --- Sentences. --- */

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
	static const char *const words[SESSION_WITNESS_COUNT] = {
	    "its events", "the gateway's log", "the gateway's list", "its file's lock", "its silence"};
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

	text_add(text, " is stuck: its run has made no progress ");
	describe_wait(&session->look, text);
	text_addf(text, " (limit %s)", text_duration(duration, sizeof(duration), session->limit_ms));
	describe_witnesses(&session->look, text);
	text_add(text, session->look.recovery == SESSION_RECOVERY_CHECKING
	                   ? ". The gateway's own recovery is at it; after that it is aborted."
	                   : ". It is aborted.");
}

/* What was said to its last abort; NULL when nobody has answered. */
static const char *answer_to(const struct supervisor *supervisor, const struct session *session)
{
	for (uint32_t i = 0; i < SESSION_ANSWERS_MAX; i++)
		if (session->serial != 0 && supervisor->sessions.answers[i].serial == session->serial)
			return supervisor->sessions.answers[i].sentence;
	return NULL;
}

static void describe_abort(
    const struct supervisor *supervisor, const struct session *session, struct text *text)
{
	const char *answer = answer_to(supervisor, session);

	text_addf(text, " was aborted%s; that its run has ended is still to be seen.",
	    session->by_person ? " as it was asked for" : ", and no other");
	if (answer == NULL || answer[0] == '\0')
		return;
	text_add(text, " ");
	add_cut(text, answer, room_in(text));
}

static void describe_answer(
    const struct supervisor *supervisor, const struct session *session, struct text *text)
{
	const char *answer = answer_to(supervisor, session);

	if (session->outcome == ABORT_UNREACHABLE && (answer == NULL || answer[0] == '\0')) {
		text_add(text, " The last time the gateway did not answer.");
	} else if ((session->outcome == ABORT_REFUSED || session->outcome == ABORT_UNREACHABLE) &&
	           answer != NULL && answer[0] != '\0') {
		text_add(text, " The last time: ");
		add_cut(text, answer, room_in(text));
	}
}

/* What is to be done comes before what was said. */
static void describe_failure(
    const struct supervisor *supervisor, const struct session *session, struct text *text)
{
	const struct sessions *sessions = &supervisor->sessions.sessions;
	bool is_stuck = session->state == SESSION_FAILED; /* else a person's, of one that moves */

	text_addf(text, "%s: %u attempts changed nothing. \"holdfast restart\" frees it",
	    is_stuck ? " is stuck still and could not be aborted" : " could not be aborted",
	    session->attempts);
	if (is_stuck)
		text_addf(text, "; its abort is tried again every %d min", SESSIONS_AGAIN_MS / 60000);
	text_add(text, ".");
	if (is_stuck && !session->counts)
		text_add(text, " Having caused a restart already, it does not cause another.");
	else if (is_stuck && supervisor->settings->gateway.auto_restart.on_stuck_sessions)
		text_addf(text, " The gateway is restarted once %u sessions are so; now %u %s.",
		    sessions->settings->threshold, sessions->failed, sessions->failed == 1 ? "is" : "are");
	describe_answer(supervisor, session, text);
}

static void describe_recovery(const struct session *session, int64_t now_ms, struct text *text)
{
	const struct session_look *look = &session->look;
	bool was_asked = session->attempts > 1 || (session->attempts == 1 && session->outcome != ABORT_MOVED);
	bool is_idle = look->waits == SESSION_IDLE;
	char duration[32];

	if (look->gone)
		text_add(text, " is gone, and its run with it");
	else
		text_addf(text, " has recovered: %s",
		    is_idle                       ? "the run has ended"
		    : sessions_is_judged(session) ? "it moves again"
		                                  : "another run has begun");
	text_addf(text, ", %s after %s",
	    text_duration(duration, sizeof(duration), now_ms - session->stuck_ms),
	    session->by_person ? "its abort was asked for" : "it was found");
	if (!was_asked)
		text_add(text, " and before it was aborted");
	text_add(text, is_idle && !look->gone && was_asked ? ". Its next message is taken." : ".");
}

static const struct {
	const char *kind;
	enum event_severity severity;
} narrations[] = {
    [SESSIONS_RECORD_STUCK] = {"session.stuck", SEVERITY_WARNING},
    [SESSIONS_RECORD_ABORTED] = {"session.aborted", SEVERITY_WARNING},
    [SESSIONS_RECORD_RECOVERED] = {"session.recovered", SEVERITY_INFO},
    [SESSIONS_RECORD_ABORT_FAILED] = {"session.abort_failed", SEVERITY_ERROR},
};

/* What fails every ten minutes is not told for ever. */
static bool is_old_news(const struct session *session, enum sessions_record record)
{
	return (record == SESSIONS_RECORD_ABORT_FAILED && session->rounds > ROUNDS_TOLD) ||
	       (record == SESSIONS_RECORD_ABORTED && session->rounds >= ROUNDS_TOLD);
}

void sessions_tell(struct supervisor *supervisor, const struct sessions_action *action)
{
	const struct session *session = &supervisor->sessions.sessions.sessions[action->place];
	char sentence[EVENT_REASON_MAX], evidence[EVENT_EVIDENCE_MAX], name[SESSION_SHOWN_MAX];
	struct text text;

	if (is_old_news(session, action->record))
		return;
	write_what_fits(session, action->record, evidence);
	session_show(name, session->look.key);
	text_init(&text, sentence, sizeof(sentence));
	text_addf(&text, "Session %s", name);
	switch (action->record) {
	case SESSIONS_RECORD_STUCK:
		describe_stuck(session, &text);
		break;
	case SESSIONS_RECORD_ABORTED:
		describe_abort(supervisor, session, &text);
		break;
	case SESSIONS_RECORD_RECOVERED:
		describe_recovery(session, clock_boot_ms(), &text);
		break;
	case SESSIONS_RECORD_ABORT_FAILED:
		describe_failure(supervisor, session, &text);
		break;
	}
	events_record(supervisor, narrations[action->record].kind, narrations[action->record].severity,
	    supervisor->machine.incident, evidence, "%.*s", (int)utf8_whole(sentence, text.length), sentence);
}

void sessions_name_condemned(struct supervisor *supervisor)
{
	const struct sessions *sessions = &supervisor->sessions.sessions;
	const char *before = ": ";
	uint32_t named = 0;
	struct text text;

	text_init(&text, supervisor->sessions.condemned, sizeof(supervisor->sessions.condemned));
	for (uint32_t i = 0; i < sessions->table.used && named < NAMED_MAX; i++) {
		if (!sessions->table.places[i].is_taken || !sessions->sessions[i].counts)
			continue;
		text_add(&text, before);
		add_cut(&text, sessions->table.places[i].key, NAMED_BYTES);
		before = ", ";
		named++;
	}
	if (sessions->failed > named && named > 0)
		text_addf(&text, " and %u more", sessions->failed - named);
}
