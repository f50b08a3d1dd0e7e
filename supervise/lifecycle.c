/* The core's hands: carries out its actions, and brings it what the kernel says. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "format/json_write.h"
#include "process/procfs.h"
#include "process/spawn.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define FLUSH_WAIT_MS   2000
#define WORKERS_WAIT_MS 3000

double supervisor_chance(void)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)clock_monotonic_ms() * 2654435761u;
	return random / 4294967296.0;
}

int supervisor_save(struct supervisor *supervisor)
{
	struct record *record = &supervisor->record;

	_Static_assert(sizeof(struct supervision) <= RECORD_MACHINE_MAX, "the machine fits the record");
	record->gateway.pid = supervisor->gateway.pid;
	record->gateway.start_time = supervisor->gateway.start_time;
	record->generation = supervisor->machine.generation;
	record->started_real_ms = supervisor->gateway.started_real_ms;
	record->port = supervisor->gateway.port;
	text_copy(record->cgroup, sizeof(record->cgroup), supervisor->containment.parent);
	for (int i = 0; i < WORKER_COUNT; i++) {
		record->workers[i].pid = supervisor->workers[i].pid;
		record->workers[i].start_time = supervisor->workers[i].start_time;
	}
	record->restarts = supervisor->machine.restarts;
	record->paused_until_ms = supervisor->machine.paused_until_ms;
	record->wanted = supervisor->machine.wanted || supervisor->machine.finishing;
	record->machine_version = SUPERVISION_VERSION;
	record->machine_size = sizeof(supervisor->machine);
	memcpy(record->machine, &supervisor->machine, sizeof(supervisor->machine));
	sessions_save(supervisor);
	return record_write(supervisor->record_fd, record);
}

/* The gateway */

static struct supervision_exit read_exit(int status_code, int status)
{
	if (status_code == CLD_EXITED)
		return (struct supervision_exit){EXIT_CODE, status};
	if (status_code == CLD_KILLED || status_code == CLD_DUMPED)
		return (struct supervision_exit){EXIT_SIGNAL, status};
	return (struct supervision_exit){EXIT_UNKNOWN, 0};
}

static void gateway_died(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;
	siginfo_t info = {0};

	(void)events;
	/* An adopted gateway is not our child: the kernel keeps its status for its parent. */
	if (world_waitid(P_PIDFD, (id_t)supervisor->gateway.pid_fd, &info, WEXITED | WNOHANG) < 0)
		supervisor_gateway_ended(supervisor, (struct supervision_exit){EXIT_UNKNOWN, 0});
	else if (info.si_pid != 0)
		supervisor_gateway_ended(supervisor, read_exit(info.si_code, info.si_status));
}

static int watch_gateway(struct supervisor *supervisor)
{
	supervisor->gateway.death.callback = gateway_died;
	supervisor->gateway.death.context = supervisor;
	return loop_source_watch(
	    &supervisor->loop, &supervisor->gateway.death, supervisor->gateway.pid_fd, EPOLLIN);
}

void supervisor_gateway_ended(struct supervisor *supervisor, struct supervision_exit exit)
{
	struct supervision_event event = {
	    .type = ON_EXITED, .generation = supervisor->machine.generation, .exit = exit};
	struct message message = {0};

	loop_source_retire(&supervisor->gateway.death);
	file_close(&supervisor->gateway.pid_fd);
	message.gateway.generation = supervisor->machine.generation;
	message.gateway.pid = supervisor->gateway.pid;
	workers_hold(supervisor);
	for (int i = 0; i < WORKER_COUNT; i++)
		worker_say(supervisor, (enum worker_index)i, MESSAGE_GATEWAY_GONE, &message, -1);
	supervisor_step(supervisor, &event);
}

static struct tree tree_of(struct supervisor *supervisor, char *marker)
{
	struct tree tree = {.containment = &supervisor->containment};

	if (supervisor->gateway.pid_fd >= 0)
		tree.gateway_pid = supervisor->gateway.pid;
	tree.spared_count = workers_spare(supervisor, tree.spared, TREE_SPARED_MAX - 2);
	if (supervisor->change.pid > 0)
		tree.spared[tree.spared_count++] = supervisor->change.pid;
	if (relay_outage_child(supervisor) > 0)
		tree.spared[tree.spared_count++] = relay_outage_child(supervisor);
	/* An adopted tree's orphans do not fall to us; where no cgroup holds them, their environment tells.
	 */
	if (!supervisor->gateway.is_child && !supervisor->gateway.in_cgroup && supervisor->gateway.pid != 0) {
		marker_format(marker, supervisor->settings->instance, supervisor->gateway.pid,
		    supervisor->gateway.start_time);
		tree.marker = marker;
	}
	return tree;
}

