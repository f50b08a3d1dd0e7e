/* Preloaded (LD_PRELOAD) into programs under test: counts what supervisor and sentry allocate, in the mapped
 * file that TEST_ALLOCATIONS names: two numbers of 64 bits in the machine's order, the supervisor's first.
 * With glibc. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_BYTES 4096

extern char *program_invocation_short_name;
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static _Atomic uint64_t before_main;
static _Atomic uint64_t *count = &before_main;

__attribute__((constructor)) static void map_counts(void)
{
	static const char *const programs[] = {"holdfast-supervise", "sentry"};
	const char *path = getenv("TEST_ALLOCATIONS");
	void *place;
	int fd;

	if (path == NULL)
		return;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(program_invocation_short_name, programs[i]) != 0)
			continue;
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, FILE_BYTES) < 0)
			abort();
		place = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (place == MAP_FAILED)
			abort();
		close(fd);
		count = (_Atomic uint64_t *)place + i;
		*count = before_main;
	}
}

void *malloc(size_t size)
{
	(*count)++;
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	(*count)++;
	return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size)
{
	(*count)++;
	return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size)
{
	(*count)++;
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	*block = memalign(alignment, size);
	return *block == NULL ? ENOMEM : 0;
}
