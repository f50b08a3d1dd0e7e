#include "tests/simulation/sessions_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define CROWD_FROM_STEP 19000
#define CROWD_MAX       (SESSIONS_MAX + 200)

void sessions_world_see(struct sessions_world *world, enum sessions_seen what)
{
	world->seen[what]++;
}

struct played *sessions_world_find(struct sessions_world *world, const char *key)
{
	const char *number = strrchr(key, ':');
	unsigned long index;

	if (strncmp(key, "agent:", 6) != 0 || number == NULL)
		return NULL;
	index = strtoul(number + 1, NULL, 10);
	return index < world->played_count ? &world->played[index] : NULL;
}

bool sessions_world_may_act(const struct sessions_world *world)
{
	return world->now_ms >= world->paused_until_ms && world->restarts_at_ms == 0;
}

/* --- What the core wants. --- */

static void save(struct sessions_world *world)
{
	world->record = world->core.memory;
}

static void condemned(struct sessions_world *world)
{
	if (world->restarts_at_ms != 0)
		return;
	if (!world->may_restart) {
		sessions_world_see(world, SEEN_CONDEMNED_IN_VAIN);
		return;
	}
	sessions_world_see(world, SEEN_CONDEMNED);
	sessions_condemned(&world->core, world->now_ms);
	sessions_check_condemned(world);
	if (world->plant != NULL && world->plant->forgets_at_restart)
		world->core.memory.count = 0;
	save(world);
	world->restarts_at_ms = world->now_ms + random_duration(&world->random, 1000, 60000);
}

static void trace_action(const struct sessions_world *world, const struct sessions_action *action)
{
	static const char *const types[] = {"abort", "tell", "condemn", "save"};
	static const char *const records[] = {"stuck", "aborted", "recovered", "failed"};

	fprintf(world->trace, "%" PRIi64 " %s %s %s\n", world->now_ms, types[action->type],
	    action->type == SESSIONS_TELL ? records[action->record] : "",
	    action->place >= 0 ? world->core.sessions[action->place].look.key : "");
}

void sessions_world_carry_out(struct sessions_world *world)
{
	struct sessions_actions *actions = &world->actions;

	if (world->plant != NULL && world->plant->after != NULL)
		world->plant->after(world, actions);
	sessions_check_actions(world, sessions_world_may_act(world));
	for (uint32_t i = 0; i < actions->count && world->violated == SESSIONS_CHECK_NONE; i++) {
		const struct sessions_action *action = &actions->list[i];

		if (world->trace != NULL)
			trace_action(world, action);
		if (action->type == SESSIONS_ABORT)
			gateway_abort(world, action->place);
		else if (action->type == SESSIONS_CONDEMN)
			condemned(world);
		else if (action->type == SESSIONS_SAVE)
			save(world);
	}
	sessions_check_counts(world);
}

/* --- What happens to all of it. --- */

static void forget_post(struct sessions_world *world)
{
	world->post_first = world->post_count = 0;
}

static void gateway_restarts(struct sessions_world *world)
{
	sessions_world_see(world, SEEN_GATEWAY_RESTARTED);
	world->restarts_at_ms = 0;
	world->crowd = 0;
	forget_post(world);
	memset(world->tasks, 0, sizeof(world->tasks));
	world->list_due_ms = 0;
	world->now_ms += random_between(&world->random, 2000, 20000);
	sessions_begin(&world->core, ++world->generation);
	sessions_check_begin(world, false);
	sentry_forget(world);
	played_restart(world);
}

