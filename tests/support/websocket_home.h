/* A WebSocket client, driven by the test one turn at a time, and the other side as the test plays it. */
#ifndef HOLDFAST_TESTS_SUPPORT_WEBSOCKET_HOME_H
#define HOLDFAST_TESTS_SUPPORT_WEBSOCKET_HOME_H

#include "support/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "http/websocket.h"

#define PATIENCE_MS 20000
#define BUFFER_SIZE 1024

static struct loop loop;
static struct websocket websocket;
static struct loop_timer tick;
static char buffer[BUFFER_SIZE];
static int listener = -1, peer = -1;
static uint16_t port;

/* What the client told its owner. */
static struct {
	int opened, messages, closed;
	enum websocket_end end;
	unsigned code;
	bool whole;
	size_t length;
	char text[BUFFER_SIZE];
	char all[4096]; /* all whole messages, joined */
} told;

static inline void opened(struct websocket *client)
{
	(void)client;
	told.opened++;
}

static inline void message_came(struct websocket *client, const char *text, size_t length, bool whole)
{
	(void)client;
	told.messages++;
	told.whole = whole;
	told.length = length;
	memcpy(told.text, text, length);
	told.text[length] = '\0';
	if (whole && strlen(told.all) + length < sizeof(told.all) - 2)
		strncat(strncat(told.all, text, length), "|", 2);
}

static inline void closed(struct websocket *client, enum websocket_end end, unsigned code)
{
	(void)client;
	told.closed++;
	told.end = end;
	told.code = code;
}

static inline void nothing(struct loop_timer *timer)
{
	(void)timer;
}

static inline int listen_somewhere(uint16_t *where)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 16) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		abort();
	*where = ntohs(address.sin_port);
	return fd;
}

static inline void given_a_client(void)
{
	loop_init(&loop);
	memset(&told, 0, sizeof(told));
	tick = (struct loop_timer){.callback = nothing};
	websocket_init(&websocket, &loop);
	websocket.buffer = buffer;
	websocket.buffer_size = sizeof(buffer);
	websocket.opened = opened;
	websocket.message = message_came;
	websocket.closed = closed;
	listener = listen_somewhere(&port);
}

static inline void end_of_client(void)
{
	websocket_close(&websocket);
	loop_timer_arm(&loop, &tick, 0);
	CHECK(loop.timer_count == 0);
	loop_release(&loop);
	file_close(&peer);
	file_close(&listener);
}

static inline void turn(void)
{
	loop_timer_arm(&loop, &tick, clock_boot_ms() + 5);
	loop_turn(&loop);
}

/* Turns until `counter` is `wanted`. */
static inline bool turn_until(const int *counter, int wanted)
{
	int64_t until_ms = clock_boot_ms() + PATIENCE_MS;

	while (*counter < wanted && clock_boot_ms() < until_ms)
		turn();
	return *counter == wanted;
}

/* --- The other side. --- */

static inline void say_bytes(const void *bytes, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t sent =
		    send(peer, (const char *)bytes + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0)
			done += (size_t)sent;
		else if (errno == EAGAIN)
			turn();
		else
			return;
	}
}

/* Exactly `length` bytes of what the client sends, while it turns. */
static inline bool hear_bytes(void *bytes, size_t length)
{
	int64_t until_ms = clock_boot_ms() + PATIENCE_MS;

	for (size_t done = 0; done < length && clock_boot_ms() < until_ms;) {
		ssize_t got = recv(peer, (char *)bytes + done, length - done, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN))
			return false;
		if (got < 0)
			turn();
		done += got > 0 ? (size_t)got : 0;
		if (done == length)
			return true;
	}
	return length == 0;
}

static char request[4096], key_seen[25];

static inline bool hear_request(void)
{
	size_t length = 0;
	const char *key;

	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (length < sizeof(request) - 1 && hear_bytes(request + length, 1)) {
		request[++length] = '\0';
		if (strstr(request, "\r\n\r\n") != NULL)
			break;
	}
	key = strstr(request, "Sec-WebSocket-Key: ");
	if (key == NULL)
		return false;
	snprintf(key_seen, sizeof(key_seen), "%s", key + strlen("Sec-WebSocket-Key: "));
	return true;
}

static inline void answer_with(const char *format, const char *accept)
{
	char answer[1024];

	snprintf(answer, sizeof(answer), format, accept);
	say_bytes(answer, strlen(answer));
}

#define SWITCHING                                                                                            \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                  \
	"Sec-WebSocket-Accept: %s\r\n"

static inline void accept_it(void)
{
	char accept[WEBSOCKET_ACCEPT_LENGTH + 1];

	websocket_accept(key_seen, accept);
	answer_with(SWITCHING "\r\n", accept);
}

/* A frame of the server's; `first` is its first byte. */
static inline size_t write_frame(uint8_t *target, uint8_t first, const void *bytes, size_t length)
{
	size_t header = length < 126 ? 2 : length < 65536 ? 4 : 10;

	target[0] = first;
	target[1] = (uint8_t)(header == 2 ? length : header == 4 ? 126 : 127);
	for (size_t i = 2; i < header; i++)
		target[i] = (uint8_t)(length >> 8 * (header - 1 - i));
	memcpy(target + header, bytes, length);
	return header + length;
}

static inline void say_frame(uint8_t first, const void *bytes, size_t length)
{
	static uint8_t frame[2 * 1024 * 1024];

	say_bytes(frame, write_frame(frame, first, bytes, length));
}

#define TEXT  0x81
#define CLOSE 0x88
#define PING  0x89
#define PONG  0x8a

static inline void say(const char *text)
{
	say_frame(TEXT, text, strlen(text));
}

static struct {
	uint8_t first;
	bool masked;
	size_t length;
	char text[32 * 1024];
} heard;

/* The next frame of the client's, unmasked. */
static inline bool hear_frame(void)
{
	uint8_t head[2], size[8], mask[4];
	size_t extra;

	memset(&heard, 0, sizeof(heard));
	if (!hear_bytes(head, 2))
		return false;
	heard.first = head[0];
	heard.masked = head[1] & 0x80;
	heard.length = head[1] & 0x7f;
	extra = heard.length == 126 ? 2 : heard.length == 127 ? 8 : 0;
	if (!hear_bytes(size, extra))
		return false;
	heard.length = extra == 0 ? heard.length : 0;
	for (size_t i = 0; i < extra; i++)
		heard.length = heard.length << 8 | size[i];
	if (!heard.masked || !hear_bytes(mask, 4) || heard.length >= sizeof(heard.text) ||
	    !hear_bytes(heard.text, heard.length))
		return false;
	for (size_t i = 0; i < heard.length; i++)
		heard.text[i] = (char)(heard.text[i] ^ mask[i % 4]);
	heard.text[heard.length] = '\0';
	return true;
}

static inline void given_an_open_connection(void)
{
	given_a_client();
	CHECK(websocket_open(&websocket, port, "/", PATIENCE_MS) == 0);
	CHECK(hear_request());
	accept_it();
	CHECK(turn_until(&told.opened, 1));
}

#endif
