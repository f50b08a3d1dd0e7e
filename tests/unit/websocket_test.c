/* The WebSocket client against a server that the test plays. */
#include "support/websocket_home.h"

static char large[1024 * 1024];

TEST("the handshake asks as RFC 6455 has it, and takes its own example for an answer")
{
	char accept[WEBSOCKET_ACCEPT_LENGTH + 1];

	websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
	CHECK_TEXT(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

	given_a_client();
	CHECK(websocket_open(&websocket, port, "/some/path", PATIENCE_MS) == 0);
	CHECK(websocket_open(&websocket, port, "/", PATIENCE_MS) == -EBUSY);
	CHECK(hear_request());
	CHECK(strncmp(request, "GET /some/path HTTP/1.1\r\nHost: 127.0.0.1:", 41) == 0);
	CHECK(strstr(request, "\r\nUpgrade: websocket\r\n") != NULL);
	CHECK(strstr(request, "\r\nSec-WebSocket-Version: 13\r\n") != NULL);
	CHECK(strstr(request, "Origin") == NULL);
	CHECK(websocket_send(&websocket, "early", 5) == -ENOTCONN);
	accept_it();
	CHECK(turn_until(&told.opened, 1));
	CHECK(websocket.state == WEBSOCKET_OPEN);
	CHECK(websocket.heard_ms > 0);
	end_of_client();
}

TEST("a bad path or port begins nothing")
{
	given_a_client();
	CHECK(websocket_open(&websocket, port, "no-slash", 1000) == -EINVAL);
	CHECK(websocket_open(&websocket, port, "/a b", 1000) == -EINVAL);
	CHECK(websocket_open(&websocket, port, "/a\r\nHost: b", 1000) == -EINVAL);
	CHECK(websocket_open(&websocket, 0, "/", 1000) == -EINVAL);
	CHECK(websocket_open(&websocket, 65536, "/", 1000) == -EINVAL);
	CHECK(websocket.state == WEBSOCKET_IDLE && told.closed == 0);
	end_of_client();
}

TEST("where nothing listens it is refused, from the loop")
{
	given_a_client();
	file_close(&listener);
	CHECK(websocket_open(&websocket, port, "/", PATIENCE_MS) == 0);
	CHECK(told.closed == 0);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_REFUSED);
	CHECK_TEXT(websocket_end_name(told.end), "L4CON");
	end_of_client();
}

TEST("who accepts and says nothing is unanswered once the deadline has passed")
{
	given_a_client();
	CHECK(websocket_open(&websocket, port, "/", 50) == 0);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_UNANSWERED);
	end_of_client();
	/* An answer that trickles buys no time. */
	given_a_client();
	CHECK(websocket_open(&websocket, port, "/", 50) == 0);
	CHECK(hear_request());
	say_bytes("HTTP/1.1 101 Swit", 17);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_UNANSWERED);
	end_of_client();
}

TEST("a queue that is full is no connection once the deadline has passed")
{
	int crowd[8];

	given_a_client();
	listen(listener, 0);
	for (int i = 0; i < 8; i++) {
		struct sockaddr_in address = {.sin_family = AF_INET,
		    .sin_port = htons(port),
		    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

		crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(crowd[i], (struct sockaddr *)&address, sizeof(address));
	}
	CHECK(websocket_open(&websocket, port, "/", 50) == 0);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_NO_CONNECT);
	for (int i = 0; i < 8; i++)
		close(crowd[i]);
	end_of_client();
}

static void when_answered(const char *answer)
{
	char accept[WEBSOCKET_ACCEPT_LENGTH + 1];

	given_a_client();
	CHECK(websocket_open(&websocket, port, "/", PATIENCE_MS) == 0);
	CHECK(hear_request());
	websocket_accept(key_seen, accept);
	answer_with(answer, accept);
	shutdown(peer, SHUT_WR);
	CHECK(turn_until(&told.closed, 1));
	end_of_client();
}

TEST("another status is told, and its body is not waited for")
{
	when_answered("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n");
	CHECK(told.end == WEBSOCKET_STATUS && told.code == 503);
	when_answered("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>");
	CHECK(told.end == WEBSOCKET_STATUS && told.code == 200);
}

TEST("answers that are none are nonsense")
{
	static const char *const answers[] = {
	    "",
	    "SSH-2.0-OpenSSH_9.2\r\n\r\n",
	    "HTTP/1.1 101 X\r\n\r\n",
	    "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
	    "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    SWITCHING "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
	    SWITCHING "Sec-WebSocket-Protocol: chat\r\n\r\n",
	    SWITCHING " folded\r\n\r\n",
	    SWITCHING,
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		when_answered(answers[i]);
		if (!CHECK(told.end == WEBSOCKET_NONSENSE && told.opened == 0))
			printf("# answer %zu: %s\n", i, websocket_end_name(told.end));
	}
}

