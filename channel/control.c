#include "channel/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "world/world.h"

#define CONNECT_AGAIN_US 5000

/* A socket's address holds 107 bytes; through the directory's descriptor any path fits. */
static void address_in(int directory_fd, const char *name, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", directory_fd, name);
}

static int open_socket(const char *runtime_dir, int *directory_fd, struct error *why)
{
	int fd;

	*directory_fd = world_open(runtime_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*directory_fd < 0)
		return error_set(why, -errno, "The runtime directory %s cannot be opened: %s.", runtime_dir,
		    strerror(errno));
	fd = world_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(why, -errno, "A socket cannot be made: %s.", strerror(errno));
	return fd;
}

int control_listen_at(const char *runtime_dir, const char *name, struct error *why)
{
	int directory_fd CLOSE_ON_RETURN = -1;
	struct sockaddr_un address;
	int fd = open_socket(runtime_dir, &directory_fd, why);

	if (fd < 0)
		return fd;
	address_in(directory_fd, name, &address);
	/* Whose name it is has the right to it: what is there is a dead predecessor's, or one on its way out.
	 */
	world_unlinkat(directory_fd, name, 0);
	world_fchmod(fd, 0600);
	if (world_bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || world_listen(fd, 32) < 0) {
		int code = -errno;

		world_unlinkat(directory_fd, name, 0); /* bound, and nobody listens */
		close(fd);
		return error_set(why, code, "The %s socket in %s cannot be opened: %s.", name, runtime_dir,
		    strerror(-code));
	}
	return fd;
}

int control_listen(const char *runtime_dir, struct error *why)
{
	return control_listen_at(runtime_dir, CONTROL_SOCKET_NAME, why);
}

void control_worker_name(char *target, const char *name, int pid)
{
	snprintf(target, CONTROL_NAME_MAX, "%s.%d", name, pid);
}

int control_connect(const char *runtime_dir, const char *name)
{
	int directory_fd CLOSE_ON_RETURN = -1;
	int fd = open_socket(runtime_dir, &directory_fd, NULL);
	struct sockaddr_un address;

	if (fd < 0)
		return fd;
	address_in(directory_fd, name, &address);
	if (world_connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int code = -errno;

		close(fd);
		return code;
	}
	return fd;
}

static int wait_for(int fd, short events, int64_t until_ms)
{
	struct pollfd poller = {.fd = fd, .events = events};

	for (;;) {
		int64_t left_ms = until_ms - clock_monotonic_ms();
		int ready = poll(&poller, 1, left_ms > 0 ? (int)left_ms : 0);

		if (ready > 0)
			return 0;
		if (ready == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

/* While more callers wait than the queue holds, connect says EAGAIN, and poll cannot say when that is over.
 */
static int connect_until(int fd, const struct sockaddr_un *address, int64_t until_ms)
{
	while (world_connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		if (errno != EAGAIN)
			return -errno;
		if (clock_monotonic_ms() >= until_ms)
			return -ETIMEDOUT;
		usleep(CONNECT_AGAIN_US);
	}
	return 0;
}

static void terminate_texts(struct control_reply *reply)
{
	reply->sentence[sizeof(reply->sentence) - 1] = '\0';
	reply->changes[sizeof(reply->changes) - 1] = '\0';
	reply->state[sizeof(reply->state) - 1] = '\0';
	reply->reason[sizeof(reply->reason) - 1] = '\0';
	reply->gateway.kind[sizeof(reply->gateway.kind) - 1] = '\0';
	reply->gateway.command[sizeof(reply->gateway.command) - 1] = '\0';
	reply->gateway.containment[sizeof(reply->gateway.containment) - 1] = '\0';
	reply->supervisor.version[sizeof(reply->supervisor.version) - 1] = '\0';
	reply->store.why[sizeof(reply->store.why) - 1] = '\0';
	for (int i = 0; i < CONTROL_WORKER_COUNT; i++)
		reply->workers[i].name[sizeof(reply->workers[i].name) - 1] = '\0';
}

static int exchange(
    int fd, const struct control_request *request, struct control_reply *reply, int64_t until_ms)
{
	ssize_t length;
	int result = wait_for(fd, POLLOUT, until_ms);

	if (result < 0)
		return result;
	if (world_send(fd, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		return -errno;
	result = wait_for(fd, POLLIN, until_ms);
	if (result < 0)
		return result;
	length = world_recv(fd, reply, sizeof(*reply), 0);
	if (length < 0)
		return -errno;
	if (length == 0)
		return -ECONNRESET;
	if (length != (ssize_t)sizeof(*reply) || reply->version != CONTROL_VERSION)
		return -EPROTO;
	terminate_texts(reply);
	return 0;
}

static int no_answer(const char *runtime_dir, int code, struct error *why)
{
	if (code == -EACCES || code == -EPERM)
		return error_set(why, code,
		    "The supervisor in %s is another user's and cannot be asked: ask as that user, or name "
		    "another with "
		    "--runtime-dir.",
		    runtime_dir);
	return error_set(why, code,
	    "No supervisor is running (nothing answers in %s): start one with \"holdfast run\".",
	    runtime_dir);
}

int control_ask(const char *runtime_dir, const struct control_request *request, struct control_reply *reply,
    int timeout_ms, struct error *why)
{
	int64_t until_ms = clock_monotonic_ms() + timeout_ms;
	int directory_fd CLOSE_ON_RETURN = -1;
	int fd CLOSE_ON_RETURN = open_socket(runtime_dir, &directory_fd, NULL);
	struct sockaddr_un address;
	int result;

	if (fd < 0)
		return no_answer(runtime_dir, fd, why);
	address_in(directory_fd, CONTROL_SOCKET_NAME, &address);
	result = connect_until(fd, &address, until_ms);
	if (result < 0 && result != -ETIMEDOUT)
		return no_answer(runtime_dir, result, why);
	if (result == 0)
		result = exchange(fd, request, reply, until_ms);
	if (result == -ETIMEDOUT)
		return error_set(
		    why, result, "The supervisor did not answer within %d s.", timeout_ms / 1000);
	if (result == -EPROTO)
		return error_set(why, result,
		    "The supervisor speaks another version of the protocol: restart it, or use its own "
		    "\"holdfast\".");
	if (result < 0)
		return error_set(why, result, "The supervisor could not be asked: %s.", strerror(-result));
	return 0;
}
