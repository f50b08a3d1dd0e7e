#include "http/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "format/json_write.h"
#include "http/head.h"
#include "world/world.h"

#define ACCEPTS_A_TURN  16 /* callers in a crowd keep us from nothing else */
#define ACCEPT_AGAIN_MS 100
#define DISCARD_BYTES   (256 * 1024)
#define ANSWER_HEAD_MAX 512

_Static_assert(ANSWER_HEAD_MAX + SERVE_BODY_MAX <= SERVE_BUFFER_BYTES, "a whole answer fits");
_Static_assert(SERVE_BUFFER_BYTES <= HTTP_HEAD_MAX, "http_head_find sees all of a head");

static char *buffer_of(const struct serve_connection *connection)
{
	struct serve *serve = connection->serve;

	return serve->buffers[connection - serve->connections];
}

static void wake_at(struct serve *serve, int64_t due_ms)
{
	if (serve->timer.due_ms == 0 || due_ms < serve->timer.due_ms)
		loop_timer_arm(serve->loop, &serve->timer, due_ms);
}

/* Whoever is alone gets the first buffer; the others were for a crowd. */
static void give_back_memory(struct serve *serve)
{
	uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)serve->buffers[1] + page_bytes - 1) & ~(page_bytes - 1);
	uintptr_t end = (uintptr_t)serve->buffers[SERVE_CONNECTIONS_MAX] & ~(page_bytes - 1);

	if (serve->slots_used > 1 && begin < end)
		world_madvise((void *)begin, end - begin, MADV_DONTNEED);
	serve->slots_used = 0;
}

static void hang_up(struct serve_connection *connection)
{
	struct serve *serve = connection->serve;

	loop_source_retire(&connection->source);
	file_close(&connection->fd);
	connection->phase = SERVE_FREE;
	if (--serve->count > 0)
		return;
	give_back_memory(serve);
	if (serve->drain_ms != 0 && !serve->done)
		wake_at(serve, clock_boot_ms());
	else if (serve->accept_again_ms == 0)
		loop_timer_arm(serve->loop, &serve->timer, 0); /* nobody is there: nothing wakes us */
}

static void begin_phase(struct serve_connection *connection, enum serve_phase phase, int64_t at_most_ms)
{
	connection->phase = phase;
	connection->turn = ++connection->serve->turns;
	connection->deadline_ms = clock_boot_ms() + at_most_ms;
	wake_at(connection->serve, connection->deadline_ms);
}

