#include "core/supervision.h"

#include <stdlib.h>
#include <string.h>

#define KILL_RETRY_MS            1000
#define UNKILLABLE_AFTER_MS      30000 /* a helper in an unkillable wait that holds nothing stops counting */
#define ADOPT_RETRY_MS           5000
#define SPAWN_RETRY_MS           1000 /* at least: a spawn fails without taking time, and no back-off is a setting */
#define WORDS_WAIT_MS            2000
#define START_STALLED_AFTER_MS   120000 /* past its allowance a start goes on as long as something moves */
#define SUSPECT_MAX_MS           600000 /* a sentry that has gone quiet leaves no suspicion behind */
#define PARKED_RETRY_MS          (40 * 60000)
#define DRAIN_FIRST_BUDGET_MS    60000
#define OWN_DRAIN_MARGIN_MS      30000
#define OWN_DRAIN_MAX_MS         3600000
#define JUDGE_AFTER_SLEEP_MS     60000
#define HEALTHY_BEFORE_EXIT_MS   10000 /* an exit 0 sooner after ready is a start that did not hold */
#define INSIDE_RESTART_WINDOW_MS 3600000

struct step {
	struct supervision *machine;
	const struct supervision_event *event;
	struct supervision_actions *actions;
};

typedef void cell(struct step *step);

/* Actions and transitions */

static struct supervision_action *act(struct step *step, enum supervision_action_type type)
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

static void record(
    struct step *step, enum supervision_record what, enum supervision_reason reason, int64_t value)
{
	const struct supervision *machine = step->machine;
	struct supervision_action *action = act(step, DO_RECORD);

	action->record = what;
	action->reason = reason;
	action->value = action->reason_value = value;
	if (reason == machine->reason)
		action->reason_value = machine->reason_value;
	else if (reason == machine->down_reason)
		action->reason_value = machine->down_value;
}

static void enter(struct step *step, enum supervision_state state, int64_t deadline_ms)
{
	struct supervision *machine = step->machine;

	if (machine->state != state)
		machine->since_ms = machine->now_ms;
	machine->state = state;
	machine->deadline_ms = deadline_ms;
	machine->armed_ms = machine->now_ms;
}

static void because(struct step *step, enum supervision_reason reason, int64_t value)
{
	step->machine->reason = reason;
	step->machine->reason_value = value;
}

static void went_down_because(struct step *step, enum supervision_reason reason, int64_t value)
{
	step->machine->down_reason = reason;
	step->machine->down_value = value;
	because(step, reason, value);
}

static void open_incident(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->incident != 0)
		return;
	machine->incident = machine->next_incident++;
	machine->incident_since_ms = machine->now_ms;
	/* Before anything is recorded under this number: the next life must not give it again. */
	act(step, DO_SAVE);
}

/* What people want outlives the supervisor. */
static void set_wanted(struct step *step, bool wanted)
{
	if (step->machine->wanted == wanted)
		return;
	step->machine->wanted = wanted;
	act(step, DO_SAVE);
}

bool supervision_is_paused(const struct supervision *machine, int64_t now_ms)
{
	return machine->paused_until_ms > now_ms;
}

static void park(struct step *step, enum supervision_reason reason)
{
	enter(step, STATE_PARKED, step->machine->now_ms + PARKED_RETRY_MS);
	because(step, reason, 0);
	record(step, RECORD_PARKED, reason, 0);
	act(step, DO_WATCH_CONFIG)->value = 1;
	act(step, DO_SAVE);
}

static void spawn(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->generation++;
	machine->insisted = machine->planned = machine->asked = machine->own_drain = false;
	machine->park = REASON_NONE;
	machine->tree = true;
	machine->started_ms = machine->moved_ms = machine->now_ms;
	restart_history_boot(&machine->history, machine->now_ms);
	enter(step, STATE_STARTING, machine->now_ms + machine->settings->startup_timeout_ms);
	act(step, DO_SPAWN);
}

