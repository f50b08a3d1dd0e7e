/* One connection of the gateway: requests come, answers go. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/client.h"
#include "world/world.h"

#define FIRST_READ_BYTES (16 * 1024) /* what lies behind a head is copied: the rest of a long body is not */
#define READS_MAX        8           /* in one turn */
#define LINGER_MS        2000

void client_release(struct client *client)
{
	struct relay *relay = client->relay;

	if (client->gone)
		return;
	client->gone = true;
	if (client->call != NULL)
		call_abandon(client->call);
	client->call = NULL;
	loop_source_retire(&client->source);
	close(client->fd);
	client->fd = -1;
	chain_clear(&client->out, &relay->segments);
	free(client->in);
	client->in = NULL;
	deadline_forget(&relay->deadlines, &client->deadline);
	deadlines_unreserve(&relay->deadlines, 2);
	if (client->next != NULL)
		client->next->previous = client->previous;
	if (client->previous != NULL)
		client->previous->next = client->next;
	else
		relay->clients = client->next;
	relay->client_count--;
	relay_bury(relay, client);
	relay_client_gone(relay);
}

static void deadline_passed(struct deadline *deadline)
{
	struct client *client = deadline->context;

	relay_enter(client->relay);
	if (client->call != NULL && !client->call->stored_whole && !client->call->answer.committed)
		client_reply(client, client->call->provider->api, 408, -1,
		    "The relay waited too long for the rest of the request.");
	else
		client_release(client);
}

/* Nothing is under way: closes what is to be closed. Returns whether it goes on. */
static bool between(struct client *client)
{
	struct relay *relay = client->relay;

	if (client->gone)
		return false;
	if (client_is_full(client)) {
		client_watch(client);
		return false;
	}
	if (client->lingering) {
		shutdown(client->fd, SHUT_WR);
		deadline_set(&relay->deadlines, &client->deadline, LINGER_MS);
		client_watch(client);
		return false;
	}
	if (client->closing) {
		client_release(client);
		return false;
	}
	client->deaf = false;
	deadline_set(
	    &relay->deadlines, &client->deadline, relay->draining ? RELAY_DRAIN_IDLE_MS : RELAY_KEPT_MS);
	client_watch(client);
	return true;
}

static void answer_locally(struct client *client, const struct request_route *route)
{
	struct relay *relay = client->relay;

	client->closing = !route->keep_alive || relay->draining;
	if (!report_write(relay, route->path, !client->closing, &client->out)) {
		client_reply(client, API_OTHER, 404, -1,
		    "The relay has nothing there: see /healthz, /profiles and /metrics; a provider is at "
		    "/NAME.");
		return;
	}
	if (client_flush(client))
		client_answered(client);
}

/* Takes what belongs to the request's body. Returns how many bytes, or a negative errno: it was refused. */
static ssize_t store(struct client *client, const char *bytes, size_t length)
{
	struct call *call = client->call;
	struct relay *relay = client->relay;
	size_t used = 0;

	while (used < length && !call->upload.ended) {
		const char *data;
		size_t data_length;
		ssize_t taken =
		    http_body_take(&call->upload, bytes + used, length - used, &data, &data_length);

		if (taken < 0)
			return taken;
		if (call->stored.length + data_length > RELAY_BODY_MAX)
			return -EMSGSIZE;
		if (chain_add(&call->stored, &relay->segments, data, data_length) < 0)
			return -ENOMEM;
		relay->stored_bytes += data_length;
		used += (size_t)taken;
	}
	return relay->stored_bytes > RELAY_BODIES_MAX ? -ENOBUFS : (ssize_t)used;
}

static void refuse_body(struct client *client, int error)
{
	enum api api = client->call->provider->api;
	bool is_answered = client->call->answer.committed;

	client->closing = true;
	if (is_answered)
		client_release(client);
	else if (error == -EMSGSIZE)
		client_reply(client, api, 413, -1, "The relay takes requests of at most 32 MB.");
	else if (error == -EBADMSG)
		client_reply(client, api, 400, -1, "The request's chunks are malformed.");
	else
		client_reply(
		    client, api, 503, 1000, "The relay holds as many requests as it may: try again.");
}

