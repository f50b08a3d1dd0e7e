/* Cells: verdicts on its health, the sleep of the host, and the ends of waits. */
#include "core/supervision_step.h"

#define WORDS_WAIT_MS         2000
#define SUSPECT_MAX_MS        600000 /* a sentry that has gone quiet leaves no suspicion behind */
#define DRAIN_FIRST_BUDGET_MS 60000
#define JUDGE_AFTER_SLEEP_MS  60000

static bool may_suspect(const struct step *step)
{
	return step_is_current(step) && step->machine->now_ms >= step->machine->judge_after_ms;
}

static void suspect(struct step *step)
{
	step_enter(step, STATE_SUSPECT, step->machine->now_ms + SUSPECT_MAX_MS);
}

/* In a pause too: a suspicion does nothing to it. */
void cell_suspected(struct step *step)
{
	if (!may_suspect(step))
		return;
	step->machine->left_alone = REASON_NONE;
	suspect(step);
	step_record(step, RECORD_SUSPECTED, step->event->reason, step->event->value);
}

/* It is said still. */
void cell_suspected_again(struct step *step)
{
	if (may_suspect(step))
		suspect(step);
}

void cell_cleared_running(struct step *step)
{
	if (step_is_current(step))
		step->machine->left_alone = REASON_NONE;
}

void cell_cleared(struct step *step)
{
	if (!step_is_current(step))
		return;
	step->machine->left_alone = REASON_NONE;
	step_enter(step, STATE_RUNNING, 0);
	step_record(step, RECORD_CLEARED, REASON_NONE, 0);
}

void cell_timer_suspect(struct step *step)
{
	step_enter(step, STATE_RUNNING, 0);
	step_record(step, RECORD_CLEARED, REASON_NONE, 0);
}

static bool hangs(enum supervision_reason reason)
{
	return reason == REASON_HUNG || reason == REASON_WATCHDOG;
}

/* Returns whether it is a verdict at all. */
static bool find_cause(enum supervision_reason reason, enum restart_cause *cause)
{
	switch (reason) {
	case REASON_HUNG:
	case REASON_WATCHDOG:
	case REASON_DEAF:
		*cause = RESTART_HANG;
		return true;
	case REASON_STUCK_SESSIONS:
		*cause = RESTART_STUCK_SESSIONS;
		return true;
	case REASON_MEMORY:
		*cause = RESTART_MEMORY;
		return true;
	default:
		return false;
	}
}

/* The settings forbid to replace it: told once in a suspicion, which lasts as long as that is said. */
static void leave_alone(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->state == STATE_SUSPECT)
		suspect(step);
	if (machine->left_alone == step->event->reason)
		return;
	step_record(step, RECORD_LEFT_ALONE, step->event->reason, step->event->value);
	machine->left_alone = step->event->reason;
}

/* A hang began when the gateway last proved to be well, not when it was found out. */
static void open_incident(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_event *event = step->event;
	bool is_new = machine->incident == 0;

	step_open_incident(step);
	if (!is_new || event->value < 0 || (event->reason != REASON_HUNG && event->reason != REASON_DEAF))
		return;
	machine->incident_since_ms = machine->now_ms - event->value;
	if (machine->incident_since_ms < machine->ready_ms)
		machine->incident_since_ms = machine->ready_ms;
}

void cell_condemned(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_event *event = step->event;
	enum restart_cause cause;

	/* No evidence, no remedy. */
	if (!may_suspect(step) || event->value == 0 || !find_cause(event->reason, &cause))
		return;
	if (supervision_is_paused(machine, machine->now_ms)) {
		if (machine->state == STATE_SUSPECT) /* nothing is done, and nothing is withdrawn */
			suspect(step);
		return;
	}
	if (!machine->settings->restart_on[cause]) {
		leave_alone(step);
		return;
	}
	open_incident(step);
	machine->cause = cause;
	machine->planned = false;
	step_record(step, RECORD_CONDEMNED, event->reason, event->value);
	if (!hangs(event->reason))
		step_end_condemned(step, DRAIN_FIRST_BUDGET_MS, event->reason, event->value);
	else if (machine->settings->autopsy)
		step_examine(step);
	else
		step_end_condemned(step, machine->settings->hang_grace_ms, event->reason, event->value);
}

/* One that an earlier life had seen ready may hang before this one has. */
void cell_condemned_found(struct step *step)
{
	enum restart_cause cause;

	if (step->machine->ready && find_cause(step->event->reason, &cause) && cause == RESTART_HANG)
		cell_condemned(step);
}

/* Whoever stopped it has not told us: a pause is the way to. */
void cell_wake(struct step *step)
{
	if (!step_is_current(step) || supervision_is_paused(step->machine, step->machine->now_ms))
		return;
	step_record(step, RECORD_CONTINUED, REASON_NONE, 0);
	step_act(step, DO_CONTINUE);
}

/* One that has not been ready in any life is nobody's to wake: who starts it may hold it. */
void cell_wake_found(struct step *step)
{
	if (step->machine->ready)
		cell_wake(step);
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
	if (machine->state == STATE_DRAINING || machine->state == STATE_EXAMINING)
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
