#include "http/request.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include <llhttp.h>

#include "http/head.h"

#define HOST_SIZE 64 /* an address in any notation fits, and what we are called */

struct reading {
	const char *target;
	size_t target_length;
	bool whole;
};

static int target_came(llhttp_t *parser, const char *bytes, size_t length)
{
	struct reading *reading = parser->data;

	if (reading->target == NULL)
		reading->target = bytes;
	reading->target_length += length;
	return 0;
}

/* What follows the head is not looked at: the connection ends with the answer. */
static int head_came(llhttp_t *parser)
{
	struct reading *reading = parser->data;

	reading->whole = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {.on_url = target_came, .on_headers_complete = head_came};

/* The host alone: "[::1]:80" gives "::1" and *bracketed. */
static bool split_authority(const char *authority, size_t length, char host[HOST_SIZE], bool *bracketed)
{
	const char *end = authority + length, *stop, *rest;

	*bracketed = length > 0 && authority[0] == '[';
	if (*bracketed) {
		authority++;
		stop = memchr(authority, ']', (size_t)(end - authority));
		if (stop == NULL)
			return false;
		rest = stop + 1;
	} else {
		stop = memchr(authority, ':', length);
		if (stop == NULL)
			stop = end;
		rest = stop;
	}
	if (stop == authority || stop - authority >= HOST_SIZE ||
	    memchr(authority, '\0', (size_t)(stop - authority)) != NULL)
		return false;
	memcpy(host, authority, (size_t)(stop - authority));
	host[stop - authority] = '\0';
	if (rest == end)
		return true;
	/* The port is not compared: it may have been forwarded from another. */
	if (*rest++ != ':' || rest == end || end - rest > 5)
		return false;
	for (; rest < end; rest++)
		if (*rest < '0' || *rest > '9')
			return false;
	return true;
}

static bool is_ours_v4(const char *host, const char *our_host)
{
	struct in_addr address, ours;

	if (inet_pton(AF_INET, host, &address) != 1)
		return false;
	if (ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET)
		return true;
	return inet_pton(AF_INET, our_host, &ours) == 1 && ours.s_addr == address.s_addr;
}

static bool is_ours_v6(const char *host, const char *our_host)
{
	struct in6_addr address, ours;

	if (inet_pton(AF_INET6, host, &address) != 1)
		return false;
	if (IN6_IS_ADDR_LOOPBACK(&address))
		return true;
	return inet_pton(AF_INET6, our_host, &ours) == 1 && IN6_ARE_ADDR_EQUAL(&address, &ours);
}

bool http_host_is_ours(const char *authority, size_t length, const char *our_host)
{
	bool everywhere = strcmp(our_host, "0.0.0.0") == 0 || strcmp(our_host, "::") == 0;
	char host[HOST_SIZE];
	struct in6_addr any;
	bool bracketed;

	if (!split_authority(authority, length, host, &bracketed))
		return false;
	if (bracketed)
		return is_ours_v6(host, our_host) || (everywhere && inet_pton(AF_INET6, host, &any) == 1);
	/* Which of this machine's addresses was asked cannot be told apart there, and need not be: it takes a
	 * name to lead a browser astray. */
	if (is_ours_v4(host, our_host) || (everywhere && inet_pton(AF_INET, host, &any) == 1))
		return true;
	return strcasecmp(host, "localhost") == 0 || strcasecmp(host, "localhost.") == 0;
}

/* A browser says for whose page it asks. */
static bool is_our_origin(const char *origin, size_t length, const char *our_host)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t scheme_length = strlen(schemes[i]);

		if (length > scheme_length && memcmp(origin, schemes[i], scheme_length) == 0)
			return http_host_is_ours(origin + scheme_length, length - scheme_length, our_host);
	}
	return false;
}

static unsigned check_meant_for_us(const char *head, size_t length, const char *our_host, const char **why)
{
	const char *value;
	size_t value_length;

	if (!http_head_field(head, length, "Host", &value, &value_length) ||
	    !http_host_is_ours(value, value_length, our_host)) {
		*why = "The request names another host than this one: use 127.0.0.1, localhost or the "
		       "configured "
		       "api.host.";
		return 403;
	}
	if (http_head_field(head, length, "Origin", &value, &value_length) &&
	    !is_our_origin(value, value_length, our_host)) {
		*why = "The request comes from a page of another site, which may not ask here.";
		return 403;
	}
	return 0;
}

unsigned http_request_read(
    const char *head, size_t length, const char *our_host, struct http_request *request, const char **why)
{
	struct reading reading = {0};
	llhttp_errno_t result;
	const char *mark;
	llhttp_t parser;

	memset(request, 0, sizeof(*request));
	*why = "What came is no HTTP/1.1 request as RFC 9112 has it.";
	if (http_head_check(HTTP_HEAD_REQUEST, head, length, NULL) < 0)
		return 400;
	llhttp_init(&parser, HTTP_REQUEST, &parser_settings);
	parser.data = &reading;
	result = llhttp_execute(&parser, head, length);
	if (result == HPE_INVALID_METHOD) {
		*why = "This method is not known here.";
		return 501;
	}
	/* Only a path: neither a proxy's whole address, which could name another host than Host does, nor
	 * "*". */
	if (!reading.whole || reading.target_length == 0 || reading.target[0] != '/')
		return 400;
	request->method = llhttp_method_name((llhttp_method_t)parser.method);
	request->head = head;
	request->head_length = length;
	request->path = reading.target;
	request->path_length = reading.target_length;
	mark = memchr(reading.target, '?', reading.target_length);
	if (mark != NULL) {
		request->path_length = (size_t)(mark - reading.target);
		request->query = mark + 1;
		request->query_length = reading.target_length - request->path_length - 1;
	}
	return check_meant_for_us(head, length, our_host, why);
}

bool http_request_only_reads(const struct http_request *request)
{
	return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

bool http_request_is_for(const struct http_request *request, const char *path)
{
	return strlen(path) == request->path_length && memcmp(request->path, path, request->path_length) == 0;
}
