/* What must hold after every step: each has a bug planted for it in sessions_plants.c. */
#include <inttypes.h>
#include <string.h>

#include "tests/simulation/sessions_world.h"

#define SLACK_MS   10000
#define SETTLED_MS (SESSIONS_ANSWER_MS + SESSIONS_VERIFY_MS + 2 * SLACK_MS)

const char *sessions_check_name(enum sessions_check check)
{
	static const char *const names[SESSIONS_CHECK_COUNT] = {"none", "silent", "waits", "relayed",
	    "witnesses", "may-act", "turn", "run", "once", "max", "again", "found", "settled", "answer",
	    "recovered", "attempts", "seen", "threshold", "remembered", "saved", "counts", "table", "room"};

	return names[check];
}

static int64_t limit_of(const struct sessions_world *world, const struct played *played, uint32_t waits)
{
	return sessions_limit_ms(&world->settings, played->key, (enum session_waits)waits);
}

static uint32_t witnesses_of(const struct played *played)
{
	return played->last.witnesses |
	       (played->last_run != 0 && played->told_run == played->last_run ? SESSION_WITNESS_EVENTS : 0);
}

void sessions_check_violate(
    struct sessions_world *world, enum sessions_check check, const struct played *played)
{
	if (world->violated != SESSIONS_CHECK_NONE)
		return;
	world->violated = check;
	snprintf(world->why, sizeof(world->why),
	    "%s: session %s, run %" PRIu64 " (judged %" PRIu64 "), silent %" PRIi64 " ms in a look %" PRIi64
	    " ms old, waits %u (%u), witnesses %x, attempts %u (seed %" PRIu64 ", step %" PRIu64 ")",
	    sessions_check_name(check), played != NULL ? played->key : "-", played != NULL ? played->run : 0,
	    played != NULL ? played->judged_run : 0, played != NULL ? played->last_silent_ms : 0,
	    played != NULL ? world->now_ms - played->last.at_ms : 0, played != NULL ? played->last.waits : 0,
	    played != NULL ? played->last_waits : 0, played != NULL ? witnesses_of(played) : 0,
	    played != NULL ? played->asks : 0, world->seed, world->steps);
}

static bool is_pending(const struct sessions_world *world, const struct played *played)
{
	return played->pending && world->now_ms < played->asked_ms[1] + SESSIONS_ANSWER_MS;
}

static uint32_t count_pending(const struct sessions_world *world)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < world->played_count; i++)
		count += is_pending(world, &world->played[i]);
	return count;
}

static void end_story(struct played *played)
{
	played->judged = played->failed = played->by_person = played->pending = false;
	played->asks = 0;
	played->asked_ms[0] = played->asked_ms[1] = INT64_MIN / 2;
	played->settled_ms = played->ripe_ms = played->turn_ms = 0;
}

/* --- What is true of a session when something is done against it. --- */

static void check_evidence(struct sessions_world *world, const struct played *played)
{
	uint32_t witnesses = witnesses_of(played), waits = played->last_waits;

	/* What began while nobody watched is not known to be something else. */
	if ((witnesses & ~played->last.witnesses) && played->last.waits == SESSION_WAITS_MODEL)
		waits = played->told_waits;
	if (waits != SESSION_WAITS_MODEL && waits != SESSION_WAITS_TOOL)
		sessions_check_violate(world, SESSIONS_CHECK_WAITS, played);
	if (played->last.relayed)
		sessions_check_violate(world, SESSIONS_CHECK_RELAYED, played);
	if ((witnesses & (witnesses - 1)) == 0)
		sessions_check_violate(world, SESSIONS_CHECK_WITNESSES, played);
	if (played->last_silent_ms < limit_of(world, played, waits) ||
	    world->now_ms - played->last.at_ms > POST_LATE_MAX_MS)
		sessions_check_violate(world, SESSIONS_CHECK_SILENT, played);
}

/* Whether everything that the look says speaks for an abort: judged once more, by what is written of it. */
static bool speaks_against(const struct sessions_world *world, const struct played *played)
{
	const struct session_look *look = &played->last;
	uint32_t witnesses = witnesses_of(played), waits = look->waits;
	int64_t limit_ms;

	if (look->gone || look->relayed || !(witnesses & (SESSION_WITNESS_LIST | SESSION_WITNESS_LOCK)))
		return false;
	if ((witnesses & ~look->witnesses) && waits == SESSION_WAITS_MODEL)
		waits = played->told_waits;
	limit_ms = limit_of(world, played, waits);
	if (witnesses & SESSION_WITNESS_EVENTS)
		return look->quiet_ms >= limit_ms;
	return (witnesses & SESSION_WITNESS_LOG) && look->own_quiet_ms >= limit_ms &&
	       look->quiet_ms >= limit_ms;
}

