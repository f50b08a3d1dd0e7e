/* `holdfast relay import`: the credentials of OpenClaw 2026.2.1 (auth-profiles.json) become the relay's.
 *
 * Keys go into files of their own, 0600, in our state directory; holdfast.json names them. What was logged in
 * to (OAuth) stays with the gateway, which refreshes it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/print.h"
#include "cli/relay.h"
#include "cli/relay_diff.h"
#include "format/json_write.h"
#include "world/world.h"

#define PROFILES_PATH    "agents/main/agent/auth-profiles.json"
#define KEYS_DIRECTORY   "keys"
#define CANDIDATE_SUFFIX ".holdfast-candidate"
#define KEY_BYTES_MAX    (16 * 1024)

extern char **environ;

struct profile {
	const struct json_value *value;
	const char *provider, *key; /* key NULL: the gateway's */
	char id[65], file[PATH_MAX];
};

struct importing {
	const struct settings *settings;
	bool dry_run;
	struct source profiles;
	struct relay_view view;
	struct relay_file file; /* holdfast.json */
	struct relay_text text;
	struct relay_edits edits;
	int written, left_out;
};

static const char *text_of(
    const struct json_document *document, const struct json_value *object, const char *key)
{
	const struct json_value *value = json_find(document, object, key);

	return value != NULL && value->type == JSON_STRING && value->string.length > 0 &&
	               strlen(value->string.bytes) == value->string.length
	           ? value->string.bytes
	           : NULL;
}

static int profiles_path(const struct settings *settings, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/" PROFILES_PATH,
	           settings_string(settings, settings->gateway.state_directory)) < PATH_MAX
	           ? 0
	           : -ENAMETOOLONG;
}

static int read_profiles(const struct settings *settings, struct source *source, struct error *why)
{
	char path[PATH_MAX];
	int result = profiles_path(settings, path);

	return result == 0 ? source_read(source, path, why)
	                   : error_set(why, result, "The gateway's state directory has too long a path.");
}

static void release_profiles(struct source *source)
{
	if (source->bytes != NULL)
		explicit_bzero(source->bytes, source->length);
	if (source->document.strings != NULL)
		explicit_bzero(source->document.strings, source->document.string_used);
	source_release(source);
}

bool relay_import_knows(const struct settings *settings, const char *id)
{
	const struct json_value *profiles;
	struct source source = {0};
	struct error ignored;
	bool found = false;

	if (read_profiles(settings, &source, &ignored) < 0)
		return false;
	profiles = json_find(&source.document, json_root(&source.document), "profiles");
	if (profiles != NULL)
		for (const struct json_value *profile = json_first(&source.document, profiles);
		     profile != NULL && !found; profile = json_next(&source.document, profile)) {
			const char *provider = text_of(&source.document, profile, "provider");

			found = provider != NULL && strcmp(provider, id) == 0;
		}
	release_profiles(&source);
	return found;
}

/* --- One provider. --- */

/* Where it is, and how it is spoken to: as the gateway's configuration says, else as OpenClaw 2026.2.1 has
 * it built in. */
static bool find_place(
    const struct importing *importing, const char *id, const char **api, const char **address)
{
	static const char *const known[][3] = {
	    {"anthropic", "anthropic-messages", "https://api.anthropic.com"},
	    {"openai", "openai-responses", "https://api.openai.com/v1"},
	    {"openrouter", "openai-completions", "https://openrouter.ai/api/v1"},
	    {"groq", "openai-completions", "https://api.groq.com/openai/v1"},
	    {"cerebras", "openai-completions", "https://api.cerebras.ai/v1"},
	    {"xai", "openai-completions", "https://api.x.ai/v1"},
	    {"mistral", "openai-completions", "https://api.mistral.ai/v1"},
	};
	const struct relay_provider *seen = relay_view_find(&importing->view, id);

	*api = *address = "";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i][0], id) == 0) {
			*api = known[i][1];
			*address = known[i][2];
		}
	if (seen != NULL && seen->api[0] != '\0')
		*api = seen->api;
	if (seen != NULL && seen->address[0] != '\0' && strstr(seen->address, "${") == NULL)
		*address = seen->address;
	return **api != '\0' && **address != '\0';
}

/* "anthropic:work" is "work"; what may not stand in a name becomes a dash. */
static void make_id(const char *key, const char *provider, char id[65])
{
	size_t length = strlen(provider);

	if (strncmp(key, provider, length) == 0 && key[length] == ':' && key[length + 1] != '\0')
		key += length + 1;
	text_copy(id, 65, key);
	for (char *letter = id; *letter != '\0'; letter++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@-", *letter) ==
		    NULL)
			*letter = '-';
}

static int make_file(const struct settings *settings, struct profile *profile)
{
	char name[160];

	snprintf(name, sizeof(name), "%.64s-%s", profile->provider, profile->id);
	for (char *letter = name; *letter != '\0'; letter++)
		if (*letter == '/' || *letter == ':')
			*letter = '-';
	return snprintf(profile->file, sizeof(profile->file), "%s/" KEYS_DIRECTORY "/%s",
	           settings_string(settings, settings->state_dir), name) < PATH_MAX
	           ? 0
	           : -ENAMETOOLONG;
}

