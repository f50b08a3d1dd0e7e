/* How the gateway is: the sentry's looks go to the core's judges (health, memory, orphans), and what they say
 * to the core's table. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "format/json_write.h"
#include "process/procfs.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define BYTES_PER_MB 1000000
#define SILENCE_MS   60000 /* besides three looks: a sentry that is alive takes them */

void health_prepare(struct supervisor *supervisor)
{
	const struct settings *settings = supervisor->settings;

	supervisor->health.settings = (struct health_settings){.interval_ms = settings->health.interval_ms,
	    .timeout_ms = settings->health.timeout_ms,
	    .failures = settings->health.failures};
	health_init(&supervisor->health.health, &supervisor->health.settings);
	memory_init(&supervisor->health.memory);
	orphans_init(&supervisor->health.orphans);
}

/* How often the gateway is looked at, by where the machine is; 0: not at all. */
static int64_t wanted_pace_ms(const struct supervisor *supervisor)
{
	const struct supervision *machine = &supervisor->machine;

	if (!machine->alive)
		return 0;
	switch (machine->state) {
	case STATE_STARTING: /* an adopted one that had been ready may hang by now */
		return machine->ready ? health_pace_ms(&supervisor->health.health) : 0;
	case STATE_RUNNING:
	case STATE_SUSPECT:
	case STATE_EXAMINING:
		return health_pace_ms(&supervisor->health.health);
	default:
		return 0;
	}
}

static void say_look(struct supervisor *supervisor, int64_t pace_ms)
{
	struct message message = {0};

	message.look.gateway.generation = supervisor->machine.generation;
	message.look.gateway.pid = supervisor->gateway.pid;
	message.look.gateway.start_time = supervisor->gateway.start_time;
	message.look.gateway.port = supervisor->gateway.port;
	message.look.pace_ms = pace_ms;
	worker_say(supervisor, WORKER_SENTRY, MESSAGE_LOOK, &message, -1);
}

int64_t health_patience_ms(const struct supervisor *supervisor)
{
	return 3 * supervisor->health.pace_ms + SILENCE_MS;
}

static loop_timer_callback sentry_is_silent;

static void await_look(struct supervisor *supervisor)
{
	supervisor->health.silence.callback = sentry_is_silent;
	supervisor->health.silence.context = supervisor;
	loop_timer_arm(&supervisor->loop, &supervisor->health.silence,
	    supervisor->health.pace_ms == 0 ? 0 : clock_boot_ms() + health_patience_ms(supervisor));
}

/* The sentry lives, and takes no looks: it hangs itself, on a disk perhaps. Another one is started. */
static void sentry_is_silent(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;
	const struct supervised_worker *sentry = &supervisor->workers[WORKER_SENTRY];

	if (supervisor->health.pace_ms == 0 || !sentry->ready || sentry->pid <= 0)
		return;
	if (file_is_readable(sentry->channel_fd)) { /* it has spoken; it is we who did not listen */
		await_look(supervisor);
		return;
	}
	events_record(supervisor, "sentry.silent", SEVERITY_WARNING, 0, NULL,
	    "The sentry (pid %d) has taken no look at the gateway for %" PRId64
	    " s; it is ended, and another one started. The gateway is not touched.",
	    sentry->pid, health_patience_ms(supervisor) / 1000);
	world_pidfd_send_signal(sentry->pid_fd, SIGKILL, NULL, 0);
}

/* What it did while nothing was to be done about it is no evidence: it is judged from the end of a pause on.
 */
static void follow_pause(struct supervisor *supervisor)
{
	bool is_paused = supervision_is_paused(&supervisor->machine, clock_boot_ms());

	if (supervisor->health.was_paused && !is_paused)
		health_resumed(&supervisor->health.health, clock_boot_ms());
	supervisor->health.was_paused = is_paused;
}

