#include "process/vitals.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "world/world.h"

#define NS_PER_MS             1000000
#define INSPECTOR_PORT        9229
#define INSPECTOR_PORTS       10
#define CGROUP_PATH_MAX       512
#define INSPECTOR_THREAD      "InspectorIo" /* seen in Node 24 */
#define INSPECTOR_CONNECTIONS 64
#define TCP_IS_ESTABLISHED    0x01
#define TCP_LISTENS           0x0a

static uint64_t ticks_to_ms(uint64_t ticks)
{
	static long ticks_per_second;

	if (ticks_per_second == 0)
		ticks_per_second = sysconf(_SC_CLK_TCK);
	return ticks * 1000 / (uint64_t)(ticks_per_second > 0 ? ticks_per_second : 100);
}

static bool is_traced(int pid)
{
	char path[48], text[2048];
	const char *tracer;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, pid);
	if (file_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	tracer = strstr(text, "\nTracerPid:");
	return tracer != NULL && strtol(tracer + strlen("\nTracerPid:"), NULL, 10) != 0;
}

void vitals_read_main_thread(int pid, struct vitals_thread *thread)
{
	char path[48], text[1024];
	const char *after;
	uint64_t user, kernel, running_ns, waiting_ns;

	*thread = (struct vitals_thread){.waited_ms = VITALS_UNKNOWN};
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	if (file_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return;
	after = strrchr(text, ')');
	if (after == NULL ||
	    sscanf(after + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %" SCNu64 " %*u %" SCNu64 " %" SCNu64,
	        &thread->state, &thread->faults, &user, &kernel) != 4) {
		thread->state = 0;
		return;
	}
	thread->cpu_ms = ticks_to_ms(user + kernel);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, pid);
	if (file_read(AT_FDCWD, path, text, sizeof(text)) > 0 &&
	    sscanf(text, "%" SCNu64 " %" SCNu64, &running_ns, &waiting_ns) == 2 && running_ns > 0) {
		thread->cpu_ms = running_ns / NS_PER_MS;
		thread->waited_ms = waiting_ns / NS_PER_MS;
	}
	thread->is_traced = thread->state == 't' || is_traced(pid);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345": microseconds, on the first line. */
static uint64_t read_stall_ms(const char *pressure)
{
	const char *at = strstr(pressure, "total=");
	uint64_t total_us;

	return at != NULL && sscanf(at, "total=%" SCNu64, &total_us) == 1 ? total_us / 1000 : VITALS_UNKNOWN;
}

void vitals_read_machine(struct vitals_machine *machine)
{
	static long processors;
	char text[512];
	int fd CLOSE_ON_RETURN = -1;
	uint64_t user, nice, system, irq, softirq, steal;

	if (processors == 0)
		processors = sysconf(_SC_NPROCESSORS_ONLN);
	*machine = (struct vitals_machine){
	    .processors = processors > 0 ? (uint32_t)processors : 1, .memory_stall_ms = VITALS_UNKNOWN};
	if (file_read(AT_FDCWD, "/proc/pressure/memory", text, sizeof(text)) > 0)
		machine->memory_stall_ms = read_stall_ms(text);
	fd = world_open("/proc/stat", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || file_read_start(fd, text, sizeof(text)) < 0)
		return;
	if (sscanf(text, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64,
	        &user, &nice, &system, &irq, &softirq, &steal) != 6)
		return;
	machine->busy_ms = ticks_to_ms(user + nice + system + irq + softirq);
	machine->steal_ms = ticks_to_ms(steal);
}

struct cgroup_search {
	char path[CGROUP_PATH_MAX];
};

static bool look_for_unified(void *context, const char *line)
{
	struct cgroup_search *search = context;

	if (strncmp(line, "0::", 3) != 0)
		return true;
	text_copy(search->path, sizeof(search->path), line + 3);
	return false;
}

/* Reads a file of the process's cgroup (version 2). Returns 0 or -1. */
static int read_cgroup_file(int pid, const char *name, char *text, size_t size)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct cgroup_search search = {0};
	char path[CGROUP_PATH_MAX + 96];
	ssize_t length = -1;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file_each_line(AT_FDCWD, path, look_for_unified, &search);
	if (search.path[0] != '/' || search.path[1] == '\0')
		return -1;
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]) && length < 0; i++) {
		snprintf(path, sizeof(path), "%s%s/%s", mounts[i], search.path, name);
		length = file_read(AT_FDCWD, path, text, size);
	}
	return length < 0 ? -1 : 0;
}

