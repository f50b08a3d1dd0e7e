/* A request of the gateway: read strictly from its head, and routed by the first word of its path. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "http/request.h"
#include "relay/relay.h"

struct line {
	const char *method, *target;
	size_t method_length, target_length;
	bool plain; /* HTTP/1.0 */
};

/* The first line of a checked head. */
static bool read_line(const char *head, size_t length, struct line *line)
{
	const char *end = memchr(head, '\r', length);
	const char *first = end == NULL ? NULL : memchr(head, ' ', (size_t)(end - head));
	const char *last = end == NULL ? NULL : memrchr(head, ' ', (size_t)(end - head));

	if (first == NULL || last <= first + 1)
		return false;
	*line = (struct line){.method = head,
	    .method_length = (size_t)(first - head),
	    .target = first + 1,
	    .target_length = (size_t)(last - first) - 1,
	    .plain = end[-1] == '0'};
	for (size_t i = 0; i < line->target_length; i++)
		if (line->target[i] <= 0x20 || line->target[i] >= 0x7f)
			return false;
	return line->target[0] == '/';
}

static struct provider *find_provider(struct relay *relay, const char *target, size_t length)
{
	for (uint32_t i = 0; i < relay->provider_count; i++) {
		struct provider *provider = &relay->providers[i];
		size_t name_length = provider->name_length;

		if (length > name_length && memcmp(target + 1, provider->name, name_length) == 0 &&
		    (length == name_length + 1 || target[name_length + 1] == '/' ||
		        target[name_length + 1] == '?'))
			return provider;
	}
	return NULL;
}

static bool has_word(const struct http_field *field, const char *word, size_t word_length)
{
	const char *at = field->value, *end = field->value + field->value_length;

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma != NULL ? comma : end, *next = stop + (comma != NULL);

		while (at < stop && (*at == ' ' || *at == '\t'))
			at++;
		while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		if ((size_t)(stop - at) == word_length && strncasecmp(at, word, word_length) == 0)
			return true;
		at = next;
	}
	return false;
}

static bool is_hexadecimal(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	return true;
}

/* traceparent: 00-TRACE-SPAN-FLAGS (W3C Trace Context, 3.2). */
static void read_trace(const struct http_field *field, char trace[33])
{
	if (field->value_length >= 55 && field->value[2] == '-' && field->value[35] == '-' &&
	    is_hexadecimal(field->value + 3, 32)) {
		memcpy(trace, field->value + 3, 32);
		trace[32] = '\0';
	}
}

/* What is gathered from the fields on the way. */
struct reading {
	const char *head;
	struct request_route *route;
	const char *fault;
	struct http_framing framing;
	uint64_t credential;
	char trace[33];
	uint32_t special_count;
	struct special specials[RELAY_SPECIALS_MAX];
};

static void note_special(struct reading *reading, const struct http_field *field, enum special_use use)
{
	if (reading->special_count == RELAY_SPECIALS_MAX) {
		reading->fault = "It names its credential or its connection too often.";
		return;
	}
	reading->specials[reading->special_count++] =
	    (struct special){.start = (uint16_t)(field->line - reading->head),
	        .end = (uint16_t)(field->line + field->line_length - reading->head),
	        .name_length = (uint8_t)field->name_length,
	        .use = (uint8_t)use};
	if (use == SPECIAL_CREDENTIAL && reading->credential == 0)
		reading->credential = hash_bytes(field->value, field->value_length);
}

