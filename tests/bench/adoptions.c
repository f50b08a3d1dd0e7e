/* bench_adoptions TIMES RUNTIME-DIR COMMAND...: how long `holdfast run` (the command) takes from right before
 * its start to its first correct status: the gateway runs, with its pid, and it is this supervisor who says
 * so. It is asked over the control socket, as fast as it answers. Three ways in turn, TIMES times: plain,
 * when nothing was there (0); when its predecessor alone was killed with SIGKILL (1), and when all workers
 * were with it (2), while the gateway lives. Prints `TIME WAY NANOSECONDS` for each. The first time, which
 * makes the directories, is not counted. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "channel/control.h"

#define WAIT_NS         10000000000
#define TICK_NS         1000000
#define SETTLE_NS       20000000 /* what the last start still has to do is no part of the next */
#define DESCRIPTORS_MAX 32

extern char **environ;

enum way { PLAIN, SUPERVISOR_KILLED, ALL_KILLED };

struct subject {
	char **command;
	const char *runtime_dir;
	pid_t pid; /* of the supervisor that was started last */
	struct control_reply status;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void pause_ns(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static _Noreturn void fail(const struct subject *subject, const char *what)
{
	fprintf(stderr, "bench_adoptions: %s; last status: %s, gateway %d, supervisor %d of %d\n", what,
	    subject->status.state, subject->status.gateway.pid, subject->status.supervisor.pid, subject->pid);
	/* Abandoned workers end by themselves once their gateway is gone. */
	if (subject->pid > 0)
		kill(subject->pid, SIGKILL);
	if (subject->status.gateway.pid > 0)
		kill(subject->status.gateway.pid, SIGKILL);
	exit(1);
}

/* Returns whether there was an answer. */
static bool ask(struct subject *subject)
{
	const struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval timeout = {.tv_sec = 5};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool answered = false;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/" CONTROL_SOCKET_NAME, subject->runtime_dir);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    send(fd, &request, sizeof(request), MSG_NOSIGNAL) == sizeof(request))
		answered = recv(fd, &subject->status, sizeof(subject->status), 0) == sizeof(subject->status);
	close(fd);
	return answered;
}

static bool is_right(const struct subject *subject, int gateway_pid)
{
	const struct control_reply *status = &subject->status;

	return status->supervisor.pid == subject->pid && strcmp(status->state, "running") == 0 &&
	       status->gateway.ready && status->gateway.pid > 0 && status->gateway.restarts == 0 &&
	       (gateway_pid == 0 || status->gateway.pid == gateway_pid);
}

/* Starts it, and returns how long it took to the first right status. `gateway_pid`: who must still be there.
 */
static int64_t start(struct subject *subject, int gateway_pid)
{
	int64_t began_ns = now_ns();
	posix_spawnattr_t attributes;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	if (posix_spawn(&subject->pid, subject->command[0], NULL, &attributes, subject->command, environ) !=
	    0)
		fail(subject, "the command cannot be started");
	posix_spawnattr_destroy(&attributes);
	while (!ask(subject) || !is_right(subject, gateway_pid)) {
		if (now_ns() - began_ns > WAIT_NS)
			fail(subject, "no right status within 10 s");
		sched_yield();
	}
	return now_ns() - began_ns;
}

/* Whether a next supervisor can reach the worker: one of its descriptors listens. */
static bool listens(pid_t pid)
{
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool found = false;

	for (int number = 0; !found && number < DESCRIPTORS_MAX; number++) {
		int fd = (int)syscall(SYS_pidfd_getfd, pid_fd, number, 0);
		int domain = 0, accepts = 0;
		socklen_t size = sizeof(int);

		if (fd < 0)
			continue;
		getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size);
		found = domain == AF_UNIX && accepts;
		close(fd);
	}
	close(pid_fd);
	return found;
}

/* Until all three workers are there and every event is stored. */
static void settle(struct subject *subject)
{
	int64_t until_ns = now_ns() + WAIT_NS;

	for (;;) {
		bool settled = ask(subject) && subject->status.store.waiting == 0;

		for (int i = 0; settled && i < CONTROL_WORKER_COUNT; i++)
			settled =
			    subject->status.workers[i].pid > 0 && listens(subject->status.workers[i].pid);
		if (settled)
			break;
		if (now_ns() > until_ns)
			fail(subject, "the workers were not all there within 10 s");
		pause_ns(TICK_NS);
	}
	pause_ns(SETTLE_NS);
}

/* What a killed supervisor leaves falls to us. */
static void kill_it(struct subject *subject, enum way way)
{
	const struct control_worker *workers = subject->status.workers;
	int count = way == ALL_KILLED ? CONTROL_WORKER_COUNT : 0;

	kill(subject->pid, SIGKILL);
	for (int i = 0; i < count; i++)
		kill(workers[i].pid, SIGKILL);
	waitpid(subject->pid, NULL, 0);
	for (int i = 0; i < count; i++)
		if (waitpid(workers[i].pid, NULL, 0) < 0)
			fail(subject, "a worker that was killed is not ours");
}

/* Until nothing is left of it. */
static void end(struct subject *subject)
{
	int64_t until_ns = now_ns() + WAIT_NS;
	pid_t pid = 0;

	kill(subject->pid, SIGTERM);
	for (;;) {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			break;
		if (now_ns() > until_ns)
			fail(subject, "something of it was left 10 s after its end");
		if (pid == 0)
			pause_ns(TICK_NS);
	}
	subject->pid = subject->status.gateway.pid = 0;
}

static void go_round(struct subject *subject, long turn)
{
	/* The one of which less is left to find is not always the second. */
	const enum way ways[] = {PLAIN, turn % 2 == 0 ? SUPERVISOR_KILLED : ALL_KILLED,
	    turn % 2 == 0 ? ALL_KILLED : SUPERVISOR_KILLED};
	int64_t took_ns;
	int gateway_pid = 0;

	for (int i = 0; i < 3; i++) {
		if (ways[i] != PLAIN)
			kill_it(subject, ways[i]);
		took_ns = start(subject, gateway_pid);
		gateway_pid = subject->status.gateway.pid;
		if (turn >= 0)
			printf("%ld %d %lld\n", turn, (int)ways[i], (long long)took_ns);
		settle(subject);
	}
	end(subject);
}

int main(int count, char **arguments)
{
	struct subject subject = {0};
	long times;

	if (count < 4) {
		fputs("usage: bench_adoptions TIMES RUNTIME-DIR COMMAND...\n", stderr);
		return 2;
	}
	times = strtol(arguments[1], NULL, 10);
	setvbuf(stdout, NULL, _IOLBF, 0); /* what is started writes there too: no line is torn */
	subject.runtime_dir = arguments[2];
	subject.command = arguments + 3;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (long turn = -1; turn < times; turn++)
		go_round(&subject, turn);
	return 0;
}
