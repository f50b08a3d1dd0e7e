#include "tests/simulation/plants.h"

#include <string.h>

#define DAY_MS 86400000ll

static bool has_action(const struct supervision_actions *actions, enum supervision_action_type type)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == type)
			return true;
	return false;
}

static void drop_actions(struct supervision_actions *actions, enum supervision_action_type type)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type != type)
			actions->list[kept++] = actions->list[i];
	actions->count = kept;
}

static void add_action(
    struct supervision_actions *actions, enum supervision_action_type type, uint64_t generation)
{
	if (actions->count < SUPERVISION_ACTIONS_MAX)
		actions->list[actions->count++] =
		    (struct supervision_action){.type = type, .generation = generation};
}

static bool has_record(const struct supervision_actions *actions, enum supervision_record record)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == DO_RECORD && actions->list[i].record == record)
			return true;
	return false;
}

#define PLANT(name)                                                                                          \
	static void name(struct supervision *machine, const struct supervision_event *event,                 \
	    struct supervision_actions *actions)

PLANT(starts_twice)
{
	supervision_step(machine, event, actions);
	if (has_action(actions, DO_SPAWN))
		add_action(actions, DO_SPAWN, machine->generation);
}

PLANT(skips_the_kill)
{
	struct supervision_event gone = *event;
	struct supervision_actions more;

	supervision_step(machine, event, actions);
	if (machine->alive || machine->state != STATE_KILLING || !has_action(actions, DO_KILL_TREE))
		return;
	drop_actions(actions, DO_KILL_TREE);
	gone.type = ON_TREE_GONE;
	gone.generation = machine->generation;
	supervision_step(machine, &gone, &more);
	for (uint32_t i = 0; i < more.count && actions->count < SUPERVISION_ACTIONS_MAX; i++)
		actions->list[actions->count++] = more.list[i];
}

PLANT(gives_up_on_the_tree)
{
	struct supervision_event changed = *event;

	if (event->type == ON_TREE_LEFT && !event->holds && !machine->alive && machine->wanted)
		changed.type = ON_TREE_GONE;
	supervision_step(machine, &changed, actions);
}

PLANT(waits_without_a_timer)
{
	supervision_step(machine, event, actions);
	if (machine->state == STATE_BACKING_OFF)
		machine->deadline_ms = 0;
}

PLANT(does_not_heed_its_timer)
{
	if (event->type == ON_TIMER && machine->state == STATE_SUSPECT) {
		machine->now_ms = machine->deadline_ms = event->now_ms;
		actions->count = 0;
		return;
	}
	supervision_step(machine, event, actions);
}

PLANT(retries_a_failed_spawn_at_once)
{
	supervision_step(machine, event, actions);
	if (event->type == ON_SPAWN_FAILED && machine->state == STATE_BACKING_OFF &&
	    machine->settings->policy.initial_ms == 0)
		machine->deadline_ms = machine->due_ms = machine->now_ms;
}

PLANT(forgets_its_boots)
{
	machine->history.boot_count = 0;
	supervision_step(machine, event, actions);
}

PLANT(counts_boots_from_the_spawn)
{
	int64_t spawned_ms = machine->started_ms;

	supervision_step(machine, event, actions);
	if (event->type == ON_READY && machine->history.boot_count > 0)
		machine->history.boots_ms[machine->history.boot_count - 1] = spawned_ms;
}

PLANT(ends_suspects)
{
	supervision_step(machine, event, actions);
	if (has_record(actions, RECORD_SUSPECTED))
		add_action(actions, DO_TERMINATE, machine->generation);
}

PLANT(believes_any_end)
{
	struct supervision_event changed = *event;

	if (event->type == ON_EXITED)
		changed.generation = machine->generation;
	supervision_step(machine, &changed, actions);
}

PLANT(gives_no_grace)
{
	supervision_step(machine, event, actions);
	if (machine->state == STATE_DRAINING && !machine->own_drain)
		machine->deadline_ms = machine->now_ms + 1;
}