static void field_came(void *context, const struct http_field *field)
{
	struct reading *reading = context;
	enum special_use use;

	switch (field->name_length) {
	case 4:
		if (http_field_is(field, "host", 4) &&
		    !http_host_is_ours(field->value, field->value_length, "127.0.0.1"))
			reading->fault = "It is meant for another host than this machine.";
		break;
	case 6:
		if (http_field_is(field, "expect", 6))
			reading->route->expects_continue = has_word(field, "100-continue", 12);
		if (http_field_is(field, "origin", 6))
			reading->fault = "A page of a browser may not use the relay.";
		break;
	case 7:
		if (http_field_is(field, "upgrade", 7))
			reading->fault = "The relay carries HTTP/1.1 requests only.";
		break;
	case 10:
		if (http_field_is(field, "connection", 10) && has_word(field, "close", 5))
			reading->route->keep_alive = false;
		break;
	case 11:
		if (http_field_is(field, "traceparent", 11))
			read_trace(field, reading->trace);
		break;
	default:
		http_framing_note(&reading->framing, field);
		break;
	}
	if (outgoing_is_special(field, &use))
		note_special(reading, field, use);
}

static struct call *refuse(struct request_route *route, unsigned status, const char *why)
{
	route->status = status;
	route->why = why;
	return NULL;
}

static struct call *local(struct request_route *route, const struct line *line)
{
	size_t length = line->target_length;
	const char *query = memchr(line->target, '?', length);
	bool reads = (line->method_length == 3 && memcmp(line->method, "GET", 3) == 0) ||
	             (line->method_length == 4 && memcmp(line->method, "HEAD", 4) == 0);

	if (query != NULL)
		length = (size_t)(query - line->target);
	if (!reads || length >= sizeof(route->path))
		return refuse(route, 404,
		    "The relay knows no such provider: its address is http://127.0.0.1:PORT/NAME, with a "
		    "name from "
		    "relay.providers.");
	route->local = true;
	memcpy(route->path, line->target, length);
	route->path[length] = '\0';
	return NULL;
}

static struct call *make_call(struct client *client, struct provider *provider, const struct reading *reading,
    const struct line *line, size_t length)
{
	struct call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->head = malloc(length);
	if (call->head == NULL) {
		free(call);
		return NULL;
	}
	memcpy(call->head, reading->head, length);
	call->head_length = length;
	call->target = (size_t)(line->target - reading->head) + 1 + provider->name_length;
	call->target_length = line->target_length - 1 - provider->name_length;
	call->is_head = line->method_length == 4 && memcmp(line->method, "HEAD", 4) == 0;
	call->special_count = reading->special_count;
	memcpy(call->specials, reading->specials, reading->special_count * sizeof(call->specials[0]));
	call->client = client;
	call->relay = client->relay;
	call->provider = provider;
	memcpy(call->trace, reading->trace, sizeof(call->trace));
	call->credential = provider->has_gateways ? reading->credential : 0;
	call->began_ms = relay_now_ms(client->relay);
	return call;
}

struct call *request_read(struct client *client, const char *head, size_t length, struct request_route *route)
{
	struct reading reading;
	struct provider *provider;
	struct http_body upload;
	struct line line;
	struct call *call;

	reading.head = head;
	reading.route = route;
	reading.fault = NULL;
	reading.framing = (struct http_framing){0};
	reading.credential = reading.special_count = 0;
	reading.trace[0] = '\0';
	*route = (struct request_route){.keep_alive = true};
	if (http_head_read(HTTP_HEAD_REQUEST, head, length, field_came, &reading, NULL) < 0 ||
	    !read_line(head, length, &line))
		return refuse(route, 400, "It is no HTTP/1.1 request.");
	route->plain = line.plain;
	if (line.plain)
		route->keep_alive = false;
	if (reading.fault != NULL)
		return refuse(route, 403, reading.fault);
	if (http_body_of_framing(&upload, &reading.framing) < 0)
		return refuse(route, 400, "The relay knows no Transfer-Encoding but chunked.");
	provider = find_provider(client->relay, line.target, line.target_length);
	if (provider == NULL)
		return local(route, &line);
	call = make_call(client, provider, &reading, &line, length);
	if (call == NULL)
		return refuse(route, 503, "The relay has no memory for it.");
	call->upload = upload;
	return call;
}
