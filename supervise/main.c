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
#include "base/file.h"
#include "base/text.h"
#include "process/procfs.h"
#include "supervise/descriptors.h"
#include "supervise/manager.h"
#include "supervise/scratch.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define EXIT_CONFIGURATION 78
#define DESCRIPTORS_NEEDED 64 /* with every worker and every client there may be, and a start on top */

extern char **environ;

static struct supervisor supervisor;

static void children_ended(struct supervisor *self)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (world_waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
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
		manager_say("STOPPING=1");
		event.force = self->machine.finishing; /* Ctrl-C again: do not wait for the drain */
		supervisor_step(self, &event);
		break;
	case SIGTERM:
		manager_say("STOPPING=1");
		supervisor_step(self, &event);
		break;
	case SIGHUP:
		change_begin(self, CHANGE_RELOAD, NULL, NULL, -1);
		break;
	default:
		break;
	}
}

static void host_slept(struct loop *loop, int64_t slept_ms)
{
	struct supervisor *self = loop->context;
	struct supervision_event event = {
	    .type = ON_HOST_RESUMED, .generation = self->machine.generation, .value = slept_ms};

	health_host_slept(self);
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
	policy->reads_words = self->facts->phrases[0].text != NULL; /* where none are known, none decide */
	policy->config_exit_code = self->facts->config_exit_code;
	policy->stop_timeout_ms = settings->gateway.stop_timeout_ms;
	policy->startup_timeout_ms = settings->health.startup_timeout_ms;
	policy->hang_grace_ms = settings->health.hang_grace_ms;
	policy->asks_oom = true;
	policy->autopsy = settings->health.autopsy;
	policy->config_fallback = settings->gateway.config_fallback;
	health_prepare(self);
	sessions_prepare(self);
	channels_prepare(self);
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
	change_init(self);
	relay_outage_init(self);
	world_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return 0;
}

/* The record is lost (its directory was deleted, or another's version), or names one that is gone: a gateway
 * that lives is known by the marker in its environment. */
static bool find_unrecorded(struct supervisor *self)
{
	struct record_process *gateway = &self->record.gateway, found;

	if (!self->had_owner || !gateway_find(self->settings->instance, &found.pid, &found.start_time))
		return false;
	*gateway = found;
	self->record.started_real_ms =
	    clock_real_ms() - clock_boot_ms() + (int64_t)gateway->start_time * 1000 / sysconf(_SC_CLK_TCK);
	self->record.port = self->settings->gateway.port;
	self->machine.before = STATE_ADOPTING;
	if (self->machine.generation == 0)
		self->machine.generation = 1; /* of how many is not known */
	return true;
}

/* Another build's machine cannot be read; what people want of it can. */
static void inherit_from_other_build(struct supervisor *self, bool lives)
{
	struct supervision earlier;

	supervision_init(&earlier, &self->policy, self->machine.next_incident);
	earlier.generation = self->record.generation;
	earlier.restarts = self->record.restarts;
	earlier.wanted = self->record.wanted != 0;
	earlier.paused_until_ms = self->record.paused_until_ms;
	earlier.alive = earlier.tree = lives || earlier.wanted;
	earlier.ready = true;
	supervision_inherit(&self->machine, &earlier);
}

/* What an earlier life left: its machine's memory, and perhaps its gateway. Returns 1 when one lives, 0, or a
 * negative errno. */
int supervisor_take_up_record(struct supervisor *self, struct error *why)
{
	struct record *record = &self->record;
	struct supervision earlier;
	int result = record_read(self->record_fd, self->settings->instance, record, why);
	bool lives = result == 0 && procfs_is_alive(record->gateway.pid, record->gateway.start_time);

	if (result < 0 && result != -ENOENT && result != -EINVAL)
		return result; /* it may be true: better no start than one that does not know it */
	if (result == 0)
		sessions_inherit(self);
	if (result < 0) {
		if (result != -ENOENT)
			events_record(self, "record.refused", SEVERITY_WARNING, 0, NULL, "%s", why->text);
		memset(record, 0, sizeof(*record));
	} else if (record->machine_size == sizeof(earlier) &&
	           record->machine_version == SUPERVISION_VERSION) {
		memcpy(&earlier, record->machine, sizeof(earlier));
		supervision_inherit(&self->machine, &earlier);
	} else {
		inherit_from_other_build(self, lives);
	}
	/* A life that ended in good order left none. */
	return lives || ((result < 0 || record->gateway.pid != 0) && find_unrecorded(self)) ? 1 : 0;
}

/* A worker of an earlier life that could not be taken back: one of ours takes its place. */
static void end_earlier_workers(struct supervisor *self)
{
	for (int i = 0; i < RECORD_WORKERS; i++) {
		const struct record_process *worker = &self->record.workers[i];
		int fd;

		if (worker->pid == self->workers[i].pid || !procfs_is_alive(worker->pid, worker->start_time))
			continue;
		fd = world_pidfd_open(worker->pid, 0);
		if (fd >= 0 && procfs_is_alive(worker->pid, worker->start_time))
			worker_let_leave(self, self->workers[i].name, worker->pid, fd);
		else
			file_close(&fd);
	}
}

static void remove_orphans(struct supervisor *self)
{
	struct tree_report report;
	uint32_t port = self->record.port != 0 ? self->record.port : self->settings->gateway.port;
	uint32_t count = orphans_kill(self->settings->instance, port, &report);

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
	return error_set(why, -EINVAL,
	    "Only %llu files may be open at once, and Holdfast needs %d: raise the limit (\"ulimit -n\", or "
	    "LimitNOFILE= in "
	    "a unit). Nothing was started.",
	    (unsigned long long)limit.rlim_cur, DESCRIPTORS_NEEDED);
}