/* Waits until due_ms, or longer when out of boots or paused; starts at once when nothing stands against it.
 */
static void start_when_due(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct restart_policy *policy = &machine->settings->policy;
	int64_t start_ms = machine->due_ms > machine->now_ms ? machine->due_ms : machine->now_ms;
	int64_t boot_ms =
	    machine->now_ms + restart_policy_boot_wait(policy, &machine->history, machine->now_ms);

	because(step, machine->down_reason, machine->down_value);
	if (!machine->insisted && boot_ms > start_ms) {
		start_ms = boot_ms;
		because(step, REASON_BOOT_BUDGET,
		    restart_policy_boots_counted(policy, &machine->history, machine->now_ms));
	}
	if (machine->paused_until_ms > start_ms) {
		start_ms = machine->paused_until_ms;
		because(step, REASON_PAUSED, 0);
	}
	if (start_ms <= machine->now_ms) {
		spawn(step);
		return;
	}
	enter(step, STATE_BACKING_OFF, start_ms);
	record(step, RECORD_WAITING, machine->reason, start_ms == INT64_MAX ? 0 : start_ms - machine->now_ms);
	act(step, DO_SAVE);
}

/* A start that is not a consequence of a failure: no back-off. */
static void start_now(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->state == STATE_PARKED) {
		record(step, RECORD_UNPARKED, machine->reason, 0);
		act(step, DO_WATCH_CONFIG)->value = 0;
	}
	machine->wanted = true;
	machine->due_ms = machine->now_ms;
	start_when_due(step);
}

static void stay_stopped(struct step *step, enum supervision_reason reason)
{
	struct supervision *machine = step->machine;

	if (machine->state == STATE_PARKED)
		act(step, DO_WATCH_CONFIG)->value = 0;
	enter(step, STATE_STOPPED, 0);
	because(step, reason, 0);
	record(step, RECORD_STOPPED, reason, 0);
	machine->incident = 0; /* it ends here, unrecovered */
	act(step, DO_SAVE);
	if (machine->finishing)
		act(step, DO_FINISH);
}

/* Nothing of the old tree is left, and why it ended is known as well as it will be. */
static void settle(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_settings *settings = machine->settings;

	if (!machine->wanted) {
		stay_stopped(step, machine->finishing ? REASON_SHUTDOWN : REASON_OPERATOR);
		return;
	}
	if (machine->park != REASON_NONE) {
		park(step, machine->park);
		return;
	}
	if (!machine->planned && !settings->restart_on[machine->cause]) {
		machine->wanted = false;
		stay_stopped(step, REASON_CRASH_RESTART_OFF);
		return;
	}
	machine->due_ms = machine->now_ms;
	if (!machine->planned)
		machine->due_ms += restart_policy_delay(&settings->policy, &machine->history, machine->cause,
		    machine->ready, step->event->chance);
	if (machine->down_reason == REASON_SPAWN_FAILED && machine->due_ms < machine->now_ms + SPAWN_RETRY_MS)
		machine->due_ms = machine->now_ms + SPAWN_RETRY_MS;
	start_when_due(step);
}

static void kill_tree(struct step *step)
{
	enter(step, STATE_KILLING, step->machine->now_ms + KILL_RETRY_MS);
	act(step, DO_KILL_TREE);
}

static void begin_killing(struct step *step)
{
	step->machine->kill_began_ms = step->machine->now_ms;
	step->machine->told_left = false;
	kill_tree(step);
}

static void drain(struct step *step, int64_t grace_ms, enum supervision_reason reason)
{
	step->machine->asked = true;
	step->machine->own_drain = false;
	enter(step, STATE_DRAINING, step->machine->now_ms + grace_ms);
	went_down_because(step, reason, 0);
	record(step, RECORD_STOPPING, reason, grace_ms);
	act(step, DO_TERMINATE);
	act(step, DO_SAVE);
}

