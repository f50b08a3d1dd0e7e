/* What happened to the gateway as the records tell it, and whether each record was true and allowed. */
#include <inttypes.h>

#include "tests/simulation/world.h"

#define WORDS_WAIT_MS          2000
#define SPAWN_RETRY_MS         1000
#define LAST_LOOK_MS           30000
#define STILL_MS               120000
#define OWN_DRAIN_MARGIN_MS    30000
#define OWN_DRAIN_MAX_MS       3600000
#define DRAIN_FIRST_MS         60000
#define JUDGE_AFTER_SLEEP_MS   60000
#define HEALTHY_BEFORE_EXIT_MS 10000
#define UNKILLABLE_AFTER_MS    30000

static void note_host_and_sentry(
    struct world *world, const struct supervision_event *event, enum supervision_state before)
{
	struct checks *checks = &world->checks;
	bool is_current = event->generation == checks->kept.generation;
	int64_t budget_ms = event->value < 0                  ? 0
	                    : event->value > OWN_DRAIN_MAX_MS ? OWN_DRAIN_MAX_MS
	                                                      : event->value;

	if (event->type == ON_HOST_RESUMED)
		checks->judge_after_ms = checks->now_ms + JUDGE_AFTER_SLEEP_MS;
	else if (event->type == ON_PROGRESS && is_current)
		checks->kept.gateway.moved_ms = checks->now_ms;
	else if (event->type == ON_DRAIN_BEGAN && is_current && checks_is_up(before) &&
	         before != STATE_DRAINING)
		checks->kept.gateway.drain_ends_ms = checks->now_ms + budget_ms + OWN_DRAIN_MARGIN_MS;
	else if (event->type == ON_ADOPTED)
		checks->kept.gateway.started_ms = checks->kept.gateway.moved_ms = checks->now_ms;
}

static bool is_verdict_allowed(const struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_action *action)
{
	const struct checks *checks = &world->checks;
	const struct checks_gateway *gateway = &checks->kept.gateway;

	if (action->value == 0 || !world->settings.restart_on[checks_cause_of(action->reason)])
		return false;
	if (event->type == ON_CONDEMNED)
		return event->value != 0 && event->generation == checks->kept.generation &&
		       event->reason == action->reason && checks->now_ms >= checks->judge_after_ms &&
		       (before != STATE_STARTING ||
		           (gateway->ready && checks_cause_of(action->reason) == RESTART_HANG));
	if (event->type != ON_TIMER)
		return false;
	if (before == STATE_STARTING)
		return action->reason == REASON_START_STALLED &&
		       checks->now_ms >= gateway->moved_ms + STILL_MS &&
		       checks->now_ms >= gateway->started_ms + world->settings.startup_timeout_ms;
	return before == STATE_DRAINING && action->reason == REASON_OWN_DRAIN_OVERDUE &&
	       gateway->drain_ends_ms != 0 && checks->now_ms >= gateway->drain_ends_ms + LAST_LOOK_MS;
}

static void check_condemned(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_action *action)
{
	struct checks *checks = &world->checks;
	struct checks_gateway *gateway = &checks->kept.gateway;
	bool at_once = action->reason == REASON_HUNG || action->reason == REASON_WATCHDOG ||
	               action->reason == REASON_START_STALLED;

	/* The verdict of an earlier life, told again before it is carried out further. */
	if (event->type == ON_ADOPTED && gateway->condemned && action->reason == gateway->condemned_for &&
	    action->value == gateway->evidence)
		return;
	if (checks->kept.paused_until_ms != 0)
		checks_violate(world, CHECK_PAUSED_IS_PASSIVE, "a verdict was acted upon while paused");
	if (!is_verdict_allowed(world, event, before, action))
		checks_violate(world, CHECK_VERDICT_NEEDS_EVIDENCE,
		    "condemned for reason %d, evidence %" PRId64 " on %s", (int)action->reason, event->value,
		    supervision_event_name(event->type));
	gateway->condemned = true;
	gateway->condemned_for = action->reason;
	gateway->evidence = action->value;
	gateway->overdue |= action->reason == REASON_OWN_DRAIN_OVERDUE;
	gateway->grace_ms = at_once ? world->settings.hang_grace_ms : DRAIN_FIRST_MS;
	gateway->no_grace = at_once && world->settings.hang_grace_ms == 0;
	checks->kept.died_of_memory = false;
	checks->kept.cause = checks_cause_of(action->reason);
	checks->kept.planned = checks->kept.promised = false;
}

