#include "core/supervision.h"

#include <stdlib.h>
#include <string.h>

#include "core/supervision_step.h"

static void cell_ignore(struct step *step)
{
	(void)step;
}

static void cell_never(struct step *step)
{
	(void)step;
	abort();
}

#define ROW(a, b, c, d, e, f, g, h, i, j)                                                                    \
	{                                                                                                    \
		cell_##a, cell_##b, cell_##c, cell_##d, cell_##e, cell_##f, cell_##g, cell_##h, cell_##i,    \
		    cell_##j                                                                                 \
	}

/* The table. `never`: results of actions, which cannot arrive in that state, and timers where there is no
 * deadline. */
/* clang-format off */
static supervision_cell *const table[EVENT_TYPE_COUNT][STATE_COUNT] = {
/*                        stopped         adopting       starting           running          suspect          examining          draining            killing          backing off     parked */
[ON_START]          = ROW(person_starts,  start_found,   ignore,            ignore,          ignore,          ignore,            start_after_end,    start_after_end, person_starts,  person_starts),
[ON_STOP]           = ROW(ignore,         stop_later,    stop_up,           stop_up,         stop_up,         stop_up,           stop_draining,      stop_later,      stop_waiting,   stop_waiting),
[ON_RESTART]        = ROW(person_starts,  restart_found, restart_up,        restart_up,      restart_up,      restart_up,        restart_draining,   start_after_end, person_starts,  person_starts),
[ON_SHUTDOWN]       = ROW(finish_down,    finish_later,  finish_up,         finish_up,       finish_up,       finish_up,         finish_draining,    finish_later,    finish_down,    finish_down),
[ON_PAUSE]          = ROW(pause_any,      pause_any,     pause_any,         pause_any,       pause_any,       pause_examining,   pause_any,          pause_any,       pause_any,      pause_any),
[ON_RESUME]         = ROW(resume_any,     resume_any,    resume_any,        resume_any,      resume_any,      resume_any,        resume_any,         resume_any,      resume_any,     resume_any),
[ON_FOUND]          = ROW(found,          never,         never,             never,           never,           never,             never,              never,           never,          never),
[ON_ADOPTED]        = ROW(never,          adopted,       never,             never,           never,           never,             never,              never,           never,          never),
[ON_ADOPT_REFUSED]  = ROW(never,          adopt_refused, never,             never,           never,           never,             never,              never,           never,          never),
[ON_SPAWNED]        = ROW(never,          never,         spawned,           never,           never,           never,             never,              never,           never,          never),
[ON_SPAWN_FAILED]   = ROW(never,          never,         spawn_failed,      never,           never,           never,             never,              never,           never,          never),
[ON_TREE_GONE]      = ROW(never,          never,         never,             never,           never,           never,             never,              tree_gone,       never,          never),
[ON_TREE_LEFT]      = ROW(never,          never,         never,             never,           never,           never,             never,              tree_left,       never,          never),
[ON_EXITED]         = ROW(ignore,         ignore,        exited,            exited,          exited,          exited_examining,  exited,             exited_killing,  ignore,         ignore),
[ON_HOST_RESUMED]   = ROW(slept_waiting,  slept,         slept,             slept_waiting,   slept,           slept_examining,   slept,              slept,           slept_waiting,  slept_waiting),
[ON_TIMER]          = ROW(never,          adopt_again,   timer_starting,    never,           timer_suspect,   timer_examining,   timer_draining,     timer_killing,   timer_waiting,  timer_parked),
[ON_READY]          = ROW(ignore,         ignore,        ready_starting,    ignore,          ignore,          ignore,            ready_draining,     ignore,          ignore,         ignore),
[ON_PROGRESS]       = ROW(ignore,         ignore,        progress_starting, ignore,          ignore,          ignore,            ignore,             ignore,          ignore,         ignore),
[ON_WORDS]          = ROW(words_late,     words_late,    words_late,        words_late,      words_late,      words_late,        words_late,         words,           words_late,     words_late),
[ON_DRAIN_BEGAN]    = ROW(ignore,         ignore,        drain_began,       drain_began,     drain_began,     drain_examining,   ignore,             ignore,          ignore,         ignore),
[ON_SUSPECTED]      = ROW(ignore,         ignore,        ignore,            suspected,       suspected_again, ignore,            ignore,             ignore,          ignore,         ignore),
[ON_CLEARED]        = ROW(ignore,         ignore,        ignore,            cleared_running, cleared,         cleared_examining, ignore,             ignore,          ignore,         ignore),
[ON_CONDEMNED]      = ROW(ignore,         ignore,        condemned_found,   condemned,       condemned,       ignore,            ignore,             ignore,          ignore,         ignore),
[ON_WAKE]           = ROW(ignore,         ignore,        wake_found,        wake,            wake,            ignore,            ignore,             ignore,          ignore,         ignore),
[ON_EXAMINED]       = ROW(ignore,         ignore,        ignore,            ignore,          ignore,          examined,          ignore,             ignore,          ignore,         ignore),
[ON_CONFIG_CHANGED] = ROW(validate,       ignore,        validate,          validate,        validate,        validate,          validate,           validate,        validate,       config_changed),
[ON_VALIDATED]      = ROW(validated_down, ignore,        validated_up,      validated_up,    validated_up,    validated_up,      validated_draining, validated_down,  validated_down, validated_down),
};
/* clang-format on */

