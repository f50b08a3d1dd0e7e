/* A provider of language models for tests and benches, on 127.0.0.1.
 *
 *   mock_upstream [--port N] [--tls CERTIFICATE KEY] [--manner NAME] [--bench]
 *
 * Prints its port, and serves until it is killed or its stdin ends. POST .../messages is Anthropic's API and
 * POST
 * .../chat/completions OpenAI's; mock_upstream_manners.c says how the key chooses the answer, unless --manner
 * says it for all. --bench: remembers no requests, and answers with as little work as it can; "stream" and
 * "model" must then be among a body's first 2 KiB. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/mock_upstream.h"

#define READ_BYTES    (256 * 1024)
#define EVENTS_MAX    512
#define BACKLOG       4096
#define REPEATS_A_RUN 64 /* of bytes without end, before others have their turn */

struct mock mock = {.keeps_requests = true};

static int epoll_fd, listener_fd;

static void die(const char *what)
{
	fprintf(stderr, "mock_upstream: %s: %s\n", what, strerror(errno));
	exit(99);
}

/* ---- a connection ---- */

static void connection_close(struct connection *connection, bool is_gone)
{
	if (connection->asked != NULL && connection->asked->ended_ns == 0)
		record_end(connection->asked, is_gone);
	if (is_gone && connection->phase == PHASE_ANSWER)
		mock.gone++;
	timer_stop(connection);
	if (connection->tls != NULL) {
		if (connection->is_shaken && !connection->is_over)
			SSL_shutdown(connection->tls);
		SSL_free(connection->tls);
		ERR_clear_error();
	}
	close(connection->fd);
	*connection->link = connection->next;
	if (connection->next != NULL)
		connection->next->link = connection->link;
	bytes_release(&connection->input);
	bytes_release(&connection->body);
	bytes_release(&connection->words);
	bytes_release(&connection->tick);
	free(connection);
	mock.open--;
}

/* Bytes read; 0: none now; -1: no more, or an error. */
static ssize_t connection_read(struct connection *connection, void *buffer, size_t room)
{
	ssize_t got;

	if (connection->tls != NULL) {
		got = SSL_read(connection->tls, buffer, (int)room);
		if (got > 0)
			return got;
		connection->is_readable = false;
		got = SSL_get_error(connection->tls, (int)got) == SSL_ERROR_WANT_READ ? 0 : -1;
		ERR_clear_error();
		return got;
	}
	got = read(connection->fd, buffer, room);
	if (got < (ssize_t)room)
		connection->is_readable = false;
	if (got < 0)
		return errno == EAGAIN ? 0 : -1;
	return got > 0 ? got : -1;
}

static ssize_t connection_write(struct connection *connection, const void *data, size_t length)
{
	ssize_t put;

	if (connection->tls != NULL) {
		put = SSL_write(connection->tls, data, (int)length);
		if (put > 0)
			return put;
		connection->is_writable = false;
		put = SSL_get_error(connection->tls, (int)put) == SSL_ERROR_WANT_WRITE ? 0 : -1;
		ERR_clear_error();
		return put;
	}
	put = send(connection->fd, data, length, MSG_NOSIGNAL);
	if (put < (ssize_t)length)
		connection->is_writable = false;
	return put >= 0 ? put : errno == EAGAIN ? 0 : -1;
}

/* 1: all is written; 0: later; -1: the client is gone. */
static int connection_send(struct connection *connection, const char *data, size_t length)
{
	while (connection->sent < length) {
		ssize_t put;

		if (!connection->is_writable)
			return 0;
		put = connection_write(connection, data + connection->sent, length - connection->sent);
		if (put < 0)
			return -1;
		connection->sent += (size_t)put;
	}
	connection->sent = 0;
	return 1;
}