bool checks_ended_unasked(const struct checks *checks, const struct supervision_event *event)
{
	const struct checks_gateway *gateway = &checks->kept.gateway;
	bool held = gateway->ready && checks->now_ms - gateway->ready_ms >= HEALTHY_BEFORE_EXIT_MS;

	return !gateway->asked && !checks_is_condemned(gateway) &&
	       !(event->exit.kind == EXIT_CODE && event->exit.value == 0 && held);
}

static void boot_began(struct checks *checks, int64_t at_ms)
{
	if (checks->boot_count == CHECK_BOOTS_KEPT) {
		for (uint32_t i = 1; i < CHECK_BOOTS_KEPT; i++)
			checks->boots_ms[i - 1] = checks->boots_ms[i];
		checks->boot_count--;
	}
	checks->boots_ms[checks->boot_count++] = at_ms;
}

/* A gateway notes its boot when its own code runs: at the latest when it is ready, or has ended. */
static void boot_noted(struct checks *checks)
{
	if (!checks->kept.gateway.ready && checks->boot_count > 0)
		checks->boots_ms[checks->boot_count - 1] = checks->now_ms;
}

static void note_end(struct world *world, const struct supervision_event *event)
{
	struct checks *checks = &world->checks;
	struct checks_gateway *gateway = &checks->kept.gateway;

	if (event->exit.kind != EXIT_CODE || event->exit.value != 0)
		boot_noted(checks);
	else if (checks->boot_count > 0)
		checks->boot_count--;
	if (gateway->ready && checks->now_ms - gateway->ready_ms >= world->settings.policy.reset_after_ms)
		for (int cause = 0; cause < RESTART_CAUSE_COUNT; cause++)
			checks->kept.attempts[cause] = 0;
	checks->kept.first_was_ready = gateway->ready;
	gateway->end_known = true;
	checks->exit = event->exit;
	if (gateway->asked || checks_is_condemned(gateway))
		return;
	checks->kept.died_of_memory = false;
	checks->kept.promised = false;
	checks->kept.cause = RESTART_CRASH;
	checks->kept.planned = !checks_ended_unasked(checks, event);
}

static void note_ready(struct world *world, const struct supervision_event *event)
{
	struct checks *checks = &world->checks;

	if (event->type == ON_READY ? event->generation != checks->kept.generation ||
	                                  world->ready_generation != checks->kept.generation
	                            : !world->settings.ready_when_spawned)
		checks_violate(world, CHECK_READY_IS_TRUE,
		    "generation %" PRIu64 " is called ready on %s of %" PRIu64, checks->kept.generation,
		    supervision_event_name(event->type), event->generation);
	boot_noted(checks);
	if (!checks->kept.gateway.ready)
		checks->kept.gateway.ready_ms = checks->now_ms;
	checks->kept.gateway.ready = true;
	if (event->type == ON_READY)
		checks->kept.gateway.proved = event->proved;
	checks->kept.gateway.drain_ends_ms = 0;
}

static void note_stopped(struct world *world, const struct supervision_action *action)
{
	struct checks *checks = &world->checks;

	checks->kept.stopped_for = action->reason;
	if (action->reason == REASON_CRASH_RESTART_OFF && !checks->kept.planned &&
	    !world->settings.restart_on[checks->kept.died_of_memory ? RESTART_CRASH : checks->kept.cause])
		checks->kept.wish = false;
}

/* It was gone when the next life came. An end that was asked for or seen is what it was before. */
static void note_gone(struct checks *checks)
{
	if (!checks->kept.gateway.end_known)
		checks->kept.first_was_ready = checks->kept.gateway.ready;
	checks->kept.gateway.end_known = true;
	if (checks->was_known)
		return;
	checks->kept.died_of_memory = false;
	checks->kept.cause = RESTART_CRASH;
	checks->kept.planned = false;
}

