/* The gateway's console: a FIFO that the sentry drains. While no sentry does, we discard and count, so that
 * the gateway never waits for a reader. A quiet gateway costs no wake-up; a talking one at most two a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "process/procfs.h"
#include "supervise/descriptors.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define CONSOLE_FIFO_NAME   "console"
#define CONSOLE_FIFO_BYTES  (1024 * 1024)
#define CONSOLE_CHUNK_BYTES 65536
#define CONSOLE_LOOK_MS     1000
#define LINES_TOLD_AGAIN_MS (10 * 60000) /* a disk that stays full is no news every 5 s */

static void discard(struct supervisor *supervisor)
{
	static char chunk[CONSOLE_CHUNK_BYTES];
	ssize_t length;

	/* Bounded, so that a gateway that writes without end cannot keep us here. */
	for (int i = 0; i < CONSOLE_FIFO_BYTES / CONSOLE_CHUNK_BYTES; i++) {
		length = world_read(supervisor->console.fd, chunk, sizeof(chunk));
		if (length <= 0)
			return;
		supervisor->console.discarded_bytes += (uint64_t)length;
	}
}

static void readable(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;

	(void)events;
	if (supervisor->console.discarding) {
		discard(supervisor);
		return;
	}
	/* The source is one-shot: it is armed again by the timer's look. */
	loop_timer_arm(&supervisor->loop, &supervisor->console.timer, clock_boot_ms() + CONSOLE_LOOK_MS);
}

static void watch_again(struct supervisor *supervisor)
{
	supervisor->console.pinged = supervisor->console.ponged = false;
	loop_source_change(&supervisor->console.source, EPOLLIN | EPOLLONESHOT);
}

static void start_discarding(struct supervisor *supervisor)
{
	supervisor->console.discarding = true;
	loop_source_change(&supervisor->console.source, EPOLLIN);
	discard(supervisor);
}

static void look(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;
	struct message ping = {0};
	int waiting = 0;

	ioctl(supervisor->console.fd, FIONREAD, &waiting);
	if (waiting == 0 || supervisor->console.ponged) {
		watch_again(supervisor);
	} else if (workers_are_changing(supervisor)) {
		/* The old sentry reads, though it is not heard, until the new one does. */
		loop_timer_arm(&supervisor->loop, timer, clock_boot_ms() + CONSOLE_LOOK_MS);
	} else if (!supervisor->console.pinged && supervisor->workers[WORKER_SENTRY].ready) {
		/* There is output and a sentry: does it still read? */
		supervisor->console.pinged = true;
		worker_say(supervisor, WORKER_SENTRY, MESSAGE_PING, &ping, -1);
		loop_timer_arm(&supervisor->loop, timer, clock_boot_ms() + CONSOLE_LOOK_MS);
	} else {
		start_discarding(supervisor);
	}
}

void console_ponged(struct supervisor *supervisor)
{
	supervisor->console.ponged = true;
	if (supervisor->console.discarding)
		console_sentry_back(supervisor);
}

void console_sentry_back(struct supervisor *supervisor)
{
	uint64_t bytes = supervisor->console.discarded_bytes - supervisor->console.discarded_told;
	char evidence[64];

	supervisor->console.discarding = false;
	watch_again(supervisor);
	if (bytes == 0)
		return;
	supervisor->console.discarded_told = supervisor->console.discarded_bytes;
	snprintf(evidence, sizeof(evidence), "{\"bytes\":%" PRIu64 "}", bytes);
	events_record(supervisor, "console.dropped", SEVERITY_WARNING, 0, evidence,
	    "%" PRIu64 " bytes of the gateway's console were discarded while no sentry read it.", bytes);
}

