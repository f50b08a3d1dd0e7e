/* Cells: what people ask for, and what is asked for from inside the gateway's own tree. */
#include "core/supervision_step.h"

#define INSIDE_RESTART_WINDOW_MS 3600000

static void resume(struct step *step)
{
	step->machine->paused_until_ms = 0;
	step_record(step, RECORD_RESUMED, REASON_OPERATOR, 0);
	step_validate(step);
}

static void refuse(struct step *step, enum supervision_reason reason)
{
	step_act(step, DO_REFUSE)->reason = reason;
}

/* A pause is about what Holdfast does by itself: who starts by hand ends it. What is done then is saved with
 * it: saved before a start, it would name a gateway that there is not. */
static void end_pause(struct step *step)
{
	if (step->machine->paused_until_ms != 0)
		resume(step);
}

/* Stopped, backing off or parked: a person wants it up. */
void cell_person_starts(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->finishing)
		return;
	if (step->event->inside) { /* there is no gateway it could have been asked from */
		refuse(step, machine->reason);
		return;
	}
	if (step->event->reason != REASON_FIRST_START) /* a supervisor that comes back is not a person */
		end_pause(step);
	machine->insisted = step->event->force;
	if (step->event->reason == REASON_FIRST_START || machine->state == STATE_STOPPED)
		step_went_down_because(
		    step, step->event->reason == REASON_NONE ? REASON_OPERATOR : step->event->reason, 0);
	step_start_now(step);
}

static bool inside_budget_allows(struct supervision *machine)
{
	int64_t *oldest = &machine->inside_restarts_ms[0];

	for (uint32_t i = 1; i < SUPERVISION_INSIDE_RESTARTS_MAX; i++)
		if (machine->inside_restarts_ms[i] < *oldest)
			oldest = &machine->inside_restarts_ms[i];
	if (*oldest != 0 && *oldest + INSIDE_RESTART_WINDOW_MS > machine->now_ms)
		return false;
	*oldest = machine->now_ms;
	return true;
}

/* What the gateway's own tree asks for yields to what people want, and has a budget. */
static bool may_ask(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!step->event->inside)
		return true;
	if (!machine->wanted)
		refuse(step, machine->finishing ? REASON_SHUTDOWN : REASON_OPERATOR);
	else if (supervision_is_paused(machine, machine->now_ms))
		refuse(step, REASON_PAUSED);
	else if (!inside_budget_allows(machine))
		refuse(step, REASON_RESTART_BUDGET);
	else
		return true;
	return false;
}

static void plan_start(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!step->event->inside)
		end_pause(step);
	machine->planned = machine->wanted = true;
	if (!step->event->inside)
		machine->insisted = step->event->force;
	step_act(step, DO_SAVE);
}

/* It is going down: let it come up again. */
void cell_start_after_end(struct step *step)
{
	if (!step->machine->finishing && may_ask(step))
		plan_start(step);
}

/* Its identity is being proved. What an earlier life was ending comes up again after that. */
void cell_start_found(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->finishing)
		return;
	if (machine->was_ending) {
		plan_start(step);
		return;
	}
	end_pause(step);
	machine->wanted = true;
	step_act(step, DO_SAVE);
}

/* As if an earlier life had asked it to end, and it has all its time still. */
void cell_restart_found(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_event *event = step->event;

	if (machine->finishing || !may_ask(step))
		return;
	if (!machine->was_ending) {
		machine->was_ending = true;
		machine->end_until_ms = SUPERVISION_NOT_ASKED_YET;
		machine->evidence = 0;
		step_went_down_because(step, event->inside ? REASON_GATEWAY_ASKED : REASON_OPERATOR, 0);
	}
	if (event->force && !event->inside)
		machine->end_until_ms = 0;
	plan_start(step);
}

void cell_restart_up(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_event *event = step->event;
	enum supervision_reason reason = event->inside ? REASON_GATEWAY_ASKED : REASON_OPERATOR;

	if (!may_ask(step))
		return;
	if (!event->inside)
		end_pause(step);
	machine->planned = true;
	/* Without --force the boot budget holds; asked from inside it always does. */
	machine->insisted = event->force && !event->inside;
	if (event->force && !event->inside)
		step_end_by_force(step, reason, 0);
	else
		step_drain(step, supervision_asked_grace_ms(machine), reason, 0);
}

void cell_restart_draining(struct step *step)
{
	if (step->machine->own_drain) {
		cell_restart_up(step);
		return;
	}
	cell_start_after_end(step);
	if (step->event->force && !step->event->inside && !step->machine->finishing)
		step_end_by_force(step, REASON_OPERATOR, 0);
}

void cell_stop_up(struct step *step)
{
	step->machine->wanted = false;
	step_drain(step, supervision_asked_grace_ms(step->machine), REASON_OPERATOR, 0);
}

void cell_stop_draining(struct step *step)
{
	if (step->machine->own_drain)
		cell_stop_up(step);
	else
		step_set_wanted(step, false);
}

void cell_stop_later(struct step *step)
{
	step_set_wanted(step, false);
}

void cell_stop_waiting(struct step *step)
{
	step->machine->wanted = false;
	step_stay_stopped(step, REASON_OPERATOR);
}

void cell_finish_down(struct step *step)
{
	step->machine->wanted = false;
	step->machine->finishing = true;
	if (step->machine->state != STATE_STOPPED) {
		step_stay_stopped(step, REASON_SHUTDOWN);
		return;
	}
	step_act(step, DO_SAVE);
	step_act(step, DO_FINISH);
}

void cell_finish_later(struct step *step)
{
	step->machine->finishing = true;
	step->machine->wanted = false;
	step_act(step, DO_SAVE);
}

void cell_finish_up(struct step *step)
{
	cell_finish_later(step);
	if (step->event->force)
		step_end_by_force(step, REASON_SHUTDOWN, 0);
	else
		step_drain(step, supervision_asked_grace_ms(step->machine), REASON_SHUTDOWN, 0);
}

void cell_finish_draining(struct step *step)
{
	if (step->machine->own_drain) {
		cell_finish_up(step);
		return;
	}
	cell_finish_later(step);
	if (step->event->force)
		step_end_by_force(step, REASON_SHUTDOWN, 0);
}

void cell_pause_any(struct step *step)
{
	struct supervision *machine = step->machine;

	if (step->event->value <= machine->now_ms)
		return;
	machine->paused_until_ms = step->event->value;
	step_record(step, RECORD_PAUSED, REASON_OPERATOR,
	    step->event->value == INT64_MAX ? 0 : step->event->value - machine->now_ms);
	if (machine->state == STATE_BACKING_OFF)
		step_start_when_due(step);
	else
		step_act(step, DO_SAVE);
}

void cell_resume_any(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->paused_until_ms == 0)
		return;
	resume(step);
	if (machine->state == STATE_BACKING_OFF)
		step_start_when_due(step);
	else
		step_act(step, DO_SAVE);
}