static void note_ended_by_us(struct checks *checks, int64_t grace_ms)
{
	struct checks_gateway *gateway = &checks->kept.gateway;

	if (gateway->asked_ms == 0) {
		gateway->asked_ms = checks->now_ms;
		gateway->grace_ms = grace_ms;
	}
	if (gateway->end_by_ms == 0 || checks->now_ms + grace_ms < gateway->end_by_ms)
		gateway->end_by_ms = checks->now_ms + grace_ms;
}

static void note_waiting(struct world *world, const struct supervision_action *action)
{
	struct checks *checks = &world->checks;

	checks->kept.waits_until_ms = action->value == 0 ? INT64_MAX : checks->now_ms + action->value;
	checks->kept.waits_for = action->reason;
	if (action->reason == REASON_BOOT_BUDGET && checks->kept.insisted)
		checks_violate(world, CHECK_ORDERS_OUTLIVE,
		    "a start that a person insisted on waits for the boot budget");
}

static void note_resumed(struct world *world, const struct supervision_event *event)
{
	bool is_person = event->type == ON_START || (event->type == ON_RESTART && !event->inside);

	if (event->type != ON_RESUME && !is_person)
		checks_violate(world, CHECK_PAUSED_IS_PASSIVE, "the pause was ended, and no person asked");
	world->checks.kept.paused_until_ms = 0;
}

static void note_left(struct world *world, const struct supervision_action *action)
{
	struct checks *checks = &world->checks;

	checks->told_left = true;
	if (action->reason == REASON_UNKILLABLE && world->gateway.alive)
		checks_violate(world, CHECK_UNKILLABLE_IS_TOLD, "the gateway itself is given up on");
	if (checks->now_ms - checks->kill_began_ms < UNKILLABLE_AFTER_MS)
		checks_violate(world, CHECK_NO_START_OVER_OLD_TREE, "given up on after %" PRId64 " ms",
		    checks->now_ms - checks->kill_began_ms);
}

static void note_boot(struct checks *checks)
{
	checks->kept.gateway.ready = false;
	if (checks->boot_count > 0)
		checks->boot_count--;
	boot_began(checks, checks->now_ms);
}

static void note_record(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_action *action)
{
	struct checks *checks = &world->checks;

	switch (action->record) {
	case RECORD_STARTED:
		checks->kept.restarts += action->generation > 1 && action->reason != REASON_FIRST_START;
		break;
	case RECORD_READY:
		note_ready(world, event);
		break;
	case RECORD_RESTARTED_ITSELF:
		note_boot(checks);
		break;
	case RECORD_EXITED:
		note_end(world, event);
		break;
	case RECORD_START_FAILED:
		checks->kept.died_of_memory = false;
		checks->kept.cause = RESTART_CRASH;
		checks->kept.planned = checks->kept.first_was_ready = false;
		break;
	case RECORD_ADOPT_REFUSED:
		boot_noted(checks);
		note_gone(checks);
		break;
	case RECORD_WAITING:
		note_waiting(world, action);
		break;
	case RECORD_KILLED:
		note_ended_by_us(checks, 0);
		break;
	case RECORD_CONDEMNED:
		check_condemned(world, event, before, action);
		break;
	case RECORD_RESUMED:
		note_resumed(world, event);
		break;
	case RECORD_PARKED:
		checks->parked_for = action->reason;
		break;
	case RECORD_STOPPED:
		note_stopped(world, action);
		break;
	case RECORD_TREE_LEFT:
		note_left(world, action);
		break;
	default:
		break;
	}
}

static double base_wait_ms(
    const struct checks *checks, const struct restart_policy *policy, uint32_t failures)
{
	double wait_ms = (double)policy->initial_ms, max_ms = (double)policy->max_ms;

	if (failures == 0 && policy->immediate_first && checks->kept.first_was_ready)
		return 0;
	for (uint32_t i = policy->immediate_first ? 1 : 0; i < failures && wait_ms < max_ms; i++)
		wait_ms *= policy->factor;
	return wait_ms > max_ms ? max_ms : wait_ms;
}