/* A cgroup made anew has new descriptors. */
static void renew_containment(struct supervisor *supervisor)
{
	loop_source_retire(&supervisor->containment_source);
	containment_renew(&supervisor->containment);
}

static void containment_changed(struct loop_source *source, uint32_t events)
{
	(void)events;
	/* Reading it is what clears the condition; the look does that. */
	if (!containment_is_populated(&((struct supervisor *)source->context)->containment))
		supervisor_tree_changed(source->context);
}

/* Only while something is left in it: at other times its news would come right in the way of a restart. */
static void watch_containment(struct supervisor *supervisor)
{
	if (supervisor->containment.events_fd < 0 || supervisor->containment_source.fd >= 0)
		return;
	supervisor->containment_source.callback = containment_changed;
	supervisor->containment_source.context = supervisor;
	loop_source_watch(
	    &supervisor->loop, &supervisor->containment_source, supervisor->containment.events_fd, EPOLLPRI);
}

static void tell_orphans(struct supervisor *supervisor, const struct tree_report *report)
{
	char buffer[EVENT_EVIDENCE_MAX];
	struct text evidence;

	text_init(&evidence, buffer, sizeof(buffer));
	json_write_begin(&evidence, '{');
	json_write_key(&evidence, "count");
	json_write_integer(&evidence, report->left);
	json_write_key(&evidence, "processes");
	json_write_string(&evidence, report->names);
	json_write_end(&evidence, '}');
	events_record(supervisor, "orphans.reaped", SEVERITY_INFO, supervisor->machine.incident,
	    evidence.truncated ? "{}" : buffer, "%u process%s that the gateway left behind %s removed: %s.",
	    report->left, report->left == 1 ? "" : "es", report->left == 1 ? "was" : "were", report->names);
}

static void kill_tree(struct supervisor *supervisor, struct supervision_event *result)
{
	char marker[MARKER_BYTES_MAX];
	struct tree tree = tree_of(supervisor, marker);
	struct tree_report report;

	if (supervisor->gateway.pid_fd >= 0)
		world_pidfd_send_signal(supervisor->gateway.pid_fd, SIGKILL, NULL, 0);
	tree_kill(&tree, supervisor->gateway.port, &report);
	result->type = ON_TREE_LEFT;
	if (report.left == 0 && !report.ending && supervisor->gateway.pid_fd < 0)
		result->type = ON_TREE_GONE;
	result->value = report.left + report.ending;
	result->holds = report.holds;
	if (result->type == ON_TREE_LEFT)
		watch_containment(supervisor);
	if (report.left > 0 && supervisor->gateway.pid_fd < 0 && !supervisor->gateway.told_orphans) {
		supervisor->gateway.told_orphans = true;
		tell_orphans(supervisor, &report);
	}
}

static void forget_gateway(struct supervisor *supervisor)
{
	supervisor->gateway.pid = 0;
	supervisor->gateway.start_time = 0;
}

static int spawn(struct supervisor *supervisor)
{
	const struct settings *settings = supervisor->settings;
	struct containment *containment = &supervisor->containment;
	const struct spawn_plan plan = {.arguments = supervisor->arguments,
	    .environment =
	        supervisor->machine.fallback ? fallback_environment(supervisor) : supervisor->environment,
	    .working_directory = settings_string(settings, settings->gateway.working_directory),
	    .console = supervisor->console.path,
	    /* A killed one that could not be made anew kills what is put into it. */
	    .cgroup_fd = containment->killed ? -1 : containment->directory_fd,
	    .umask = supervisor->umask,
	    .move_in = containment->move_in,
	    .marker_value = supervisor->marker + sizeof(MARKER_VARIABLE),
	    .instance = settings->instance};
	struct spawned spawned;
	int result = spawn_gated(&plan, &spawned);

	if (result < 0)
		return result;
	supervisor->gateway.pid = spawned.pid;
	supervisor->gateway.pid_fd = spawned.pid_fd;
	supervisor->gateway.start_time = spawned.start_time;
	supervisor->gateway.started_real_ms = clock_real_ms();
	supervisor->gateway.port = settings->gateway.port;
	supervisor->gateway.is_child = true;
	supervisor->gateway.in_cgroup = spawned.in_cgroup;
	supervisor->gateway.told_orphans = false;
	supervisor->gateway.from_copy = supervisor->machine.fallback;
	supervisor->gateway.channels_off_until_ms = 0;
	supervisor->words[0] = '\0';
	/* Not on record, it must not run: a closed gate ends it. */
	result = supervisor_save(supervisor);
	if (result == 0)
		result = spawn_release(&spawned);
	else
		file_close(&spawned.gate_fd);
	if (containment->move_in)
		supervisor->gateway.in_cgroup = containment_is_populated(containment);
	if (result == 0) {
		watch_gateway(supervisor); /* should it fail: SIGCHLD tells of a child's end too */
		return 0;
	}
	world_waitid(P_PIDFD, (id_t)spawned.pid_fd, &(siginfo_t){0}, WEXITED);
	file_close(&supervisor->gateway.pid_fd);
	forget_gateway(supervisor);
	return result;
}

