#include "support/tap.h"

#include <errno.h>

#include "http/head.h"

#define ANSWER  "HTTP/1.1 200 OK\r\n"
#define REQUEST "GET / HTTP/1.1\r\nHost: x\r\n"

static const char *fault(enum http_head_kind kind, const char *head)
{
	static struct error why;

	why.text[0] = '\0';
	return http_head_check(kind, head, strlen(head), &why) == 0 ? "accepted" : why.text;
}

TEST("ordinary heads are accepted")
{
	CHECK_TEXT(fault(HTTP_HEAD_RESPONSE, ANSWER "\r\n"), "accepted");
	CHECK_TEXT(fault(HTTP_HEAD_RESPONSE, "HTTP/1.1 204\r\n\r\n"), "accepted");
	CHECK_TEXT(fault(HTTP_HEAD_RESPONSE,
	               ANSWER "Content-Length: 12\r\nX-Empty:\r\nX: gr\xc3\xbc\xc3\x9f\r\n\r\n"),
	    "accepted");
	CHECK_TEXT(fault(HTTP_HEAD_REQUEST, REQUEST "Accept:\t*/* \r\n\r\n"), "accepted");
}

TEST("what two readers could read differently is refused, with the reason")
{
	static const struct {
		enum http_head_kind kind;
		const char *head, *fault;
	} cases[] = {
	    {HTTP_HEAD_RESPONSE, ANSWER "A: b\r\n c\r\n\r\n", "a line is folded"},
	    {HTTP_HEAD_RESPONSE, ANSWER "A : b\r\n\r\n", "a header field is malformed"},
	    {HTTP_HEAD_RESPONSE, ANSWER ": b\r\n\r\n", "a header field is malformed"},
	    {HTTP_HEAD_RESPONSE, ANSWER "no colon\r\n\r\n", "a header field is malformed"},
	    {HTTP_HEAD_RESPONSE, ANSWER "A: b\x01\r\n\r\n", "a header field is malformed"},
	    {HTTP_HEAD_RESPONSE, ANSWER "A: b\rc\r\n\r\n", "a header field is malformed"},
	    {HTTP_HEAD_RESPONSE, ANSWER "A: b\n\r\n", "a line does not end in CR LF"},
	    {HTTP_HEAD_RESPONSE, "HTTP/1.1 200 OK\n\r\n", "a line does not end in CR LF"},
	    {HTTP_HEAD_RESPONSE, ANSWER "Content-Length: 1\r\ncontent-length: 1\r\n\r\n",
	        "it has two Content-Length fields"},
	    {HTTP_HEAD_RESPONSE, ANSWER "Content-Length: +1\r\n\r\n", "its Content-Length is not a number"},
	    {HTTP_HEAD_RESPONSE, ANSWER "Content-Length: 1, 1\r\n\r\n", "its Content-Length is not a number"},
	    {HTTP_HEAD_RESPONSE, ANSWER "Content-Length: 9999999999999999999\r\n\r\n",
	        "its Content-Length is not a number"},
	    {HTTP_HEAD_RESPONSE, ANSWER "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	        "it has both Content-Length and Transfer-Encoding"},
	    {HTTP_HEAD_RESPONSE, ANSWER "Transfer-Encoding: a\r\nTransfer-Encoding: chunked\r\n\r\n",
	        "it has two Transfer-Encoding fields"},
	    {HTTP_HEAD_RESPONSE, "HTTP/2 200\r\n\r\n", "its first line is not HTTP/1.1"},
	    {HTTP_HEAD_RESPONSE, "SSH-2.0-OpenSSH\r\n\r\n", "its first line is not HTTP/1.1"},
	    {HTTP_HEAD_RESPONSE, "HTTP/1.1 2x0 OK\r\n\r\n", "its first line is not HTTP/1.1"},
	    {HTTP_HEAD_REQUEST, REQUEST "Host: y\r\n\r\n", "it has two Host fields"},
	    {HTTP_HEAD_REQUEST, "GET / HTTP/1.1\r\n\r\n", "it has no Host field"},
	    {HTTP_HEAD_REQUEST, "GET /\r\nHost: x\r\n\r\n", "its first line is not HTTP/1.1"},
	    {HTTP_HEAD_REQUEST, " GET / HTTP/1.1\r\nHost: x\r\n\r\n", "its first line is not HTTP/1.1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!CHECK(strstr(fault(cases[i].kind, cases[i].head), cases[i].fault) != NULL))
			printf("# %s: %s\n", cases[i].head, fault(cases[i].kind, cases[i].head));
}

TEST("too many fields are refused")
{
	static char head[HTTP_HEAD_MAX];
	size_t length = (size_t)snprintf(head, sizeof(head), ANSWER);

	for (int i = 0; i <= HTTP_FIELDS_MAX; i++)
		length += (size_t)snprintf(head + length, sizeof(head) - length, "A%d: b\r\n", i);
	snprintf(head + length, sizeof(head) - length, "\r\n");

	CHECK(strstr(fault(HTTP_HEAD_RESPONSE, head), "too many header fields") != NULL);
}

TEST("the end of a head is found, waited for, or given up")
{
	static char endless[HTTP_HEAD_MAX + 1];

	memset(endless, 'a', sizeof(endless));

	CHECK(http_head_find("a\r\n\r\nbody", 9) == 5);
	CHECK(http_head_find("a\r\n\r", 4) == 0);
	CHECK(http_head_find(endless, HTTP_HEAD_MAX - 1) == 0);
	CHECK(http_head_find(endless, sizeof(endless)) == -EMSGSIZE);
}

TEST("a field is found by its name in any case, without the blanks around its value")
{
	static const char head[] = ANSWER "Content-type: \t text/html \r\nB:\r\n\r\n";
	const char *value;
	size_t length;

	CHECK(http_head_field(head, sizeof(head) - 1, "Content-Type", &value, &length));
	CHECK(length == 9 && memcmp(value, "text/html", 9) == 0);
	CHECK(http_head_field(head, sizeof(head) - 1, "b", &value, &length) && length == 0);
	CHECK(!http_head_field(head, sizeof(head) - 1, "Content", &value, &length));
}
