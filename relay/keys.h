/* The credentials of the profiles, as long as the relay lives: read at its start, in memory that is locked,
 * never swapped, never in a core, and wiped when it is given back.
 *
 * A key is 1 to KEY_MAX bytes of visible ASCII, where one line's end may follow. One that cannot be had stops
 * nothing: its profile is left out, and keys_why() says why. No sentence of this file shows a key. */
#ifndef HOLDFAST_RELAY_KEYS_H
#define HOLDFAST_RELAY_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "config/settings.h"

#define KEY_MAX     4096
#define KEY_WHY_MAX 192
#define KEY_EXEC_MS 10000

/* How a key is sent. */
enum key_scheme {
	KEY_SCHEME_BEARER,           /* authorization: Bearer KEY */
	KEY_SCHEME_API_KEY,          /* x-api-key: KEY */
	KEY_SCHEME_ANTHROPIC_BEARER, /* a token of `claude setup-token`: Bearer, and a beta of its own */
};

struct key;

struct keys {
	const struct settings *settings;
	struct key *table; /* of its own pages */
	size_t size;
	bool locked; /* the kernel let it be locked */
};

/* Reads every profile's key; the bytes of those that came in the environment are wiped there. Blocks while
 * commands
 * ("exec:") run, KEY_EXEC_MS each at most. Returns 0, or -ENOMEM with *why. */
int keys_load(struct keys *keys, const struct settings *settings, struct error *why);

/* The key, NUL-terminated, until the next keys_refresh; NULL when it could not be had. */
const char *keys_get(const struct keys *keys, uint32_t provider, uint32_t profile, size_t *length);

/* Why it could not be had; "" when it could. */
const char *keys_why(const struct keys *keys, uint32_t provider, uint32_t profile);

/* Reads a key from a file anew, which may have been replaced since. Returns whether it is another one now. */
bool keys_refresh(struct keys *keys, uint32_t provider, uint32_t profile);

/* By the interface and by how the key begins. */
enum key_scheme keys_scheme(const char *api, const char *key);

void keys_release(struct keys *keys);

#endif