TEST("a head without end is nonsense, however long the deadline")
{
	given_a_client();
	CHECK(websocket_open(&websocket, port, "/", PATIENCE_MS * 100) == 0);
	CHECK(hear_request());
	memset(large, 'a', 20000);
	memcpy(large, "HTTP/1.1 101 X\r\nA: ", 19);
	say_bytes(large, 20000);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_NONSENSE);
	end_of_client();
}

TEST("what is sent is masked, and differently each time")
{
	uint8_t bytes[2][13];

	given_an_open_connection();
	for (int i = 0; i < 2; i++) {
		CHECK(websocket_send(&websocket, "{\"a\":1}", 7) == 0);
		CHECK(hear_bytes(bytes[i], 13));
		CHECK(bytes[i][0] == TEXT && bytes[i][1] == (0x80 | 7));
	}
	CHECK(memcmp(bytes[0], bytes[1], 13) != 0);
	memset(large, 'x', 5000);
	CHECK(websocket_send(&websocket, large, 5000) == 0);
	CHECK(hear_frame() && heard.first == TEXT && heard.length == 5000);
	CHECK(memcmp(heard.text, large, 5000) == 0);
	CHECK(websocket_send(&websocket, "", 0) == 0);
	CHECK(hear_frame() && heard.first == TEXT && heard.length == 0);
	end_of_client();
}

TEST("messages come whole, however the bytes are cut")
{
	uint8_t frames[1024];
	size_t length = 0;

	given_an_open_connection();
	memset(large, 'y', 300);
	length += write_frame(frames + length, TEXT, "one", 3);
	length += write_frame(frames + length, 0x01, "tw", 2);
	length += write_frame(frames + length, PING, "between", 7);
	length += write_frame(frames + length, 0x00, "", 0);
	length += write_frame(frames + length, 0x80, "o", 1);
	length += write_frame(frames + length, 0x82, "binary", 6);
	length += write_frame(frames + length, TEXT, "", 0);
	length += write_frame(frames + length, TEXT, large, 300);
	for (size_t i = 0; i < length; i++) {
		say_bytes(frames + i, 1);
		turn();
	}
	CHECK(turn_until(&told.messages, 4));
	CHECK(strncmp(told.all, "one|two||yyy", 12) == 0);
	CHECK(told.whole && told.length == 300);
	CHECK(hear_frame() && heard.first == PONG);
	CHECK_TEXT(heard.text, "between");
	/* And all at once. */
	told.messages = 0;
	say_bytes(frames, length);
	CHECK(turn_until(&told.messages, 4));
	end_of_client();
}

TEST("what comes together with the answer is not lost")
{
	char accept[WEBSOCKET_ACCEPT_LENGTH + 1], bytes[1024];
	int length;

	given_a_client();
	CHECK(websocket_open(&websocket, port, "/", PATIENCE_MS) == 0);
	CHECK(hear_request());
	websocket_accept(key_seen, accept);
	length = snprintf(bytes, sizeof(bytes), SWITCHING "\r\n", accept);
	length += (int)write_frame((uint8_t *)bytes + length, TEXT, "challenge", 9);
	say_bytes(bytes, (size_t)length);
	CHECK(turn_until(&told.messages, 1));
	CHECK_TEXT(told.text, "challenge");
	end_of_client();
}

TEST("a message that is too large is read past: its beginning is told, and the connection goes on")
{
	given_an_open_connection();
	memset(large, 'z', sizeof(large));
	say_frame(TEXT, large, sizeof(large));
	CHECK(turn_until(&told.messages, 1));
	CHECK(!told.whole && told.length == BUFFER_SIZE - 1);
	CHECK(websocket.message_length == sizeof(large) && websocket.too_large == 1);
	/* In pieces, and exactly at the border. */
	say_frame(0x01, large, BUFFER_SIZE - 1);
	say_frame(0x80, large, 1);
	CHECK(turn_until(&told.messages, 2));
	CHECK(!told.whole && websocket.message_length == BUFFER_SIZE && websocket.too_large == 2);
	say_frame(TEXT, large, BUFFER_SIZE - 1);
	CHECK(turn_until(&told.messages, 3));
	CHECK(told.whole && told.length == BUFFER_SIZE - 1 && websocket.too_large == 2);
	say("on");
	CHECK(turn_until(&told.messages, 4));
	CHECK(told.whole);
	CHECK_TEXT(told.text, "on");
	CHECK(told.closed == 0);
	end_of_client();
}

