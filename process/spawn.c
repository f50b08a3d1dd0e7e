#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "process/clone.h"
#include "process/procfs.h"
#include "world/world.h"

#define EXEC_WAIT_MS       200
#define HEAD_START_NS      1000000
#define EXIT_NOT_EXECUTED  127
#define TICKS_PER_SECOND   100 /* of start times in /proc: USER_HZ, the same on every machine we run on */
#define WORKER_CHANNEL_FD  3
#define WORKER_SETTINGS_FD 4

/* When memory runs out, the gateway goes before those who start it again (proc_pid_oom_score_adj(5)). */
#define OOM_SCORE_ABOVE 200
#define OOM_SCORE_MAX   1000
#define OOM_SCORE_BYTES 12

static void restore_signals(void)
{
	struct sigaction fresh = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &fresh, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static CLONE_RUNS int take_console(const char *path, int null_fd)
{
	/* Read-write, and a description of its own: no EPIPE when the reader dies, and its flags are its own.
	 */
	int console = world_open(path, O_RDWR);

	if (console < 0 || (null_fd >= 0 && world_dup2(null_fd, 0) < 0) || world_dup2(console, 1) < 0 ||
	    world_dup2(console, 2) < 0)
		return -errno;
	if (console > 2)
		close(console);
	return 0;
}

static CLONE_RUNS void move_into(int cgroup_fd)
{
	int fd = world_openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	(void)!world_write(fd, "0", 1); /* where it is refused, the tree is found by walking it */
}

/* What the new process reads while we go on. */
static struct gated {
	struct spawn_plan plan;
	int gate_fd, our_gate_fd, null_fd;
} gated;

/* Given to the new process before its gate opens, by us: it has enough to do meanwhile, and this takes long.
 * The kernel gives all processes that share their memory the same score (seen on 6.18) and goes through every
 * process there is to find them. So it holds for us as well, until the program runs and we take it back. Only
 * raising needs no privilege, and so does going back to what it was before. */
static struct oom_score {
	int fd; /* of our own; 0: not opened yet, -1: cannot be */
	bool raised;
	char ours[OOM_SCORE_BYTES];
} oom_score;

static void raise_oom_score(int pid)
{
	char path[32], score[OOM_SCORE_BYTES];
	int fd CLOSE_ON_RETURN = -1;
	int above;

	if (oom_score.fd == 0)
		oom_score.fd = world_open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	if (oom_score.fd < 0 || file_read_start(oom_score.fd, oom_score.ours, sizeof(oom_score.ours)) <= 0)
		return;
	above = (int)strtol(oom_score.ours, NULL, 10) + OOM_SCORE_ABOVE;
	snprintf(score, sizeof(score), "%d", above < OOM_SCORE_MAX ? above : OOM_SCORE_MAX);
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	fd = world_open(path, O_WRONLY | O_CLOEXEC);
	oom_score.raised = fd >= 0 && world_pwrite(fd, score, strlen(score), 0) > 0;
}

static void restore_oom_score(void)
{
	if (oom_score.raised)
		(void)!world_pwrite(oom_score.fd, oom_score.ours, strlen(oom_score.ours), 0);
	oom_score.raised = false;
}

/* In the new process, which shares our memory: see clone_run. All that leaves no trace is done before the
 * gate opens, while the record is written. */
static CLONE_RUNS void run_gated(void *context)
{
	const struct gated *self = context;
	const struct spawn_plan *plan = &self->plan;
	sigset_t none;
	int code;

	close(self->our_gate_fd);
	world_setsid();
	world_umask(plan->umask);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	code = take_console(plan->console, self->null_fd);
	if (world_read(self->gate_fd, plan->marker_value, MARKER_BYTES_MAX) != MARKER_BYTES_MAX)
		_exit(0); /* who started us died before we were on record: it is as if we had never been */
	if (plan->cgroup_fd >= 0 && plan->move_in)
		move_into(plan->cgroup_fd);
	if (code == 0 && plan->working_directory[0] != '\0' && world_chdir(plan->working_directory) < 0)
		code = -errno;
	if (code == 0) {
		world_execve(plan->arguments[0], plan->arguments, plan->environment);
		code = -errno;
	}
	(void)!world_write(self->gate_fd, &code, sizeof(code));
	_exit(EXIT_NOT_EXECUTED);
}

static uint64_t boot_ticks(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * TICKS_PER_SECOND +
	       (uint64_t)now.tv_nsec / (1000000000 / TICKS_PER_SECOND);
}

/* A process that was made within one tick of the clock started in that tick: then /proc, which takes as long
 * as all the rest, need not be asked. Believed once the two have been seen to agree on this machine. */
static int find_start_time(int pid, uint64_t before, uint64_t *start_time)
{
	static bool clock_agrees;
	bool within_tick = boot_ticks() == before;
	int result;

	*start_time = before;
	if (within_tick && clock_agrees)
		return 0;
	result = procfs_start_time(pid, start_time);
	if (within_tick)
		clock_agrees = result == 0 && *start_time == before;
	return result;
}

int spawn_gated(const struct spawn_plan *plan, struct spawned *spawned)
{
	static int null_fd = -1;
	uint64_t before = boot_ticks();
	int gate[2];
	int pid;

	memset(spawned, 0, sizeof(*spawned));
	spawned->pid_fd = spawned->gate_fd = -1;
	if (world_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate) < 0)
		return -errno;
	if (null_fd < 0)
		null_fd = world_open("/dev/null", O_RDWR | O_CLOEXEC);
	gated = (struct gated){.plan = *plan, .gate_fd = gate[1], .our_gate_fd = gate[0], .null_fd = null_fd};
	pid = clone_run(
	    plan->move_in ? -1 : plan->cgroup_fd, run_gated, &gated, &spawned->pid_fd, &spawned->in_cgroup);
	close(gate[1]);
	if (pid < 0) {
		close(gate[0]);
		return pid;
	}
	spawned->pid = pid;
	spawned->gate_fd = gate[0];
	find_start_time(pid, before, &spawned->start_time);
	marker_format(spawned->marker, plan->instance, pid, spawned->start_time);
	return 0;
}