static void end_by_force(struct step *step, enum supervision_reason reason, int64_t value)
{
	step->machine->asked = true;
	if (reason != REASON_STOP_TIMEOUT) /* then why it was to stop says more */
		went_down_because(step, reason, value);
	record(step, RECORD_KILLED, reason, value);
	begin_killing(step);
}

static void become_ready(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->ready = true;
	machine->ready_ms = machine->now_ms;
	because(step, REASON_NONE, 0);
	enter(step, STATE_RUNNING, 0);
	record(step, RECORD_READY, REASON_NONE, machine->now_ms - machine->started_ms);
	if (machine->incident != 0)
		record(step, RECORD_RECOVERED, REASON_NONE, machine->now_ms - machine->incident_since_ms);
	machine->incident = 0;
	act(step, DO_SAVE);
}

static bool is_current(const struct step *step)
{
	return step->machine->alive && step->event->generation == step->machine->generation;
}

/* The cells, by the event that leads there */

static void ignore(struct step *step)
{
	(void)step;
}

static void never(struct step *step)
{
	(void)step;
	abort();
}

static void resume(struct step *step)
{
	step->machine->paused_until_ms = 0;
	record(step, RECORD_RESUMED, REASON_OPERATOR, 0);
}

static void refuse(struct step *step, enum supervision_reason reason)
{
	act(step, DO_REFUSE)->reason = reason;
}

/* A pause is about what Holdfast does by itself: who starts by hand ends it. */
static void end_pause(struct step *step)
{
	if (step->machine->paused_until_ms == 0)
		return;
	resume(step);
	act(step, DO_SAVE);
}

/* Stopped, backing off or parked: a person wants it up. */
static void person_starts(struct step *step)
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
		went_down_because(
		    step, step->event->reason == REASON_NONE ? REASON_OPERATOR : step->event->reason, 0);
	start_now(step);
}

static void want(struct step *step)
{
	if (step->machine->finishing || step->event->inside)
		return;
	end_pause(step);
	set_wanted(step, true);
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

/* It is going down: let it come up again. */
static void start_after_end(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->finishing || !may_ask(step))
		return;
	if (!step->event->inside)
		end_pause(step);
	machine->planned = true;
	machine->insisted = step->event->force && !step->event->inside;
	set_wanted(step, true);
}

static void restart_up(struct step *step)
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
		end_by_force(step, reason, 0);
	else
		drain(step, machine->settings->stop_timeout_ms, reason);
}

static void restart_draining(struct step *step)
{
	if (step->machine->own_drain) {
		restart_up(step);
		return;
	}
	start_after_end(step);
	if (step->event->force && !step->event->inside && !step->machine->finishing)
		end_by_force(step, REASON_OPERATOR, 0);
}

static void stop_up(struct step *step)
{
	step->machine->wanted = false;
	drain(step, step->machine->settings->stop_timeout_ms, REASON_OPERATOR);
}

static void stop_draining(struct step *step)
{
	if (step->machine->own_drain)
		stop_up(step);
	else
		set_wanted(step, false);
}

static void stop_later(struct step *step)
{
	set_wanted(step, false);
}

static void stop_waiting(struct step *step)
{
	step->machine->wanted = false;
	stay_stopped(step, REASON_OPERATOR);
}

static void finish_down(struct step *step)
{
	step->machine->wanted = false;
	step->machine->finishing = true;
	if (step->machine->state == STATE_STOPPED)
		act(step, DO_FINISH);
	else
		stay_stopped(step, REASON_SHUTDOWN);
}

static void finish_later(struct step *step)
{
	step->machine->finishing = true;
	step->machine->wanted = false;
	act(step, DO_SAVE);
}

static void finish_up(struct step *step)
{
	finish_later(step);
	if (step->event->force)
		end_by_force(step, REASON_SHUTDOWN, 0);
	else
		drain(step, step->machine->settings->stop_timeout_ms, REASON_SHUTDOWN);
}

static void finish_draining(struct step *step)
{
	if (step->machine->own_drain) {
		finish_up(step);
		return;
	}
	finish_later(step);
	if (step->event->force)
		end_by_force(step, REASON_SHUTDOWN, 0);
}

