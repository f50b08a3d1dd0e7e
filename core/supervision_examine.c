/* Cells: what is condemned to end because it hangs is examined first, for a short time. Until its inspector
 * may be open, whatever speaks for it saves it; from then on nothing does: an open inspector runs what
 * anybody on this machine asks it to. */
#include "core/supervision_step.h"

/* Saved before it is asked for: killed in between, the next life knows what became of it. */
void step_examine(struct step *step)
{
	struct supervision *machine = step->machine;
	struct supervision_action *action;

	machine->opened = step->event->may_open;
	machine->evidence = step->event->value;
	step_enter(step, STATE_EXAMINING, machine->now_ms + EXAMINE_MAX_MS);
	step_went_down_because(step, step->event->reason, 0);
	step_act(step, DO_SAVE);
	action = step_act(step, DO_EXAMINE);
	action->value = machine->opened;
	action->reason = step->event->reason;
}

static void end_examined(struct step *step)
{
	struct supervision *machine = step->machine;

	step_end_condemned(step, machine->settings->hang_grace_ms, machine->down_reason, machine->evidence);
}

void cell_examined(struct step *step)
{
	if (step_is_current(step))
		end_examined(step);
}

void cell_timer_examining(struct step *step)
{
	end_examined(step);
}

/* The verdict is taken back: nothing has been done to it. */
static void let_be(struct step *step, enum supervision_record what, enum supervision_reason reason)
{
	struct supervision *machine = step->machine;

	step_record(step, what, reason, 0);
	machine->incident = 0;
	machine->evidence = 0;
	step_because(step, REASON_NONE, 0);
	step_enter(step, STATE_RUNNING, 0);
	step_act(step, DO_SAVE);
}

void cell_cleared_examining(struct step *step)
{
	if (step_is_current(step) && !step->machine->opened)
		let_be(step, RECORD_CLEARED, REASON_NONE);
}

/* Its loop turns, or it could not have said so. */
void cell_drain_examining(struct step *step)
{
	if (!step_is_current(step) || step->machine->opened)
		return;
	let_be(step, RECORD_CLEARED, REASON_NONE);
	cell_drain_began(step);
}

/* It ends before we end it. To open its inspector may have been what ended it: that is no crash. */
void cell_exited_examining(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!step_is_current(step))
		return;
	machine->asked = machine->opened;
	if (!machine->opened)
		machine->evidence = 0;
	cell_exited(step);
}

void cell_pause_examining(struct step *step)
{
	cell_pause_any(step);
	if (!step->machine->opened && supervision_is_paused(step->machine, step->machine->now_ms))
		let_be(step, RECORD_LEFT_ALONE, REASON_PAUSED);
}

/* What went unanswered may have done so because the host slept. */
void cell_slept_examining(struct step *step)
{
	cell_slept(step);
	if (!step->machine->opened)
		let_be(step, RECORD_LEFT_ALONE, REASON_HOST_SLEPT);
}
