#include "core/health_evidence.h"

#define MARK_EVERY_MS        15000
#define MEASURED_AT_LEAST_MS 5000
#define WAITS_AT_LEAST_MS    2000
#define LATE_MS              2000
#define RECENT_AT_LEAST_MS   200 /* /proc counts processor time in 10 ms */
#define LOOKS_AT_LEAST       4
#define FAULTS_A_SECOND                                                                                      \
	10 /* so many reads from swap, one after another, take a fifth of the time and more                  \
	    */
#define STARVED_PERMILLE      250
#define STOLEN_PERMILLE       300
#define MEMORY_PERMILLE       300
#define BUSY_PERMILLE         950
#define OTHERS_PERMILLE       500
#define PINNED_PERMILLE       900
#define PINNED_RECENTLY       800
#define ON_PROCESSOR_PERMILLE 500
#define ON_PROCESSOR_STARVED  50

/* --- Measuring. --- */

void evidence_begin(struct health *health)
{
	health->base = health->next = health->now;
	health->queue_base = health->now.look.queue;
	health->waits_since_ms = health->now.look.process == 'D' ? health->now.look.at_ms : 0;
}

static int64_t measured_ms(const struct health *health)
{
	return health->now.look.at_ms - health->base.look.at_ms;
}

/* How long something must be so to be more than a moment. */
static int64_t while_ms(const struct health *health, int64_t most_ms)
{
	int64_t wanted_ms = health_window_ms(health->settings) / 4;

	return wanted_ms < most_ms ? wanted_ms : most_ms;
}

bool evidence_suffices(const struct health *health)
{
	return measured_ms(health) >= while_ms(health, MEASURED_AT_LEAST_MS);
}

/* By how much a counter grew; false where it cannot be seen, or has begun anew with another process. */
static bool grew(uint64_t before, uint64_t now, uint64_t *by)
{
	*by = 0;
	if (before == HEALTH_UNKNOWN_COUNT || now == HEALTH_UNKNOWN_COUNT || now < before)
		return false;
	*by = now - before;
	return true;
}

static uint32_t permille(uint64_t part, uint64_t whole)
{
	if (whole == 0)
		return 0;
	if (part >= whole)
		return 1000;
	return (uint32_t)(whole > UINT64_MAX / 1000 ? part / (whole / 1000) : part * 1000 / whole);
}

static uint64_t processors_of(const struct health_look *look)
{
	return look->processors == 0 ? 1 : look->processors;
}

/* What others than its tree used, in ms of all processors. */
static bool others_used(const struct health *health, const struct health_look *look, uint64_t *used_ms)
{
	const struct health_look *base = &health->base.look;
	uint64_t busy_ms, tree_ms;

	*used_ms = 0;
	if (!grew(base->busy_cpu_ms, look->busy_cpu_ms, &busy_ms))
		return false;
	if (!grew(base->tree_cpu_ms, look->tree_cpu_ms, &tree_ms))
		grew(base->main_cpu_ms, look->main_cpu_ms, &tree_ms);
	*used_ms = busy_ms > tree_ms ? busy_ms - tree_ms : 0;
	return true;
}

static void note_wait(struct health *health, const struct health_look *look)
{
	uint64_t faults;

	grew(health->last.main_faults, look->main_faults, &faults);
	if (look->process != 'D')
		health->waits_since_ms = 0;
	else if (health->waits_since_ms == 0 || faults > 0)
		health->waits_since_ms = look->at_ms;
}

void evidence_add(struct health *health, const struct health_look *look)
{
	note_wait(health, look);
	health->now.look = *look;
	health->now.looks++;
	health->now.runnable_looks += look->process == 'R';
	health->now.late_ms += look->late_ms;
	if (look->at_ms - health->next.look.at_ms >= MARK_EVERY_MS) {
		health->base = health->next;
		health->next = health->now;
	}
}

/* --- Against it. --- */