static void pause_any(struct step *step)
{
	struct supervision *machine = step->machine;

	if (step->event->value <= machine->now_ms)
		return;
	machine->paused_until_ms = step->event->value;
	record(step, RECORD_PAUSED, REASON_OPERATOR,
	    step->event->value == INT64_MAX ? 0 : step->event->value - machine->now_ms);
	if (machine->state == STATE_BACKING_OFF)
		start_when_due(step);
	else
		act(step, DO_SAVE);
}

static void resume_any(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->paused_until_ms == 0)
		return;
	resume(step);
	if (machine->state == STATE_BACKING_OFF)
		start_when_due(step);
	else
		act(step, DO_SAVE);
}

static void found(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->generation = step->event->generation;
	machine->wanted = !machine->stopped_before;
	machine->tree = true;
	enter(step, STATE_ADOPTING, machine->now_ms + ADOPT_RETRY_MS);
	act(step, DO_ADOPT);
}

static void adopted(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->alive = true;
	machine->started_ms = machine->moved_ms = machine->now_ms;
	machine->planned = machine->asked = machine->ready = machine->own_drain = false;
	enter(step, STATE_STARTING, machine->now_ms + machine->settings->startup_timeout_ms);
	record(step, RECORD_ADOPTED, REASON_NONE, 0);
	act(step, DO_SAVE);
	/* What was asked while its identity was being proved. */
	if (!machine->wanted)
		drain(step, machine->settings->stop_timeout_ms,
		    machine->finishing ? REASON_SHUTDOWN : REASON_OPERATOR);
	else if (machine->settings->ready_when_spawned)
		become_ready(step);
	else
		act(step, DO_PROBE_START);
}

/* The gateway of the record is no more; what it left behind goes before the next start. */
static void adopt_refused(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->wanted) /* it ended while nobody watched, and nobody had asked it to */
		open_incident(step);
	record(step, RECORD_ADOPT_REFUSED, REASON_EXIT_UNKNOWN, 0);
	machine->planned = false;
	machine->ready = true; /* as far as back-off goes: it had been left running */
	machine->cause = RESTART_CRASH;
	went_down_because(step, REASON_EXIT_UNKNOWN, 0);
	begin_killing(step);
}

static void adopt_again(struct step *step)
{
	enter(step, STATE_ADOPTING, step->machine->now_ms + ADOPT_RETRY_MS);
	act(step, DO_ADOPT);
}

static void spawned(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->alive = true;
	machine->ready = false;
	machine->awaiting_words = false;
	machine->restarts += machine->generation > 1;
	record(step, RECORD_STARTED, machine->reason, 0);
	if (machine->settings->ready_when_spawned)
		become_ready(step);
	else
		act(step, DO_PROBE_START);
}

static void spawn_failed(struct step *step)
{
	struct supervision *machine = step->machine;

	restart_history_clean_end(&machine->history);
	machine->tree = machine->ready = machine->planned = false;
	machine->cause = RESTART_CRASH;
	open_incident(step);
	went_down_because(step, REASON_SPAWN_FAILED, step->event->value);
	record(step, RECORD_START_FAILED, REASON_SPAWN_FAILED, step->event->value);
	settle(step);
}

static enum supervision_reason exit_reason(const struct supervision_exit *exit)
{
	return exit->kind == EXIT_CODE     ? REASON_EXIT_CODE
	       : exit->kind == EXIT_SIGNAL ? REASON_EXIT_SIGNAL
	                                   : REASON_EXIT_UNKNOWN;
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
		went_down_because(step, REASON_CLEAN_EXIT, 0);
		return;
	}
	machine->planned = false;
	went_down_because(step, exit_reason(exit), exit->value);
	open_incident(step);
	if (exit->kind == EXIT_CODE && exit->value != 0 && machine->settings->reads_words) {
		machine->awaiting_words = true;
		machine->words_until_ms = machine->now_ms + WORDS_WAIT_MS;
	}
}

