/* holdfast-supervise: started by `holdfast run` with its settings on descriptor 4. Wiring only. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "process/procfs.h"
#include "supervise/supervisor.h"

#define EXIT_CONFIGURATION 78
#define DESCRIPTORS_NEEDED 64 /* with every worker and every client there may be, and a start on top */

extern char **environ;

static struct supervisor supervisor;

static void children_ended(struct supervisor *self)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
			return;
		supervisor_child_ended(self, info.si_pid, info.si_code, info.si_status);
	}
}

static void signal_came(struct loop *loop, const struct signalfd_siginfo *info)
{
	struct supervisor *self = loop->context;
	struct supervision_event event = {.type = ON_SHUTDOWN, .generation = self->machine.generation};

	switch (info->ssi_signo) {
	case SIGCHLD:
		children_ended(self);
		break;
	case SIGINT:
		event.force = self->machine.finishing; /* Ctrl-C again: do not wait for the drain */
		supervisor_step(self, &event);
		break;
	case SIGTERM:
		supervisor_step(self, &event);
		break;
	default:
		break; /* SIGHUP: a closed terminal ends nothing */
	}
}

static void host_slept(struct loop *loop, int64_t slept_ms)
{
	struct supervisor *self = loop->context;
	struct supervision_event event = {
	    .type = ON_HOST_RESUMED, .generation = self->machine.generation, .value = slept_ms};

	supervisor_step(self, &event);
}

static void machine_due(struct loop_timer *timer)
{
	struct supervisor *self = timer->context;

	/* Nobody looks whether a start moves while there is no sentry: that is no sign of its standing still.
	 */
	if (self->machine.state == STATE_STARTING && !self->workers[WORKER_SENTRY].ready)
		supervisor_simple_step(self, ON_PROGRESS);
	supervisor_simple_step(self, ON_TIMER);
}

static void read_policy(struct supervisor *self)
{
	const struct settings *settings = self->settings;
	struct supervision_settings *policy = &self->policy;

	policy->policy = (struct restart_policy){.initial_ms = settings->backoff.initial_ms,
	    .max_ms = settings->backoff.max_ms,
	    .reset_after_ms = settings->backoff.reset_after_ms,
	    .factor = settings->backoff.factor,
	    .jitter = settings->backoff.jitter,
	    .immediate_first = settings->backoff.immediate_first,
	    .boot_limit = self->facts->boot_limit,
	    .boot_window_ms = self->facts->boot_window_ms};
	policy->restart_on[RESTART_CRASH] = settings->gateway.auto_restart.on_crash;
	policy->restart_on[RESTART_HANG] = settings->gateway.auto_restart.on_hang;
	policy->restart_on[RESTART_STUCK_SESSIONS] = settings->gateway.auto_restart.on_stuck_sessions;
	policy->restart_on[RESTART_MEMORY] = settings->gateway.auto_restart.on_memory;
	policy->ready_when_spawned = settings_string(settings, settings->health.ready_path)[0] == '\0';
	policy->reads_words = self->facts->phrases != NULL;
	policy->config_exit_code = self->facts->config_exit_code;
	policy->stop_timeout_ms = settings->gateway.stop_timeout_ms;
	policy->startup_timeout_ms = settings->health.startup_timeout_ms;
	policy->hang_grace_ms = settings->health.hang_grace_ms;
	for (uint32_t i = 0; i < settings->gateway.argument_count; i++)
		self->arguments[i] = (char *)settings_string(settings, settings->gateway.arguments[i]);
}

static int open_loop(struct supervisor *self, struct error *why)
{
	sigset_t signals;
	int result = loop_init(&self->loop);

	if (result < 0)
		return error_set(why, result, "The event loop cannot be made: %s.", strerror(-result));
	/* The gateway gets these actions. SIGPIPE is blocked rather than ignored, for its sake. */
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGPIPE);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	result = loop_signals_watch(&self->loop, &signals, signal_came, self);
	if (result < 0)
		return error_set(why, result, "Signals cannot be watched: %s.", strerror(-result));
	self->loop.slept_callback = host_slept;
	self->machine_timer.callback = machine_due;
	self->machine_timer.context = self;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return 0;
}

/* The record is lost (its directory was deleted, or another's version): a gateway that lives is known by the
 * marker in its environment. */
static bool find_unrecorded(struct supervisor *self)
{
	struct record_process *gateway = &self->record.gateway;
	int pid;

	if (!gateway_find(self->settings->instance, &pid, &gateway->start_time))
		return false;
	gateway->pid = pid;
	self->record.started_real_ms =
	    clock_real_ms() - clock_boot_ms() + (int64_t)gateway->start_time * 1000 / sysconf(_SC_CLK_TCK);
	self->machine.generation = 1; /* of how many is not known */
	return true;
}

/* What an earlier life left: its machine's memory, and perhaps its gateway. Returns whether one lives. */
static bool take_up_record(struct supervisor *self)
{
	struct supervision earlier;
	struct error why;
	int result = record_read(self->record_fd, self->settings->instance, &self->record, &why);

	if (result == 0 && self->record.machine_size == sizeof(earlier)) {
		memcpy(&earlier, self->record.machine, sizeof(earlier));
		supervision_inherit(&self->machine, &earlier);
	} else if (result == 0) {
		/* Another build's machine cannot be read; its gateway is one all the same. */
		self->machine.generation = self->record.generation;
	} else {
		if (result != -ENOENT)
			events_record(self, "record.refused", SEVERITY_WARNING, 0, NULL, "%s", why.text);
		memset(&self->record, 0, sizeof(self->record));
		return self->had_owner && find_unrecorded(self);
	}
	return procfs_is_alive(self->record.gateway.pid, self->record.gateway.start_time);
}

