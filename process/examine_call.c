/* What a process is doing in the kernel, and with which of its descriptors. */
#include "process/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/procfs.h"

/* Looking for the other end of a pipe goes through everybody's descriptors: it ends after so long. */
#define OTHER_END_MS 150

struct known_call {
	long number;
	const char *name;
	enum examine_wait wait;
	int fd, path; /* which argument is a descriptor, a path; -1: none */
};

#define CALL(name, wait, fd, path)                                                                           \
	{                                                                                                    \
		SYS_##name, #name, wait, fd, path                                                            \
	}

static const struct known_call known_calls[] = {
    CALL(read, WAIT_OBJECT, 0, -1),
    CALL(write, WAIT_OBJECT, 0, -1),
    CALL(readv, WAIT_OBJECT, 0, -1),
    CALL(writev, WAIT_OBJECT, 0, -1),
    CALL(pread64, WAIT_OBJECT, 0, -1),
    CALL(pwrite64, WAIT_OBJECT, 0, -1),
    CALL(preadv, WAIT_OBJECT, 0, -1),
    CALL(pwritev, WAIT_OBJECT, 0, -1),
    CALL(recvfrom, WAIT_OBJECT, 0, -1),
    CALL(recvmsg, WAIT_OBJECT, 0, -1),
    CALL(sendto, WAIT_OBJECT, 0, -1),
    CALL(sendmsg, WAIT_OBJECT, 0, -1),
    CALL(connect, WAIT_OBJECT, 0, -1),
    CALL(accept, WAIT_OBJECT, 0, -1),
    CALL(accept4, WAIT_OBJECT, 0, -1),
    CALL(ioctl, WAIT_OBJECT, 0, -1),
    CALL(fsync, WAIT_OBJECT, 0, -1),
    CALL(fdatasync, WAIT_OBJECT, 0, -1),
    CALL(ftruncate, WAIT_OBJECT, 0, -1),
    CALL(fallocate, WAIT_OBJECT, 0, -1),
    CALL(getdents64, WAIT_OBJECT, 0, -1),
    CALL(fstat, WAIT_OBJECT, 0, -1),
    CALL(close, WAIT_OBJECT, 0, -1),
    CALL(sendfile, WAIT_OBJECT, 1, -1),
    CALL(copy_file_range, WAIT_OBJECT, 0, -1),
    CALL(openat, WAIT_OPEN, -1, 1),
    CALL(statx, WAIT_OPEN, -1, 1),
    CALL(newfstatat, WAIT_OPEN, -1, 1),
    CALL(unlinkat, WAIT_OPEN, -1, 1),
    CALL(mkdirat, WAIT_OPEN, -1, 1),
    CALL(faccessat, WAIT_OPEN, -1, 1),
    CALL(readlinkat, WAIT_OPEN, -1, 1),
#ifdef __NR_open /* not on the newer architectures */
    CALL(open, WAIT_OPEN, -1, 0),
    CALL(stat, WAIT_OPEN, -1, 0),
    CALL(lstat, WAIT_OPEN, -1, 0),
    CALL(access, WAIT_OPEN, -1, 0),
    CALL(readlink, WAIT_OPEN, -1, 0),
    CALL(unlink, WAIT_OPEN, -1, 0),
    CALL(rename, WAIT_OPEN, -1, 0),
    CALL(mkdir, WAIT_OPEN, -1, 0),
    CALL(poll, WAIT_POLL, -1, -1),
    CALL(select, WAIT_POLL, -1, -1),
    CALL(epoll_wait, WAIT_EVENTS, 0, -1),
    CALL(vfork, WAIT_CHILD, -1, -1),
#endif
    CALL(ppoll, WAIT_POLL, -1, -1),
    CALL(pselect6, WAIT_POLL, -1, -1),
    CALL(epoll_pwait, WAIT_EVENTS, 0, -1),
    CALL(epoll_pwait2, WAIT_EVENTS, 0, -1),
    CALL(wait4, WAIT_CHILD, -1, -1),
    CALL(waitid, WAIT_CHILD, -1, -1),
    CALL(clone, WAIT_CHILD, -1, -1), /* until the child has executed something: vfork */
    CALL(clone3, WAIT_CHILD, -1, -1),
    CALL(nanosleep, WAIT_SLEEP, -1, -1),
    CALL(clock_nanosleep, WAIT_SLEEP, -1, -1),
    CALL(fcntl, WAIT_LOCK, 0, -1),
    CALL(flock, WAIT_LOCK, 0, -1),
    CALL(futex, WAIT_THREAD, -1, -1),
    CALL(restart_syscall, WAIT_OTHER, -1, -1),
};

/* Where the call may not be seen, the kernel function mostly says the same. By parts of its name: the names
 * differ between kernels. */
