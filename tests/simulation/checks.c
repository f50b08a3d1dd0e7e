#include "tests/simulation/checks.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/simulation/world.h"

#define PARKED_AT_MOST_MS    (40 * 60000)
#define UNKILLABLE_AFTER_MS  30000
#define DRAIN_AT_MOST_MS     60000
#define OWN_DRAIN_AT_MOST_MS (3600000 + 30000)
#define SLACK_MS             10000 /* words, retries, and how late the world's timers are */
#define TIMERS_AT_ONCE_MAX   16
#define SPAWNS_AT_ONCE_MAX   4

static const struct {
	const char *name, *sentence;
} texts[CHECK_COUNT] = {
    [CHECK_NONE] = {"none", "nothing was violated"},
    [CHECK_NEVER_TWO_GATEWAYS] = {"never-two-gateways", "at most one gateway process is alive"},
    [CHECK_NO_START_OVER_OLD_TREE] = {"no-start-over-old-tree",
        "nothing of an earlier gateway is alive at a start, but what cannot be killed, holds nothing and was "
        "told of "
        "after 30 s"},
    [CHECK_WAITING_HAS_TIMER] = {"waiting-has-timer",
        "every state but stopped and running has a deadline, and those have none"},
    [CHECK_TIMERS_DO_NOT_SPIN] = {"timers-do-not-spin",
        "timers and starts do not repeat without time passing"},
    [CHECK_BOOT_BUDGET] = {"boot-budget",
        "a start keeps the unclean boots of the window within the limit unless a person insisted"},
    [CHECK_HEALTHY_UNTOUCHED] = {"healthy-untouched",
        "a live gateway is ended only because somebody asked or because its condemnation is on record"},
    [CHECK_GRACE_RESPECTED] = {"grace-respected", "SIGKILL comes not before the time that SIGTERM was given"},
    [CHECK_VERDICT_NEEDS_EVIDENCE] = {"verdict-needs-evidence",
        "a verdict is acted upon only with evidence, for the gateway it speaks of, not while paused or just "
        "resumed"},
    [CHECK_DEAD_IS_RESTARTED] = {"dead-is-restarted",
        "a gateway that is wanted is started within the longest wait there is"},
    [CHECK_UP_IS_NOTICED] = {"up-is-noticed",
        "a gateway that says ready becomes running, and one that ended does not stay so"},
    [CHECK_READY_IS_TRUE] = {"ready-is-true", "ready is recorded only of the gateway that said so"},
    [CHECK_PARKED_SAYS_WHY] = {"parked-says-why",
        "parked has a recorded reason and tries again within 40 minutes"},
    [CHECK_INCIDENTS] = {"incidents",
        "every failure and nothing else opens an incident with a new number, and each ends recovered or "
        "stopped, on record"},
    [CHECK_ACTIONS_FIT] = {"actions-fit",
        "no event meets a cell that does not exist, and each step asks for one answer at most"},
    [CHECK_PAUSED_IS_PASSIVE] = {"paused-is-passive",
        "while paused nothing is started, and no verdict acted upon"},
    [CHECK_BACK_OFF] = {"back-off",
        "waits grow up to the maximum and are forgotten only after a long healthy run"},
    [CHECK_GENERATIONS] = {"generations", "the generation grows by one with each start"},
    [CHECK_STOP_HOLDS] = {"stop-holds",
        "a stop is carried out in time, and nothing but a person's wish ends it"},
    [CHECK_SAVED] = {"saved", "what the next life must know is saved when the step ends"},
    [CHECK_FINISH_LEAVES_NOTHING] = {"finish-leaves-nothing",
        "the supervisor ends when it is to, and then nothing of the gateway is left"},
    [CHECK_UNKILLABLE_IS_TOLD] = {"unkillable-is-told",
        "what cannot be killed and holds the port or the lock is told of after 30 s"},
    [CHECK_INSIDE_BUDGET] = {"inside-budget",
        "the gateway's own tree is granted three restarts in any hour, over all lives of the supervisor"},
    [CHECK_WAIT_OUTLIVES] = {"wait-outlives",
        "a wait is neither shortened nor lengthened by the supervisor's death"},
    [CHECK_ORDERS_OUTLIVE] = {"orders-outlive",
        "what was asked for and answered is carried out, by the next life too, in the time it was given"},
    [CHECK_EXAMINATION] = {"examination", "what is examined before its end is condemned on record, and not "
                                          "examined for longer than is allowed"},
    [CHECK_OPENED_IS_REPLACED] = {"opened-is-replaced",
        "a gateway whose inspector was opened is ended, whatever happens"},
    [CHECK_MEMORY_IS_NAMED] = {"memory-is-named",
        "that a gateway ran out of memory is recorded only when its words, or the kernel's, say so"},
    [CHECK_FALLBACK] = {"fallback",
        "a start is from the copy of the configuration after the file was refused, until it is valid, and "
        "not otherwise"},
    [CHECK_HEEDED] = {"heeded",
        "a verdict with evidence, and that it is stopped, are acted upon whenever they may be"},
    [CHECK_SUSPICION] = {"suspicion", "a suspicion begins when it is said, paused or not, and ends by time "
                                      "alone only after 10 min in which nothing was"},
    [CHECK_PROOF_IS_TRUE] = {"proof-is-true",
        "a start counts as proved only when its start-up probe said so, over all lives of the supervisor"},
};

