#include "config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/loader.h"
#include "config/openclaw.h"
#include "config/paths.h"
#include "config/token.h"

extern char **environ;

/* What one load needs besides the settings: too large for the stack. */
struct load {
	struct loader loader;
	struct openclaw openclaw;
	struct source file;
};

static void begin(struct settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	settings->magic = SETTINGS_MAGIC;
	settings->version = SETTINGS_VERSION;
	settings->size = sizeof(*settings);
	settings->pool_used = 1; /* offset 0 is the empty text */
}

static int locate(struct loader *loader)
{
	static const struct settings_flags none;
	const struct settings_flags *flags = loader->flags != NULL ? loader->flags : &none;
	struct settings *settings = loader->settings;
	char state[PATH_MAX], runtime[PATH_MAX];
	int result;

	loader->flags = flags;
	result = paths_home(loader->environment, loader->home, loader->why);
	if (result == 0)
		result = paths_state(loader->environment, loader->home, flags->state_dir, state, loader->why);
	if (result == 0)
		result = paths_runtime(
		    loader->environment, loader->home, flags->runtime_dir, state, runtime, loader->why);
	if (result == 0)
		result = loader_text(loader, state, strlen(state), &settings->state_dir);
	if (result == 0)
		result = loader_text(loader, runtime, strlen(runtime), &settings->runtime_dir);
	if (result == 0)
		settings->instance = paths_instance(state);
	return result;
}

int settings_locate(struct settings *settings, const struct settings_flags *flags, struct error *why)
{
	struct error unheard;
	struct loader *loader = calloc(1, sizeof(*loader));
	int result;

	if (loader == NULL)
		return error_set(why, -ENOMEM, "There is no memory left.");
	begin(settings);
	*loader = (struct loader){.settings = settings,
	    .flags = flags,
	    .environment = environ,
	    .why = why != NULL ? why : &unheard};
	result = locate(loader);
	free(loader);
	return result;
}

static int take_defaults(struct loader *loader)
{
	const struct origin origin = {.rank = RANK_DEFAULT, .name = "default"};
	int result = 0;

	for (size_t i = 0; i < schema_count && result == 0; i++)
		if (schema[i].standard != NULL)
			result = value_from_text(loader, &schema[i], &origin, schema[i].standard);
	return result;
}

static int take_environment(struct loader *loader)
{
	const struct origin origin = {.rank = RANK_ENVIRONMENT};
	char name[SETTING_VARIABLE_MAX * 2];

	for (char **variable = loader->environment; *variable != NULL; variable++) {
		size_t length = strcspn(*variable, "=");
		int result;

		if (strncmp(*variable, "HOLDFAST_", 9) != 0 || (*variable)[length] == '\0')
			continue;
		if (length >= sizeof(name))
			return loader_fail(loader, &origin, "There is no variable %.100s...", *variable);
		memcpy(name, *variable, length);
		name[length] = '\0';
		result = section_from_variable(loader, &origin, name, *variable + length + 1);
		if (result < 0)
			return result;
	}
	return 0;
}

static int refuse_key(struct loader *loader, const struct origin *origin, const char *key)
{
	char nearest[SETTING_VARIABLE_MAX];

	if (schema_nearest(key, nearest) == NULL)
		return loader_fail(loader, origin,
		    "There is no setting \"%s\" (--set); holdfast.json(5) lists those there are.", key);
	if (strcmp(key, nearest) == 0)
		return loader_fail(loader, origin,
		    "\"%s\" (--set) is a group of settings: name one of them, such as "
		    "gateway.sessionTimeout=60s.",
		    key);
	return loader_fail(
	    loader, origin, "There is no setting \"%s\" (--set); did you mean \"%s\"?", key, nearest);
}

static int take_set(struct loader *loader, const char *pair)
{
	char key[SETTING_VARIABLE_MAX], name[SUBJECT_MAX];
	const struct origin origin = {.rank = RANK_FLAG, .name = name};
	size_t length = strcspn(pair, "=");
	const struct setting *setting;

	if (pair[length] == '\0')
		return loader_fail(loader, &origin,
		    "--set %.64s has no value: it is KEY=VALUE, such as gateway.sessionTimeout=60s.", pair);
	/* Cut where it is longer than any key, so that none is found. */
	snprintf(key, sizeof(key), "%.*s", length < sizeof(key) ? (int)length : (int)sizeof(key), pair);
	setting = schema_find(key);
	if (setting == NULL)
		return refuse_key(loader, &origin, key);
	snprintf(name, sizeof(name), "--set %s", key);
	return value_from_text(loader, setting, &origin, pair + length + 1);
}

static int take_flags(struct loader *loader)
{
	const struct origin port = {.rank = RANK_FLAG, .name = "--port"};
	int result = 0;

	for (size_t i = 0; i < loader->flags->set_count && result == 0; i++)
		result = take_set(loader, loader->flags->set[i]);
	if (result == 0 && loader->flags->port != NULL)
		result = value_from_text(loader, schema_find("gateway.port"), &port, loader->flags->port);
	return result == 0 ? command_take(loader) : result;
}

