#include "sentry/pulse.h"

#include <string.h>

#include "base/clock.h"
#include "format/json5.h"
#include "process/procfs.h"
#include "process/vitals.h"
#include "sentry/activity.h"

#define FRESH_TIMEOUT_MS 1000
#define FIRST_LOOK_MS    100              /* not in the way of a program that is just being started */
#define GIVE_UP_MS       (60 * 60 * 1000) /* the standing probe: nobody waits longer than that */
#define ANSWER_VALUES    64
#define MS_PER_TICK      10

/* What a gateway says of itself: {"ok": false} is no good answer, whatever its status. */
static bool says_not_ok(const struct http_get *get)
{
	struct json_value values[ANSWER_VALUES];
	char strings[1024];
	struct json_document document = {
	    .values = values, .value_max = ANSWER_VALUES, .strings = strings, .string_size = sizeof(strings)};
	struct json_fault fault;
	const struct json_value *ok;

	if (strncmp(get->content_type, "application/json", strlen("application/json")) != 0 ||
	    json_parse(&document, get->body, get->body_length, JSON_STRICT, &fault) < 0 ||
	    json_root(&document)->type != JSON_OBJECT)
		return false;
	ok = json_find(&document, json_root(&document), "ok");
	return ok != NULL && ok->type == JSON_BOOL && !ok->boolean;
}

static enum probe_result result_of(const struct http_get *get, enum http_get_result result)
{
	static const enum probe_result results[] = {
	    [HTTP_GET_REFUSED] = PROBE_L4CON,
	    [HTTP_GET_CLOSED] = PROBE_L7RSP,
	    [HTTP_GET_TIMED_OUT] = PROBE_L7TOUT,
	    [HTTP_GET_MALFORMED] = PROBE_L7RSP,
	    [HTTP_GET_IMPOSSIBLE] = PROBE_SOCKERR,
	};

	if (result != HTTP_GET_ANSWERED)
		return results[result];
	return get->status >= 400 || says_not_ok(get) ? PROBE_L7STS : PROBE_L7OK;
}

/* That a program says "no" or "not here" is an answer like another; that it says it is broken is a failure.
 */
static bool is_failure(enum probe_result result, unsigned status)
{
	return result == PROBE_L4CON || result == PROBE_L4TOUT || result == PROBE_L7TOUT ||
	       result == PROBE_L7RSP || result == PROBE_PROCERR || result == PROBE_PROCTOUT ||
	       (result == PROBE_L7STS && (status == 200 || status >= 500));
}

static bool is_answer(enum probe_result result)
{
	return result == PROBE_L4OK || result == PROBE_L7OK || result == PROBE_L7STS ||
	       result == PROBE_PROCOK; /* a command that says "no" does not say that the loop turns */
}

static void note_miss(struct pulse *pulse, int64_t asked_ms)
{
	pulse->look.unanswered++;
	if (pulse->unanswered_since_ms == 0)
		pulse->unanswered_since_ms = asked_ms;
	if (pulse->look.failing_since_ms == 0)
		pulse->look.failing_since_ms = asked_ms;
}

static void note_answer(struct pulse *pulse)
{
	pulse->look.answered_ms = clock_boot_ms();
	pulse->look.unanswered = 0;
	pulse->unanswered_since_ms = 0;
	/* One of them was answered: what the other waits for is no sign of the loop any more. */
	http_get_cancel(&pulse->standing.get);
	pulse->standing.asked_ms = 0;
	pulse->standing.missed = false;
}

/* A probe has ended, in whatever way. */
static void probe_ended(struct pulse_probe *probe, enum probe_result result, unsigned status)
{
	struct pulse *pulse = probe->pulse;
	struct health_look *look = &pulse->look;
	int64_t asked_ms = probe->asked_ms;
	bool missed = probe->missed;

	probe->asked_ms = 0;
	probe->missed = false;
	if (result == PROBE_SOCKERR) {
		look->probe = PROBE_SOCKERR;
		return;
	}
	if (is_answer(result))
		note_answer(pulse);
	else if (!missed && (result == PROBE_L7TOUT || result == PROBE_PROCTOUT || result == PROBE_L4TOUT))
		note_miss(pulse, asked_ms);
	if (!is_failure(result, status))
		look->failing_since_ms = 0;
	else if (look->failing_since_ms == 0)
		look->failing_since_ms = asked_ms;
	look->probe = (uint16_t)result;
	look->status = (uint16_t)status;
	/* Bad news, and all news of one that is suspect: whoever judges shall not wait for the next look. */
	if (missed || is_failure(result, status) || pulse->pace_ms < pulse->interval_ms)
		pulse_look_now(pulse);
}

