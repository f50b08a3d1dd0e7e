/* The three workers: started, restarted with the same policy as the gateway, and gone on without. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "process/procfs.h"
#include "process/spawn.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define WORKER_HEALTHY_AFTER_MS 10000
#define HELLO_WAIT_MS           10000
#define SUCCEED_AGAIN_MS        1000
#define WORKER_BACKOFF_MIN_MS   10
#define WORKER_BACKOFF_END_MS   1000 /* what they come to where the gateway has no back-off */
#define WORKER_BACKOFF_MAX_MS                                                                                \
	60000 /* nobody may be left unwatched for longer, whatever the gateway's back-off */

static const char *const names[WORKER_COUNT] = {"sentry", "recorder", "relay"};

static void retry(struct loop_timer *timer)
{
	struct supervised_worker *worker =
	    (struct supervised_worker *)((char *)timer - offsetof(struct supervised_worker, retry));

	if (worker->pid > 0 && worker->outdated)
		worker_succeed(timer->context, worker);
	else if (worker->pid > 0) /* it does not say HELLO: its end starts another */
		world_pidfd_send_signal(worker->pid_fd, SIGKILL, NULL, 0);
	else
		worker_start(timer->context, worker);
}

static void come_back(struct supervisor *supervisor, struct supervised_worker *worker, bool was_healthy)
{
	int64_t delay_ms = restart_policy_delay(
	    &supervisor->worker_policy, &worker->history, RESTART_CRASH, was_healthy, supervisor_chance());

	if (supervisor->finishing)
		return;
	worker->restarts++;
	if (worker_put_back(supervisor, worker) && delay_ms < SUCCEED_AGAIN_MS)
		delay_ms = SUCCEED_AGAIN_MS;
	if (delay_ms == 0 && was_healthy)
		worker_start(supervisor, worker);
	else
		loop_timer_arm(
		    &supervisor->loop, &worker->retry, clock_boot_ms() + (delay_ms < 10 ? 10 : delay_ms));
}

/* How one ended that is not our child, only its parent knows. */
void worker_died(struct loop_source *source, uint32_t events)
{
	struct supervised_worker *worker =
	    (struct supervised_worker *)((char *)source - offsetof(struct supervised_worker, death));
	siginfo_t info = {0};

	(void)events;
	if (world_waitid(P_PIDFD, (id_t)worker->pid_fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
		return;
	supervisor_child_ended(source->context, worker->pid, info.si_code, info.si_status);
}

void worker_connected(struct supervisor *supervisor, struct supervised_worker *worker, int channel_fd)
{
	worker->started_ms = clock_boot_ms();
	worker->start_time = 0;
	procfs_start_time(worker->pid, &worker->start_time);
	worker->channel_fd = channel_fd;
	worker->channel.callback = worker_channel_event;
	worker->channel.context = supervisor;
	/* Unheard it is of no use. */
	if (loop_source_watch(&supervisor->loop, &worker->channel, channel_fd, EPOLLIN) < 0)
		world_pidfd_send_signal(worker->pid_fd, SIGKILL, NULL, 0);
}

void worker_start(struct supervisor *supervisor, struct supervised_worker *worker)
{
	char *const arguments[] = {(char *)worker->name, NULL};
	int pair[2];
	int pid;

	if (world_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		come_back(supervisor, worker, false);
		return;
	}
	/* They wait in the channel: should all others be killed in the next moment, this one has them. */
	listeners_put(supervisor, pair[0]);
	pid = spawn_worker(worker->program, arguments,
	    environment_of_worker(supervisor, (enum worker_index)(worker - supervisor->workers)), pair[1],
	    SETTINGS_FD, false, &worker->pid_fd);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		come_back(supervisor, worker, false);
		return;
	}
	worker->pid = pid;
	worker->outdated = false;
	worker_connected(supervisor, worker, pair[0]);
	loop_timer_arm(&supervisor->loop, &worker->retry, clock_boot_ms() + HELLO_WAIT_MS);
	supervisor_save(supervisor);
}

uint32_t workers_spare(const struct supervisor *supervisor, int *spared, uint32_t max)
{
	uint32_t count = 0;

	for (int i = 0; i < WORKER_COUNT; i++) {
		if (supervisor->workers[i].pid > 0 && count < max)
			spared[count++] = supervisor->workers[i].pid;
		if (supervisor->workers[i].predecessor.pid > 0 && count < max)
			spared[count++] = supervisor->workers[i].predecessor.pid;
	}
	for (int i = 0; i < LEAVING_WORKERS_MAX; i++)
		if (supervisor->leaving[i].pid > 0 && count < max)
			spared[count++] = supervisor->leaving[i].pid;
	return count;
}

void workers_init(struct supervisor *supervisor)
{
	char directory[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", directory, sizeof(directory) - 1);
	char *slash;

	directory[length < 0 ? 0 : length] = '\0';
	slash = strrchr(directory, '/');
	if (slash != NULL)
		*slash = '\0';
	supervisor->worker_policy = supervisor->policy.policy;
	supervisor->worker_policy.boot_limit = 0;
	supervisor->worker_policy.reset_after_ms = WORKER_BACKOFF_MAX_MS;
	if (supervisor->worker_policy.max_ms > WORKER_BACKOFF_MAX_MS)
		supervisor->worker_policy.max_ms = WORKER_BACKOFF_MAX_MS;
	/* The gateway's may be none at all; a worker that ends at once would then do so for ever. */
	if (supervisor->worker_policy.initial_ms < WORKER_BACKOFF_MIN_MS) {
		supervisor->worker_policy.initial_ms = WORKER_BACKOFF_MIN_MS;
		supervisor->worker_policy.max_ms = WORKER_BACKOFF_END_MS;
		supervisor->worker_policy.factor = 2;
	}
	for (int i = 0; i < WORKER_COUNT; i++) {
		struct supervised_worker *worker = &supervisor->workers[i];

		worker->name = names[i];
		worker->pid_fd = worker->channel_fd = worker->channel.fd = worker->death.fd = -1;
		worker->predecessor.pid_fd = worker->predecessor.channel_fd = -1;
		worker->retry.callback = retry;
		worker->retry.context = supervisor;
		snprintf(worker->program, sizeof(worker->program), "%.*s/holdfast-%s", PATH_MAX - 32,
		    directory, names[i]);
	}
}

void workers_start(struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].pid == 0)
			worker_start(supervisor, &supervisor->workers[i]);
	workers_open_listeners(supervisor);
}