/* Everything is gone and it is to be started again: how soon it may be, and how late. */
static void check_wait(struct world *world, const struct supervision_event *event)
{
	struct checks *checks = &world->checks;
	const struct supervision *machine = &world->machine;
	const struct restart_policy *policy = &world->settings.policy;
	bool is_held = machine->reason == REASON_BOOT_BUDGET || machine->reason == REASON_PAUSED;
	double least_ms = 0, most_ms = 0;

	if (!checks->kept.planned) {
		double wait_ms = base_wait_ms(checks, policy, checks->kept.attempts[checks->kept.cause]++);

		least_ms = wait_ms * (1 - policy->jitter) - 1;
		most_ms = wait_ms * (1 + policy->jitter) + 1;
	}
	if (event->type == ON_SPAWN_FAILED && most_ms < SPAWN_RETRY_MS)
		most_ms = SPAWN_RETRY_MS;
	if (least_ms > 0)
		checks->kept.not_before_ms = checks->now_ms + (int64_t)least_ms;
	if (machine->state == STATE_BACKING_OFF && !is_held &&
	    (double)(machine->deadline_ms - checks->now_ms) > most_ms)
		checks_violate(world, CHECK_BACK_OFF,
		    "waits %" PRId64 " ms, and %.0f ms are the most there is reason for",
		    machine->deadline_ms - checks->now_ms, most_ms);
}

/* The gateway's last words, when they come in time, decide whether another start would do. */
static void check_words(struct world *world, const struct supervision_event *event,
    enum supervision_state before, const struct supervision_actions *actions)
{
	static const enum supervision_reason parks[] = {[VERDICT_CRASH] = REASON_NONE,
	    [VERDICT_CONFIG_INVALID] = REASON_CONFIG_INVALID,
	    [VERDICT_MIGRATION_REQUIRED] = REASON_MIGRATION_REQUIRED,
	    [VERDICT_CONTENTION] = REASON_NONE,
	    [VERDICT_OUT_OF_MEMORY] = REASON_NONE,
	    [VERDICT_OOM_KILLED] = REASON_NONE};
	struct checks *checks = &world->checks;
	enum supervision_state after = world->machine.state;

	if (event->type == ON_WORDS && before == STATE_KILLING && world->settings.reads_words &&
	    checks->exit.kind == EXIT_CODE && event->generation == checks->kept.generation &&
	    checks->words_asked_ms != 0) {
		/* A wait that the host slept through is longer: then it may listen, and need not. */
		if (checks->now_ms < checks->words_asked_ms + WORDS_WAIT_MS)
			checks->must_park = parks[event->verdict];
		if (checks_has_record(actions, RECORD_FALLBACK))
			checks->must_park = REASON_NONE;
		checks->may_park |= parks[event->verdict] != REASON_NONE;
		checks->words_asked_ms = 0;
	}
	if (checks_has_action(actions, DO_ASK_WORDS))
		checks->words_asked_ms = checks->now_ms;
	if (before != STATE_KILLING || after == STATE_KILLING)
		return;
	if (checks->must_park != REASON_NONE && checks->kept.wish && after != STATE_PARKED)
		checks_violate(
		    world, CHECK_PARKED_SAYS_WHY, "it said why it will not start, and is started again");
	if (!checks->may_park && after == STATE_PARKED &&
	    (checks->exit.kind != EXIT_CODE || checks->exit.value != world->settings.config_exit_code))
		checks_violate(world, CHECK_PARKED_SAYS_WHY, "nothing said that it would not start");
	checks->must_park = REASON_NONE;
	checks->may_park = false;
	checks->words_asked_ms = 0;
}

static void note_killing(struct checks *checks)
{
	checks->kill_began_ms = checks->now_ms;
	checks->held_since_ms = checks->now_ms;
	checks->told_left = false;
}

static void check_told(struct world *world, const struct supervision_event *event)
{
	struct checks *checks = &world->checks;

	if (event->type == ON_HOST_RESUMED) /* what it slept through does not count */
		checks->held_since_ms = checks->now_ms;
	else if (event->type == ON_TREE_LEFT && event->holds && !checks->told_left &&
	         checks->now_ms - checks->held_since_ms >= UNKILLABLE_AFTER_MS)
		checks_violate(world, CHECK_UNKILLABLE_IS_TOLD,
		    "%" PRId64 " processes have been left for %" PRId64 " ms", event->value,
		    checks->now_ms - checks->held_since_ms);
}

