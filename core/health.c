/* From looks to a verdict. What each combination of failures says: */
/* clang-format off */
/*
 *   new connections         standing WebSocket               and                          verdict
 *
 *   unanswered 43 s         no frame since                   a second witness             hung
 *   unanswered 43 s         its tick is not due yet          PINNED alone                 waits for it, at most 3 windows
 *   unanswered 43 s         no frame since                   nobody else                  suspect (no-witness)
 *   unanswered 43 s         frames come                                                   suspect: the loop turns
 *   fail for 180 s          new ones fail for 180 s          it was open once             deaf, whatever the old one does
 *   fail for 180 s          a new one opens, or is denied                                 suspect: it can be reached
 *   fail for 180 s          the gateway has none             a probe was answered once    deaf: there is nobody else to ask
 *   L4CON, L7RSP 180 s      there never was one              L7RSP: was answered once     deaf
 *   L4TOUT, L7TOUT 180 s    there never was one              nobody else                  suspect (no-witness)
 *   L7STS, or answered      any                                                           live: an answer is an answer
 *   SOCKERR                 any                                                           no verdict (blind)
 *   any                     any                              a promise missed             broken promise, at once
 *
 * A frame, an answer, a heartbeat, or a listen queue from which something was taken, prove that the loop turned: what went
 * unanswered before does not count any more. */
/* clang-format on */
#include "core/health.h"

#include <string.h>

#include "core/health_evidence.h"

#define DEAF_AFTER_MS     180000
#define POSTPONED_WINDOWS 3
#define WAKE_WAIT_MS      5000
#define GAP_MS            5000 /* beside twice the pace: nobody looked for so long */
#define LATE_ALONE_MS     2000 /* one look as late as that: what came meanwhile may not have been read */
#define TIME_MAX_MS       (INT64_C(1) << 45)
#define DURATION_MAX_MS   86400000
#define EXCEPTIONS        (HELD_TRACED | HELD_FROZEN)
#define POSTPONEMENTS     (HELD_RELOADING | HELD_STARVED | HELD_STOLEN | HELD_MEMORY | HELD_LATE)
#define SECOND_WITNESSES                                                                                     \
	(WITNESS_PINNED | WITNESS_STOPPED | WITNESS_UNINTERRUPTIBLE | WITNESS_NO_TICK | WITNESS_QUEUE)

static int64_t larger(int64_t left, int64_t right)
{
	return left > right ? left : right;
}

int64_t health_window_ms(const struct health_settings *settings)
{
	return settings->interval_ms + settings->timeout_ms + (int64_t)settings->failures * 1000;
}

int64_t health_pace_ms(const struct health *health)
{
	int64_t interval_ms = health->settings->interval_ms;

	if (health->state <= HEALTH_LIVE || interval_ms < HEALTH_PACE_SUSPECT_MS)
		return interval_ms;
	return HEALTH_PACE_SUSPECT_MS;
}

void health_init(struct health *health, const struct health_settings *settings)
{
	memset(health, 0, sizeof(*health));
	health->settings = settings;
}

void health_begin(struct health *health, uint64_t generation, int64_t now_ms, bool proved)
{
	health_init(health, health->settings);
	health->generation = generation;
	health->proved = health->connected = proved;
	health->state = proved ? HEALTH_LIVE : HEALTH_UNKNOWN;
	health->proved_ms = health->not_before_ms = health->last.at_ms = now_ms;
	health->now.look.queue = -1;
	evidence_begin(health);
}

void health_slept(struct health *health, int64_t now_ms)
{
	health->not_before_ms = larger(health->not_before_ms, now_ms);
	health->last.at_ms = larger(health->last.at_ms, now_ms);
	evidence_begin(health);
	health->waits_since_ms = 0;
	health->base.look.at_ms = health->next.look.at_ms = health->last.at_ms;
}

void health_resumed(struct health *health, int64_t now_ms)
{
	health_slept(health, now_ms);
	health->woken = false;
}

/* --- What a look may say. --- */

static int64_t within(int64_t value, int64_t most)
{
	return value < 0 ? 0 : value > most ? most : value;
}

