/* What goes out to a client: at once, or as soon as it takes it. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "relay/client.h"
#include "relay/reply.h"
#include "world/world.h"

#define SPANS_MAX 16

void client_watch(struct client *client)
{
	/* Its next request may wait in the socket: it is not watched for only once one does. */
	bool reads = !client->deaf;
	uint32_t events = EPOLLRDHUP | (reads ? EPOLLIN : 0) | (client_is_full(client) ? EPOLLOUT : 0);

	if (events == client->watched || client->gone)
		return;
	client->watched = events;
	loop_source_change(&client->source, events);
}

/* Keeps what the socket did not take. Returns 0 or -ENOMEM. */
static int keep(struct client *client, const struct iovec *spans, uint32_t count, size_t taken)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t skipped = taken < spans[i].iov_len ? taken : spans[i].iov_len;

		taken -= skipped;
		if (chain_add(&client->out, &client->relay->segments,
		        (const char *)spans[i].iov_base + skipped, spans[i].iov_len - skipped) < 0)
			return -ENOMEM;
	}
	if (client_is_full(client))
		deadline_set(&client->relay->deadlines, &client->deadline, RELAY_TAKE_MS);
	return 0;
}

int client_send(struct client *client, const struct iovec *spans, uint32_t count)
{
	ssize_t taken = 0;
	int result;

	if (client->gone)
		return -EPIPE;
	if (!client_is_full(client)) {
		taken = relay_send(client->fd, spans, count);
		if (taken < 0 && errno != EAGAIN && errno != EINTR) {
			result = -errno;
			client_release(client);
			return result;
		}
		if (taken < 0)
			taken = 0;
	}
	result = keep(client, spans, count, (size_t)taken);
	if (result < 0)
		client_release(client);
	else
		client_watch(client);
	return result;
}

bool client_flush(struct client *client)
{
	struct iovec spans[SPANS_MAX];

	while (client_is_full(client)) {
		const struct chain_cursor start = {0};
		ssize_t taken;

		taken = relay_send(client->fd, spans, chain_spans(&client->out, &start, spans, SPANS_MAX));
		if (taken < 0 && errno == EAGAIN)
			return true;
		if (taken < 0 && errno != EINTR) {
			client_release(client);
			return false;
		}
		if (taken > 0) {
			chain_drop(&client->out, &client->relay->segments, (size_t)taken);
			deadline_set(&client->relay->deadlines, &client->deadline, RELAY_TAKE_MS);
		}
	}
	deadline_clear(&client->deadline);
	return true;
}

void client_reply(
    struct client *client, enum api api, unsigned status, int64_t retry_after_ms, const char *sentence)
{
	char buffer[2048];
	struct text text;
	struct iovec span;

	if (client->call != NULL) {
		if (!client->call->stored_whole)
			client->closing = client->lingering = true;
		call_free(client->call);
		client->call = NULL;
	}
	if (client->relay->draining)
		client->closing = true;
	text_init(&text, buffer, sizeof(buffer));
	reply_write(&text, api, status, retry_after_ms, !client->closing, sentence);
	span = (struct iovec){buffer, text.length};
	if (client_send(client, &span, 1) == 0)
		client_answered(client);
}
