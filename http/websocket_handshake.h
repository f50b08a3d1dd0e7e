/* The handshake of a WebSocket client (RFC 6455, 4.1): bytes in, bytes out. */
#ifndef HOLDFAST_HTTP_WEBSOCKET_HANDSHAKE_H
#define HOLDFAST_HTTP_WEBSOCKET_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define WEBSOCKET_ACCEPT_LENGTH 28

/* Writes the request, with a random key; `accept` receives what must answer it. No Origin is sent: a gateway
 * takes what has one for a browser, and locks it out sooner. Returns 0; -EINVAL for a path that does not
 * begin with "/" or holds more than visible ASCII; -ENAMETOOLONG; -EAGAIN when there is no chance to be had
 * yet. */
int websocket_request_write(
    struct text *request, uint32_t port, const char *path, char accept[WEBSOCKET_ACCEPT_LENGTH + 1]);

/* Reads a whole head as found by http_head_find. Returns its status, and 0 for what is no acceptable answer:
 * a 101 must name our `accept`, and may name neither an extension nor a protocol, because none was asked for.
 */
unsigned websocket_answer_read(const char *head, size_t length, const char *accept);

/* What a server answers to a key: base64 of SHA-1. Of `key` at most 24 bytes count. */
void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_LENGTH + 1]);

#endif
