/* The relay as a whole: what it is made of, who comes in, and how it ends. */
#include "relay/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/peer.h"
#include "world/world.h"

#define ACCEPT_AGAIN_MS 100
#define TOGETHER_BYTES  (4 * 1024)
#define ACCEPTS_MAX     32 /* in one turn */

void relay_bury(struct relay *relay, void *memory)
{
	*(void **)memory = relay->buried;
	relay->buried = memory;
}

void relay_enter(struct relay *relay)
{
	void *memory;

	deadlines_look(&relay->deadlines);
	while ((memory = relay->buried) != NULL) {
		relay->buried = *(void **)memory;
		free(memory);
	}
}

void relay_call_began(struct relay *relay, struct call *call)
{
	/* A deadline of its own; room for it was made with the client's. */
	call->next = relay->calls;
	if (call->next != NULL)
		call->next->previous = call;
	relay->calls = call;
	relay->call_count++;
}

void relay_call_gone(struct relay *relay, struct call *call)
{
	if (call->next != NULL)
		call->next->previous = call->previous;
	if (call->previous != NULL)
		call->previous->next = call->next;
	else
		relay->calls = call->next;
	relay->call_count--;
}

void relay_client_gone(struct relay *relay)
{
	if (relay->draining && relay->client_count == 0)
		loop_stop(&relay->worker.loop);
}