static int prepare(struct supervisor *self, struct error *why)
{
	int result;

	self->gateway.pid_fd = self->gateway.death.fd = self->console.fd = self->notify.fd = -1;
	self->settings = settings_map(SETTINGS_FD, why);
	if (self->settings == NULL)
		return why->code;
	world_fcntl(SETTINGS_FD, F_SETFD, FD_CLOEXEC);
	/* Who may read our environment would read the secrets in it: the agent's own tools run as the same
	 * user. */
	if (self->settings->secret_count > 0)
		world_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	self->facts = gateway_facts((int)self->settings->gateway.kind);
	self->started_real_ms = clock_real_ms();
	read_policy(self);
	supervision_init(&self->machine, &self->policy, first_incident(self->started_real_ms));
	workers_init(self);
	result = self->executed_anew ? 0 : check_descriptors(why);
	if (result == 0)
		result = open_loop(self, why);
	if (result == 0)
		result = ownership_take(self, why);
	/* It may make the gateway's token, in the state directory. */
	if (result == 0)
		result = environment_build(self, environ, why);
	if (result == 0)
		result = events_open(self, why);
	return result;
}

/* The gateway that a former life left, the places that are ours, and who may call. */
static int open_all(struct supervisor *self, bool found, struct error *why)
{
	int result;

	remove_orphans(self);
	containment_open(&self->containment, self->settings->instance, self->record.cgroup);
	self->containment_source.fd = -1;
	result = console_open(self, why);
	if (result == 0)
		result = notify_open(self, why);
	if (result == 0)
		result = commands_open(self, why);
	if (result < 0) {
		if (!found) { /* else they are a living gateway's */
			console_close(self);
			notify_close(self);
		}
		containment_release(&self->containment);
	}
	return result;
}

static int begin(struct supervisor *self, struct error *why)
{
	struct supervision_event event = {.type = ON_START, .reason = REASON_FIRST_START};
	int found = supervisor_take_up_record(self, why);
	int result = found < 0 ? found : 0;

	if (found == 0 && !self->executed_anew)
		result = ownership_check(self, why);
	if (result == 0)
		result = open_all(self, found, why);
	if (result < 0)
		return result;
	scratch_remove(self); /* a trial may have died with its supervisor */
	listeners_init(self);
	workers_take_back(self);
	end_earlier_workers(self);
	self->record.instance = self->settings->instance;
	self->record.supervisor.pid = getpid();
	procfs_start_time(getpid(), &self->record.supervisor.start_time);
	if (!self->executed_anew)
		events_record(self, "supervisor.started", SEVERITY_INFO, 0, NULL,
		    "Holdfast %s supervises the gateway (pid %d).", HOLDFAST_VERSION, getpid());
	/* A gateway that died while nobody watched is found too: its end counts, and its tree goes first. */
	if (found || self->machine.before != STATE_ADOPTING || self->record.gateway.pid != 0) {
		event.type = ON_FOUND;
		event.generation = self->machine.generation;
	}
	supervisor_step(self, &event);
	workers_start(self);
	if (self->executed_anew)
		children_ended(self); /* whose end was reported to the image before */
	runtime_watch(self);
	change_done(self);
	descriptors_close_rest();
	manager_say("READY=1");
	return 0;
}

/* What the command line says besides `run`'s own arguments, which follow "--". Returns whether it is a trial.
 */
static bool read_arguments(struct supervisor *self, int argc, char **argv)
{
	const char *descriptors = "";
	bool is_trial = false;
	int at = 1;

	for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
		if (strncmp(argv[at], DESCRIPTORS_OPTION, sizeof(DESCRIPTORS_OPTION) - 1) == 0)
			descriptors = argv[at] + sizeof(DESCRIPTORS_OPTION) - 1;
		else if (strcmp(argv[at], "--trial") == 0)
			is_trial = true;
	}
	self->is_trial = is_trial;
	self->own_arguments = argv + (at < argc ? at + 1 : argc);
	/* Whatever else we inherited is nobody's business here, least of all the gateway's. */
	if (is_trial) /* who tries us is told there */
		world_fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	else
		world_close_range(CHANNEL_FD, CHANNEL_FD, 0);
	descriptors_read(descriptors, SETTINGS_FD + 1);
	self->executed_anew = descriptors_has("lock");
	return is_trial;
}

/* Another try may do better: a service manager that does not start us again after 78 shall. */
static bool is_passing(int code)
{
	static const int codes[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, EDQUOT, EIO, EAGAIN};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (code == -codes[i])
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool is_trial = read_arguments(&supervisor, argc, argv);
	struct error why = {0};
	int result;

	supervisor.umask = world_umask(077);
	result = prepare(&supervisor, &why);
	if (is_trial)
		return result == 0 ? trial_run(&supervisor) : trial_failed(&supervisor, why.text);
	if (result == 0)
		result = begin(&supervisor, &why);
	if (result < 0) {
		fprintf(stderr, "holdfast: %s\n", why.text);
		return is_passing(result) ? 1 : EXIT_CONFIGURATION;
	}
	result = loop_run(&supervisor.loop);
	runtime_forget(&supervisor);
	commands_close(&supervisor);
	listeners_close(&supervisor);
	console_close(&supervisor);
	notify_close(&supervisor);
	containment_release(&supervisor.containment);
	return result < 0 ? 1 : 0;
}
