/* Cells: the life of a gateway, from being found or started to the last process of its tree. */
#include <signal.h>

#include "core/supervision_step.h"

#define UNKILLABLE_AFTER_MS    30000 /* a helper in an unkillable wait that holds nothing stops counting */
#define ADOPT_RETRY_MS         5000
#define WORDS_WAIT_MS          2000
#define KILLED_WAIT_MS         250    /* whoever is killed says nothing: it costs only a name */
#define START_STALLED_AFTER_MS 120000 /* past its allowance a start goes on as long as something moves */
#define OWN_DRAIN_MARGIN_MS    30000
#define OWN_DRAIN_MAX_MS       3600000
#define HEALTHY_BEFORE_EXIT_MS 10000 /* an exit 0 sooner after ready is a start that did not hold */

/* Where an earlier life was without a gateway, this one goes on; else its gateway is looked for. */
void cell_found(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->generation = step->event->generation;
	switch (machine->before) {
	case STATE_STOPPED:
		step_stay_stopped(step, machine->reason);
		return;
	case STATE_PARKED: /* whoever starts us again may have mended it: it is tried */
		machine->due_ms = machine->now_ms;
		step_start_when_due(step);
		return;
	case STATE_BACKING_OFF:
		step_start_when_due(step);
		return;
	default:
		machine->tree = true;
		step_enter(step, STATE_ADOPTING, machine->now_ms + ADOPT_RETRY_MS);
		step_act(step, DO_ADOPT);
	}
}

/* What an earlier life left of the time that it gave the gateway to end. A SIGTERM may never have been sent:
 * an end that was not by force has a short grace at least. */
static int64_t grace_left_ms(const struct supervision *machine)
{
	const struct supervision_settings *settings = machine->settings;
	int64_t least_ms = settings->hang_grace_ms < settings->stop_timeout_ms ? settings->hang_grace_ms
	                                                                       : settings->stop_timeout_ms;
	int64_t left_ms = machine->end_until_ms - machine->now_ms;

	if (machine->end_until_ms == 0)
		return 0;
	if (machine->end_until_ms == SUPERVISION_NOT_ASKED_YET)
		return settings->stop_timeout_ms;
	return left_ms > least_ms ? left_ms : least_ms;
}

/* It is unwanted by now, or an earlier life was ending it: that goes on. */
static void drain_adopted(struct step *step)
{
	struct supervision *machine = step->machine;
	enum supervision_reason reason = machine->down_reason;
	int64_t evidence = machine->evidence;

	if (!machine->wanted) {
		reason = machine->finishing ? REASON_SHUTDOWN : REASON_OPERATOR;
		evidence = 0;
	}
	if (evidence != 0) /* that life may have been killed before this was on record */
		step_record(step, RECORD_CONDEMNED, reason, evidence);
	step_drain(step, machine->was_ending ? grace_left_ms(machine) : machine->settings->stop_timeout_ms,
	    reason, evidence);
	machine->evidence = evidence;
}

void cell_adopted(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->alive = true;
	machine->started_ms = machine->moved_ms = machine->now_ms;
	machine->planned = machine->planned && machine->was_ending;
	machine->asked = machine->own_drain = false;
	step_enter(step, STATE_STARTING, machine->now_ms + machine->settings->startup_timeout_ms);
	step_record(step, RECORD_ADOPTED, REASON_NONE, 0);
	step_act(step, DO_SAVE);
	step_validate(step);
	if (!machine->wanted || machine->was_ending)
		drain_adopted(step);
	else if (machine->settings->ready_when_spawned)
		step_become_ready(step);
	else
		step_act(step, DO_PROBE_START);
}

/* The gateway of the record is no more; what it left behind goes before the next start. */
void cell_adopt_refused(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!machine->ready) /* whether it became so while nobody watched is not known */
		restart_history_boot_noted(&machine->history, machine->now_ms);
	if (!machine->was_ending) { /* it ended while nobody watched */
		machine->planned = false;
		machine->cause = RESTART_CRASH;
		if (machine->wanted) /* ... and nobody had asked it to */
			step_open_incident(step);
	}
	step_record(step, RECORD_ADOPT_REFUSED, REASON_EXIT_UNKNOWN, 0);
	step_validate(step);
	if (!machine->was_ending)
		step_went_down_because(step, REASON_EXIT_UNKNOWN, 0);
	step_begin_killing(step);
}