const char *check_name(enum check check)
{
	return texts[check].name;
}

const char *check_sentence(enum check check)
{
	return texts[check].sentence;
}

void checks_violate(struct world *world, enum check check, const char *format, ...)
{
	struct checks *checks = &world->checks;
	va_list arguments;

	if (checks->violated != CHECK_NONE)
		return;
	checks->violated = check;
	va_start(arguments, format);
	vsnprintf(checks->why, sizeof(checks->why), format, arguments);
	va_end(arguments);
}

void checks_init(struct world *world)
{
	world->checks.saved.wish = true;
}

void checks_slept(struct world *world, int64_t slept_ms)
{
	world->checks.down_since_ms += slept_ms;
	world->checks.unwanted_since_ms += slept_ms;
	if (world->checks.kept.gateway.end_by_ms != 0)
		world->checks.kept.gateway.end_by_ms += slept_ms;
	if (world->checks.saved.gateway.end_by_ms != 0)
		world->checks.saved.gateway.end_by_ms += slept_ms;
}

static void check_spin(struct world *world, const struct supervision_event *event)
{
	struct checks *checks = &world->checks;

	if (world->now_ms != checks->spin_ms) {
		checks->spin_ms = world->now_ms;
		checks->timers_now = checks->spawns_now = 0;
	}
	checks->timers_now += event->type == ON_TIMER;
	checks->spawns_now += event->type == ON_SPAWNED || event->type == ON_SPAWN_FAILED;
	if (checks->timers_now > TIMERS_AT_ONCE_MAX)
		checks_violate(
		    world, CHECK_TIMERS_DO_NOT_SPIN, "%u timers without time passing", checks->timers_now);
	if (checks->spawns_now > SPAWNS_AT_ONCE_MAX)
		checks_violate(
		    world, CHECK_TIMERS_DO_NOT_SPIN, "%u starts without time passing", checks->spawns_now);
}

void checks_before(struct world *world, const struct supervision_event *event)
{
	struct checks *checks = &world->checks;
	int64_t before_ms = checks->now_ms;

	/* Timers of states without a deadline are never due: the step itself turns them away. */
	if (!supervision_cell_exists(world->machine.state, event->type) &&
	    !(event->type == ON_TIMER && world->machine.deadline_ms == 0))
		checks_violate(world, CHECK_ACTIONS_FIT, "there is no cell for %s in state %s",
		    supervision_event_name(event->type), supervision_state_name(world->machine.state));
	if (event->now_ms > checks->now_ms)
		checks->now_ms = event->now_ms;
	checks->step_ms = checks->now_ms - before_ms;
	if (checks->kept.paused_until_ms <= checks->now_ms)
		checks->kept.paused_until_ms = 0;
	check_spin(world, event);
}

void checks_after(struct world *world, const struct supervision_event *event, enum supervision_state before,
    const struct supervision_actions *actions)
{
	uint32_t answers = 0;

	if (actions->count > SUPERVISION_ACTIONS_MAX) {
		checks_violate(world, CHECK_ACTIONS_FIT, "%u actions", actions->count);
		return;
	}
	for (uint32_t i = 0; i < actions->count; i++) {
		enum supervision_action_type type = actions->list[i].type;

		answers += type == DO_ADOPT || type == DO_SPAWN || type == DO_KILL_TREE;
	}
	checks_lives(world, event, actions);
	checks_story(world, event, before, actions);
	checks_incidents(world, event, actions);
	/* After what is worse: two spawns are two gateways first of all. */
	if (answers > 1 && world->checks.violated == CHECK_NONE && actions->list[0].type != DO_SPAWN)
		checks_violate(world, CHECK_ACTIONS_FIT, "one step asks for %u answers", answers);
}

