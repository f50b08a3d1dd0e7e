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

#define TERMINATE(text) ((text)[sizeof(text) - 1] = '\0')

static void terminate_health(struct control_health *health)
{
	TERMINATE(health->state);
	TERMINATE(health->probe);
	TERMINATE(health->link);
	TERMINATE(health->version);
	TERMINATE(health->failing);
	TERMINATE(health->said);
	for (int i = 0; i < CONTROL_ORPHANS_MAX; i++) {
		TERMINATE(health->orphans[i].kind);
		TERMINATE(health->orphans[i].name);
	}
}

static void terminate_reply(struct control_reply *reply)
{
	TERMINATE(reply->sentence);
	TERMINATE(reply->changes);
	TERMINATE(reply->state);
	TERMINATE(reply->reason);
	TERMINATE(reply->gateway.kind);
	TERMINATE(reply->gateway.command);
	TERMINATE(reply->gateway.containment);
	TERMINATE(reply->supervisor.version);
	TERMINATE(reply->store.why);
	for (int i = 0; i < CONTROL_WORKER_COUNT; i++)
		TERMINATE(reply->workers[i].name);
	terminate_health(&reply->health);
}

static void terminate_sessions(struct control_sessions *reply)
{
	TERMINATE(reply->sentence);
	for (int i = 0; i < CONTROL_SESSIONS_ROWS; i++) {
		TERMINATE(reply->rows[i].key);
		TERMINATE(reply->rows[i].id);
		TERMINATE(reply->rows[i].run);
		TERMINATE(reply->rows[i].tool);
		TERMINATE(reply->rows[i].state);
		TERMINATE(reply->rows[i].waits);
	}
}

/* An answer of any kind: `size` bytes, its version first. */
static int exchange(int fd, const struct control_request *request, void *reply, size_t size, int64_t until_ms)
{
	uint32_t version;
	ssize_t length;
	int result = wait_for(fd, POLLOUT, until_ms);

	if (result < 0)
		return result;
	if (world_send(fd, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		return -errno;
	result = wait_for(fd, POLLIN, until_ms);
	if (result < 0)
		return result;
	length = world_recv(fd, reply, size, MSG_TRUNC);
	if (length < 0)
		return -errno;
	if (length == 0)
		return -ECONNRESET;
	if (length != (ssize_t)size)
		return -EPROTO;
	memcpy(&version, reply, sizeof(version));
	return version == CONTROL_VERSION ? 0 : -EPROTO;
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

static int ask(const char *runtime_dir, const struct control_request *request, void *reply, size_t size,
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
		result = exchange(fd, request, reply, size, until_ms);
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

int control_ask(const char *runtime_dir, const struct control_request *request, struct control_reply *reply,
    int timeout_ms, struct error *why)
{
	int result = ask(runtime_dir, request, reply, sizeof(*reply), timeout_ms, why);

	if (result == 0)
		terminate_reply(reply);
	return result;
}

int control_ask_sessions(const char *runtime_dir, uint32_t after, struct control_sessions *reply,
    int timeout_ms, struct error *why)
{
	const struct control_request request = {
	    .version = CONTROL_VERSION, .verb = CONTROL_SESSIONS, .after = after};
	int result = ask(runtime_dir, &request, reply, sizeof(*reply), timeout_ms, why);

	if (result < 0)
		return result;
	terminate_sessions(reply);
	/* Each part goes on where the one before ended, or there would be no end. */
	if (reply->count > CONTROL_SESSIONS_ROWS || (reply->next != 0 && reply->next <= after))
		return error_set(why, -EBADMSG, "The supervisor's list of sessions makes no sense.");
	return 0;
}