static const struct {
	const char *part;
	enum examine_wait wait;
} known_functions[] = {
    {"ep_poll", WAIT_EVENTS},
    {"epoll", WAIT_EVENTS},
    {"wait_for_partner", WAIT_OPEN},
    {"pipe", WAIT_OBJECT},
    {"nanosleep", WAIT_SLEEP},
    {"do_wait", WAIT_CHILD},
    {"futex", WAIT_THREAD},
    {"posix_lock", WAIT_LOCK},
    {"setlk", WAIT_LOCK},
    {"flock", WAIT_LOCK},
    {"do_poll", WAIT_POLL},
    {"poll_schedule", WAIT_POLL},
    {"do_select", WAIT_POLL},
    {"unix_stream", WAIT_OBJECT},
    {"skb", WAIT_OBJECT},
    {"tcp", WAIT_OBJECT},
    {"inet", WAIT_OBJECT},
};

static const struct known_call *find_call(long number)
{
	for (size_t i = 0; i < sizeof(known_calls) / sizeof(known_calls[0]); i++)
		if (known_calls[i].number == number)
			return &known_calls[i];
	return NULL;
}

/* At most `size` bytes, and never across a page: the next one may not be there. Returns how many. */
static size_t read_memory(int pid, uint64_t address, void *target, size_t size)
{
	size_t to_page_end = 4096 - address % 4096;
	struct iovec here = {target, size < to_page_end ? size : to_page_end};
	struct iovec there = {(void *)(uintptr_t)address, here.iov_len};
	ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);

	return got < 0 ? 0 : (size_t)got;
}

/* Where a relative path begins: the directory of the call, or that of the process. */
static size_t read_directory(int pid, int directory_fd, char *target, size_t size)
{
	char path[64];
	ssize_t length;

	if (directory_fd == AT_FDCWD)
		snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	else
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, directory_fd);
	length = readlink(path, target, size - 1);
	target[length < 0 ? 0 : length] = '\0';
	return length < 0 ? 0 : (size_t)length;
}

static void read_path(int pid, int directory_fd, uint64_t address, char *target, size_t size)
{
	char path[EXAMINE_NAME_MAX];
	size_t length = read_memory(pid, address, path, sizeof(path) - 1);
	struct text whole;

	/* The rest of it may stand on the next page. */
	if (length > 0 && length < sizeof(path) - 1 && memchr(path, '\0', length) == NULL)
		length += read_memory(pid, address + length, path + length, sizeof(path) - 1 - length);
	path[length] = '\0';
	text_init(&whole, target, size);
	if (path[0] != '/' && path[0] != '\0') {
		whole.length = read_directory(pid, directory_fd, target, size);
		text_add(&whole, "/");
	}
	text_add(&whole, path);
}

static int first_polled(int pid, const struct examine_call *call)
{
	struct pollfd polled;

	if (call->name == NULL || strstr(call->name, "poll") == NULL || call->arguments[1] == 0 ||
	    read_memory(pid, call->arguments[0], &polled, sizeof(polled)) < sizeof(polled))
		return -1;
	return polled.fd;
}

void examine_call(int pid, struct examine_call *call)
{
	char path[32], line[256];
	const struct known_call *known;
	uint64_t *arguments = call->arguments;

	memset(call, 0, sizeof(*call));
	call->fd = -1;
	call->number = -1;
	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	if (file_read(AT_FDCWD, path, line, sizeof(line)) <= 0)
		return;
	call->visible = true;
	if (sscanf(line, "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64,
	        &call->number, &arguments[0], &arguments[1], &arguments[2], &arguments[3], &arguments[4],
	        &arguments[5]) != 7 ||
	    call->number < 0) {
		/* "running", or -1: stopped outside of any call. */
		call->running = true;
		call->number = -1;
		return;
	}
	known = find_call(call->number);
	if (known == NULL)
		return;
	call->name = known->name;
	if (known->fd >= 0)
		call->fd = (int)arguments[known->fd];
	if (known->path >= 0)
		read_path(pid, known->path == 1 ? (int)arguments[0] : AT_FDCWD, arguments[known->path],
		    call->path, sizeof(call->path));
	if (known->wait == WAIT_POLL)
		call->fd = first_polled(pid, call);
}

enum examine_wait examine_wait(const struct examine_call *call, const char *wchan)
{
	const struct known_call *known = call->visible ? find_call(call->number) : NULL;

	if (call->visible)
		return known != NULL ? known->wait : WAIT_OTHER;
	for (size_t i = 0; i < sizeof(known_functions) / sizeof(known_functions[0]); i++)
		if (strstr(wchan, known_functions[i].part) != NULL)
			return known_functions[i].wait;
	return WAIT_OTHER;
}

const char *examine_object_name(enum examine_object_kind kind)
{
	static const char *const names[] = {[OBJECT_NONE] = "nothing that is visible",
	    [OBJECT_FILE] = "file",
	    [OBJECT_FIFO] = "FIFO",
	    [OBJECT_PIPE] = "pipe",
	    [OBJECT_SOCKET] = "socket",
	    [OBJECT_DEVICE] = "device",
	    [OBJECT_EPOLL] = "epoll",
	    [OBJECT_OTHER] = "descriptor"};

	return names[kind];
}

