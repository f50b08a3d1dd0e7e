/* A server on a socket of its own, driven by the test one turn at a time, and its callers. */
#ifndef HOLDFAST_TESTS_SUPPORT_SERVE_HOME_H
#define HOLDFAST_TESTS_SUPPORT_SERVE_HOME_H

#include "support/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "http/serve.h"

#define PATIENCE_MS 20000
#define GET_HEALTH  "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

/* ---- given: a server, driven by the test one turn at a time ---- */

static struct loop loop;
static struct serve serve;
static struct loop_timer tick;
static int listener = -1, requests, drained_count;
static uint16_t port;
static char seen_path[256], seen_query[256];
static size_t body_bytes;

static inline void request_came(
    struct serve *server, const struct http_request *request, struct serve_answer *answer)
{
	(void)server;
	requests++;
	snprintf(seen_path, sizeof(seen_path), "%.*s", (int)request->path_length, request->path);
	snprintf(seen_query, sizeof(seen_query), "%.*s", (int)request->query_length,
	    request->query != NULL ? request->query : "");
	serve_say_healthy(answer);
	while (answer->body.length < body_bytes && !answer->body.truncated)
		text_add(&answer->body, " ");
}

static inline void drained(struct serve *server)
{
	(void)server;
	drained_count++;
}

static inline void nothing(struct loop_timer *timer)
{
	(void)timer;
}

static inline int listen_somewhere(uint16_t *where)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		abort();
	*where = ntohs(address.sin_port);
	return fd;
}

static inline void given_a_server(void)
{
	loop_init(&loop);
	serve_init(&serve, &loop, "127.0.0.1");
	serve.request = request_came;
	serve.drained = drained;
	serve.linger_ms = 500;
	listener = listen_somewhere(&port);
	tick.callback = nothing;
	requests = drained_count = 0;
	body_bytes = 0;
	CHECK(serve_listen(&serve, listener) == 0);
}

static inline void end_of_server(void)
{
	serve_release(&serve);
	loop_timer_arm(&loop, &tick, 0);
	CHECK(loop.timer_count == 0);
	CHECK(serve.count == 0);
	loop_release(&loop);
	file_close(&listener);
}

static inline void turn(void)
{
	loop_timer_arm(&loop, &tick, clock_boot_ms() + 5);
	loop_turn(&loop);
}

/* ---- when: callers ---- */

static inline int call_at(uint16_t where)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_port = htons(where), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		file_close(&fd);
		return -1;
	}
	return fd;
}

static inline int call(void)
{
	return call_at(port);
}

static inline bool say(int fd, const char *bytes)
{
	return send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes);
}

static char heard[64 * 1024];

/* Hears until the other side closes. Returns 0, or the errno of what happened instead. */
static inline int hear(int fd)
{
	int64_t until_ms = clock_boot_ms() + PATIENCE_MS;
	size_t length = 0;

	while (clock_boot_ms() < until_ms) {
		ssize_t got = recv(fd, heard + length, sizeof(heard) - 1 - length, MSG_DONTWAIT);

		heard[length + (got > 0 ? (size_t)got : 0)] = '\0';
		if (got == 0)
			return 0;
		if (got < 0 && errno != EAGAIN)
			return errno;
		if (got < 0)
			turn();
		else
			length += (size_t)got;
	}
	return ETIMEDOUT;
}

static inline unsigned status(void)
{
	return strncmp(heard, "HTTP/1.1 ", 9) == 0 ? (unsigned)strtoul(heard + 9, NULL, 10) : 0;
}

/* The status of the answer to one request; 0: none. */
static inline unsigned ask(const char *request)
{
	int fd = call(), result;

	heard[0] = '\0';
	say(fd, request);
	result = hear(fd);
	close(fd);
	return result == 0 ? status() : 0;
}

static inline const char *body(void)
{
	const char *end = strstr(heard, "\r\n\r\n");

	return end != NULL ? end + 4 : "";
}

static inline bool turn_until_count(int wanted)
{
	int64_t until_ms = clock_boot_ms() + PATIENCE_MS;

	while (serve.count != wanted && clock_boot_ms() < until_ms)
		turn();
	return serve.count == wanted;
}

static inline int turns_within(int64_t ms)
{
	int64_t until_ms = clock_boot_ms() + ms;
	int turns = 0;

	loop_timer_arm(&loop, &tick, until_ms);
	while (tick.due_ms != 0) {
		loop_turn(&loop);
		turns++;
	}
	return turns;
}

#endif