PLANT(needs_no_evidence)
{
	struct supervision_event changed = *event;

	if (event->type == ON_CONDEMNED && event->value == 0)
		changed.value = 1;
	supervision_step(machine, &changed, actions);
}

PLANT(judges_after_a_sleep)
{
	machine->judge_after_ms = 0;
	supervision_step(machine, event, actions);
}

PLANT(heeds_old_verdicts)
{
	struct supervision_event changed = *event;

	if (event->type == ON_CONDEMNED)
		changed.generation = machine->generation;
	supervision_step(machine, &changed, actions);
}

PLANT(condemns_slow_starts)
{
	if (event->type == ON_TIMER && machine->state == STATE_STARTING)
		machine->moved_ms = -DAY_MS;
	supervision_step(machine, event, actions);
}

PLANT(stops_after_a_crash)
{
	supervision_step(machine, event, actions);
	if (machine->state == STATE_BACKING_OFF && event->type == ON_TREE_GONE) {
		machine->state = STATE_STOPPED;
		machine->deadline_ms = 0;
	}
}

PLANT(waits_a_day)
{
	supervision_step(machine, event, actions);
	if (machine->state == STATE_BACKING_OFF && machine->reason == REASON_BOOT_BUDGET &&
	    event->type == ON_TREE_GONE)
		machine->deadline_ms += DAY_MS;
}

PLANT(does_not_hear_ready)
{
	struct supervision_event changed = *event;

	if (event->type == ON_READY)
		changed.type = ON_PROGRESS;
	supervision_step(machine, &changed, actions);
}

PLANT(believes_any_ready)
{
	struct supervision_event changed = *event;

	if (event->type == ON_READY)
		changed.generation = machine->generation;
	supervision_step(machine, &changed, actions);
}

PLANT(parks_silently)
{
	supervision_step(machine, event, actions);
	if (machine->state == STATE_PARKED)
		machine->reason = REASON_NONE;
}

PLANT(parks_for_ever)
{
	supervision_step(machine, event, actions);
	if (machine->state == STATE_PARKED)
		machine->deadline_ms = INT64_MAX;
}

PLANT(opens_no_incident)
{
	supervision_step(machine, event, actions);
	machine->incident = 0;
	for (uint32_t i = 0; i < actions->count; i++)
		actions->list[i].incident = 0;
}

PLANT(reuses_incidents)
{
	supervision_step(machine, event, actions);
	if (has_record(actions, RECORD_RECOVERED))
		machine->next_incident--;
}

PLANT(leaves_incidents_open)
{
	uint64_t incident = machine->incident;

	supervision_step(machine, event, actions);
	if (has_record(actions, RECORD_RECOVERED))
		machine->incident = incident;
}

PLANT(mixes_up_states)
{
	supervision_step(machine, event, actions);
	if (has_action(actions, DO_SPAWN))
		machine->state = STATE_BACKING_OFF;
}

PLANT(ignores_the_pause)
{
	int64_t until_ms = machine->paused_until_ms;

	if (event->type != ON_PAUSE && event->type != ON_RESUME)
		machine->paused_until_ms = 0;
	supervision_step(machine, event, actions);
	if (event->type != ON_PAUSE && event->type != ON_RESUME)
		machine->paused_until_ms = until_ms;
}

PLANT(never_backs_off_further)
{
	memset(machine->history.attempts, 0, sizeof(machine->history.attempts));
	supervision_step(machine, event, actions);
}

PLANT(forgets_failures_at_ready)
{
	supervision_step(machine, event, actions);
	if (has_record(actions, RECORD_READY))
		memset(machine->history.attempts, 0, sizeof(machine->history.attempts));
}

PLANT(reuses_generations)
{
	supervision_step(machine, event, actions);
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == DO_SPAWN && machine->generation > 1)
			actions->list[i].generation = --machine->generation;
}

PLANT(forgets_a_stop)
{
	supervision_step(machine, event, actions);
	if (event->type == ON_STOP && (machine->state == STATE_DRAINING || machine->state == STATE_KILLING))
		machine->wanted = true;
}

