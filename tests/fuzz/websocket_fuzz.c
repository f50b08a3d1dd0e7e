/* A hostile WebSocket server: the answer to the handshake, or the frames after it, as the input has them. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/websocket.h"
#include "http/websocket_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int ended;

static void opened(struct websocket *websocket)
{
	if (websocket_send(websocket, "{}", 2) == -EMSGSIZE)
		abort();
}

static void message(struct websocket *websocket, const char *text, size_t length, bool whole)
{
	if (length >= websocket->buffer_size || text[length] != '\0' ||
	    (whole && websocket->message_length != length))
		abort();
}

static void closed(struct websocket *websocket, enum websocket_end end, unsigned code)
{
	if (websocket->state != WEBSOCKET_IDLE || (end == WEBSOCKET_STATUS && (code == 0 || code == 101)))
		abort();
	ended++;
}

/* As after websocket_open, but on one end of a pair: no port, no waiting. */
static void connect_pair(struct loop *loop, struct websocket *websocket, int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0 ||
	    loop_source_watch(loop, &websocket->source, pair[0], EPOLLIN | EPOLLOUT) < 0)
		abort();
	websocket->fd = pair[0];
	websocket->state = WEBSOCKET_SHAKING;
	websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", websocket->accept);
}

static void play(const uint8_t *data, size_t size, bool shake)
{
	static const char answer[] = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
	static struct websocket websocket;
	char buffer[64];
	struct loop loop;
	int pair[2];

	loop_init(&loop);
	websocket_init(&websocket, &loop);
	websocket.buffer = buffer;
	websocket.buffer_size = sizeof(buffer);
	websocket.opened = opened;
	websocket.message = message;
	websocket.closed = closed;
	connect_pair(&loop, &websocket, pair);
	ended = 0;
	if (shake && send(pair[1], answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
		abort();
	(void)!send(pair[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(pair[1], SHUT_WR);
	while (ended == 0)
		loop_turn(&loop);
	if (ended != 1 || loop.timer_count != 0)
		abort();
	close(pair[1]);
	loop_release(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	play(data, size, true);
	play(data, size, false);
	return 0;
}