/* Something of the body came: the call may begin, or go on. */
static void stored(struct client *client)
{
	struct call *call = client->call;

	call->stored_whole = call->upload.ended;
	if (call->stored_whole)
		deadline_clear(&client->deadline);
	else
		deadline_set(&client->relay->deadlines, &client->deadline, RELAY_UPLOAD_MS);
	call_stored(call);
}

/* Reads a long body straight to where it is kept. */
static void receive_body(struct client *client)
{
	struct call *call = client->call;
	struct relay *relay = client->relay;

	for (int reads = 0; reads < READS_MAX && !call->upload.ended; reads++) {
		uint64_t left = call->upload.left;
		size_t size, data_length;
		const char *data;
		ssize_t got;
		char *room;

		room = chain_room(
		    &call->stored, &relay->segments, left > SIZE_MAX / 2 ? SIZE_MAX / 2 : left, &size);
		if (room == NULL || relay->stored_bytes > RELAY_BODIES_MAX) {
			refuse_body(client, -ENOMEM);
			return;
		}
		if (left < size)
			size = left;
		got = world_recv(client->fd, room, size, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (got <= 0) {
			client_release(client);
			return;
		}
		chain_grew(&call->stored, (size_t)got);
		relay->stored_bytes += (uint64_t)got;
		http_body_take(&call->upload, room, (size_t)got, &data, &data_length);
		if ((size_t)got < size)
			break;
	}
	stored(client);
}

static void begin(struct client *client, const struct request_route *route)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct iovec span = {(char *)go_on, sizeof(go_on) - 1};
	struct call *call = client->call;

	client->closing = !route->keep_alive || client->relay->draining;
	client->plain = route->plain;
	if (call->upload.kind == HTTP_BODY_LENGTH && call->upload.left > RELAY_BODY_MAX)
		refuse_body(client, -EMSGSIZE);
	else if (route->expects_continue && !call->upload.ended)
		client_send(client, &span, 1);
}

/* Uses a head. Returns how many bytes were used; 0: more must come, or the client is gone. */
static size_t use_head(struct client *client, const char *bytes, size_t length)
{
	struct request_route route;
	ssize_t head = http_head_find(bytes, length);

	if (head == 0)
		return 0;
	if (head < 0) {
		client->closing = client->lingering = true;
		client_reply(client, API_OTHER, 431, -1, "The request's head is longer than 16 KiB.");
		return 0;
	}
	client->call = request_read(client, bytes, (size_t)head, &route);
	if (client->call != NULL) {
		relay_call_began(client->relay, client->call);
		begin(client, &route);
	} else if (route.local) {
		answer_locally(client, &route);
	} else {
		/* What follows it cannot be told from a request. */
		client->closing = client->lingering = true;
		client_reply(client, API_OTHER, route.status, -1, route.why);
	}
	return (size_t)head;
}

/* Uses what came as far as it goes: heads and bodies in turn. Returns how many bytes. */
static size_t use(struct client *client, const char *bytes, size_t length)
{
	size_t used = 0;

	client->reading = true;
	while (!client->gone && !client->lingering && !client_is_full(client) && used < length) {
		struct call *call = client->call;
		size_t before = used;

		if (call != NULL && call->stored_whole)
			break;
		if (call == NULL) {
			used += use_head(client, bytes + used, length - used);
			if (used == before || client->gone)
				break;
			call = client->call;
			if (call == NULL || !call->upload.ended)
				continue;
			stored(client);
		} else {
			ssize_t taken = store(client, bytes + used, length - used);

			if (taken < 0) {
				refuse_body(client, (int)taken);
				break;
			}
			used += (size_t)taken;
			stored(client);
		}
	}
	client->reading = false;
	return used;
}