void cell_adopt_again(struct step *step)
{
	step_enter(step, STATE_ADOPTING, step->machine->now_ms + ADOPT_RETRY_MS);
	step_act(step, DO_ADOPT);
}

void cell_spawned(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->alive = true;
	machine->awaiting_words = false;
	machine->restarts += machine->generation > 1 && machine->down_reason != REASON_FIRST_START;
	step_record(step, RECORD_STARTED, machine->reason, 0);
	if (machine->settings->ready_when_spawned)
		step_become_ready(step);
	else
		step_act(step, DO_PROBE_START);
}

void cell_spawn_failed(struct step *step)
{
	struct supervision *machine = step->machine;

	restart_history_clean_end(&machine->history);
	machine->tree = machine->ready = machine->planned = false;
	machine->cause = RESTART_CRASH;
	step_open_incident(step);
	step_went_down_because(step, REASON_SPAWN_FAILED, step->event->value);
	step_record(step, RECORD_START_FAILED, REASON_SPAWN_FAILED, step->event->value);
	step_settle(step);
}

static enum supervision_reason exit_reason(const struct supervision_exit *exit)
{
	return exit->kind == EXIT_CODE     ? REASON_EXIT_CODE
	       : exit->kind == EXIT_SIGNAL ? REASON_EXIT_SIGNAL
	                                   : REASON_EXIT_UNKNOWN;
}

/* Where its words cannot change what is done, the next start does not wait for them. */
static void ask_words(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_exit *exit = &machine->last_exit;
	/* Of an adopted one nobody knows: it may have been. */
	bool killed = (exit->kind == EXIT_SIGNAL && exit->value == SIGKILL) || exit->kind == EXIT_UNKNOWN;
	bool perhaps_memory = killed || (exit->kind == EXIT_SIGNAL && exit->value == SIGABRT);
	bool has_code = exit->kind == EXIT_CODE && exit->value != 0;

	machine->unnamed = 0;
	if (machine->settings->reads_words && (has_code || (perhaps_memory && machine->settings->asks_oom))) {
		machine->awaiting_words = true;
		machine->words_until_ms = machine->now_ms + (killed ? KILLED_WAIT_MS : WORDS_WAIT_MS);
	} else if (machine->settings->asks_oom && (perhaps_memory || has_code)) {
		machine->unnamed = machine->generation;
	}
}

/* It ended, and nobody had asked it to. */
static void ended_unasked(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_exit *exit = &machine->last_exit;
	bool held = machine->ready && machine->now_ms - machine->ready_ms >= HEALTHY_BEFORE_EXIT_MS;

	machine->cause = RESTART_CRASH;
	if (exit->kind == EXIT_CODE && exit->value == 0 && held) {
		machine->planned = true;
		step_went_down_because(step, REASON_CLEAN_EXIT, 0);
		return;
	}
	machine->planned = false;
	step_went_down_because(step, exit_reason(exit), exit->value);
	step_open_incident(step);
	ask_words(step);
}

static void note_end(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->alive = false;
	machine->last_exit = step->event->exit;
	if (machine->last_exit.kind == EXIT_CODE && machine->last_exit.value == 0)
		restart_history_clean_end(&machine->history);
	else if (!machine->ready)
		restart_history_boot_noted(&machine->history, machine->now_ms);
	if (machine->ready)
		restart_history_healthy(
		    &machine->settings->policy, &machine->history, machine->now_ms - machine->ready_ms);
	if (!machine->asked)
		ended_unasked(step);
	step_record(step, RECORD_EXITED, machine->asked ? exit_reason(&machine->last_exit) : machine->reason,
	    machine->last_exit.value);
	if (machine->awaiting_words || machine->unnamed == machine->generation)
		step_act(step, DO_ASK_WORDS);
}

void cell_exited(struct step *step)
{
	if (!step_is_current(step))
		return;
	note_end(step);
	step_begin_killing(step);
}