/* What still comes is thrown away, until the other side closes as well. */
static void discard(struct serve_connection *connection)
{
	char bytes[4096];
	ssize_t got;

	while ((got = world_recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		connection->discarded += (size_t)got;
		if (connection->discarded >= DISCARD_BYTES)
			break;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	hang_up(connection);
}

static void transmit(struct serve_connection *connection)
{
	struct serve *serve = connection->serve;

	while (connection->sent < connection->length) {
		ssize_t sent = world_send(connection->fd, buffer_of(connection) + connection->sent,
		    connection->length - connection->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN && loop_source_change(&connection->source, EPOLLOUT) == 0)
			return;
		if (sent < 0) {
			hang_up(connection);
			return;
		}
		connection->sent += (size_t)sent;
	}
	if (shutdown(connection->fd, SHUT_WR) < 0 || loop_source_change(&connection->source, EPOLLIN) < 0) {
		hang_up(connection);
		return;
	}
	begin_phase(connection, SERVE_LINGER, serve->linger_ms);
}

static const char *phrase_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} phrases[] = {{200, "OK"}, {400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"},
	    {405, "Method Not Allowed"}, {408, "Request Timeout"}, {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"}, {501, "Not Implemented"}, {503, "Service Unavailable"}};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "";
}

/* The request is done with: its buffer becomes the answer's. */
static void begin_answer(
    struct serve_connection *connection, const struct serve_answer *answer, bool with_body)
{
	struct text text;
	char date[64];
	time_t now = time(NULL);
	struct tm utc;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
	text_init(&text, buffer_of(connection), SERVE_BUFFER_BYTES);
	text_addf(&text,
	    "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
	    answer->status, phrase_of(answer->status), date, answer->content_type, answer->body.length);
	if (answer->allow != NULL)
		text_addf(&text, "Allow: %s\r\n", answer->allow);
	text_add(&text, "\r\n");
	if (with_body)
		text_add_bytes(&text, answer->body.data, answer->body.length);
	connection->length = text.length;
	connection->sent = 0;
	begin_phase(connection, SERVE_ANSWER, connection->serve->answer_ms);
	transmit(connection);
}

static void begin_body(struct serve_answer *answer, char *body)
{
	memset(answer, 0, sizeof(*answer));
	answer->status = 500;
	answer->content_type = "application/json";
	text_init(&answer->body, body, SERVE_BODY_MAX);
}

static void refuse(struct serve_connection *connection, unsigned status, const char *why)
{
	struct serve_answer answer;
	char body[SERVE_BODY_MAX];

	begin_body(&answer, body);
	serve_say(&answer, status, why);
	begin_answer(connection, &answer, true);
}

static void head_came(struct serve_connection *connection, size_t head_length)
{
	struct serve *serve = connection->serve;
	struct http_request request;
	struct serve_answer answer;
	char body[SERVE_BODY_MAX];
	const char *why;
	unsigned status = http_request_read(buffer_of(connection), head_length, serve->host, &request, &why);
	bool with_body;

	if (status != 0) {
		refuse(connection, status, why);
		return;
	}
	with_body = strcmp(request.method, "HEAD") != 0;
	begin_body(&answer, body);
	serve->request(serve, &request, &answer);
	if (answer.body.truncated)
		serve_say(&answer, 500, "The answer is longer than this program can give. Please report it.");
	begin_answer(connection, &answer, with_body);
}

static void receive(struct serve_connection *connection)
{
	char *buffer = buffer_of(connection);
	/* The end of the head may have begun in what came before; further back it was looked for. */
	size_t searched = connection->length < 3 ? 0 : connection->length - 3;
	ssize_t found, got = world_recv(connection->fd, buffer + connection->length,
	                   SERVE_BUFFER_BYTES - connection->length, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		hang_up(connection);
		return;
	}
	connection->length += (size_t)got;
	/* No method begins otherwise. TLS and the like need not wait for the deadline to be told. */
	if (buffer[0] < 'A' || buffer[0] > 'Z') {
		refuse(
		    connection, 400, "What came is not HTTP/1.1. This port speaks nothing else, and no TLS.");
		return;
	}
	found = http_head_find(buffer + searched, connection->length - searched);
	if (found > 0)
		head_came(connection, searched + (size_t)found);
	else if (connection->length == SERVE_BUFFER_BYTES)
		refuse(connection, 431, "The head of the request is longer than is taken here.");
}

static void connection_ready(struct loop_source *source, uint32_t events)
{
	struct serve_connection *connection = source->context;

	(void)events; /* an error or a hang-up is found by the call that meets it */
	switch (connection->phase) {
	case SERVE_HEAD:
		receive(connection);
		return;
	case SERVE_ANSWER:
		transmit(connection);
		return;
	case SERVE_LINGER:
		discard(connection);
		return;
	case SERVE_FREE:
		return;
	}
}

/* Many come within a millisecond: among them it is the one who came first. */
static bool is_before(const struct serve_connection *one, const struct serve_connection *other)
{
	return one->deadline_ms != other->deadline_ms ? one->deadline_ms < other->deadline_ms
	                                              : one->turn < other->turn;
}

static struct serve_connection *free_place(struct serve *serve)
{
	struct serve_connection *next = &serve->connections[0];

	for (int i = 0; i < SERVE_CONNECTIONS_MAX; i++) {
		struct serve_connection *connection = &serve->connections[i];

		if (connection->phase == SERVE_FREE)
			return connection;
		if (is_before(connection, next))
			next = connection;
	}
	hang_up(next);
	return next;
}

static void admit(struct serve *serve, int fd)
{
	struct serve_connection *connection = free_place(serve);
	int slot = (int)(connection - serve->connections);

	if (loop_source_watch(serve->loop, &connection->source, fd, EPOLLIN) < 0) {
		close(fd);
		return;
	}
	connection->fd = fd;
	connection->length = connection->sent = connection->discarded = 0;
	serve->count++;
	if (slot >= serve->slots_used)
		serve->slots_used = slot + 1;
	begin_phase(connection, SERVE_HEAD, serve->head_ms);
	/* Who has spoken already is answered at once: then no crowd behind it can push it out. */
	receive(connection);
}

static void accept_later(struct serve *serve)
{
	loop_source_retire(&serve->listener);
	serve->accept_again_ms = clock_boot_ms() + ACCEPT_AGAIN_MS;
	wake_at(serve, serve->accept_again_ms);
}

static void accept_now(struct serve *serve)
{
	serve->accept_again_ms = 0;
	if (loop_source_watch(serve->loop, &serve->listener, serve->listener_fd, EPOLLIN) < 0)
		accept_later(serve);
}

/* Returns a descriptor or a negative errno. Out of descriptors, a caller that waits for good would wake us
 * for good: it is let in and sent away. */
static int accept_caller(struct serve *serve)
{
	int fd = world_accept4(serve->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int result = fd < 0 ? -errno : fd;

	if (result != -EMFILE && result != -ENFILE)
		return result;
	file_close(&serve->spare_fd);
	fd = world_accept4(serve->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	result = fd < 0 ? -errno : -ECONNABORTED;
	file_close(&fd);
	serve->spare_fd = world_open("/dev/null", O_RDONLY | O_CLOEXEC);
	return result;
}

static void callers_came(struct loop_source *source, uint32_t events)
{
	struct serve *serve = source->context;

	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN && source->fd >= 0; i++) {
		int fd = accept_caller(serve);

		if (fd >= 0) {
			admit(serve, fd);
		} else if (fd == -EAGAIN) {
			return;
		} else if (fd != -EINTR && fd != -ECONNABORTED) {
			/* Whatever it is, it must not keep us turning. */
			accept_later(serve);
		}
	}
}

static void expired(struct serve_connection *connection)
{
	if (connection->phase == SERVE_HEAD && connection->length > 0)
		refuse(connection, 408, "The request did not come to its end in time.");
	else
		hang_up(connection);
}

static void hang_up_all(struct serve *serve)
{
	for (int i = 0; i < SERVE_CONNECTIONS_MAX; i++)
		if (serve->connections[i].phase != SERVE_FREE)
			hang_up(&serve->connections[i]);
}

static void wake_for_next(struct serve *serve)
{
	for (int i = 0; i < SERVE_CONNECTIONS_MAX; i++)
		if (serve->connections[i].phase != SERVE_FREE)
			wake_at(serve, serve->connections[i].deadline_ms);
	if (serve->accept_again_ms != 0)
		wake_at(serve, serve->accept_again_ms);
	if (serve->drain_ms != 0)
		wake_at(serve, serve->drain_ms);
}

static void time_passed(struct loop_timer *timer)
{
	struct serve *serve = timer->context;
	int64_t now_ms = clock_boot_ms();

	for (int i = 0; i < SERVE_CONNECTIONS_MAX; i++)
		if (serve->connections[i].phase != SERVE_FREE && serve->connections[i].deadline_ms <= now_ms)
			expired(&serve->connections[i]);
	if (serve->drain_ms != 0 && (serve->count == 0 || serve->drain_ms <= now_ms)) {
		serve_release(serve);
		if (serve->drained != NULL)
			serve->drained(serve);
		return;
	}
	if (serve->accept_again_ms != 0 && serve->accept_again_ms <= now_ms)
		accept_now(serve);
	wake_for_next(serve);
}

void serve_init(struct serve *serve, struct loop *loop, const char *host)
{
	/* But the buffers: they take memory only once they are used. */
	memset(serve, 0, offsetof(struct serve, buffers));
	serve->loop = loop;
	serve->host = host;
	serve->head_ms = SERVE_HEAD_MS;
	serve->answer_ms = SERVE_ANSWER_MS;
	serve->linger_ms = SERVE_LINGER_MS;
	serve->listener_fd = serve->listener.fd = -1;
	serve->listener.callback = callers_came;
	serve->timer.callback = time_passed;
	serve->listener.context = serve->timer.context = serve;
	serve->spare_fd = world_open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < SERVE_CONNECTIONS_MAX; i++) {
		struct serve_connection *connection = &serve->connections[i];

		connection->serve = serve;
		connection->fd = connection->source.fd = -1;
		connection->source.callback = connection_ready;
		connection->source.context = connection;
	}
}

int serve_listen(struct serve *serve, int fd)
{
	int flags = world_fcntl(fd, F_GETFL);

	if (serve->drain_ms != 0 || serve->done)
		return -ESHUTDOWN;
	if (flags < 0 || world_fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	loop_source_retire(&serve->listener);
	serve->listener_fd = fd;
	accept_now(serve);
	return 0;
}

void serve_drain(struct serve *serve, int64_t at_most_ms)
{
	int64_t now_ms = clock_boot_ms();

	if (serve->drain_ms != 0 || serve->done)
		return;
	loop_source_retire(&serve->listener);
	serve->accept_again_ms = 0;
	serve->drain_ms = now_ms + at_most_ms;
	wake_at(serve, serve->count == 0 ? now_ms : serve->drain_ms);
}

void serve_release(struct serve *serve)
{
	serve->done = true;
	serve->accept_again_ms = 0;
	loop_source_retire(&serve->listener);
	hang_up_all(serve);
	loop_timer_arm(serve->loop, &serve->timer, 0);
	file_close(&serve->spare_fd);
}

void serve_say(struct serve_answer *answer, unsigned status, const char *sentence)
{
	answer->status = status;
	answer->content_type = "application/json";
	text_init(&answer->body, answer->body.data, answer->body.size);
	json_write_begin(&answer->body, '{');
	json_write_key(&answer->body, "error");
	json_write_string(&answer->body, sentence);
	json_write_end(&answer->body, '}');
}

void serve_say_healthy(struct serve_answer *answer)
{
	answer->status = 200;
	json_write_begin(&answer->body, '{');
	json_write_key(&answer->body, "status");
	json_write_string(&answer->body, "ok");
	json_write_end(&answer->body, '}');
}
