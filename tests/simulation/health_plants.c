#include <string.h>

#include "tests/simulation/health_world.h"

#define PLANT(name)                                                                                          \
	static void name(                                                                                    \
	    struct health *health, const struct health_look *look, struct health_verdict *verdict)

/* As if these bits of the look had never been set. */
PLANT(ignores_debuggers)
{
	struct health_look other = *look;

	other.is_traced = false;
	if (other.process == 't')
		other.process = 'R';
	health_step(health, &other, verdict);
}

PLANT(ignores_freezers)
{
	struct health_look other = *look;

	other.is_frozen = false;
	if (look->is_frozen)
		other.process = 'D';
	health_step(health, &other, verdict);
}

PLANT(ignores_starvation)
{
	struct health_look other = *look;

	other.busy_cpu_ms = other.tree_cpu_ms;
	health_step(health, &other, verdict);
}

PLANT(ignores_stolen_time)
{
	struct health_look other = *look;

	other.steal_cpu_ms = 0;
	health_step(health, &other, verdict);
}

PLANT(ignores_memory)
{
	struct health_look other = *look;

	other.main_faults = other.memory_stall_ms = HEALTH_UNKNOWN_COUNT;
	health_step(health, &other, verdict);
}

PLANT(ignores_reloads)
{
	struct health_look other = *look;

	other.is_busy_with_itself = false;
	health_step(health, &other, verdict);
}

static void turn(struct health *health, struct health_verdict *verdict, enum health_state state)
{
	verdict->changed = verdict->changed != (state != verdict->state);
	health->state = verdict->state = state;
}

PLANT(is_content_with_silence)
{
	health_step(health, look, verdict);
	if (verdict->blocked_ms >= health_window_ms(health->settings) && verdict->state == HEALTH_SUSPECT &&
	    (verdict->held & ~HELD_NO_WITNESS) == 0 && look->process != 'T')
		turn(health, verdict, HEALTH_HUNG);
}

PLANT(is_impatient)
{
	health_step(health, look, verdict);
	if (verdict->blocked_ms >= 15000 && verdict->state == HEALTH_SUSPECT && verdict->held == 0 &&
	    (verdict->witnesses & ~WITNESS_STOPPED & ~WITNESS_UNANSWERED))
		turn(health, verdict, HEALTH_HUNG);
}

PLANT(never_condemns_a_pinned_one)
{
	health_step(health, look, verdict);
	if (verdict->state == HEALTH_HUNG && (verdict->witnesses & WITNESS_PINNED))
		turn(health, verdict, HEALTH_SUSPECT);
}

PLANT(never_finds_the_deaf)
{
	health_step(health, look, verdict);
	if (verdict->state == HEALTH_DEAF)
		turn(health, verdict, HEALTH_SUSPECT);
}

PLANT(believes_every_promise)
{
	struct health_look other = *look;

	other.watchdog_missed = 0;
	health_step(health, &other, verdict);
}

PLANT(takes_a_minute_for_deafness)
{
	health_step(health, look, verdict);
	if (verdict->state == HEALTH_SUSPECT && look->failing_since_ms != 0 && look->probe == PROBE_L4CON &&
	    look->at_ms - look->failing_since_ms > 60000)
		turn(health, verdict, HEALTH_DEAF);
}

PLANT(wakes_and_wakes)
{
	health_step(health, look, verdict);
	verdict->wake |= verdict->state == HEALTH_SUSPECT && look->process == 'T';
}

PLANT(never_ends_a_suspicion)
{
	enum health_state before = health->state;

	health_step(health, look, verdict);
	if (before == HEALTH_SUSPECT && verdict->state == HEALTH_LIVE)
		turn(health, verdict, HEALTH_SUSPECT);
}

PLANT(is_always_news)
{
	health_step(health, look, verdict);
	verdict->changed = true;
}

PLANT(looks_too_seldom)
{
	health_step(health, look, verdict);
	if (verdict->state == HEALTH_SUSPECT)
		health->state = HEALTH_LIVE;
}

PLANT(forgets_the_window_after_a_gap)
{
	health->not_before_ms = 0;
	health_step(health, look, verdict);
}

PLANT(changes_nothing)
{
	health_step(health, look, verdict);
}

static const struct health_plant plants[] = {
    {"ignores-debuggers", "a debugger is not seen", HEALTH_CHECK_EXCEPTIONS, ignores_debuggers},
    {"ignores-freezers", "a frozen cgroup is not seen", HEALTH_CHECK_EXCEPTIONS, ignores_freezers},
    {"ignores-starvation", "nobody else uses the processors", HEALTH_CHECK_UNTOUCHED, ignores_starvation},
    {"ignores-stolen-time", "the host takes no time", HEALTH_CHECK_UNTOUCHED, ignores_stolen_time},
    {"ignores-memory", "nobody waits for memory", HEALTH_CHECK_UNTOUCHED, ignores_memory},
    {"ignores-reloads", "what it says of its reload is not heard", HEALTH_CHECK_EXCEPTIONS, ignores_reloads},
    {"is-content-with-silence", "silence alone is enough", HEALTH_CHECK_TWO_WITNESSES,
        is_content_with_silence},
    {"is-impatient", "15 s are enough", HEALTH_CHECK_WINDOW, is_impatient},
    {"never-condemns-a-pinned-one", "a busy loop is always forgiven", HEALTH_CHECK_HUNG_FOUND,
        never_condemns_a_pinned_one},
    {"never-finds-the-deaf", "the deaf are left as they are", HEALTH_CHECK_DEAF_FOUND, never_finds_the_deaf},
    {"believes-every-promise", "promises count as kept", HEALTH_CHECK_PROMISE_FOUND, believes_every_promise},
    {"takes-a-minute-for-deafness", "a minute without connections is enough", HEALTH_CHECK_DEAF_SILENCE,
        takes_a_minute_for_deafness},
    {"wakes-and-wakes", "SIGCONT is sent at every look", HEALTH_CHECK_WAKE, wakes_and_wakes},
    {"never-ends-a-suspicion", "a suspicion stays", HEALTH_CHECK_CLEARED, never_ends_a_suspicion},
    {"is-always-news", "every verdict is said to be new", HEALTH_CHECK_CHANGED, is_always_news},
    {"looks-too-seldom", "a suspect is looked at as seldom as any", HEALTH_CHECK_PACE, looks_too_seldom},
    {"forgets-gaps", "time in which it could not answer counts", HEALTH_CHECK_UNTOUCHED,
        forgets_the_window_after_a_gap},
    {"forgets-to-prove", "a gateway counts as proved from its first moment", HEALTH_CHECK_PROVED,
        changes_nothing, .begins_proved = true},
};

const struct health_plant *health_plant_at(size_t index)
{
	return index < sizeof(plants) / sizeof(plants[0]) ? &plants[index] : NULL;
}

const struct health_plant *health_plant_find(const char *name)
{
	for (size_t i = 0; health_plant_at(i) != NULL; i++)
		if (strcmp(plants[i].name, name) == 0)
			return &plants[i];
	return NULL;
}