/* holdfast.json: the one named, which must be there, or the one beside openclaw.json, which may be. */
static int take_file(struct load *load)
{
	struct loader *loader = &load->loader;
	const char *named = loader->flags->config_file;
	const char *variable = paths_variable(loader->environment, "HOLDFAST_CONFIG");
	struct origin origin = {.rank = RANK_FILE, .source = &load->file, .document = &load->file};
	char path[PATH_MAX];
	int result;

	if (named == NULL && variable != NULL && *variable != '\0')
		named = variable;
	if (named != NULL && *named == '\0')
		return error_set(
		    loader->why, -EINVAL, "--config is empty, but must name a file with settings.");
	result = named != NULL ? paths_resolve(loader->home, NULL, named, path)
	                       : paths_resolve(NULL, load->openclaw.config_path, "../holdfast.json", path);
	if (result < 0)
		return error_set(loader->why, result, "The path of the settings file is too long.");
	result = source_read(&load->file, path, loader->why);
	if (result == -ENOENT && named == NULL)
		return 0;
	if (result == 0)
		result = loader_text(loader, path, strlen(path), &loader->settings->file);
	if (result == 0)
		result = section_from_json(loader, &origin, json_root(&load->file.document));
	return result;
}

static int take_openclaw(struct load *load)
{
	struct loader *loader = &load->loader;
	struct settings *settings = loader->settings;
	struct openclaw *openclaw = &load->openclaw;
	int result;

	/* Again, for now gateway.env and the command are known. */
	result = openclaw_locate(openclaw, loader);
	if (result == 0)
		result = openclaw_read(openclaw);
	if (result == 0)
		result = loader_text(loader, openclaw->config_path, strlen(openclaw->config_path),
		    &settings->gateway.config_path);
	if (result == 0)
		result = loader_text(loader, openclaw->state_directory, strlen(openclaw->state_directory),
		    &settings->gateway.state_directory);
	for (uint32_t i = 0; i < openclaw->watched_count && result == 0; i++) {
		result = loader_text(loader, openclaw->watched[i], strlen(openclaw->watched[i]),
		    &settings->gateway.watched[i]);
		settings->gateway.watched_count = i + 1;
	}
	return result;
}

static int settle_port(struct load *load)
{
	struct loader *loader = &load->loader;
	struct settings *settings = loader->settings;
	const char *argument = openclaw_argument(settings, "--port");
	size_t index = schema_index("gateway.port");
	char origin[SUBJECT_MAX], number[16];

	if (loader->ranks[index] != RANK_DEFAULT) {
		settings->gateway.port_is_ours = true;
		settings->gateway.port_origin = settings->origins[index];
		snprintf(number, sizeof(number), "%u", settings->gateway.port);
		if (settings->gateway.kind == GATEWAY_OPENCLAW && argument != NULL &&
		    strcmp(argument, number) != 0)
			return error_set(loader->why, -EBADMSG,
			    "gateway.port is %s (%s), but the command says --port %.40s: name it once.",
			    number, loader_origin(loader, "gateway.port"), argument);
		return 0;
	}
	if (settings->gateway.kind == GATEWAY_GENERIC)
		return 0;
	settings->gateway.port = openclaw_port(&load->openclaw, origin);
	if (loader_text(loader, origin, strlen(origin), &settings->gateway.port_origin) < 0)
		return loader->why->code;
	settings->origins[index] = settings->gateway.port_origin;
	return 0;
}

static int check_ports(struct loader *loader)
{
	static const char *const names[] = {"gateway.port", "api.port", "relay.port"};
	struct settings *settings = loader->settings;
	const uint32_t ports[] = {settings->gateway.port, settings->api.port, settings->relay.port};

	settings->api.port_origin = settings->origins[schema_index("api.port")];
	settings->relay.port_origin = settings->origins[schema_index("relay.port")];
	for (size_t i = 0; i < 3; i++)
		for (size_t j = i + 1; j < 3; j++)
			if (ports[i] != 0 && ports[i] == ports[j])
				return error_set(loader->why, -EBADMSG,
				    "%s (%s) and %s (%s) are both %u, but each needs a port of its own.",
				    names[i], loader_origin(loader, names[i]), names[j],
				    loader_origin(loader, names[j]), ports[i]);
	return 0;
}

