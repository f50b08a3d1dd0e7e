/* What a process receives from others on the connections that it opened itself: a model's answer that comes
 * in is seen here although the process tells nobody of it. Only whether bytes come, never which.
 *
 * One that looks like a request to a model has sent 8 KiB or more, a prompt. Nothing here allocates or
 * blocks; no privilege is needed for a process of the same user. Seen are the connections of our own network
 * namespace: of a process in another, none. */
#ifndef HOLDFAST_PROCESS_RECEIVING_H
#define HOLDFAST_PROCESS_RECEIVING_H

#include <stdbool.h>
#include <stdint.h>

#define RECEIVING_MAX          256  /* connections that are remembered */
#define RECEIVING_PROMPT_BYTES 8192 /* ... acknowledged by the peer: so much it was sent in all */
#define RECEIVING_LEAST_BYTES                                                                                \
	1024 /* fewer since the last sample are no more than a sign that somebody is there */

struct receiving_connection {
	uint64_t inode, bytes; /* received in all, when it was last looked at */
};

/* All zero: nothing was sampled yet. */
struct receiving {
	int pid; /* 0: none */
	uint32_t count;
	bool is_partial; /* there were more: what is not in the table need not be new */
	struct receiving_connection connections[RECEIVING_MAX];
};

/* How many of the established TCP connections that the process opened, and that look like requests to a
 * model, have received at least RECEIVING_LEAST_BYTES since the sample before; one that was not there then,
 * in all. What it accepted, on `own_port` or another port that it listens on, does not count. The first
 * sample of a process has nothing to be compared with: 0.
 *
 * Returns a negative errno where the kernel does not tell (-ENOENT: no such process, or no sock_diag(7);
 * -EACCES: of another user; -EMSGSIZE: this machine has too many connections); nothing is changed then. */
int receiving_sample(struct receiving *receiving, int pid, uint32_t own_port);

/* The next sample is the first. */
void receiving_forget(struct receiving *receiving);

#endif
