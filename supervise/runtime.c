/* The runtime directory may be deleted under us (a service manager tidies /run, a user's last session ends).
 * What lives in it is only names for what we hold: they are made anew, and the gateway is not touched. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define RESTORE_AGAIN_MS 5000
#define RESTORE_SOON_MS  200

static const char *path_of(const struct supervisor *supervisor)
{
	return settings_string(supervisor->settings, supervisor->settings->runtime_dir);
}

static bool is_there(const struct supervisor *supervisor, const char *name)
{
	struct stat status;

	return fstatat(supervisor->runtime_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_whole(const struct supervisor *supervisor)
{
	struct stat ours, there;

	return fstat(supervisor->runtime_fd, &ours) == 0 && stat(path_of(supervisor), &there) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino &&
	       is_there(supervisor, RECORD_FILE_NAME) && is_there(supervisor, EVENTS_FILE_NAME) &&
	       is_there(supervisor, CONTROL_SOCKET_NAME) && notify_is_there(supervisor);
}

/* Those through which the next supervisor finds the workers. */
static bool sockets_are_there(const struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++) {
		const struct supervised_worker *worker = &supervisor->workers[i];
		char name[CONTROL_NAME_MAX];

		control_worker_name(name, worker->name, worker->pid);
		if (worker->ready && !is_there(supervisor, name))
			return false;
	}
	return true;
}

static void watch_directory(struct supervisor *supervisor)
{
	char path[48];
	int fd = supervisor->runtime.source.fd;

	loop_source_retire(&supervisor->runtime.source);
	file_close(&fd);
	fd = world_inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", supervisor->runtime_fd);
	if (fd < 0 ||
	    world_inotify_add_watch(
	        fd, path, IN_DELETE | IN_DELETE_SELF | IN_MOVED_FROM | IN_MOVE_SELF | IN_ONLYDIR) < 0 ||
	    loop_source_watch(&supervisor->loop, &supervisor->runtime.source, fd, EPOLLIN) < 0)
		file_close(&fd);
}

/* The events that wait move into a new file. */
static int restore_events(struct supervisor *supervisor, struct error *why)
{
	struct pending_events *earlier = supervisor->pending;
	uint64_t sent = supervisor->sent, shown = supervisor->shown;
	bool store_writable = supervisor->store_writable;
	int result = events_open(supervisor, why);

	if (result < 0) {
		supervisor->pending = earlier;
		return result;
	}
	memcpy(supervisor->pending, earlier, sizeof(*earlier));
	munmap(earlier, sizeof(*earlier));
	supervisor->sent = sent;
	supervisor->shown = shown;
	supervisor->store_writable = store_writable;
	return 0;
}

static int restore(struct supervisor *supervisor, struct error *why)
{
	int result = ownership_runtime(supervisor, why);

	if (result == 0)
		result = ownership_record(supervisor, why);
	if (result == 0)
		result = restore_events(supervisor, why);
	if (result == 0)
		result = commands_reopen(supervisor, why);
	if (result == 0)
		result = notify_reopen(supervisor, why);
	if (result < 0)
		return result;
	supervisor_save(supervisor);
	workers_succeed(supervisor); /* they listen in it too */
	return 0;
}

/* A worker that has not said HELLO may be making its socket where it will not be found. */
static bool is_busy(const struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].pid != 0 && !supervisor->workers[i].ready)
			return true;
	return workers_are_changing(supervisor);
}

static void look(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;
	struct error why = {0};
	int result;

	if (supervisor->machine.finishing)
		return;
	if (is_whole(supervisor)) {
		if (!is_busy(supervisor) && !sockets_are_there(supervisor))
			workers_succeed(supervisor);
		return;
	}
	result = is_busy(supervisor) ? -EBUSY : restore(supervisor, &why);
	if (result == 0) {
		supervisor->runtime.told = false;
		watch_directory(supervisor);
		/* Who deleted it may be at work still, and have taken from the new one before the watch. */
		loop_timer_arm(&supervisor->loop, timer, clock_boot_ms() + RESTORE_SOON_MS);
		events_record(supervisor, "runtime.restored", SEVERITY_WARNING, 0, NULL,
		    "Somebody deleted the runtime directory %s or a part of it; it is made anew, and the "
		    "gateway was not touched.",
		    path_of(supervisor));
		return;
	}
	if (result != -EBUSY && !supervisor->runtime.told) {
		supervisor->runtime.told = true;
		events_record(supervisor, "runtime.lost", SEVERITY_ERROR, 0, NULL,
		    "The runtime directory is lost, and commands do not reach Holdfast until it can be made "
		    "anew: %.200s It is tried again every %d s; the gateway is not touched.",
		    why.text, RESTORE_AGAIN_MS / 1000);
	}
	loop_timer_arm(&supervisor->loop, timer,
	    clock_boot_ms() + (result == -EBUSY ? RESTORE_SOON_MS : RESTORE_AGAIN_MS));
}

static void directory_changed(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;
	char buffer[4096] __attribute__((aligned(8)));

	(void)events;
	while (world_read(source->fd, buffer, sizeof(buffer)) > 0)
		;
	look(&supervisor->runtime.timer);
}

void runtime_watch(struct supervisor *supervisor)
{
	supervisor->runtime.source =
	    (struct loop_source){.fd = -1, .callback = directory_changed, .context = supervisor};
	supervisor->runtime.timer = (struct loop_timer){.callback = look, .context = supervisor};
	watch_directory(supervisor);
	if (supervisor->executed_anew) /* meanwhile nobody watched */
		loop_timer_arm(
		    &supervisor->loop, &supervisor->runtime.timer, clock_boot_ms() + RESTORE_AGAIN_MS);
}

void runtime_forget(struct supervisor *supervisor)
{
	int fd = supervisor->runtime.source.fd;

	loop_source_retire(&supervisor->runtime.source);
	file_close(&fd);
}