static void get_done(struct http_get *get, enum http_get_result result)
{
	struct pulse_probe *probe = get->context;

	probe_ended(probe, result_of(get, result), result == HTTP_GET_ANSWERED ? get->status : 0);
}

static void check_done(struct check *check, enum probe_result result, unsigned status)
{
	struct pulse *pulse = check->context;

	probe_ended(pulse->standing.asked_ms != 0 ? &pulse->standing : &pulse->fresh, result, status);
}

static void ask(struct pulse *pulse, struct pulse_probe *probe, int64_t timeout_ms)
{
	const struct settings *settings = pulse->settings;
	const char *path = settings_string(settings, settings->health.path);
	int result;

	if (check_is_wanted(settings)) {
		if (check_is_busy(&pulse->check))
			return;
		result =
		    check_start(&pulse->check, pulse->gateway_pid, pulse->port, settings->health.timeout_ms);
	} else {
		result = http_get_start(&probe->get, pulse->port, path, timeout_ms);
	}
	if (result < 0) {
		pulse->look.probe = PROBE_SOCKERR;
		return;
	}
	probe->asked_ms = clock_boot_ms();
	probe->missed = false;
}

/* Asks, where there is something to ask: a standing probe, or one beside it. */
static void ask_again(struct pulse *pulse)
{
	int64_t timeout_ms = pulse->settings->health.timeout_ms;

	if (pulse->port == 0 && !check_is_wanted(pulse->settings))
		return;
	if (pulse->standing.asked_ms == 0) {
		ask(pulse, &pulse->standing, GIVE_UP_MS);
		loop_timer_arm(pulse->loop, &pulse->deadline, clock_boot_ms() + timeout_ms);
	} else if (pulse->standing.missed && pulse->fresh.asked_ms == 0) {
		ask(pulse, &pulse->fresh, timeout_ms < FRESH_TIMEOUT_MS ? timeout_ms : FRESH_TIMEOUT_MS);
	}
}

/* The process of the gateway's tree that listens: a launcher may stand before it. Looked for anew only when
 * the socket is another one. */
static void see_listener(struct pulse *pulse, struct health_look *look)
{
	struct procfs_listener listener;

	look->queue = -1;
	if (pulse->port == 0 || procfs_listening_socket(pulse->port, &listener) <= 0)
		return;
	look->queue = listener.queue > INT32_MAX ? INT32_MAX : (int32_t)listener.queue;
	if (listener.inode == pulse->listener_inode)
		return;
	pulse->listener_inode = listener.inode;
	pulse->pid = pulse->gateway_pid;
	if (procfs_listener(pulse->port, &listener) > 0 && listener.pid > 0 &&
	    procfs_is_descendant(listener.pid, pulse->gateway_pid))
		pulse->pid = listener.pid;
}

static uint64_t grown(uint64_t *kept, uint64_t now)
{
	if (now > *kept)
		*kept = now;
	return *kept;
}

static void see_process(struct pulse *pulse, struct health_look *look)
{
	struct vitals_thread thread;
	struct vitals_machine machine;
	struct activity activity;
	bool suspect = look->unanswered > 0 || look->failing_since_ms != 0 || look->watchdog_missed != 0;

	vitals_read_main_thread(pulse->pid, &thread);
	vitals_read_machine(&machine);
	activity_read(pulse->gateway_pid, &activity);
	look->process = thread.state;
	/* Only one that is suspect is asked about for long. */
	look->is_traced = thread.is_traced ||
	                  (suspect && vitals_is_inspected(pulse->pid, pulse->port, pulse->inspector_port));
	look->is_frozen = suspect && vitals_is_frozen(pulse->pid);
	look->main_cpu_ms = thread.cpu_ms;
	look->main_waited_ms = thread.waited_ms;
	look->main_faults = thread.faults;
	/* A child that ended takes its time away until it is waited for. */
	look->tree_cpu_ms = grown(&pulse->tree_cpu_ms, activity.cpu_ticks * MS_PER_TICK);
	look->busy_cpu_ms = grown(&pulse->busy_cpu_ms, machine.busy_ms);
	look->steal_cpu_ms = machine.steal_ms;
	look->memory_stall_ms = machine.memory_stall_ms;
	look->tree_stall_ms =
	    machine.memory_stall_ms == VITALS_UNKNOWN ? VITALS_UNKNOWN : vitals_memory_stall_ms(pulse->pid);
	look->processors = machine.processors;
}