void sessions_check_look(struct sessions_world *world, struct played *played, bool may_act)
{
	bool has_room = count_pending(world) < SESSIONS_ABORTS_MAX;
	bool full =
	    may_act && speaks_against(world, played) && played->last.at_ms - played->previous_ms < SLACK_MS;
	bool pending = is_pending(world, played);
	int64_t turn_ms = played->last.recovery == SESSION_RECOVERY_CHECKING
	                      ? played->last.recovery_ms + SESSIONS_TURN_MS
	                      : 0;

	if (full && !has_room && !pending)
		sessions_world_see(world, SEEN_NO_ROOM);
	if (!full || !has_room || pending || (played->asks > 0 && !played->failed) ||
	    (played->failed && world->now_ms < played->again_ms))
		played->ripe_ms = 0;
	else if (played->ripe_ms == 0)
		played->ripe_ms = turn_ms > world->now_ms ? turn_ms : world->now_ms;
	else if (world->now_ms - (played->turn_ms > played->ripe_ms ? played->turn_ms : played->ripe_ms) >
	         SLACK_MS)
		sessions_check_violate(world, SESSIONS_CHECK_FOUND, played);
	if (!full || played->asks == 0 || played->failed || (!has_room && !pending))
		played->settled_ms = 0;
	else if (played->settled_ms == 0 || played->settled_ms < played->asked_ms[1])
		played->settled_ms = world->now_ms;
	else if (world->now_ms - played->settled_ms > SETTLED_MS)
		sessions_check_violate(world, SESSIONS_CHECK_SETTLED, played);
}

/* --- What the core wants. --- */

/* A person may want what nobody can tell from another run. */
static bool can_be_told(const struct played *played)
{
	return !played->by_person || played->last.run[0] != '\0' || played->last.began_ms != 0;
}

static void check_abort(
    struct sessions_world *world, const struct session *session, struct played *played, bool may_act)
{
	bool is_known = can_be_told(played);
	char run[SESSION_RUN_MAX];

	snprintf(run, sizeof(run), "run-%" PRIu64, played->judged_run);
	if (is_pending(world, played))
		sessions_check_violate(world, SESSIONS_CHECK_ONCE, played);
	if (count_pending(world) >= SESSIONS_ABORTS_MAX)
		sessions_check_violate(world, SESSIONS_CHECK_MAX, played);
	if (!played->judged || (is_known && played->last_run != played->judged_run) ||
	    (session->judged_run[0] != '\0' && strcmp(session->judged_run, run) != 0))
		sessions_check_violate(world, SESSIONS_CHECK_RUN, played);
	if (!played->by_person) {
		if (!may_act)
			sessions_check_violate(world, SESSIONS_CHECK_MAY_ACT, played);
		if (world->now_ms < played->turn_ms)
			sessions_check_violate(world, SESSIONS_CHECK_TURN, played);
		check_evidence(world, played);
		if (world->now_ms - played->asked_ms[0] < SESSIONS_AGAIN_MS)
			sessions_check_violate(world, SESSIONS_CHECK_AGAIN, played);
		world->seen[SEEN_ASKED_OF_DARK] += played->dark;
		world->seen[SEEN_ASKED_BY_CARRIED] +=
		    (witnesses_of(played) & ~played->last.witnesses & SESSION_WITNESS_EVENTS) != 0;
		world->seen[SEEN_CLAIMED_IN_VAIN] += played->last.recovery == SESSION_RECOVERY_CLAIMED;
	}
	world->seen[SEEN_ASKED]++;
	world->seen[SEEN_ASKED_AGAIN] += played->failed;
	played->failed = false;
	played->pending = true;
	played->serial = session->serial;
	played->asks++;
	played->asked_ms[0] = played->asked_ms[1];
	played->asked_ms[1] = world->now_ms;
	played->verify_ms = world->now_ms + SESSIONS_ANSWER_MS + SESSIONS_REFUSED_MS;
}

