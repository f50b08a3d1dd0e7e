/* Moves: transitions that several cells share, with the actions that belong to them. */
#include "core/supervision_step.h"

#include <stdlib.h>
#include <string.h>

#define SPAWN_RETRY_MS  1000 /* at least: a spawn fails without taking time, and no back-off is a setting */
#define PARKED_RETRY_MS (40 * 60000)

struct supervision_action *step_act(struct step *step, enum supervision_action_type type)
{
	struct supervision_action *action;

	if (step->actions->count == SUPERVISION_ACTIONS_MAX)
		abort();
	action = &step->actions->list[step->actions->count++];
	memset(action, 0, sizeof(*action));
	action->type = type;
	action->generation = step->machine->generation;
	action->incident = step->machine->incident;
	return action;
}

void step_record(
    struct step *step, enum supervision_record what, enum supervision_reason reason, int64_t value)
{
	const struct supervision *machine = step->machine;
	struct supervision_action *action = step_act(step, DO_RECORD);

	action->record = what;
	action->reason = reason;
	action->value = action->reason_value = value;
	if (reason == machine->reason)
		action->reason_value = machine->reason_value;
	else if (reason == machine->down_reason)
		action->reason_value = machine->down_value;
}

void step_enter(struct step *step, enum supervision_state state, int64_t deadline_ms)
{
	struct supervision *machine = step->machine;

	if (machine->state != state)
		machine->since_ms = machine->now_ms;
	machine->state = state;
	machine->deadline_ms = deadline_ms;
	machine->armed_ms = machine->now_ms;
}

void step_because(struct step *step, enum supervision_reason reason, int64_t value)
{
	step->machine->reason = reason;
	step->machine->reason_value = value;
}

void step_went_down_because(struct step *step, enum supervision_reason reason, int64_t value)
{
	step->machine->down_reason = reason;
	step->machine->down_value = value;
	step_because(step, reason, value);
}

void step_open_incident(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->incident != 0)
		return;
	machine->incident = machine->next_incident++;
	machine->incident_since_ms = machine->now_ms;
	/* Before anything is recorded under this number: the next life must not give it again. */
	step_act(step, DO_SAVE);
}

/* What people want outlives the supervisor. */
void step_set_wanted(struct step *step, bool wanted)
{
	if (step->machine->wanted == wanted)
		return;
	step->machine->wanted = wanted;
	step_act(step, DO_SAVE);
}

bool supervision_is_paused(const struct supervision *machine, int64_t now_ms)
{
	return machine->paused_until_ms > now_ms;
}

void step_park(struct step *step, enum supervision_reason reason)
{
	step_enter(step, STATE_PARKED, step->machine->now_ms + PARKED_RETRY_MS);
	step->machine->fallback = false; /* the copy did not help either: the file has its chance again */
	step_because(step, reason, 0);
	step_record(step, RECORD_PARKED, reason, 0);
	step_act(step, DO_WATCH_CONFIG)->value = 1;
	step_act(step, DO_SAVE);
}

void step_spawn(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->generation++;
	machine->insisted = machine->planned = machine->asked = machine->own_drain = false;
	machine->ready = machine->proved = machine->opened = false;
	machine->evidence = 0;
	machine->left_alone = REASON_NONE;
	machine->park = REASON_NONE;
	machine->tree = true;
	machine->started_ms = machine->moved_ms = machine->now_ms;
	restart_history_boot(&machine->history, machine->now_ms);
	step_enter(step, STATE_STARTING, machine->now_ms + machine->settings->startup_timeout_ms);
	step_act(step, DO_SPAWN)->value = machine->fallback;
}

/* Waits until due_ms, or longer when out of boots or paused; starts at once when nothing stands against it.
 */
void step_start_when_due(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct restart_policy *policy = &machine->settings->policy;
	int64_t start_ms = machine->due_ms > machine->now_ms ? machine->due_ms : machine->now_ms;
	int64_t boot_ms =
	    machine->now_ms + restart_policy_boot_wait(policy, &machine->history, machine->now_ms);

	step_because(step, machine->down_reason, machine->down_value);
	if (!machine->insisted && boot_ms > start_ms) {
		start_ms = boot_ms;
		step_because(step, REASON_BOOT_BUDGET,
		    restart_policy_boots_counted(policy, &machine->history, machine->now_ms));
	}
	if (machine->paused_until_ms > start_ms) {
		start_ms = machine->paused_until_ms;
		step_because(step, REASON_PAUSED, 0);
	}
	if (start_ms <= machine->now_ms) {
		step_spawn(step);
		return;
	}
	step_enter(step, STATE_BACKING_OFF, start_ms);
	step_record(
	    step, RECORD_WAITING, machine->reason, start_ms == INT64_MAX ? 0 : start_ms - machine->now_ms);
	step_act(step, DO_SAVE);
}