struct end_search {
	const struct examine_object *object;
	int self, found;
	int pid; /* whose descriptors are being looked at */
	int64_t until_ms;
};

/* By its name, which costs nothing: a file of somebody else may be on a file system that hangs. */
static bool is_end(void *context, int directory_fd, const char *name)
{
	struct end_search *search = context;
	char target[EXAMINE_NAME_MAX];
	ssize_t length = readlinkat(directory_fd, name, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	if (strcmp(target, search->object->name) != 0)
		return true;
	search->found = search->pid;
	return false;
}

static bool look_for_end(void *context, int pid)
{
	struct end_search *search = context;
	char path[32];

	if (pid != search->self) {
		search->pid = pid;
		snprintf(path, sizeof(path), "/proc/%d/fd", pid);
		file_each_entry(path, is_end, search);
	}
	return search->found == 0 && clock_boot_ms() < search->until_ms;
}

static void find_other_end(int pid, struct examine_object *object)
{
	struct end_search search = {
	    .object = object, .self = pid, .until_ms = clock_boot_ms() + OTHER_END_MS};

	procfs_each(look_for_end, &search);
	object->other_pid = search.found;
	if (search.found > 0)
		examine_command(search.found, object->other, sizeof(object->other));
}

static enum examine_object_kind kind_of(const char *path, const char *name, uint64_t *inode)
{
	struct statx status;

	if (sscanf(name, "socket:[%" SCNu64 "]", inode) == 1)
		return OBJECT_SOCKET;
	if (sscanf(name, "pipe:[%" SCNu64 "]", inode) == 1)
		return OBJECT_PIPE;
	if (strcmp(name, "anon_inode:[eventpoll]") == 0)
		return OBJECT_EPOLL;
	if (name[0] != '/')
		return OBJECT_OTHER;
	/* As the kernel remembers it: to ask its file system might hang as the process does. */
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status) < 0)
		return OBJECT_FILE;
	*inode = status.stx_ino;
	if (S_ISFIFO(status.stx_mode))
		return OBJECT_FIFO;
	return S_ISCHR(status.stx_mode) || S_ISBLK(status.stx_mode) ? OBJECT_DEVICE : OBJECT_FILE;
}

void examine_descriptor(int pid, int fd, struct examine_object *object)
{
	char path[64];
	ssize_t length;

	memset(object, 0, sizeof(*object));
	object->fd = fd;
	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	length = readlink(path, object->name, sizeof(object->name) - 1);
	object->name[length < 0 ? 0 : length] = '\0';
	if (length <= 0)
		return;
	object->kind = kind_of(path, object->name, &object->inode);
	if (object->kind == OBJECT_FIFO || object->kind == OBJECT_PIPE)
		find_other_end(pid, object);
	if (object->kind == OBJECT_SOCKET)
		examine_peer(pid, object->inode, object->name, sizeof(object->name));
}

struct fifo_search {
	int pid, fd, count;
};

static bool look_for_fifo(void *context, int directory_fd, const char *name)
{
	struct fifo_search *search = context;
	char target[EXAMINE_NAME_MAX], path[64];
	ssize_t length = readlinkat(directory_fd, name, target, sizeof(target) - 1);
	uint64_t fd, inode = 0;

	target[length < 0 ? 0 : length] = '\0';
	if (target[0] != '/' || text_to_u64(name, INT32_MAX, &fd) < 0 || fd <= STDERR_FILENO)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/fd/%s", search->pid, name);
	if (kind_of(path, target, &inode) == OBJECT_FIFO) {
		search->fd = (int)fd;
		search->count++;
	}
	return true;
}

int examine_find_fifo(int pid)
{
	struct fifo_search search = {.pid = pid};
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	file_each_entry(path, look_for_fifo, &search);
	return search.count == 1 ? search.fd : -1;
}

struct target_search {
	uint64_t listener_inode;
	int count;
	bool serves;
};

/* `tfd:       20 events:       19 data:               14  pos:0 ino:40e sdev:10`, numbers after data
 * hexadecimal. */
static bool is_target(void *context, const char *line)
{
	struct target_search *search = context;
	const char *at = strncmp(line, "tfd:", 4) == 0 ? strstr(line, " ino:") : NULL;
	uint64_t inode;

	if (at == NULL || sscanf(at, " ino:%" SCNx64, &inode) != 1)
		return true;
	search->count++;
	search->serves = inode == search->listener_inode;
	return !search->serves;
}

int examine_epoll_serves(int pid, int epoll_fd, uint64_t listener_inode)
{
	struct target_search search = {.listener_inode = listener_inode};
	char path[64];
	int result;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, epoll_fd);
	result = file_each_line(AT_FDCWD, path, is_target, &search);
	if (result < 0 || (search.count == 0 && listener_inode == 0))
		return result < 0 ? result : -ENODATA;
	return search.serves;
}