/* It comes from another process: nothing in it lies in the future, and nothing overflows. */
static struct health_look bounded(const struct health_look *seen)
{
	struct health_look look = *seen;
	int64_t *const times[] = {&look.answered_ms, &look.asked_ms, &look.failing_since_ms, &look.heard_ms,
	    &look.link_failing_since_ms, &look.watchdog_heard_ms};
	int64_t *const durations[] = {&look.late_ms, &look.tick_interval_ms, &look.watchdog_ms};
	uint64_t *const counts[] = {&look.main_cpu_ms, &look.main_waited_ms, &look.main_faults,
	    &look.tree_cpu_ms, &look.busy_cpu_ms, &look.steal_cpu_ms, &look.memory_stall_ms,
	    &look.tree_stall_ms};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		*times[i] = within(*times[i], look.at_ms);
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		*durations[i] = within(*durations[i], DURATION_MAX_MS);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (*counts[i] > (uint64_t)TIME_MAX_MS)
			*counts[i] = HEALTH_UNKNOWN_COUNT;
	if (look.queue < 0)
		look.queue = -1;
	return look;
}

/* --- What it changes before anything is judged. --- */

static void note_proofs(struct health *health, const struct health_look *look)
{
	/* That a connection was made proves that something listens: the kernel makes them for a loop that
	 * hangs. */
	int64_t answered_ms = look->probe == PROBE_L4OK ? 0 : look->answered_ms;
	int64_t turned_ms = larger(answered_ms, larger(look->heard_ms, look->watchdog_heard_ms));
	bool took_one = look->queue >= 0 && health->last.queue > look->queue;

	/* Only who accepts takes connections out of the queue. */
	if (took_one)
		turned_ms = look->at_ms;
	if (took_one || health->queue_base < 0)
		health->queue_base = look->queue;
	health->turned_ms = larger(health->turned_ms, turned_ms);
	health->proved |= look->answered_ms != 0 || look->heard_ms != 0 || look->watchdog_heard_ms != 0;
	health->connected |= look->answered_ms != 0;
	health->linked |= look->heard_ms != 0 || look->link == PROBE_WSOK || look->link == PROBE_WSAUTH;
	if (health->proved)
		health->proved_ms = larger(health->proved_ms, larger(health->turned_ms, look->answered_ms));
}

static uint32_t exceptions(const struct health_look *look)
{
	uint32_t held = 0;

	if (look->is_traced || look->process == 't')
		held |= HELD_TRACED;
	if (look->is_frozen)
		held |= HELD_FROZEN;
	return held;
}

/* Time in which nobody looked, nobody could ask, or it could not answer, is no evidence. */
static void note_gaps(struct health *health, const struct health_look *look)
{
	int64_t gap_ms = look->at_ms - health->last.at_ms;
	/* Stopped until now: it has not had the time yet to answer anybody. */
	bool goes_on = health->last.process == 'T' && look->process != 'T';

	if (gap_ms > 2 * health_pace_ms(health) + GAP_MS || look->late_ms > GAP_MS || goes_on ||
	    exceptions(look) != 0 || look->probe == PROBE_SOCKERR) {
		health->not_before_ms = larger(health->not_before_ms, look->at_ms);
		evidence_begin(health);
	}
}

/* --- What speaks against it. --- */

/* Since when it has been blocked for all that is known; 0: it is not. */
static int64_t blocked_since_ms(const struct health *health, const struct health_look *look)
{
	if (look->asked_ms == 0)
		return 0;
	return larger(look->asked_ms, larger(health->turned_ms, health->not_before_ms));
}

static int64_t failing_ms(const struct health *health, const struct health_look *look)
{
	if (look->failing_since_ms == 0 || look->probe == PROBE_L7STS || look->probe == PROBE_SOCKERR)
		return 0;
	return look->at_ms - larger(look->failing_since_ms, larger(look->answered_ms, health->not_before_ms));
}

static int64_t link_failing_ms(const struct health *health, const struct health_look *look)
{
	if (look->link_failing_since_ms == 0 || look->link == PROBE_WSAUTH || look->link == PROBE_SOCKERR)
		return 0;
	return look->at_ms - larger(look->link_failing_since_ms, health->not_before_ms);
}

/* How long its promise has been overdue, beyond what it promised; negative: it is kept. */
static int64_t promise_overdue_ms(const struct health *health, const struct health_look *look)
{
	if (!look->watchdog_missed || look->watchdog_ms == 0)
		return -1;
	return look->at_ms - larger(look->watchdog_heard_ms, health->not_before_ms) - look->watchdog_ms;
}

