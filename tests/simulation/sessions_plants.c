#include <string.h>

#include "base/text.h"
#include "tests/simulation/sessions_world.h"

#define BEFORE(name)      static void name(struct sessions_world *world, struct session_look *look)
#define BEFORE_TICK(name) static void name(struct sessions_world *world)
#define AFTER(name)       static void name(struct sessions_world *world, struct sessions_actions *actions)

BEFORE(is_impatient)
{
	look->quiet_ms *= 2;
	look->own_quiet_ms *= 2;
}

BEFORE(is_blind)
{
	look->quiet_ms = look->own_quiet_ms = 0;
}

BEFORE(rushes_people)
{
	if (look->waits == SESSION_WAITS_PERSON)
		look->waits = SESSION_WAITS_MODEL;
}

BEFORE(rushes_the_queue)
{
	if (look->waits == SESSION_WAITS_TURN)
		look->waits = SESSION_WAITS_MODEL;
}

BEFORE(ignores_the_relay)
{
	look->relayed = false;
}

BEFORE(is_content_with_one_witness)
{
	if (look->witnesses & (SESSION_WITNESS_EVENTS | SESSION_WITNESS_LOG))
		look->witnesses |= SESSION_WITNESS_LIST;
}

BEFORE(cannot_tell_runs)
{
	look->run[0] = look->id[0] = '\0';
	look->began_ms = look->began_real_ms = look->moved_ms = 0;
}

BEFORE(waits_for_nobody)
{
	look->recovery = SESSION_RECOVERY_NONE;
}

BEFORE(believes_claims)
{
	int place = session_table_find(&world->core.table, look->key);

	if (look->recovery == SESSION_RECOVERY_CLAIMED && place >= 0 &&
	    world->core.sessions[place].state != SESSION_QUIET)
		look->waits = SESSION_IDLE;
}

/* What was told before is as good as what is told now. */
BEFORE_TICK(sees_without_looking)
{
	for (uint32_t i = 0; i < world->core.table.used; i++)
		if (world->core.sessions[i].state == SESSION_VERIFYING)
			world->core.sessions[i].look.at_ms = world->now_ms;
}

BEFORE_TICK(is_never_done)
{
	for (uint32_t i = 0; i < world->core.table.used; i++)
		if (world->core.sessions[i].state == SESSION_VERIFYING)
			world->core.sessions[i].due_ms = world->now_ms + 60000;
}

static void add(struct sessions_actions *actions, enum sessions_action_type type, int place)
{
	if (actions->count < SESSIONS_ACTIONS_MAX)
		actions->list[actions->count++] = (struct sessions_action){.type = type, .place = place};
}

AFTER(names_another_run)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == SESSIONS_ABORT)
			text_copy(world->core.sessions[actions->list[i].place].judged_run,
			    sizeof(world->core.sessions[actions->list[i].place].judged_run), "run-0");
}

AFTER(asks_twice)
{
	if (actions->count > 0 && actions->list[actions->count - 1].type == SESSIONS_ABORT)
		add(actions, SESSIONS_ABORT, actions->list[actions->count - 1].place);
}

/* Whoever waits for its turn has it. */
AFTER(knows_no_limit)
{
	for (uint32_t i = 0; i < world->core.table.used; i++) {
		struct session *session = &world->core.sessions[i];

		if (world->core.under_way < SESSIONS_ABORTS_MAX || session->state != SESSION_STUCK ||
		    !world->core.table.places[i].is_taken || actions->count > 0)
			continue;
		session->state = SESSION_ABORTING;
		session->serial = ++world->core.serial;
		session->due_ms = world->now_ms + SESSIONS_ANSWER_MS;
		session->attempts++;
		world->core.under_way++;
		add(actions, SESSIONS_ABORT, (int)i);
	}
}

AFTER(insists)
{
	for (uint32_t i = 0; i < world->core.table.used; i++) {
		struct session *session = &world->core.sessions[i];

		if (session->state == SESSION_FAILED && session->due_ms > world->now_ms + 60000)
			session->due_ms = world->now_ms + 60000;
	}
}

AFTER(tries_once)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == SESSIONS_ABORT)
			world->core.sessions[actions->list[i].place].attempts = SESSIONS_ATTEMPTS;
}

AFTER(tells_none_apart)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == SESSIONS_ABORT)
			world->core.sessions[actions->list[i].place].serial = 1;
}

AFTER(believes_answers)
{
	if (actions->count == 0 || actions->list[0].record != SESSIONS_RECORD_ABORTED ||
	    actions->list[0].type != SESSIONS_TELL || actions->count > 1)
		return;
	add(actions, SESSIONS_TELL, actions->list[0].place);
	actions->list[1].record = SESSIONS_RECORD_RECOVERED;
}

