#include "sentry/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "world/world.h"

#define RETRY_MS 50
#define WAIT_MS  2000

#define WAIT_TURN_US 10000

static void grant(struct handover *handover, bool locked)
{
	if (handover->is_granted)
		return;
	handover->is_granted = true;
	handover->granted(handover, locked);
}

static void ask(struct loop_timer *timer)
{
	struct handover *handover = timer->context;
	int64_t now_ms = clock_boot_ms();
	bool is_held;

	if (world_flock(handover->fd, LOCK_EX | LOCK_NB) == 0) {
		grant(handover, true);
		return;
	}
	is_held = errno == EWOULDBLOCK;
	if (!is_held || now_ms - handover->asked_ms >= WAIT_MS)
		grant(handover, false);
	/* Read without it, and still wanted: our successor shall wait for us. */
	if (is_held)
		loop_timer_arm(handover->loop, timer, now_ms + (handover->is_granted ? WAIT_MS : RETRY_MS));
}

void handover_init(struct handover *handover)
{
	handover->fd = -1;
	handover->retry = (struct loop_timer){.callback = ask, .context = handover};
}

bool handover_is_of(const struct handover *handover, int fd)
{
	struct stat ours, other;

	return handover->fd >= 0 && fstat(handover->fd, &ours) == 0 && fstat(fd, &other) == 0 &&
	       ours.st_dev == other.st_dev && ours.st_ino == other.st_ino;
}

int handover_begin(struct handover *handover, int fd)
{
	char path[64];

	handover_release(handover);
	/* The lock goes with the description, and the one we were given is its sender's. With an end for
	 * writing as well we never see the FIFO's end, whoever else closes it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	handover->fd = world_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (handover->fd < 0)
		return -errno;
	handover->asked_ms = clock_boot_ms();
	ask(&handover->retry);
	return 0;
}

void handover_wait(struct handover *handover, int64_t wait_ms)
{
	int64_t until_ms = clock_boot_ms() + wait_ms;

	while (handover->fd >= 0 && !handover->is_granted) {
		if (world_flock(handover->fd, LOCK_EX | LOCK_NB) == 0)
			grant(handover, true);
		else if (errno != EWOULDBLOCK || clock_boot_ms() >= until_ms)
			return;
		else
			usleep(WAIT_TURN_US);
	}
}

void handover_release(struct handover *handover)
{
	handover->is_granted = false;
	loop_timer_arm(handover->loop, &handover->retry, 0);
	file_close(&handover->fd);
}
