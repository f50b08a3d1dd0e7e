/* `holdfast relay enable`: points the gateway's providers to the relay. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "cli/print.h"
#include "cli/relay.h"
#include "cli/relay_diff.h"
#include "config/paths.h"
#include "world/world.h"

#define MARGIN_S    30
#define PLACEHOLDER "held-by-the-holdfast-relay"

extern char **environ;

struct enabling {
	const struct settings *settings;
	bool dry_run, is_old;
	int count; /* of the chosen */
	const struct settings_provider *chosen[SETTINGS_PROVIDERS_MAX];
	struct relay_view view;
	struct relay_file file;
	struct relay_text text;
	struct relay_edits edits;
	struct relay_record record;
};

static const char *name_of(const struct enabling *enabling, int index)
{
	return settings_string(enabling->settings, enabling->chosen[index]->name);
}

/* --- Which ones. --- */

static bool same_address(const char *one, const char *other)
{
	size_t length = strlen(one), others = strlen(other);

	length -= length > 0 && one[length - 1] == '/';
	others -= others > 0 && other[others - 1] == '/';
	return length == others && strncmp(one, other, length) == 0;
}

/* Whether this one can go through the relay; complains if not. */
static bool check(const struct enabling *enabling, const struct settings_provider *provider)
{
	const struct settings *settings = enabling->settings;
	const char *id = settings_string(settings, provider->name);
	const char *direct = settings_string(settings, provider->base_url);
	const struct relay_provider *seen = relay_view_find(&enabling->view, id);
	const char *reason = relay_view_stays_direct(
	    id, seen != NULL && seen->api[0] != '\0' ? seen->api : settings_string(settings, provider->api));
	char address[RELAY_ADDRESS_MAX];

	relay_address(settings, id, address);
	if (reason != NULL) {
		complain("%s stays direct: it %s.", id, reason);
		return false;
	}
	if (seen == NULL || seen->address[0] == '\0' || strstr(seen->address, "${") != NULL ||
	    same_address(seen->address, direct) || same_address(seen->address, address))
		return true;
	complain("The gateway calls %s at %.160s, but relay.providers.%s.baseUrl is %.160s: make them the "
	         "same first.",
	    id, seen->address, id, direct);
	return false;
}

static int choose(struct enabling *enabling, const struct option_list *words)
{
	const struct settings *settings = enabling->settings;

	for (size_t i = 0; i < words->count; i++) {
		const struct settings_provider *provider = relay_settings_of(settings, words->items[i]);

		if (provider == NULL) {
			complain(
			    "The settings have no relay.providers.%.64s: write it into holdfast.json first, "
			    "such as { api: \"anthropic-messages\", baseUrl: \"https://api.anthropic.com\", "
			    "profiles: [{ id: \"work\", key: \"env:NAME\" }] }.",
			    words->items[i]);
			return EXIT_CONFIG;
		}
		if (!check(enabling, provider))
			return EXIT_FAILED;
		if (enabling->count < SETTINGS_PROVIDERS_MAX)
			enabling->chosen[enabling->count++] = provider;
	}
	for (uint32_t i = 0; words->count == 0 && i < settings->relay.provider_count; i++)
		if (check(enabling, &settings->relay.providers[i]))
			enabling->chosen[enabling->count++] = &settings->relay.providers[i];
	return enabling->count > 0 ? EXIT_DONE : EXIT_FAILED;
}

/* --- The placeholder for a key that only the relay has. --- */

static bool is_secret_of_ours(const struct settings *settings, const char *name)
{
	for (uint32_t i = 0; i < settings->secret_count; i++)
		if (strcmp(settings_string(settings, settings->secrets[i]), name) == 0)
			return true;
	return false;
}

/* Whether the gateway is started with a key in its environment; what holds a secret of ours is kept from it.
 */
static bool has_variable(const struct settings *settings, const char *id)
{
	char names[2][96] = {"", "ANTHROPIC_OAUTH_TOKEN"};
	int count = strcmp(id, "anthropic") == 0 ? 2 : 1;

	snprintf(names[0], sizeof(names[0]), "%.64s_API_KEY", id);
	for (char *letter = names[0]; *letter != '\0'; letter++)
		*letter = *letter >= 'a' && *letter <= 'z' ? (char)(*letter - 32)
		          : *letter == '-'                 ? '_'
		                                           : *letter;
	for (int i = 0; i < count; i++) {
		const char *value = paths_variable(environ, names[i]);

		if (value != NULL && *value != '\0' && !is_secret_of_ours(settings, names[i]))
			return true;
		for (uint32_t j = 0; j < settings->gateway.variable_count; j++) {
			const char *variable = settings_string(settings, settings->gateway.variables[j]);
			size_t length = strlen(names[i]);

			if (strncmp(variable, names[i], length) == 0 && variable[length] == '=')
				return true;
		}
	}
	return false;
}

