#include "core/sessions.h"

#include <errno.h>
#include <string.h>

#include "core/sessions_step.h"

#define ROOM_FOR_ONE 3 /* actions that one session may need at once */

void sessions_init(struct sessions *sessions, const struct sessions_settings *settings)
{
	sessions->settings = settings;
	sessions->generation = sessions->serial = 0;
	sessions->now_ms = 0;
	sessions->memory = (struct sessions_memory){0};
	sessions_begin(sessions, 0);
}

void sessions_begin(struct sessions *sessions, uint64_t generation)
{
	sessions->generation = generation;
	sessions->stuck = sessions->failed = sessions->under_way = 0;
	session_table_clear(&sessions->table);
}

/* --- What is remembered over a restart. --- */

static int find_remembered(const struct sessions *sessions, int place)
{
	uint64_t hash = sessions->table.places[place].hash;

	for (uint32_t i = 0; i < sessions->memory.count; i++)
		if (sessions->memory.list[i].hash == hash)
			return (int)i;
	return -1;
}

static bool is_remembered(const struct sessions *sessions, int place)
{
	int at = find_remembered(sessions, place);

	return at >= 0 && sessions->now_ms - sessions->memory.list[at].at_ms < SESSIONS_REMEMBER_MS;
}

/* When there is no room, the oldest makes it. */
static void remember(struct sessions *sessions, int place)
{
	struct sessions_memory *memory = &sessions->memory;
	int at = find_remembered(sessions, place);

	if (at < 0 && memory->count < SESSIONS_REMEMBERED)
		at = (int)memory->count++;
	if (at < 0) {
		at = 0;
		for (int i = 1; i < SESSIONS_REMEMBERED; i++)
			if (memory->list[i].at_ms < memory->list[at].at_ms)
				at = i;
		/* Whom we forget cannot be told from those who are new: nobody is a reason for as long. */
		if (sessions->now_ms - memory->list[at].at_ms < SESSIONS_REMEMBER_MS)
			memory->full_until_ms = sessions->now_ms + SESSIONS_REMEMBER_MS;
	}
	memory->list[at].hash = sessions->table.places[place].hash;
	memory->list[at].at_ms = sessions->now_ms;
}

/* One of its runs has come to an end of its own. */
static void forget(struct sessions *sessions, int place, struct sessions_actions *actions)
{
	int at = find_remembered(sessions, place);

	if (at < 0)
		return;
	sessions->memory.list[at] = sessions->memory.list[--sessions->memory.count];
	sessions_act(actions, SESSIONS_SAVE, place);
}

void sessions_condemned(struct sessions *sessions, int64_t now_ms)
{
	sessions->now_ms = now_ms;
	for (uint32_t i = 0; i < sessions->table.used; i++)
		if (sessions->table.places[i].is_taken && sessions->sessions[i].state != SESSION_QUIET)
			remember(sessions, (int)i);
}

/* --- Moves. --- */

struct sessions_action *sessions_act(
    struct sessions_actions *actions, enum sessions_action_type type, int place)
{
	struct sessions_action *action = &actions->list[actions->count++];

	*action = (struct sessions_action){.type = type, .place = place};
	return action;
}

static void tell(struct sessions_actions *actions, enum sessions_record record, int place)
{
	sessions_act(actions, SESSIONS_TELL, place)->record = record;
}

static void enter(struct sessions *sessions, int place, enum session_state state, int64_t due_ms)
{
	struct session *session = &sessions->sessions[place];
	enum session_state before = session->state;
	bool counts = !is_remembered(sessions, place);

	sessions->stuck += (state != SESSION_QUIET) - (before != SESSION_QUIET);
	sessions->under_way += (state == SESSION_ABORTING) - (before == SESSION_ABORTING);
	if (before == SESSION_FAILED && session->counts)
		sessions->failed--;
	session->counts = state == SESSION_FAILED && counts;
	sessions->failed += session->counts;
	session->state = state;
	session->due_ms = due_ms;
	session_table_touch(&sessions->table, place, sessions->now_ms,
	    state != SESSION_QUIET || session->look.waits != SESSION_IDLE);
}

/* What is judged is this run and no other. */
static void judge(struct sessions *sessions, int place)
{
	struct session *session = &sessions->sessions[place];

	memcpy(session->judged_run, session->look.run, sizeof(session->judged_run));
	memcpy(session->judged_id, session->look.id, sizeof(session->judged_id));
	session->judged_at_ms = session->look.at_ms;
	session->judged_began_ms = session->look.began_ms;
	session->judged_began_real_ms = session->look.began_real_ms;
	session->stuck_ms = sessions->now_ms;
	session->limit_ms =
	    sessions_limit_ms(sessions->settings, session->look.key, (enum session_waits)session->look.waits);
	session->attempts = session->rounds = 0;
	session->outcome = ABORT_DONE;
}

