/* What a process receives, with real connections: a child does what it is told, and we are its peer. */
#include "support/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process/receiving.h"

#define PROMPT 16384
#define ENDS   300

enum what { CONNECT, LISTEN, ACCEPT, DEAF, SEND, RECEIVE };

struct order {
	enum what what;
	int end;    /* which of the child's connections */
	int number; /* how many bytes, or to which port */
	int family;
};

static struct receiving receiving;
static int orders = -1, listener = -1, listener_port;
static pid_t child;
static int ends[ENDS]; /* ours, or in the child the child's */

static struct sockaddr_in6 address_of(int family, int port, socklen_t *length)
{
	struct sockaddr_in6 address = {
	    .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in four = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons((uint16_t)port)};

	*length = family == AF_INET ? sizeof(four) : sizeof(address);
	if (family == AF_INET)
		memcpy(&address, &four, sizeof(four));
	return address;
}

/* Returns the socket, or -1, and its port. */
static int listen_at(int family, int *port)
{
	socklen_t length;
	struct sockaddr_in6 address = address_of(family, 0, &length);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, ENDS) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
		close(fd);
		return -1;
	}
	*port = ntohs(address.sin6_port); /* at the same place in both */
	return fd;
}

static int connect_to(int family, int port)
{
	socklen_t length;
	struct sockaddr_in6 address = address_of(family, port, &length);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&address, length) < 0)
		abort();
	return fd;
}