static int send_tick(struct connection *connection, const struct step *step)
{
	int result;

	if (!connection->tick_under_way) {
		struct bytes event = {0};
		char text[32];

		snprintf(text, sizeof(text), "t=%019lld ", (long long)now_ns());
		words_content(&event, &connection->request, text);
		connection->tick.length = 0;
		words_chunk(&connection->tick, &event);
		bytes_release(&event);
		connection->tick_under_way = true;
	}
	result = connection_send(connection, connection->tick.data, connection->tick.length);
	if (result == 1) {
		connection->tick_under_way = false;
		timer_start(connection, now_ns() / 1000000 + step->ms);
		return 0;
	}
	return result;
}

static int send_repeated(struct connection *connection, const struct step *step, const char *data)
{
	for (int i = 0; i < REPEATS_A_RUN; i++) {
		int result = connection_send(connection, data, step->length);

		if (result != 1)
			return result;
		if (step->ms > 0)
			break;
	}
	timer_start(connection, now_ns() / 1000000 + step->ms);
	return 0;
}

/* 1: the step is done; 0: later; -1: the connection is to be closed. */
static int step_do(struct connection *connection)
{
	const struct step *step = &connection->steps[connection->step];
	const char *data = connection->fixed != NULL ? connection->fixed : connection->words.data + step->at;

	switch (step->kind) {
	case STEP_SEND:
		return connection_send(
		    connection, data, connection->fixed != NULL ? connection->fixed_length : step->length);
	case STEP_DRIP:
		if (connection_write(connection, data + connection->sent, 1) < 0)
			return -1;
		if (++connection->sent == step->length) {
			connection->sent = 0;
			return 1;
		}
		timer_start(connection, now_ns() / 1000000 + step->ms);
		return 0;
	case STEP_WAIT:
		if (connection->sent++ == 0) {
			timer_start(connection, now_ns() / 1000000 + step->ms);
			return 0;
		}
		connection->sent = 0;
		return 1;
	case STEP_REPEAT:
		return send_repeated(connection, step, data);
	case STEP_TICK:
		return send_tick(connection, step);
	case STEP_HANG:
		return 0;
	case STEP_RESET:
		setsockopt(
		    connection->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
		connection->is_over = true;
		return -1;
	case STEP_CLOSE:
		break;
	}
	return -1;
}

/* False: the connection is closed. */
static bool connection_answer(struct connection *connection)
{
	while (connection->step < connection->step_count) {
		int result = connection->due_ms == 0 ? step_do(connection) : 0;

		if (result < 0) {
			enum step_kind kind = connection->steps[connection->step].kind;

			connection_close(connection, kind != STEP_RESET && kind != STEP_CLOSE);
			return false;
		}
		if (result == 0)
			return true;
		connection->step++;
	}
	mock.answered++;
	if (connection->asked != NULL)
		record_end(connection->asked, false);
	connection->asked = NULL;
	connection->phase = PHASE_HEAD;
	if (!connection->request.closes)
		return true;
	connection_close(connection, false);
	return false;
}

static void request_came(struct connection *connection)
{
	struct asked *asked = connection->asked;

	if (asked != NULL) {
		asked->body_length = connection->body_length;
		asked->body_hash = connection->body_hash;
		bytes_add(&asked->body, connection->body.data, connection->body.length);
	}
	if (connection->phase != PHASE_ANSWER)
		manner_answer(connection, false);
}

/* False: the connection is closed. */
static bool connection_feed(struct connection *connection, const char *data, size_t length)
{
	while (length > 0) {
		size_t used;
		int result;

		if (connection->phase == PHASE_ANSWER)
			return true; /* the rest of a body that was refused; nobody here pipelines */
		result = request_read(connection, data, length, &used);
		if (result < 0) {
			connection_close(connection, false);
			return false;
		}
		data += used;
		length -= used;
		if (result == 0)
			continue;
		request_came(connection);
		if (!connection_answer(connection))
			return false;
	}
	return true;
}

static bool connection_shake(struct connection *connection)
{
	int result;

	if (connection->tls == NULL || connection->is_shaken)
		return true;
	result = SSL_accept(connection->tls);
	if (result == 1) {
		connection->is_shaken = true;
		mock.handshakes++;
		mock.resumed += (uint64_t)SSL_session_reused(connection->tls);
		return true;
	}
	result = SSL_get_error(connection->tls, result);
	ERR_clear_error();
	if (result == SSL_ERROR_WANT_READ || result == SSL_ERROR_WANT_WRITE)
		connection->is_readable = false;
	else
		connection_close(connection, false);
	return false;
}

static void connection_ready(struct connection *connection, uint32_t events)
{
	static char buffer[READ_BYTES];

	connection->is_readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	connection->is_writable |= (events & EPOLLOUT) != 0;
	if (!connection_shake(connection))
		return;
	if (connection->phase == PHASE_ANSWER && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
		connection_close(connection, true);
		return;
	}
	if (connection->phase == PHASE_ANSWER && connection->step < connection->step_count &&
	    !connection_answer(connection))
		return;
	while (connection->is_readable || (events & EPOLLRDHUP)) {
		ssize_t got = connection_read(connection, buffer, sizeof(buffer));

		if (got < 0) {
			connection_close(connection, true);
			return;
		}
		if (got == 0 || !connection_feed(connection, buffer, (size_t)got))
			return;
	}
}

/* ---- the listener ---- */

static void accept_all(void)
{
	int fd, on = 1;

	while ((fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *connection = calloc(1, sizeof(*connection));
		struct epoll_event event = {
		    .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};

		if (connection == NULL)
			die("memory");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		connection->fd = fd;
		connection->number = ++mock.accepted;
		connection->is_writable = true;
		connection->link = &mock.connections;
		connection->next = mock.connections;
		if (connection->next != NULL)
			connection->next->link = &connection->next;
		mock.connections = connection;
		mock.open++;
		if (mock.tls != NULL) {
			connection->tls = SSL_new(mock.tls);
			SSL_set_fd(connection->tls, fd);
		}
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			die("epoll_ctl");
	}
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int on = 1;

	listener_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener_fd, (struct sockaddr *)&address, length) < 0 || listen(listener_fd, BACKLOG) < 0 ||
	    getsockname(listener_fd, (struct sockaddr *)&address, &length) < 0)
		die("the listening socket");
	return ntohs(address.sin_port);
}

