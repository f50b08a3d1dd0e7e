/* Cells: a gateway that refuses its configuration runs from the copy that was kept when it was last well,
 * until its file is valid again. Only a change of the file leads back: that a validator finds no fault in a
 * file that the gateway has just refused must not let it go to and fro. */
#include "core/supervision_step.h"

void step_validate(struct step *step)
{
	if (step->machine->fallback)
		step_act(step, DO_VALIDATE);
}

void step_watch_again(struct step *step)
{
	if (!step->machine->fallback)
		return;
	step_act(step, DO_WATCH_CONFIG)->value = 1;
	if (step->machine->state !=
	    STATE_ADOPTING) /* whether it is adopted or not, the file is looked at then */
		step_validate(step);
}

bool step_fall_back(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!machine->settings->config_fallback || !step->event->fallback || machine->fallback ||
	    !machine->wanted)
		return false;
	machine->fallback = machine->planned = true;
	step_went_down_because(step, REASON_CONFIG_INVALID, 0);
	step_record(step, RECORD_FALLBACK, REASON_CONFIG_INVALID, 0);
	step_act(step, DO_WATCH_CONFIG)->value = 1;
	if (machine->tree) /* else what follows is saved: a start, or the wait for it */
		step_act(step, DO_SAVE);
	return true;
}

void cell_validate(struct step *step)
{
	step_validate(step);
}

/* From its next start on the file is used again. Returns whether that is news. */
static bool restore(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!machine->fallback || step->event->value != 1)
		return false;
	machine->fallback = false;
	step_record(step, RECORD_RESTORED, REASON_CONFIG_MENDED, 0);
	step_act(step, DO_WATCH_CONFIG)->value = 0;
	step_act(step, DO_SAVE);
	return true;
}

void cell_validated_down(struct step *step)
{
	restore(step);
}

/* While paused nothing is replaced; the end of the pause asks again. */
void cell_validated_up(struct step *step)
{
	struct supervision *machine = step->machine;
	int64_t grace_ms = supervision_asked_grace_ms(machine);

	if (supervision_is_paused(machine, machine->now_ms) || !restore(step))
		return;
	machine->planned = true;
	step_drain(step, grace_ms, REASON_CONFIG_MENDED, 0);
}

void cell_validated_draining(struct step *step)
{
	if (step->machine->own_drain) /* it would start anew in the same process, with the copy */
		cell_validated_up(step);
	else
		restore(step);
}