/* Until the other side's kernel has all of it. */
static void send_all(int fd, int count)
{
	static char bytes[PROMPT];
	int left = 1;

	for (ssize_t sent; count > 0; count -= (int)sent) {
		sent = send(
		    fd, bytes, (size_t)count < sizeof(bytes) ? (size_t)count : sizeof(bytes), MSG_NOSIGNAL);
		if (sent < 0)
			abort();
	}
	while (ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void receive_all(int fd, int count)
{
	char bytes[4096];

	for (ssize_t length; count > 0; count -= (int)length) {
		length = recv(fd, bytes, (size_t)count < sizeof(bytes) ? (size_t)count : sizeof(bytes), 0);
		if (length <= 0)
			abort();
	}
}

static int obey(const struct order *order)
{
	static int own = -1;
	int port = 0;

	switch (order->what) {
	case CONNECT:
		ends[order->end] = connect_to(order->family, order->number);
		break;
	case LISTEN:
		own = listen_at(order->family, &port);
		break;
	case ACCEPT:
		ends[order->end] = accept4(own, NULL, NULL, SOCK_CLOEXEC);
		break;
	case DEAF:
		close(own);
		break;
	case SEND:
		send_all(ends[order->end], order->number);
		break;
	case RECEIVE:
		receive_all(ends[order->end], order->number);
		break;
	}
	return port;
}

/* The child does it; returns its answer. */
static int tell(enum what what, int end, int number, int family)
{
	struct order order = {.what = what, .end = end, .number = number, .family = family};
	int answer = -1;

	CHECK(send(orders, &order, sizeof(order), 0) == sizeof(order));
	CHECK(recv(orders, &answer, sizeof(answer), 0) == sizeof(answer));
	return answer;
}

/* Given: a child without connections, and a listener of ours. Returns false where the kernel does not tell.
 */
static bool given_a_child(int family)
{
	int pair[2];

	receiving = (struct receiving){0};
	listener = listen_at(family, &listener_port);
	if (listener < 0) {
		SKIP("no such addresses on this machine");
		return false;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || (child = fork()) < 0)
		abort();
	if (child == 0) {
		struct order order;

		close(pair[0]);
		close(listener);
		while (recv(pair[1], &order, sizeof(order), 0) == sizeof(order)) {
			int answer = obey(&order);

			send(pair[1], &answer, sizeof(answer), 0);
		}
		_exit(0);
	}
	close(pair[1]);
	orders = pair[0];
	return true;
}

static void finish(void)
{
	close(orders);
	if (child > 0)
		CHECK(waitpid(child, NULL, 0) == child);
	close(listener);
	for (int i = 0; i < ENDS; i++)
		if (ends[i] > 0) {
			close(ends[i]);
			ends[i] = 0;
		}
	child = 0;
}

static bool is_told(void)
{
	int result = receiving_sample(&receiving, child, 0);

	if (result == 0)
		return true;
	if (result == -ENOENT || result == -EPROTONOSUPPORT)
		SKIP("this kernel does not tell of sockets");
	else
		CHECK(result == 0);
	return false;
}

/* When the child has opened a connection to us, and sent so much. */
static void when_it_connects(int end, int family, int sent)
{
	tell(CONNECT, end, listener_port, family);
	ends[end] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(ends[end] >= 0);
	tell(SEND, end, sent, 0);
	if (sent > 0)
		receive_all(ends[end], sent);
}

static void when_it_receives(int end, int count)
{
	send_all(ends[end], count);
	tell(RECEIVE, end, count, 0);
}

static int sample(uint32_t own_port)
{
	return receiving_sample(&receiving, child, own_port);
}

static void follow_a_stream(int family)
{
	if (!given_a_child(family))
		return;
	when_it_connects(0, family, PROMPT);
	when_it_receives(0, 5000);
	if (is_told()) {
		/* The first sample has nothing to be compared with. */
		CHECK(receiving.count == 1 && sample(0) == 0);
		when_it_receives(0, RECEIVING_LEAST_BYTES - 1);
		CHECK(sample(0) == 0);
		when_it_receives(0, RECEIVING_LEAST_BYTES);
		CHECK(sample(0) == 1);
		CHECK(sample(0) == 0);
		/* That it sends is no answer. */
		tell(SEND, 0, PROMPT, 0);
		CHECK(sample(0) == 0);
		/* What it has not read yet is received as well. */
		send_all(ends[0], 3000);
		CHECK(sample(0) == 1);
		receiving_forget(&receiving);
		when_it_receives(0, 3000);
		CHECK(sample(0) == 0 && receiving.count == 1);
	}
	finish();
}

TEST("an answer that comes in steps is seen in each, and its end")
{
	follow_a_stream(AF_INET);
}

TEST("the same by IPv6")
{
	follow_a_stream(AF_INET6);
}

TEST("one that sent no prompt does not count; one that is new counts by all that it has received")
{
	if (!given_a_child(AF_INET))
		return;
	when_it_connects(0, AF_INET, RECEIVING_PROMPT_BYTES / 2);
	if (is_told()) {
		when_it_receives(0, 20000);
		CHECK(sample(0) == 0);
		when_it_connects(1, AF_INET, PROMPT);
		CHECK(sample(0) == 0);
		when_it_connects(2, AF_INET, PROMPT);
		when_it_connects(3, AF_INET, PROMPT);
		when_it_receives(2, RECEIVING_LEAST_BYTES);
		when_it_receives(3, RECEIVING_LEAST_BYTES - 1);
		CHECK(sample(0) == 1 && receiving.count == 4);
		when_it_receives(1, 2000);
		when_it_receives(3, 2000);
		CHECK(sample(0) == 2);
	}
	finish();
}

TEST("what it accepts does not count, on its own port or where it listens; nor what it sends to itself")
{
	int port;

	if (!given_a_child(AF_INET))
		return;
	if (is_told()) {
		port = tell(LISTEN, 0, 0, AF_INET);
		ends[0] = connect_to(AF_INET, port);
		tell(ACCEPT, 0, 0, 0);
		tell(SEND, 0, PROMPT, 0);
		when_it_receives(0, 5000);
		CHECK(sample(0) == 0 && receiving.count == 0);
		/* Both ends are the child's. */
		tell(CONNECT, 1, port, AF_INET);
		tell(ACCEPT, 2, 0, 0);
		tell(SEND, 1, PROMPT, 0);
		tell(SEND, 2, 5000, 0);
		CHECK(sample(0) == 0 && receiving.count == 0);
		/* It listens no more, so only who knows the port can tell. */
		tell(DEAF, 0, 0, 0);
		CHECK(sample((uint32_t)port) == 0 && receiving.count == 0);
		CHECK(sample(0) == 2 && receiving.count == 3);
	}
	finish();
}

TEST("those of another process do not count, and a process that is gone has none: nothing is changed")
{
	pid_t gone;

	if (!given_a_child(AF_INET))
		return;
	when_it_connects(0, AF_INET, PROMPT);
	if (is_told()) {
		struct receiving ours = {0};

		CHECK(receiving_sample(&ours, getpid(), (uint32_t)listener_port) == 0);
		when_it_receives(0, 5000);
		tell(SEND, 0, PROMPT, 0);
		CHECK(receiving_sample(&ours, getpid(), (uint32_t)listener_port) == 0 && ours.count == 0);
		CHECK(receiving_sample(&ours, child, 0) == 0 && ours.pid == child && ours.count == 1);
	}
	gone = child;
	finish();
	CHECK(receiving_sample(&receiving, gone, 0) == -ENOENT);
	CHECK(receiving.pid == gone && receiving.count == 1);
}

TEST("of more connections than are remembered, those that are not are never taken for new ones")
{
	if (!given_a_child(AF_INET))
		return;
	for (int i = 0; i < RECEIVING_MAX + 4; i++)
		when_it_connects(i, AF_INET, i < RECEIVING_MAX - 4 ? 0 : PROMPT);
	for (int i = RECEIVING_MAX - 4; i < RECEIVING_MAX + 4; i++)
		when_it_receives(i, 2000);
	if (is_told()) {
		CHECK(receiving.count == RECEIVING_MAX && receiving.is_partial);
		for (int i = 0; i < 3; i++)
			CHECK(sample(0) == 0);
	}
	finish();
}
