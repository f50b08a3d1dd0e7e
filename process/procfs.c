#include "process/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "world/world.h"

#define STAT_BYTES         1024
#define PARENTS_FOLLOWED   64
#define ENVIRONMENT_CHUNK  4096
#define VARIABLE_BYTES_MAX 256

int procfs_stat(int pid, struct procfs_stat *stat)
{
	char path[32], line[STAT_BYTES], *open_bracket, *close_bracket;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	length = file_read(AT_FDCWD, path, line, sizeof(line));
	if (length < 0)
		return length == -ENOENT ? -ESRCH : (int)length;
	/* The name may itself hold brackets and spaces: the last bracket ends it. */
	open_bracket = strchr(line, '(');
	close_bracket = strrchr(line, ')');
	if (open_bracket == NULL || close_bracket == NULL || close_bracket < open_bracket)
		return -EPROTO;
	*close_bracket = '\0';
	stat->pid = pid;
	text_copy(stat->name, sizeof(stat->name), open_bracket + 1);
	for (char *at = stat->name; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	if (sscanf(close_bracket + 2,
	        "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u %*d %" SCNu64,
	        &stat->state, &stat->parent, &stat->threads, &stat->start_time) != 4)
		return -EPROTO;
	return 0;
}

bool procfs_has_ended(const struct procfs_stat *stat)
{
	return stat->state == 'X' || (stat->state == 'Z' && stat->threads <= 1);
}

int procfs_start_time(int pid, uint64_t *start_time)
{
	struct procfs_stat stat;
	int result = procfs_stat(pid, &stat);

	if (result == 0)
		*start_time = stat.start_time;
	return result;
}

int procfs_parent(int pid)
{
	struct procfs_stat stat;
	int result = procfs_stat(pid, &stat);

	return result < 0 ? result : stat.parent;
}

bool procfs_is_alive(int pid, uint64_t start_time)
{
	struct procfs_stat stat;

	return pid > 0 && procfs_stat(pid, &stat) == 0 && stat.start_time == start_time &&
	       !procfs_has_ended(&stat);
}

bool procfs_is_descendant(int pid, int ancestor)
{
	for (int i = 0; i < PARENTS_FOLLOWED && pid > 1; i++) {
		if (pid == ancestor)
			return true;
		pid = procfs_parent(pid);
	}
	return pid == ancestor && pid > 0;
}

struct pid_visit {
	bool (*visit)(void *context, int pid);
	void *context;
};

static bool visit_pid(void *context, int directory_fd, const char *name)
{
	const struct pid_visit *visitor = context;
	uint64_t pid;

	(void)directory_fd;
	return text_to_u64(name, INT32_MAX, &pid) < 0 || visitor->visit(visitor->context, (int)pid);
}

int procfs_each(bool (*visit)(void *context, int pid), void *context)
{
	struct pid_visit visitor = {visit, context};

	return file_each_entry("/proc", visit_pid, &visitor);
}

struct port_search {
	uint32_t port;
	struct procfs_listener *found;
	bool is_found, is_local; /* local: where a connection to 127.0.0.1 or ::1 would end */
};

/* The kernel's hexadecimal, each 32 bits in the machine's order: 0100007F is 127.0.0.1. */
static bool is_local_address(const char *address)
{
	size_t length = strlen(address);

	return strspn(address, "0") == length || (length == 8 && strcmp(address + 6, "7F") == 0) ||
	       strcmp(address, "00000000000000000000000001000000") == 0;
}

/* One line of /proc/net/tcp: `0: 0100007F:4965 00000000:0000 0A ... uid timeout inode`; state 0A is LISTEN.
 * Another program may listen on the same port of another address: the local one is asked for first. */
static bool look_for_port(void *context, const char *line)
{
	struct port_search *search = context;
	unsigned local_port, state, queue, uid;
	char address[33];
	uint64_t inode;
	bool is_local;

	if (sscanf(line, " %*u: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%x %*s %*s %u %*u %" SCNu64,
	        address, &local_port, &state, &queue, &uid, &inode) != 6 ||
	    local_port != search->port || state != 0x0A)
		return true;
	is_local = is_local_address(address);
	if (search->is_found && !is_local)
		return true;
	search->found->uid = uid;
	search->found->inode = inode;
	search->found->queue = queue;
	search->is_found = true;
	search->is_local = is_local;
	return !is_local;
}

struct inode_search {
	char wanted[48];
	bool has;
	struct procfs_listener *found;
};

static bool look_at_descriptor(void *context, int directory_fd, const char *name)
{
	struct inode_search *search = context;
	char target[64];
	ssize_t length = readlinkat(directory_fd, name, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	search->has = strcmp(target, search->wanted) == 0;
	return !search->has;
}

static bool look_for_inode(void *context, int pid)
{
	struct inode_search *search = context;
	struct procfs_stat stat;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	file_each_entry(path, look_at_descriptor, search);
	if (!search->has)
		return true;
	search->found->pid = pid;
	if (procfs_stat(pid, &stat) == 0)
		text_copy(search->found->name, sizeof(search->found->name), stat.name);
	return false;
}

int procfs_listening_socket(uint32_t port, struct procfs_listener *found)
{
	struct port_search ports = {.port = port, .found = found};
	int result;

	memset(found, 0, sizeof(*found));
	result = file_each_line(AT_FDCWD, "/proc/net/tcp", look_for_port, &ports);
	if (result == 0 && !ports.is_local)
		file_each_line(AT_FDCWD, "/proc/net/tcp6", look_for_port, &ports);
	return ports.is_found ? 1 : result;
}

int procfs_listener(uint32_t port, struct procfs_listener *found)
{
	struct inode_search inodes = {.found = found};
	int result = procfs_listening_socket(port, found);

	if (result <= 0)
		return result;
	snprintf(inodes.wanted, sizeof(inodes.wanted), "socket:[%" PRIu64 "]", found->inode);
	procfs_each(look_for_inode, &inodes);
	return 1;
}

/* Reads through the environment in chunks: it can be long, and only one variable is of interest. */
int procfs_variable(int pid, const char *variable, char *value, size_t size)
{
	char path[32], chunk[ENVIRONMENT_CHUNK];
	char start[VARIABLE_BYTES_MAX];
	size_t start_length = 0, name_length = strlen(variable);
	int fd CLOSE_ON_RETURN = -1;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	fd = world_open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((length = world_read(fd, chunk, sizeof(chunk))) > 0) {
		for (ssize_t i = 0; i < length; i++) {
			if (chunk[i] != '\0') {
				if (start_length < sizeof(start) - 1)
					start[start_length++] = chunk[i];
				continue;
			}
			start[start_length] = '\0';
			if (start_length > name_length && start[name_length] == '=' &&
			    memcmp(start, variable, name_length) == 0) {
				text_copy(value, size, start + name_length + 1);
				return 1;
			}
			start_length = 0;
		}
	}
	return length < 0 ? -errno : 0;
}

struct lock_search {
	int pid;
	bool holds;
};

/* `1: POSIX  ADVISORY  WRITE 1234 08:01:123 0 EOF`; a waiter's line has "->" and does not match. */
static bool look_for_lock(void *context, const char *line)
{
	struct lock_search *search = context;
	int holder;

	search->holds = sscanf(line, "%*u: %*s %*s %*s %d", &holder) == 1 && holder == search->pid;
	return !search->holds;
}

bool procfs_holds_lock(int pid)
{
	struct lock_search search = {.pid = pid};

	file_each_line(AT_FDCWD, "/proc/locks", look_for_lock, &search);
	return search.holds;
}

int procfs_boot_id(char *target, size_t size)
{
	ssize_t length = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", target, size);

	if (length < 0)
		return (int)length;
	target[strcspn(target, "\n")] = '\0';
	return 0;
}
