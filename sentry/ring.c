#include "sentry/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "world/world.h"

#define MAGIC   UINT64_C(0x676e69726c6f6878) /* "xholring" */
#define VERSION 1
/* The largest page size in use: regions begin at pages everywhere. */
#define HEADER_BYTES (64 * 1024)
#define PAGE_BYTES   4096

static const size_t sizes[] = {RING_SINK_BYTES, RING_SINK_BYTES, RING_LANDING_BYTES};
static const size_t offsets[] = {
    HEADER_BYTES, HEADER_BYTES + RING_SINK_BYTES, HEADER_BYTES + 2 * RING_SINK_BYTES};
#define TOTAL_BYTES (HEADER_BYTES + 2 * RING_SINK_BYTES + RING_LANDING_BYTES)

_Static_assert(sizeof(struct ring_header) <= PAGE_BYTES, "the header is one page");

static size_t round_up(size_t bytes, size_t step)
{
	return (bytes + step - 1) / step * step;
}

static int allocate(int fd, size_t offset, size_t length)
{
	int result;

	do
		result = world_fallocate(fd, 0, (off_t)offset, (off_t)length);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : 0;
}

/* What is punched out reads as zeros from then on. */
static int punch(int fd, size_t offset, size_t length)
{
	return world_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) <
	               0
	           ? -errno
	           : 0;
}

static uint64_t begin_of(const struct ring *ring, int sink)
{
	return __atomic_load_n(&ring->cursors[sink].begin, __ATOMIC_ACQUIRE);
}

void ring_commit(struct ring *ring)
{
	uint32_t next = !ring->header->current;

	ring->header->states[next] = ring->state;
	__atomic_store_n(&ring->header->current, next, __ATOMIC_RELEASE);
}

bool ring_is_kept(const struct ring *ring)
{
	return ring->fd >= 0;
}

size_t ring_reserve(struct ring *ring, enum ring_region region, size_t bytes)
{
	size_t *reserved = &ring->reserved[region];
	size_t wanted = round_up(bytes, RING_KEPT_BYTES);

	if (bytes <= *reserved)
		return *reserved;
	/* Not in many small steps. */
	if (wanted < 2 * *reserved)
		wanted = 2 * *reserved;
	if (wanted > sizes[region])
		wanted = sizes[region];
	if (ring->fd < 0 || allocate(ring->fd, offsets[region] + *reserved, wanted - *reserved) == 0)
		*reserved = wanted;
	return *reserved;
}

/* Gives back what is behind the first `kept` bytes; it reads as zeros from then on. */
static int forget_region(struct ring *ring, enum ring_region region, size_t kept)
{
	int result = 0;

	if (ring->fd < 0)
		world_madvise(ring->bytes[region] + kept, sizes[region] - kept, MADV_DONTNEED);
	else if (kept < sizes[region])
		result = punch(ring->fd, offsets[region] + kept, sizes[region] - kept);
	ring->reserved[region] = kept;
	if (region == RING_LANDING && ring->dirty > kept)
		ring->dirty = kept;
	return result;
}

static bool is_empty(const struct ring *ring, enum ring_region region)
{
	if (region == RING_LANDING)
		return ring->state.held == 0;
	return begin_of(ring, (int)region) == ring->state.sinks[region].end;
}

bool ring_is_spread(const struct ring *ring)
{
	for (int i = 0; i < RING_REGION_COUNT; i++)
		if (ring->reserved[i] > RING_KEPT_BYTES)
			return true;
	return false;
}

void ring_trim(struct ring *ring, enum ring_region region, size_t above)
{
	if (ring->reserved[region] > above && is_empty(ring, region))
		forget_region(ring, region, RING_KEPT_BYTES);
}

/* --- reading ------------------------------------------------------------------------------------------- */

/* What is held is moved to the beginning once the region is half full. Less than half of RING_KEPT_BYTES is
 * held (LINE_MAX_BYTES), so that there is always room, and the two places never overlap. */
