/* The HTTP server side as its callers meet it: requests, good, hostile and broken, over real sockets. */
#include "support/serve_home.h"

TEST("a request is answered, the connection closed, and then nothing wakes the server")
{
	given_a_server();
	CHECK(ask("GET /healthz?deep=1&x HTTP/1.1\r\nHost: localhost:18790\r\nAccept: */*\r\n\r\n") == 200);
	CHECK_TEXT(seen_path, "/healthz");
	CHECK_TEXT(seen_query, "deep=1&x");
	CHECK_TEXT(body(), "{\"status\":\"ok\"}");
	CHECK(strstr(heard, "\r\nContent-Type: application/json\r\n") != NULL);
	CHECK(strstr(heard, "\r\nContent-Length: 15\r\n") != NULL);
	CHECK(strstr(heard, "\r\nConnection: close\r\n") != NULL);
	CHECK(strstr(heard, " GMT\r\n") != NULL);
	CHECK(turn_until_count(0));
	CHECK(serve.timer.due_ms == 0);
	end_of_server();
}

TEST("HEAD is answered without the body, with its length")
{
	given_a_server();
	CHECK(ask("HEAD /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == 200);
	CHECK(strstr(heard, "\r\nContent-Length: 15\r\n") != NULL);
	CHECK_TEXT(body(), "");
	end_of_server();
}

TEST("a request may come byte by byte")
{
	int fd;

	given_a_server();
	fd = call();
	for (const char *byte = GET_HEALTH; *byte != '\0'; byte++) {
		CHECK(send(fd, byte, 1, MSG_NOSIGNAL) == 1);
		turn();
	}
	CHECK(hear(fd) == 0 && status() == 200);
	close(fd);
	end_of_server();
}

TEST("hostile and broken heads are refused, each with a sentence, and reach nobody")
{
	static const struct {
		unsigned status;
		const char *request;
	} cases[] = {
	    {400, "GET / HTTP/1.1\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n"},
	    {400, "GET / HTTP/1.1\nHost: localhost\r\n\r\n"},
	    {400, "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"},
	    {400, "GET /\r\n\r\n"},
	    {400, "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	    {400, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	    {400, "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: "
	          "chunked\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"},
	    {400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	    {400, "\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	    {400, "\x16\x03\x01\x02"},
	    {400, "get / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	    {501, "FROB / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	    {403, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
	    {403, "GET / HTTP/1.1\r\nHost: evil.example:18790\r\n\r\n"},
	    {403, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
	    {403, "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n"},
	    {403, "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n"},
	};

	given_a_server();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned seen = ask(cases[i].request);

		if (!CHECK(seen == cases[i].status))
			printf("# %u for: %.40s\n", seen, cases[i].request);
		CHECK(strncmp(body(), "{\"error\":\"", 10) == 0);
	}
	CHECK(requests == 0);
	CHECK(ask("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:18790\r\n\r\n") == 200);
	end_of_server();
}

TEST("only names and addresses of this machine are ours")
{
	static const char *const ours[] = {"localhost", "LOCALHOST:1", "localhost.", "127.0.0.1",
	    "127.0.0.1:18790", "127.8.9.1", "[::1]", "[::1]:80"};
	static const char *const foreign[] = {"", ":", ":80", "evil.example", "localhost.evil.example",
	    "127.0.0.1.evil.example", "127.1", "2130706433", "0x7f.0.0.1", "10.0.0.1", "0.0.0.0", "::1",
	    "[::1", "[::1]x", "[]", "[127.0.0.1]", "[::2]", "localhost:", "localhost:x", "localhost:123456",
	    "localhost:1:2", "user@localhost", "localhost localhost",
	    "111111111111111111111111111111111111111111111111111111111111111111111111111111111"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (!CHECK(http_host_is_ours(ours[i], strlen(ours[i]), "127.0.0.1")))
			printf("# %s\n", ours[i]);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (!CHECK(!http_host_is_ours(foreign[i], strlen(foreign[i]), "127.0.0.1")))
			printf("# %s\n", foreign[i]);
	CHECK(http_host_is_ours("10.1.2.3:80", 11, "10.1.2.3"));
	CHECK(!http_host_is_ours("10.1.2.4", 8, "10.1.2.3"));
	CHECK(http_host_is_ours("[fd00::1]", 9, "fd00:0::1"));
	CHECK(!http_host_is_ours("fd00::1", 7, "fd00::1"));
	/* Everywhere: any address, still no name. */
	CHECK(http_host_is_ours("10.1.2.4", 8, "0.0.0.0") && http_host_is_ours("[fd00::1]", 9, "::"));
	CHECK(!http_host_is_ours("evil.example", 12, "0.0.0.0"));
}

TEST("a head without end is refused, and the refusal is not lost under what still comes")
{
	static char endless[60000];
	int fd;

	given_a_server();
	memset(endless, 'a', sizeof(endless));
	memcpy(endless, "GET /", 5);
	fd = call();
	CHECK(send(fd, endless, sizeof(endless), MSG_NOSIGNAL) == (ssize_t)sizeof(endless));
	CHECK(hear(fd) == 0);
	CHECK(status() == 431);
	close(fd);
	/* One byte too long, and just fitting. */
	snprintf(endless, sizeof(endless), "GET / HTTP/1.1\r\nHost: localhost\r\nA: %8153s\r\n\r\n", "b");
	CHECK(strlen(endless) == SERVE_BUFFER_BYTES + 1);
	CHECK(ask(endless) == 431);
	snprintf(endless, sizeof(endless), "GET / HTTP/1.1\r\nHost: localhost\r\nA: %8152s\r\n\r\n", "b");
	CHECK(strlen(endless) == SERVE_BUFFER_BYTES);
	CHECK(ask(endless) == 200);
	end_of_server();
}

TEST("of pipelined requests the first is answered; a body is read and thrown away")
{
	given_a_server();
	CHECK(ask(GET_HEALTH GET_HEALTH GET_HEALTH) == 200);
	CHECK(requests == 1);
	CHECK(strstr(body(), "HTTP/1.1") == NULL);
	CHECK(ask("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello") == 200);
	CHECK(ask("GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n") ==
	      200);
	end_of_server();
}

TEST("an answer longer than it may be is an error of ours, and said")
{
	given_a_server();
	body_bytes = SERVE_BODY_MAX - 1;
	CHECK(ask(GET_HEALTH) == 200);
	CHECK(strlen(body()) == SERVE_BODY_MAX - 1);
	body_bytes = SERVE_BODY_MAX;
	CHECK(ask(GET_HEALTH) == 500);
	CHECK(strncmp(body(), "{\"error\":\"", 10) == 0);
	end_of_server();
}

TEST("who has its answer may still be sending: it is heard out, and meets no error")
{
	static char more[10000];
	int fd;

	given_a_server();
	memset(more, 'a', sizeof(more));
	fd = call();
	say(fd, GET_HEALTH);
	while (requests == 0)
		turn();
	for (int i = 0; i < 20; i++) {
		CHECK(send(fd, more, sizeof(more), MSG_NOSIGNAL) == (ssize_t)sizeof(more));
		turn();
	}
	CHECK(hear(fd) == 0 && status() == 200);
	/* Not without end. */
	for (int i = 0; i < 20 && serve.count > 0; i++) {
		send(fd, more, sizeof(more), MSG_NOSIGNAL);
		turn();
	}
	CHECK(turn_until_count(0));
	close(fd);
	end_of_server();
}

TEST("who half-closes is answered; who goes away in the middle is forgotten")
{
	int fd;

	given_a_server();
	fd = call();
	say(fd, GET_HEALTH);
	shutdown(fd, SHUT_WR);
	CHECK(hear(fd) == 0 && status() == 200);
	close(fd);
	fd = call();
	say(fd, "GET / HT");
	CHECK(turn_until_count(1));
	close(fd);
	CHECK(turn_until_count(0));
	fd = call();
	say(fd, GET_HEALTH);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
	close(fd); /* a reset */
	CHECK(ask(GET_HEALTH) == 200);
	CHECK(turn_until_count(0));
	end_of_server();
}
