/* Plants about what is condemned: examined before its end, continued, named as out of memory; and about
 * starts from the copy of the configuration. */
#include "tests/simulation/plants.h"

#define PLANT(name)                                                                                          \
	static void name(struct supervision *machine, const struct supervision_event *event,                 \
	    struct supervision_actions *actions)

static struct supervision_action *find_action(
    struct supervision_actions *actions, enum supervision_action_type type)
{
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type == type)
			return &actions->list[i];
	return NULL;
}

static void add_action(
    struct supervision_actions *actions, enum supervision_action_type type, uint64_t generation)
{
	if (actions->count < SUPERVISION_ACTIONS_MAX)
		actions->list[actions->count++] =
		    (struct supervision_action){.type = type, .generation = generation};
}

PLANT(lets_an_opened_one_be)
{
	if (event->type == ON_CLEARED || event->type == ON_PAUSE)
		machine->opened = false;
	supervision_step(machine, event, actions);
}

PLANT(forgets_that_it_opened)
{
	struct supervision earlier = *machine;

	supervision_step(machine, event, actions);
	/* What the next life reads is what is in memory when this step is carried out. */
	if (earlier.state != STATE_EXAMINING && machine->state == STATE_EXAMINING)
		machine->opened = false;
}

PLANT(examines_without_end)
{
	supervision_step(machine, event, actions);
	if (machine->state == STATE_EXAMINING)
		machine->deadline_ms += 60000;
}

PLANT(opens_what_it_may_not)
{
	struct supervision_action *examine;

	supervision_step(machine, event, actions);
	examine = find_action(actions, DO_EXAMINE);
	if (examine != NULL)
		examine->value = 1;
}

PLANT(saves_after_it_has_opened)
{
	uint32_t kept = 0;

	supervision_step(machine, event, actions);
	if (find_action(actions, DO_EXAMINE) == NULL)
		return;
	for (uint32_t i = 0; i < actions->count; i++)
		if (actions->list[i].type != DO_SAVE)
			actions->list[kept++] = actions->list[i];
	actions->count = kept;
}

PLANT(ends_what_was_cleared)
{
	enum supervision_state before = machine->state;

	supervision_step(machine, event, actions);
	if (before == STATE_EXAMINING && machine->state == STATE_RUNNING)
		add_action(actions, DO_TERMINATE, machine->generation);
}

PLANT(heeds_its_verdict_in_a_pause)
{
	enum supervision_state before = machine->state;
	struct supervision_event none = *event;

	if (before == STATE_EXAMINING && event->type == ON_PAUSE && !machine->opened) {
		none.value = 0; /* it is heard, and what is under way goes on */
		supervision_step(machine, &none, actions);
		return;
	}
	supervision_step(machine, event, actions);
}

PLANT(wakes_in_a_pause)
{
	int64_t until_ms = machine->paused_until_ms;

	if (event->type == ON_WAKE)
		machine->paused_until_ms = 0;
	supervision_step(machine, event, actions);
	if (event->type == ON_WAKE)
		machine->paused_until_ms = until_ms;
}

PLANT(wakes_by_itself)
{
	supervision_step(machine, event, actions);
	if (event->type == ON_SUSPECTED && machine->state == STATE_SUSPECT)
		add_action(actions, DO_CONTINUE, machine->generation);
}

PLANT(takes_any_kill_for_memory)
{
	struct supervision_event changed = *event;

	if (event->type == ON_WORDS && event->verdict == VERDICT_CRASH)
		changed.verdict = VERDICT_OOM_KILLED;
	supervision_step(machine, &changed, actions);
}

PLANT(starts_from_the_refused_file)
{
	struct supervision_action *spawn;

	supervision_step(machine, event, actions);
	spawn = find_action(actions, DO_SPAWN);
	if (spawn != NULL)
		spawn->value = 0;
}

PLANT(believes_that_it_is_mended)
{
	struct supervision_event changed = *event;

	if (event->type == ON_VALIDATED)
		changed.value = 1;
	supervision_step(machine, &changed, actions);
}

PLANT(forgets_the_fallback)
{
	if (event->type == ON_FOUND)
		machine->fallback = false;
	supervision_step(machine, event, actions);
}

PLANT(wakes_what_is_starting)
{
	bool was_ready = machine->ready;

	if (event->type == ON_WAKE && machine->state == STATE_STARTING)
		machine->ready = true;
	supervision_step(machine, event, actions);
	machine->ready = event->type == ON_WAKE ? was_ready : machine->ready;
}

PLANT(does_not_wake_what_it_adopted)
{
	struct supervision_event changed = *event;

	if (event->type == ON_WAKE && machine->state == STATE_STARTING)
		changed.type = ON_PROGRESS;
	supervision_step(machine, &changed, actions);
}

PLANT(keeps_a_deaf_one_starting)
{
	struct supervision_event changed = *event;

	if (event->type == ON_CONDEMNED && event->reason == REASON_DEAF && machine->state == STATE_STARTING)
		changed.value = 0;
	supervision_step(machine, &changed, actions);
}