static void note_end(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->alive = false;
	machine->last_exit = step->event->exit;
	if (machine->last_exit.kind == EXIT_CODE && machine->last_exit.value == 0)
		restart_history_clean_end(&machine->history);
	if (machine->ready)
		restart_history_healthy(
		    &machine->settings->policy, &machine->history, machine->now_ms - machine->ready_ms);
	if (!machine->asked)
		ended_unasked(step);
	record(step, RECORD_EXITED, machine->asked ? exit_reason(&machine->last_exit) : machine->reason,
	    machine->last_exit.value);
	if (machine->awaiting_words)
		act(step, DO_ASK_WORDS);
}

static void exited(struct step *step)
{
	if (!is_current(step))
		return;
	note_end(step);
	begin_killing(step);
}

static void exited_killing(struct step *step)
{
	if (!is_current(step))
		return;
	note_end(step);
	kill_tree(step);
}

static void read_words(struct step *step, enum exit_verdict verdict)
{
	struct supervision *machine = step->machine;

	machine->awaiting_words = false;
	if (verdict == VERDICT_CRASH && machine->last_exit.value == machine->settings->config_exit_code)
		verdict = VERDICT_CONFIG_INVALID;
	if (verdict == VERDICT_CONFIG_INVALID)
		machine->park = REASON_CONFIG_INVALID;
	else if (verdict == VERDICT_MIGRATION_REQUIRED)
		machine->park = REASON_MIGRATION_REQUIRED;
	else if (verdict == VERDICT_CONTENTION)
		went_down_because(step, REASON_CONTENTION, 0);
	if (!machine->tree)
		settle(step);
}

static void tree_gone(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->alive)
		return; /* its own end is reported first */
	machine->tree = false;
	if (!machine->awaiting_words)
		settle(step);
	else if (machine->now_ms < machine->words_until_ms)
		enter(step, STATE_KILLING, machine->words_until_ms);
	else
		read_words(step, VERDICT_CRASH);
}

static void tree_left(struct step *step)
{
	struct supervision *machine = step->machine;
	const struct supervision_event *event = step->event;
	bool holds = event->holds || machine->alive;

	if (machine->now_ms - machine->kill_began_ms < UNKILLABLE_AFTER_MS)
		return;
	if (!holds) {
		record(step, RECORD_TREE_LEFT, REASON_UNKILLABLE, event->value);
		tree_gone(step);
	} else if (!machine->told_left) {
		machine->told_left = true;
		because(step, REASON_UNKILLABLE_HOLDS, event->value);
		record(step, RECORD_TREE_LEFT, REASON_UNKILLABLE_HOLDS, event->value);
	}
}

static void words(struct step *step)
{
	if (step->machine->awaiting_words && step->event->generation == step->machine->generation)
		read_words(step, step->event->verdict);
}

static void timer_killing(struct step *step)
{
	struct supervision *machine = step->machine;

	if (machine->awaiting_words && machine->now_ms >= machine->words_until_ms)
		read_words(step, VERDICT_CRASH);
	if (machine->state == STATE_KILLING && machine->tree)
		kill_tree(step);
	else if (machine->state == STATE_KILLING && machine->awaiting_words)
		enter(step, STATE_KILLING, machine->words_until_ms);
}

static void ready_starting(struct step *step)
{
	if (is_current(step))
		become_ready(step);
}

/* It drained and started anew in the same process: a new boot for the budget, the old one ended cleanly. */
static void ready_draining(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!is_current(step) || !machine->own_drain)
		return;
	machine->own_drain = false;
	restart_history_clean_end(&machine->history);
	restart_history_boot(&machine->history, machine->now_ms);
	act(step, DO_SAVE); /* the boot first: the next life counts it, whatever becomes of this one now */
	record(step, RECORD_RESTARTED_ITSELF, REASON_RESTARTED_ITSELF, machine->now_ms - machine->since_ms);
	machine->started_ms = machine->since_ms;
	become_ready(step);
}

