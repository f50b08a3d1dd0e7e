/* `holdfast relay enable|disable|status|import`: the gateway's providers through the relay, and back. */
#include "cli/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "cli/print.h"
#include "world/world.h"

#define CANDIDATE_SUFFIX ".holdfast-candidate"

extern char **environ;

void relay_prefix(const struct settings *settings, char prefix[RELAY_ADDRESS_MAX])
{
	snprintf(prefix, RELAY_ADDRESS_MAX, "http://127.0.0.1:%u/", settings->relay.port);
}

void relay_address(const struct settings *settings, const char *id, char address[RELAY_ADDRESS_MAX])
{
	snprintf(address, RELAY_ADDRESS_MAX, "http://127.0.0.1:%u/%s", settings->relay.port, id);
}

const struct settings_provider *relay_settings_of(const struct settings *settings, const char *id)
{
	for (uint32_t i = 0; i < settings->relay.provider_count; i++)
		if (strcmp(settings_string(settings, settings->relay.providers[i].name), id) == 0)
			return &settings->relay.providers[i];
	return NULL;
}

enum validate_answer relay_try(const struct settings *settings, const struct relay_file *file,
    const struct relay_text *text, const char *wanted, char why[RELAY_WORDS_MAX])
{
	char path[PATH_MAX];
	enum validate_answer answer;
	struct error error;
	bool is_old;

	if (snprintf(path, sizeof(path), "%s" CANDIDATE_SUFFIX,
	        settings_string(settings, settings->gateway.config_path)) >= (int)sizeof(path) ||
	    relay_file_write(path, &file->status, text->bytes, text->length, &error) < 0) {
		text_copy(why, RELAY_WORDS_MAX, "there is no room for a trial beside it");
		return VALIDATE_FAILED;
	}
	answer = relay_ask_gateway(settings, path, wanted, &is_old, why);
	world_unlink(path);
	return answer;
}

void relay_add_name(struct text *list, int index, int count, const char *name)
{
	if (index > 0)
		text_add(list, index == count - 1 ? " and " : ", ");
	text_add(list, name);
}

static int load(const struct invocation *invocation, struct settings *settings)
{
	struct settings_flags flags;
	struct error why;

	if (command_flags(invocation, &flags, &why) < 0) {
		complain("%s", why.text);
		return EXIT_USAGE;
	}
	if (settings_load(settings, &flags, environ, NULL, NULL, &why) < 0) {
		complain("%s", why.text);
		return EXIT_CONFIG;
	}
	if (settings->gateway.kind == GATEWAY_OPENCLAW && settings->gateway.config_path != 0)
		return EXIT_DONE;
	complain(
	    "The gateway is not OpenClaw: only OpenClaw's providers can be led through the relay by this "
	    "command. Give your gateway the address http://127.0.0.1:%u/PROVIDER yourself.",
	    settings->relay.port);
	return EXIT_FAILED;
}

int run_relay(struct invocation *invocation)
{
	static const char *const verbs[] = {"enable", "disable", "status", "import", NULL};
	static struct settings settings;
	const char *verb = invocation->word;
	int status, at = 0;

	while (verb != NULL && verbs[at] != NULL && strcmp(verbs[at], verb) != 0)
		at++;
	if (verb == NULL || verbs[at] == NULL) {
		complain("\"holdfast relay\" wants one of: enable, disable, status, import.");
		return EXIT_USAGE;
	}
	if (at != 0 && invocation->operands.count > 0) {
		complain("\"holdfast relay %s\" takes no arguments, and was given \"%.64s\".", verb,
		    invocation->operands.items[0]);
		return EXIT_USAGE;
	}
	status = load(invocation, &settings);
	if (status != EXIT_DONE)
		return status;
	if (at == 0)
		return print_finish(relay_enable(invocation, &settings));
	if (at == 1)
		return print_finish(relay_disable(&settings, invocation->dry_run));
	return print_finish(at == 2 ? relay_status(&settings, invocation->json)
	                            : relay_import(&settings, invocation->dry_run));
}