void health_follow(struct supervisor *supervisor)
{
	const struct supervision *machine = &supervisor->machine;
	int64_t pace_ms = wanted_pace_ms(supervisor);
	bool is_other = supervisor->health.generation != machine->generation;

	follow_pause(supervisor);
	if (pace_ms == supervisor->health.pace_ms && !(is_other && pace_ms != 0))
		return;
	if (pace_ms != 0 && (is_other || supervisor->health.pace_ms == 0))
		health_begin(
		    &supervisor->health.health, machine->generation, clock_boot_ms(), machine->proved);
	supervisor->health.generation = machine->generation;
	supervisor->health.pace_ms = pace_ms;
	await_look(supervisor);
	if (machine->alive) /* the sentry knows by itself that one that is gone is not looked at */
		say_look(supervisor, pace_ms);
}

void health_tell_sentry(struct supervisor *supervisor)
{
	await_look(supervisor);
	if (supervisor->machine.alive && supervisor->health.pace_ms != 0)
		say_look(supervisor, supervisor->health.pace_ms);
}

void health_host_slept(struct supervisor *supervisor)
{
	health_slept(&supervisor->health.health, clock_boot_ms());
	await_look(supervisor);
}

/* What the verdict asks of the core. Said again at every look: what holds it back now may not hold it later.
 */
static bool event_of(const struct supervisor *supervisor, const struct health_verdict *verdict,
    struct supervision_event *event)
{
	enum supervision_state state = supervisor->machine.state;

	switch (verdict->state) {
	case HEALTH_UNKNOWN:
		return false;
	case HEALTH_LIVE:
		event->type = ON_CLEARED;
		return state == STATE_SUSPECT || state == STATE_EXAMINING;
	case HEALTH_SUSPECT:
		event->type = verdict->wake ? ON_WAKE : ON_SUSPECTED;
		return verdict->wake || state == STATE_RUNNING || state == STATE_SUSPECT;
	case HEALTH_HUNG:
		event->reason = REASON_HUNG;
		break;
	case HEALTH_DEAF:
		event->reason = REASON_DEAF;
		break;
	case HEALTH_BROKEN_PROMISE:
		event->reason = REASON_WATCHDOG;
		break;
	default:
		return false;
	}
	event->type = ON_CONDEMNED;
	event->may_open = verdict->runs_code && supervisor->facts->opens_inspector;
	event->value = verdict->silent_ms > 0 ? verdict->silent_ms : 1;
	return true;
}

static void looked(struct supervisor *supervisor, const struct health_look *look)
{
	struct supervision_event event = {.generation = look->generation};
	struct health_verdict verdict;

	if (look->generation != supervisor->health.generation || supervisor->health.pace_ms == 0)
		return;
	await_look(supervisor);
	follow_pause(supervisor);
	health_step(&supervisor->health.health, look, &verdict);
	supervisor->health.look = *look;
	supervisor->health.verdict = verdict;
	if (event_of(supervisor, &verdict, &event))
		supervisor_step(supervisor, &event);
	else
		health_follow(supervisor); /* the pace may be another all the same */
}

static void add_number(struct text *json, const char *key, int64_t value)
{
	json_write_key(json, key);
	json_write_integer(json, value);
}

static void write_memory(const struct memory_verdict *verdict, struct text *json)
{
	add_number(json, "memory_bytes", (int64_t)verdict->tree_bytes);
	add_number(json, "limit_bytes", (int64_t)verdict->limit_bytes);
	add_number(json, "left_bytes", (int64_t)verdict->room_bytes);
	add_number(json, "growth_per_minute", verdict->growth_per_minute);
}

void health_write_evidence(
    const struct supervisor *supervisor, enum supervision_reason reason, struct text *json)
{
	const struct health_verdict *verdict = &supervisor->health.verdict;
	const char state[2] = {verdict->process, '\0'};

	if (reason == REASON_MEMORY) {
		write_memory(&supervisor->health.memory_verdict, json);
		return;
	}
	if (reason == REASON_STUCK_SESSIONS) {
		sessions_write_evidence(supervisor, json);
		return;
	}
	if (supervisor->health.look.generation != supervisor->machine.generation)
		return; /* a start that stalled: nobody has looked */
	add_number(json, "silent_ms", verdict->silent_ms);
	add_number(json, "blocked_ms", verdict->blocked_ms);
	add_number(json, "unanswered", verdict->unanswered);
	add_number(json, "queue", verdict->queue);
	if (state[0] != '\0') {
		json_write_key(json, "state");
		json_write_string(json, state);
	}
	json_write_key(json, "probe");
	json_write_string(json, probe_result_name((enum probe_result)verdict->probe));
	json_write_key(json, "link");
	json_write_string(json, probe_result_name((enum probe_result)verdict->link));
	add_number(json, "main_permille", verdict->main_permille);
	add_number(json, "others_permille", verdict->others_permille);
	if (verdict->witnesses != 0) {
		json_write_key(json, "witnesses");
		json_write_bits(json, verdict->witnesses, WITNESS_COUNT, health_witness_name);
	}
	if (verdict->held != 0) {
		json_write_key(json, "held");
		json_write_bits(json, verdict->held, HELD_COUNT, health_held_name);
	}
}