/* With no descriptor left a caller would wait for ever: it is taken with the spare one, and closed. */
static void shed(struct relay *relay)
{
	int fd;

	if (relay->spare_fd >= 0)
		close(relay->spare_fd);
	fd = world_accept4(relay->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	relay->spare_fd = world_open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* The client that has been without a request for longest makes room. Returns false when all are busy. */
static bool make_room(struct relay *relay)
{
	struct client *last = NULL;

	for (struct client *client = relay->clients; client != NULL; client = client->next)
		if (client->call == NULL)
			last = client;
	if (last == NULL)
		return false;
	client_release(last);
	return true;
}

static void callers_came(struct loop_source *source, uint32_t events)
{
	struct relay *relay = source->context;

	(void)events;
	relay_enter(relay);
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int fd = world_accept4(relay->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			shed(relay);
			return;
		}
		if (fd < 0)
			return;
		if (!peer_is_allowed(relay, fd) ||
		    (relay->client_count >= RELAY_CLIENTS_MAX && !make_room(relay))) {
			close(fd);
			continue;
		}
		client_accept(relay, fd);
	}
}

static void accept_again(struct loop_timer *timer)
{
	struct relay *relay = timer->context;

	if (relay->listener_fd >= 0)
		relay_listen(relay, relay->listener_fd);
}

ssize_t relay_send(int fd, const struct iovec *spans, uint32_t count)
{
	const struct msghdr message = {.msg_iov = (struct iovec *)spans, .msg_iovlen = count};
	char together[TOGETHER_BYTES];
	size_t length = 0;

	/* A copy of a few bytes costs less than the kernel's reading of a list. */
	for (uint32_t i = 0; i < count; i++) {
		if (spans[i].iov_len > sizeof(together) - length)
			return world_sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		memcpy(together + length, spans[i].iov_base, spans[i].iov_len);
		length += spans[i].iov_len;
	}
	return world_send(fd, together, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void relay_tune(int fd)
{
	static const char congestion[] = "reno";
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, sizeof(congestion) - 1);
}

void relay_listen(struct relay *relay, int fd)
{
	loop_source_retire(&relay->listener);
	if (relay->draining)
		return;
	relay->listener_fd = fd;
	relay_tune(fd);
	world_fcntl(fd, F_SETFL, world_fcntl(fd, F_GETFL) | O_NONBLOCK);
	relay->listener.callback = callers_came;
	relay->listener.context = relay;
	if (loop_source_watch(&relay->worker.loop, &relay->listener, fd, EPOLLIN) < 0)
		loop_timer_arm(&relay->worker.loop, &relay->again, clock_boot_ms() + ACCEPT_AGAIN_MS);
}

void relay_drain(struct relay *relay)
{
	relay->draining = true;
	deadlines_look(&relay->deadlines);
	loop_source_retire(&relay->listener);
	loop_timer_arm(&relay->worker.loop, &relay->again, 0);
	for (uint32_t i = 0; i < relay->endpoint_count; i++)
		endpoint_close_idle(&relay->endpoints[i]);
	/* A connection without a request is closed by its owner in a few seconds; closed by us, it could be
	 * just when the next request is on its way. */
	for (struct client *client = relay->clients; client != NULL; client = client->next)
		if (client->call == NULL)
			deadline_set(&relay->deadlines, &client->deadline, RELAY_DRAIN_IDLE_MS);
	if (relay->client_count == 0)
		loop_stop(&relay->worker.loop);
}

/* Profiles with the same address share its connections. */
static struct endpoint *find_endpoint(struct relay *relay, const char *url)
{
	struct endpoint *endpoint = &relay->endpoints[relay->endpoint_count];

	if (endpoint_init(endpoint, relay, url) < 0)
		return NULL;
	for (uint32_t i = 0; i < relay->endpoint_count; i++) {
		struct endpoint *other = &relay->endpoints[i];

		if (other->tls == endpoint->tls && strcmp(other->authority, endpoint->authority) == 0 &&
		    other->path_length == endpoint->path_length &&
		    memcmp(other->path, endpoint->path, endpoint->path_length) == 0)
			return other;
	}
	relay->endpoint_count++;
	return endpoint;
}

static int provider_init(struct relay *relay, uint32_t index, struct error *why)
{
	const struct settings *settings = relay->worker.settings;
	const struct settings_provider *from = &settings->relay.providers[index];
	struct provider *provider = &relay->providers[index];
	const struct failover_settings failover = {.profile_count = from->profile_count,
	    .first_content_ms = settings->relay.first_content_timeout_ms,
	    .last_resort_ms = settings->relay.last_resort_timeout_ms,
	    .gap_ms = settings->relay.gap_timeout_ms};

	provider->relay = relay;
	provider->index = index;
	provider->name = settings_string(settings, from->name);
	provider->name_length = strlen(provider->name);
	provider->api_name = settings_string(settings, from->api);
	provider->api = api_from_name(provider->api_name);
	provider->profile_count = from->profile_count;
	provider->gateway_logins = from->gateway_logins;
	failover_init(&provider->failover, &failover);
	for (uint32_t i = 0; i < from->profile_count; i++) {
		struct profile *profile = &provider->profiles[i];
		const struct settings_profile *given = &from->profiles[i];
		const char *url =
		    settings_string(settings, given->base_url != 0 ? given->base_url : from->base_url);

		profile->id = settings_string(settings, given->id);
		profile->is_gateways = strcmp(settings_string(settings, given->key), "gateway") == 0;
		provider->has_gateways |= profile->is_gateways;
		profile->rotate = given->rotate != 0 ? settings_string(settings, given->rotate) : "auto";
		profile->endpoint = find_endpoint(relay, url);
		if (profile->endpoint == NULL)
			return error_set(why, -EINVAL,
			    "The relay cannot use the address of %s: it must be https://host or http://host, "
			    "with a "
			    "port and a path if need be.",
			    provider->name);
	}
	relay->provider_count++;
	return 0;
}

static void allow_many_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		world_setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int relay_init(struct relay *relay, struct error *why)
{
	const struct settings *settings = relay->worker.settings;
	int result;

	relay->listener_fd = -1;
	tell_init(relay);
	relay->again.callback = accept_again;
	relay->again.context = relay;
	relay->started_real_ms = clock_real_ms();
	relay->spare_fd = world_open("/dev/null", O_RDONLY | O_CLOEXEC);
	allow_many_descriptors();
	result = deadlines_init(&relay->deadlines, &relay->worker.loop);
	relay->scratch = segment_take(&relay->segments, true);
	relay->outgoing = malloc(OUTGOING_MAX);
	if (result < 0 || relay->scratch == NULL || relay->outgoing == NULL)
		return error_set(
		    why, result < 0 ? result : -ENOMEM, "The relay has no memory to begin with.");
	for (uint32_t i = 0; i < settings->relay.provider_count; i++) {
		bool tls = false;

		result = provider_init(relay, i, why);
		if (result < 0)
			return result;
		for (uint32_t j = 0; j < relay->endpoint_count; j++)
			tls |= relay->endpoints[j].tls;
		if (tls && relay->tls == NULL && (relay->tls = tls_context(why)) == NULL)
			return why->code;
	}
	return 0;
}