void checks_story(struct world *world, const struct supervision_event *event, enum supervision_state before,
    const struct supervision_actions *actions)
{
	struct checks *checks = &world->checks;
	enum supervision_state after = world->machine.state;

	checks_people(world, event, before, actions);
	note_host_and_sentry(world, event, before);
	checks_verdicts(world, event, before, actions);
	if (event->type == ON_SPAWNED)
		boot_began(checks, checks->kept.gateway.started_ms);
	if (after == STATE_KILLING && before != STATE_KILLING)
		note_killing(checks);
	if (after != STATE_PARKED)
		checks->parked_for = REASON_NONE;
	if (after != STATE_BACKING_OFF)
		checks->kept.waits_until_ms = 0;
	checks_examine(world, event, before, actions);
	for (uint32_t i = 0; i < actions->count; i++) {
		if (actions->list[i].type == DO_TERMINATE && checks->kept.gateway.asked_ms == 0)
			note_ended_by_us(checks, checks_grace_ms(world, event, before, actions));
		if (actions->list[i].type == DO_RECORD)
			note_record(world, event, before, &actions->list[i]);
	}
	if ((before == STATE_KILLING || event->type == ON_SPAWN_FAILED) &&
	    (after == STATE_BACKING_OFF || after == STATE_STARTING))
		check_wait(world, event);
	check_words(world, event, before, actions);
	check_told(world, event);
	if (event->type == ON_CONFIG_CHANGED || (event->type == ON_TIMER && before == STATE_PARKED))
		checks->kept.not_before_ms = 0;
}

/* Returns whether the record tells of a failure. */
static bool check_record_incident(
    struct world *world, const struct supervision_event *event, const struct supervision_action *action)
{
	const struct checks *checks = &world->checks;
	const struct checks_kept *kept = &checks->kept;
	bool is_failure = action->record == RECORD_START_FAILED || action->record == RECORD_CONDEMNED ||
	                  (action->record == RECORD_ADOPT_REFUSED && kept->wish && !checks->was_known) ||
	                  (action->record == RECORD_EXITED && checks_ended_unasked(checks, event));

	if (is_failure && action->incident == 0)
		checks_violate(world, CHECK_INCIDENTS, "a failure opened none");
	if (action->record == RECORD_RECOVERED &&
	    (action->incident == 0 || action->incident != kept->incident))
		checks_violate(world, CHECK_INCIDENTS, "recovered from %" PRIu64 ", and %" PRIu64 " is open",
		    action->incident, kept->incident);
	if (action->record == RECORD_RECOVERED && action->value != checks->now_ms - kept->incident_since_ms)
		checks_violate(world, CHECK_INCIDENTS, "recovered after %" PRId64 " ms, and it was %" PRId64,
		    action->value, checks->now_ms - kept->incident_since_ms);
	if (action->incident != 0 && action->incident != kept->incident &&
	    action->incident <= checks->highest_incident)
		checks_violate(
		    world, CHECK_INCIDENTS, "the number %" PRIu64 " was used before", action->incident);
	return is_failure;
}

void checks_incidents(
    struct world *world, const struct supervision_event *event, const struct supervision_actions *actions)
{
	struct checks_kept *kept = &world->checks.kept;
	const struct supervision *machine = &world->machine;
	bool failed = false, ended = false;

	for (uint32_t i = 0; i < actions->count; i++) {
		const struct supervision_action *action = &actions->list[i];

		if (action->type != DO_RECORD)
			continue;
		failed |= check_record_incident(world, event, action);
		if (action->record == RECORD_RECOVERED || action->record == RECORD_STOPPED ||
		    action->record == RECORD_CLEARED || action->record == RECORD_LEFT_ALONE)
			ended |= action->incident == kept->incident;
	}
	if (kept->incident != 0 && machine->incident != kept->incident && !ended)
		checks_violate(world, CHECK_INCIDENTS, "%" PRIu64 " ended without a record", kept->incident);
	if (machine->incident != 0 && (machine->state == STATE_RUNNING || machine->state == STATE_SUSPECT))
		checks_violate(
		    world, CHECK_INCIDENTS, "%" PRIu64 " is open although it is ready", machine->incident);
	if (machine->incident != 0 && machine->incident != kept->incident) {
		kept->incident_since_ms = checks_incident_since_ms(&world->checks, event);
		if (!failed)
			checks_violate(world, CHECK_INCIDENTS, "one was opened, and nothing has failed");
	}
	kept->incident = machine->incident;
}
