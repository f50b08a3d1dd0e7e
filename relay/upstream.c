/* One connection to a provider. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/relay.h"
#include "world/world.h"

#define SPANS_MAX    16
#define RECORD_BYTES (16 * 1024) /* of TLS: head and body go out in one where they fit */
#define READS_MAX    4           /* in one turn: others have their turn too */

static void watch(struct upstream *upstream, uint32_t events)
{
	if (events == upstream->watched)
		return;
	upstream->watched = events;
	loop_source_change(&upstream->source, events);
}

static struct upstream **list_of(struct upstream *upstream)
{
	if (upstream->state == UPSTREAM_RESOLVING)
		return &upstream->endpoint->waiting;
	return upstream->state == UPSTREAM_IDLE ? &upstream->endpoint->idle : NULL;
}

static void unlink_upstream(struct upstream *upstream)
{
	struct upstream **list = list_of(upstream);

	if (upstream->state == UPSTREAM_IDLE)
		upstream->endpoint->idle_count--;
	if (upstream->next != NULL)
		upstream->next->previous = upstream->previous;
	if (upstream->previous != NULL)
		upstream->previous->next = upstream->next;
	else if (list != NULL && *list == upstream)
		*list = upstream->next;
	upstream->next = upstream->previous = NULL;
}

static void close_socket(struct upstream *upstream)
{
	tls_close(upstream->ssl);
	upstream->ssl = NULL;
	loop_source_retire(&upstream->source);
	if (upstream->fd >= 0)
		close(upstream->fd);
	upstream->fd = -1;
}

void upstream_close(struct upstream *upstream)
{
	struct relay *relay = upstream->relay;

	if (upstream->gone)
		return;
	upstream->gone = true;
	if (upstream->call != NULL)
		upstream->call->upstream = NULL;
	unlink_upstream(upstream);
	close_socket(upstream);
	deadline_forget(&relay->deadlines, &upstream->deadline);
	deadlines_unreserve(&relay->deadlines, 1);
	free(upstream->head);
	free(upstream->partial);
	relay_bury(relay, upstream);
}

static void lost(struct upstream *upstream, enum failover_outcome outcome, const char *sentence)
{
	if (upstream->call != NULL)
		call_lost(upstream->call, outcome, sentence);
	else
		upstream_close(upstream);
}

static void deadline_passed(struct deadline *deadline)
{
	struct upstream *upstream = deadline->context;

	relay_enter(upstream->relay);
	if (upstream->state == UPSTREAM_IDLE)
		upstream_close(upstream);
	else if (upstream->state == UPSTREAM_SHAKING)
		lost(upstream, FAILOVER_TLS, "the TLS handshake did not end in time");
	else if (upstream->state == UPSTREAM_RESOLVING)
		lost(upstream, FAILOVER_DNS, "its name was not resolved in time");
	else if (upstream->state == UPSTREAM_CONNECTING && upstream_connect(upstream) < 0)
		lost(upstream, FAILOVER_REFUSED, "no connection came about in time");
}

struct upstream *upstream_open(struct endpoint *endpoint, struct call *call)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));

	if (upstream == NULL || deadlines_reserve(&endpoint->relay->deadlines, 1) < 0) {
		free(upstream);
		return NULL;
	}
	upstream->relay = endpoint->relay;
	upstream->endpoint = endpoint;
	upstream->call = call;
	upstream->fd = upstream->source.fd = -1;
	upstream->state = UPSTREAM_RESOLVING;
	upstream->deadline.passed = deadline_passed;
	upstream->deadline.context = upstream;
	deadline_set(&upstream->relay->deadlines, &upstream->deadline, RELAY_CONNECT_MS);
	return upstream;
}

/* The connection is there, encrypted where it must be: a request may go out. */
static void ready(struct upstream *upstream)
{
	upstream->state = UPSTREAM_BUSY;
	deadline_clear(&upstream->deadline);
	watch(upstream, EPOLLIN | EPOLLRDHUP);
	call_ready(upstream->call);
}