PLANT(lets_the_gateway_undo_a_stop)
{
	struct supervision_event changed = *event;

	if (!machine->wanted)
		changed.inside = false;
	supervision_step(machine, &changed, actions);
}

PLANT(stops_without_end)
{
	supervision_step(machine, event, actions);
	if (event->type == ON_TIMER && machine->state == STATE_KILLING && machine->alive)
		drop_actions(actions, DO_KILL_TREE);
}

PLANT(saves_nothing)
{
	supervision_step(machine, event, actions);
	drop_actions(actions, DO_SAVE);
}

PLANT(leaves_before_the_gateway)
{
	supervision_step(machine, event, actions);
	if (event->type == ON_SHUTDOWN && machine->alive && !has_action(actions, DO_KILL_TREE))
		add_action(actions, DO_FINISH, machine->generation);
}

PLANT(tells_nobody)
{
	uint32_t kept = 0;

	supervision_step(machine, event, actions);
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type != DO_RECORD || actions->list[i].reason != REASON_UNKILLABLE_HOLDS)
			actions->list[kept++] = actions->list[i];
	actions->count = kept;
}

PLANT(does_not_listen)
{
	struct supervision_event changed = *event;

	if (event->type == ON_WORDS)
		changed.verdict = VERDICT_CRASH;
	supervision_step(machine, &changed, actions);
}

PLANT(never_forgets_failures)
{
	struct restart_history before = machine->history;

	supervision_step(machine, event, actions);
	for (int cause = 0; cause < RESTART_CAUSE_COUNT; cause++)
		if (machine->history.attempts[cause] < before.attempts[cause])
			machine->history.attempts[cause] = before.attempts[cause];
}

PLANT(does_not_finish)
{
	supervision_step(machine, event, actions);
	if (event->type == ON_TREE_GONE)
		drop_actions(actions, DO_FINISH);
}