void health_describe(const struct supervisor *supervisor, struct text *text)
{
	static const char *const words[WITNESS_COUNT] = {[1] = "its main thread never paused",
	    [2] = "it is stopped",
	    [3] = "it waits for a device",
	    [4] = "its WebSocket fell silent",
	    [5] = "connections wait that it does not accept"};
	const struct health_verdict *verdict = &supervisor->health.verdict;
	char duration[32];
	const char *before = ", and ";

	if (supervisor->health.look.generation != supervisor->machine.generation ||
	    verdict->state <= HEALTH_LIVE)
		return;
	if (verdict->witnesses & WITNESS_PROMISE)
		return; /* that is all there is to say */
	if (verdict->unanswered > 0)
		text_addf(text, ": no answer for %s",
		    text_duration(duration, sizeof(duration), verdict->silent_ms));
	else
		text_addf(
		    text, ": its last probe said %s", probe_result_name((enum probe_result)verdict->probe));
	for (uint32_t i = 1; i < WITNESS_COUNT; i++) {
		if (words[i] == NULL || !(verdict->witnesses & (1u << i)))
			continue;
		text_addf(text, "%s%s", before, words[i]);
		before = ", ";
	}
}

/* What the sentry found in the time it was given, or that it found nothing. */
static void examined(struct supervisor *supervisor, const struct message_examined *report)
{
	struct supervision_event event = {.type = ON_EXAMINED, .generation = report->generation};
	char evidence[EVENT_EVIDENCE_MAX];
	struct text json;

	if (supervisor->machine.state != STATE_EXAMINING ||
	    report->generation != supervisor->machine.generation)
		return;
	text_init(&json, evidence, sizeof(evidence));
	json_write_begin(&json, '{');
	add_number(&json, "generation", (int64_t)report->generation);
	json_write_key(&json, "cause");
	json_write_string(&json, report->cause);
	json_write_key(&json, "report");
	json_write_string(&json, report->file);
	json_write_key(&json, "opened");
	json_write_bool(&json, report->opened != 0);
	add_number(&json, "took_ms", report->took_ms);
	json_write_end(&json, '}');
	events_record(supervisor, "gateway.autopsy", SEVERITY_INFO, supervisor->machine.incident,
	    json.truncated ? "{}" : evidence, "%s", report->sentence);
	supervisor_step(supervisor, &event);
}

/* The sentry says what it found; under which kinds it may is said here. */
void health_found(
    struct supervisor *supervisor, const char *const *kinds, const struct message_finding *finding)
{
	enum event_severity severity =
	    finding->severity <= SEVERITY_ERROR ? (enum event_severity)finding->severity : SEVERITY_ERROR;

	for (const char *const *kind = kinds; *kind != NULL; kind++)
		if (strcmp(*kind, finding->kind) == 0)
			events_record(supervisor, finding->kind, severity, supervisor->machine.incident,
			    finding->evidence[0] != '\0' ? finding->evidence : NULL, "%s", finding->reason);
}

/* Memory */