static void progress_starting(struct step *step)
{
	struct supervision *machine = step->machine;
	int64_t allowed_until_ms = machine->started_ms + machine->settings->startup_timeout_ms;

	if (!is_current(step))
		return;
	machine->moved_ms = machine->now_ms;
	if (machine->moved_ms + START_STALLED_AFTER_MS > allowed_until_ms)
		allowed_until_ms = machine->moved_ms + START_STALLED_AFTER_MS;
	enter(step, STATE_STARTING, allowed_until_ms);
}

static bool may_end_hung(const struct step *step)
{
	return step->machine->settings->restart_on[RESTART_HANG] &&
	       !supervision_is_paused(step->machine, step->machine->now_ms);
}

static void timer_starting(struct step *step)
{
	struct supervision *machine = step->machine;

	/* A start is never ended on time alone: the last two minutes must have been still. */
	if (machine->moved_ms + START_STALLED_AFTER_MS > machine->now_ms) {
		enter(step, STATE_STARTING, machine->moved_ms + START_STALLED_AFTER_MS);
		return;
	}
	if (!may_end_hung(step)) {
		enter(step, STATE_STARTING, machine->now_ms + START_STALLED_AFTER_MS);
		return;
	}
	open_incident(step);
	machine->planned = false;
	machine->cause = RESTART_HANG;
	record(step, RECORD_CONDEMNED, REASON_START_STALLED, machine->now_ms - machine->moved_ms);
	drain(step, machine->settings->hang_grace_ms, REASON_START_STALLED);
}

static void drain_began(struct step *step)
{
	struct supervision *machine = step->machine;
	int64_t budget_ms = step->event->value;

	if (!is_current(step))
		return;
	if (budget_ms < 0)
		budget_ms = 0;
	if (budget_ms > OWN_DRAIN_MAX_MS)
		budget_ms = OWN_DRAIN_MAX_MS;
	machine->own_drain = true;
	machine->asked_twice = false;
	enter(step, STATE_DRAINING, machine->now_ms + budget_ms + OWN_DRAIN_MARGIN_MS);
	because(step, REASON_OWN_DRAIN, budget_ms);
	record(step, RECORD_DRAINING, REASON_OWN_DRAIN, budget_ms);
}

static void timer_draining(struct step *step)
{
	struct supervision *machine = step->machine;

	if (!machine->own_drain) {
		end_by_force(step, REASON_STOP_TIMEOUT, machine->now_ms - machine->since_ms);
		return;
	}
	if (!may_end_hung(step)) {
		enter(step, STATE_DRAINING, machine->now_ms + OWN_DRAIN_MARGIN_MS);
		return;
	}
	/* Its end may have been missed: a last look before judging. */
	if (!machine->asked_twice) {
		machine->asked_twice = true;
		enter(step, STATE_DRAINING, machine->now_ms + OWN_DRAIN_MARGIN_MS);
		act(step, DO_PROBE_START);
		return;
	}
	/* It announced a budget and overran it; a second SIGTERM would be ignored. */
	open_incident(step);
	machine->planned = false;
	machine->cause = RESTART_HANG;
	record(step, RECORD_CONDEMNED, REASON_OWN_DRAIN_OVERDUE, machine->now_ms - machine->since_ms);
	end_by_force(step, REASON_OWN_DRAIN_OVERDUE, machine->now_ms - machine->since_ms);
}

static bool may_judge(const struct step *step)
{
	const struct supervision *machine = step->machine;

	return is_current(step) && !supervision_is_paused(machine, machine->now_ms) &&
	       machine->now_ms >= machine->judge_after_ms;
}

static void suspected(struct step *step)
{
	if (!may_judge(step))
		return;
	enter(step, STATE_SUSPECT, step->machine->now_ms + SUSPECT_MAX_MS);
	record(step, RECORD_SUSPECTED, step->event->reason, step->event->value);
}

static void cleared(struct step *step)
{
	if (!is_current(step))
		return;
	enter(step, STATE_RUNNING, 0);
	record(step, RECORD_CLEARED, REASON_NONE, 0);
}

