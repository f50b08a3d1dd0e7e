#include "relay/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define READ_BUFFER_BYTES (18 * 1024) /* a whole record and its head */

static int memory_index = -1;

/* Called when the other side gives a session that may be resumed. Returns 1: it is kept. */
static int session_came(SSL *ssl, SSL_SESSION *session)
{
	struct tls_memory *memory = SSL_get_ex_data(ssl, memory_index);

	if (memory == NULL)
		return 0;
	tls_forget(memory);
	memory->session = session;
	return 1;
}

SSL_CTX *tls_context(struct error *why)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (memory_index < 0)
		memory_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (context == NULL || memory_index < 0 || SSL_CTX_set_default_verify_paths(context) != 1) {
		SSL_CTX_free(context);
		error_set(why, -ENOTSUP, "OpenSSL cannot be used: %s.",
		    ERR_reason_error_string(ERR_peek_last_error()));
		return NULL;
	}
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(context,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* One system call for head and content of a record, and for the next one with it. */
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER_BYTES);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, session_came);
	return context;
}

SSL *tls_open(SSL_CTX *context, int fd, const char *host, struct tls_memory *memory)
{
	unsigned char address[16];
	bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
	SSL *ssl = SSL_new(context);
	X509_VERIFY_PARAM *parameters;

	if (ssl == NULL)
		return NULL;
	parameters = SSL_get0_param(ssl);
	X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set_fd(ssl, fd) != 1 || SSL_set_ex_data(ssl, memory_index, memory) != 1 ||
	    (is_address ? X509_VERIFY_PARAM_set1_ip_asc(parameters, host) : SSL_set1_host(ssl, host)) != 1 ||
	    (!is_address && SSL_set_tlsext_host_name(ssl, host) != 1)) {
		SSL_free(ssl);
		return NULL;
	}
	if (memory->session != NULL)
		SSL_set_session(ssl, memory->session);
	SSL_set_connect_state(ssl);
	return ssl;
}

void tls_close(SSL *ssl)
{
	if (ssl == NULL)
		return;
	/* Without it OpenSSL takes the session for broken, and never resumes it. */
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_set_ex_data(ssl, memory_index, NULL);
	SSL_free(ssl);
}

void tls_forget(struct tls_memory *memory)
{
	if (memory->session != NULL)
		SSL_SESSION_free(memory->session);
	memory->session = NULL;
}

static enum tls_result outcome(SSL *ssl, int result)
{
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return TLS_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	default:
		return TLS_FAILED;
	}
}

enum tls_result tls_handshake(SSL *ssl)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(ssl);
	return result == 1 ? TLS_DONE : outcome(ssl, result);
}

enum tls_result tls_read(SSL *ssl, char *bytes, size_t size, size_t *got)
{
	enum tls_result result = TLS_DONE;
	int count;

	*got = 0;
	while (*got < size) {
		ERR_clear_error();
		count = SSL_read(ssl, bytes + *got, (int)(size - *got));
		if (count <= 0) {
			result = outcome(ssl, count);
			break;
		}
		*got += (size_t)count;
		/* Nothing more has been read ahead: asking again would only be told to wait. */
		if (!SSL_has_pending(ssl))
			return TLS_DONE;
	}
	/* How it went on is said when what came before has been used. */
	return *got > 0 ? TLS_DONE : result;
}

enum tls_result tls_write(SSL *ssl, const char *bytes, size_t length, size_t *sent)
{
	int result;

	ERR_clear_error();
	*sent = 0;
	result = SSL_write_ex(ssl, bytes, length, sent);
	return result == 1 ? TLS_DONE : outcome(ssl, result);
}

void tls_explain(SSL *ssl, char *text, size_t size)
{
	long verified = SSL_get_verify_result(ssl);
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	if (verified != X509_V_OK)
		snprintf(
		    text, size, "its certificate is not valid: %s", X509_verify_cert_error_string(verified));
	else
		snprintf(text, size, "TLS failed: %s", reason != NULL ? reason : "the connection ended");
}