static void judge_memory(struct supervisor *supervisor, const struct memory_look *look)
{
	struct supervision_event event = {
	    .type = ON_CONDEMNED, .reason = REASON_MEMORY, .generation = look->generation};
	struct memory_verdict verdict;

	if (look->generation != supervisor->machine.generation || !supervisor->machine.alive)
		return;
	memory_step(&supervisor->health.memory, look, &verdict);
	supervisor->health.memory_verdict = verdict;
	if (verdict.changed && verdict.state == MEMORY_SHORT)
		events_record(supervisor, "gateway.memory", SEVERITY_WARNING, supervisor->machine.incident,
		    NULL,
		    "The gateway's processes use %" PRIu64 " MB and grow by %" PRId64 " MB a minute; %" PRIu64
		    " MB are left below their limit, and the gateway is restarted in the next quiet moment.",
		    verdict.tree_bytes / BYTES_PER_MB, verdict.growth_per_minute / BYTES_PER_MB,
		    verdict.room_bytes / BYTES_PER_MB);
	if (verdict.state != MEMORY_CONDEMNED)
		return;
	event.value = (int64_t)(verdict.tree_bytes > 0 ? verdict.tree_bytes : 1);
	supervisor_step(supervisor, &event);
}

/* Orphans */

/* As the sentry has named it: cleaned, and without what its command line holds. */
static const char *name_of(const struct orphans_look *look, int pid, uint64_t start_time)
{
	for (uint32_t i = 0; i < look->count && i < ORPHANS_MAX; i++)
		if (look->list[i].pid == pid && look->list[i].start_time == start_time)
			return look->list[i].name;
	return "?";
}

static void end_orphan(struct supervisor *supervisor, int pid, uint64_t start_time, const char *name)
{
	int fd CLOSE_ON_RETURN = world_pidfd_open(pid, 0);
	struct procfs_stat stat;

	/* The pidfd first, then the identity: what it names cannot change any more. */
	if (fd < 0 || procfs_stat(pid, &stat) < 0 || stat.start_time != start_time)
		return;
	if (world_pidfd_send_signal(fd, SIGTERM, NULL, 0) == 0)
		events_record(supervisor, "orphans.ended", SEVERITY_INFO, 0, NULL,
		    "Process %d (%s), a command of the gateway's own whose caller is gone, did nothing for a "
		    "quarter of an hour and was asked to end.",
		    pid, name);
}

static void judge_orphans(struct supervisor *supervisor, const struct orphans_look *look)
{
	struct orphans_verdict verdict;
	bool reaps;

	if (look->generation != supervisor->machine.generation || !supervisor->machine.alive)
		return;
	supervisor->health.orphans_look = *look;
	/* Each is asked once: not while a pause would keep it from being done. */
	reaps = supervisor->settings->gateway.reap_idle &&
	        !supervision_is_paused(&supervisor->machine, clock_boot_ms());
	orphans_step(&supervisor->health.orphans, look, reaps, &verdict);
	if (verdict.tell)
		events_record(supervisor, "orphans.found", SEVERITY_WARNING, 0, NULL,
		    "%u process%s of the gateway's tree %s outlived the one that started %s and use%s "
		    "%" PRIu64
		    " MB; background work of an agent is left alone (\"holdfast status\" lists them).",
		    look->found, look->found == 1 ? "" : "es", look->found == 1 ? "has" : "have",
		    look->found == 1 ? "it" : "them", look->found == 1 ? "s" : "",
		    look->found_bytes / BYTES_PER_MB);
	for (uint32_t i = 0; i < verdict.count; i++)
		end_orphan(supervisor, verdict.end[i].pid, verdict.end[i].start_time,
		    name_of(look, verdict.end[i].pid, verdict.end[i].start_time));
}

void health_said(struct supervisor *supervisor, const struct message *message)
{
	static const char *const kinds[] = {"gateway.slow_listener", "gateway.event_loop_delayed",
	    "sentry.denied", "config.not_kept", "config.kept", "channel.unreadable", NULL};

	switch (message->type) {
	case MESSAGE_LOOKED:
		looked(supervisor, &message->health);
		break;
	case MESSAGE_EXAMINED:
		examined(supervisor, &message->examined);
		break;
	case MESSAGE_FIGURES:
		supervisor->health.figures = message->figures;
		break;
	case MESSAGE_FINDING:
		health_found(supervisor, kinds, &message->finding);
		break;
	case MESSAGE_MEMORY:
		judge_memory(supervisor, &message->memory);
		break;
	case MESSAGE_ORPHANS:
		judge_orphans(supervisor, &message->orphans);
		break;
	case MESSAGE_SESSIONS:
	case MESSAGE_ABORTED:
		sessions_said(supervisor, message);
		break;
	default:
		break;
	}
}
