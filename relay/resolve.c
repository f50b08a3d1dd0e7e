#include "relay/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "world/world.h"

/* What the thread works on; the thread frees it. The answer comes over a socket, so that a question which
 * nobody waits for any more hurts nobody. */
struct question {
	int fd;
	char host[RESOLVE_HOST_MAX], port[8];
};

static void ask(const char *host, const char *port, int flags, struct resolve_answer *answer)
{
	const struct addrinfo hints = {
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
	struct addrinfo *list = NULL;

	memset(answer, 0, sizeof(*answer));
	answer->result = getaddrinfo(host, port, &hints, &list);
	for (struct addrinfo *each = list; each != NULL && answer->count < RESOLVE_ADDRESSES_MAX;
	     each = each->ai_next) {
		struct resolve_address *address = &answer->addresses[answer->count];

		if (each->ai_addrlen > sizeof(address->address))
			continue;
		memcpy(&address->address, each->ai_addr, each->ai_addrlen);
		address->length = each->ai_addrlen;
		answer->count++;
	}
	if (list != NULL)
		freeaddrinfo(list);
	if (answer->result == 0 && answer->count == 0)
		answer->result = EAI_NONAME;
}

static void *work(void *context)
{
	struct question *question = context;
	struct resolve_answer answer;

	ask(question->host, question->port, AI_ADDRCONFIG, &answer);
	world_send(question->fd, &answer, sizeof(answer), MSG_NOSIGNAL);
	close(question->fd);
	free(question);
	return NULL;
}

static void answer_came(struct loop_source *source, uint32_t events)
{
	struct resolve *resolve = source->context;
	struct resolve_answer answer;
	int fd = source->fd;

	(void)events;
	if (world_recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) != (ssize_t)sizeof(answer)) {
		memset(&answer, 0, sizeof(answer));
		answer.result = EAI_SYSTEM;
	}
	loop_source_retire(source);
	close(fd);
	resolve->busy = false;
	resolve->done(resolve, &answer);
}

bool resolve_is_address(const char *host, uint32_t port, struct resolve_answer *answer)
{
	char text[8];

	snprintf(text, sizeof(text), "%u", (unsigned)port);
	ask(host, text, AI_NUMERICHOST, answer);
	return answer->result == 0;
}

int resolve_start(struct resolve *resolve, struct loop *loop, const char *host, uint32_t port)
{
	struct question *question = calloc(1, sizeof(*question));
	pthread_attr_t attributes;
	pthread_t thread;
	int pair[2], result;

	if (question == NULL)
		return -ENOMEM;
	if (world_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		result = -errno;
		free(question);
		return result;
	}
	snprintf(question->host, sizeof(question->host), "%s", host);
	snprintf(question->port, sizeof(question->port), "%u", (unsigned)port);
	question->fd = pair[1];
	resolve->source.callback = answer_came;
	resolve->source.context = resolve;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 256 * 1024);
	result = loop_source_watch(loop, &resolve->source, pair[0], EPOLLIN);
	if (result == 0)
		result = -world_pthread_create(&thread, &attributes, work, question);
	pthread_attr_destroy(&attributes);
	if (result < 0) {
		loop_source_retire(&resolve->source);
		close(pair[0]);
		close(pair[1]);
		free(question);
		return result;
	}
	resolve->busy = true;
	return 0;
}