static void shake(struct upstream *upstream)
{
	char sentence[160];

	switch (tls_handshake(upstream->ssl)) {
	case TLS_DONE:
		ready(upstream);
		return;
	case TLS_AGAIN:
		watch(upstream, SSL_want_write(upstream->ssl) ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
		return;
	default:
		tls_explain(upstream->ssl, sentence, sizeof(sentence));
		lost(upstream, FAILOVER_TLS, sentence);
	}
}

static void connected(struct upstream *upstream)
{
	struct endpoint *endpoint = upstream->endpoint;
	socklen_t size = sizeof(int);
	int error = 0;

	getsockopt(upstream->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0) {
		if (upstream_connect(upstream) < 0)
			lost(upstream, FAILOVER_REFUSED, strerror(error));
		return;
	}
	if (!endpoint->tls) {
		ready(upstream);
		return;
	}
	if (endpoint->relay->tls == NULL)
		upstream->ssl = NULL;
	else
		upstream->ssl =
		    tls_open(endpoint->relay->tls, upstream->fd, endpoint->host, &endpoint->memory);
	if (upstream->ssl == NULL) {
		lost(upstream, FAILOVER_TLS, "OpenSSL cannot be used");
		return;
	}
	upstream->state = UPSTREAM_SHAKING;
	shake(upstream);
}

/* How a read or a write over either kind of connection went. */
static enum tls_result plain_result(ssize_t result)
{
	if (result > 0)
		return TLS_DONE;
	if (result == 0)
		return TLS_CLOSED;
	return errno == EAGAIN || errno == EINTR ? TLS_AGAIN : TLS_FAILED;
}

static enum tls_result receive(struct upstream *upstream, char *bytes, size_t size, size_t *got)
{
	enum tls_result result;
	ssize_t count;

	if (upstream->ssl != NULL)
		return tls_read(upstream->ssl, bytes, size, got);
	count = world_recv(upstream->fd, bytes, size, MSG_DONTWAIT);
	result = plain_result(count);
	*got = result == TLS_DONE ? (size_t)count : 0;
	return result;
}

static void sent(struct upstream *upstream, size_t count)
{
	size_t head_left = upstream->head_length - upstream->head_sent;

	if (count < head_left) {
		upstream->head_sent += count;
		return;
	}
	upstream->head_sent = upstream->head_length;
	if (count > head_left)
		chain_pass(&upstream->call->stored, &upstream->body, count - head_left);
}

/* The spans to be sent next; head first. */
static uint32_t spans_of(struct upstream *upstream, const char *head, struct iovec *spans)
{
	uint32_t count = 0;

	if (upstream->head_sent < upstream->head_length)
		spans[count++] = (struct iovec){
		    (char *)head + upstream->head_sent, upstream->head_length - upstream->head_sent};
	return count +
	       chain_spans(&upstream->call->stored, &upstream->body, spans + count, SPANS_MAX - count);
}

static enum tls_result send_plain(
    struct upstream *upstream, struct iovec *spans, uint32_t count, size_t *taken)
{
	ssize_t result = relay_send(upstream->fd, spans, count);

	*taken = result > 0 ? (size_t)result : 0;
	return result > 0 ? TLS_DONE : plain_result(result);
}

static enum tls_result send_record(
    struct upstream *upstream, struct iovec *spans, uint32_t count, size_t *taken)
{
	static char record[RECORD_BYTES];
	size_t length = 0;

	if (spans[0].iov_len >= RECORD_BYTES || count == 1)
		return tls_write(upstream->ssl, spans[0].iov_base, spans[0].iov_len, taken);
	for (uint32_t i = 0; i < count && length < RECORD_BYTES; i++) {
		size_t part =
		    spans[i].iov_len < RECORD_BYTES - length ? spans[i].iov_len : RECORD_BYTES - length;

		memcpy(record + length, spans[i].iov_base, part);
		length += part;
	}
	return tls_write(upstream->ssl, record, length, taken);
}

static void forget_head(struct upstream *upstream)
{
	if (upstream->head_sent < upstream->head_length)
		return;
	free(upstream->head);
	upstream->head = NULL;
}

/* Returns 0, or a negative errno: it is lost. */
static int transmit(struct upstream *upstream, const char *head)
{
	struct iovec spans[SPANS_MAX];
	uint32_t count;

	while ((count = spans_of(upstream, head, spans)) > 0) {
		enum tls_result result;
		size_t taken;

		result = upstream->ssl != NULL ? send_record(upstream, spans, count, &taken)
		                               : send_plain(upstream, spans, count, &taken);
		if (result == TLS_AGAIN) {
			forget_head(upstream);
			watch(upstream, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
			return 0;
		}
		if (result != TLS_DONE)
			return -EPIPE;
		sent(upstream, taken);
	}
	forget_head(upstream);
	watch(upstream, upstream->paused ? 0 : EPOLLIN | EPOLLRDHUP);
	return 0;
}

int upstream_request(struct upstream *upstream, const char *head, size_t length)
{
	int result;

	upstream->head_length = length;
	upstream->head_sent = 0;
	upstream->body = (struct chain_cursor){0};
	result = transmit(upstream, head);
	if (result < 0 || upstream->head_sent == upstream->head_length)
		return result;
	upstream->head = malloc(length);
	if (upstream->head == NULL)
		return -ENOMEM;
	memcpy(upstream->head, head, length);
	return 0;
}

int upstream_more(struct upstream *upstream)
{
	if (upstream->state != UPSTREAM_BUSY || (upstream->watched & EPOLLOUT) != 0)
		return 0;
	return transmit(upstream, upstream->head);
}

/* Gives the answer what came. Returns false when the upstream, or its call, is gone. */
static bool give(struct upstream *upstream, char *bytes, size_t length)
{
	upstream->heard = true;
	return answer_take(upstream->call, bytes, length) && !upstream->gone &&
	       upstream->state == UPSTREAM_BUSY;
}

static void read_answer(struct upstream *upstream)
{
	struct relay *relay = upstream->relay;
	struct segment *scratch = relay->scratch;

	for (int reads = 0; reads < READS_MAX && !upstream->paused; reads++) {
		size_t got;
		enum tls_result result = receive(upstream, scratch->bytes, scratch->size, &got);

		if (result == TLS_AGAIN)
			return;
		if (result != TLS_DONE) {
			answer_closed(upstream->call, result == TLS_CLOSED);
			return;
		}
		if (!give(upstream, scratch->bytes, got))
			return;
		if (client_is_full(upstream->call->client)) {
			upstream->paused = true;
			watch(upstream, upstream->watched & EPOLLOUT);
			return;
		}
		if (upstream->ssl == NULL && got < scratch->size)
			return;
	}
}

void upstream_resume(struct upstream *upstream)
{
	if (!upstream->paused)
		return;
	upstream->paused = false;
	if (upstream->source.fd < 0) { /* it had ended meanwhile, and was not watched any more */
		upstream->watched = EPOLLIN | EPOLLRDHUP;
		if (loop_source_watch(&upstream->relay->worker.loop, &upstream->source, upstream->fd,
		        upstream->watched) < 0)
			lost(upstream, FAILOVER_RESET, "it cannot be read from");
		return;
	}
	watch(upstream, EPOLLIN | EPOLLRDHUP | (upstream->watched & EPOLLOUT));
	/* What OpenSSL has read ahead makes no socket readable. */
	if (upstream->ssl != NULL && SSL_has_pending(upstream->ssl))
		read_answer(upstream);
}

static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct upstream *upstream = source->context;

	relay_enter(upstream->relay);
	switch (upstream->state) {
	case UPSTREAM_CONNECTING:
		connected(upstream);
		return;
	case UPSTREAM_SHAKING:
		shake(upstream);
		return;
	case UPSTREAM_IDLE: /* it may only close; or say what nobody asked for */
		upstream_close(upstream);
		return;
	case UPSTREAM_BUSY:
		break;
	default:
		return;
	}
	/* An answer that came before all of the request was taken is read first: it says why. */
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		if (upstream->paused && (events & (EPOLLHUP | EPOLLERR)) != 0)
			loop_source_retire(&upstream->source); /* the rest is read when there is room */
		else
			read_answer(upstream);
	}
	if (!upstream->gone && upstream->state == UPSTREAM_BUSY && (events & EPOLLOUT) != 0 &&
	    transmit(upstream, upstream->head) < 0 && !upstream->heard)
		lost(upstream, FAILOVER_RESET, "the connection broke while the request was sent");
}