AFTER(condemns_early)
{
	if (world->core.failed > 0 && world->core.failed + 1 == world->settings.threshold &&
	    sessions_world_may_act(world) && actions->count == 0) {
		add(actions, SESSIONS_CONDEMN, -1);
		actions->list[0].count = world->core.failed;
	}
}

AFTER(saves_nothing)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == SESSIONS_SAVE)
			actions->list[i--] = actions->list[--actions->count];
}

AFTER(miscounts)
{
	if (actions->count > 0 && actions->list[0].type == SESSIONS_TELL &&
	    actions->list[0].record == SESSIONS_RECORD_ABORT_FAILED)
		world->core.failed++;
}

AFTER(evicts_who_runs)
{
	if (world->steps % 64 != 0)
		return;
	for (uint32_t i = 0; i < world->core.table.used && world->core.table.used > PLAYED_MAX; i++)
		if (world->core.table.places[i].is_taken && world->core.sessions[i].state == SESSION_QUIET &&
		    world->core.sessions[i].look.waits != SESSION_IDLE)
			session_table_remove(&world->core.table, (int)i);
}

AFTER(overflows)
{
	if (world->core.stuck > 6)
		actions->count = SESSIONS_ACTIONS_MAX + 1;
}

static const struct sessions_plant plants[] = {
    {"is-impatient", "half of the limit is enough", SESSIONS_CHECK_SILENT, .before = is_impatient},
    {"is-blind", "no silence is seen", SESSIONS_CHECK_FOUND, .before = is_blind},
    {"rushes-people", "a person's approval is a model's answer", SESSIONS_CHECK_WAITS,
        .before = rushes_people},
    {"rushes-the-queue", "a turn is a model's answer", SESSIONS_CHECK_WAITS, .before = rushes_the_queue},
    {"ignores-the-relay", "what the relay has is not heard", SESSIONS_CHECK_RELAYED,
        .before = ignores_the_relay},
    {"is-content-with-one", "one witness is enough", SESSIONS_CHECK_WITNESSES,
        .before = is_content_with_one_witness},
    {"acts-always", "a pause is not heard of", SESSIONS_CHECK_MAY_ACT, .acts_always = true},
    {"waits-for-nobody", "the gateway's own recovery has no turn", SESSIONS_CHECK_TURN,
        .before = waits_for_nobody},
    {"cannot-tell-runs", "any run is the one that was judged", SESSIONS_CHECK_RUN,
        .before = cannot_tell_runs},
    {"names-another-run", "the abort names another run", SESSIONS_CHECK_RUN, .after = names_another_run},
    {"asks-twice", "each abort is asked for twice", SESSIONS_CHECK_ONCE, .after = asks_twice},
    {"knows-no-limit", "any number of aborts at once", SESSIONS_CHECK_MAX, .after = knows_no_limit},
    {"insists", "what failed is tried again a minute later", SESSIONS_CHECK_AGAIN, .after = insists},
    {"is-never-done", "what an abort has come to is never said", SESSIONS_CHECK_SETTLED,
        .before_tick = is_never_done},
    {"tells-none-apart", "every abort has the same serial", SESSIONS_CHECK_ANSWER, .after = tells_none_apart},
    {"believes-answers", "who was said to be aborted has recovered", SESSIONS_CHECK_RECOVERED,
        .after = believes_answers},
    {"believes-claims", "the gateway's own recovery is believed", SESSIONS_CHECK_RECOVERED,
        .before = believes_claims},
    {"tries-once", "one attempt is enough", SESSIONS_CHECK_ATTEMPTS, .after = tries_once},
    {"sees-without-looking", "no look is a look like the last", SESSIONS_CHECK_SEEN,
        .before_tick = sees_without_looking},
    {"condemns-early", "one less than the threshold is enough", SESSIONS_CHECK_THRESHOLD,
        .after = condemns_early},
    {"forgets-at-restart", "a restart for them is not remembered", SESSIONS_CHECK_REMEMBERED,
        .forgets_at_restart = true},
    {"saves-nothing", "what is forgotten stays in the record", SESSIONS_CHECK_SAVED, .after = saves_nothing},
    {"miscounts", "who fails counts twice", SESSIONS_CHECK_COUNTS, .after = miscounts},
    {"evicts-who-runs", "who runs may leave the table", SESSIONS_CHECK_TABLE, .after = evicts_who_runs},
    {"overflows", "there are more actions than there is room", SESSIONS_CHECK_ROOM, .after = overflows},
};

const struct sessions_plant *sessions_plant_at(size_t index)
{
	return index < sizeof(plants) / sizeof(plants[0]) ? &plants[index] : NULL;
}

const struct sessions_plant *sessions_plant_find(const char *name)
{
	for (size_t i = 0; sessions_plant_at(i) != NULL; i++)
		if (strcmp(plants[i].name, name) == 0)
			return &plants[i];
	return NULL;
}
