#include "http/get.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "world/world.h"

static void finish(struct http_get *get, enum http_get_result result)
{
	http_get_cancel(get);
	get->done(get, result);
}

static int body_came(llhttp_t *parser, const char *bytes, size_t length)
{
	struct http_get *get = parser->data;
	size_t room = HTTP_BODY_MAX - get->body_length;

	if (length > room)
		length = room;
	memcpy(get->body + get->body_length, bytes, length);
	get->body_length += length;
	get->body[get->body_length] = '\0';
	/* What is wanted fits: a longer body has been read enough of. */
	if (get->body_length == HTTP_BODY_MAX)
		get->whole = true;
	return 0;
}

static int message_came(llhttp_t *parser)
{
	struct http_get *get = parser->data;

	get->whole = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {.on_body = body_came, .on_message_complete = message_came};

/* Returns false when the answer is unacceptable. */
static bool parse(struct http_get *get, const char *bytes, size_t length)
{
	llhttp_errno_t result = llhttp_execute(&get->parser, bytes, length);

	return result == HPE_OK || result == HPE_PAUSED || result == HPE_PAUSED_UPGRADE;
}

static bool check_head(struct http_get *get, size_t head_length)
{
	const char *value;
	size_t value_length;

	if (http_head_check(HTTP_HEAD_RESPONSE, get->head, head_length, NULL) < 0)
		return false;
	if (http_head_field(get->head, head_length, "Content-Type", &value, &value_length)) {
		struct text text;

		text_init(&text, get->content_type, sizeof(get->content_type));
		text_add_bytes(&text, value, value_length);
	}
	get->head_checked = true;
	if (!parse(get, get->head, get->head_length))
		return false;
	get->status = (unsigned)get->parser.status_code;
	return true;
}

/* Returns false when the answer is unacceptable. */
static bool take(struct http_get *get, const char *bytes, size_t length)
{
	ssize_t head_length;

	if (get->head_checked)
		return parse(get, bytes, length);
	if (length > sizeof(get->head) - get->head_length)
		return false;
	memcpy(get->head + get->head_length, bytes, length);
	get->head_length += length;
	head_length = http_head_find(get->head, get->head_length);
	return head_length == 0 || (head_length > 0 && check_head(get, (size_t)head_length));
}

/* The connection is over, and the answer is not whole. */
static enum http_get_result without_answer(const struct http_get *get, int error)
{
	if (error == ECONNREFUSED)
		return HTTP_GET_REFUSED;
	return get->head_length == 0 ? HTTP_GET_CLOSED : HTTP_GET_MALFORMED;
}

static void receive(struct http_get *get)
{
	char bytes[4096];

	for (;;) {
		size_t room = get->head_checked ? sizeof(bytes) : sizeof(get->head) - get->head_length;
		ssize_t got =
		    world_recv(get->fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes), MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got < 0) {
			finish(get, without_answer(get, errno));
			return;
		}
		if (got == 0) {
			/* Without a length the end of the connection ends the body: message_came says so. */
			bool ended =
			    get->head_checked && (llhttp_finish(&get->parser) == HPE_OK || get->whole);

			finish(get, ended ? HTTP_GET_ANSWERED : without_answer(get, 0));
			return;
		}
		if (!take(get, bytes, (size_t)got)) {
			finish(get, HTTP_GET_MALFORMED);
			return;
		}
		if (get->whole) {
			finish(get, HTTP_GET_ANSWERED);
			return;
		}
	}
}

static void transmit(struct http_get *get)
{
	while (get->request_sent < get->request_length) {
		ssize_t sent = world_send(get->fd, get->request + get->request_sent,
		    get->request_length - get->request_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
			return;
		if (sent < 0) {
			finish(get, without_answer(get, errno));
			return;
		}
		get->request_sent += (size_t)sent;
	}
	loop_source_change(&get->source, EPOLLIN);
}

static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct http_get *get = source->context;

	if (events & EPOLLOUT)
		transmit(get);
	if (get->fd >= 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		receive(get);
}

static void deadline_passed(struct loop_timer *timer)
{
	finish(timer->context, HTTP_GET_TIMED_OUT);
}

void http_get_init(struct http_get *get, struct loop *loop)
{
	memset(get, 0, sizeof(*get));
	get->loop = loop;
	get->fd = get->source.fd = -1;
	get->source.callback = socket_ready;
	get->source.context = get;
	get->deadline.callback = deadline_passed;
	get->deadline.context = get;
}

static bool is_path(const char *path)
{
	if (path[0] != '/')
		return false;
	for (; *path != '\0'; path++)
		if (*path <= 0x20 || *path >= 0x7f)
			return false;
	return true;
}

static void reset(struct http_get *get)
{
	get->status = 0;
	get->content_type[0] = get->body[0] = '\0';
	get->body_length = get->head_length = get->request_sent = 0;
	get->whole = get->head_checked = false;
	llhttp_init(&get->parser, HTTP_RESPONSE, &parser_settings);
	get->parser.data = get;
}

static void connection_refused(struct loop_timer *timer)
{
	finish(timer->context, HTTP_GET_REFUSED);
}

int http_get_start(struct http_get *get, uint32_t port, const char *path, int64_t timeout_ms)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct text request;
	int result;

	if (http_get_is_busy(get))
		return -EBUSY;
	if (port == 0 || port > 65535 || !is_path(path))
		return -EINVAL;
	reset(get);
	text_init(&request, get->request, sizeof(get->request));
	text_addf(&request,
	    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\nAccept: application/json\r\n\r\n",
	    path, (unsigned)port);
	if (request.truncated)
		return -ENAMETOOLONG;
	get->request_length = request.length;
	get->fd = world_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (get->fd < 0)
		return -errno;
	get->deadline.callback = deadline_passed;
	if (world_connect(get->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
	    errno != EINPROGRESS) {
		if (errno != ECONNREFUSED) { /* no port or address left for us: nobody refused anything */
			result = -errno;
			http_get_cancel(get);
			return result;
		}
		/* On this machine a refusal comes at once; `done` must still come from the loop. */
		get->deadline.callback = connection_refused;
		timeout_ms = 0;
	} else if ((result = loop_source_watch(get->loop, &get->source, get->fd, EPOLLOUT | EPOLLIN)) < 0) {
		http_get_cancel(get);
		return result;
	}
	loop_timer_arm(get->loop, &get->deadline, clock_boot_ms() + timeout_ms);
	return 0;
}

void http_get_cancel(struct http_get *get)
{
	loop_source_retire(&get->source);
	if (get->deadline.loop != NULL)
		loop_timer_arm(get->loop, &get->deadline, 0);
	if (get->fd >= 0)
		close(get->fd);
	get->fd = -1;
}