/* Something that could be acted upon if it went on. What an exception holds back is to be seen all the same.
 */
static bool is_suspicious(const struct health *health, const struct health_look *look)
{
	int64_t timeout_ms = health->settings->timeout_ms, since_ms = blocked_since_ms(health, look);
	bool missed = look->watchdog_missed && look->watchdog_ms != 0;

	if (exceptions(look) != 0 && look->asked_ms != 0)
		since_ms = larger(look->asked_ms, health->turned_ms);
	if (look->unanswered > 0 && since_ms != 0 && look->at_ms - since_ms >= timeout_ms)
		return true;
	/* A tick that is overdue, while probes are answered: the connection is broken, not the loop. */
	if (evidence_tick_overdue(health, look) &&
	    look->answered_ms <= look->heard_ms + look->tick_interval_ms)
		return true;
	if (look->probe == PROBE_L4CON && look->failing_since_ms != 0)
		return true;
	if (missed && (exceptions(look) != 0 || promise_overdue_ms(health, look) >= 0))
		return true;
	return failing_ms(health, look) >= timeout_ms;
}

/* --- The verdicts. --- */

/* What is stopped is woken first, and given a while. */
static bool waits_for_waking(
    struct health *health, const struct health_look *look, struct health_verdict *verdict)
{
	if (look->process != 'T')
		return false;
	if (!health->woken) {
		health->woken = verdict->wake = true;
		health->woken_ms = look->at_ms;
	}
	return look->at_ms - health->woken_ms < WAKE_WAIT_MS;
}

/* Held back by what lasts, or by what may be waited for until `bound_ms`. */
static bool is_held(const struct health_verdict *verdict, int64_t for_ms, int64_t bound_ms)
{
	if (verdict->held & (EXCEPTIONS | HELD_BLIND))
		return true;
	return (verdict->held & POSTPONEMENTS) != 0 && for_ms < bound_ms;
}

/* However scarce processors are: it has had as much of one as it would have had on a quiet machine. */
static bool had_its_time(const struct health *health, const struct health_look *look)
{
	int64_t wanted_ms = health_window_ms(health->settings) - health->settings->timeout_ms;

	return look->main_cpu_ms != HEALTH_UNKNOWN_COUNT && look->main_cpu_ms > health->suspect_cpu_ms &&
	       look->main_cpu_ms - health->suspect_cpu_ms >= (uint64_t)wanted_ms;
}

static bool is_hung(struct health *health, const struct health_look *look, struct health_verdict *verdict)
{
	const struct health_settings *settings = health->settings;
	int64_t window_ms = health_window_ms(settings), bound_ms = POSTPONED_WINDOWS * window_ms;
	uint32_t second = verdict->witnesses & SECOND_WITNESSES;

	if (health->state <= HEALTH_LIVE || verdict->blocked_ms < window_ms ||
	    look->unanswered < settings->failures || !evidence_suffices(health))
		return false;
	/* A busy loop may still say that it turns: wait for the tick that it promised. */
	if (second == 0 || (second == WITNESS_PINNED && evidence_tick_pending(health, look) &&
	                       verdict->blocked_ms < bound_ms)) {
		verdict->held |= HELD_NO_WITNESS;
		return false;
	}
	if (had_its_time(health, look))
		verdict->held &= ~(uint32_t)HELD_STARVED;
	return !is_held(verdict, verdict->blocked_ms, bound_ms) && !waits_for_waking(health, look, verdict);
}