static void check_stuck(struct sessions_world *world, struct played *played, bool may_act)
{
	const struct session_look *look = &played->last;

	check_evidence(world, played);
	if (!may_act)
		sessions_check_violate(world, SESSIONS_CHECK_MAY_ACT, played);
	end_story(played);
	played->judged = true;
	played->asked_in_this_life = false; /* what was asked before has not ended it */
	played->judged_run = played->last_run;
	played->judged_moved_ms = look->at_ms - played->last_silent_ms;
	if (look->recovery == SESSION_RECOVERY_CHECKING &&
	    look->recovery_ms + SESSIONS_TURN_MS > world->now_ms) {
		played->turn_ms = look->recovery_ms + SESSIONS_TURN_MS;
		world->seen[SEEN_TURN]++;
	}
	world->seen[SEEN_STUCK]++;
}

static void check_recovered(struct sessions_world *world, struct played *played)
{
	if (!played->judged || (played->run == played->judged_run &&
	                           (played->by_person || played->moved_ms <= played->judged_moved_ms)))
		sessions_check_violate(world, SESSIONS_CHECK_RECOVERED, played);
	world->seen[SEEN_RECOVERED]++;
	world->seen[SEEN_RECOVERED_ITSELF] += played->asks == 0 && !played->failed;
	world->seen[SEEN_GONE_WHILE_STUCK] += played->last.gone != 0;
	world->seen[SEEN_NEW_RUN_BETWEEN] += played->last_run != 0 && played->last_run != played->judged_run;
	end_story(played);
}

static void check_failed(struct sessions_world *world, const struct session *session, struct played *played)
{
	if (played->asks < SESSIONS_ATTEMPTS)
		sessions_check_violate(world, SESSIONS_CHECK_ATTEMPTS, played);
	if ((can_be_told(played) && played->last_run != played->judged_run) ||
	    played->last.at_ms < played->verify_ms)
		sessions_check_violate(world, SESSIONS_CHECK_SEEN, played);
	world->seen[SEEN_FAILED]++;
	world->seen[SEEN_PERSON_FAILED] += played->by_person;
	/* What a person could not end, and is not stuck, is nobody's business any more. */
	if (session->state != SESSION_FAILED) {
		if (!played->by_person)
			sessions_check_violate(world, SESSIONS_CHECK_COUNTS, played);
		end_story(played);
		return;
	}
	check_evidence(world, played);
	if (played->remembered_ms != 0) {
		bool expired = world->now_ms - played->remembered_ms >= SESSIONS_REMEMBER_MS;

		sessions_world_see(world, expired ? SEEN_REMEMBERED_EXPIRED : SEEN_FAILED_REMEMBERED);
	}
	played->failed = true;
	played->by_person = played->pending = false;
	played->asks = 0;
	played->again_ms = world->now_ms + SESSIONS_AGAIN_MS;
}

static void check_tell(
    struct sessions_world *world, const struct sessions_action *action, struct played *played, bool may_act)
{
	switch (action->record) {
	case SESSIONS_RECORD_STUCK:
		check_stuck(world, played, may_act);
		break;
	case SESSIONS_RECORD_ABORTED:
		world->seen[SEEN_ABORTED]++;
		if (world->answer == NULL || &world->played[world->answer->session] != played)
			sessions_check_violate(world, SESSIONS_CHECK_ANSWER, played);
		break;
	case SESSIONS_RECORD_RECOVERED:
		check_recovered(world, played);
		break;
	case SESSIONS_RECORD_ABORT_FAILED:
		check_failed(world, &world->core.sessions[action->place], played);
		break;
	}
}

static void check_condemn(struct sessions_world *world, uint32_t said, bool may_act)
{
	uint32_t failed = 0, new = 0;

	for (uint32_t i = 0; i < world->played_count; i++) {
		const struct played *played = &world->played[i];

		failed += played->failed;
		new += played->failed && (played->remembered_ms == 0 ||
		                             world->now_ms - played->remembered_ms >= SESSIONS_REMEMBER_MS);
	}
	if (!may_act)
		sessions_check_violate(world, SESSIONS_CHECK_MAY_ACT, NULL);
	if (failed < world->settings.threshold || said > failed)
		sessions_check_violate(world, SESSIONS_CHECK_THRESHOLD, NULL);
	if (new < world->settings.threshold)
		sessions_check_violate(world, SESSIONS_CHECK_REMEMBERED, NULL);
}