static void check_budget(struct world *world)
{
	const struct checks *checks = &world->checks;
	const struct restart_policy *policy = &world->settings.policy;
	uint32_t counted = 0;

	for (uint32_t i = 0; i < checks->boot_count; i++)
		counted += checks->boots_ms[i] + policy->boot_window_ms > checks->now_ms;
	if (policy->boot_limit != 0 && counted >= policy->boot_limit && !checks->kept.insisted)
		checks_violate(world, CHECK_BOOT_BUDGET, "%u unclean boots count already, the limit is %u",
		    counted, policy->boot_limit);
}

static void check_spawn(struct world *world, const struct supervision_action *action)
{
	struct checks *checks = &world->checks;

	gateway_reap_helpers(world);
	if (world->gateway.alive)
		checks_violate(world, CHECK_NEVER_TWO_GATEWAYS,
		    "generation %" PRIu64 " is alive at the start of %" PRIu64, world->gateway.generation,
		    action->generation);
	if (gateway_tree_left(world, false))
		checks_violate(world, CHECK_NO_START_OVER_OLD_TREE, "a process of an earlier tree is alive");
	if (action->generation != checks->kept.generation + 1)
		checks_violate(world, CHECK_GENERATIONS, "%" PRIu64 " follows %" PRIu64, action->generation,
		    checks->kept.generation);
	if (checks->kept.paused_until_ms != 0)
		checks_violate(world, CHECK_PAUSED_IS_PASSIVE, "a start while paused");
	if (!checks->kept.wish)
		checks_violate(world, CHECK_STOP_HOLDS, "a start, and nobody wants one");
	if (checks->now_ms < checks->kept.not_before_ms)
		checks_violate(world, CHECK_BACK_OFF,
		    "a start %" PRId64 " ms too early for the %u failures before it",
		    checks->kept.not_before_ms - checks->now_ms, checks->kept.attempts[checks->kept.cause]);
	if (checks->kept.fallback != (action->value != 0))
		checks_violate(world, CHECK_FALLBACK, "a start from the %s",
		    action->value != 0 ? "copy, and the file was not refused" : "file, which was refused");
	check_budget(world);
	checks->kept.died_of_memory = false;
	checks->kept.generation = action->generation;
	checks->kept.insisted = checks->kept.planned = false;
	checks->kept.not_before_ms = 0;
	checks->kept.promised = false;
	checks->kept.gateway =
	    (struct checks_gateway){.started_ms = checks->now_ms, .moved_ms = checks->now_ms};
}

static void check_kill(struct world *world, const struct supervision_action *action)
{
	const struct checks *checks = &world->checks;
	const struct checks_gateway *gateway = &checks->kept.gateway;
	/* What a gateway gets whose SIGTERM comes late: the supervisor was killed before it, or after it. */
	const struct supervision_settings *settings = &world->settings;
	int64_t least_ms = settings->hang_grace_ms < settings->stop_timeout_ms ? settings->hang_grace_ms
	                                                                       : settings->stop_timeout_ms;

	if (!world->gateway.alive || world->gateway.dying)
		return;
	if (!gateway->asked && checks->condemned_generation != checks->kept.generation)
		checks_violate(world, CHECK_HEALTHY_UNTOUCHED,
		    "%s against a live gateway, and nobody asked or judged",
		    action->type == DO_TERMINATE ? "SIGTERM" : "SIGKILL");
	if (checks->saved.gateway.asked_ms == 0)
		checks_violate(world, CHECK_SAVED, "it is ended, and that is not saved");
	if (action->type == DO_KILL_TREE && !gateway->forced && !gateway->overdue && !gateway->no_grace &&
	    (gateway->terminated_ms == 0 || checks->now_ms < gateway->asked_ms + gateway->grace_ms ||
	        checks->now_ms < gateway->terminated_ms + least_ms))
		checks_violate(world, CHECK_GRACE_RESPECTED,
		    "SIGKILL %" PRId64 " ms after SIGTERM, and %" PRId64 " ms after it was given %" PRId64
		    " ms",
		    gateway->terminated_ms == 0 ? -1 : checks->now_ms - gateway->terminated_ms,
		    checks->now_ms - gateway->asked_ms, gateway->grace_ms);
}

