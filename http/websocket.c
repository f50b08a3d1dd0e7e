#include "http/websocket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "base/clock.h"
#include "base/text.h"
#include "http/websocket_handshake.h"
#include "world/world.h"

/* So much is read before others have their turn. */
#define TURN_BYTES ((size_t)256 * 1024)
/* A frame of ours: its header and mask. */
#define FRAME_OVERHEAD 14
/* Kept free for answers to pings and for the close frame. */
#define CONTROL_ROOM ((size_t)2 * (FRAME_OVERHEAD + 125))

/* --- What is sent. --- */

static ssize_t put_output(const uint8_t *bytes, size_t length, int flags, void *context)
{
	struct websocket *websocket = context;

	/* There is room: put_frame looked before. */
	memcpy(websocket->output + websocket->output_length, bytes, length);
	websocket->output_length += length;
	return (ssize_t)length;
}

static int make_mask(uint8_t *mask, size_t length, void *context)
{
	return getrandom(mask, length, GRND_NONBLOCK) == (ssize_t)length ? 0 : -1;
}

static bool has_room(struct websocket *websocket, size_t length, size_t kept_free)
{
	size_t waiting = websocket->output_length - websocket->output_sent;

	if (waiting + length + FRAME_OVERHEAD + kept_free > sizeof(websocket->output))
		return false;
	memmove(websocket->output, websocket->output + websocket->output_sent, waiting);
	websocket->output_length = waiting;
	websocket->output_sent = 0;
	return true;
}

/* The caller has seen that there is room. Returns false when it could not be masked. */
static bool put_frame(struct websocket *websocket, uint8_t opcode, const void *bytes, size_t length)
{
	struct wslay_frame_iocb frame = {.fin = 1, .opcode = opcode, .mask = 1, .payload_length = length};
	size_t before = websocket->output_length, done = 0;

	do {
		ssize_t taken;

		frame.data = (const uint8_t *)bytes + done;
		frame.data_length = length - done;
		taken = wslay_frame_send(websocket->frames, &frame);
		if (taken < 0) {
			websocket->output_length = before;
			return false;
		}
		done += (size_t)taken;
	} while (done < length);
	return true;
}

/* What can be sent at once is; the rest when the socket can be written to. Errors are seen by the next read.
 */