void sessions_check_actions(struct sessions_world *world, bool may_act)
{
	const struct sessions_actions *actions = &world->actions;

	if (actions->count > SESSIONS_ACTIONS_MAX) {
		sessions_check_violate(world, SESSIONS_CHECK_ROOM, NULL);
		return;
	}
	for (uint32_t i = 0; i < actions->count && world->violated == SESSIONS_CHECK_NONE; i++) {
		const struct sessions_action *action = &actions->list[i];
		struct played *played = action->place >= 0 ? sessions_world_find(world,
		                                                 world->core.sessions[action->place].look.key)
		                                           : NULL;

		if (action->type == SESSIONS_CONDEMN)
			check_condemn(world, action->count, may_act);
		else if (played == NULL)
			sessions_check_violate(world, SESSIONS_CHECK_TABLE, NULL);
		else if (action->type == SESSIONS_ABORT)
			check_abort(world, &world->core.sessions[action->place], played, may_act);
		else if (action->type == SESSIONS_TELL)
			check_tell(world, action, played, may_act);
	}
}

/* --- What the core has counted. --- */

static void check_table(struct sessions_world *world)
{
	const struct session_table *table = &world->core.table;
	uint32_t taken = 0;

	for (uint32_t i = 0; i < table->used; i++)
		taken += table->places[i].is_taken;
	if (taken != table->count || table->used > SESSIONS_MAX)
		sessions_check_violate(world, SESSIONS_CHECK_TABLE, NULL);
	for (uint32_t i = 0; i < world->played_count; i++)
		if (world->played[i].told && world->played[i].last.waits != SESSION_IDLE &&
		    session_table_find(table, world->played[i].key) < 0)
			sessions_check_violate(world, SESSIONS_CHECK_TABLE, &world->played[i]);
}

static bool is_in_memory(const struct sessions *core, uint64_t hash)
{
	for (uint32_t i = 0; i < core->memory.count; i++)
		if (core->memory.list[i].hash == hash)
			return true;
	return false;
}

void sessions_check_counts(struct sessions_world *world)
{
	const struct sessions *core = &world->core;
	const struct sessions_memory *memory = &core->memory;
	uint32_t stuck = 0, counting = 0, under_way = 0;

	if (memory->count != world->record.count ||
	    memcmp(memory->list, world->record.list, memory->count * sizeof(memory->list[0])) != 0)
		sessions_check_violate(world, SESSIONS_CHECK_SAVED, NULL);
	if (core->table.used > PLAYED_MAX && world->steps % 64 != 0)
		return;
	check_table(world);
	for (uint32_t i = 0; i < core->table.used; i++) {
		const struct session *session = &core->sessions[i];
		const struct played *played;

		if (!core->table.places[i].is_taken)
			continue;
		stuck += session->state != SESSION_QUIET;
		under_way += session->state == SESSION_ABORTING;
		counting += session->counts;
		if (session->state == SESSION_QUIET && !session->counts)
			continue;
		played = sessions_world_find(world, core->table.places[i].key);
		if (played == NULL || (session->state == SESSION_FAILED) != played->failed ||
		    (session->counts && !played->failed) ||
		    (played->failed && !session->counts && !is_in_memory(core, core->table.places[i].hash)))
			sessions_check_violate(world, SESSIONS_CHECK_COUNTS, played);
	}
	if (stuck != core->stuck || counting != core->failed || under_way != core->under_way)
		sessions_check_violate(world, SESSIONS_CHECK_COUNTS, NULL);
}

/* --- What happens besides. --- */

bool sessions_check_answered(struct sessions_world *world, struct played *played, const struct post *answer)
{
	bool decides = answer->outcome == ABORT_DONE || answer->outcome == ABORT_NOTHING;

	if (!played->pending || played->serial != answer->serial)
		return false;
	played->pending = false;
	if (is_pending(world, played))
		return true;
	/* What is awaited no longer may come in the same moment in which patience ends. */
	if (world->now_ms < played->asked_ms[1] + SESSIONS_ANSWER_MS)
		played->verify_ms = world->now_ms + (decides ? SESSIONS_VERIFY_MS : SESSIONS_REFUSED_MS);
	return true;
}

void sessions_check_begin(struct sessions_world *world, bool other_life)
{
	for (uint32_t i = 0; i < world->played_count; i++) {
		struct played *played = &world->played[i];

		end_story(played);
		played->told = false;
		played->told_run = played->last_run = 0;
		played->last = (struct session_look){0};
		played->asked_in_this_life &= !other_life;
	}
}

void sessions_check_condemned(struct sessions_world *world)
{
	for (uint32_t i = 0; i < world->played_count; i++)
		if (world->played[i].failed)
			world->played[i].remembered_ms = world->now_ms;
}

void sessions_check_ended(struct sessions_world *world, struct played *played, bool itself)
{
	if (itself && played->remembered_ms != 0) {
		played->remembered_ms = 0;
		sessions_world_see(world, SEEN_REMEMBERED_FORGOTTEN);
	}
}