void console_lines_dropped(struct supervisor *supervisor, const struct message_dropped *dropped)
{
	int64_t now_ms = clock_boot_ms();
	uint64_t lines;
	char evidence[64];

	if (dropped->lines == 0) { /* how many, nobody can say */
		events_record(supervisor, "console.dropped", SEVERITY_WARNING, 0, NULL,
		    "Lines of the gateway's console may be missing in console.log: %.100s.", dropped->why);
		return;
	}
	supervisor->console.lines_dropped += dropped->lines;
	lines = supervisor->console.lines_dropped - supervisor->console.lines_told;
	if (lines == 0 || (supervisor->console.lines_told_ms != 0 &&
	                      now_ms - supervisor->console.lines_told_ms < LINES_TOLD_AGAIN_MS))
		return;
	supervisor->console.lines_told = supervisor->console.lines_dropped;
	supervisor->console.lines_told_ms = now_ms;
	snprintf(evidence, sizeof(evidence), "{\"lines\":%" PRIu64 "}", lines);
	events_record(supervisor, "console.dropped", SEVERITY_WARNING, 0, evidence,
	    "%" PRIu64 " lines of the gateway's console are missing in console.log: %.100s.", lines,
	    dropped->why);
}

static int make_fifo(struct supervisor *supervisor)
{
	struct stat status;

	/* The FIFO of an earlier life is kept: an adopted gateway holds it, and it may hold lines. */
	if (fstatat(supervisor->runtime_fd, CONSOLE_FIFO_NAME, &status, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISFIFO(status.st_mode))
			return 0;
		world_unlinkat(supervisor->runtime_fd, CONSOLE_FIFO_NAME, 0);
	}
	return world_mkfifoat(supervisor->runtime_fd, CONSOLE_FIFO_NAME, 0600) < 0 ? -errno : 0;
}

/* The console of an adopted gateway whose FIFO is no longer in the directory (it was deleted): the gateway
 * holds it open, under its old name. */
static int open_held(const struct supervisor *supervisor)
{
	const struct record_process *gateway = &supervisor->record.gateway;
	char path[48], name[PATH_MAX];
	ssize_t length;

	if (gateway->pid == 0 || !procfs_is_alive(gateway->pid, gateway->start_time))
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/%d/fd/1", gateway->pid);
	length = readlink(path, name, sizeof(name) - 1);
	name[length < 0 ? 0 : length] = '\0';
	/* Where it put its output itself, nothing is ours to read. */
	if (strstr(name, "/" CONSOLE_FIFO_NAME " (deleted)") == NULL)
		return -ENOENT;
	return world_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static int open_fifo(struct supervisor *supervisor)
{
	struct stat status;
	int result;

	supervisor->console.fd = descriptors_take("console");
	if (supervisor->console.fd < 0 && !supervisor->is_trial)
		supervisor->console.fd = open_held(supervisor);
	if (supervisor->console.fd < 0) {
		result = make_fifo(supervisor);
		if (result < 0)
			return result;
		/* Read-write: while we live, no reader meets an end of file and no writer a broken pipe. */
		supervisor->console.fd = world_openat(
		    supervisor->runtime_fd, CONSOLE_FIFO_NAME, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	}
	if (supervisor->console.fd < 0)
		return -errno;
	return fstat(supervisor->console.fd, &status) == 0 && S_ISFIFO(status.st_mode) ? 0 : -EEXIST;
}

int console_open(struct supervisor *supervisor, struct error *why)
{
	int result = open_fifo(supervisor);

	if (result < 0)
		return error_set(why, result, "The console FIFO in %s cannot be made: %s.",
		    settings_string(supervisor->settings, supervisor->settings->runtime_dir),
		    strerror(-result));
	/* The gateway opens it by this name, in its own process: it is there even when somebody deletes the
	 * directory. */
	snprintf(supervisor->console.path, sizeof(supervisor->console.path), "/proc/self/fd/%d",
	    supervisor->console.fd);
	world_fcntl(supervisor->console.fd, F_SETPIPE_SZ, CONSOLE_FIFO_BYTES);
	supervisor->console.source.callback = readable;
	supervisor->console.source.context = supervisor;
	supervisor->console.timer.callback = look;
	supervisor->console.timer.context = supervisor;
	result = loop_source_watch(
	    &supervisor->loop, &supervisor->console.source, supervisor->console.fd, EPOLLIN | EPOLLONESHOT);
	return result == 0 ? 0
	                   : error_set(why, result, "The console cannot be heard: %s.", strerror(-result));
}

void console_close(struct supervisor *supervisor)
{
	loop_source_retire(&supervisor->console.source);
	file_close(&supervisor->console.fd);
	world_unlinkat(supervisor->runtime_fd, CONSOLE_FIFO_NAME, 0);
}