void cell_exited_killing(struct step *step)
{
	if (!step_is_current(step))
		return;
	note_end(step);
	step_kill_tree(step);
}

static bool is_of_memory(enum exit_verdict verdict)
{
	return verdict == VERDICT_OUT_OF_MEMORY || verdict == VERDICT_OOM_KILLED;
}

static enum supervision_reason memory_reason(enum exit_verdict verdict)
{
	return verdict == VERDICT_OOM_KILLED ? REASON_OOM_KILLED : REASON_OUT_OF_MEMORY;
}

static void ran_out_of_memory(struct step *step, enum exit_verdict verdict)
{
	step->machine->cause = RESTART_MEMORY;
	step_went_down_because(step, memory_reason(verdict), 0);
	step_record(step, RECORD_OUT_OF_MEMORY, memory_reason(verdict), 0);
}

static void read_words(struct step *step, enum exit_verdict verdict)
{
	struct supervision *machine = step->machine;
	const struct supervision_exit *exit = &machine->last_exit;

	machine->awaiting_words = false;
	if (exit->kind != EXIT_CODE &&
	    !is_of_memory(verdict)) /* whoever refuses to start says so by exiting */
		verdict = VERDICT_CRASH;
	else if (verdict == VERDICT_CRASH && exit->value == machine->settings->config_exit_code)
		verdict = VERDICT_CONFIG_INVALID;
	if (verdict == VERDICT_CONFIG_INVALID && !step_fall_back(step))
		machine->park = REASON_CONFIG_INVALID;
	else if (verdict == VERDICT_MIGRATION_REQUIRED)
		machine->park = REASON_MIGRATION_REQUIRED;
	else if (verdict == VERDICT_CONTENTION)
		step_went_down_because(step, REASON_CONTENTION, 0);
	else if (is_of_memory(verdict))
		ran_out_of_memory(step, verdict);
	if (!machine->tree)
		step_settle(step);
}

void cell_tree_gone(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->alive)
		return; /* its own end is reported first */
	machine->tree = false;
	if (!machine->awaiting_words)
		step_settle(step);
	else if (machine->now_ms < machine->words_until_ms)
		step_enter(step, STATE_KILLING, machine->words_until_ms);
	else
		read_words(step, VERDICT_CRASH);
}

void cell_tree_left(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_event *event = step->event;
	bool holds = event->holds || machine->alive;

	if (machine->now_ms - machine->kill_began_ms < UNKILLABLE_AFTER_MS)
		return;
	if (!holds) {
		step_record(step, RECORD_TREE_LEFT, REASON_UNKILLABLE, event->value);
		cell_tree_gone(step);
	} else if (!machine->told_left) {
		machine->told_left = true;
		step_because(step, REASON_UNKILLABLE_HOLDS, event->value);
		step_record(step, RECORD_TREE_LEFT, REASON_UNKILLABLE_HOLDS, event->value);
	}
}

void cell_words(struct step *step)
{
	if (step->machine->awaiting_words && step->event->generation == step->machine->generation)
		read_words(step, step->event->verdict);
	else
		cell_words_late(step);
}

/* Its successor has not waited: that it ran out of memory is told all the same. */
void cell_words_late(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_event *event = step->event;

	if (machine->unnamed == 0 || event->generation != machine->unnamed || !is_of_memory(event->verdict))
		return;
	machine->unnamed = 0;
	step_record(step, RECORD_OUT_OF_MEMORY, memory_reason(event->verdict), 0);
}

void cell_timer_killing(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->awaiting_words && machine->now_ms >= machine->words_until_ms)
		read_words(step, VERDICT_CRASH);
	if (machine->state == STATE_KILLING && machine->tree)
		step_kill_tree(step);
	else if (machine->state == STATE_KILLING && machine->awaiting_words)
		step_enter(step, STATE_KILLING, machine->words_until_ms);
}

void cell_ready_starting(struct step *step)
{
	if (!step_is_current(step))
		return;
	step->machine->proved = step->event->proved;
	step_become_ready(step);
}