void supervision_init(
    struct supervision *machine, const struct supervision_settings *settings, uint64_t first_incident)
{
	memset(machine, 0, sizeof(*machine));
	machine->settings = settings;
	machine->wanted = true;
	machine->before = STATE_ADOPTING;
	machine->next_incident = first_incident;
}

/* How far the earlier life had come with its gateway. */
static void inherit_place(struct supervision *machine, const struct supervision *earlier)
{
	bool is_ending = earlier->state == STATE_DRAINING || earlier->state == STATE_KILLING;
	bool was_opened = earlier->state == STATE_EXAMINING && earlier->opened;
	bool had_begun = earlier->now_ms != 0;

	if (earlier->state == STATE_ADOPTING || !had_begun) { /* no farther than the life before it */
		machine->before = earlier->before;
		machine->was_ending = earlier->was_ending;
		machine->end_until_ms = earlier->end_until_ms;
		return;
	}
	if (!earlier->alive && !earlier->tree)
		machine->before = earlier->state;
	machine->was_ending = (is_ending && (earlier->asked || !earlier->alive)) || was_opened;
	machine->end_until_ms = earlier->state == STATE_DRAINING || was_opened ? earlier->deadline_ms : 0;
}

static void inherit_plans(struct supervision *machine, const struct supervision *earlier)
{
	machine->wanted = earlier->wanted;
	machine->planned = earlier->planned;
	machine->insisted = earlier->insisted;
	machine->cause = earlier->cause;
	machine->due_ms = earlier->due_ms;
	machine->restarts = earlier->restarts;
	machine->down_reason = earlier->down_reason;
	machine->down_value = earlier->down_value;
	if (!earlier->finishing)
		return;
	/* Whoever starts us again wants it up, and that start is a first one. */
	machine->wanted = machine->planned = true;
	machine->insisted = false;
	machine->restarts = 0;
	if (machine->before == STATE_STOPPED) {
		machine->before = STATE_BACKING_OFF;
		machine->due_ms = machine->down_value = 0;
		machine->down_reason = REASON_FIRST_START;
	}
}

void supervision_inherit(struct supervision *machine, const struct supervision *earlier)
{
	inherit_place(machine, earlier);
	inherit_plans(machine, earlier);
	machine->history = earlier->history;
	machine->generation = earlier->generation;
	machine->ready = earlier->ready;
	machine->ready_ms = earlier->ready_ms;
	machine->proved = earlier->proved;
	machine->evidence = machine->was_ending ? earlier->evidence : 0;
	machine->fallback = earlier->fallback;
	machine->reason = earlier->reason;
	machine->reason_value = earlier->reason_value;
	machine->paused_until_ms = earlier->paused_until_ms;
	memcpy(machine->inside_restarts_ms, earlier->inside_restarts_ms, sizeof(machine->inside_restarts_ms));
	machine->incident = earlier->incident;
	machine->incident_since_ms = earlier->incident_since_ms;
	if (earlier->next_incident > machine->next_incident)
		machine->next_incident = earlier->next_incident;
}

bool supervision_cell_exists(enum supervision_state state, enum supervision_event_type type)
{
	return table[type][state] != cell_never;
}

void supervision_step(
    struct supervision *machine, const struct supervision_event *event, struct supervision_actions *actions)
{
	struct step step = {machine, event, actions};
	bool is_first = machine->now_ms == 0;

	actions->count = 0;
	/* Whatever the caller's clock does, time does not go back here. */
	if (event->now_ms > machine->now_ms)
		machine->now_ms = event->now_ms;
	if (machine->paused_until_ms != 0 && machine->paused_until_ms <= machine->now_ms) {
		machine->paused_until_ms = 0;
		step_validate(&step);
	}
	if (event->type == ON_TIMER && (machine->deadline_ms == 0 || machine->now_ms < machine->deadline_ms))
		return;
	table[event->type][machine->state](&step);
	if (is_first)
		step_watch_again(&step);
}

const char *supervision_state_name(enum supervision_state state)
{
	static const char *const names[STATE_COUNT] = {"stopped", "adopting", "starting", "running",
	    "suspect", "examining", "draining", "killing", "backing-off", "parked"};

	return names[state];
}

const char *supervision_event_name(enum supervision_event_type type)
{
	static const char *const names[EVENT_TYPE_COUNT] = {"start", "stop", "restart", "shutdown", "pause",
	    "resume", "found", "adopted", "adopt-refused", "spawned", "spawn-failed", "tree-gone",
	    "tree-left", "exited", "host-resumed", "timer", "ready", "progress", "words", "drain-began",
	    "suspected", "cleared", "condemned", "wake", "examined", "config-changed", "validated"};

	return names[type];
}
