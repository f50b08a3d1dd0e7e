/* holdfast-relay: the gateway's way to the language models. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "relay/relay.h"

static void finish(struct worker *worker)
{
	relay_drain(worker->context);
}

static void listener_came(struct worker *worker, enum listener_index which, int fd)
{
	if (which == LISTENER_RELAY)
		relay_listen(worker->context, fd);
}

/* Whose the gateway is: what it runs as may use the relay. */
static void message_came(struct worker *worker, const struct message *message, int passed_fd)
{
	struct relay *relay = worker->context;
	struct stat status;
	char path[32];

	if (message->type == MESSAGE_GATEWAY_STARTED) {
		snprintf(path, sizeof(path), "/proc/%d", (int)message->gateway.pid);
		if (stat(path, &status) == 0)
			relay->gateway_user = status.st_uid;
	}
	file_close(&passed_fd);
}

int main(void)
{
	static struct relay relay; /* its tables are no part of the program's file */
	struct worker *worker = &relay.worker;
	struct error why;

	worker->name = "relay";
	worker->finish = finish;
	worker->message = message_came;
	worker->listener = listener_came;
	worker->context = &relay;
	relay.netlink_fd = -1;
	relay.gateway_user = getuid();
	if (worker_init(worker, &why) < 0 || keys_load(&relay.keys, worker->settings, &why) < 0 ||
	    relay_init(&relay, &why) < 0) {
		fprintf(stderr, "holdfast-relay: %s\n", why.text);
		return 78;
	}
	worker_drop_rights();
	return worker_run(worker);
}
