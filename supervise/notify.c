/* The socket by which a generic gateway speaks sd_notify(3). The sentry reads it; while no sentry does, we
 * discard, so that the gateway never waits for a reader. Its name is put in place of an earlier one's in one
 * step: a gateway that speaks meanwhile finds one of them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "supervise/descriptors.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define NOTIFY_NAME     "notify"
#define NOTIFY_NEW_NAME "notify.new"
#define LOOK_MS         1000
#define DATAGRAMS_MAX   1024

static void discard(struct supervisor *supervisor)
{
	char byte;

	for (int i = 0; i < DATAGRAMS_MAX; i++)
		if (world_recv(supervisor->notify.fd, &byte, sizeof(byte), MSG_DONTWAIT) < 0)
			return;
}

static void readable(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;

	(void)events;
	if (supervisor->notify.discarding)
		discard(supervisor);
	else /* the source is one-shot: it is armed again by the timer's look */
		loop_timer_arm(&supervisor->loop, &supervisor->notify.timer, clock_boot_ms() + LOOK_MS);
}

static void watch_again(struct supervisor *supervisor)
{
	supervisor->notify.pinged = supervisor->notify.ponged = false;
	loop_source_change(&supervisor->notify.source, EPOLLIN | EPOLLONESHOT);
}

static void look(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;
	struct message ping = {0};

	if (!file_is_readable(supervisor->notify.fd) || supervisor->notify.ponged) {
		watch_again(supervisor);
	} else if (workers_are_changing(supervisor)) {
		/* The old sentry reads, though it is not heard, until the new one does. */
		loop_timer_arm(&supervisor->loop, timer, clock_boot_ms() + LOOK_MS);
	} else if (!supervisor->notify.pinged && supervisor->workers[WORKER_SENTRY].ready) {
		supervisor->notify.pinged = true;
		worker_say(supervisor, WORKER_SENTRY, MESSAGE_PING, &ping, -1);
		loop_timer_arm(&supervisor->loop, timer, clock_boot_ms() + LOOK_MS);
	} else {
		supervisor->notify.discarding = true;
		loop_source_change(&supervisor->notify.source, EPOLLIN);
		discard(supervisor);
	}
}

void notify_ponged(struct supervisor *supervisor)
{
	supervisor->notify.ponged = true;
	if (supervisor->notify.discarding)
		notify_sentry_back(supervisor);
}

void notify_sentry_back(struct supervisor *supervisor)
{
	supervisor->notify.discarding = false;
	if (supervisor->notify.fd >= 0)
		watch_again(supervisor);
}

static int make_address(const struct supervisor *supervisor, struct sockaddr_un *address, const char *name)
{
	const char *directory = settings_string(supervisor->settings, supervisor->settings->runtime_dir);
	int length;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	length = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s", directory, name);
	return length < (int)sizeof(address->sun_path) ? 0 : -ENAMETOOLONG;
}

/* A socket under its name, in place of what is there. Returns it or a negative errno. */
static int make_socket(const struct supervisor *supervisor)
{
	struct sockaddr_un address;
	int result = make_address(supervisor, &address, NOTIFY_NEW_NAME), on = 1, fd;

	if (result < 0)
		return result;
	fd = world_socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	world_unlinkat(supervisor->runtime_fd, NOTIFY_NEW_NAME, 0);
	world_fchmod(fd, 0600);
	/* The kernel says with each datagram who sent it. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	    world_bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    world_renameat(supervisor->runtime_fd, NOTIFY_NEW_NAME, supervisor->runtime_fd, NOTIFY_NAME) <
	        0) {
		result = -errno;
		close(fd);
		return result;
	}
	return fd;
}

static int hear(struct supervisor *supervisor, int fd)
{
	supervisor->notify.fd = fd;
	supervisor->notify.source.callback = readable;
	supervisor->notify.source.context = supervisor;
	supervisor->notify.timer.callback = look;
	supervisor->notify.timer.context = supervisor;
	return loop_source_watch(&supervisor->loop, &supervisor->notify.source, fd, EPOLLIN | EPOLLONESHOT);
}

/* Without its word it would never be ready; or it is to promise something. */
static bool is_needed(const struct settings *settings)
{
	return settings->health.watchdog_ms > 0 ||
	       strcmp(settings_string(settings, settings->health.ready_path), SETTINGS_READY_NOTIFY) == 0;
}

static int refuse(const struct supervisor *supervisor, int code, struct error *why)
{
	const char *directory = settings_string(supervisor->settings, supervisor->settings->runtime_dir);

	if (code == -ENAMETOOLONG)
		return error_set(why, code,
		    "The runtime directory %s has too long a name: a program cannot speak sd_notify to a "
		    "socket in "
		    "it. Name a shorter one (--runtime-dir).",
		    directory);
	return error_set(
	    why, code, "The notify socket in %s cannot be made: %s.", directory, strerror(-code));
}

int notify_open(struct supervisor *supervisor, struct error *why)
{
	int fd = descriptors_take(NOTIFY_NAME), result;

	supervisor->notify.fd = supervisor->notify.source.fd = -1;
	if (supervisor->settings->gateway.kind != GATEWAY_GENERIC) {
		file_close(&fd);
		return 0;
	}
	if (fd < 0)
		fd = make_socket(supervisor);
	/* No address holds the name: then the gateway is not told of it. */
	if (fd == -ENAMETOOLONG && !is_needed(supervisor->settings))
		return 0;
	result = fd < 0 ? fd : hear(supervisor, fd);
	return result < 0 ? refuse(supervisor, result, why) : 0;
}

int notify_reopen(struct supervisor *supervisor, struct error *why)
{
	struct message message = {0};
	int fd, result;

	if (supervisor->notify.fd < 0)
		return 0;
	fd = make_socket(supervisor);
	if (fd < 0)
		return refuse(supervisor, fd, why);
	loop_source_retire(&supervisor->notify.source);
	loop_timer_arm(&supervisor->loop, &supervisor->notify.timer, 0);
	file_close(&supervisor->notify.fd);
	supervisor->notify.discarding = supervisor->notify.pinged = supervisor->notify.ponged = false;
	result = hear(supervisor, fd);
	if (result < 0)
		return refuse(supervisor, result, why);
	worker_say(supervisor, WORKER_SENTRY, MESSAGE_NOTIFY, &message, fd);
	return 0;
}

bool notify_is_there(const struct supervisor *supervisor)
{
	struct stat status;

	return supervisor->notify.fd < 0 ||
	       fstatat(supervisor->runtime_fd, NOTIFY_NAME, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

int notify_environment(const struct supervisor *supervisor, struct notify_variables *variables)
{
	const struct settings *settings = supervisor->settings;
	struct sockaddr_un address;

	memset(variables, 0, sizeof(*variables));
	if (settings->gateway.kind != GATEWAY_GENERIC)
		return 0;
	if (make_address(supervisor, &address, NOTIFY_NAME) < 0)
		return -ENAMETOOLONG;
	snprintf(variables->socket, sizeof(variables->socket), "NOTIFY_SOCKET=%s", address.sun_path);
	if (settings->health.watchdog_ms > 0)
		snprintf(variables->watchdog, sizeof(variables->watchdog), "WATCHDOG_USEC=%" PRId64,
		    settings->health.watchdog_ms * 1000);
	return 0;
}

void notify_close(struct supervisor *supervisor)
{
	if (supervisor->notify.fd < 0)
		return;
	loop_source_retire(&supervisor->notify.source);
	file_close(&supervisor->notify.fd);
	world_unlinkat(supervisor->runtime_fd, NOTIFY_NAME, 0);
}
