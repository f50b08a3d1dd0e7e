/* What the stories about the life of a gateway are told with. */
#ifndef HOLDFAST_TESTS_UNIT_SUPERVISION_STORIES_H
#define HOLDFAST_TESTS_UNIT_SUPERVISION_STORIES_H

#include "core/supervision.h"
#include "tests/support/tap.h"

#define BEGINNING_MS 100000

static struct supervision_settings settings;
static struct supervision machine;
static struct supervision_actions actions;
static int64_t now_ms;
static struct supervision earlier; /* as it was saved last */

static inline void given_a_supervisor(void)
{
	settings = (struct supervision_settings){.policy = {.initial_ms = 1000,
	                                             .max_ms = 2400000,
	                                             .reset_after_ms = 3600000,
	                                             .factor = 2,
	                                             .immediate_first = true},
	    .restart_on = {true, true, true, true},
	    .reads_words = true,
	    .asks_oom = true,
	    .autopsy = true,
	    .config_exit_code = 78,
	    .stop_timeout_ms = 330000,
	    .startup_timeout_ms = 600000,
	    .hang_grace_ms = 2000};
	now_ms = BEGINNING_MS;
	supervision_init(&machine, &settings, 7);
}

static inline bool does(enum supervision_action_type type)
{
	for (uint32_t i = 0; i < actions.count; i++)
		if (actions.list[i].type == type)
			return true;
	return false;
}

static inline void step(struct supervision_event event)
{
	event.now_ms = now_ms;
	event.chance = 0.5;
	if (event.generation == 0)
		event.generation = machine.generation;
	supervision_step(&machine, &event, &actions);
	if (does(DO_SAVE) || does(DO_SPAWN))
		earlier = machine;
}

static inline void when(enum supervision_event_type type)
{
	step((struct supervision_event){.type = type});
}

static inline const struct supervision_action *recorded(enum supervision_record record)
{
	static const struct supervision_action nothing;

	for (uint32_t i = 0; i < actions.count; i++)
		if (actions.list[i].type == DO_RECORD && actions.list[i].record == record)
			return &actions.list[i];
	return &nothing;
}

static inline bool records(enum supervision_record record, enum supervision_reason reason)
{
	const struct supervision_action *action = recorded(record);

	return action->type == DO_RECORD && action->reason == reason;
}

static inline void given_a_running_gateway(void)
{
	given_a_supervisor();
	step((struct supervision_event){.type = ON_START, .reason = REASON_FIRST_START});
	when(ON_SPAWNED);
	now_ms += 10000;
	when(ON_READY);
}

/* It ends by itself; nothing of it is left, and its last words say nothing. */
static inline void when_it_ends(enum exit_kind kind, int value)
{
	step((struct supervision_event){.type = ON_EXITED, .exit = {kind, value}});
	CHECK(does(DO_KILL_TREE));
	when(ON_TREE_GONE);
	if (machine.awaiting_words)
		step((struct supervision_event){.type = ON_WORDS, .verdict = VERDICT_CRASH});
}

static inline void when_time_comes(void)
{
	CHECK(machine.deadline_ms > now_ms);
	now_ms = machine.deadline_ms;
	when(ON_TIMER);
}

/* The supervisor is killed; another comes after a while. */
static inline void when_the_next_life_begins(int64_t after_ms)
{
	supervision_init(&machine, &settings, 1);
	supervision_inherit(&machine, &earlier);
	now_ms += after_ms;
	step((struct supervision_event){.type = ON_FOUND, .generation = machine.generation});
}

#endif