/* Runnable all the time, by the scheduler's own counters. */
static bool ran_or_waited(
    const struct health_look *from, const struct health_look *to, uint32_t wanted_permille)
{
	uint64_t ran_ms, waited_ms, elapsed_ms = (uint64_t)(to->at_ms - from->at_ms);

	if (!grew(from->main_cpu_ms, to->main_cpu_ms, &ran_ms))
		return false;
	grew(from->main_waited_ms, to->main_waited_ms, &waited_ms);
	return permille(ran_ms + waited_ms, elapsed_ms) >= wanted_permille;
}

/* Its main thread ran without pause, and still does. Without the scheduler's counter of waiting the state R
 * at nearly every look says the same. That it had a processor for half of the time is wanted as well, unless
 * others took it: then a twentieth must do. */
static bool is_pinned(const struct health *health, const struct health_look *look, uint32_t others_permille)
{
	const struct health_look *base = &health->base.look, *last = &health->last;
	uint64_t looks = health->now.looks - health->base.looks;
	uint64_t runnable = health->now.runnable_looks - health->base.runnable_looks;
	uint64_t ran_ms, elapsed_ms = (uint64_t)measured_ms(health);
	bool always_runnable = looks >= LOOKS_AT_LEAST && permille(runnable, looks) >= PINNED_PERMILLE;
	bool knows_waiting = look->main_waited_ms != HEALTH_UNKNOWN_COUNT;
	uint32_t wanted = others_permille >= STARVED_PERMILLE ? ON_PROCESSOR_STARVED : ON_PROCESSOR_PERMILLE;

	if (!evidence_suffices(health) || look->process == 'S' || look->process == 'T')
		return false;
	if (!grew(base->main_cpu_ms, look->main_cpu_ms, &ran_ms) || permille(ran_ms, elapsed_ms) < wanted)
		return false;
	if (!ran_or_waited(base, look, PINNED_PERMILLE) && (knows_waiting || !always_runnable))
		return false;
	/* One that has just come to rest is not pinned any more. */
	return look->at_ms - last->at_ms < RECENT_AT_LEAST_MS || ran_or_waited(last, look, PINNED_RECENTLY) ||
	       (!knows_waiting && look->process == 'R');
}

/* In an unkillable wait at all looks of a while, and nothing that it waited for has come. */
static bool is_uninterruptible(const struct health *health, const struct health_look *look)
{
	return health->waits_since_ms != 0 &&
	       look->at_ms - health->waits_since_ms >= while_ms(health, WAITS_AT_LEAST_MS);
}

/* Who accepts takes from the front: when nothing was taken out, our own unanswered connections are still in
 * it. */
static bool is_queueing(const struct health *health, const struct health_look *look, int32_t grown)
{
	uint32_t failures = health->settings->failures;

	if (look->queue <= 0 || health->queue_base < 0)
		return false;
	return (uint32_t)grown >= failures ||
	       ((uint32_t)look->queue >= look->unanswered && look->unanswered >= failures);
}

static int64_t tick_heard_ms(const struct health *health, const struct health_look *look)
{
	return look->heard_ms > health->not_before_ms ? look->heard_ms : health->not_before_ms;
}

bool evidence_tick_overdue(const struct health *health, const struct health_look *look)
{
	return look->heard_ms != 0 && look->tick_interval_ms > 0 &&
	       look->at_ms - tick_heard_ms(health, look) >
	           look->tick_interval_ms + health->settings->timeout_ms;
}

bool evidence_tick_pending(const struct health *health, const struct health_look *look)
{
	return look->heard_ms != 0 && look->tick_interval_ms > 0 && !evidence_tick_overdue(health, look);
}

