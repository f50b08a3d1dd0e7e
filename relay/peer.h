/* Who is at the other end of a connection on this machine. */
#ifndef HOLDFAST_RELAY_PEER_H
#define HOLDFAST_RELAY_PEER_H

#include <stdbool.h>

struct relay;

/* The relay's port spends its owner's money: only the processes of the same user, of root, and of the user
 * that the gateway runs as may use it. The kernel says whose the other socket is (sock_diag(7)); where it
 * does not tell, nobody is refused. */
bool peer_is_allowed(struct relay *relay, int fd);

#endif
