/* Plants between two lives: each field that is inherited forgotten once, and what else a new life could do
 * with a wait, an order or an end that is not its own. */
#include <string.h>

#include "tests/simulation/plants.h"

#define DAY_MS 86400000ll

#define PLANT(name)                                                                                          \
	static void name(struct supervision *machine, const struct supervision_event *event,                 \
	    struct supervision_actions *actions)

/* A bug that strikes before the step on one event of a new life's first ones. */
#define PLANT_BEFORE(name, event_type, statement)                                                            \
	PLANT(name)                                                                                          \
	{                                                                                                    \
		if (event->type == (event_type)) {                                                           \
			statement;                                                                           \
		}                                                                                            \
		supervision_step(machine, event, actions);                                                   \
	}

PLANT_BEFORE(waits_no_longer, ON_FOUND, machine->due_ms = 0)
PLANT_BEFORE(waits_longer, ON_FOUND, machine->due_ms += 1000)
PLANT_BEFORE(forgets_why_it_waits, ON_FOUND, machine->down_reason = REASON_NONE)
PLANT_BEFORE(forgets_what_was_planned, ON_ADOPT_REFUSED, machine->planned = false)
PLANT_BEFORE(forgets_that_it_asked, ON_ADOPTED, machine->was_ending = false)
PLANT_BEFORE(calls_every_end_a_crash, ON_ADOPT_REFUSED, machine->was_ending = false)
PLANT_BEFORE(gives_no_time, ON_FOUND, machine->end_until_ms = 0)
PLANT_BEFORE(thinks_it_was_ready, ON_FOUND, machine->ready = true)
PLANT_BEFORE(forgets_that_it_was_ready, ON_FOUND, machine->ready = false)
PLANT_BEFORE(forgets_since_when_it_was_ready, ON_FOUND, machine->ready_ms = event->now_ms)
PLANT_BEFORE(forgets_the_proof, ON_FOUND, machine->proved = false)
PLANT_BEFORE(forgets_insistence, ON_FOUND, machine->insisted = false)
PLANT_BEFORE(forgets_the_incident, ON_FOUND, machine->incident = 0)
PLANT_BEFORE(forgets_when_it_failed, ON_FOUND, machine->incident_since_ms = event->now_ms)
PLANT_BEFORE(forgets_incident_numbers, ON_FOUND, machine->next_incident = 1)
PLANT_BEFORE(forgets_restarts, ON_FOUND, machine->restarts = 0)
PLANT_BEFORE(forgets_why_it_is_stopped, ON_FOUND, machine->reason = REASON_NONE)
PLANT_BEFORE(forgets_the_evidence, ON_FOUND, machine->evidence = 0)
PLANT_BEFORE(forgets_the_pause, ON_ADOPT_REFUSED, machine->paused_until_ms = 0)
PLANT_BEFORE(forgets_boots, ON_ADOPT_REFUSED, machine->history.boot_count = 0)
PLANT_BEFORE(
    forgets_failures, ON_FOUND, memset(machine->history.attempts, 0, sizeof(machine->history.attempts)))
PLANT_BEFORE(counts_a_failure_twice, ON_FOUND, machine->history.attempts[machine->cause]++)
PLANT_BEFORE(forgets_inside_restarts, ON_FOUND,
    memset(machine->inside_restarts_ms, 0, sizeof(machine->inside_restarts_ms)))
PLANT_BEFORE(forgets_the_cause, ON_FOUND,
    machine->cause = machine->settings->restart_on[RESTART_CRASH] ? RESTART_CRASH : machine->cause)
PLANT_BEFORE(gives_all_time_again, ON_FOUND,
    machine->end_until_ms = machine->was_ending ? event->now_ms + machine->settings->stop_timeout_ms : 0)

PLANT(starts_what_was_stopped)
{
	if (event->type == ON_FOUND && machine->before == STATE_STOPPED) {
		machine->before = STATE_PARKED;
		machine->wanted = true;
	}
	supervision_step(machine, event, actions);
}

PLANT(stays_parked)
{
	supervision_step(machine, event, actions);
	if (event->type == ON_FOUND && machine->before == STATE_PARKED) {
		machine->state = STATE_PARKED;
		machine->deadline_ms = event->now_ms + 1000;
		actions->count = 0;
	}
}

PLANT(takes_its_own_end_for_a_crash)
{
	if (event->type == ON_FOUND && machine->down_reason == REASON_FIRST_START)
		machine->before = STATE_ADOPTING;
	supervision_step(machine, event, actions);
}

PLANT(forgets_the_generation)
{
	struct supervision_event changed = *event;

	if (event->type == ON_FOUND && event->generation > 1)
		changed.generation--;
	supervision_step(machine, &changed, actions);
}

PLANT(loses_a_restart_while_adopting)
{
	if (event->type == ON_ADOPTED && machine->end_until_ms == SUPERVISION_NOT_ASKED_YET)
		machine->was_ending = false;
	supervision_step(machine, event, actions);
}