uint32_t evidence_witnesses(
    const struct health *health, const struct health_look *look, struct health_verdict *verdict)
{
	uint64_t others_ms, ran_ms, elapsed_ms = (uint64_t)measured_ms(health);
	uint32_t witnesses = 0;

	others_used(health, look, &others_ms);
	grew(health->base.look.main_cpu_ms, look->main_cpu_ms, &ran_ms);
	verdict->others_permille = permille(others_ms, elapsed_ms * processors_of(look));
	verdict->main_permille = permille(ran_ms, elapsed_ms);
	if (health->queue_base >= 0 && look->queue > health->queue_base)
		verdict->queue_grown = look->queue - health->queue_base;
	if (is_pinned(health, look, verdict->others_permille))
		witnesses |= WITNESS_PINNED;
	if (look->process == 'T')
		witnesses |= WITNESS_STOPPED;
	if (is_uninterruptible(health, look))
		witnesses |= WITNESS_UNINTERRUPTIBLE;
	if (evidence_tick_overdue(health, look))
		witnesses |= WITNESS_NO_TICK;
	if (is_queueing(health, look, verdict->queue_grown))
		witnesses |= WITNESS_QUEUE;
	return witnesses;
}

/* --- For it. --- */

/* Others take the processors that it waits for. What its own tree takes from it is its own affair. */
static bool is_starved(const struct health *health, const struct health_look *look, uint32_t others_permille)
{
	const struct health_look *base = &health->base.look;
	uint64_t waited_ms, others_ms, busy_ms, ran_ms, elapsed_ms = (uint64_t)measured_ms(health);
	bool knows_others = others_used(health, look, &others_ms);

	if (grew(base->main_waited_ms, look->main_waited_ms, &waited_ms))
		return permille(waited_ms, elapsed_ms) >= STARVED_PERMILLE &&
		       (!knows_others || others_ms >= waited_ms / 2);
	/* The scheduler does not say how long it waited: all processors are taken, and not by it. */
	grew(base->busy_cpu_ms, look->busy_cpu_ms, &busy_ms);
	grew(base->main_cpu_ms, look->main_cpu_ms, &ran_ms);
	return permille(busy_ms, elapsed_ms * processors_of(look)) >= BUSY_PERMILLE &&
	       others_permille >= OTHERS_PERMILLE && permille(ran_ms, elapsed_ms) < PINNED_RECENTLY;
}

/* Others make it wait for memory. The stall of its own tree says nothing of who caused it; that pages come in
 * one after another says that it moves. */
static bool waits_for_memory(const struct health *health, const struct health_look *look)
{
	const struct health_look *base = &health->base.look;
	uint64_t stall_ms, tree_ms, faults, elapsed_ms = (uint64_t)measured_ms(health);

	if (grew(base->main_faults, look->main_faults, &faults) &&
	    faults / (elapsed_ms / 1000 + 1) >= FAULTS_A_SECOND)
		return true;
	grew(base->memory_stall_ms, look->memory_stall_ms, &stall_ms);
	grew(base->tree_stall_ms, look->tree_stall_ms, &tree_ms);
	return stall_ms > tree_ms && permille(stall_ms - tree_ms, elapsed_ms) >= MEMORY_PERMILLE;
}

uint32_t evidence_postpones(
    const struct health *health, const struct health_look *look, struct health_verdict *verdict)
{
	uint64_t steal_ms, elapsed_ms = (uint64_t)measured_ms(health);
	uint32_t held = 0;

	grew(health->base.look.steal_cpu_ms, look->steal_cpu_ms, &steal_ms);
	verdict->steal_permille = permille(steal_ms, elapsed_ms * processors_of(look));
	if (is_starved(health, look, verdict->others_permille))
		held |= HELD_STARVED;
	if (verdict->steal_permille >= STOLEN_PERMILLE)
		held |= HELD_STOLEN;
	if (waits_for_memory(health, look))
		held |= HELD_MEMORY;
	if (health->now.late_ms - health->base.late_ms > LATE_MS)
		held |= HELD_LATE;
	if (look->is_busy_with_itself)
		held |= HELD_RELOADING;
	return held;
}
