/* stub */
#ifndef HOLDFAST_RELAY_KEYS_H
#define HOLDFAST_RELAY_KEYS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "config/settings.h"
enum key_scheme { KEY_SCHEME_BEARER, KEY_SCHEME_API_KEY, KEY_SCHEME_ANTHROPIC_BEARER };
struct keys {
	const char *keys[SETTINGS_PROVIDERS_MAX][SETTINGS_PROFILES_MAX];
};
int keys_load(struct keys *keys, const struct settings *settings, struct error *why);
const char *keys_get(const struct keys *keys, uint32_t provider, uint32_t profile, size_t *length);
const char *keys_why(const struct keys *keys, uint32_t provider, uint32_t profile);
enum key_scheme keys_scheme(const char *api, const char *key);
#endif