static void supervisor_restarts(struct sessions_world *world)
{
	sessions_world_see(world, SEEN_SUPERVISOR_RESTARTED);
	forget_post(world);
	for (uint32_t i = 0; i < TASKS_MAX; i++)
		world->tasks[i].of_former_life |= world->tasks[i].taken;
	sessions_init(&world->core, &world->settings);
	if (random_permille(&world->random, 200)) {
		sessions_world_see(world, SEEN_MEMORY_LOST);
		for (uint32_t i = 0; i < world->played_count; i++)
			world->played[i].remembered_ms = 0;
		save(world);
	} else
		world->core.memory = world->record;
	sessions_begin(&world->core, world->generation);
	sessions_check_begin(world, true);
	for (uint32_t i = 0; i < world->played_count; i++)
		world->played[i].said = false;
}

static void sentry_is_replaced(struct sessions_world *world)
{
	sessions_world_see(world, SEEN_SENTRY_REPLACED);
	world->away_until_ms = world->now_ms + random_duration(&world->random, 500, 60000);
	forget_post(world);
	memset(world->tasks, 0, sizeof(world->tasks));
	world->list_due_ms = 0;
	for (uint32_t i = 0; i < world->played_count; i++)
		world->played[i].list_at_ms = 0;
	sentry_forget(world);
}

static void link_changes(struct sessions_world *world)
{
	if (world->linked) {
		sessions_world_see(world, SEEN_LINK_LOST);
		world->link_back_ms = world->now_ms + random_duration(&world->random, 1000, 600000);
	}
	world->linked = !world->linked;
	sentry_forget(world);
}

static void person_aborts(struct sessions_world *world)
{
	struct played *played = &world->played[random_below(&world->random, world->played_count)];
	struct played before = *played;
	bool runs = played->told && played->last.waits != SESSION_IDLE;
	int result;

	played->by_person = played->judged = true;
	played->failed = false;
	played->judged_run = played->last_run;
	played->judged_moved_ms = played->last.at_ms;
	played->asks = 0;
	played->turn_ms = 0;
	played->asked_ms[0] = played->asked_ms[1] = INT64_MIN / 2;
	result = sessions_abort(&world->core, played->key, world->now_ms, &world->actions);
	if (result < 0)
		*played = before;
	if (result == 0 ? !runs : runs && result != -EALREADY)
		sessions_check_violate(world, SESSIONS_CHECK_TABLE, played);
	if (result == 0) {
		sessions_world_see(world, SEEN_PERSON);
		world->seen[SEEN_PERSON_OF_MOVING] += !played->hung;
	}
	sessions_world_carry_out(world);
}

static void meddle(struct sessions_world *world)
{
	struct random *random = &world->random;

	/* It is replaced while something is asked for, sometimes. */
	if (world->core.under_way > 0 && random_permille(random, 8))
		supervisor_restarts(world);
	if (!random_permille(random, 6))
		return;
	switch (random_below(random, 11)) {
	case 0:
		sentry_is_replaced(world);
		break;
	case 1:
		if (world->linked)
			link_changes(world);
		break;
	case 2:
		if (random_permille(random, 300))
			supervisor_restarts(world);
		break;
	case 3:
		if (random_permille(random, 60) && world->restarts_at_ms == 0)
			world->restarts_at_ms = world->now_ms + 1000;
		break;
	case 4:
		world->paused_until_ms = world->now_ms + random_duration(random, 1000, 1800000);
		world->seen[SEEN_STUCK_IN_PAUSE] += world->core.stuck > 0;
		break;
	case 5:
		world->may_restart = random_permille(random, 800);
		break;
	case 6:
		world->lists = random_permille(random, 800);
		break;
	case 7:
		world->has_log = random_permille(random, 800);
		break;
	case 8:
		if (random_permille(random, 100))
			played_outage(world);
		break;
	case 9:
		world->slow_until_ms = world->now_ms + random_duration(random, 1000, 600000);
		break;
	default:
		person_aborts(world);
		break;
	}
}