static void make_room(struct ring *ring)
{
	struct ring_state *state = &ring->state;

	if (state->from + state->held <= ring->reserved[RING_LANDING] / 2 || state->from < state->held)
		return;
	memcpy(ring->bytes[RING_LANDING], ring->bytes[RING_LANDING] + state->from, state->held);
	state->from = 0;
	ring_commit(ring);
}

/* A page that is not mapped yet is mapped by the copy itself, and a SIGKILL in that moment leaves what was
 * copied before it here and in the FIFO as well: it would be found twice. So they are mapped first. */
static void map_pages(char *begin, const char *end)
{
	for (volatile char *at = begin; at < end; at += PAGE_BYTES - (uintptr_t)at % PAGE_BYTES)
		*at = 0;
}

char *ring_read_begin(struct ring *ring, size_t *room)
{
	char *landing = ring->bytes[RING_LANDING];
	size_t at, until;

	make_room(ring);
	at = ring->state.from + ring->state.held;
	until = ring->reserved[RING_LANDING];
	if (until > at + RING_READ_BYTES)
		until = at + RING_READ_BYTES;
	*room = until > at ? until - at : 0;
	if (ring->fd >= 0 && at < ring->dirty) {
		memset(landing + at, 0, ring->dirty < until ? ring->dirty - at : *room);
		if (ring->dirty <= until)
			ring->dirty = at;
	}
	if (ring->fd >= 0)
		map_pages(landing + at, landing + until);
	__atomic_store_n(&ring->header->reading_until, (uint32_t)until, __ATOMIC_SEQ_CST);
	return landing + at;
}

void ring_read_end(struct ring *ring, size_t got)
{
	if (got > 0) {
		size_t at = ring->state.from + ring->state.held;

		/* There is more where that came from. */
		if (at + got == ring->header->reading_until)
			ring_reserve(ring, RING_LANDING, RING_LANDING_BYTES);
		ring->state.held += (uint32_t)got;
		if (ring->dirty < at + got)
			ring->dirty = at + got;
		ring_commit(ring);
	}
	/* Only now: between the two stores both say the same. */
	__atomic_store_n(&ring->header->reading_until, 0, __ATOMIC_RELEASE);
}

void ring_release_held(struct ring *ring, size_t length)
{
	struct ring_state *state = &ring->state;

	state->from += (uint32_t)length;
	state->held -= (uint32_t)length;
	if (state->held == 0)
		state->from = 0;
}

/* --- opening ------------------------------------------------------------------------------------------- */

static void point_into(struct ring *ring, char *memory)
{
	ring->header = (struct ring_header *)memory;
	ring->cursors = ring->header->cursors;
	for (int i = 0; i < RING_REGION_COUNT; i++)
		ring->bytes[i] = memory + offsets[i];
}

static void begin_anew(struct ring *ring)
{
	struct ring_header *header = ring->header;

	memset(header, 0, sizeof(*header));
	ring->state = (struct ring_state){.begins_line = 1};
	for (int i = 0; i < RING_SINK_COUNT; i++)
		ring->cursors[i].noted = RING_NOTHING_NOTED;
	ring->dirty = 0;
	header->version = VERSION;
	header->size = sizeof(*header);
	ring_commit(ring);
	__atomic_store_n(&header->magic, MAGIC, __ATOMIC_RELEASE);
}

/* Whoever left this behind may have been killed at any point, or may not have been a sentry at all. */
static bool is_sound(const struct ring_header *header)
{
	const struct ring_state *state;
	uint32_t until = header->reading_until;

	if (header->magic != MAGIC || header->version != VERSION || header->size != sizeof(*header) ||
	    header->current > 1)
		return false;
	state = &header->states[header->current];
	if (state->from > RING_LANDING_BYTES || state->held > RING_LANDING_BYTES - state->from ||
	    (until != 0 && (until > RING_LANDING_BYTES || until < state->from + state->held)))
		return false;
	for (int i = 0; i < RING_SINK_COUNT; i++) {
		uint64_t begin = header->cursors[i].begin;

		if (begin < state->sinks[i].base || begin > state->sinks[i].end ||
		    state->sinks[i].end - begin > RING_SINK_BYTES || state->sinks[i].end > UINT64_MAX / 2)
			return false;
	}
	return true;
}