static int check_sense(struct loader *loader)
{
	const struct settings *settings = loader->settings;

	if (settings->backoff.max_ms < settings->backoff.initial_ms)
		return error_set(loader->why, -EBADMSG,
		    "backoff.max (%s) is shorter than backoff.initial (%s).",
		    loader_origin(loader, "backoff.max"), loader_origin(loader, "backoff.initial"));
	if (settings->gateway.kind != GATEWAY_GENERIC &&
	    strcmp(settings_string(settings, settings->health.ready_path), SETTINGS_READY_NOTIFY) == 0)
		return error_set(loader->why, -EBADMSG,
		    "health.readyPath is \"notify\" (%s), but OpenClaw does not speak sd_notify: leave it "
		    "out, or "
		    "set gateway.kind to \"generic\".",
		    loader_origin(loader, "health.readyPath"));
	if (settings->health.timeout_ms > settings->health.interval_ms)
		loader_remark(loader,
		    "health.timeout (%s) is longer than health.interval (%s): probes will follow each other "
		    "late.",
		    loader_origin(loader, "health.timeout"), loader_origin(loader, "health.interval"));
	if (strncmp(settings_string(settings, settings->api.host), "127.", 4) != 0 &&
	    strcmp(settings_string(settings, settings->api.host), "::1") != 0)
		loader_remark(loader,
		    "api.host (%s) is not loopback: whoever reaches %s can read what the gateway does.",
		    loader_origin(loader, "api.host"), settings_string(settings, settings->api.host));
	return 0;
}

/* An entry of auth.profiles: { provider: "anthropic", mode: "oauth" }. */
static int count_logins(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	const struct json_document *document = &origin->source->document;
	struct settings *settings = openclaw->loader->settings;

	if (value->type != JSON_OBJECT)
		return 0;
	for (uint32_t i = 0; i < settings->relay.provider_count; i++)
		settings->relay.providers[i].gateway_logins = 0;
	for (const struct json_value *entry = json_first(document, value); entry != NULL;
	     entry = json_next(document, entry)) {
		const struct json_value *provider = json_find(document, entry, "provider");

		for (uint32_t i = 0; provider != NULL && i < settings->relay.provider_count; i++)
			if (json_string_is(
			        provider, settings_string(settings, settings->relay.providers[i].name)))
				settings->relay.providers[i].gateway_logins++;
	}
	return 0;
}

/* All sources are read; what one of them left open is found out, and all of it must fit together. */
static int settle(struct load *load)
{
	struct loader *loader = &load->loader;
	struct settings *settings = loader->settings;
	int result;

	command_guess_kind(loader);
	if (settings->gateway.kind == GATEWAY_GENERIC)
		settings->gateway.config_path = settings->gateway.state_directory =
		    settings->gateway.watched_count = 0;
	if (settings->gateway.kind == GATEWAY_GENERIC &&
	    loader_rank(loader, "health.readyPath") == RANK_DEFAULT)
		settings->health.ready_path = 0;
	result = command_directory(loader);
	if (result == 0 && !loader->flags->without_command)
		result = command_resolve(loader);
	if (result == 0 && !loader->flags->without_command)
		result = command_resolve_probe(loader);
	if (result == 0)
		result = settle_port(load);
	if (result == 0)
		result = check_ports(loader);
	if (result == 0)
		result = check_sense(loader);
	if (result == 0 && settings->gateway.kind == GATEWAY_OPENCLAW) {
		static const char *const path[] = {"auth", "profiles", NULL};

		result = openclaw_visit(&load->openclaw, path, count_logins);
	}
	return result == 0 ? secrets_collect(loader) : result;
}

static int load_all(struct load *load)
{
	struct loader *loader = &load->loader;
	int result = locate(loader);

	if (result == 0)
		result = take_defaults(loader);
	if (result == 0)
		result = take_environment(loader);
	if (result == 0)
		result = take_flags(loader);
	if (result == 0)
		result = openclaw_locate(&load->openclaw, loader);
	if (result == 0)
		result = take_file(load);
	if (result < 0)
		return result;
	command_guess_kind(loader);
	if (loader->settings->gateway.kind == GATEWAY_OPENCLAW)
		result = take_openclaw(load);
	if (result == 0)
		result = settle(load);
	loader->settings->gateway.needs_token = result == 0 &&
	                                        loader->settings->gateway.kind == GATEWAY_OPENCLAW &&
	                                        token_is_missing(loader->settings, loader->environment);
	return result;
}

int settings_load(struct settings *settings, const struct settings_flags *flags, char **environment,
    settings_remark *remark, void *context, struct error *why)
{
	struct load *load = calloc(1, sizeof(*load));
	struct error unheard;
	int result;

	if (load == NULL)
		return error_set(why, -ENOMEM, "There is no memory left.");
	begin(settings);
	load->loader = (struct loader){.settings = settings,
	    .flags = flags,
	    .environment = environment,
	    .remark = remark,
	    .remark_context = context,
	    .why = why != NULL ? why : &unheard};
	result = load_all(load);
	if (result < 0)
		loader_keep_to_one_line(load->loader.why->text);
	openclaw_release(&load->openclaw);
	source_release(&load->file);
	free(load);
	return result;
}