void checks_action(struct world *world, const struct supervision_action *action)
{
	struct checks *checks = &world->checks;

	switch (action->type) {
	case DO_SPAWN:
		check_spawn(world, action);
		break;
	case DO_TERMINATE:
	case DO_KILL_TREE:
		check_kill(world, action);
		if (action->type == DO_TERMINATE && checks->kept.gateway.terminated_ms == 0)
			checks->kept.gateway.terminated_ms = checks->now_ms;
		break;
	case DO_RECORD:
		if (action->incident > checks->highest_incident)
			checks->highest_incident = action->incident;
		if (action->record == RECORD_CONDEMNED)
			checks->condemned_generation = action->generation;
		break;
	case DO_FINISH:
		if (!checks->saved.finishing)
			checks_violate(world, CHECK_SAVED, "it ends, and that is not saved");
		if (world->gateway.alive || gateway_tree_left(world, false))
			checks_violate(
			    world, CHECK_FINISH_LEAVES_NOTHING, "a process of the gateway's tree is alive");
		break;
	default:
		break;
	}
}

static void check_deadline(struct world *world)
{
	const struct supervision *machine = &world->machine;
	const struct checks *checks = &world->checks;
	bool waits = machine->state != STATE_STOPPED && machine->state != STATE_RUNNING;
	int64_t drain_ms = world->settings.stop_timeout_ms > OWN_DRAIN_AT_MOST_MS
	                       ? world->settings.stop_timeout_ms
	                       : OWN_DRAIN_AT_MOST_MS;

	if (waits && machine->deadline_ms == 0)
		checks_violate(world, CHECK_WAITING_HAS_TIMER, "%s has no deadline",
		    supervision_state_name(machine->state));
	else if (!waits && machine->deadline_ms != 0)
		checks_violate(world, CHECK_WAITING_HAS_TIMER, "%s has a deadline",
		    supervision_state_name(machine->state));
	else if (waits && machine->deadline_ms < checks->now_ms - checks->step_ms)
		checks_violate(world, CHECK_WAITING_HAS_TIMER,
		    "the deadline of %s lies %" PRId64 " ms in the past",
		    supervision_state_name(machine->state), checks->now_ms - machine->deadline_ms);
	if (machine->state == STATE_DRAINING && machine->deadline_ms > checks->now_ms + drain_ms)
		checks_violate(world, CHECK_WAITING_HAS_TIMER, "it may drain for %" PRId64 " ms",
		    machine->deadline_ms - checks->now_ms);
	if (machine->state == STATE_PARKED && !world->watches_config)
		checks_violate(world, CHECK_PARKED_SAYS_WHY, "parked, and nobody watches the configuration");
	if (machine->state == STATE_PARKED && machine->reason == REASON_NONE)
		checks_violate(world, CHECK_PARKED_SAYS_WHY, "parked for no reason");
	if (machine->state == STATE_PARKED && machine->reason != checks->parked_for)
		checks_violate(world, CHECK_PARKED_SAYS_WHY, "parked for %d, and %d is on record",
		    (int)machine->reason, (int)checks->parked_for);
	if (machine->state == STATE_PARKED && machine->deadline_ms > checks->now_ms + PARKED_AT_MOST_MS)
		checks_violate(world, CHECK_PARKED_SAYS_WHY, "parked for more than 40 minutes");
}

/* What was asked for and answered, or said, against what was so when the machine was saved. */
static void check_kept(struct world *world)
{
	const struct checks_kept *kept = &world->checks.kept, *saved = &world->checks.saved;

	if ((kept->wish || kept->finishing) != (saved->wish || saved->finishing))
		checks_violate(world, CHECK_SAVED, "what people want is not saved");
	if (kept->promised && !saved->promised)
		checks_violate(world, CHECK_SAVED, "a start that was promised is not saved");
	if (world->gateway.alive && kept->gateway.asked_ms != 0 && saved->gateway.asked_ms == 0)
		checks_violate(world, CHECK_SAVED, "that it was asked to end is not saved");
	if (kept->waits_until_ms != saved->waits_until_ms)
		checks_violate(world, CHECK_SAVED, "how long it waits is not saved");
	if (world->gateway.alive && kept->gateway.opened != saved->gateway.opened)
		checks_violate(world, CHECK_SAVED, "that its inspector may be open is not saved");
	if (kept->fallback != saved->fallback)
		checks_violate(world, CHECK_SAVED, "from which configuration it starts is not saved");
	if (kept->gateway.ready != saved->gateway.ready && world->gateway.alive)
		checks_violate(world, CHECK_SAVED, "that it has been ready is not saved");
	if (kept->gateway.proved != saved->gateway.proved && world->gateway.alive)
		checks_violate(world, CHECK_SAVED, "that its start is proved is not saved");
}

