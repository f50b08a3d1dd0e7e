#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "process/clone.h"
#include "process/procfs.h"

#define EXEC_WAIT_MS	    200
#define EXIT_NOT_EXECUTED   127
#define WORKER_CHANNEL_FD   3
#define WORKER_SETTINGS_FD  4

static void restore_signals(void)
{
	struct sigaction fresh = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &fresh, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static CLONE_RUNS int take_console(const char *path)
{
	int input = open("/dev/null", O_RDONLY);
	/* Read-write, and a description of its own: no EPIPE when the reader dies, and its flags are its own. */
	int console = path == NULL ? open("/dev/null", O_WRONLY) : open(path, O_RDWR);

	if (console < 0)
		return -errno;
	if ((input >= 0 && dup2(input, 0) < 0) || dup2(console, 1) < 0 || dup2(console, 2) < 0)
		return -errno;
	if (input > 2)
		close(input);
	if (console > 2)
		close(console);
	return 0;
}

static CLONE_RUNS void move_into(int cgroup_fd)
{
	int fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	(void)!write(fd, "0", 1); /* where it is refused, the tree is found by walking it */
}

/* What the new process reads while we go on. */
static struct gated {
	struct spawn_plan plan;
	int gate_fd, our_gate_fd;
} gated;

/* In the new process, which shares our memory: see clone_run. All that leaves no trace is done before the gate
 * opens, while the record is written. */
static CLONE_RUNS void run_gated(void *context)
{
	const struct gated *self = context;
	const struct spawn_plan *plan = &self->plan;
	sigset_t none;
	int code;

	close(self->our_gate_fd);
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	code = take_console(plan->console);
	if (read(self->gate_fd, plan->marker_value, MARKER_BYTES_MAX) != MARKER_BYTES_MAX)
		_exit(0); /* who started us died before we were on record: it is as if we had never been */
	if (plan->cgroup_fd >= 0 && plan->move_in)
		move_into(plan->cgroup_fd);
	if (code == 0 && plan->working_directory[0] != '\0' && chdir(plan->working_directory) < 0)
		code = -errno;
	if (code == 0) {
		execve(plan->arguments[0], plan->arguments, plan->environment);
		code = -errno;
	}
	(void)!write(self->gate_fd, &code, sizeof(code));
	_exit(EXIT_NOT_EXECUTED);
}

int spawn_gated(const struct spawn_plan *plan, struct spawned *spawned)
{
	int gate[2];
	int pid;

	memset(spawned, 0, sizeof(*spawned));
	spawned->pid_fd = spawned->gate_fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate) < 0)
		return -errno;
	gated = (struct gated){.plan = *plan, .gate_fd = gate[1], .our_gate_fd = gate[0]};
	pid = clone_run(plan->move_in ? -1 : plan->cgroup_fd, run_gated, &gated, &spawned->pid_fd, &spawned->in_cgroup);
	close(gate[1]);
	if (pid < 0) {
		close(gate[0]);
		return pid;
	}
	spawned->pid = pid;
	spawned->gate_fd = gate[0];
	procfs_start_time(pid, &spawned->start_time);
	marker_format(spawned->marker, plan->instance, pid, spawned->start_time);
	return 0;
}

int spawn_release(struct spawned *spawned)
{
	struct pollfd gate = {.fd = spawned->gate_fd, .events = POLLIN};
	int code = 0;

	if (send(spawned->gate_fd, spawned->marker, sizeof(spawned->marker), MSG_NOSIGNAL) < 0)
		code = 0; /* killed before it ran: its exit will be reported */
	else if (poll(&gate, 1, EXEC_WAIT_MS) == 1 && recv(spawned->gate_fd, &code, sizeof(code), MSG_DONTWAIT) <= 0)
		code = 0;
	file_close(&spawned->gate_fd);
	return code;
}

int spawn_worker(const char *program, const char *name, int channel_fd, int settings_fd, int *pid_fd)
{
	char *arguments[] = {(char *)name, NULL};
	int pid = clone_copy(pid_fd);

	if (pid != 0)
		return pid;
	restore_signals();
	/* Upwards first, so that neither descriptor is overwritten before it is duplicated. */
	channel_fd = fcntl(channel_fd, F_DUPFD, 10);
	settings_fd = fcntl(settings_fd, F_DUPFD, 10);
	if (dup2(channel_fd, WORKER_CHANNEL_FD) < 0 || dup2(settings_fd, WORKER_SETTINGS_FD) < 0)
		_exit(EXIT_NOT_EXECUTED);
	close(channel_fd);
	close(settings_fd);
	execv(program, arguments);
	_exit(EXIT_NOT_EXECUTED);
}
