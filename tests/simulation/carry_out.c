/* The supervisor's hands in the simulated world: what an action does, and what the next life knows of the
 * last. */
#include <string.h>

#include "tests/simulation/plants.h"
#include "tests/simulation/world.h"

void world_save(struct world *world)
{
	world->saved = world->machine;
	world->has_record = true;
	world->record_present = world->knows_gateway;
	checks_saved(world);
}

/* Death comes between two actions, and inside of one, as well as between two events. */
static bool dies_now(struct world *world, const char *when, int64_t value)
{
	if (world->temper.dies == 0 || random_below(&world->random, 20000) >= world->temper.dies)
		return false;
	trace_note(&world->trace, world->now_ms, when, value);
	world_begin_life(world);
	return true;
}

static void answer(struct world *world, struct supervision_event event)
{
	event.generation = world->machine.generation;
	if (world->result_count < WORLD_RESULTS_MAX)
		world->results[world->result_count++] = event;
}

static void adopt(struct world *world)
{
	struct gateway_process *gateway = &world->gateway;

	world->knows_gateway = true;
	if (world->now_ms < world->adopt_silent_until_ms)
		return;
	if (!gateway->alive || gateway->generation != world->machine.generation) {
		answer(world, (struct supervision_event){.type = ON_ADOPT_REFUSED});
		return;
	}
	answer(world, (struct supervision_event){.type = ON_ADOPTED});
	/* It ended after its identity was proved, and before anybody watched it. */
	if (random_permille(&world->random, 50) && !gateway->dying)
		gateway_exit(world, gateway_draw_exit(world));
}

/* Until it is on record the child waits at a gate: with the supervisor's death it ends, and was none. */
static void spawn(struct world *world, uint64_t generation, bool from_copy)
{
	struct supervision_event event = {.type = ON_SPAWNED};
	uint32_t life = world->lives;
	int error = 0;

	if (dies_now(world, "the supervisor is killed before the child is on record", 0))
		return;
	if (gateway_spawn(world, generation, from_copy, &error)) {
		world->knows_gateway = true;
		world_save(world);
		world->gateway.alive =
		    !dies_now(world, "the supervisor is killed before it opens the gate", 0);
	} else {
		event.type = ON_SPAWN_FAILED;
		event.value = error;
	}
	if (life == world->lives)
		answer(world, event);
}

static void kill_tree(struct world *world, uint64_t generation)
{
	struct supervision_event event = {.type = ON_TREE_GONE};
	uint32_t left = gateway_kill_tree(world, generation, &event.holds);

	if (left > 0) {
		event.type = ON_TREE_LEFT;
		event.value = left;
	}
	answer(world, event);
}

static void record(struct world *world, const struct supervision_action *action)
{
	if (action->record != RECORD_TREE_LEFT || action->reason != REASON_UNKILLABLE)
		return;
	for (uint32_t i = 0; i < WORLD_HELPERS_MAX; i++)
		world->helpers[i].told |= world->helpers[i].alive && world->helpers[i].dies_ms != 0;
}

static void carry_out_one(struct world *world, const struct supervision_action *action)
{
	switch (action->type) {
	case DO_ADOPT:
		adopt(world);
		break;
	case DO_SPAWN:
		spawn(world, action->generation, action->value != 0);
		break;
	case DO_TERMINATE:
		gateway_terminate(world);
		break;
	case DO_KILL_TREE:
		kill_tree(world, action->generation);
		break;
	case DO_PROBE_START:
		sentry_probe(world, action->generation);
		break;
	case DO_ASK_WORDS:
		sentry_answer_words(world, action->generation);
		break;
	case DO_WATCH_CONFIG:
		world->watches_config = action->value != 0;
		break;
	case DO_VALIDATE:
		sentry_validate(world);
		break;
	case DO_EXAMINE:
		sentry_examine(world, action->generation, action->value != 0);
		break;
	case DO_CONTINUE: /* of what may have been stopped only */
		break;
	case DO_RECORD:
		record(world, action);
		break;
	case DO_SAVE:
		world_save(world);
		break;
	case DO_REFUSE:
		break;
	case DO_FINISH:
		/* It waits for its workers before it leaves, and may be killed meanwhile. */
		if (random_permille(&world->random, 700)) {
			world->knows_gateway = false;
			world_save(world);
		}
		world->finished = true;
		break;
	}
}

void carry_out(struct world *world, const struct supervision_actions *actions)
{
	uint32_t life = world->lives;

	for (uint32_t i = 0; i < actions->count && !world_violated(world); i++) {
		checks_action(world, &actions->list[i]);
		carry_out_one(world, &actions->list[i]);
		if (life != world->lives || dies_now(world, "the supervisor is killed after action", i))
			return;
	}
}

/* A new supervisor: it knows what the last one saved, and finds what the last one left. */
void world_begin_life(struct world *world)
{
	struct random *random = &world->random;
	struct supervision_event event = {.type = ON_START, .reason = REASON_FIRST_START};

	world_forget_messages(world);
	world->result_count = 0;
	world->finished = world->watches_config = world->knows_gateway = false;
	world->quiet_until_ms = 0;
	world->gateway.child = false;
	world->lives++;
	supervision_init(&world->machine, &world->settings, 1);
	if (world->has_record)
		supervision_inherit(&world->machine, &world->saved);
	world->adopt_silent_until_ms =
	    random_permille(random, 400) ? world->now_ms + random_duration(random, 1000, 600000) : 0;
	if (world->record_present || world->machine.before != STATE_ADOPTING) {
		event.type = ON_FOUND;
		event.reason = REASON_NONE;
		event.generation = world->machine.generation;
	}
	checks_new_life(world);
	event.now_ms = world->now_ms;
	world->results[world->result_count++] = event; /* before anything else */
}

void world_deliver(struct world *world, struct supervision_event event, const struct plant *plant)
{
	struct supervision_actions actions;
	enum supervision_state before = world->machine.state;
	bool counts = event.type != ON_TIMER ||
	              (world->machine.deadline_ms != 0 && event.now_ms >= world->machine.deadline_ms);
	uint32_t life = world->lives;
	struct trace_entry *entry;

	event.chance = random_unit(&world->random);
	checks_before(world, &event);
	if (world_violated(world))
		return;
	if (plant != NULL)
		plant->step(&world->machine, &event, &actions);
	else
		supervision_step(&world->machine, &event, &actions);
	world->coverage.cells[before][event.type] += counts;
	world->steps += counts;
	entry = trace_event(&world->trace);
	entry->at_ms = world->now_ms;
	entry->step = world->steps;
	entry->event = event;
	entry->before = before;
	entry->after = world->machine.state;
	entry->deadline_ms = world->machine.deadline_ms;
	entry->actions.count = actions.count;
	if (actions.count <= SUPERVISION_ACTIONS_MAX)
		memcpy(entry->actions.list, actions.list, actions.count * sizeof(actions.list[0]));
	trace_done(&world->trace, entry);
	checks_after(world, &event, before, &actions);
	if (world_violated(world))
		return;
	carry_out(world, &actions);
	if (life == world->lives && !world_violated(world))
		checks_settled(world, &event, before);
}