static void timer_suspect(struct step *step)
{
	enter(step, STATE_RUNNING, 0);
	record(step, RECORD_CLEARED, REASON_NONE, 0);
}

static void condemned(struct step *step)
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
	open_incident(step);
	machine->planned = false;
	record(step, RECORD_CONDEMNED, event->reason, event->value);
	drain(step, drain_first ? DRAIN_FIRST_BUDGET_MS : machine->settings->hang_grace_ms, event->reason);
}

static void config_changed(struct step *step)
{
	if (step->machine->park == REASON_CONFIG_INVALID || step->machine->park == REASON_MIGRATION_REQUIRED)
		start_now(step);
}

static void timer_parked(struct step *step)
{
	start_now(step);
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
static void slept(struct step *step)
{
	struct supervision *machine = step->machine;

	machine->judge_after_ms = machine->now_ms + JUDGE_AFTER_SLEEP_MS;
	machine->moved_ms += slept_since(step, machine->moved_ms);
	machine->words_until_ms += slept_since(step, machine->words_until_ms - WORDS_WAIT_MS);
	machine->kill_began_ms += slept_since(step, machine->kill_began_ms);
	if (machine->deadline_ms != 0)
		machine->deadline_ms += slept_since(step, machine->armed_ms);
	machine->armed_ms += slept_since(step, machine->armed_ms);
}

static void slept_waiting(struct step *step)
{
	step->machine->judge_after_ms = step->machine->now_ms + JUDGE_AFTER_SLEEP_MS;
}

/* Backing off: the time of the next start has come, or a pause has ended. */
static void timer_waiting(struct step *step)
{
	start_when_due(step);
}

/* The table. `never`: results of actions, which cannot arrive in that state, and timers where there is no
 * deadline. */
/* clang-format off */
static cell *const table[EVENT_TYPE_COUNT][STATE_COUNT] = {
/*                      stopped        adopting       starting           running         suspect         draining           killing            backing off     parked */
[ON_START]          = { person_starts, want,          ignore,            ignore,         ignore,         start_after_end,   start_after_end,   person_starts,  person_starts },
[ON_STOP]           = { ignore,        stop_later,    stop_up,           stop_up,        stop_up,        stop_draining,     stop_later,        stop_waiting,   stop_waiting },
[ON_RESTART]        = { person_starts, want,          restart_up,        restart_up,     restart_up,     restart_draining,  start_after_end,   person_starts,  person_starts },
[ON_SHUTDOWN]       = { finish_down,   finish_later,  finish_up,         finish_up,      finish_up,      finish_draining,   finish_later,      finish_down,    finish_down },
[ON_PAUSE]          = { pause_any,     pause_any,     pause_any,         pause_any,      pause_any,      pause_any,         pause_any,         pause_any,      pause_any },
[ON_RESUME]         = { resume_any,    resume_any,    resume_any,        resume_any,     resume_any,     resume_any,        resume_any,        resume_any,     resume_any },
[ON_FOUND]          = { found,         never,         never,             never,          never,          never,             never,             never,          never },
[ON_ADOPTED]        = { never,         adopted,       never,             never,          never,          never,             never,             never,          never },
[ON_ADOPT_REFUSED]  = { never,         adopt_refused, never,             never,          never,          never,             never,             never,          never },
[ON_SPAWNED]        = { never,         never,         spawned,           never,          never,          never,             never,             never,          never },
[ON_SPAWN_FAILED]   = { never,         never,         spawn_failed,      never,          never,          never,             never,             never,          never },
[ON_TREE_GONE]      = { never,         never,         never,             never,          never,          never,             tree_gone,         never,          never },
[ON_TREE_LEFT]      = { never,         never,         never,             never,          never,          never,             tree_left,         never,          never },
[ON_EXITED]         = { ignore,        ignore,        exited,            exited,         exited,         exited,            exited_killing,    ignore,         ignore },
[ON_HOST_RESUMED]   = { slept_waiting, slept,         slept,             slept_waiting,  slept,          slept,             slept,             slept_waiting,  slept_waiting },
[ON_TIMER]          = { never,         adopt_again,   timer_starting,    never,          timer_suspect,  timer_draining,    timer_killing,     timer_waiting,  timer_parked },
[ON_READY]          = { ignore,        ignore,        ready_starting,    ignore,         ignore,         ready_draining,    ignore,            ignore,         ignore },
[ON_PROGRESS]       = { ignore,        ignore,        progress_starting, ignore,         ignore,         ignore,            ignore,            ignore,         ignore },
[ON_WORDS]          = { ignore,        ignore,        ignore,            ignore,         ignore,         ignore,            words,             ignore,         ignore },
[ON_DRAIN_BEGAN]    = { ignore,        ignore,        drain_began,       drain_began,    drain_began,    ignore,            ignore,            ignore,         ignore },
[ON_SUSPECTED]      = { ignore,        ignore,        ignore,            suspected,      ignore,         ignore,            ignore,            ignore,         ignore },
[ON_CLEARED]        = { ignore,        ignore,        ignore,            ignore,         cleared,        ignore,            ignore,            ignore,         ignore },
[ON_CONDEMNED]      = { ignore,        ignore,        ignore,            condemned,      condemned,      ignore,            ignore,            ignore,         ignore },
[ON_CONFIG_CHANGED] = { ignore,        ignore,        ignore,            ignore,         ignore,         ignore,            ignore,            ignore,         config_changed },
};
/* clang-format on */

void supervision_init(
    struct supervision *machine, const struct supervision_settings *settings, uint64_t first_incident)
{
	memset(machine, 0, sizeof(*machine));
	machine->settings = settings;
	machine->next_incident = first_incident;
}

void supervision_inherit(struct supervision *machine, const struct supervision *earlier)
{
	machine->history = earlier->history;
	machine->generation = earlier->generation;
	machine->restarts = earlier->restarts;
	machine->paused_until_ms = earlier->paused_until_ms;
	memcpy(machine->inside_restarts_ms, earlier->inside_restarts_ms, sizeof(machine->inside_restarts_ms));
	machine->stopped_before = !earlier->wanted && !earlier->finishing;
	machine->incident = earlier->incident;
	machine->incident_since_ms = earlier->incident_since_ms;
	if (earlier->next_incident > machine->next_incident)
		machine->next_incident = earlier->next_incident;
}

bool supervision_cell_exists(enum supervision_state state, enum supervision_event_type type)
{
	return table[type][state] != never;
}

void supervision_step(
    struct supervision *machine, const struct supervision_event *event, struct supervision_actions *actions)
{
	struct step step = {machine, event, actions};

	actions->count = 0;
	/* Whatever the caller's clock does, time does not go back here. */
	if (event->now_ms > machine->now_ms)
		machine->now_ms = event->now_ms;
	if (machine->paused_until_ms != 0 && machine->paused_until_ms <= machine->now_ms)
		machine->paused_until_ms = 0;
	if (event->type == ON_TIMER && (machine->deadline_ms == 0 || machine->now_ms < machine->deadline_ms))
		return;
	table[event->type][machine->state](&step);
}

const char *supervision_state_name(enum supervision_state state)
{
	static const char *const names[STATE_COUNT] = {"stopped", "adopting", "starting", "running",
	    "suspect", "draining", "killing", "backing-off", "parked"};

	return names[state];
}

const char *supervision_event_name(enum supervision_event_type type)
{
	static const char *const names[EVENT_TYPE_COUNT] = {"start", "stop", "restart", "shutdown", "pause",
	    "resume", "found", "adopted", "adopt-refused", "spawned", "spawn-failed", "tree-gone",
	    "tree-left", "exited", "host-resumed", "timer", "ready", "progress", "words", "drain-began",
	    "suspected", "cleared", "condemned", "config-changed"};

	return names[type];
}
