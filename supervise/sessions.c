/* Stuck sessions: the sentry's looks go to the core's judge, and what it decides to the sentry, to the record
 * and to the core's table. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "supervise/supervisor.h"
#include "worker/session_policy.h"

#define TICK_MS 1000

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
	if (record->sessions_size != sizeof(*memory))
		return;
	memcpy(memory, record->sessions, sizeof(*memory));
	if (memory->count > SESSIONS_REMEMBERED)
		memory->count = 0;
}

void sessions_save(struct supervisor *supervisor)
{
	const struct sessions_memory *memory = &supervisor->sessions.sessions.memory;

	supervisor->record.sessions_size = sizeof(*memory);
	memcpy(supervisor->record.sessions, memory, sizeof(*memory));
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

	sessions_name_condemned(supervisor);
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
			sessions_tell(supervisor, action);
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

static void looked(struct supervisor *supervisor, const struct message_sessions *message)
{
	struct sessions_actions actions;

	for (uint32_t i = 0; i < message->count; i++) {
		if (message->looks[i].waits >= SESSION_WAITS_COUNT)
			continue;
		sessions_looked(&supervisor->sessions.sessions, &message->looks[i], may_act(supervisor),
		    clock_boot_ms(), &actions);
		carry_out(supervisor, &actions);
	}
}

static bool is_awaited(const struct sessions *sessions, uint64_t serial)
{
	for (uint32_t i = 0; i < sessions->table.used; i++)
		if (sessions->table.places[i].is_taken && sessions->sessions[i].state == SESSION_ABORTING &&
		    sessions->sessions[i].serial == serial)
			return true;
	return false;
}

/* In the place of the oldest: serials grow. */
static void keep_answer(struct supervisor *supervisor, uint64_t serial, const char *sentence)
{
	struct session_answer *answers = supervisor->sessions.answers, *place = &answers[0];

	if (!is_awaited(&supervisor->sessions.sessions, serial))
		return;
	for (uint32_t i = 1; i < SESSION_ANSWERS_MAX; i++)
		if (answers[i].serial < place->serial)
			place = &answers[i];
	place->serial = serial;
	text_copy(place->sentence, sizeof(place->sentence), sentence);
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
	keep_answer(supervisor, message->aborted.serial, message->aborted.sentence);
	sessions_answered(&supervisor->sessions.sessions, message->aborted.serial,
	    (enum abort_outcome)message->aborted.outcome, clock_boot_ms(), &actions);
	carry_out(supervisor, &actions);
}

/* --- What people ask. --- */

/* Whether there are any to speak of. Returns 0, or a negative errno with `sentence`. */
static int check_gateway(const struct supervisor *supervisor, char *sentence, size_t size)
{
	if (supervisor->settings->gateway.kind == GATEWAY_GENERIC) {
		snprintf(
		    sentence, size, "Only an OpenClaw gateway has sessions that are known; this is another.");
		return -EOPNOTSUPP;
	}
	if (!supervisor->machine.alive) {
		snprintf(sentence, size,
		    "No gateway is running, and so no session (its state is \"%s\"): \"holdfast status\" "
		    "says "
		    "more.",
		    supervision_state_name(supervisor->machine.state));
		return -ESRCH;
	}
	return 0;
}

int sessions_abort_asked(struct supervisor *supervisor, const char *key, char *sentence, size_t size)
{
	char name[SESSION_SHOWN_MAX];
	struct sessions_actions actions;
	int result = check_gateway(supervisor, sentence, size);

	if (result < 0)
		return result;
	result = sessions_abort(&supervisor->sessions.sessions, key, clock_boot_ms(), &actions);
	session_show(name, key);
	switch (result) {
	case 0:
		snprintf(sentence, size,
		    "The gateway is asked to abort the run of session %s; \"holdfast events --kind "
		    "'session.*'\" tells what became of it.",
		    name);
		carry_out(supervisor, &actions);
		break;
	case -ENODATA:
		snprintf(sentence, size, "Session %s has no run that could be aborted.", name);
		break;
	case -EALREADY:
		snprintf(sentence, size, "Session %s is being aborted already.", name);
		break;
	default:
		snprintf(sentence, size,
		    "No session %s is known: \"holdfast sessions --all\" lists those that are.", name);
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

	*reply = (struct control_sessions){.version = CONTROL_VERSION};
	reply->code = check_gateway(supervisor, reply->sentence, sizeof(reply->sentence));
	if (reply->code < 0 || sessions->generation != supervisor->machine.generation)
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