static void carry_out_spawn(struct supervisor *supervisor, struct supervision_event *result)
{
	int code;

	renew_containment(supervisor);
	code = spawn(supervisor);
	result->type = code == 0 ? ON_SPAWNED : ON_SPAWN_FAILED;
	result->value = -code;
}

/* Returns whether the question could be answered: "too many open files" is no answer. */
static bool adopt(struct supervisor *supervisor, struct supervision_event *result)
{
	const struct record_process *recorded = &supervisor->record.gateway;
	struct procfs_stat stat = {0};
	/* First the pidfd, then the identity: what it names cannot change any more. */
	int fd = world_pidfd_open(recorded->pid, 0);
	int code = fd < 0 ? -errno : procfs_stat(recorded->pid, &stat);

	if (code == -EINVAL || code == -ENOENT) /* the number now names a thread of another process */
		code = -ESRCH;
	/* Whatever comes of it: what is saved meanwhile must name it still. */
	supervisor->gateway.pid = recorded->pid;
	supervisor->gateway.start_time = recorded->start_time;
	supervisor->gateway.port = supervisor->record.port;
	supervisor->gateway.started_real_ms = supervisor->record.started_real_ms;
	supervisor->gateway.from_copy = supervisor->machine.fallback;
	if (code < 0 && code != -ESRCH) {
		file_close(&fd);
		return false;
	}
	supervisor->gateway.in_cgroup = containment_is_populated(&supervisor->containment);
	result->type = ON_ADOPT_REFUSED;
	/* A child that ended while we executed ourselves anew still has its exit status to give. */
	if (code == -ESRCH || stat.start_time != recorded->start_time ||
	    (procfs_has_ended(&stat) && stat.parent != getpid())) {
		file_close(&fd);
		return true;
	}
	result->type = ON_ADOPTED;
	supervisor->gateway.pid_fd = fd;
	supervisor->gateway.is_child = stat.parent == getpid();
	if (watch_gateway(supervisor) == 0)
		return true;
	/* The end of an adopted one would be seen by nobody: asked again when there is memory for it. */
	file_close(&supervisor->gateway.pid_fd);
	return false;
}

/* The end */

static void leave(struct supervisor *supervisor)
{
	forget_gateway(supervisor);
	supervisor_save(supervisor);
	loop_stop(&supervisor->loop);
}

static void finish_timed_out(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;

	if (supervisor->finishing) {
		workers_kill(supervisor);
		leave(supervisor);
		return;
	}
	supervisor->finishing = true;
	workers_finish(supervisor);
	loop_timer_arm(&supervisor->loop, timer, clock_boot_ms() + WORKERS_WAIT_MS);
	if (workers_are_gone(supervisor))
		leave(supervisor);
}

/* The last events are given to the recorder (FINISH comes behind them), then the workers end, then we. */
static void finish(struct supervisor *supervisor)
{
	bool recorder_listens = supervisor->workers[WORKER_RECORDER].ready && supervisor->store_writable;

	if (supervisor->finish_timer.callback != NULL) /* asked twice */
		return;
	events_record(supervisor, "supervisor.stopped", SEVERITY_INFO, 0, NULL,
	    "Holdfast ends; nothing of the gateway is left.");
	change_abandon(supervisor);
	relay_outage_abandon(supervisor);
	supervisor->finish_timer.callback = finish_timed_out;
	supervisor->finish_timer.context = supervisor;
	if (recorder_listens && supervisor->sent < supervisor->pending->last)
		loop_timer_arm(&supervisor->loop, &supervisor->finish_timer, clock_boot_ms() + FLUSH_WAIT_MS);
	else
		finish_timed_out(&supervisor->finish_timer);
}

/* Steps */

