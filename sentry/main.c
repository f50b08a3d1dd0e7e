#include <stdio.h>
#include <sys/stat.h>

#include "sentry/sentry.h"
#include "world/world.h"

int main(void)
{
	static struct sentry sentry;
	struct error why;

	world_umask(077);
	if (sentry_init(&sentry, &why) < 0) {
		fprintf(stderr, "holdfast-sentry: %s\n", why.text);
		return 78;
	}
	worker_drop_rights();
	return sentry_run(&sentry);
}
