/* A request to a server of ours: read strictly from its head, and refused unless it is meant for this
 * machine.
 *
 * A page of a foreign site can make a browser ask a server on its user's own machine, once that site's name
 * leads there (DNS rebinding). Such a request still carries the foreign name, so only our own pass: an
 * address of the loopback network, "localhost", the configured host, and where that is every address, any
 * address. */
#ifndef HOLDFAST_HTTP_REQUEST_H
#define HOLDFAST_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

struct http_request {
	const char *method; /* as llhttp names it: "GET" */
	/* Into the head, not NUL-terminated: before and after the first "?". Nothing is decoded. */
	const char *path, *query;
	size_t path_length, query_length;
	const char *head; /* for http_head_field */
	size_t head_length;
};

/* Reads a whole head as found by http_head_find; it must outlive *request. `our_host` is the configured one.
 * Returns 0, or the status to refuse it with and *why, a sentence. */
unsigned http_request_read(
    const char *head, size_t length, const char *our_host, struct http_request *request, const char **why);

/* Whether it only reads: GET or HEAD. */
bool http_request_only_reads(const struct http_request *request);

bool http_request_is_for(const struct http_request *request, const char *path);

/* Whether an authority ("127.0.0.1:18790", "[::1]", "localhost") names us. */
bool http_host_is_ours(const char *authority, size_t length, const char *our_host);

#endif