PLANT(clears_what_hangs_in_a_pause)
{
	struct supervision_event changed = *event;

	if (event->type == ON_CONDEMNED && machine->paused_until_ms > event->now_ms)
		changed.value = 0;
	supervision_step(machine, &changed, actions);
}

PLANT(suspects_nothing_in_a_pause)
{
	struct supervision_event changed = *event;

	if (event->type == ON_SUSPECTED && machine->paused_until_ms > event->now_ms)
		changed.type = ON_PROGRESS;
	supervision_step(machine, &changed, actions);
}

PLANT(believes_any_start_is_proved)
{
	struct supervision_event changed = *event;

	changed.proved = true;
	supervision_step(machine, &changed, actions);
}

PLANT(hands_the_proof_on)
{
	bool was_proved = machine->proved;

	supervision_step(machine, event, actions);
	if (find_action(actions, DO_SPAWN) != NULL)
		machine->proved = was_proved;
}

PLANT(begins_with_the_verdict)
{
	uint64_t incident = machine->incident;

	supervision_step(machine, event, actions);
	if (event->type == ON_CONDEMNED && machine->incident != incident)
		machine->incident_since_ms = machine->now_ms;
}

PLANT(began_before_it_was_ready)
{
	uint64_t incident = machine->incident;

	supervision_step(machine, event, actions);
	if (event->type == ON_CONDEMNED && event->reason == REASON_HUNG && machine->incident != incident)
		machine->incident_since_ms = machine->now_ms - event->value;
}

const struct plant plants_of_examining[] = {
    {"lets-an-opened-one-be", "a gateway whose inspector is open goes on when it is cleared or in a pause",
        CHECK_OPENED_IS_REPLACED, lets_an_opened_one_be},
    {"forgets-that-it-opened", "that an inspector may be open is known to nobody", CHECK_OPENED_IS_REPLACED,
        forgets_that_it_opened},
    {"examines-without-end", "an examination takes a minute", CHECK_EXAMINATION, examines_without_end},
    {"opens-what-it-may-not", "every inspector is opened", CHECK_EXAMINATION, opens_what_it_may_not},
    {"saves-after-it-has-opened", "an examination is asked for and not saved", CHECK_SAVED,
        saves_after_it_has_opened},
    {"ends-what-was-cleared", "what was cleared while it was examined is ended", CHECK_HEALTHY_UNTOUCHED,
        ends_what_was_cleared},
    {"heeds-its-verdict-in-a-pause", "a pause does not reach what is being examined", CHECK_PAUSED_IS_PASSIVE,
        heeds_its_verdict_in_a_pause},
    {"wakes-in-a-pause", "what a person stopped in a pause is continued", CHECK_PAUSED_IS_PASSIVE,
        wakes_in_a_pause},
    {"wakes-by-itself", "SIGCONT is sent to whatever is suspect", CHECK_VERDICT_NEEDS_EVIDENCE,
        wakes_by_itself},
    {"takes-any-kill-for-memory", "every end that nobody explains is called an OOM kill",
        CHECK_MEMORY_IS_NAMED, takes_any_kill_for_memory},
    {"starts-from-the-refused-file", "the refused file is tried again, and the copy is said to be",
        CHECK_FALLBACK, starts_from_the_refused_file},
    {"believes-that-it-is-mended", "the file is used again before it is valid", CHECK_FALLBACK,
        believes_that_it_is_mended},
    {"wakes-what-is-starting", "a start that has not been ready is continued", CHECK_VERDICT_NEEDS_EVIDENCE,
        wakes_what_is_starting},
    {"does-not-wake-what-it-adopted", "an adopted gateway that is stopped stays so", CHECK_HEEDED,
        does_not_wake_what_it_adopted},
    {"keeps-a-deaf-one-starting", "an adopted gateway that is deaf is called starting for ever", CHECK_HEEDED,
        keeps_a_deaf_one_starting},
    {"clears-what-hangs-in-a-pause", "a suspicion lapses in a pause, whatever is said meanwhile",
        CHECK_SUSPICION, clears_what_hangs_in_a_pause},
    {"suspects-nothing-in-a-pause", "no suspicion begins in a pause", CHECK_SUSPICION,
        suspects_nothing_in_a_pause},
    {"believes-any-start-is-proved", "every start counts as proved", CHECK_PROOF_IS_TRUE,
        believes_any_start_is_proved},
    {"hands-the-proof-on", "a fresh gateway counts as proved for the one before it", CHECK_PROOF_IS_TRUE,
        hands_the_proof_on},
    {"begins-with-the-verdict", "the incident of a hang begins when it is found out", CHECK_INCIDENTS,
        begins_with_the_verdict},
    {"began-before-it-was-ready", "a hang may have begun before the gateway was ready", CHECK_INCIDENTS,
        began_before_it_was_ready},
    {"forgets-the-fallback", "that the file was refused is not inherited", CHECK_FALLBACK,
        forgets_the_fallback},
};

const size_t plants_of_examining_count = sizeof(plants_of_examining) / sizeof(plants_of_examining[0]);
