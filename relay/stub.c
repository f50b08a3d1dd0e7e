#include "relay/relay.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "relay/reply.h"
int keys_load(struct keys *keys, const struct settings *settings, struct error *why)
{
	for (uint32_t i = 0; i < settings->relay.provider_count; i++)
		for (uint32_t j = 0; j < settings->relay.providers[i].profile_count; j++) {
			const char *r =
			    settings_string(settings, settings->relay.providers[i].profiles[j].key);
			if (strncmp(r, "env:", 4) == 0)
				keys->keys[i][j] = getenv(r + 4);
		}
	return 0;
}
const char *keys_get(const struct keys *keys, uint32_t provider, uint32_t profile, size_t *length)
{
	const char *k = keys->keys[provider][profile];
	*length = k ? strlen(k) : 0;
	return k;
}
const char *keys_why(const struct keys *keys, uint32_t provider, uint32_t profile)
{
	return "no key";
}
enum key_scheme keys_scheme(const char *api, const char *key)
{
	if (strcmp(api, "anthropic-messages") != 0)
		return KEY_SCHEME_BEARER;
	return strncmp(key, "sk-ant-oat", 10) == 0 ? KEY_SCHEME_ANTHROPIC_BEARER : KEY_SCHEME_API_KEY;
}