static void transmit(struct websocket *websocket)
{
	while (websocket->output_sent < websocket->output_length) {
		ssize_t sent = world_send(websocket->fd, websocket->output + websocket->output_sent,
		    websocket->output_length - websocket->output_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			break;
		websocket->output_sent += (size_t)sent;
	}
	loop_source_change(&websocket->source,
	    websocket->output_sent < websocket->output_length ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* --- How it ends. --- */

static void release(struct websocket *websocket)
{
	loop_source_retire(&websocket->source);
	if (websocket->timer.loop != NULL)
		loop_timer_arm(websocket->loop, &websocket->timer, 0);
	if (websocket->fd >= 0)
		close(websocket->fd);
	if (websocket->frames != NULL)
		wslay_frame_context_free(websocket->frames);
	websocket->fd = -1;
	websocket->frames = NULL;
	websocket->state = WEBSOCKET_IDLE;
}

static void finish(struct websocket *websocket, enum websocket_end end, unsigned code)
{
	release(websocket);
	websocket->closed(websocket, end, code);
}

static void send_close(struct websocket *websocket, unsigned code)
{
	const uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};

	if (!has_room(websocket, sizeof(bytes), 0))
		return;
	if (put_frame(websocket, WSLAY_CONNECTION_CLOSE, bytes, sizeof(bytes)))
		transmit(websocket);
}

/* The server did what no WebSocket server may do. */
static void fail(struct websocket *websocket, unsigned code)
{
	send_close(websocket, code);
	finish(websocket, WEBSOCKET_NONSENSE, 0);
}

/* The connection is over. */
static void connection_ended(struct websocket *websocket, int error)
{
	if (error == ECONNREFUSED)
		finish(websocket, WEBSOCKET_REFUSED, 0);
	else if (websocket->state == WEBSOCKET_OPEN)
		finish(websocket, WEBSOCKET_RESET, 0);
	else
		finish(websocket, WEBSOCKET_NONSENSE, 0);
}

/* --- Frames: each function returns false when the connection is no more. --- */

static ssize_t take_input(uint8_t *target, size_t size, int flags, void *context)
{
	struct websocket *websocket = context;
	size_t length = websocket->input_length - websocket->input_used;

	if (length == 0)
		return -1; /* as a socket that has nothing to read now */
	if (length > size)
		length = size;
	memcpy(target, websocket->input + websocket->input_used, length);
	websocket->input_used += length;
	return (ssize_t)length;
}

static bool close_came(struct websocket *websocket)
{
	const uint8_t *bytes = websocket->control;
	unsigned code = WEBSOCKET_NO_CODE;

	websocket->reason[0] = '\0';
	if (websocket->control_length == 1) {
		fail(websocket, WSLAY_CODE_PROTOCOL_ERROR);
		return false;
	}
	if (websocket->control_length >= 2) {
		size_t length = websocket->control_length - 2;

		code = (unsigned)bytes[0] << 8 | bytes[1];
		memcpy(websocket->reason, bytes + 2, length);
		websocket->reason[length] = '\0';
	}
	send_close(websocket, code == WEBSOCKET_NO_CODE ? WSLAY_CODE_NORMAL_CLOSURE : code);
	finish(websocket, WEBSOCKET_CLOSED, code);
	return false;
}

static bool control_came(struct websocket *websocket)
{
	if (websocket->opcode == WSLAY_CONNECTION_CLOSE)
		return close_came(websocket);
	/* A server that asks faster than it reads is answered as far as there is room. */
	if (websocket->opcode == WSLAY_PING &&
	    has_room(websocket, websocket->control_length, FRAME_OVERHEAD + 2) &&
	    put_frame(websocket, WSLAY_PONG, websocket->control, websocket->control_length))
		transmit(websocket);
	return true;
}

static bool message_came(struct websocket *websocket)
{
	bool whole = websocket->message_length == websocket->kept;

	websocket->in_message = false;
	if (!websocket->is_text)
		return true;
	websocket->buffer[websocket->kept] = '\0';
	websocket->too_large += whole ? 0 : 1;
	websocket->message(websocket, websocket->buffer, websocket->kept, whole);
	return websocket->state == WEBSOCKET_OPEN;
}

/* Whether a frame may begin like this. */
static bool may_begin(const struct websocket *websocket, const struct wslay_frame_iocb *frame)
{
	if (frame->rsv != 0 || frame->mask != 0)
		return false;
	switch (frame->opcode) {
	case WSLAY_CONTINUATION_FRAME:
		return websocket->in_message;
	case WSLAY_TEXT_FRAME:
	case WSLAY_BINARY_FRAME:
		return !websocket->in_message;
	case WSLAY_CONNECTION_CLOSE:
	case WSLAY_PING:
	case WSLAY_PONG:
		return frame->fin && frame->payload_length <= sizeof(websocket->control);
	default:
		return false;
	}
}

static bool begin_frame(struct websocket *websocket, const struct wslay_frame_iocb *frame)
{
	if (!may_begin(websocket, frame)) {
		fail(websocket, WSLAY_CODE_PROTOCOL_ERROR);
		return false;
	}
	websocket->in_frame = true;
	websocket->opcode = frame->opcode;
	websocket->frame_left = frame->payload_length;
	if (wslay_is_ctrl_frame(frame->opcode)) {
		websocket->control_length = 0;
	} else if (frame->opcode != WSLAY_CONTINUATION_FRAME) {
		websocket->in_message = true;
		websocket->is_text = frame->opcode == WSLAY_TEXT_FRAME;
		websocket->message_length = websocket->kept = 0;
	}
	return true;
}

static void keep(struct websocket *websocket, const struct wslay_frame_iocb *frame)
{
	size_t length = frame->data_length, room;

	websocket->frame_left -= length;
	if (length == 0)
		return; /* data may be NULL */
	if (wslay_is_ctrl_frame(frame->opcode)) {
		memcpy(websocket->control + websocket->control_length, frame->data, length);
		websocket->control_length += length;
		return;
	}
	websocket->message_length += length;
	if (!websocket->is_text)
		return;
	room = websocket->buffer_size - 1 - websocket->kept;
	memcpy(websocket->buffer + websocket->kept, frame->data, length < room ? length : room);
	websocket->kept += length < room ? length : room;
}

/* Reads frames until the input is used up. */
static bool read_frames(struct websocket *websocket)
{
	for (;;) {
		struct wslay_frame_iocb frame = {0};
		ssize_t result = wslay_frame_recv(websocket->frames, &frame);

		if (result == WSLAY_ERR_WANT_READ)
			return true;
		if (result < 0) {
			fail(websocket, WSLAY_CODE_PROTOCOL_ERROR);
			return false;
		}
		if (!websocket->in_frame && !begin_frame(websocket, &frame))
			return false;
		keep(websocket, &frame);
		if (websocket->frame_left > 0)
			continue;
		websocket->in_frame = false;
		if (wslay_is_ctrl_frame(frame.opcode) ? !control_came(websocket)
		                                      : frame.fin && !message_came(websocket))
			return false;
	}
}

/* --- The handshake. --- */

/* Returns false when the connection is no more. */
static bool read_answer(struct websocket *websocket)
{
	const struct wslay_frame_callbacks callbacks = {put_output, take_input, make_mask};
	ssize_t length = http_head_find(websocket->input, websocket->input_length);
	unsigned status;

	if (length == 0 && websocket->input_length < sizeof(websocket->input))
		return true;
	status = length > 0 ? websocket_answer_read(websocket->input, (size_t)length, websocket->accept) : 0;
	if (status != 101) {
		finish(websocket, status != 0 ? WEBSOCKET_STATUS : WEBSOCKET_NONSENSE, status);
		return false;
	}
	if (wslay_frame_context_init(&websocket->frames, &callbacks, websocket) != 0) {
		finish(websocket, WEBSOCKET_IMPOSSIBLE, 0);
		return false;
	}
	websocket->input_used = (size_t)length;
	websocket->state = WEBSOCKET_OPEN;
	websocket->output_length = websocket->output_sent = 0;
	loop_timer_arm(websocket->loop, &websocket->timer, 0);
	websocket->opened(websocket);
	return websocket->state == WEBSOCKET_OPEN;
}

/* --- The socket. --- */

/* Takes what came into the input. Returns false when the connection is no more. */
static bool take(struct websocket *websocket)
{
	if (websocket->state == WEBSOCKET_SHAKING && !read_answer(websocket))
		return false;
	if (websocket->state == WEBSOCKET_OPEN) {
		if (!read_frames(websocket))
			return false;
		websocket->input_length = websocket->input_used = 0;
	}
	return true;
}

static void receive(struct websocket *websocket)
{
	for (size_t total = 0; total < TURN_BYTES;) {
		ssize_t got = world_recv(websocket->fd, websocket->input + websocket->input_length,
		    sizeof(websocket->input) - websocket->input_length, MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			connection_ended(websocket, got < 0 ? errno : 0);
			return;
		}
		websocket->heard_ms = clock_boot_ms();
		websocket->input_length += (size_t)got;
		total += (size_t)got;
		if (!take(websocket))
			return;
	}
}

static void connected(struct websocket *websocket)
{
	websocket->state = WEBSOCKET_SHAKING;
	transmit(websocket);
}

static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct websocket *websocket = source->context;

	if (events & EPOLLOUT && websocket->state == WEBSOCKET_CONNECTING &&
	    !(events & (EPOLLERR | EPOLLHUP)))
		connected(websocket);
	else if (events & EPOLLOUT && websocket->state != WEBSOCKET_CONNECTING)
		transmit(websocket);
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		receive(websocket);
}

static void timer_fired(struct loop_timer *timer)
{
	struct websocket *websocket = timer->context;

	if (websocket->refused_at_once)
		finish(websocket, WEBSOCKET_REFUSED, 0);
	else if (websocket->state == WEBSOCKET_CONNECTING)
		finish(websocket, WEBSOCKET_NO_CONNECT, 0);
	else
		finish(websocket, WEBSOCKET_UNANSWERED, 0);
}

/* --- For the owner. --- */

void websocket_init(struct websocket *websocket, struct loop *loop)
{
	/* Memory that is not needed yet is not touched. */
	memset(websocket, 0, offsetof(struct websocket, input));
	websocket->loop = loop;
	websocket->fd = websocket->source.fd = -1;
	websocket->source.callback = socket_ready;
	websocket->source.context = websocket;
	websocket->timer.callback = timer_fired;
	websocket->timer.context = websocket;
}

static int prepare(struct websocket *websocket, uint32_t port, const char *path)
{
	struct text request;
	int result;

	text_init(&request, websocket->output, sizeof(websocket->output));
	result = websocket_request_write(&request, port, path, websocket->accept);
	websocket->output_length = request.length;
	websocket->in_frame = websocket->in_message = websocket->refused_at_once = false;
	websocket->input_length = websocket->input_used = websocket->output_sent = 0;
	websocket->heard_ms = 0;
	websocket->reason[0] = '\0';
	return result;
}

int websocket_open(struct websocket *websocket, uint32_t port, const char *path, int64_t timeout_ms)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int result;

	if (websocket->state != WEBSOCKET_IDLE)
		return -EBUSY;
	if (port == 0 || port > 65535 || websocket->buffer_size == 0)
		return -EINVAL;
	result = prepare(websocket, port, path);
	if (result < 0)
		return result;
	websocket->fd = world_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (websocket->fd < 0)
		return -errno;
	websocket->state = WEBSOCKET_CONNECTING;
	if (world_connect(websocket->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
	    errno != EINPROGRESS) {
		if (errno != ECONNREFUSED) {
			result = -errno;
			release(websocket);
			return result;
		}
		/* On this machine a refusal comes at once; `closed` must still come from the loop. */
		websocket->refused_at_once = true;
		timeout_ms = 0;
	} else if ((result = loop_source_watch(
	                websocket->loop, &websocket->source, websocket->fd, EPOLLOUT | EPOLLIN)) < 0) {
		release(websocket);
		return result;
	}
	loop_timer_arm(websocket->loop, &websocket->timer, clock_boot_ms() + timeout_ms);
	return 0;
}

int websocket_send(struct websocket *websocket, const char *text, size_t length)
{
	if (websocket->state != WEBSOCKET_OPEN)
		return -ENOTCONN;
	if (length + FRAME_OVERHEAD + CONTROL_ROOM > sizeof(websocket->output))
		return -EMSGSIZE;
	if (!has_room(websocket, length, CONTROL_ROOM) ||
	    !put_frame(websocket, WSLAY_TEXT_FRAME, text, length))
		return -EAGAIN;
	transmit(websocket);
	return 0;
}

void websocket_close(struct websocket *websocket)
{
	if (websocket->state == WEBSOCKET_OPEN)
		send_close(websocket, WSLAY_CODE_NORMAL_CLOSURE);
	release(websocket);
}

const char *websocket_end_name(enum websocket_end end)
{
	static const char *const names[] = {
	    [WEBSOCKET_REFUSED] = "L4CON",
	    [WEBSOCKET_NO_CONNECT] = "L4TOUT",
	    [WEBSOCKET_UNANSWERED] = "L7TOUT",
	    [WEBSOCKET_STATUS] = "L7STS",
	    [WEBSOCKET_NONSENSE] = "L7RSP",
	    [WEBSOCKET_CLOSED] = "WSCLS",
	    [WEBSOCKET_RESET] = "WSRST",
	    [WEBSOCKET_IMPOSSIBLE] = "SOCKERR",
	};

	return names[end];
}