static bool is_loopback(const struct resolve_address *address)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)&address->address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address->address;

	if (address->address.ss_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return address->address.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

static int connect_to(struct upstream *upstream, const struct resolve_address *address)
{
	int fd, one = 1, result;

	fd = world_socket(address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (is_loopback(address))
		relay_tune(fd);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (world_connect(fd, (const struct sockaddr *)&address->address, address->length) < 0 &&
	    errno != EINPROGRESS) {
		result = -errno;
		close(fd);
		return result;
	}
	upstream->source.callback = socket_ready;
	upstream->source.context = upstream;
	upstream->watched = EPOLLOUT;
	result = loop_source_watch(&upstream->relay->worker.loop, &upstream->source, fd, EPOLLOUT);
	if (result < 0) {
		close(fd);
		return result;
	}
	upstream->fd = fd;
	return 0;
}

int upstream_connect(struct upstream *upstream)
{
	const struct resolve_answer *addresses = &upstream->endpoint->addresses;
	int result = -EADDRNOTAVAIL;

	close_socket(upstream);
	upstream->state = UPSTREAM_CONNECTING;
	while (upstream->address < addresses->count) {
		result = connect_to(upstream, &addresses->addresses[upstream->address++]);
		if (result == 0) {
			deadline_set(&upstream->relay->deadlines, &upstream->deadline, RELAY_CONNECT_MS);
			return 0;
		}
	}
	return result;
}

void upstream_resolved(struct upstream *upstream, int result)
{
	if (result != 0)
		lost(upstream, FAILOVER_DNS, gai_strerror(result));
	else if (upstream_connect(upstream) < 0)
		lost(upstream, FAILOVER_REFUSED, "it cannot be connected to");
}

void upstream_keep(struct upstream *upstream)
{
	struct endpoint *endpoint = upstream->endpoint;

	if (upstream->relay->draining || endpoint->idle_count >= RELAY_IDLE_MAX ||
	    upstream->head_sent < upstream->head_length || !upstream->call->stored_whole ||
	    upstream->body.passed < upstream->call->stored.length || upstream->source.fd < 0) {
		upstream_close(upstream);
		return;
	}
	upstream->call->upstream = NULL;
	upstream->call = NULL;
	upstream->state = UPSTREAM_IDLE;
	upstream->paused = false;
	watch(upstream, EPOLLIN | EPOLLRDHUP);
	upstream->previous = NULL;
	upstream->next = endpoint->idle;
	if (upstream->next != NULL)
		upstream->next->previous = upstream;
	endpoint->idle = upstream;
	endpoint->idle_count++;
	deadline_set(&upstream->relay->deadlines, &upstream->deadline, RELAY_IDLE_MS);
}