static void tell_sentry(struct supervisor *supervisor, const struct supervision_action *action)
{
	struct message message = {0};
	enum message_type type = MESSAGE_PROBE_START;

	if (action->type == DO_WATCH_CONFIG) {
		message.watch.on = action->value != 0;
		type = MESSAGE_WATCH_CONFIG;
	} else if (action->type == DO_EXAMINE) {
		message.examine.generation = action->generation;
		message.examine.may_open = action->value != 0;
		type = MESSAGE_EXAMINE;
	} else {
		message.gateway.generation = action->generation;
		message.gateway.pid = supervisor->gateway.pid;
		message.gateway.start_time = supervisor->gateway.start_time;
		message.gateway.port = supervisor->gateway.port;
		if (action->type == DO_ASK_WORDS)
			type = MESSAGE_ASK_WORDS;
		else if (action->type == DO_VALIDATE)
			type = MESSAGE_VALIDATE;
	}
	worker_say(supervisor, WORKER_SENTRY, type, &message, -1);
}

static bool carry_out(
    struct supervisor *supervisor, const struct supervision_action *action, struct supervision_event *result)
{
	switch (action->type) {
	case DO_ADOPT:
		return adopt(supervisor, result);
	case DO_SPAWN:
		carry_out_spawn(supervisor, result);
		workers_release(supervisor);
		return true;
	case DO_KILL_TREE:
		kill_tree(supervisor, result);
		return true;
	case DO_TERMINATE:
		world_pidfd_send_signal(supervisor->gateway.pid_fd, SIGTERM, NULL, 0);
		world_pidfd_send_signal(
		    supervisor->gateway.pid_fd, SIGCONT, NULL, 0); /* a stopped one cannot hear */
		return false;
	case DO_CONTINUE:
		world_pidfd_send_signal(supervisor->gateway.pid_fd, SIGCONT, NULL, 0);
		return false;
	case DO_PROBE_START:
	case DO_ASK_WORDS:
	case DO_WATCH_CONFIG:
	case DO_VALIDATE:
	case DO_EXAMINE:
		tell_sentry(supervisor, action);
		return false;
	case DO_RECORD:
		narrate_record(supervisor, action);
		return false;
	case DO_SAVE:
		supervisor_save(supervisor);
		return false;
	case DO_REFUSE:
		supervisor->refused = action->reason;
		return false;
	case DO_FINISH:
		workers_release(supervisor);
		finish(supervisor);
		return false;
	}
	return false;
}

void supervisor_step(struct supervisor *supervisor, struct supervision_event *event)
{
	struct supervision_event next = *event;
	bool more = true;

	supervisor->refused = REASON_NONE;
	while (more) {
		struct supervision_event result = {0};
		struct supervision_actions actions;

		more = false;
		next.now_ms = clock_boot_ms();
		next.chance = supervisor_chance();
		/* They hear of a new gateway, with its pidfd, before they are asked anything about it. */
		if (next.type == ON_SPAWNED || next.type == ON_ADOPTED)
			workers_announce_gateway(supervisor);
		supervision_step(&supervisor->machine, &next, &actions);
		for (uint32_t i = 0; i < actions.count; i++)
			more |= carry_out(supervisor, &actions.list[i], &result);
		result.generation = supervisor->machine.generation;
		next = result;
	}
	workers_release(supervisor);
	health_follow(supervisor);
	sessions_follow(supervisor);
	change_again(supervisor);
	loop_timer_arm(
	    &supervisor->loop, &supervisor->machine_timer, supervision_deadline_ms(&supervisor->machine));
}

void supervisor_simple_step(struct supervisor *supervisor, enum supervision_event_type type)
{
	struct supervision_event event = {.type = type, .generation = supervisor->machine.generation};

	supervisor_step(supervisor, &event);
}

/* A process of the old tree may have ended: was it the last? */
void supervisor_tree_changed(struct supervisor *supervisor)
{
	struct supervision_event event = {.generation = supervisor->machine.generation};

	if (supervisor->machine.state != STATE_KILLING || !supervisor->machine.tree)
		return;
	kill_tree(supervisor, &event);
	supervisor_step(supervisor, &event);
}

void supervisor_worker_left(struct supervisor *supervisor)
{
	if (supervisor->finishing && workers_are_gone(supervisor))
		leave(supervisor);
}

void supervisor_child_ended(struct supervisor *supervisor, int pid, int status_code, int status)
{
	if (pid == supervisor->gateway.pid && supervisor->gateway.pid_fd >= 0)
		supervisor_gateway_ended(supervisor, read_exit(status_code, status));
	else if (workers_ended(supervisor, pid, status_code, status))
		supervisor_worker_left(supervisor);
	else if (!change_child_ended(supervisor, pid, status_code, status) &&
	         !relay_outage_child_ended(supervisor, pid))
		supervisor_tree_changed(supervisor);
}