/* Idle ones that are seen once, more than there are places. */
static void crowd_comes(struct sessions_world *world)
{
	struct session_look look = {.at_ms = world->now_ms};
	bool has_crowd = world->seed % 8 == 0;

	for (int i = 0; has_crowd && i < 16 && world->crowd < CROWD_MAX && world->steps > CROWD_FROM_STEP;
	     i++) {
		snprintf(look.key, sizeof(look.key), "crowd:%u", world->crowd++);
		sessions_looked(
		    &world->core, &look, sessions_world_may_act(world), world->now_ms, &world->actions);
		sessions_world_carry_out(world);
	}
}

/* --- */

void sessions_world_init(struct sessions_world *world, uint64_t seed)
{
	static const struct sessions_settings choices[] = {
	    {.session_timeout_ms = 120000, .tool_timeout_ms = 600000, .threshold = 3},
	    {.session_timeout_ms = 120000, .tool_timeout_ms = 600000, .threshold = 1},
	    {.session_timeout_ms = 30000, .tool_timeout_ms = 120000, .threshold = 2},
	    {.session_timeout_ms = 60000, .tool_timeout_ms = 30000, .threshold = 5},
	    {.session_timeout_ms = 5000, .tool_timeout_ms = 20000, .threshold = 3}};
	const struct sessions_plant *plant = world->plant;
	FILE *trace = world->trace;

	/* All but the core's many places, most of which are never touched. */
	memset(&world->core.table, 0, sizeof(world->core.table));
	memset((char *)world, 0, offsetof(struct sessions_world, core));
	memset((char *)world + offsetof(struct sessions_world, actions), 0,
	    sizeof(*world) - offsetof(struct sessions_world, actions));
	world->plant = plant;
	world->trace = trace;
	world->seed = seed;
	world->random.state = seed;
	world->now_ms = 10000000;
	world->settings = choices[random_below(&world->random, 5)];
	if (random_permille(&world->random, 500)) {
		world->settings.pattern_count = 1;
		world->settings.patterns[0] = (struct session_pattern){"agent:slow:*", 300000, 900000};
	}
	world->played_count = (uint32_t)random_between(&world->random, 3, PLAYED_MAX);
	world->hang_permille = random_permille(&world->random, 300) ? 200 : 40;
	world->linked = world->lists = world->has_log = world->may_restart = true;
	world->incurable = random_permille(&world->random, 200);
	world->recovers_itself = random_permille(&world->random, 400);
	world->forgets_began = random_permille(&world->random, 300);
	world->generation = 1;
	sessions_init(&world->core, &world->settings);
	sessions_begin(&world->core, world->generation);
	for (uint32_t i = 0; i < world->played_count; i++)
		played_init(world, i);
	sessions_check_begin(world, true);
}

void sessions_world_step(struct sessions_world *world)
{
	int64_t step_ms = random_between(&world->random, 700, 1500);
	const struct sessions_plant *plant = world->plant;
	bool may_act;

	world->now_ms += step_ms;
	world->steps++;
	if (!world->linked && world->now_ms >= world->link_back_ms)
		link_changes(world);
	for (uint32_t i = 0; i < world->played_count; i++)
		played_advance(world, i, step_ms);
	gateway_tasks(world);
	gateway_say(world);
	sentry_look(world, step_ms);
	sentry_deliver(world);
	if (world->violated == SESSIONS_CHECK_NONE && world->core.stuck > 0) {
		may_act = sessions_world_may_act(world);
		if (plant != NULL && plant->before_tick != NULL)
			plant->before_tick(world);
		sessions_tick(&world->core, may_act || (plant != NULL && plant->acts_always), world->now_ms,
		    &world->actions);
		sessions_world_carry_out(world);
	}
	if (world->violated == SESSIONS_CHECK_NONE)
		crowd_comes(world);
	world->seen[SEEN_LEFT_TABLE] = world->core.table.left;
	if (world->restarts_at_ms != 0 && world->now_ms >= world->restarts_at_ms)
		gateway_restarts(world);
	if (world->violated == SESSIONS_CHECK_NONE)
		meddle(world);
}
