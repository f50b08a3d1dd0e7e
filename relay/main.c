/* holdfast-relay: the gateway's way to the language models. Until providers are configured it holds its
 * place: supervised like the other workers, it carries no traffic. */
#include <stdio.h>

#include "worker/worker.h"

int main(void)
{
	struct worker worker = {.name = "relay"};
	struct error why;

	if (worker_init(&worker, &why) < 0) {
		fprintf(stderr, "holdfast-relay: %s\n", why.text);
		return 78;
	}
	worker_drop_rights();
	return worker_run(&worker);
}
