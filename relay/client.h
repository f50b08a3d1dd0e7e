/* Between what reads of a client (client.c) and what writes to it (client_out.c). */
#ifndef HOLDFAST_RELAY_CLIENT_H
#define HOLDFAST_RELAY_CLIENT_H

#include "relay/relay.h"

/* Watches for what it is read for and written to now. */
void client_watch(struct client *client);

/* Sends what was kept. Returns false when the client is gone. */
bool client_flush(struct client *client);

#endif
