/* Which locks stand in the way of a process: /proc/locks against the files it has open. */
#include "process/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define LINES_MAX 256
#define FILES_MAX 512

/* `1: POSIX  ADVISORY  WRITE 1234 08:01:123 0 EOF`; who waits for lock 1: `1: -> POSIX  ADVISORY  WRITE ...`.
 */
struct lock_line {
	uint32_t number;
	bool waits, exclusive;
	char kind[16];
	int pid;
	unsigned major, minor;
	uint64_t inode;
};

struct lock_search {
	int pid;
	struct lock_line lines[LINES_MAX];
	int line_count;
	struct examine_lock *locks;
	int count;
	int files; /* looked at */
};

static bool add_line(void *context, const char *text)
{
	struct lock_search *search = context;
	struct lock_line *line = &search->lines[search->line_count];
	char mode[16];
	int at = 0;

	memset(line, 0, sizeof(*line));
	if (sscanf(text, "%u: %n", &line->number, &at) != 1 || at == 0)
		return true;
	if (strncmp(text + at, "-> ", 3) == 0) {
		line->waits = true;
		at += 3;
	}
	if (sscanf(text + at, "%15s %*s %15s %d %x:%x:%" SCNu64, line->kind, mode, &line->pid, &line->major,
	        &line->minor, &line->inode) != 6)
		return true;
	line->exclusive = strcmp(mode, "WRITE") == 0;
	return ++search->line_count < LINES_MAX;
}

static const struct lock_line *find_waiting(const struct lock_search *search, const struct lock_line *held)
{
	for (int i = 0; i < search->line_count; i++) {
		const struct lock_line *line = &search->lines[i];

		if (line->waits && line->pid == search->pid && line->number == held->number)
			return line;
	}
	return NULL;
}

static int rank(const struct examine_lock *lock)
{
	return (lock->waits ? 4 : 0) + (lock->own ? 0 : 2) + (lock->exclusive ? 1 : 0);
}

static void add_lock(struct lock_search *search, const struct examine_lock *lock)
{
	int at = search->count;

	while (at > 0 && rank(&search->locks[at - 1]) < rank(lock))
		at--;
	if (at == EXAMINE_LOCKS_MAX)
		return;
	if (search->count == EXAMINE_LOCKS_MAX)
		search->count--;
	memmove(&search->locks[at + 1], &search->locks[at], (size_t)(search->count - at) * sizeof(*lock));
	search->locks[at] = *lock;
	search->count++;
}

/* A file of the process, against every lock that is held. Some file systems (btrfs, overlay) show another
 * device here than there: then the number of the file must do, and only for a lock that others wait for or
 * that is exclusive. */
static void compare_file(struct lock_search *search, const struct statx *status, const char *name)
{
	for (int i = 0; i < search->line_count; i++) {
		const struct lock_line *line = &search->lines[i];
		struct examine_lock lock = {.inode = line->inode, .holder = line->pid};
		bool same_device =
		    line->major == status->stx_dev_major && line->minor == status->stx_dev_minor;

		if (line->waits || line->inode != status->stx_ino)
			continue;
		lock.waits = find_waiting(search, line) != NULL;
		lock.exclusive = line->exclusive;
		lock.own = line->pid == search->pid;
		if (!same_device && !lock.waits && !lock.exclusive)
			continue;
		text_copy(lock.kind, sizeof(lock.kind), line->kind);
		text_copy(lock.file, sizeof(lock.file), name);
		for (int j = 0; j < search->count; j++)
			if (search->locks[j].inode == lock.inode && search->locks[j].holder == lock.holder &&
			    rank(&search->locks[j]) >= rank(&lock))
				return;
		if (lock.holder > 0)
			examine_command(lock.holder, lock.command, sizeof(lock.command));
		add_lock(search, &lock);
	}
}

static bool look_at_file(void *context, int directory_fd, const char *name)
{
	struct lock_search *search = context;
	char target[EXAMINE_NAME_MAX];
	struct statx status;
	ssize_t length = readlinkat(directory_fd, name, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	/* As the kernel remembers it: to ask its file system might hang as the process does. */
	if (target[0] == '/' &&
	    statx(directory_fd, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status) == 0 &&
	    S_ISREG(status.stx_mode)) {
		compare_file(search, &status, target);
		search->files++;
	}
	return search->files < FILES_MAX;
}

int examine_locks(int pid, struct examine_lock *locks)
{
	struct lock_search search = {.pid = pid, .locks = locks};
	char path[32];
	int result = file_each_line(AT_FDCWD, "/proc/locks", add_line, &search);

	if (result < 0)
		return result;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	result = file_each_entry(path, look_at_file, &search);
	return result < 0 ? result : search.count;
}
