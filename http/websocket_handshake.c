/* SHA-1 is no protection here and is not used as one: it only shows that who answers understood the question
 * (RFC 6455, 10.8). */
#include "http/websocket_handshake.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "http/head.h"
#include "http/websocket.h"

#define KEY_BYTES   16
#define KEY_LENGTH  24
#define DIGEST_SIZE 20
#define BLOCK_SIZE  64

static const char secret[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static uint32_t rotate(uint32_t value, unsigned bits)
{
	return value << bits | value >> (32 - bits);
}

/* One round's function and constant (RFC 3174, 5). */
static uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
	if (round < 20)
		return ((b & c) | (~b & d)) + 0x5a827999u;
	if (round < 40)
		return (b ^ c ^ d) + 0x6ed9eba1u;
	if (round < 60)
		return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
	return (b ^ c ^ d) + 0xca62c1d6u;
}

static void digest_block(uint32_t state[5], const uint8_t block[BLOCK_SIZE])
{
	uint32_t words[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

	for (unsigned i = 0; i < 16; i++)
		words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
		           (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (unsigned i = 16; i < 80; i++)
		words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
	for (unsigned i = 0; i < 80; i++) {
		uint32_t next = rotate(a, 5) + mix(i, b, c, d) + e + words[i];

		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

/* SHA-1 (RFC 3174) of at most BLOCK_SIZE bytes. */
static void digest(const char *bytes, size_t length, uint8_t result[DIGEST_SIZE])
{
	uint32_t state[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
	uint8_t blocks[2 * BLOCK_SIZE] = {0};
	/* One bit and the length in bits (8 bytes) are put behind it. */
	size_t size = length + 9 <= BLOCK_SIZE ? BLOCK_SIZE : 2 * BLOCK_SIZE;

	memcpy(blocks, bytes, length);
	blocks[length] = 0x80;
	blocks[size - 2] = (uint8_t)(length * 8 >> 8);
	blocks[size - 1] = (uint8_t)(length * 8);
	for (size_t at = 0; at < size; at += BLOCK_SIZE)
		digest_block(state, blocks + at);
	for (unsigned i = 0; i < DIGEST_SIZE; i++)
		result[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
}

/* Base64 (RFC 4648, 4), NUL-terminated. */
static void encode(const uint8_t *bytes, size_t length, char *target)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < length; i += 3) {
		uint32_t group = (uint32_t)bytes[i] << 16;

		group |= i + 1 < length ? (uint32_t)bytes[i + 1] << 8 : 0;
		group |= i + 2 < length ? bytes[i + 2] : 0;
		*target++ = digits[group >> 18];
		*target++ = digits[group >> 12 & 63];
		*target++ = i + 1 < length ? digits[group >> 6 & 63] : '=';
		*target++ = i + 2 < length ? digits[group & 63] : '=';
	}
	*target = '\0';
}

void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_LENGTH + 1])
{
	char joined[KEY_LENGTH + sizeof(secret)];
	size_t length = strnlen(key, KEY_LENGTH);
	uint8_t result[DIGEST_SIZE];

	memcpy(joined, key, length);
	memcpy(joined + length, secret, sizeof(secret));
	digest(joined, length + sizeof(secret) - 1, result);
	encode(result, sizeof(result), accept);
}

static bool is_path(const char *path)
{
	if (path[0] != '/')
		return false;
	for (; *path != '\0'; path++)
		if (*path <= 0x20 || *path >= 0x7f)
			return false;
	return true;
}

int websocket_request_write(
    struct text *request, uint32_t port, const char *path, char accept[WEBSOCKET_ACCEPT_LENGTH + 1])
{
	uint8_t bytes[KEY_BYTES];
	char key[KEY_LENGTH + 1];

	if (!is_path(path))
		return -EINVAL;
	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != (ssize_t)sizeof(bytes))
		return -EAGAIN;
	encode(bytes, sizeof(bytes), key);
	websocket_accept(key, accept);
	text_addf(request,
	    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
	    path, (unsigned)port, key);
	return request->truncated ? -ENAMETOOLONG : 0;
}

static bool field_is(const char *head, size_t length, const char *name, const char *wanted, bool exact)
{
	const char *value;
	size_t value_length;

	if (!http_head_field(head, length, name, &value, &value_length) || value_length != strlen(wanted))
		return false;
	return exact ? memcmp(value, wanted, value_length) == 0
	             : strncasecmp(value, wanted, value_length) == 0;
}

static bool has_field(const char *head, size_t length, const char *name)
{
	const char *value;
	size_t value_length;

	return http_head_field(head, length, name, &value, &value_length);
}

unsigned websocket_answer_read(const char *head, size_t length, const char *accept)
{
	unsigned status;

	if (http_head_check(HTTP_HEAD_RESPONSE, head, length, NULL) < 0)
		return 0;
	/* "HTTP/1.1 101": the check saw the digits. */
	status =
	    (unsigned)(head[9] - '0') * 100 + (unsigned)(head[10] - '0') * 10 + (unsigned)(head[11] - '0');
	if (status != 101)
		return status;
	if (!field_is(head, length, "Upgrade", "websocket", false) ||
	    !field_is(head, length, "Connection", "upgrade", false) ||
	    !field_is(head, length, "Sec-WebSocket-Accept", accept, true) ||
	    has_field(head, length, "Sec-WebSocket-Extensions") ||
	    has_field(head, length, "Sec-WebSocket-Protocol"))
		return 0;
	return status;
}