int spawn_release(struct spawned *spawned)
{
	struct pollfd gate = {.fd = spawned->gate_fd, .events = POLLIN};
	struct timespec head_start = {.tv_nsec = HEAD_START_NS};
	int code = 0;

	raise_oom_score(spawned->pid);
	/* Where nothing can be sent it was killed before it ran: its exit will be reported. */
	if (world_send(spawned->gate_fd, spawned->marker, sizeof(spawned->marker), MSG_NOSIGNAL) >= 0) {
		/* Woken by the very execution, we and whom we tell of it would take the processor from the
		 * new program. */
		nanosleep(&head_start, NULL);
		if (poll(&gate, 1, EXEC_WAIT_MS) == 1 &&
		    world_recv(spawned->gate_fd, &code, sizeof(code), MSG_DONTWAIT) <= 0)
			code = 0;
	}
	restore_oom_score();
	file_close(&spawned->gate_fd);
	return code;
}

int spawn_worker(const char *program, char *const *arguments, char *const *environment, int channel_fd,
    int settings_fd, bool dies_with_us, int *pid_fd)
{
	int parent = getpid();
	int pid = clone_copy(pid_fd);

	if (pid != 0)
		return pid;
	restore_signals();
	if (dies_with_us) {
		world_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (getppid() != parent) /* dead already */
			_exit(EXIT_NOT_EXECUTED);
	}
	/* Upwards first, so that neither descriptor is overwritten before it is duplicated. */
	channel_fd = world_fcntl(channel_fd, F_DUPFD, 10);
	settings_fd = world_fcntl(settings_fd, F_DUPFD, 10);
	if (world_dup2(channel_fd, WORKER_CHANNEL_FD) < 0 || world_dup2(settings_fd, WORKER_SETTINGS_FD) < 0)
		_exit(EXIT_NOT_EXECUTED);
	close(channel_fd);
	close(settings_fd);
	world_execve(program, arguments, environment);
	_exit(EXIT_NOT_EXECUTED);
}