TEST("a close is answered, and its code and words are told")
{
	given_an_open_connection();
	say_frame(CLOSE,
	    "\x03\xf0"
	    "unauthorized",
	    14);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_CLOSED && told.code == 1008);
	CHECK_TEXT(websocket.reason, "unauthorized");
	CHECK(hear_frame() && heard.first == CLOSE && memcmp(heard.text, "\x03\xf0", 2) == 0);
	end_of_client();

	given_an_open_connection();
	say_frame(CLOSE, "", 0);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_CLOSED && told.code == WEBSOCKET_NO_CODE);
	end_of_client();
}

TEST("an open connection that ends without a word is a reset, also in the middle of a frame")
{
	given_an_open_connection();
	file_close(&peer);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_RESET);
	end_of_client();

	given_an_open_connection();
	say_bytes("\x81\x05he", 4);
	file_close(&peer);
	CHECK(turn_until(&told.closed, 1));
	CHECK(told.end == WEBSOCKET_RESET && told.messages == 0);
	end_of_client();
}

TEST("what a server may not send ends it")
{
	static const struct {
		const char *what, *bytes;
		size_t length;
	} wrong[] = {
	    {"a masked frame", "\x81\x81\0\0\0\0a", 7},
	    {"a reserved bit",
	        "\xc1\x01"
	        "a",
	        3},
	    {"an unknown opcode",
	        "\x83\x01"
	        "a",
	        3},
	    {"a continuation of nothing",
	        "\x80\x01"
	        "a",
	        3},
	    {"a message within a message",
	        "\x01\x01"
	        "a\x81\x01"
	        "b",
	        6},
	    {"a ping in pieces",
	        "\x09\x01"
	        "a",
	        3},
	    {"a ping of 126 bytes", "\x89\x7e\x00\x7e", 4},
	    {"a length that should be shorter",
	        "\x81\x7e\x00\x01"
	        "a",
	        5},
	    {"a length with its first bit", "\x81\x7f\x80\0\0\0\0\0\0\0", 10},
	    {"half a close code", "\x88\x01\x03", 3},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		given_an_open_connection();
		say_bytes(wrong[i].bytes, wrong[i].length);
		shutdown(peer, SHUT_WR);
		CHECK(turn_until(&told.closed, 1));
		if (!CHECK(told.end == WEBSOCKET_NONSENSE && told.messages == 0))
			printf("# %s: %s\n", wrong[i].what, websocket_end_name(told.end));
		end_of_client();
	}
}

TEST("who does not read makes us wait, and loses nothing of what was taken")
{
	int taken = 0, result;

	given_an_open_connection();
	memset(large, 'w', 8000);
	while ((result = websocket_send(&websocket, large, 8000)) == 0 && taken < 10000)
		taken++;
	CHECK(result == -EAGAIN && taken > 1);
	CHECK(websocket_send(&websocket, large, WEBSOCKET_OUTPUT_BYTES) == -EMSGSIZE);
	for (int i = 0; i < taken; i++)
		if (!CHECK(hear_frame() && heard.first == TEXT && heard.length == 8000))
			break;
	CHECK(websocket_send(&websocket, "again", 5) == 0);
	CHECK(hear_frame());
	CHECK_TEXT(heard.text, "again");
	end_of_client();
}

TEST("pings by the thousand, with nobody reading the answers, cost nothing but the answers")
{
	given_an_open_connection();
	memset(large, 'p', 125);
	for (int i = 0; i < 5000; i++)
		say_frame(PING, large, 125);
	say("still here");
	CHECK(turn_until(&told.messages, 1));
	CHECK(told.closed == 0);
	end_of_client();
}

static void close_in_message(struct websocket *client, const char *text, size_t length, bool whole)
{
	message_came(client, text, length, whole);
	websocket_close(client);
}

TEST("its owner may close it from a message, and hears nothing more")
{
	given_an_open_connection();
	websocket.message = close_in_message;
	say_bytes("\x81\x01"
	          "a\x81\x01"
	          "b",
	    6);
	CHECK(turn_until(&told.messages, 1));
	CHECK(hear_frame() && heard.first == CLOSE);
	turn();
	CHECK(told.messages == 1 && told.closed == 0 && websocket.state == WEBSOCKET_IDLE);
	end_of_client();
}

static void open_again(struct websocket *client, enum websocket_end end, unsigned code)
{
	closed(client, end, code);
	if (told.closed == 1)
		CHECK(websocket_open(client, port, "/", PATIENCE_MS) == 0);
}

TEST("it may be opened anew from its end, and nothing of the old connection is left")
{
	given_an_open_connection();
	websocket.closed = open_again;
	say_bytes("\x01\x05he", 4);
	file_close(&peer);
	CHECK(turn_until(&told.closed, 1));
	CHECK(hear_request());
	accept_it();
	CHECK(turn_until(&told.opened, 2));
	say("fresh");
	CHECK(turn_until(&told.messages, 1));
	CHECK_TEXT(told.text, "fresh");
	end_of_client();
}
