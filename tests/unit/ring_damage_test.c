/* The console's memory when it is damaged, foreign, shared or full. */
#include "support/ring_home.h"
#include "support/tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "sentry/ring.h"

TEST("what is no ring is replaced, and that is told")
{
	static const char nonsense[4096] = "nonsense";
	struct ring ring;
	struct stat stat;
	int fd;

	make_directory();
	fd = open(path_of(RING_NAME), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(file_write_all(fd, nonsense, sizeof(nonsense)) == 0);
	file_close(&fd);
	CHECK(ring_open(&ring, directory) == RING_DAMAGED && ring_is_kept(&ring));
	ring_close(&ring);
	CHECK(ring_open(&ring, directory) == RING_FOUND);
	ring_close(&ring);

	unlink(path_of(RING_NAME));
	CHECK(symlink("/dev/zero", path_of(RING_NAME)) == 0);
	CHECK(ring_open(&ring, directory) == RING_DAMAGED && ring_is_kept(&ring));
	CHECK(lstat(path_of(RING_NAME), &stat) == 0 && S_ISREG(stat.st_mode));
	ring_close(&ring);

	unlink(path_of(RING_NAME));
	CHECK(mkdir(path_of(RING_NAME), 0700) == 0);
	CHECK(ring_open(&ring, directory) == RING_DAMAGED && !ring_is_kept(&ring));
	ring_close(&ring);
	CHECK(rmdir(path_of(RING_NAME)) == 0);
	remove_directory();
}

TEST("any damage is survived: within its bounds, or begun anew")
{
	struct ring ring;
	unsigned next = 1;
	int found_count = 0;

	make_directory();
	for (int round = 0; round < 3000; round++) {
		struct ring_header *header;
		unsigned char *bytes;

		if (ring_open(&ring, directory) < 0)
			break;
		header = ring.header;
		bytes = (unsigned char *)header;
		for (int i = 0; i < 1 + round % 3; i++) {
			next = next * 1103515245 + 12345;
			bytes[(next >> 8) % sizeof(*header)] = (unsigned char)(next >> 24);
		}
		ring_close(&ring);
		if (!CHECK(ring_open(&ring, directory) >= 0))
			break;
		found_count += ring.header->magic != 0;
		for (int i = 0; i < RING_SINK_COUNT; i++)
			CHECK(ring.state.sinks[i].end - ring.cursors[i].begin <= RING_SINK_BYTES);
		CHECK(ring.state.from + ring.state.held <= RING_LANDING_BYTES);
		ring_trim(&ring, RING_LANDING, 0);
		ring_close(&ring);
		if (round % 50 == 0)
			unlink(path_of(RING_NAME));
	}
	CHECK(found_count > 0);
	remove_directory();
}

TEST("two never share one: who comes while it is in use begins a new one")
{
	struct ring first, second;

	make_directory();
	CHECK(ring_open(&first, directory) == RING_NEW);
	CHECK(ring_open(&second, directory) == RING_NEW && ring_is_kept(&second));
	first.state.sinks[0].untold.lines = 7;
	ring_commit(&first);
	CHECK(second.header->states[second.header->current].sinks[0].untold.lines == 0);
	ring_close(&first);
	ring_close(&second);
	remove_directory();
}

TEST("a burst's memory is given back")
{
	struct ring ring;
	struct stat stat;
	blkcnt_t idle;

	make_directory();
	CHECK(ring_open(&ring, directory) == RING_NEW);
	CHECK(fstat(ring.fd, &stat) == 0);
	idle = stat.st_blocks;
	CHECK(ring_reserve(&ring, RING_FILE, RING_SINK_BYTES) == RING_SINK_BYTES);
	CHECK(ring_reserve(&ring, RING_LANDING, RING_READ_BYTES) >= RING_READ_BYTES);
	memset(ring.bytes[RING_FILE], 'x', RING_SINK_BYTES);
	CHECK(ring_is_spread(&ring));
	CHECK(fstat(ring.fd, &stat) == 0 && stat.st_blocks >= idle + 1024 * 1024 / 512 - 64);

	for (int i = 0; i < RING_REGION_COUNT; i++)
		ring_trim(&ring, (enum ring_region)i, RING_KEPT_BYTES);
	CHECK(!ring_is_spread(&ring));
	CHECK(fstat(ring.fd, &stat) == 0 && stat.st_blocks <= idle + 64);
	CHECK(idle <= 4 * RING_KEPT_BYTES / 512 + 64);
	ring_close(&ring);
	remove_directory();
}