static const struct plant plants[] = {
    {"starts-twice", "every start is made twice", CHECK_NEVER_TWO_GATEWAYS, starts_twice},
    {"skips-the-kill", "what the gateway left is not killed, and called gone", CHECK_NO_START_OVER_OLD_TREE,
        skips_the_kill},
    {"gives-up-on-the-tree", "helpers that do not die at once are called gone", CHECK_NO_START_OVER_OLD_TREE,
        gives_up_on_the_tree},
    {"waits-without-a-timer", "back-off has no deadline", CHECK_WAITING_HAS_TIMER, waits_without_a_timer},
    {"does-not-heed-its-timer", "a suspicion's timer comes again and again", CHECK_TIMERS_DO_NOT_SPIN,
        does_not_heed_its_timer},
    {"retries-a-failed-spawn-at-once", "with no back-off set, a spawn that failed is repeated without a wait",
        CHECK_TIMERS_DO_NOT_SPIN, retries_a_failed_spawn_at_once},
    {"forgets-its-boots", "no boot counts against the budget", CHECK_BOOT_BUDGET, forgets_its_boots},
    {"counts-boots-from-the-spawn", "a boot counts from its spawn, not from when the gateway noted it",
        CHECK_BOOT_BUDGET, counts_boots_from_the_spawn},
    {"ends-suspects", "a mere suspicion is answered with SIGTERM", CHECK_HEALTHY_UNTOUCHED, ends_suspects},
    {"believes-any-end", "the end of an earlier gateway is taken for this one's", CHECK_HEALTHY_UNTOUCHED,
        believes_any_end},
    {"gives-no-grace", "SIGKILL follows SIGTERM after 1 ms", CHECK_GRACE_RESPECTED, gives_no_grace},
    {"needs-no-evidence", "a verdict without evidence is acted upon", CHECK_VERDICT_NEEDS_EVIDENCE,
        needs_no_evidence},
    {"judges-after-a-sleep", "verdicts from before the host's sleep count", CHECK_VERDICT_NEEDS_EVIDENCE,
        judges_after_a_sleep},
    {"heeds-old-verdicts", "a verdict on an earlier gateway ends this one", CHECK_VERDICT_NEEDS_EVIDENCE,
        heeds_old_verdicts},
    {"condemns-slow-starts", "a start is ended on time alone", CHECK_VERDICT_NEEDS_EVIDENCE,
        condemns_slow_starts},
    {"stops-after-a-crash", "a gateway that crashed stays down", CHECK_DEAD_IS_RESTARTED,
        stops_after_a_crash},
    {"waits-a-day", "the wait for the boot budget takes a day longer", CHECK_DEAD_IS_RESTARTED, waits_a_day},
    {"does-not-hear-ready", "ready is taken for mere progress", CHECK_UP_IS_NOTICED, does_not_hear_ready},
    {"believes-any-ready", "an earlier gateway's ready is taken for this one's", CHECK_READY_IS_TRUE,
        believes_any_ready},
    {"parks-silently", "parked without a reason", CHECK_PARKED_SAYS_WHY, parks_silently},
    {"parks-for-ever", "parked without a retry", CHECK_PARKED_SAYS_WHY, parks_for_ever},
    {"opens-no-incident", "a crash opens no incident", CHECK_INCIDENTS, opens_no_incident},
    {"reuses-incidents", "two incidents have one number", CHECK_INCIDENTS, reuses_incidents},
    {"leaves-incidents-open", "recovery does not close the incident", CHECK_INCIDENTS, leaves_incidents_open},
    {"mixes-up-states", "a start is made and the state says backing-off", CHECK_ACTIONS_FIT, mixes_up_states},
    {"ignores-the-pause", "a pause changes nothing", CHECK_PAUSED_IS_PASSIVE, ignores_the_pause},
    {"never-backs-off-further", "every failure is the first", CHECK_BACK_OFF, never_backs_off_further},
    {"forgets-failures-at-ready", "back-off is forgotten as soon as it is ready", CHECK_BACK_OFF,
        forgets_failures_at_ready},
    {"reuses-generations", "a start repeats the generation before", CHECK_GENERATIONS, reuses_generations},
    {"forgets-a-stop", "a stop is obeyed and forgotten", CHECK_STOP_HOLDS, forgets_a_stop},
    {"lets-the-gateway-undo-a-stop", "what the gateway asks for is taken for a person's wish",
        CHECK_STOP_HOLDS, lets_the_gateway_undo_a_stop},
    {"stops-without-end", "a gateway that ignores SIGTERM is never killed", CHECK_ORDERS_OUTLIVE,
        stops_without_end},
    {"saves-nothing", "only starts are saved for the next life", CHECK_SAVED, saves_nothing},
    {"leaves-before-the-gateway", "the supervisor ends before the gateway has", CHECK_FINISH_LEAVES_NOTHING,
        leaves_before_the_gateway},
    {"does-not-finish", "the supervisor never ends after a drain", CHECK_FINISH_LEAVES_NOTHING,
        does_not_finish},
    {"tells-nobody", "what cannot be killed and holds the port is told to nobody", CHECK_UNKILLABLE_IS_TOLD,
        tells_nobody},
    {"does-not-listen", "a gateway that says why it will not start is started again", CHECK_PARKED_SAYS_WHY,
        does_not_listen},
    {"never-forgets-failures", "failures count for ever, however healthy it has been", CHECK_BACK_OFF,
        never_forgets_failures},
};

#define PLANT_COUNT (sizeof(plants) / sizeof(plants[0]))

const struct plant *plant_at(size_t index)
{
	if (index < PLANT_COUNT)
		return &plants[index];
	index -= PLANT_COUNT;
	if (index < plants_of_lives_count)
		return &plants_of_lives[index];
	index -= plants_of_lives_count;
	return index < plants_of_examining_count ? &plants_of_examining[index] : NULL;
}

const struct plant *plant_find(const char *name)
{
	for (size_t i = 0; plant_at(i) != NULL; i++)
		if (strcmp(plant_at(i)->name, name) == 0)
			return plant_at(i);
	return NULL;
}