/* Fills *profile; false for one of another provider, or of a kind that is not understood. */
static bool take(const struct importing *importing, const struct json_value *value, const char *provider,
    struct profile *profile)
{
	const struct json_document *document = &importing->profiles.document;
	const char *type = text_of(document, value, "type"), *of = text_of(document, value, "provider");

	if (type == NULL || of == NULL || strcmp(of, provider) != 0)
		return false;
	*profile = (struct profile){.value = value, .provider = provider};
	make_id(value->key, provider, profile->id);
	if (strcmp(type, "api_key") == 0)
		profile->key = text_of(document, value, "key");
	else if (strcmp(type, "token") == 0)
		profile->key = text_of(document, value, "token");
	else if (strcmp(type, "oauth") == 0)
		return true;
	return profile->key != NULL && strlen(profile->key) < KEY_BYTES_MAX &&
	       make_file(importing->settings, profile) == 0;
}

static int write_key(const struct importing *importing, const struct profile *profile, struct error *why)
{
	const struct settings *settings = importing->settings;
	char directory[PATH_MAX];

	if (profile->key == NULL || importing->dry_run)
		return 0;
	if (snprintf(directory, sizeof(directory), "%s/" KEYS_DIRECTORY,
	        settings_string(settings, settings->state_dir)) >= (int)sizeof(directory))
		return error_set(why, -ENAMETOOLONG, "The state directory has too long a path.");
	if ((world_mkdir(settings_string(settings, settings->state_dir), 0700) < 0 && errno != EEXIST) ||
	    (world_mkdir(directory, 0700) < 0 && errno != EEXIST))
		return error_set(why, -errno, "%.300s cannot be made: %s.", directory, strerror(errno));
	return relay_file_write(profile->file, NULL, profile->key, strlen(profile->key), why);
}

static void add_profile(struct text *list, const struct profile *profile)
{
	char reference[PATH_MAX + 8];

	snprintf(reference, sizeof(reference), "file:%s", profile->file);
	text_add(list, "{ id: ");
	json_write_string(list, profile->id);
	text_add(list, ", key: ");
	json_write_string(list, profile->key != NULL ? reference : "gateway");
	text_add(list, " }");
}

/* The one that worked last comes first: it is the preferred one. */
static bool is_last_good(const struct importing *importing, const char *provider, const char *key)
{
	const struct json_document *document = &importing->profiles.document;
	const struct json_value *last = json_find(document, json_root(document), "lastGood");
	const char *name = last != NULL ? text_of(document, last, provider) : NULL;

	return name != NULL && strcmp(name, key) == 0;
}

/* The profiles of one provider as a list, and their keys into files. Returns how many, or a negative errno.
 */
static int collect(
    const struct importing *importing, const char *provider, struct text *list, struct error *why)
{
	const struct json_document *document = &importing->profiles.document;
	const struct json_value *all = json_find(document, json_root(document), "profiles");
	struct profile profile;
	int count = 0;

	for (int round = 0; round < 2; round++)
		for (const struct json_value *value = json_first(document, all);
		     value != NULL && count < SETTINGS_PROFILES_MAX; value = json_next(document, value)) {
			int result;

			if (is_last_good(importing, provider, value->key) != (round == 0) ||
			    !take(importing, value, provider, &profile))
				continue;
			result = write_key(importing, &profile, why);
			if (result < 0)
				return result;
			text_add(list, count > 0 ? ", " : "");
			add_profile(list, &profile);
			printf("  %s %s: %s\n", provider, profile.id,
			    profile.key != NULL ? profile.file : "a login, which stays with the gateway");
			count++;
		}
	return count;
}

static int import_provider(struct importing *importing, const char *provider, struct error *why)
{
	const char *const keys[] = {"relay", "providers", provider, NULL};
	const char *api, *address, *reason = relay_view_stays_direct(provider, "");
	char profiles[RELAY_TEXT_BYTES], spelling[RELAY_TEXT_BYTES];
	struct text list, text;
	int count;

	if (relay_settings_of(importing->settings, provider) != NULL || reason != NULL ||
	    !find_place(importing, provider, &api, &address)) {
		importing->left_out++;
		if (reason != NULL)
			printf("  %s: left out, because it %s\n", provider, reason);
		else
			printf("  %s: left out, because %s\n", provider,
			    relay_settings_of(importing->settings, provider) != NULL
			        ? "the settings have it already"
			        : "its address is not known: write relay.providers yourself");
		return 0;
	}
	text_init(&list, profiles, sizeof(profiles));
	count = collect(importing, provider, &list, why);
	if (count <= 0)
		return count;
	text_init(&text, spelling, sizeof(spelling));
	text_add(&text, "{ api: ");
	json_write_string(&text, api);
	text_add(&text, ", baseUrl: ");
	json_write_string(&text, address);
	text_addf(&text, ", profiles: [%s] }", profiles);
	if (list.truncated || text.truncated)
		return error_set(why, -E2BIG, "%.64s has too many profiles to be imported.", provider);
	importing->written++;
	return relay_edits_put(&importing->edits, &importing->text, keys, spelling, why);
}