/* A start that is not a consequence of a failure: no back-off. */
void step_start_now(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->state == STATE_PARKED) {
		step_record(step, RECORD_UNPARKED, machine->reason, 0);
		step_act(step, DO_WATCH_CONFIG)->value = 0;
	}
	machine->wanted = true;
	machine->due_ms = machine->now_ms;
	step_start_when_due(step);
}

void step_stay_stopped(struct step *step, enum supervision_reason reason)
{
	struct supervision *machine = step->machine;

	if (machine->state == STATE_PARKED)
		step_act(step, DO_WATCH_CONFIG)->value = 0;
	step_enter(step, STATE_STOPPED, 0);
	step_because(step, reason, 0);
	step_record(step, RECORD_STOPPED, reason, 0);
	machine->incident = 0; /* it ends here, unrecovered */
	step_act(step, DO_SAVE);
	if (machine->finishing)
		step_act(step, DO_FINISH);
}

/* That it ran out of memory and died is a kind of crash; what the setting for memory forbids is to end one
 * that lives. */
static bool may_restart(const struct supervision *machine)
{
	bool died = machine->down_reason == REASON_OUT_OF_MEMORY || machine->down_reason == REASON_OOM_KILLED;

	return machine->settings->restart_on[died ? RESTART_CRASH : machine->cause];
}

/* Nothing of the old tree is left, and why it ended is known as well as it will be. */
void step_settle(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_settings *settings = machine->settings;

	if (!machine->wanted) {
		step_stay_stopped(step, machine->finishing ? REASON_SHUTDOWN : REASON_OPERATOR);
		return;
	}
	if (machine->park != REASON_NONE) {
		step_park(step, machine->park);
		return;
	}
	if (!machine->planned && !may_restart(machine)) {
		machine->wanted = false;
		step_stay_stopped(step, REASON_CRASH_RESTART_OFF);
		return;
	}
	machine->due_ms = machine->now_ms;
	if (!machine->planned)
		machine->due_ms += restart_policy_delay(&settings->policy, &machine->history, machine->cause,
		    machine->ready, step->event->chance);
	if (machine->down_reason == REASON_SPAWN_FAILED && machine->due_ms < machine->now_ms + SPAWN_RETRY_MS)
		machine->due_ms = machine->now_ms + SPAWN_RETRY_MS;
	step_start_when_due(step);
}

void step_kill_tree(struct step *step)
{
	step_enter(step, STATE_KILLING, step->machine->now_ms + KILL_RETRY_MS);
	step_act(step, DO_KILL_TREE);
}

void step_begin_killing(struct step *step)
{
	step->machine->kill_began_ms = step->machine->now_ms;
	step->machine->told_left = false;
	step_kill_tree(step);
}

/* Saved before anything is done to it: killed in between, the next life knows that it was to end. */
void step_drain(struct step *step, int64_t grace_ms, enum supervision_reason reason, int64_t value)
{
	step->machine->asked = true;
	step->machine->own_drain = false;
	step->machine->evidence = 0;
	step_enter(step, STATE_DRAINING, step->machine->now_ms + grace_ms);
	step_went_down_because(step, reason, value);
	step_record(step, RECORD_STOPPING, reason, grace_ms);
	step_act(step, DO_SAVE);
	step_act(step, DO_TERMINATE);
}

int64_t supervision_asked_grace_ms(const struct supervision *machine)
{
	const struct supervision_settings *settings = machine->settings;

	if (machine->state == STATE_EXAMINING && settings->hang_grace_ms < settings->stop_timeout_ms)
		return settings->hang_grace_ms;
	return settings->stop_timeout_ms;
}

void step_end_condemned(struct step *step, int64_t grace_ms, enum supervision_reason reason, int64_t evidence)
{
	if (grace_ms == 0)
		step_end_by_force(step, reason, 0);
	else
		step_drain(step, grace_ms, reason, evidence);
	step->machine->evidence = evidence;
}

void step_end_by_force(struct step *step, enum supervision_reason reason, int64_t value)
{
	step->machine->asked = true;
	if (reason != REASON_STOP_TIMEOUT) { /* then why it was to stop says more */
		step->machine->evidence = 0;
		step_went_down_because(step, reason, value);
	}
	step_record(step, RECORD_KILLED, reason, value);
	step_act(step, DO_SAVE);
	step_begin_killing(step);
}

void step_become_ready(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!machine->ready) { /* an adopted one may have been ready all along */
		machine->ready_ms = machine->now_ms;
		restart_history_boot_noted(&machine->history, machine->now_ms);
	}
	machine->ready = true;
	step_because(step, REASON_NONE, 0);
	step_enter(step, STATE_RUNNING, 0);
	step_record(step, RECORD_READY, REASON_NONE, machine->now_ms - machine->started_ms);
	if (machine->incident != 0)
		step_record(
		    step, RECORD_RECOVERED, REASON_NONE, machine->now_ms - machine->incident_since_ms);
	machine->incident = 0;
	step_act(step, DO_SAVE);
}

bool step_is_current(const struct step *step)
{
	return step->machine->alive && step->event->generation == step->machine->generation;
}
