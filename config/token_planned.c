/* Whether a gateway that is about to be started would have a token. Apart from what makes one: the supervisor
 * makes it, and parses nothing. */
#include <string.h>

#include "base/text.h"
#include "config/paths.h"
#include "config/token.h"

struct planned {
	const struct settings *settings;
	char *const *environment;
};

/* What Holdfast itself adds comes before what it inherits. */
static bool find_planned(void *context, const char *name, char *value, size_t size)
{
	const struct planned *planned = context;
	const struct settings *settings = planned->settings;
	size_t length = strlen(name);
	const char *inherited;

	for (uint32_t i = settings->gateway.variable_count; i-- > 0;) {
		const char *variable = settings_string(settings, settings->gateway.variables[i]);

		if (strncmp(variable, name, length) == 0 && variable[length] == '=') {
			text_copy(value, size, variable + length + 1);
			return true;
		}
	}
	inherited = paths_variable(planned->environment, name);
	if (inherited != NULL)
		text_copy(value, size, inherited);
	return inherited != NULL;
}

bool token_is_missing(const struct settings *settings, char *const *environment)
{
	struct planned planned = {settings, environment};
	const struct token_environment planned_environment = {find_planned, &planned};
	struct token found;
	bool missing;

	if (settings->gateway.kind != GATEWAY_OPENCLAW)
		return false;
	/* One that is configured and cannot be had is the gateway's own business. */
	missing =
	    token_find(settings, &planned_environment, &found, NULL) == 0 && found.kind == TOKEN_MISSING;
	token_clear(&found);
	return missing;
}