PLANT(saves_too_late)
{
	supervision_step(machine, event, actions);
	for (uint32_t i = 1; i < actions->count; i++) {
		struct supervision_action first = actions->list[i - 1];

		if (first.type != DO_SAVE || actions->list[i].type != DO_TERMINATE)
			continue;
		actions->list[i - 1] = actions->list[i];
		actions->list[i] = first;
	}
}

const struct plant plants_of_lives[] = {
    {"waits-no-longer", "the time of the next start is not inherited", CHECK_WAIT_OUTLIVES, waits_no_longer},
    {"waits-longer", "each life adds a second to the wait", CHECK_WAIT_OUTLIVES, waits_longer},
    {"forgets-why-it-waits", "why it went down is not inherited", CHECK_WAIT_OUTLIVES, forgets_why_it_waits},
    {"counts-a-failure-twice", "each life counts the last failure once more", CHECK_BACK_OFF,
        counts_a_failure_twice},
    {"forgets-failures", "the failures counted are not inherited", CHECK_BACK_OFF, forgets_failures},
    {"forgets-the-cause", "of what kind the failure was is not inherited", CHECK_BACK_OFF, forgets_the_cause},
    {"forgets-what-was-planned", "a planned start is not inherited", CHECK_BACK_OFF,
        forgets_what_was_planned},
    {"thinks-it-was-ready", "readiness is inherited that there was not", CHECK_BACK_OFF, thinks_it_was_ready},
    {"forgets-that-it-was-ready", "readiness is not inherited", CHECK_BACK_OFF, forgets_that_it_was_ready},
    {"forgets-since-when-it-was-ready", "the healthy time begins anew with each life", CHECK_BACK_OFF,
        forgets_since_when_it_was_ready},
    {"forgets-that-it-asked", "what an earlier life had asked to end is kept", CHECK_ORDERS_OUTLIVE,
        forgets_that_it_asked},
    {"calls-every-end-a-crash", "what an earlier life had asked to end is called crashed", CHECK_BACK_OFF,
        calls_every_end_a_crash},
    {"takes-its-own-end-for-a-crash", "a supervisor that had ended its gateway finds it crashed",
        CHECK_INCIDENTS, takes_its_own_end_for_a_crash},
    {"gives-no-time", "the rest of the time to end is not inherited", CHECK_GRACE_RESPECTED, gives_no_time},
    {"gives-all-time-again", "each life gives all the time to end again", CHECK_ORDERS_OUTLIVE,
        gives_all_time_again},
    {"loses-a-restart-while-adopting", "a restart asked for before the adoption is forgotten with it",
        CHECK_ORDERS_OUTLIVE, loses_a_restart_while_adopting},
    {"forgets-insistence", "that a person insisted is not inherited", CHECK_ORDERS_OUTLIVE,
        forgets_insistence},
    {"forgets-why-it-is-stopped", "why it is stopped is not inherited", CHECK_ORDERS_OUTLIVE,
        forgets_why_it_is_stopped},
    {"starts-what-was-stopped", "each life starts the gateway", CHECK_STOP_HOLDS, starts_what_was_stopped},
    {"stays-parked", "what was parked stays parked in the next life", CHECK_DEAD_IS_RESTARTED, stays_parked},
    {"forgets-the-pause", "a pause is not inherited", CHECK_PAUSED_IS_PASSIVE, forgets_the_pause},
    {"forgets-boots", "the boots counted are not inherited", CHECK_BOOT_BUDGET, forgets_boots},
    {"forgets-inside-restarts", "the restarts granted to the gateway are not inherited", CHECK_INSIDE_BUDGET,
        forgets_inside_restarts},
    {"forgets-the-incident", "the open incident is not inherited", CHECK_INCIDENTS, forgets_the_incident},
    {"forgets-when-it-failed", "the incident begins anew with each life", CHECK_INCIDENTS,
        forgets_when_it_failed},
    {"forgets-the-proof", "that the start of an adopted gateway was proved is not inherited",
        CHECK_PROOF_IS_TRUE, forgets_the_proof},
    {"forgets-incident-numbers", "the numbers given to incidents are not inherited", CHECK_INCIDENTS,
        forgets_incident_numbers},
    {"forgets-restarts", "the count of restarts is not inherited", CHECK_GENERATIONS, forgets_restarts},
    {"forgets-the-generation", "the generation is not inherited", CHECK_GENERATIONS, forgets_the_generation},
    {"forgets-the-evidence", "the evidence of a verdict is not inherited", CHECK_HEALTHY_UNTOUCHED,
        forgets_the_evidence},
    {"saves-too-late", "that it is to end is saved when it has been asked", CHECK_SAVED, saves_too_late},
};

const size_t plants_of_lives_count = sizeof(plants_of_lives) / sizeof(plants_of_lives[0]);
