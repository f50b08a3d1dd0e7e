/* Where a profile's requests go: the address, and the connections that are kept for the next one. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "relay/relay.h"

/* "host", "host:port", "[v6]:port" up to the first "/". Returns 0 or -EINVAL. */
static int read_authority(struct endpoint *endpoint, const char *text, size_t length)
{
	const char *host = text, *colon = memrchr(text, ':', length);
	size_t host_length = length;
	uint64_t port;
	char digits[8];

	if (length == 0 || length >= RESOLVE_HOST_MAX || memchr(text, '@', length) != NULL)
		return -EINVAL;
	if (colon != NULL && memchr(colon, ']', (size_t)(text + length - colon)) == NULL) {
		size_t digit_count = (size_t)(text + length - colon) - 1;

		if (digit_count == 0 || digit_count >= sizeof(digits))
			return -EINVAL;
		memcpy(digits, colon + 1, digit_count);
		digits[digit_count] = '\0';
		if (text_to_u64(digits, 65535, &port) < 0 || port == 0)
			return -EINVAL;
		endpoint->port = (uint32_t)port;
		host_length = (size_t)(colon - text);
	}
	if (host_length >= 2 && host[0] == '[' && host[host_length - 1] == ']') {
		host++;
		host_length -= 2;
	}
	if (host_length == 0)
		return -EINVAL;
	snprintf(endpoint->host, sizeof(endpoint->host), "%.*s", (int)host_length, host);
	snprintf(endpoint->authority, sizeof(endpoint->authority), "%.*s", (int)length, text);
	return 0;
}

static void addresses_came(struct resolve *resolve, const struct resolve_answer *answer)
{
	struct endpoint *endpoint = resolve->context;
	int result = answer->result;
	struct upstream *upstream;

	relay_enter(endpoint->relay);
	if (answer->result == 0) {
		endpoint->addresses = *answer;
		endpoint->resolved_ms = relay_now_ms(endpoint->relay);
	} else if (endpoint->addresses.count > 0) {
		result = 0; /* the name server may be away, the provider need not be */
	}
	while ((upstream = endpoint->waiting) != NULL) {
		endpoint->waiting = upstream->next;
		if (upstream->next != NULL)
			upstream->next->previous = NULL;
		upstream->next = NULL;
		upstream_resolved(upstream, result);
	}
}

int endpoint_init(struct endpoint *endpoint, struct relay *relay, const char *url)
{
	bool tls = strncmp(url, "https://", 8) == 0;
	const char *rest = url + (tls ? 8 : 7);
	size_t length;

	memset(endpoint, 0, sizeof(*endpoint));
	if (!tls && strncmp(url, "http://", 7) != 0)
		return -EINVAL;
	endpoint->relay = relay;
	endpoint->tls = tls;
	endpoint->port = tls ? 443 : 80;
	endpoint->resolve.done = addresses_came;
	endpoint->resolve.context = endpoint;
	length = strcspn(rest, "/");
	endpoint->path = rest + length;
	endpoint->path_length = strlen(endpoint->path);
	while (endpoint->path_length > 0 && endpoint->path[endpoint->path_length - 1] == '/')
		endpoint->path_length--;
	if (read_authority(endpoint, rest, length) < 0)
		return -EINVAL;
	/* An address in digits is never asked for again. */
	if (resolve_is_address(endpoint->host, endpoint->port, &endpoint->addresses))
		endpoint->resolved_ms = INT64_MAX;
	return 0;
}

static bool is_resolved(struct endpoint *endpoint)
{
	int64_t now_ms = relay_now_ms(endpoint->relay);

	if (endpoint->resolved_ms == INT64_MAX)
		return true;
	if (endpoint->addresses.count > 0 && now_ms - endpoint->resolved_ms < RELAY_RESOLVED_MS)
		return true;
	/* Old addresses serve while new ones are asked for. */
	if (!endpoint->resolve.busy && resolve_start(&endpoint->resolve, &endpoint->relay->worker.loop,
	                                   endpoint->host, endpoint->port) < 0)
		return endpoint->addresses.count > 0;
	return endpoint->addresses.count > 0;
}

static struct upstream *take_idle(struct endpoint *endpoint)
{
	struct upstream *upstream = endpoint->idle;

	if (upstream == NULL)
		return NULL;
	endpoint->idle = upstream->next;
	if (upstream->next != NULL)
		upstream->next->previous = NULL;
	upstream->next = NULL;
	endpoint->idle_count--;
	upstream->state = UPSTREAM_BUSY;
	upstream->reused = true;
	upstream->heard = false;
	deadline_clear(&upstream->deadline);
	return upstream;
}

int endpoint_connect(struct endpoint *endpoint, struct call *call, bool fresh)
{
	struct upstream *upstream = fresh ? NULL : take_idle(endpoint);
	bool is_ready;
	int result;

	if (upstream != NULL) {
		upstream->call = call;
		call->upstream = upstream;
		return 0;
	}
	is_ready = is_resolved(endpoint);
	if (!is_ready && !endpoint->resolve.busy)
		return -EADDRNOTAVAIL;
	upstream = upstream_open(endpoint, call);
	if (upstream == NULL)
		return -ENOMEM;
	call->upstream = upstream;
	if (is_ready) {
		result = upstream_connect(upstream);
		if (result < 0)
			upstream_close(upstream);
		return result;
	}
	upstream->next = endpoint->waiting;
	if (upstream->next != NULL)
		upstream->next->previous = upstream;
	endpoint->waiting = upstream;
	return 0;
}

void endpoint_close_idle(struct endpoint *endpoint)
{
	while (endpoint->idle != NULL)
		upstream_close(endpoint->idle);
}
