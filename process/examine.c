#include "process/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mask.h"
#include "base/text.h"
#include "process/procfs.h"
#include "world/world.h"

#define STATUS_BYTES 4096
#define STAT_BYTES   1024
/* More than is shown: a secret is known by what stands around it. */
#define COMMAND_BYTES 4096

/* The value of a line of /proc/PID/status, or NULL. */
static const char *status_value(const char *status, const char *name)
{
	const char *line = status;
	size_t length = strlen(name);

	while (line != NULL && *line != '\0') {
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			return line + length + 1;
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return NULL;
}

static uint64_t status_number(const char *status, const char *name, const char *format)
{
	const char *value = status_value(status, name);
	uint64_t number = 0;

	if (value == NULL || sscanf(value, format, &number) != 1)
		return 0;
	return number;
}

static int64_t age_ms(uint64_t start_ticks)
{
	int64_t began_ms = (int64_t)(start_ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
	int64_t now_ms = clock_boot_ms();

	return now_ms > began_ms ? now_ms - began_ms : 0;
}

static void read_word(const char *path, char *target, size_t size)
{
	char text[EXAMINE_WCHAN_MAX * 2];

	target[0] = '\0';
	if (file_read(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return;
	text[strcspn(text, " \n")] = '\0';
	/* The kernel writes 0 for "in none" as well as for "not for you". */
	if (strcmp(text, "0") != 0)
		text_copy(target, size, text);
}

void examine_command(int pid, char *target, size_t size)
{
	char path[32], words[COMMAND_BYTES];
	int fd CLOSE_ON_RETURN = -1;
	struct procfs_stat stat;
	ssize_t length = 0;
	size_t used;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = world_open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		length = file_read_start(fd, words, sizeof(words));
	used = mask_secrets(words, length > 0 ? (size_t)length : 0, target, size);
	while (used > 0 && target[used - 1] == '\0')
		used--;
	for (size_t i = 0; i < used; i++)
		if (target[i] == '\0')
			target[i] = ' ';
	if (used == 0 && procfs_stat(pid, &stat) == 0)
		snprintf(target, size, "[%s]", stat.name);
}

int examine_process(int pid, struct examine_process *process)
{
	char path[32], status[STATUS_BYTES];
	struct procfs_stat stat;
	ssize_t length;

	memset(process, 0, sizeof(*process));
	process->pid = pid;
	if (procfs_stat(pid, &stat) < 0)
		return -ESRCH;
	process->visible = true;
	process->state = stat.state;
	process->threads = stat.threads;
	process->age_ms = age_ms(stat.start_time);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (file_read(AT_FDCWD, path, status, sizeof(status)) > 0) {
		process->tracer = (int)status_number(status, "TracerPid", "%" SCNu64);
		process->rss_bytes = status_number(status, "VmRSS", "%" SCNu64) * 1024;
		process->swap_bytes = status_number(status, "VmSwap", "%" SCNu64) * 1024;
		process->caught = status_number(status, "SigCgt", "%" SCNx64);
	}
	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	read_word(path, process->wchan, sizeof(process->wchan));
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	length = readlink(path, process->executable, sizeof(process->executable) - 1);
	process->executable[length < 0 ? 0 : length] = '\0';
	examine_command(pid, process->command, sizeof(process->command));
	return 0;
}

bool examine_catches(const struct examine_process *process, int number)
{
	return (process->caught >> (number - 1) & 1) != 0;
}

/* Nanoseconds on a processor: the scheduler's own count where the kernel has it, else ticks. */
static uint64_t thread_cpu_ns(int pid, int tid, const char *stat_rest)
{
	char path[64], text[128];
	uint64_t ns, user, system;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	if (file_read(AT_FDCWD, path, text, sizeof(text)) > 0 && sscanf(text, "%" SCNu64, &ns) == 1)
		return ns;
	if (sscanf(stat_rest, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user,
	        &system) != 2)
		return 0;
	return (user + system) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

struct thread_list {
	int pid, count;
	struct examine_thread *threads;
};

static bool add_thread(void *context, int directory_fd, const char *name)
{
	struct thread_list *list = context;
	struct examine_thread *thread;
	char path[64], line[STAT_BYTES], *open_bracket, *close_bracket;
	uint64_t tid;

	if (text_to_u64(name, INT32_MAX, &tid) < 0)
		return true;
	snprintf(path, sizeof(path), "%s/stat", name);
	if (file_read(directory_fd, path, line, sizeof(line)) < 0)
		return true;
	open_bracket = strchr(line, '(');
	close_bracket = strrchr(line, ')');
	if (open_bracket == NULL || close_bracket == NULL || close_bracket < open_bracket)
		return true;
	*close_bracket = '\0';
	/* The main thread is listed first by the kernel: it has the lowest place in its group. */
	thread = &list->threads[list->count++];
	memset(thread, 0, sizeof(*thread));
	thread->tid = (int)tid;
	text_copy(thread->name, sizeof(thread->name), open_bracket + 1);
	thread->state = close_bracket[1] == ' ' ? close_bracket[2] : '?';
	thread->cpu_ns = thread_cpu_ns(list->pid, (int)tid, close_bracket + 1);
	return list->count < EXAMINE_THREADS_MAX;
}

int examine_threads(int pid, struct examine_thread *threads)
{
	struct thread_list list = {.pid = pid, .threads = threads};
	char path[32];
	int result;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	result = file_each_entry(path, add_thread, &list);
	return result < 0 ? result : list.count;
}

void examine_threads_between(
    const struct examine_thread *before, int before_count, struct examine_thread *now, int now_count)
{
	for (int i = 0; i < now_count; i++) {
		/* One that was not there before began since. */
		now[i].window_ns = now[i].cpu_ns;
		for (int j = 0; j < before_count; j++)
			if (before[j].tid == now[i].tid)
				now[i].window_ns = now[i].cpu_ns - before[j].cpu_ns;
	}
}

/* A machine may run very many processes. */
#define CHILDREN_MS 200

struct family {
	int pid, count;
	int64_t until_ms;
	struct examine_child *children;
};

static uint64_t process_cpu_ms(int pid)
{
	char path[32], line[STAT_BYTES];
	const char *after;
	uint64_t user, system;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, line, sizeof(line)) < 0)
		return 0;
	after = strrchr(line, ')');
	if (after == NULL ||
	    sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user,
	        &system) != 2)
		return 0;
	return (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static bool add_descendant(void *context, int pid)
{
	struct family *family = context;
	struct examine_child child = {.pid = pid};
	struct procfs_stat stat;
	int at;

	if (clock_boot_ms() > family->until_ms)
		return false;
	if (pid == family->pid || procfs_stat(pid, &stat) < 0 || procfs_has_ended(&stat) ||
	    !procfs_is_descendant(stat.parent, family->pid))
		return true;
	child.parent = stat.parent;
	child.state = stat.state;
	child.age_ms = age_ms(stat.start_time);
	at = family->count;
	/* Of two of the same age the higher number is the younger one. */
	while (at > 0 && family->children[at - 1].age_ms >= child.age_ms)
		at--;
	if (at == EXAMINE_CHILDREN_MAX)
		return true;
	child.cpu_ms = process_cpu_ms(pid);
	examine_command(pid, child.command, sizeof(child.command));
	if (family->count == EXAMINE_CHILDREN_MAX)
		family->count--;
	memmove(
	    &family->children[at + 1], &family->children[at], (size_t)(family->count - at) * sizeof(child));
	family->children[at] = child;
	family->count++;
	return true;
}

int examine_children(int pid, struct examine_child *children)
{
	struct family family = {.pid = pid, .children = children, .until_ms = clock_boot_ms() + CHILDREN_MS};

	procfs_each(add_descendant, &family);
	return family.count;
}
