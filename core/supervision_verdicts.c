/* Cells: verdicts on its health, the sleep of the host, and the ends of waits. */
#include "core/supervision_step.h"

#define WORDS_WAIT_MS         2000
#define SUSPECT_MAX_MS        600000 /* a sentry that has gone quiet leaves no suspicion behind */
#define DRAIN_FIRST_BUDGET_MS 60000
#define JUDGE_AFTER_SLEEP_MS  60000

static bool may_judge(const struct step *step)
{
	const struct supervision *machine = step->machine;

	return step_is_current(step) && !supervision_is_paused(machine, machine->now_ms) &&
	       machine->now_ms >= machine->judge_after_ms;
}

void cell_suspected(struct step *step)
{
	if (!may_judge(step))
		return;
	step_enter(step, STATE_SUSPECT, step->machine->now_ms + SUSPECT_MAX_MS);
	step_record(step, RECORD_SUSPECTED, step->event->reason, step->event->value);
}

void cell_cleared(struct step *step)
{
	if (!step_is_current(step))
		return;
	step_enter(step, STATE_RUNNING, 0);
	step_record(step, RECORD_CLEARED, REASON_NONE, 0);
}

void cell_timer_suspect(struct step *step)
{
	step_enter(step, STATE_RUNNING, 0);
	step_record(step, RECORD_CLEARED, REASON_NONE, 0);
}

void cell_condemned(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_event *event = step->event;
	bool drain_first = true;

	/* No evidence, no remedy. */
	if (!may_judge(step) || event->value == 0)
		return;
	switch (event->reason) {
	case REASON_HUNG:
	case REASON_WATCHDOG:
		machine->cause = RESTART_HANG;
		drain_first = false;
		break;
	case REASON_DEAF:
		machine->cause = RESTART_HANG;
		break;
	case REASON_STUCK_SESSIONS:
		machine->cause = RESTART_STUCK_SESSIONS;
		break;
	case REASON_MEMORY:
		machine->cause = RESTART_MEMORY;
		break;
	default:
		return;
	}
	if (!machine->settings->restart_on[machine->cause])
		return;
	step_open_incident(step);
	machine->planned = false;
	step_record(step, RECORD_CONDEMNED, event->reason, event->value);
	step_drain(
	    step, drain_first ? DRAIN_FIRST_BUDGET_MS : machine->settings->hang_grace_ms, event->reason);
	machine->evidence = event->value;
}

void cell_config_changed(struct step *step)
{
	if (step->machine->park == REASON_CONFIG_INVALID || step->machine->park == REASON_MIGRATION_REQUIRED)
		step_start_now(step);
}

void cell_timer_parked(struct step *step)
{
	step_start_now(step);
}

/* How much of a sleep that has just ended lies after `from_ms`: what began since then did not sleep through
 * it. */
static int64_t slept_since(const struct step *step, int64_t from_ms)
{
	int64_t since_ms = step->machine->now_ms - from_ms;
	int64_t slept_ms = step->event->value < since_ms ? step->event->value : since_ms;

	return slept_ms > 0 ? slept_ms : 0;
}

/* Time that the host slept was no time for the gateway; back-off and parking are waits like any other. */
void cell_slept(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->judge_after_ms = machine->now_ms + JUDGE_AFTER_SLEEP_MS;
	machine->moved_ms += slept_since(step, machine->moved_ms);
	machine->words_until_ms += slept_since(step, machine->words_until_ms - WORDS_WAIT_MS);
	machine->kill_began_ms += slept_since(step, machine->kill_began_ms);
	if (machine->deadline_ms != 0)
		machine->deadline_ms += slept_since(step, machine->armed_ms);
	machine->armed_ms += slept_since(step, machine->armed_ms);
	if (machine->state == STATE_DRAINING)
		step_act(step, DO_SAVE); /* the next life gives it that time as well */
	if (machine->state == STATE_ADOPTING && machine->end_until_ms != 0 &&
	    machine->end_until_ms != SUPERVISION_NOT_ASKED_YET)
		machine->end_until_ms += slept_since(step, machine->since_ms);
}

void cell_slept_waiting(struct step *step)
{
	step->machine->judge_after_ms = step->machine->now_ms + JUDGE_AFTER_SLEEP_MS;
}

/* Backing off: the time of the next start has come, or a pause has ended. */
void cell_timer_waiting(struct step *step)
{
	step_start_when_due(step);
}