static void use_tls(const char *certificate, const char *key)
{
	static const unsigned char context[] = "mock";

	mock.tls = SSL_CTX_new(TLS_server_method());
	if (mock.tls == NULL || SSL_CTX_use_certificate_chain_file(mock.tls, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(mock.tls, key, SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		exit(99);
	}
	SSL_CTX_set_session_id_context(mock.tls, context, sizeof(context));
	SSL_CTX_set_mode(mock.tls,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}

static void watch(int fd, void *pointer)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = pointer};

	/* A regular file or /dev/null cannot be watched, and does not end either. */
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EPERM)
		die("epoll_ctl");
}

static void serve(void)
{
	static struct epoll_event events[EVENTS_MAX];
	static char input, listener;

	watch(listener_fd, &listener);
	watch(STDIN_FILENO, &input);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS_MAX, timers_next());

		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		/* Each connection is in a batch once at most, and closed by its own event only. */
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &listener)
				accept_all();
			else if (events[i].data.ptr == &input)
				exit(0);
			else
				connection_ready(events[i].data.ptr, events[i].events);
		}
		timers_run(connection_answer);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int port = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
			port = (int)strtol(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
			use_tls(argv[i + 1], argv[i + 2]);
			i += 2;
		} else if (strcmp(argv[i], "--manner") == 0 && i + 1 < argc && manner_set_only(argv[i + 1])) {
			i++;
		} else if (strcmp(argv[i], "--bench") == 0) {
			mock.keeps_requests = false;
		} else {
			fprintf(stderr, "mock_upstream: see the top of mock_upstream.c\n");
			return 99;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	port = listen_on((uint16_t)port);
	printf("%d\n", port);
	fflush(stdout);
	serve();
}