/* It drained and started anew in the same process: a new boot for the budget, the old one ended cleanly. */
void cell_ready_draining(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!step_is_current(step) || !machine->own_drain)
		return;
	machine->own_drain = machine->ready = false;
	machine->proved = step->event->proved;
	restart_history_clean_end(&machine->history);
	restart_history_boot(&machine->history, machine->now_ms);
	step_act(
	    step, DO_SAVE); /* the boot first: the next life counts it, whatever becomes of this one now */
	step_record(
	    step, RECORD_RESTARTED_ITSELF, REASON_RESTARTED_ITSELF, machine->now_ms - machine->since_ms);
	machine->started_ms = machine->since_ms;
	step_become_ready(step);
}

void cell_progress_starting(struct step *step)
{
	struct supervision *machine = step->machine;
	int64_t allowed_until_ms = machine->started_ms + machine->settings->startup_timeout_ms;

	if (!step_is_current(step))
		return;
	machine->moved_ms = machine->now_ms;
	if (machine->moved_ms + START_STALLED_AFTER_MS > allowed_until_ms)
		allowed_until_ms = machine->moved_ms + START_STALLED_AFTER_MS;
	step_enter(step, STATE_STARTING, allowed_until_ms);
}

static bool may_end_hung(const struct step *step)
{
	return step->machine->settings->restart_on[RESTART_HANG] &&
	       !supervision_is_paused(step->machine, step->machine->now_ms);
}

void cell_timer_starting(struct step *step)
{
	struct supervision *machine = step->machine;

	/* A start is never ended on time alone: the last two minutes must have been still. */
	if (machine->moved_ms + START_STALLED_AFTER_MS > machine->now_ms) {
		step_enter(step, STATE_STARTING, machine->moved_ms + START_STALLED_AFTER_MS);
		return;
	}
	if (!may_end_hung(step)) {
		step_enter(step, STATE_STARTING, machine->now_ms + START_STALLED_AFTER_MS);
		return;
	}
	step_open_incident(step);
	machine->planned = false;
	machine->cause = RESTART_HANG;
	step_record(step, RECORD_CONDEMNED, REASON_START_STALLED, machine->now_ms - machine->moved_ms);
	step_end_condemned(step, machine->settings->hang_grace_ms, REASON_START_STALLED,
	    machine->now_ms - machine->moved_ms);
}

void cell_drain_began(struct step *step)
{
	struct supervision *machine = step->machine;
	int64_t budget_ms = step->event->value;

	if (!step_is_current(step))
		return;
	if (budget_ms < 0)
		budget_ms = 0;
	if (budget_ms > OWN_DRAIN_MAX_MS)
		budget_ms = OWN_DRAIN_MAX_MS;
	machine->own_drain = true;
	machine->asked_twice = false;
	step_enter(step, STATE_DRAINING, machine->now_ms + budget_ms + OWN_DRAIN_MARGIN_MS);
	step_because(step, REASON_OWN_DRAIN, budget_ms);
	step_record(step, RECORD_DRAINING, REASON_OWN_DRAIN, budget_ms);
}

void cell_timer_draining(struct step *step)
{
	struct supervision *machine = step->machine;
	int64_t drained_ms = machine->now_ms - machine->since_ms;

	if (!machine->own_drain) {
		step_end_by_force(step, REASON_STOP_TIMEOUT, drained_ms);
		return;
	}
	if (!may_end_hung(step)) {
		step_enter(step, STATE_DRAINING, machine->now_ms + OWN_DRAIN_MARGIN_MS);
		return;
	}
	/* Its end may have been missed: a last look before judging. */
	if (!machine->asked_twice) {
		machine->asked_twice = true;
		step_enter(step, STATE_DRAINING, machine->now_ms + OWN_DRAIN_MARGIN_MS);
		step_act(step, DO_PROBE_START);
		return;
	}
	/* It announced a budget and overran it; a second SIGTERM would be ignored. */
	step_open_incident(step);
	machine->planned = false;
	machine->cause = RESTART_HANG;
	step_record(step, RECORD_CONDEMNED, REASON_OWN_DRAIN_OVERDUE, drained_ms);
	step_end_by_force(step, REASON_OWN_DRAIN_OVERDUE, drained_ms);
	machine->evidence = drained_ms;
}
