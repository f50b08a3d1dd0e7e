#include "sentry/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define RETRY_MS 50
#define WAIT_MS  2000

static void lock_path(const struct handover *handover, char *path, size_t size)
{
	snprintf(path, size, "%s/" HANDOVER_NAME, handover->runtime_dir);
}

static void ask(struct loop_timer *timer)
{
	struct handover *handover = timer->context;
	int64_t now_ms = clock_boot_ms();

	if (handover->lock_fd >= 0 && flock(handover->lock_fd, LOCK_EX | LOCK_NB) < 0 &&
	    errno == EWOULDBLOCK && now_ms - handover->asked_ms < WAIT_MS) {
		/* Again each time: the predecessor may only now have noticed that its supervisor is gone. */
		(void)!pwrite(handover->lock_fd, "\n", 1, 0);
		loop_timer_arm(handover->loop, timer, now_ms + RETRY_MS);
		return;
	}
	handover->granted(handover);
}

static void events_came(struct loop_source *source, uint32_t events)
{
	struct handover *handover = source->context;
	char buffer[1024] __attribute__((aligned(8)));

	while (read(source->fd, buffer, sizeof(buffer)) > 0)
		;
	handover->wanted(handover);
}

void handover_begin(struct handover *handover)
{
	char path[PATH_MAX];

	lock_path(handover, path, sizeof(path));
	handover->source = (struct loop_source){.fd = -1, .callback = events_came, .context = handover};
	handover->retry = (struct loop_timer){.callback = ask, .context = handover};
	handover->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	handover->asked_ms = clock_boot_ms();
	ask(&handover->retry);
}

void handover_listen(struct handover *handover)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char path[PATH_MAX];

	lock_path(handover, path, sizeof(path));
	if (fd < 0)
		return;
	if (inotify_add_watch(fd, path, IN_MODIFY) < 0 ||
	    loop_source_watch(handover->loop, &handover->source, fd, EPOLLIN) < 0)
		close(fd);
}

void handover_release(struct handover *handover)
{
	int fd = handover->source.fd;

	loop_source_retire(&handover->source);
	file_close(&fd);
	loop_timer_arm(handover->loop, &handover->retry, 0);
	/* Closing lets go of the lock. */
	file_close(&handover->lock_fd);
}
