/* holdfast-relay: the gateway's way to the language models. Until it carries calls it holds its place:
 * supervised like the other workers, it says on its port that it is there, and to every call that it does not
 * carry it. */
#include <stdio.h>

#include "http/serve.h"
#include "worker/worker.h"

#define DRAIN_MS 5000

struct relay {
	struct worker worker;
	struct serve serve;
};

static void request_came(struct serve *serve, const struct http_request *request, struct serve_answer *answer)
{
	(void)serve;
	if (http_request_only_reads(request) && http_request_is_for(request, "/healthz"))
		serve_say_healthy(answer);
	else
		serve_say(answer, 503,
		    "The relay does not carry calls yet: let the gateway use the provider's own address.");
}

static void drained(struct serve *serve)
{
	struct relay *relay = serve->context;

	loop_stop(&relay->worker.loop);
}

static void finish(struct worker *worker)
{
	struct relay *relay = worker->context;

	serve_drain(&relay->serve, DRAIN_MS);
}

static void listener_came(struct worker *worker, enum listener_index which, int fd)
{
	struct relay *relay = worker->context;

	if (which == LISTENER_RELAY)
		serve_listen(&relay->serve, fd);
}

int main(void)
{
	static struct relay relay; /* its buffers are no part of the program's file */
	struct worker *worker = &relay.worker;
	struct error why;

	worker->name = "relay";
	worker->finish = finish;
	worker->listener = listener_came;
	worker->context = &relay;
	if (worker_init(worker, &why) < 0) {
		fprintf(stderr, "holdfast-relay: %s\n", why.text);
		return 78;
	}
	worker_drop_rights();
	/* It listens on the loopback network only. */
	serve_init(&relay.serve, &worker->loop, "127.0.0.1");
	relay.serve.drained = drained;
	relay.serve.request = request_came;
	relay.serve.context = &relay;
	return worker_run(worker);
}