/* The beginning of a profile's key, as far as it is at hand. */
static void peek(const char *reference, char *start, size_t size)
{
	const char *value =
	    strncmp(reference, "env:", 4) == 0 ? paths_variable(environ, reference + 4) : NULL;
	ssize_t length;
	int fd CLOSE_ON_RETURN = -1;

	start[0] = '\0';
	if (value != NULL)
		text_copy(start, size, value);
	if (strncmp(reference, "file:", 5) != 0)
		return;
	fd = world_open(reference + 5, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	length = fd < 0 ? -1 : file_read_up_to(fd, start, size - 1);
	start[length > 0 ? (size_t)length : 0] = '\0';
}

/* The gateway shapes requests by how a key begins: the placeholder begins as the first profile's does. */
static void make_placeholder(
    const struct settings *settings, const struct settings_provider *provider, char *placeholder, size_t size)
{
	static const char *const known[] = {"sk-ant-oat01-", "sk-ant-oat", "sk-ant-api03-", "sk-ant-api",
	    "sk-ant-", "sk-proj-", "sk-or-v1-", "sk-", NULL};
	bool is_anthropic = strcmp(settings_string(settings, provider->api), "anthropic-messages") == 0;
	const char *prefix = is_anthropic ? "sk-ant-api03-" : "sk-";
	char start[32];

	peek(settings_string(settings, provider->profiles[0].key), start, sizeof(start));
	for (const char *const *one = known; *one != NULL && start[0] != '\0'; one++)
		if (strncmp(start, *one, strlen(*one)) == 0) {
			prefix = *one;
			break;
		}
	explicit_bzero(start, sizeof(start));
	snprintf(placeholder, size, "%s" PLACEHOLDER, prefix);
}

static bool needs_placeholder(const struct enabling *enabling, const struct settings_provider *provider)
{
	const struct settings *settings = enabling->settings;
	const char *id = settings_string(settings, provider->name);
	const struct relay_provider *seen = relay_view_find(&enabling->view, id);

	for (uint32_t i = 0; i < provider->profile_count; i++)
		if (strcmp(settings_string(settings, provider->profiles[i].key), "gateway") == 0)
			return false;
	return (seen == NULL || (!seen->has_key && !seen->has_profile)) && !has_variable(settings, id) &&
	       !relay_import_knows(settings, id);
}

/* --- The change. --- */

static unsigned timeout_seconds(const struct settings *settings)
{
	return (unsigned)((settings->relay.first_content_timeout_ms + settings->relay.last_resort_timeout_ms +
	                      999) /
	                  1000) +
	       MARGIN_S;
}

static int edit_all(struct enabling *enabling, struct error *why)
{
	int result = relay_text_set(&enabling->text, enabling->file.bytes, enabling->file.length);

	for (int i = 0; i < enabling->count && result == 0; i++) {
		const char *id = name_of(enabling, i);
		const struct relay_provider *seen = relay_view_find(&enabling->view, id);
		char address[RELAY_ADDRESS_MAX], placeholder[96];
		struct relay_wish wish = {.id = id, .address = address};

		relay_address(enabling->settings, id, address);
		if (seen != NULL && same_address(seen->address, address))
			continue;
		/* 2026.9.6 takes an entry without one for OpenAI's chat completions, even that of Anthropic.
		 */
		if (!enabling->is_old && (seen == NULL || (seen->api[0] == '\0' && seen->address[0] == '\0')))
			wish.api = settings_string(enabling->settings, enabling->chosen[i]->api);
		wish.models = enabling->is_old && (seen == NULL || !seen->has_models);
		if (!enabling->is_old && (seen == NULL || !seen->has_timeout))
			wish.timeout_seconds = timeout_seconds(enabling->settings);
		if (needs_placeholder(enabling, enabling->chosen[i])) {
			make_placeholder(
			    enabling->settings, enabling->chosen[i], placeholder, sizeof(placeholder));
			wish.placeholder = placeholder;
		}
		result = relay_edits_make(&enabling->edits, &enabling->text, &wish, why);
	}
	return result;
}

/* A first change is remembered with the whole file; a further one behind it, as long as nobody else has
 * changed the file in between. */
static int remember(struct enabling *enabling, struct error *why)
{
	struct relay_record *record = &enabling->record;
	uint64_t now = hash_bytes(enabling->file.bytes, enabling->file.length);
	char copy[PATH_MAX];
	int result = relay_record_read(record, enabling->settings, why);
	bool is_first = result < 0 || strcmp(record->file, enabling->file.path) != 0;

	if (is_first) {
		memset(record, 0, sizeof(*record));
		text_copy(record->file, sizeof(record->file), enabling->file.path);
		record->before = now;
		if (snprintf(copy, sizeof(copy), "%s" RELAY_COPY_SUFFIX, enabling->file.path) >=
		    (int)sizeof(copy))
			return error_set(
			    why, -ENAMETOOLONG, "The configuration's path is too long for a copy beside it.");
		result = relay_file_write(
		    copy, &enabling->file.status, enabling->file.bytes, enabling->file.length, why);
		if (result < 0)
			return result;
	} else if (record->after != now) {
		record->before = 0;
	}
	if (record->edits.count + enabling->edits.count > RELAY_EDITS_MAX)
		return error_set(
		    why, -E2BIG, "Too much was changed already: use \"holdfast relay disable\" first.");
	for (int i = 0; i < enabling->edits.count; i++)
		record->edits.list[record->edits.count++] = enabling->edits.list[i];
	record->after = hash_bytes(enabling->text.bytes, enabling->text.length);
	for (int i = 0; i < enabling->count; i++)
		relay_record_add(record, name_of(enabling, i),
		    settings_string(enabling->settings, enabling->chosen[i]->base_url));
	return relay_record_write(record, enabling->settings, why);
}

static int refuse(enum validate_answer answer, const char *file, const char *words)
{
	if (answer == VALIDATE_INVALID)
		complain("The gateway would refuse %.160s: %.200s. Nothing was changed.", file, words);
	else
		complain(
		    "The gateway's own program cannot be asked whether it would accept the change (%.200s): "
		    "nothing was changed.",
		    words);
	return EXIT_FAILED;
}

static void tell(const struct enabling *enabling)
{
	char data[512];
	struct text names;

	text_init(&names, data, sizeof(data));
	for (int i = 0; i < enabling->count; i++)
		relay_add_name(&names, i, enabling->count, name_of(enabling, i));
	printf("The gateway now calls %s through the relay; it takes the change up by itself.\n"
	       "The file as it was is %s" RELAY_COPY_SUFFIX "; \"holdfast relay disable\" puts it back.\n",
	    data, enabling->file.path);
}

static int change(struct enabling *enabling)
{
	const struct settings *settings = enabling->settings;
	char address[RELAY_ADDRESS_MAX], words[RELAY_WORDS_MAX];
	enum validate_answer answer;
	struct error why;

	if (edit_all(enabling, &why) < 0) {
		complain("%s", why.text);
		return EXIT_FAILED;
	}
	if (enabling->edits.count == 0) {
		printf("There is nothing to change: the gateway calls them through the relay already.\n");
		return EXIT_DONE;
	}
	if (enabling->dry_run) {
		relay_diff_print(
		    enabling->file.path, enabling->file.bytes, enabling->text.bytes, &enabling->edits);
		printf("Nothing was changed (--dry-run).\n");
		return EXIT_DONE;
	}
	relay_address(settings, name_of(enabling, 0), address);
	answer = relay_try(settings, &enabling->file, &enabling->text, address, words);
	if (answer != VALIDATE_VALID)
		return refuse(answer, "its configuration with the change", words);
	if (remember(enabling, &why) < 0 ||
	    relay_file_replace(&enabling->file, enabling->text.bytes, enabling->text.length, &why) < 0) {
		complain("%s", why.text);
		return EXIT_FAILED;
	}
	tell(enabling);
	return EXIT_DONE;
}

static int prepare(struct enabling *enabling, const struct invocation *invocation)
{
	const struct settings *settings = enabling->settings;
	const char *path = settings_string(settings, settings->gateway.config_path);
	char words[RELAY_WORDS_MAX];
	enum validate_answer answer;
	struct error why;
	int status;

	if (settings->relay.port == 0 || settings->relay.provider_count == 0) {
		complain(settings->relay.port == 0
		             ? "relay.port is 0: there is no relay. Give it a port first."
		             : "The settings have no relay.providers: \"holdfast relay import\" makes them "
		               "from what "
		               "OpenClaw 2026.2.1 has, or write into holdfast.json: relay: { providers: { "
		               "anthropic: { "
		               "api: \"anthropic-messages\", baseUrl: \"https://api.anthropic.com\", "
		               "profiles: [{ id: "
		               "\"work\", key: \"env:NAME\" }] } } }");
		return EXIT_CONFIG;
	}
	relay_view_read(&enabling->view, settings);
	status = choose(enabling, &invocation->operands);
	if (status != EXIT_DONE)
		return status;
	if (relay_file_read(&enabling->file, path, &why) < 0) {
		complain("%s", why.text);
		return EXIT_FAILED;
	}
	if (!enabling->dry_run && !relay_answers(settings->relay.port)) {
		complain("No relay answers on 127.0.0.1:%u: start it first (\"holdfast run\"). Nothing was "
		         "changed.",
		    settings->relay.port);
		return EXIT_FAILED;
	}
	answer = relay_ask_gateway(settings, path, NULL, &enabling->is_old, words);
	return answer == VALIDATE_VALID ? EXIT_DONE : refuse(answer, "its configuration as it is", words);
}

int relay_enable(const struct invocation *invocation, const struct settings *settings)
{
	struct enabling *enabling = calloc(1, sizeof(*enabling));
	int status;

	if (enabling == NULL) {
		complain("There is no memory left.");
		return EXIT_FAILED;
	}
	enabling->settings = settings;
	enabling->dry_run = invocation->dry_run;
	status = prepare(enabling, invocation);
	if (status == EXIT_DONE)
		status = change(enabling);
	relay_file_release(&enabling->file);
	relay_text_release(&enabling->text);
	free(enabling);
	return status;
}
