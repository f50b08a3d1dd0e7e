/* Names of providers to addresses, on a thread of its own, because getaddrinfo(3) blocks: the loop never
 * waits for a name server. */
#ifndef HOLDFAST_RELAY_RESOLVE_H
#define HOLDFAST_RELAY_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loop/loop.h"

#define RESOLVE_ADDRESSES_MAX 8
#define RESOLVE_HOST_MAX      256

struct resolve_address {
	struct sockaddr_storage address;
	socklen_t length;
};

struct resolve_answer {
	int result; /* 0, or a negative EAI_ code of getaddrinfo */
	uint32_t count;
	struct resolve_address addresses[RESOLVE_ADDRESSES_MAX];
};

struct resolve {
	/* Set by the owner. Comes from the loop, once for each resolve_start that returned 0. */
	void (*done)(struct resolve *resolve, const struct resolve_answer *answer);
	void *context;
	bool busy;

	/* Private. */
	struct loop_source source;
};

/* An address in digits is none to ask for: fills *answer at once and returns true. */
bool resolve_is_address(const char *host, uint32_t port, struct resolve_answer *answer);

/* Returns 0 or a negative errno: there is no thread to be had. */
int resolve_start(struct resolve *resolve, struct loop *loop, const char *host, uint32_t port);

#endif
