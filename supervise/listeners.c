/* The listening sockets of the recorder (API) and the relay. They are ours, so that a worker's end queues
 * callers instead of refusing them; every worker and the service manager keep copies, so that our own end
 * does not either. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "process/procfs.h"
#include "supervise/descriptors.h"
#include "supervise/manager.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define LISTEN_BACKLOG 512
#define RETRY_MS       5000

static const char *const names[LISTENER_COUNT] = {"holdfast-api", "holdfast-relay"};
static const char *const words[LISTENER_COUNT] = {"HTTP interface", "relay"};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Where this one is to listen. Returns the length of the address; 0: nowhere. */
static socklen_t wanted_address(
    const struct settings *settings, enum listener_index which, union address *address)
{
	const char *host =
	    which == LISTENER_API ? settings_string(settings, settings->api.host) : "127.0.0.1";
	uint32_t port = which == LISTENER_API ? settings->api.port : settings->relay.port;

	memset(address, 0, sizeof(*address));
	if (port == 0 || (which == LISTENER_RELAY && settings->relay.provider_count == 0))
		return 0;
	if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons((uint16_t)port);
		return sizeof(address->v4);
	}
	if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) != 1)
		return 0;
	address->v6.sin6_family = AF_INET6;
	address->v6.sin6_port = htons((uint16_t)port);
	return sizeof(address->v6);
}

/* An earlier life's socket may listen where nothing is wanted any more, or be no listening socket at all. */
static bool listens_there(int fd, const union address *wanted, socklen_t wanted_size)
{
	union address address;
	socklen_t size = sizeof(address);
	int listening = 0;
	socklen_t listening_size = sizeof(listening);

	memset(&address, 0, sizeof(address));
	return wanted_size != 0 && getsockname(fd, &address.any, &size) == 0 && size == wanted_size &&
	       memcmp(&address, wanted, size) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_size) == 0 && listening != 0;
}

static int listen_at(const union address *address, socklen_t size)
{
	const int on = 1;
	int fd = world_socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (world_bind(fd, &address->any, size) < 0 || world_listen(fd, LISTEN_BACKLOG) < 0) {
		int code = -errno;

		close(fd);
		return code;
	}
	return fd;
}

static void put(const struct supervisor *supervisor, int channel_fd, enum listener_index which)
{
	struct message message = {0};

	message.listener.which = which;
	if (channel_fd >= 0 && supervisor->listeners.fds[which] >= 0)
		message_send(channel_fd, MESSAGE_LISTENER, &message, supervisor->listeners.fds[which]);
}

static void opened(struct supervisor *supervisor, enum listener_index which, int fd)
{
	supervisor->listeners.fds[which] = fd;
	manager_keep(names[which], fd);
	for (int i = 0; i < WORKER_COUNT; i++)
		if (!supervisor->workers[i].returning)
			put(supervisor, supervisor->workers[i].channel_fd, which);
}

static void tell_failure(struct supervisor *supervisor, enum listener_index which, uint32_t port, int code)
{
	struct procfs_listener holder;
	char owner[PROCFS_NAME_MAX + 32] = "";

	if (supervisor->listeners.told[which])
		return;
	supervisor->listeners.told[which] = true;
	if (code == -EADDRINUSE && procfs_listener(port, &holder) == 1 && holder.pid != 0)
		snprintf(owner, sizeof(owner), " by pid %d (%s)", holder.pid, holder.name);
	events_record(supervisor, "listener.failed", SEVERITY_WARNING, 0, NULL,
	    "Holdfast's %s cannot listen on port %u: %s%s; choose another port or free this one. It is tried "
	    "again every %d s; the gateway is not touched.",
	    words[which], port, code == -EADDRINUSE ? "it is taken" : strerror(-code), owner,
	    RETRY_MS / 1000);
}

/* Opens what nobody gave us. */
static void open_missing(struct loop_timer *timer)
{
	struct supervisor *supervisor = timer->context;
	bool failed = false;

	if (supervisor->is_trial)
		return;
	for (enum listener_index which = 0; which < LISTENER_COUNT; which++) {
		union address address;
		socklen_t size = wanted_address(supervisor->settings, which, &address);
		int fd;

		if (size == 0 || supervisor->listeners.fds[which] >= 0)
			continue;
		fd = listen_at(&address, size);
		if (fd >= 0) {
			opened(supervisor, which, fd);
			continue;
		}
		failed = true;
		tell_failure(supervisor, which, ntohs(address.v4.sin_port), fd);
	}
	loop_timer_arm(&supervisor->loop, timer, failed ? clock_boot_ms() + RETRY_MS : 0);
}

void listeners_init(struct supervisor *supervisor)
{
	for (int i = 0; i < LISTENER_COUNT; i++)
		supervisor->listeners.fds[i] = -1;
	supervisor->listeners.retry.callback = open_missing;
	supervisor->listeners.retry.context = supervisor;
	for (int i = 0; i < LISTENER_COUNT; i++)
		listeners_take(supervisor, (uint32_t)i, descriptors_take(names[i]));
}

void listeners_take(struct supervisor *supervisor, uint32_t which, int fd)
{
	union address address;
	socklen_t size;

	if (which >= LISTENER_COUNT || fd < 0) {
		file_close(&fd);
		return;
	}
	size = wanted_address(supervisor->settings, (enum listener_index)which, &address);
	if (supervisor->listeners.fds[which] >= 0) {
		close(fd);
		return;
	}
	if (!listens_there(fd, &address, size)) {
		manager_forget(names[which]); /* before another takes the name */
		close(fd);
		return;
	}
	opened(supervisor, (enum listener_index)which, fd);
}

void listeners_open(struct supervisor *supervisor)
{
	open_missing(&supervisor->listeners.retry);
}

void listeners_put(const struct supervisor *supervisor, int channel_fd)
{
	for (int i = 0; i < LISTENER_COUNT; i++)
		put(supervisor, channel_fd, (enum listener_index)i);
}

void listeners_add(const struct supervisor *supervisor, struct text *list)
{
	for (int i = 0; i < LISTENER_COUNT; i++)
		descriptors_add(list, names[i], supervisor->listeners.fds[i]);
}

void listeners_close(struct supervisor *supervisor)
{
	loop_timer_arm(&supervisor->loop, &supervisor->listeners.retry, 0);
	for (int i = 0; i < LISTENER_COUNT; i++) {
		if (supervisor->listeners.fds[i] >= 0)
			manager_forget(names[i]);
		file_close(&supervisor->listeners.fds[i]);
	}
}
