/* TLS to the providers: verified against the system's certificates (SSL_CERT_FILE and SSL_CERT_DIR are
 * honoured), with the name sent and checked, TLS 1.2 at least, sessions resumed. */
#ifndef HOLDFAST_RELAY_TLS_H
#define HOLDFAST_RELAY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#include <openssl/ssl.h>

/* The last session with one endpoint, to be resumed. All zero: none. */
struct tls_memory {
	SSL_SESSION *session;
};

enum tls_result {
	TLS_DONE,
	TLS_AGAIN,  /* when the socket is ready again */
	TLS_CLOSED, /* the other side said that it has nothing more to say */
	TLS_FAILED,
};

/* NULL with *why when OpenSSL has none. */
SSL_CTX *tls_context(struct error *why);

/* A connection over `fd`, which stays the caller's. `host` is checked, and sent unless it is an address.
 * `memory` lives longer. NULL: no memory. */
SSL *tls_open(SSL_CTX *context, int fd, const char *host, struct tls_memory *memory);
void tls_close(SSL *ssl);
void tls_forget(struct tls_memory *memory);

enum tls_result tls_handshake(SSL *ssl);

/* Reads up to `size` bytes, several records where there are; *got 0 unless TLS_DONE. */
enum tls_result tls_read(SSL *ssl, char *bytes, size_t size, size_t *got);
/* Writes some of it; *sent is 0 unless TLS_DONE. After TLS_AGAIN the same bytes come first. */
enum tls_result tls_write(SSL *ssl, const char *bytes, size_t length, size_t *sent);

/* Why the handshake failed, for people. */
void tls_explain(SSL *ssl, char *text, size_t size);

#endif