static void take_look(struct pulse *pulse)
{
	struct health_look *look = &pulse->look;
	int64_t now_ms = clock_boot_ms();

	look->at_ms = now_ms;
	look->late_ms = pulse->due_ms != 0 && now_ms > pulse->due_ms ? now_ms - pulse->due_ms : 0;
	look->asked_ms =
	    pulse->unanswered_since_ms != 0 ? pulse->unanswered_since_ms : pulse->standing.asked_ms;
	pulse->due_ms = 0;
	see_listener(pulse, look);
	pulse->fill(pulse, look);
	see_process(pulse, look);
	pulse->looked(pulse, look);
}

static void next_look(struct loop_timer *timer)
{
	struct pulse *pulse = timer->context;

	if (pulse->pace_ms == 0)
		return;
	take_look(pulse);
	ask_again(pulse);
	pulse->due_ms = clock_boot_ms() + pulse->pace_ms;
	loop_timer_arm(pulse->loop, &pulse->next, pulse->due_ms);
}

/* The standing probe is past its deadline. It is waited for all the same. */
static void deadline_passed(struct loop_timer *timer)
{
	struct pulse *pulse = timer->context;
	struct pulse_probe *probe = &pulse->standing;

	if (probe->asked_ms == 0 || probe->missed || pulse->pace_ms == 0)
		return;
	probe->missed = true;
	note_miss(pulse, probe->asked_ms);
	pulse->look.probe = PROBE_L7TOUT;
	pulse->look.status = 0;
	take_look(pulse);
}

void pulse_look_now(struct pulse *pulse)
{
	if (pulse->pace_ms != 0)
		take_look(pulse);
}

static void init_probe(struct pulse *pulse, struct pulse_probe *probe)
{
	probe->pulse = pulse;
	http_get_init(&probe->get, pulse->loop);
	probe->get.done = get_done;
	probe->get.context = probe;
}

void pulse_init(struct pulse *pulse)
{
	init_probe(pulse, &pulse->standing);
	init_probe(pulse, &pulse->fresh);
	check_init(&pulse->check, pulse->loop, pulse->settings);
	pulse->check.done = check_done;
	pulse->check.context = pulse;
	pulse->interval_ms = pulse->settings->health.interval_ms;
	pulse->next = (struct loop_timer){.callback = next_look, .context = pulse};
	pulse->deadline = (struct loop_timer){.callback = deadline_passed, .context = pulse};
}

static void cancel(struct pulse *pulse)
{
	http_get_cancel(&pulse->standing.get);
	http_get_cancel(&pulse->fresh.get);
	check_cancel(&pulse->check);
	pulse->standing.asked_ms = pulse->fresh.asked_ms = 0;
	pulse->standing.missed = pulse->fresh.missed = false;
	loop_timer_arm(pulse->loop, &pulse->deadline, 0);
}

static void begin(struct pulse *pulse, const struct message_gateway *gateway)
{
	cancel(pulse);
	memset(&pulse->look, 0, sizeof(pulse->look));
	pulse->look.generation = gateway->generation;
	if (gateway->pid != pulse->gateway_pid)
		pulse->inspector_port = 0;
	pulse->gateway_pid = pulse->pid = gateway->pid;
	pulse->port = gateway->port;
	pulse->listener_inode = pulse->tree_cpu_ms = 0;
	pulse->unanswered_since_ms = 0;
}

void pulse_set(struct pulse *pulse, const struct message_look *wanted)
{
	int64_t now_ms = clock_boot_ms(), due_ms = now_ms + wanted->pace_ms;
	bool is_other = wanted->gateway.generation != pulse->look.generation ||
	                wanted->gateway.pid != pulse->gateway_pid || pulse->pace_ms == 0;

	if (wanted->pace_ms <= 0) {
		pulse_stop(pulse);
		return;
	}
	pulse->pace_ms = wanted->pace_ms;
	if (is_other) {
		begin(pulse, &wanted->gateway);
		due_ms = now_ms + FIRST_LOOK_MS;
	}
	/* A quicker pace brings the next look forward; a slower one lets it be. */
	if (!is_other && pulse->due_ms != 0 && pulse->due_ms < due_ms)
		return;
	pulse->due_ms = due_ms;
	loop_timer_arm(pulse->loop, &pulse->next, due_ms);
}

void pulse_stop(struct pulse *pulse)
{
	cancel(pulse);
	pulse->pace_ms = pulse->due_ms = 0;
	loop_timer_arm(pulse->loop, &pulse->next, 0);
}
