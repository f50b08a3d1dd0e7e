#include "world/world.h"

#include <stdarg.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLAIN(result, name, parameters, plain, failure)                                                      \
	WORLD_SHARED result world_##name parameters                                                          \
	{                                                                                                    \
		return plain;                                                                                \
	}
WORLD_CALLS(PLAIN)

/* As the C library itself does: an argument that is not there is read, and looked at by nobody. */
#define PLAIN_OPEN(result, name, parameters, plain, failure)                                                 \
	WORLD_SHARED result world_##name parameters                                                          \
	{                                                                                                    \
		va_list list;                                                                                \
		long rest;                                                                                   \
                                                                                                             \
		va_start(list, how);                                                                         \
		rest = va_arg(list, long);                                                                   \
		va_end(list);                                                                                \
		return plain;                                                                                \
	}
WORLD_OPEN_CALLS(PLAIN_OPEN)

int world_clone_begins(void)
{
	return 0;
}

void world_clone_ended(void)
{
}
