/* bench_starts ROUNDS TIMES FIFO COMMAND... , FIFO COMMAND... , ...: starts each supervisor in turn and
 * measures from right before its start to the first instruction of its child (see child.c), then ends it with
 * SIGTERM. Prints `ROUND INDEX NANOSECONDS` for each. The first start of each, which makes its directories,
 * is not counted. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SUBJECTS_MAX  8
#define CHILD_WAIT_MS 15000
#define END_WAIT_MS   10000

extern char **environ;

struct stamp {
	int64_t pid, ns;
};

struct subject {
	char **command;
	int fd;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static _Noreturn void fail(const char *what, const char *command)
{
	fprintf(stderr, "bench_starts: %s: %s\n", command, what);
	exit(1);
}

static pid_t start(char **command)
{
	posix_spawnattr_t attributes;
	pid_t pid;

	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	if (posix_spawnp(&pid, command[0], NULL, &attributes, command, environ) != 0)
		fail("cannot be started", command[0]);
	posix_spawnattr_destroy(&attributes);
	return pid;
}

static void end(pid_t pid, const char *command)
{
	struct timespec tick = {.tv_nsec = 1000000};

	kill(pid, SIGTERM);
	for (int i = 0; i < END_WAIT_MS; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return;
		nanosleep(&tick, NULL);
	}
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fail("did not end within 10 s", command);
}

static int64_t start_once(const struct subject *subject)
{
	struct pollfd ready = {.fd = subject->fd, .events = POLLIN};
	int64_t began_ns = now_ns();
	pid_t pid = start(subject->command);
	struct stamp stamp = {0};

	if (poll(&ready, 1, CHILD_WAIT_MS) == 1 && read(subject->fd, &stamp, sizeof(stamp)) < 0)
		stamp.ns = 0;
	end(pid, subject->command[0]);
	if (stamp.ns < began_ns)
		fail("its child did not run within 15 s", subject->command[0]);
	return stamp.ns - began_ns;
}

static int read_subjects(char **arguments, struct subject *subjects)
{
	int count = 0;

	while (*arguments != NULL) {
		if (count == SUBJECTS_MAX || arguments[1] == NULL)
			fail("FIFO COMMAND... is wanted", *arguments);
		subjects[count].fd = open(*arguments, O_RDWR | O_CLOEXEC);
		if (subjects[count].fd < 0)
			fail(strerror(errno), *arguments);
		subjects[count++].command = ++arguments;
		while (*arguments != NULL && strcmp(*arguments, ",") != 0)
			arguments++;
		if (*arguments != NULL)
			*arguments++ = NULL;
	}
	return count;
}

int main(int count, char **arguments)
{
	struct subject subjects[SUBJECTS_MAX];
	long rounds, times;
	int subject_count;

	if (count < 5) {
		fputs("usage: bench_starts ROUNDS TIMES FIFO COMMAND... [, FIFO COMMAND...]...\n", stderr);
		return 2;
	}
	rounds = strtol(arguments[1], NULL, 10);
	times = strtol(arguments[2], NULL, 10);
	subject_count = read_subjects(arguments + 3, subjects);
	for (int i = 0; i < subject_count; i++)
		start_once(&subjects[i]);
	for (long turn = 0; turn < rounds * times; turn++)
		for (int i = 0; i < subject_count; i++) {
			int index = (int)((turn + i) % subject_count);

			printf("%ld %d %lld\n", turn / times, index, (long long)start_once(&subjects[index]));
		}
	return 0;
}
