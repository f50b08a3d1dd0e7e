/* bench_kills ROUNDS KILLS SETTLE_MS FIFO:LIFE_MS...: kills the children behind the FIFOs (see child.c) in
 * turn, each when it has lived at least LIFE_MS, and measures from right before kill() to the first
 * instruction of the child that takes its place. Prints `ROUND FIFO_INDEX NANOSECONDS` for each. A child
 * whose LIFE_MS has not passed when its turn comes is left out of that turn: so each turn holds one kill of
 * every supervisor that can be measured so often. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SUBJECTS_MAX  16
#define CHILD_WAIT_MS 15000

struct stamp {
	int64_t pid, ns;
};

struct subject {
	const char *path;
	int fd;
	int64_t life_ns;
	struct stamp now;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "bench_kills: %s: %s\n", path, what);
	exit(1);
}

static struct stamp next_child(const struct subject *subject)
{
	struct pollfd ready = {.fd = subject->fd, .events = POLLIN};
	struct stamp stamp;

	if (poll(&ready, 1, CHILD_WAIT_MS) != 1)
		fail("no child came within 15 s", subject->path);
	if (read(subject->fd, &stamp, sizeof(stamp)) != (ssize_t)sizeof(stamp))
		fail("a stamp was cut short", subject->path);
	return stamp;
}

static void open_subject(struct subject *subject, char *argument)
{
	char *colon = strrchr(argument, ':');

	if (colon == NULL)
		fail("FIFO:LIFE_MS is wanted", argument);
	*colon = '\0';
	subject->path = argument;
	subject->life_ns = strtoll(colon + 1, NULL, 10) * 1000000;
	/* Read-write: a child never waits in open() for us. */
	subject->fd = open(argument, O_RDWR | O_CLOEXEC);
	if (subject->fd < 0)
		fail(strerror(errno), argument);
	subject->now = next_child(subject);
}

static int64_t kill_once(struct subject *subject)
{
	int64_t began_ns = now_ns();
	struct stamp next;

	if (kill((pid_t)subject->now.pid, SIGKILL) < 0)
		fail("the child is gone already", subject->path);
	next = next_child(subject);
	if (next.pid == subject->now.pid || next.ns < began_ns)
		fail("the child did not die", subject->path);
	subject->now = next;
	return next.ns - began_ns;
}

int main(int count, char **arguments)
{
	static struct subject subjects[SUBJECTS_MAX];
	long rounds, kills, settle_ms;
	int subject_count = count - 4;

	if (subject_count < 1 || subject_count > SUBJECTS_MAX) {
		fputs("usage: bench_kills ROUNDS KILLS SETTLE_MS FIFO:LIFE_MS...\n", stderr);
		return 2;
	}
	rounds = strtol(arguments[1], NULL, 10);
	kills = strtol(arguments[2], NULL, 10);
	settle_ms = strtol(arguments[3], NULL, 10);
	for (int i = 0; i < subject_count; i++)
		open_subject(&subjects[i], arguments[4 + i]);
	for (long turn = 0; turn < rounds * kills; turn++) {
		for (int i = 0; i < subject_count; i++) {
			/* Another one first each time: whoever comes after a slow one is not always the same.
			 */
			int index = (int)((turn + i) % subject_count);
			struct timespec settle = {.tv_nsec = settle_ms * 1000000};

			if (now_ns() - subjects[index].now.ns < subjects[index].life_ns)
				continue;
			nanosleep(&settle, NULL);
			printf("%ld %d %lld\n", turn / kills, index, (long long)kill_once(&subjects[index]));
		}
	}
	return 0;
}