/* Bytes of a read(2) that was not followed by anything: up to the last that is not zero. */
static void find_unaccounted(struct ring *ring)
{
	const char *landing = ring->bytes[RING_LANDING];
	size_t at = ring->state.from + ring->state.held, end = ring->header->reading_until;

	while (end > at && landing[end - 1] == 0)
		end--;
	if (end > at)
		ring->state.held += (uint32_t)(end - at);
}

/* The regions' used parts must have their memory: touching a hole while the file system is full would end us.
 * Behind them all becomes zero. */
static int claim_regions(struct ring *ring)
{
	int result;

	for (int i = 0; i < RING_REGION_COUNT; i++) {
		struct ring_sink *sink = i < RING_SINK_COUNT ? &ring->state.sinks[i] : NULL;
		size_t used = ring->state.from + ring->state.held;

		if (sink != NULL && ring->cursors[i].begin == sink->end)
			sink->base = sink->end;
		if (sink != NULL)
			used =
			    sink->end - sink->base < sizes[i] ? (size_t)(sink->end - sink->base) : sizes[i];
		else if (used < ring->header->reading_until)
			used = ring->header->reading_until;
		if (used < RING_KEPT_BYTES)
			used = RING_KEPT_BYTES;
		if (ring_reserve(ring, (enum ring_region)i, used) < used)
			return -ENOSPC;
		result = forget_region(ring, (enum ring_region)i, round_up(used, RING_KEPT_BYTES));
		if (result < 0)
			return result;
	}
	return 0;
}

static int take_over(struct ring *ring)
{
	int result;
	size_t used;

	ring->state = ring->header->states[ring->header->current];
	result = claim_regions(ring);
	if (result < 0)
		return result;
	find_unaccounted(ring);
	used = ring->state.from + ring->state.held;
	memset(ring->bytes[RING_LANDING] + used, 0, ring->reserved[RING_LANDING] - used);
	ring->dirty = used;
	ring_commit(ring);
	__atomic_store_n(&ring->header->reading_until, 0, __ATOMIC_RELEASE);
	return 0;
}

static int map(struct ring *ring)
{
	char *memory = world_mmap(NULL, TOTAL_BYTES, PROT_READ | PROT_WRITE,
	    ring->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, ring->fd, 0);

	if (memory == MAP_FAILED || memory == NULL)
		return -ENOMEM;
	point_into(ring, memory);
	return 0;
}