/* The old connections may live or not: no new one was made for minutes, of whatever kind. */
static bool is_deaf(struct health *health, const struct health_look *look, struct health_verdict *verdict)
{
	int64_t for_ms = failing_ms(health, look), link_for_ms = link_failing_ms(health, look);
	bool closed = look->probe == PROBE_L4CON, link_fails = link_for_ms >= DEAF_AFTER_MS;
	bool reached = closed || health->connected;
	bool refused = closed || (look->probe == PROBE_L7RSP && health->connected);
	bool has_no_link = !health->linked && look->link_failing_since_ms == 0 && look->link != PROBE_SOCKERR;

	if (health->state <= HEALTH_LIVE || for_ms < DEAF_AFTER_MS || !evidence_suffices(health))
		return false;
	if (!(link_fails && health->linked && reached) && !(has_no_link && reached) &&
	    !(refused && link_fails)) {
		if ((verdict->witnesses & SECOND_WITNESSES) == 0)
			verdict->held |= HELD_NO_WITNESS;
		return false;
	}
	verdict->witnesses |= WITNESS_NO_CONNECTION;
	/* What was held up until now is given the time of one probe to answer. */
	if (look->at_ms - health->held_ms < health->settings->timeout_ms &&
	    for_ms < POSTPONED_WINDOWS * DEAF_AFTER_MS)
		return false;
	return !is_held(verdict, for_ms, POSTPONED_WINDOWS * DEAF_AFTER_MS) &&
	       !waits_for_waking(health, look, verdict);
}

static bool has_broken_promise(
    const struct health *health, const struct health_look *look, struct health_verdict *verdict)
{
	int64_t overdue_ms = promise_overdue_ms(health, look);

	if (overdue_ms < 0)
		return false;
	verdict->witnesses |= WITNESS_PROMISE;
	if ((verdict->held & EXCEPTIONS) || look->late_ms > LATE_ALONE_MS)
		return false;
	return !look->is_busy_with_itself ||
	       overdue_ms >= POSTPONED_WINDOWS * health_window_ms(health->settings);
}

static void fill(const struct health *health, const struct health_look *look, struct health_verdict *verdict)
{
	int64_t since_ms = blocked_since_ms(health, look);

	verdict->silent_ms = look->at_ms - health->proved_ms;
	verdict->blocked_ms = since_ms != 0 ? look->at_ms - since_ms : 0;
	verdict->unanswered = look->unanswered;
	verdict->queue = look->queue;
	verdict->probe = look->probe;
	verdict->status = look->status;
	verdict->link = look->link;
	verdict->process = look->process;
	if (look->unanswered > 0)
		verdict->witnesses |= WITNESS_UNANSWERED;
	verdict->witnesses |= evidence_witnesses(health, look, verdict);
	verdict->held = exceptions(look) | evidence_postpones(health, look, verdict);
	if (look->probe == PROBE_SOCKERR)
		verdict->held |= HELD_BLIND;
	verdict->runs_code = look->process == 'R' || (verdict->witnesses & WITNESS_PINNED) != 0;
}

static enum health_state judge(
    struct health *health, const struct health_look *look, struct health_verdict *verdict)
{
	if (!health->proved)
		return HEALTH_UNKNOWN;
	if (has_broken_promise(health, look, verdict))
		return HEALTH_BROKEN_PROMISE;
	if (is_hung(health, look, verdict))
		return HEALTH_HUNG;
	if (is_deaf(health, look, verdict))
		return HEALTH_DEAF;
	if (is_suspicious(health, look))
		return HEALTH_SUSPECT;
	/* That nothing speaks against it any more is not enough: another sentry may have begun to count. */
	if (health->state > HEALTH_LIVE && health->proved_ms < health->suspect_ms)
		return HEALTH_SUSPECT;
	return HEALTH_LIVE;
}

void health_step(struct health *health, const struct health_look *seen, struct health_verdict *verdict)
{
	struct health_look look;
	enum health_state before = health->state;

	memset(verdict, 0, sizeof(*verdict));
	if (seen->generation != health->generation || seen->at_ms > TIME_MAX_MS)
		return;
	verdict->state = before;
	if (seen->at_ms < health->last.at_ms)
		return; /* older than what is known: nothing new */
	look = bounded(seen);
	note_proofs(health, &look);
	evidence_add(health, &look);
	note_gaps(health, &look);
	fill(health, &look, verdict);
	if (verdict->held != 0)
		health->held_ms = look.at_ms;
	health->state = verdict->state = judge(health, &look, verdict);
	verdict->changed = health->state != before;
	if (health->state > HEALTH_LIVE && before <= HEALTH_LIVE) {
		health->suspect_ms = look.at_ms;
		health->suspect_cpu_ms = look.main_cpu_ms;
		health->woken = false;
	}
	/* Before the suspicion there is nothing to measure against. */
	if (health->state <= HEALTH_LIVE || before <= HEALTH_LIVE)
		evidence_begin(health);
	health->last = look;
}