uint64_t vitals_memory_stall_ms(int pid)
{
	char text[256];

	return read_cgroup_file(pid, "memory.pressure", text, sizeof(text)) < 0 ? VITALS_UNKNOWN
	                                                                        : read_stall_ms(text);
}

bool vitals_is_frozen(int pid)
{
	char path[32], text[256];

	if (read_cgroup_file(pid, "cgroup.events", text, sizeof(text)) == 0 &&
	    strstr(text, "frozen 1") != NULL)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/wchan", pid); /* version 1 of cgroups has its own freezer */
	return file_read(AT_FDCWD, path, text, sizeof(text)) > 0 &&
	       (strstr(text, "refrigerator") != NULL || strstr(text, "do_freezer_trap") != NULL);
}

/* Connections that were accepted on other ports than the gateway's own, of whatever process. */
struct inspector_search {
	uint32_t own_port, inspector_port;
	uint8_t listens[65536 / 8]; /* one bit a port */
	struct {
		uint64_t inode;
		uint32_t port;
	} accepted[INSPECTOR_CONNECTIONS];
	uint32_t count;
	bool runs; /* the process has an inspector's thread */
	bool found;
};

static bool read_connection(const char *line, uint32_t *port, uint32_t *state, uint64_t *inode)
{
	return sscanf(line,
	           " %*u: %*[0-9A-Fa-f]:%" SCNx32 " %*[0-9A-Fa-f]:%*x %" SCNx32
	           " %*s %*s %*s %*u %*u %" SCNu64,
	           port, state, inode) == 3 &&
	       *port < 65536;
}

static bool look_for_listeners(void *context, const char *line)
{
	struct inspector_search *search = context;
	uint32_t port, state;
	uint64_t inode;

	if (read_connection(line, &port, &state, &inode) && state == TCP_LISTENS && port != search->own_port)
		search->listens[port / 8] |= (uint8_t)(1u << port % 8);
	return true;
}

static bool look_for_accepted(void *context, const char *line)
{
	struct inspector_search *search = context;
	uint32_t port, state;
	uint64_t inode;

	if (read_connection(line, &port, &state, &inode) && state == TCP_IS_ESTABLISHED &&
	    (search->listens[port / 8] & 1u << port % 8)) {
		search->accepted[search->count].inode = inode;
		search->accepted[search->count++].port = port;
	}
	return search->count < INSPECTOR_CONNECTIONS;
}

static bool is_inspector_thread(void *context, int directory_fd, const char *name)
{
	struct inspector_search *search = context;
	char path[48], comm[32];

	snprintf(path, sizeof(path), "%.16s/comm", name);
	search->runs = name[0] != '.' && file_read(directory_fd, path, comm, sizeof(comm)) > 0 &&
	               strncmp(comm, INSPECTOR_THREAD, strlen(INSPECTOR_THREAD)) == 0;
	return !search->runs;
}

static bool is_inspection(void *context, int directory_fd, const char *name)
{
	struct inspector_search *search = context;
	char target[64];
	uint64_t inode;
	ssize_t length = readlinkat(directory_fd, name, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1)
		return true;
	for (uint32_t i = 0; i < search->count && !search->found; i++) {
		uint32_t port = search->accepted[i].port;
		bool is_inspector = port >= INSPECTOR_PORT && port < INSPECTOR_PORT + INSPECTOR_PORTS;

		is_inspector |= search->inspector_port != 0 ? port == search->inspector_port : search->runs;
		search->found = search->accepted[i].inode == inode && is_inspector;
	}
	return !search->found;
}

bool vitals_is_inspected(int pid, uint32_t own_port, uint32_t inspector_port)
{
	static struct inspector_search search; /* large; used by one thread */
	char path[32];

	memset(&search, 0, sizeof(search));
	search.own_port = own_port;
	search.inspector_port = inspector_port;
	file_each_line(AT_FDCWD, "/proc/net/tcp", look_for_listeners, &search);
	file_each_line(AT_FDCWD, "/proc/net/tcp", look_for_accepted, &search);
	if (search.count == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	file_each_entry(path, is_inspector_thread, &search);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	file_each_entry(path, is_inspection, &search);
	return search.found;
}