/* Each provider once, at its first profile. */
static int import_all(struct importing *importing, struct error *why)
{
	const struct json_document *document = &importing->profiles.document;
	const struct json_value *all = json_find(document, json_root(document), "profiles");
	int result = 0;

	if (all == NULL || all->type != JSON_OBJECT)
		return 0;
	for (const struct json_value *value = json_first(document, all); value != NULL && result == 0;
	     value = json_next(document, value)) {
		const char *provider = text_of(document, value, "provider");
		bool is_first = provider != NULL && strlen(provider) < RELAY_KEY_BYTES;

		for (const struct json_value *earlier = json_first(document, all);
		     is_first && earlier != value; earlier = json_next(document, earlier)) {
			const char *other = text_of(document, earlier, "provider");

			is_first = other == NULL || strcmp(other, provider) != 0;
		}
		if (is_first)
			result = import_provider(importing, provider, why);
	}
	return result;
}

/* --- holdfast.json. --- */

/* The settings must be right with it, before it is. */
static int try_settings(const struct importing *importing, struct error *why)
{
	struct settings *settings = calloc(1, sizeof(*settings));
	char path[PATH_MAX];
	struct settings_flags flags = {.config_file = path};
	int result;

	if (settings == NULL)
		return error_set(why, -ENOMEM, "There is no memory left.");
	if (snprintf(path, sizeof(path), "%s" CANDIDATE_SUFFIX, importing->file.path) >= (int)sizeof(path))
		result = error_set(why, -ENAMETOOLONG, "The path of holdfast.json is too long.");
	else
		result = relay_file_write(path, NULL, importing->text.bytes, importing->text.length, why);
	if (result == 0)
		result = settings_load(settings, &flags, environ, NULL, NULL, why);
	world_unlink(path);
	free(settings);
	return result;
}

static int open_settings(struct importing *importing, struct error *why)
{
	const struct settings *settings = importing->settings;
	char path[PATH_MAX];
	int result;

	text_copy(path, sizeof(path), settings_string(settings, settings->file));
	if (path[0] == '\0') {
		text_copy(path, sizeof(path) - sizeof("holdfast.json"),
		    settings_string(settings, settings->gateway.config_path));
		text_copy(strrchr(path, '/') + 1, sizeof("holdfast.json"), "holdfast.json");
	}
	result = relay_file_read(&importing->file, path, why);
	if (result == -ENOENT)
		return relay_text_set(&importing->text, "{\n}\n", 4);
	return result < 0 ? result
	                  : relay_text_set(&importing->text, importing->file.bytes, importing->file.length);
}

static int finish(struct importing *importing, struct error *why)
{
	int result;

	if (importing->written == 0) {
		printf("There is nothing to import.\n");
		return 0;
	}
	if (importing->dry_run) {
		relay_diff_print(importing->file.path,
		    importing->file.bytes != NULL ? importing->file.bytes : "", importing->text.bytes,
		    &importing->edits);
		printf("Nothing was changed (--dry-run).\n");
		return 0;
	}
	result = try_settings(importing, why);
	if (result == 0)
		result =
		    relay_file_replace(&importing->file, importing->text.bytes, importing->text.length, why);
	if (result == 0)
		printf("%s has them now. \"holdfast reload\" takes them up, \"holdfast relay enable\" lets "
		       "the gateway "
		       "use them.\n",
		    importing->file.path);
	return result;
}

int relay_import(const struct settings *settings, bool dry_run)
{
	struct importing *importing = calloc(1, sizeof(*importing));
	struct error why = {0};
	int result;

	if (importing == NULL) {
		complain("There is no memory left.");
		return EXIT_FAILED;
	}
	importing->settings = settings;
	importing->dry_run = dry_run;
	result = read_profiles(settings, &importing->profiles, &why);
	if (result == -ENOENT)
		error_set(&why, result,
		    "The gateway has no %s in its state directory, as OpenClaw 2026.2.1 would: a newer one "
		    "keeps its "
		    "credentials in a database. Write relay.providers into holdfast.json yourself "
		    "(holdfast.json(5)).",
		    PROFILES_PATH);
	if (result == 0) {
		relay_view_read(&importing->view, settings);
		result = open_settings(importing, &why);
		if (result == 0)
			result = import_all(importing, &why);
		if (result == 0)
			result = finish(importing, &why);
		release_profiles(&importing->profiles);
	}
	if (result < 0)
		complain("%s", why.text);
	relay_file_release(&importing->file);
	relay_text_release(&importing->text);
	free(importing);
	return result < 0 ? EXIT_FAILED : EXIT_DONE;
}