static void ask(struct sessions *sessions, int place, struct sessions_actions *actions)
{
	struct session *session = &sessions->sessions[place];

	if (session->state == SESSION_FAILED)
		session->attempts = 0;
	session->attempts++;
	/* The sentry outlives us: what it answers to a former life is not ours. */
	sessions->serial++;
	if (sessions->serial < (uint64_t)sessions->now_ms)
		sessions->serial = (uint64_t)sessions->now_ms;
	session->serial = sessions->serial;
	enter(sessions, place, SESSION_ABORTING, sessions->now_ms + SESSIONS_ANSWER_MS);
	sessions_act(actions, SESSIONS_ABORT, place);
}

static void recover(struct sessions *sessions, int place, struct sessions_actions *actions)
{
	tell(actions, SESSIONS_RECORD_RECOVERED, place);
	enter(sessions, place, SESSION_QUIET, 0);
}

/* What was judged is so by the last look as well. Whether a person is right is not ours to judge. */
static bool is_still_so(const struct sessions *sessions, const struct session *session)
{
	return session->by_person || sessions_is_stuck(sessions->settings, &session->look);
}

/* An attempt has not taken. */
static void attempt_failed(struct sessions *sessions, int place, struct sessions_actions *actions)
{
	struct session *session = &sessions->sessions[place];

	if (session->attempts < SESSIONS_ATTEMPTS) {
		enter(sessions, place, SESSION_STUCK, sessions->now_ms);
		return;
	}
	/* What a person could not end speaks against the gateway only if it is stuck. */
	if (sessions_is_stuck(sessions->settings, &session->look)) {
		session->by_person = false;
		enter(sessions, place, SESSION_FAILED, sessions->now_ms + SESSIONS_AGAIN_MS);
	} else {
		enter(sessions, place, SESSION_QUIET, 0);
	}
	session->rounds++;
	tell(actions, SESSIONS_RECORD_ABORT_FAILED, place);
}

/* What is due for one that is stuck. `may_ask`: it was looked at just now, and what was judged may be asked
 * for. */
static void advance(struct sessions *sessions, int place, bool may_ask, struct sessions_actions *actions)
{
	struct session *session = &sessions->sessions[place];

	if (session->state == SESSION_QUIET || sessions->now_ms < session->due_ms)
		return;
	switch (session->state) {
	case SESSION_FAILED:
	case SESSION_STUCK:
		if ((may_ask || session->by_person) && is_still_so(sessions, session) &&
		    sessions->under_way < SESSIONS_ABORTS_MAX)
			ask(sessions, place, actions);
		break;
	case SESSION_ABORTING: /* nobody has answered */
		session->outcome = ABORT_UNREACHABLE;
		enter(sessions, place, SESSION_VERIFYING, sessions->now_ms + SESSIONS_REFUSED_MS);
		break;
	case SESSION_VERIFYING:
		/* That it is still there must be seen after that: looks that do not come are no evidence. */
		if (session->look.at_ms >= session->due_ms && is_still_so(sessions, session))
			attempt_failed(sessions, place, actions);
		break;
	default:
		break;
	}
}

static void condemn(const struct sessions *sessions, bool may_act, struct sessions_actions *actions)
{
	uint32_t count = 0;

	if (!may_act || sessions->failed < sessions->settings->threshold ||
	    sessions->now_ms < sessions->memory.full_until_ms)
		return;
	for (uint32_t i = 0; i < sessions->table.used; i++)
		count += sessions->table.places[i].is_taken && sessions->sessions[i].counts &&
		         sessions->now_ms - sessions->sessions[i].look.at_ms <= SESSIONS_FRESH_MS;
	if (count >= sessions->settings->threshold)
		sessions_act(actions, SESSIONS_CONDEMN, -1)->count = count;
}

/* --- What came. --- */

static void begin_step(struct sessions *sessions, int64_t now_ms, struct sessions_actions *actions)
{
	actions->count = 0;
	if (now_ms > sessions->now_ms)
		sessions->now_ms = now_ms;
}

/* A sentry that is new to a run knows less of it than we were told before. */
static void take_look(struct session *session, const struct session_look *look)
{
	struct session_look before = session->look;

	session->look = *look;
	if (before.waits == SESSION_IDLE || look->waits == SESSION_IDLE || !sessions_same_run(&before, look))
		return;
	if (look->run[0] == '\0')
		memcpy(session->look.run, before.run, sizeof(before.run));
	if (look->began_ms == 0)
		session->look.began_ms = before.began_ms;
	if (look->began_real_ms == 0)
		session->look.began_real_ms = before.began_real_ms;
	if (look->witnesses & SESSION_WITNESS_EVENTS)
		return;
	session->look.witnesses |= before.witnesses & SESSION_WITNESS_EVENTS;
	/* That a tool is at work, or a person is asked, only events say: without them it looks like any
	 * other. */
	if (look->waits == SESSION_WAITS_MODEL && (before.witnesses & SESSION_WITNESS_EVENTS)) {
		session->look.waits = before.waits;
		memcpy(session->look.tool, before.tool, sizeof(before.tool));
	}
}