/* Workers of a dead supervisor go on as long as the gateway lives; ours take their place. */
static void end_earlier_workers(const struct supervisor *self)
{
	for (int i = 0; i < RECORD_WORKERS; i++) {
		const struct record_process *worker = &self->record.workers[i];
		int fd;

		if (!procfs_is_alive(worker->pid, worker->start_time))
			continue;
		fd = (int)syscall(SYS_pidfd_open, worker->pid, 0);
		if (fd >= 0 && procfs_is_alive(worker->pid, worker->start_time))
			syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
		if (fd >= 0)
			close(fd);
	}
}

static void remove_orphans(struct supervisor *self)
{
	struct tree_report report;
	uint32_t count = orphans_kill(self->settings->instance, self->settings->gateway.port, &report);

	if (count > 0)
		events_record(self, "orphans.reaped", SEVERITY_INFO, 0, NULL,
		    "%u process%s of an earlier gateway that is gone %s removed: %s.", count,
		    count == 1 ? "" : "es", count == 1 ? "was" : "were", report.names);
}

/* Numbers that people can say, and that no earlier life has given: seconds since the first day of 2026. */
static uint64_t first_incident(int64_t real_ms)
{
	const int64_t first_day_s = 1767225600;
	int64_t seconds = real_ms / 1000 - first_day_s;

	return seconds > 0 ? (uint64_t)seconds : 1;
}

/* Better no start at all than a gateway that cannot be started again because our own workers took the last
 * one. */
static int check_descriptors(struct error *why)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS_NEEDED)
		return 0;
	return error_set(why, -EMFILE,
	    "Only %llu files may be open at once, and Holdfast needs %d: raise the limit (\"ulimit -n\", or "
	    "LimitNOFILE= in "
	    "a unit). Nothing was started.",
	    (unsigned long long)limit.rlim_cur, DESCRIPTORS_NEEDED);
}

static int prepare(struct supervisor *self, struct error *why)
{
	int result;

	self->gateway.pid_fd = self->gateway.death.fd = self->console.fd = -1;
	self->settings = settings_map(SETTINGS_FD, why);
	if (self->settings == NULL)
		return why->code;
	fcntl(SETTINGS_FD, F_SETFD, FD_CLOEXEC);
	self->facts = gateway_facts((int)self->settings->gateway.kind);
	self->started_real_ms = clock_real_ms();
	read_policy(self);
	supervision_init(&self->machine, &self->policy, first_incident(self->started_real_ms));
	workers_init(self);
	result = check_descriptors(why);
	if (result == 0)
		result = environment_build(self, environ, why);
	if (result == 0)
		result = open_loop(self, why);
	if (result == 0)
		result = ownership_take(self, why);
	if (result == 0)
		result = events_open(self, why);
	return result;
}

/* Whoever starts a killed supervisor again (a service manager, often) is not who wanted the gateway down. */
static void stay_stopped(struct supervisor *self)
{
	self->machine.reason = REASON_OPERATOR;
	events_record(self, "gateway.stopped", SEVERITY_INFO, 0, NULL,
	    "The gateway stays stopped, as was asked before the last supervisor died: start it with "
	    "\"holdfast start\".");
}

static int begin(struct supervisor *self, struct error *why)
{
	struct supervision_event event = {.type = ON_START, .reason = REASON_FIRST_START};
	bool found = take_up_record(self);
	int result = found ? 0 : ownership_check(self, why);

	if (result < 0)
		return result;
	end_earlier_workers(self);
	remove_orphans(self);
	containment_open(&self->containment, self->settings->instance);
	self->containment_source.fd = -1;
	result = console_open(self, why);
	if (result == 0)
		result = commands_open(self, why);
	if (result < 0) {
		if (!found) /* else it is a living gateway's */
			console_close(self);
		containment_release(&self->containment);
		return result;
	}
	self->record.instance = self->settings->instance;
	self->record.supervisor.pid = getpid();
	procfs_start_time(getpid(), &self->record.supervisor.start_time);
	events_record(self, "supervisor.started", SEVERITY_INFO, 0, NULL,
	    "Holdfast %s supervises the gateway (pid %d).", HOLDFAST_VERSION, getpid());
	/* A gateway that died while nobody watched is found too: its end counts, and its tree goes first. */
	if (found || (self->record.gateway.pid != 0 && !self->machine.stopped_before)) {
		event.type = ON_FOUND;
		event.generation = self->machine.generation;
	}
	if (found || !self->machine.stopped_before)
		supervisor_step(self, &event);
	else
		stay_stopped(self);
	workers_start(self);
	return 0;
}

int main(void)
{
	struct error why = {0};
	int result;

	supervisor.umask = umask(077);
	/* Whatever else we inherited is nobody's business here, least of all the gateway's. */
	close_range(CHANNEL_FD, CHANNEL_FD, 0);
	close_range(SETTINGS_FD + 1, ~0u, 0);
	result = prepare(&supervisor, &why);
	if (result == 0)
		result = begin(&supervisor, &why);
	if (result < 0) {
		fprintf(stderr, "holdfast: %s\n", why.text);
		return EXIT_CONFIGURATION;
	}
	result = loop_run(&supervisor.loop);
	commands_close(&supervisor);
	console_close(&supervisor);
	containment_release(&supervisor.containment);
	return result < 0 ? 1 : 0;
}
