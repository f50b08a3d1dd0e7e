/* What the gateway's configuration says of its providers, whichever of its files they are in. */
#ifndef HOLDFAST_CLI_RELAY_VIEW_H
#define HOLDFAST_CLI_RELAY_VIEW_H

#include <stdbool.h>

#include "config/openclaw.h"

#define RELAY_VIEW_MAX    64
#define RELAY_ADDRESS_MAX 512

struct relay_provider {
	char id[80];
	char address[RELAY_ADDRESS_MAX], api[64]; /* "" where there is none */
	bool has_key, has_models, has_timeout;
	bool has_profile; /* auth.profiles names one: the gateway has a credential of its own */
};

struct relay_view {
	struct openclaw openclaw; /* first: the visitors get it */
	struct loader loader;
	struct relay_provider list[RELAY_VIEW_MAX];
	int count;
	/* Private. */
	struct relay_provider *current;
};

/* Reads the gateway's files. Large: not for the stack. */
void relay_view_read(struct relay_view *view, const struct settings *settings);

/* One with an entry, or NULL. */
const struct relay_provider *relay_view_find(const struct relay_view *view, const char *id);

/* Why the requests of this provider cannot go through a relay; NULL when they can. The end of a sentence that
 * begins with its name. `api` may be "". */
const char *relay_view_stays_direct(const char *id, const char *api);

#endif