static void check_saved(struct world *world)
{
	const struct supervision *machine = &world->machine, *saved = &world->saved;

	if (world->finished)
		return;
	check_kept(world);
	/* Who ends the supervisor does not mean the gateway to stay down after its next start. */
	if ((machine->wanted || machine->finishing) != (saved->wanted || saved->finishing) ||
	    machine->generation != saved->generation || machine->next_incident != saved->next_incident ||
	    (machine->paused_until_ms != saved->paused_until_ms &&
	        saved->paused_until_ms > world->checks.now_ms))
		checks_violate(world, CHECK_SAVED,
		    "wanted %d, saved %d; generation %" PRIu64 ", saved %" PRIu64 "; next incident %" PRIu64
		    ", saved %" PRIu64,
		    machine->wanted, saved->wanted, machine->generation, saved->generation,
		    machine->next_incident, saved->next_incident);
}

/* Something that Holdfast cannot or may not change keeps the gateway down. */
static bool is_held_down(const struct world *world)
{
	const struct supervision *machine = &world->machine;

	if (!world->checks.kept.wish || world->gateway.alive || world->checks.kept.paused_until_ms != 0)
		return true;
	if (machine->state == STATE_PARKED ||
	    (machine->state == STATE_ADOPTING && world->now_ms < world->adopt_silent_until_ms))
		return true;
	for (uint32_t i = 0; i < WORLD_HELPERS_MAX; i++)
		if (world->helpers[i].alive && world->helpers[i].holds)
			return true;
	return false;
}

static void check_down(struct world *world, const struct supervision_event *event)
{
	struct checks *checks = &world->checks;
	const struct supervision_settings *settings = &world->settings;
	const struct restart_policy *policy = &settings->policy;
	int64_t bound_ms = (int64_t)((double)policy->max_ms * (1 + policy->jitter)) + policy->boot_window_ms +
	                   UNKILLABLE_AFTER_MS + SLACK_MS;
	int64_t stop_ms =
	    settings->stop_timeout_ms > DRAIN_AT_MOST_MS ? settings->stop_timeout_ms : DRAIN_AT_MOST_MS;
	bool held_down, ending;

	if (checks->kept.wish && world->machine.state == STATE_STOPPED)
		checks_violate(world, CHECK_DEAD_IS_RESTARTED, "stopped, although it is wanted");
	/* Deadlines move with the host's sleep; a start that failed was a start. */
	held_down = is_held_down(world) || event->type == ON_HOST_RESUMED || event->type == ON_SPAWN_FAILED;
	if (held_down || checks->was_held_down)
		checks->down_since_ms = world->now_ms;
	else if (world->now_ms - checks->down_since_ms > bound_ms)
		checks_violate(world, CHECK_DEAD_IS_RESTARTED, "down for %" PRId64 " ms",
		    world->now_ms - checks->down_since_ms);
	checks->was_held_down = held_down;
	ending = checks->kept.wish || !world->gateway.alive || world->gateway.dying ||
	         event->type == ON_HOST_RESUMED || world->machine.state == STATE_ADOPTING;
	if (ending || checks->was_ending)
		checks->unwanted_since_ms = world->now_ms;
	else if (world->now_ms - checks->unwanted_since_ms > stop_ms + SLACK_MS)
		checks_violate(world, CHECK_STOP_HOLDS, "asked to stop %" PRId64 " ms ago, and alive",
		    world->now_ms - checks->unwanted_since_ms);
	checks->was_ending = ending;
}

static void check_noticed(
    struct world *world, const struct supervision_event *event, enum supervision_state before)
{
	const struct supervision *machine = &world->machine;
	bool is_up = machine->state == STATE_STARTING || machine->state == STATE_RUNNING ||
	             machine->state == STATE_SUSPECT || machine->state == STATE_EXAMINING ||
	             machine->state == STATE_DRAINING;

	if (event->type == ON_READY && before == STATE_STARTING && event->generation == machine->generation &&
	    world->gateway.alive && machine->state != STATE_RUNNING)
		checks_violate(world, CHECK_UP_IS_NOTICED, "it said that it is ready");
	if (event->type == ON_EXITED && is_up && event->generation == machine->generation &&
	    world->result_count == 0)
		checks_violate(world, CHECK_UP_IS_NOTICED, "its end was reported, and the state is %s",
		    supervision_state_name(machine->state));
}

void checks_settled(struct world *world, const struct supervision_event *event, enum supervision_state before)
{
	if (world->finished)
		return;
	check_noticed(world, event, before);
	if (world->result_count > 0)
		return;
	if (world->machine.finishing && world->machine.state == STATE_STOPPED)
		checks_violate(world, CHECK_FINISH_LEAVES_NOTHING, "nothing is left, and it does not end");
	check_deadline(world);
	check_saved(world);
	check_down(world, event);
	checks_lives_settled(world, event);
	checks_examine_settled(world, event);
	checks_verdicts_settled(world);
}
