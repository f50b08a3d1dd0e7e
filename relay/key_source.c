#include "relay/key_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/clone.h"
#include "world/world.h"

#define WORDS_MAX   32
#define COMMAND_MAX 1024

static ssize_t refuse(int error, char *why, size_t why_size, const char *what, const char *fault)
{
	snprintf(why, why_size, "%.100s %s", what, fault);
	return error;
}

/* Whoever else may read or write it could have the key, or give us another one. */
static const char *fault_of(const struct stat *status)
{
	if (!S_ISREG(status->st_mode))
		return "is no file";
	if (status->st_uid != geteuid() && status->st_uid != 0)
		return "belongs to another user";
	if ((status->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "may be read or written by others: make its mode 0600";
	return NULL;
}

ssize_t key_from_file(const char *path, char *target, size_t size, char *why, size_t why_size)
{
	int fd CLOSE_ON_RETURN = world_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	const char *fault;
	ssize_t got;

	if (fd < 0 || fstat(fd, &status) < 0)
		return refuse(-errno, why, why_size, path, strerror(errno));
	fault = fault_of(&status);
	if (fault != NULL)
		return refuse(-EPERM, why, why_size, path, fault);
	got = file_read_up_to(fd, target, size);
	return got < 0 ? refuse((int)got, why, why_size, path, strerror((int)-got)) : got;
}

ssize_t key_from_variable(const char *name, char *target, size_t size, char *why, size_t why_size)
{
	const char *value = getenv(name);
	size_t length;

	if (value == NULL)
		return refuse(-ENOENT, why, why_size, name, "is not set in Holdfast's environment");
	length = strlen(value);
	if (length > size)
		length = size;
	memcpy(target, value, length);
	return (ssize_t)length;
}

/* Returns how many words; 0 when there are none or too many. */
static int split(char *command, char *words[WORDS_MAX + 1])
{
	int count = 0;
	char *rest = command, *word;

	while ((word = strsep(&rest, " ")) != NULL) {
		if (*word == '\0')
			continue;
		if (count == WORDS_MAX)
			return 0;
		words[count++] = word;
	}
	words[count] = NULL;
	return count;
}

static void run(char *const *words, int output)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	char home[COMMAND_MAX], *environment[] = {path, NULL, NULL};
	int null = world_open("/dev/null", O_RDWR);

	if (getenv("HOME") != NULL) {
		snprintf(home, sizeof(home), "HOME=%s", getenv("HOME"));
		environment[1] = home;
	}
	world_setsid();
	if (null < 0 || world_dup2(null, 0) < 0 || world_dup2(output, 1) < 0 || world_dup2(null, 2) < 0)
		_exit(127);
	world_close_range(3, ~0u, 0);
	world_execve(words[0], words, environment);
	_exit(127);
}

/* Reads to its end, or to the deadline. Returns how many bytes, or -ETIMEDOUT. */
static ssize_t read_all(int fd, int64_t until_ms, char *target, size_t size)
{
	size_t length = 0;

	for (;;) {
		struct pollfd waits = {.fd = fd, .events = POLLIN};
		int64_t left_ms = until_ms - clock_boot_ms();
		char rest[256];
		ssize_t got;

		if (left_ms <= 0)
			return -ETIMEDOUT;
		if (poll(&waits, 1, (int)left_ms) <= 0)
			continue;
		got = length < size ? world_read(fd, target + length, size - length)
		                    : world_read(fd, rest, sizeof(rest));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return (ssize_t)length;
		if (length < size)
			length += (size_t)got;
	}
}

/* Waits for its end, to the deadline. Returns its status as of waitid, or -ETIMEDOUT. */
static int wait_for(int pid_fd, int64_t until_ms)
{
	struct pollfd waits = {.fd = pid_fd, .events = POLLIN};
	siginfo_t info = {0};
	int64_t left_ms = until_ms - clock_boot_ms();

	if (poll(&waits, 1, left_ms > 0 ? (int)left_ms : 0) <= 0)
		return -ETIMEDOUT;
	if (world_waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED) < 0)
		return -errno;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

ssize_t key_from_command(
    const char *command, int at_most_ms, char *target, size_t size, char *why, size_t why_size)
{
	int64_t until_ms = clock_boot_ms() + at_most_ms;
	char copy[COMMAND_MAX], *words[WORDS_MAX + 1], fault[64];
	int pair[2], pid, status, pid_fd CLOSE_ON_RETURN = -1;
	ssize_t got;

	if (!text_copy(copy, sizeof(copy), command) || split(copy, words) == 0)
		return refuse(-E2BIG, why, why_size, "The command", "has too many words");
	if (world_socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return refuse(-errno, why, why_size, words[0], strerror(errno));
	pid = clone_copy(&pid_fd);
	if (pid == 0)
		run(words, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return refuse(pid, why, why_size, words[0], strerror(-pid));
	}
	got = read_all(pair[0], until_ms, target, size);
	close(pair[0]);
	status = got < 0 ? (int)got : wait_for(pid_fd, until_ms);
	if (status < 0) {
		/* Whatever it started is of its session: one process is all that we can be sure of. */
		world_pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
		wait_for(pid_fd, clock_boot_ms() + at_most_ms);
		return refuse(-ETIMEDOUT, why, why_size, words[0], "did not end in time");
	}
	if (status != 0) {
		snprintf(fault, sizeof(fault), "failed with exit code %d", status);
		return refuse(-EIO, why, why_size, words[0], fault);
	}
	return got;
}