/* Keeps what was not used. Returns 0 or -ENOMEM. */
static int keep_input(struct client *client, const char *bytes, size_t length)
{
	char *in = NULL;

	if (length > 0) {
		in = malloc(length);
		if (in == NULL)
			return -ENOMEM;
		memcpy(in, bytes, length);
	}
	free(client->in);
	client->in = in;
	client->in_length = (uint32_t)length;
	return 0;
}

/* `bytes` is in the scratch segment. */
static void came(struct client *client, const char *bytes, size_t length)
{
	size_t used = use(client, bytes, length);

	if (client->gone)
		return;
	if (client->call == NULL && (client->closing || client->lingering)) {
		between(client);
		return;
	}
	if (keep_input(client, bytes + used, length - used) < 0) {
		client_release(client);
		return;
	}
	/* Its time counts from its first byte, however it trickles. */
	if (client->call == NULL && client->in_length > 0 && used > 0)
		deadline_set(&client->relay->deadlines, &client->deadline, RELAY_HEAD_MS);
	client_watch(client);
}

static void receive(struct client *client)
{
	struct segment *scratch = client->relay->scratch;
	size_t kept = client->in_length;
	ssize_t got;

	if (client->call != NULL && client->call->upload.kind == HTTP_BODY_LENGTH && kept == 0) {
		receive_body(client);
		if (!client->gone)
			client_watch(client);
		return;
	}
	/* At most a head's length of what was not used was kept: there is room. */
	got = world_recv(client->fd, scratch->bytes + kept, FIRST_READ_BYTES, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		client_release(client);
		return;
	}
	if (client->lingering)
		return;
	if (kept > 0)
		memcpy(scratch->bytes, client->in, kept);
	else if (client->call == NULL)
		deadline_set(&client->relay->deadlines, &client->deadline, RELAY_HEAD_MS);
	came(client, scratch->bytes, kept + (size_t)got);
}

void client_answered(struct client *client)
{
	struct segment *scratch = client->relay->scratch;

	if (client->gone || client->reading || !between(client) || client->in_length == 0)
		return;
	memcpy(scratch->bytes, client->in, client->in_length);
	came(client, scratch->bytes, client->in_length);
}

static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct client *client = source->context;
	bool was_full = client_is_full(client);

	relay_enter(client->relay);
	/* Half closed is gone: who wants no answer is not worth one. */
	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
		client_release(client);
		return;
	}
	if ((events & EPOLLOUT) != 0 && !client_flush(client))
		return;
	if (was_full && !client_is_full(client)) {
		if (client->call == NULL)
			client_answered(client);
		else if (client->call->upstream != NULL)
			upstream_resume(client->call->upstream);
		if (client->gone)
			return;
		client_watch(client);
	}
	if ((events & EPOLLIN) == 0 || client->deaf)
		return;
	client->deaf = client->call != NULL && client->call->stored_whole && !client->lingering;
	if (client->deaf)
		client_watch(client);
	else
		receive(client);
}

void client_accept(struct relay *relay, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	/* One for itself, one for the call that it may have. */
	if (client == NULL || deadlines_reserve(&relay->deadlines, 2) < 0) {
		free(client);
		close(fd);
		return;
	}
	client->relay = relay;
	client->fd = fd;
	client->watched = EPOLLIN | EPOLLRDHUP;
	client->source.callback = socket_ready;
	client->source.context = client;
	client->deadline.passed = deadline_passed;
	client->deadline.context = client;
	if (loop_source_watch(&relay->worker.loop, &client->source, fd, client->watched) < 0) {
		deadlines_unreserve(&relay->deadlines, 2);
		free(client);
		close(fd);
		return;
	}
	client->next = relay->clients;
	if (client->next != NULL)
		client->next->previous = client;
	relay->clients = client;
	relay->client_count++;
	deadline_set(&relay->deadlines, &client->deadline, RELAY_HEAD_MS);
}