static void found_stuck(struct sessions *sessions, int place, struct sessions_actions *actions)
{
	struct session *session = &sessions->sessions[place];
	const struct session_look *look = &session->look;
	int64_t due_ms = sessions->now_ms;

	session->by_person = false;
	judge(sessions, place);
	if (look->recovery == SESSION_RECOVERY_CHECKING && look->recovery_ms + SESSIONS_TURN_MS > due_ms)
		due_ms = look->recovery_ms + SESSIONS_TURN_MS;
	enter(sessions, place, SESSION_STUCK, due_ms);
	tell(actions, SESSIONS_RECORD_STUCK, place);
}

static bool is_over(const struct session *session)
{
	return session->state != SESSION_QUIET && session->state != SESSION_ABORTING &&
	       sessions_has_left(session);
}

void sessions_looked(struct sessions *sessions, const struct session_look *look, bool may_act, int64_t now_ms,
    struct sessions_actions *actions)
{
	struct session *session;
	bool is_new, ends_itself;
	int place;

	begin_step(sessions, now_ms, actions);
	place = look->gone ? session_table_find(&sessions->table, look->key)
	                   : session_table_add(&sessions->table, look->key, sessions->now_ms, &is_new);
	if (place < 0)
		return;
	session = &sessions->sessions[place];
	if (!look->gone && is_new)
		*session = (struct session){0};
	if (look->at_ms < session->look.at_ms) /* of a sentry that has a successor */
		return;
	/* One that was to be aborted may yet end of that, after having moved. */
	ends_itself = session->look.waits != SESSION_IDLE && look->waits == SESSION_IDLE &&
	              !(session->attempts > 0 && sessions_is_judged(session));
	take_look(session, look);
	/* While an answer is awaited, it is what tells of the end first. */
	if (look->gone ? session->state != SESSION_QUIET : is_over(session))
		recover(sessions, place, actions);
	else if (session->state == SESSION_QUIET && ends_itself && !look->gone)
		forget(sessions, place, actions);
	if (look->gone) {
		session_table_remove(&sessions->table, place);
		return;
	}
	enter(sessions, place, session->state, session->due_ms);
	if (session->state == SESSION_QUIET && may_act &&
	    sessions_is_stuck(sessions->settings, &session->look))
		found_stuck(sessions, place, actions);
	advance(sessions, place, may_act, actions);
}

static int find_serial(const struct sessions *sessions, uint64_t serial)
{
	for (uint32_t i = 0; i < sessions->table.used; i++)
		if (sessions->table.places[i].is_taken && sessions->sessions[i].state == SESSION_ABORTING &&
		    sessions->sessions[i].serial == serial)
			return (int)i;
	return -1;
}

void sessions_answered(struct sessions *sessions, uint64_t serial, enum abort_outcome outcome, int64_t now_ms,
    struct sessions_actions *actions)
{
	int place = find_serial(sessions, serial);
	struct session *session;

	begin_step(sessions, now_ms, actions);
	if (place < 0 || outcome >= ABORT_OUTCOME_COUNT)
		return;
	session = &sessions->sessions[place];
	session->outcome = outcome;
	switch (outcome) {
	case ABORT_DONE:
		tell(actions, SESSIONS_RECORD_ABORTED, place);
		__attribute__((fallthrough));
	case ABORT_NOTHING:
		enter(sessions, place, SESSION_VERIFYING, sessions->now_ms + SESSIONS_VERIFY_MS);
		break;
	case ABORT_MOVED:
		recover(sessions, place, actions);
		break;
	default:
		enter(sessions, place, SESSION_VERIFYING, sessions->now_ms + SESSIONS_REFUSED_MS);
		break;
	}
	if (is_over(session))
		recover(sessions, place, actions);
}

void sessions_tick(struct sessions *sessions, bool may_act, int64_t now_ms, struct sessions_actions *actions)
{
	begin_step(sessions, now_ms, actions);
	for (uint32_t i = 0; sessions->stuck > 0 && i < sessions->table.used; i++) {
		if (actions->count + ROOM_FOR_ONE > SESSIONS_ACTIONS_MAX)
			return; /* the next tick goes on */
		if (sessions->table.places[i].is_taken)
			advance(sessions, (int)i, false, actions);
	}
	condemn(sessions, may_act, actions);
}

int sessions_abort(
    struct sessions *sessions, const char *key, int64_t now_ms, struct sessions_actions *actions)
{
	int place = session_table_find(&sessions->table, key);
	struct session *session;

	begin_step(sessions, now_ms, actions);
	if (place < 0)
		return -ENOENT;
	session = &sessions->sessions[place];
	if (session->look.waits == SESSION_IDLE)
		return -ENODATA;
	if (session->state == SESSION_ABORTING || session->state == SESSION_VERIFYING)
		return -EALREADY;
	judge(sessions, place);
	session->by_person = true;
	enter(sessions, place, SESSION_STUCK, sessions->now_ms);
	advance(sessions, place, false, actions);
	return 0;
}