/* Whoever reads another FIFO may have a ring in the same place: never two in one. */
static bool lock(int fd)
{
	return world_flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/* A file of ours, as the last sentry left it. Returns a descriptor, -EBUSY when it is in use, or -1. */
static int open_found(int directory)
{
	int fd = world_openat(directory, RING_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat stat;
	int result;

	if (fd < 0)
		return -1;
	errno = 0;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_uid == geteuid() &&
	    stat.st_nlink == 1 && (stat.st_mode & 077) == 0 && stat.st_size == TOTAL_BYTES && lock(fd) &&
	    allocate(fd, 0, PAGE_BYTES) == 0)
		return fd;
	result = errno == EWOULDBLOCK ? -EBUSY : -1;
	close(fd);
	return result;
}

/* Unmaps, and is as before ring_open. */
static void let_go(struct ring *ring)
{
	ring_close(ring);
	*ring = (struct ring){.fd = -1};
}

/* Where the file system is nearly full the first burst would find no room; private memory has it. */
static bool has_room(int directory)
{
	struct statvfs place;

	return fstatvfs(directory, &place) < 0 || place.f_blocks == 0 ||
	       (uint64_t)place.f_bavail * place.f_frsize >= TOTAL_BYTES;
}

static void make(struct ring *ring, int directory)
{
	if (!has_room(directory))
		return;
	ring->fd =
	    world_openat(directory, RING_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (ring->fd < 0)
		return;
	if (lock(ring->fd) && world_ftruncate(ring->fd, TOTAL_BYTES) == 0 &&
	    allocate(ring->fd, 0, PAGE_BYTES) == 0 && map(ring) == 0) {
		begin_anew(ring);
		if (claim_regions(ring) == 0)
			return;
	}
	world_unlinkat(directory, RING_NAME, 0);
	let_go(ring);
}

/* Leaves the ring without a header where it cannot be kept. */
static int open_kept(struct ring *ring, int directory)
{
	int opened =
	    faccessat(directory, RING_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? RING_DAMAGED : RING_NEW;

	ring->fd = open_found(directory);
	if (ring->fd == -EBUSY) {
		opened = RING_NEW;
	} else if (ring->fd >= 0 && map(ring) == 0) {
		/* Whoever was killed before the magic number was there had read nothing yet. */
		if (ring->header->magic == 0)
			opened = RING_NEW;
		else if (is_sound(ring->header) && take_over(ring) == 0)
			return RING_FOUND;
	}
	let_go(ring);
	world_unlinkat(directory, RING_NAME, 0);
	make(ring, directory);
	return opened;
}

int ring_open(struct ring *ring, const char *directory)
{
	int directory_fd CLOSE_ON_RETURN = -1;
	int opened = RING_NEW, result;

	*ring = (struct ring){.fd = -1};
	if (directory != NULL)
		directory_fd = world_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd >= 0)
		opened = open_kept(ring, directory_fd);
	if (ring->header != NULL)
		return opened;
	result = map(ring);
	if (result < 0)
		return result;
	begin_anew(ring);
	claim_regions(ring);
	return opened;
}

void ring_close(struct ring *ring)
{
	if (ring->header != NULL)
		munmap(ring->header, TOTAL_BYTES);
	ring->header = NULL;
	file_close(&ring->fd);
}

static bool is_in(const struct ring *ring, int directory)
{
	struct stat ours, there;

	return fstat(ring->fd, &ours) == 0 &&
	       fstatat(directory, RING_NAME, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static int copy_into(const struct ring *ring, int fd)
{
	int result = !lock(fd) || world_ftruncate(fd, TOTAL_BYTES) < 0 ? -errno : allocate(fd, 0, PAGE_BYTES);

	for (int i = 0; i < RING_REGION_COUNT && result == 0; i++) {
		result = allocate(fd, offsets[i], ring->reserved[i]);
		if (result == 0 && world_pwrite(fd, ring->bytes[i], ring->reserved[i], (off_t)offsets[i]) !=
		                       (ssize_t)ring->reserved[i])
			result = -EIO;
	}
	if (result == 0 && world_pwrite(fd, ring->header, sizeof(*ring->header), 0) != sizeof(*ring->header))
		result = -EIO;
	return result;
}

void ring_move(struct ring *ring, const char *directory)
{
	int directory_fd CLOSE_ON_RETURN = world_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (ring->fd < 0 || directory_fd < 0 || is_in(ring, directory_fd))
		return;
	world_unlinkat(directory_fd, RING_NAME, 0);
	fd = world_openat(directory_fd, RING_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	/* The same bytes at the same addresses: a thread that is writing some of them sees no difference. */
	if (copy_into(ring, fd) < 0 || world_mmap(ring->header, TOTAL_BYTES, PROT_READ | PROT_WRITE,
	                                   MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		world_unlinkat(directory_fd, RING_NAME, 0);
		close(fd);
		return;
	}
	file_close(&ring->fd);
	ring->fd = fd;
}
