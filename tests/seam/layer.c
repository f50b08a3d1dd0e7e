/* The other layer of the seam (world/world.h), linked into programs for tests only: see layer.h. It may be
 * called by any thread, and by a process that shares its memory with another one: it takes no lock, allocates
 * nothing, and leaves errno alone. */
#include "seam/layer.h"

#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "world/world.h"

_Static_assert(WORLD_CALL_COUNT + 1 <= LAYER_CALLS_MAX, "the file has room for the names of all calls");

#define CALL_begin   WORLD_CALL_COUNT /* a program begins: what an execution comes to */
#define KEY(who, at) ((uint64_t)(who) << 56 | (at))

static struct layer_file *file;
static uintptr_t load_address;
static uint32_t program;
static int own_pid;

/* One call on its way. */
struct passage {
	int pid;
	int error;   /* what it is to fail with */
	bool chosen; /* it is the plan's */
};

static WORLD_SHARED uint32_t count_call(uint64_t key)
{
	for (uint64_t at = key * 0x9e3779b97f4a7c15ULL >> 40, tries = 0; tries < LAYER_PLACES_MAX;
	     at++, tries++) {
		struct layer_place *place = &file->places[at % LAYER_PLACES_MAX];
		uint64_t seen = __atomic_load_n(&place->key, __ATOMIC_ACQUIRE);

		if (seen == 0 && __atomic_compare_exchange_n(
		                     &place->key, &seen, key, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			seen = key;
		if (seen == key)
			return __atomic_add_fetch(&place->count, 1, __ATOMIC_ACQ_REL);
	}
	return 0;
}

static WORLD_SHARED void trace(uint64_t place, uint32_t caller, uint32_t nth, int pid, int call)
{
	uint32_t index = __atomic_fetch_add(&file->entry_count, 1, __ATOMIC_ACQ_REL);
	struct layer_entry *entry = &file->entries[index % LAYER_ENTRIES_MAX];

	entry->place = place;
	entry->nth = nth;
	entry->pid = pid;
	entry->call = (uint16_t)call;
	entry->caller = (uint16_t)caller;
	__atomic_store_n(&entry->order, index + 1, __ATOMIC_RELEASE);
}

/* Neither raise nor kill of the C library: its idea of who we are may be our parent's. */
static WORLD_SHARED void end(bool parent)
{
	syscall(SYS_kill, parent ? getppid() : getpid(), SIGKILL);
}

static WORLD_SHARED void carry_out(struct passage *passage, bool after)
{
	switch (file->plan.action) {
	case LAYER_KILL_BEFORE:
	case LAYER_KILL_AFTER:
		if (after == (file->plan.action == LAYER_KILL_AFTER))
			end(false);
		break;
	case LAYER_KILL_PARENT_BEFORE:
	case LAYER_KILL_PARENT_AFTER:
		if (after == (file->plan.action == LAYER_KILL_PARENT_AFTER))
			end(true);
		break;
	case LAYER_FAIL:
	case LAYER_FAIL_ON:
		passage->error = file->plan.error;
		break;
	default:
		break;
	}
}

static WORLD_SHARED struct passage pass(int call, const void *from)
{
	struct passage passage = {0};
	uint64_t place = (uintptr_t)from - load_address;
	uint32_t caller, nth;

	if (file == NULL)
		return passage;
	passage.pid = getpid();
	caller = passage.pid == own_pid ? program : program + LAYER_SPAWNED;
	nth = count_call(KEY(caller, place));
	trace(place, caller, nth, passage.pid, call);
	passage.chosen =
	    file->plan.caller == caller && file->plan.place == place &&
	    (file->plan.nth == nth || (file->plan.action == LAYER_FAIL_ON && nth > file->plan.nth));
	if (passage.chosen) {
		file->plan.fired_pid = passage.pid;
		__atomic_add_fetch(&file->plan.fired, 1, __ATOMIC_ACQ_REL);
		carry_out(&passage, false);
	}
	return passage;
}

/* The new process of a fork comes by here too: the call was not its own. */
static WORLD_SHARED void passed(struct passage *passage)
{
	int saved = errno;

	if (passage->chosen && getpid() == passage->pid)
		carry_out(passage, true);
	errno = saved;
}

#define LAYER(result, name, parameters, plain, failure)                                                      \
	WORLD_SHARED result world_##name parameters                                                          \
	{                                                                                                    \
		struct passage passage = pass(CALL_##name, __builtin_return_address(0));                     \
		int error = passage.error;                                                                   \
		result value;                                                                                \
                                                                                                             \
		if (error != 0) {                                                                            \
			errno = error;                                                                       \
			return failure;                                                                      \
		}                                                                                            \
		value = plain;                                                                               \
		passed(&passage);                                                                            \
		return value;                                                                                \
	}
WORLD_CALLS(LAYER)

#define LAYER_OPEN(result, name, parameters, plain, failure)                                                 \
	WORLD_SHARED result world_##name parameters                                                          \
	{                                                                                                    \
		struct passage passage = pass(CALL_##name, __builtin_return_address(0));                     \
		va_list list;                                                                                \
		result value;                                                                                \
		long rest;                                                                                   \
                                                                                                             \
		if (passage.error != 0) {                                                                    \
			errno = passage.error;                                                               \
			return failure;                                                                      \
		}                                                                                            \
		va_start(list, how);                                                                         \
		rest = va_arg(list, long);                                                                   \
		va_end(list);                                                                                \
		value = plain;                                                                               \
		passed(&passage);                                                                            \
		return value;                                                                                \
	}
WORLD_OPEN_CALLS(LAYER_OPEN)

static struct passage clone_passage;

int world_clone_begins(void)
{
	clone_passage = pass(CALL_clone, __builtin_return_address(0));
	return -clone_passage.error;
}

void world_clone_ended(void)
{
	passed(&clone_passage);
}

static int find_load_address(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size, (void)context;
	load_address = info->dlpi_addr; /* of the first, which is the program */
	return 1;
}

#define NAME(result, name, parameters, plain, failure) #name,
static const char *const names[] = {WORLD_CALLS(NAME) WORLD_OPEN_CALLS(NAME) "clone", "begin"};

/* The workers that a trial starts are not told of it: they know by a variable of ours. */
static bool is_trial(int argument_count, char **arguments)
{
	for (int i = 0; i < argument_count; i++)
		if (strstr(arguments[i], "holdfast-trial") != NULL)
			setenv("WORLD_TRIAL", "1", 1);
	return getenv("WORLD_TRIAL") != NULL;
}

/* What cannot be tried must not look as if it had been. */
static void refuse(const char *path)
{
	dprintf(2, "The plan %s is not one: %s.\n", path, strerror(errno));
	_exit(70);
}

/* The program begins before anything else of it does. */
__attribute__((constructor)) static void begin(int argument_count, char **arguments)
{
	const char *path = getenv("WORLD_PLAN");
	struct passage passage;
	int fd;

	if (path == NULL)
		return;
	own_pid = getpid();
	program = PROGRAM + (is_trial(argument_count, arguments) ? LAYER_TRIAL : 0);
	dl_iterate_phdr(find_load_address, NULL);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		refuse(path);
	file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (file == MAP_FAILED || file->magic != LAYER_MAGIC)
		refuse(path);
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		snprintf(file->call_names[i], sizeof(file->call_names[i]), "%s", names[i]);
	__atomic_store_n(&file->call_count, sizeof(names) / sizeof(names[0]), __ATOMIC_RELEASE);
	passage = pass(CALL_begin, (const void *)(load_address + 1));
	passed(&passage);
}