bool workers_ended(struct supervisor *supervisor, int pid, int status_code, int status)
{
	for (int i = 0; i < WORKER_COUNT; i++) {
		struct supervised_worker *worker = &supervisor->workers[i];
		int64_t lived_ms = clock_boot_ms() - worker->started_ms;
		char evidence[64], how[32] = "";

		if (worker->pid != pid || pid == 0)
			continue;
		if (worker->returning && worker->channel_fd >= 0) /* what it gave back may still wait there */
			worker_channel_event(&worker->channel, EPOLLIN);
		worker_close_channel(worker);
		loop_source_retire(&worker->death);
		file_close(&worker->pid_fd);
		worker_remove_socket(supervisor, worker);
		worker->pid = 0;
		worker->returning = false;
		workers_open_listeners(supervisor);
		restart_history_healthy(&supervisor->worker_policy, &worker->history, lived_ms);
		if (!supervisor->finishing) {
			if (status_code != 0)
				snprintf(how, sizeof(how), " with %s %d",
				    status_code == CLD_EXITED ? "exit code" : "signal", status);
			snprintf(
			    evidence, sizeof(evidence), "{\"worker\":\"%s\",\"pid\":%d}", worker->name, pid);
			events_record(supervisor, "worker.exited", SEVERITY_WARNING, 0, evidence,
			    "The %s (pid %d) ended%s and is started again; the gateway is not touched.",
			    worker->name, pid, how);
		}
		come_back(supervisor, worker, lived_ms >= WORKER_HEALTHY_AFTER_MS);
		if (i == WORKER_RELAY && !supervisor->finishing)
			relay_outage_ended(supervisor, lived_ms);
		return true;
	}
	return false;
}

static void finish_one(struct supervised_worker *worker)
{
	struct message finish = {0};

	if (worker->pid > 0 && message_send(worker->channel_fd, MESSAGE_FINISH, &finish, -1) < 0)
		world_pidfd_send_signal(worker->pid_fd, SIGKILL, NULL, 0);
}

void workers_finish(struct supervisor *supervisor)
{
	workers_release(supervisor);
	for (int i = 0; i < WORKER_COUNT; i++) {
		struct supervised_worker *worker = &supervisor->workers[i];

		loop_timer_arm(&supervisor->loop, &worker->retry, 0);
		finish_one(worker);
		/* Nobody succeeds it any more: it leaves like the others. */
		worker_release_predecessor(supervisor, worker);
	}
}

void workers_kill(struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].pid > 0)
			world_pidfd_send_signal(supervisor->workers[i].pid_fd, SIGKILL, NULL, 0);
	for (int i = 0; i < LEAVING_WORKERS_MAX; i++)
		if (supervisor->leaving[i].pid > 0)
			world_pidfd_send_signal(supervisor->leaving[i].pid_fd, SIGKILL, NULL, 0);
}

bool workers_are_gone(const struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].pid > 0)
			return false;
	for (int i = 0; i < LEAVING_WORKERS_MAX; i++)
		if (supervisor->leaving[i].pid > 0)
			return false;
	return true;
}
