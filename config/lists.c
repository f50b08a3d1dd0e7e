/* gateway.command, health.command and gateway.env, and what the objects in lists have in common. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/loader.h"
#include "config/paths.h"

#define LIST_TEXT_MAX (32 * 1024)
#define URL_MAX       2048

bool is_name(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@-");

	return length > 0 && length <= 64 && text[length] == '\0';
}

static bool is_variable_name(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return length > 0 && length <= 128 && text[length] == '\0' && (*text < '0' || *text > '9');
}

bool is_url(const char *text)
{
	const char *scheme = strncmp(text, "https://", 8) == 0 ? "https://" : "http://";
	const char *host = text + strlen(scheme);

	if (strncmp(text, scheme, strlen(scheme)) != 0 || strlen(text) > URL_MAX ||
	    strchr("/?#", *host) != NULL || memchr(host, '@', strcspn(host, "/?#")) != NULL)
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	return true;
}

static bool is_plain_text(const struct json_value *value)
{
	return value->type == JSON_STRING && value->string.length < LIST_TEXT_MAX &&
	       memchr(value->string.bytes, '\0', value->string.length) == NULL;
}

static const char *allowed_arguments(const struct setting *setting)
{
	return setting->min == 0
	           ? "a list of at most 64 texts, such as [\"curl\", \"-f\", \"http://127.0.0.1:8080/\"]"
	           : "a list of 1 to 64 texts, such as [\"openclaw\", \"gateway\", \"run\"]";
}

static int arguments_from_json(struct loader *loader, const struct setting *setting,
    const struct origin *origin, const struct json_value *list)
{
	const char *allowed = allowed_arguments(setting);
	const struct json_document *document = &origin->document->document;
	char shown[VALUE_SHOWN_MAX], subject[SUBJECT_MAX];
	uint32_t *length, count = 0;
	settings_text *arguments = setting_arguments(loader->settings, setting, &length);

	if (list->type != JSON_ARRAY || list->children.count < setting->min ||
	    list->children.count > SETTINGS_ARGUMENTS_MAX)
		return loader_refuse(loader, origin, setting->path,
		    list->type == JSON_ARRAY ? list->children.count == 0 ? "an empty list" : "too long a list"
		                             : value_show(origin, list, shown),
		    allowed);
	for (const struct json_value *item = json_first(document, list); item != NULL;
	     item = json_next(document, item)) {
		struct origin here = origin_at(origin, item->place);

		if (!is_plain_text(item) || (count == 0 && item->string.length == 0)) {
			subject_index(subject, setting->path, count);
			return loader_refuse(loader, &here, subject, value_show(origin, item, shown),
			    count == 0 ? "text that names a program" : "text without a NUL in it");
		}
		if (loader_text(loader, item->string.bytes, item->string.length, &arguments[count]) < 0)
			return loader->why->code;
		count++;
	}
	*length = count;
	return 0;
}

static int variable_from_json(struct loader *loader, const struct origin *origin,
    const struct json_value *member, settings_text *target)
{
	struct origin here = origin_at(origin, member->key_place);
	struct json_value key = {.type = JSON_STRING, .string = {member->key, member->key_length}};
	char shown[VALUE_SHOWN_MAX], subject[SUBJECT_MAX], pair[LIST_TEXT_MAX + SUBJECT_MAX + 2];

	if (strlen(member->key) != member->key_length || !is_variable_name(member->key))
		return loader_refuse(loader, &here, "A name in gateway.env", value_show(origin, &key, shown),
		    "letters, digits and \"_\", as variables have");
	if (!is_plain_text(member)) {
		here = origin_at(origin, member->place);
		subject_key(subject, "gateway.env", member->key);
		/* Not shown: what is in a variable may be a secret. */
		return loader_refuse(loader, &here, subject, NULL, "text");
	}
	snprintf(pair, sizeof(pair), "%s=%s", member->key, member->string.bytes);
	return loader_text(loader, pair, strlen(pair), target);
}

static int variables_from_json(
    struct loader *loader, const struct origin *origin, const struct json_value *object)
{
	const struct json_document *document = &origin->document->document;
	struct settings *settings = loader->settings;
	char shown[VALUE_SHOWN_MAX];
	uint32_t count = 0;

	if (object->type != JSON_OBJECT || object->children.count > SETTINGS_VARIABLES_MAX)
		return loader_refuse(loader, origin, "gateway.env",
		    object->type == JSON_OBJECT ? "too long" : value_show(origin, object, shown),
		    "an object with at most 64 texts, such as { NODE_ENV: \"production\" }");
	for (const struct json_value *member = json_first(document, object); member != NULL;
	     member = json_next(document, member)) {
		int result;

		/* Of duplicates the last counts. */
		if (json_find(document, object, member->key) != member &&
		    strlen(member->key) == member->key_length)
			continue;
		result = variable_from_json(loader, origin, member, &settings->gateway.variables[count]);
		if (result < 0)
			return result;
		count++;
	}
	settings->gateway.variable_count = count;
	return 0;
}

int list_from_json(struct loader *loader, const struct setting *setting, const struct origin *origin,
    const struct json_value *value)
{
	int result;

	/* What loses is read too, for its mistakes, but into a copy that is thrown away. */
	static struct settings discarded;
	struct settings *kept = loader->settings;
	bool wins = loader_wins(loader, setting, origin);

	if (!wins) {
		discarded.pool_used = 1;
		loader->settings = &discarded;
	}
	switch (setting->type) {
	case SETTING_ARGUMENTS:
		result = arguments_from_json(loader, setting, origin, value);
		break;
	case SETTING_VARIABLES:
		result = variables_from_json(loader, origin, value);
		break;
	case SETTING_PROVIDERS:
		result = providers_from_json(loader, origin, value);
		break;
	case SETTING_SESSIONS:
		result = session_rules_from_json(loader, origin, value);
		break;
	default:
		result = alerts_from_json(loader, origin, value);
	}
	loader->settings = kept;
	return result < 0 || !wins ? result : loader_took(loader, setting, origin);
}

/* --- Objects in lists. --- */

int members_check(const struct members *members, const char *const *names)
{
	const struct json_document *document = &members->origin.document->document;
	struct loader *loader = members->loader;
	char shown[VALUE_SHOWN_MAX], keys[SUBJECT_MAX];
	struct text text;

	if (members->object->type != JSON_OBJECT)
		return loader_refuse(loader, &members->origin, members->subject,
		    value_show(&members->origin, members->object, shown), "an object");
	text_init(&text, keys, sizeof(keys));
	for (size_t i = 0; names[i] != NULL; i++)
		text_addf(&text, "%s%s", i > 0 ? ", " : "", names[i]);
	for (const struct json_value *member = json_first(document, members->object); member != NULL;
	     member = json_next(document, member)) {
		struct json_value key = {.type = JSON_STRING, .string = {member->key, member->key_length}};
		struct origin here = origin_at(&members->origin, member->key_place);
		const char *nearest = schema_nearest_of(names, member->key);
		size_t i = 0;

		while (names[i] != NULL && !json_key_is(member, names[i]))
			i++;
		if (names[i] != NULL)
			continue;
		value_show(&members->origin, &key, shown);
		if (nearest != NULL)
			return loader_fail(loader, &here,
			    "There is no setting %s in %s; did you mean \"%s\"?", shown, members->subject,
			    nearest);
		return loader_fail(loader, &here, "There is no setting %s in %s; there are %s.", shown,
		    members->subject, keys);
	}
	return 0;
}

int members_text(const struct members *members, const struct member_rule *rule, settings_text *offset)
{
	const struct json_value *value =
	    json_find(&members->origin.document->document, members->object, rule->key);
	struct loader *loader = members->loader;
	char shown[VALUE_SHOWN_MAX], subject[SUBJECT_MAX];
	struct origin here;

	if (value == NULL && rule->required)
		return loader_fail(loader, &members->origin, "%s has no \"%s\": it must be %s.",
		    members->subject, rule->key, rule->allowed);
	if (value == NULL)
		return 0;
	here = origin_at(&members->origin, value->place);
	subject_key(subject, members->subject, rule->key);
	if (!is_plain_text(value) || !rule->is_allowed(value->string.bytes))
		return loader_refuse(loader, &here, subject,
		    rule->secret ? NULL : value_show(&members->origin, value, shown), rule->allowed);
	return loader_text(loader, value->string.bytes, value->string.length, offset);
}

int members_number(const struct members *members, const char *key, const struct setting *like, int64_t *value)
{
	const struct json_value *member =
	    json_find(&members->origin.document->document, members->object, key);
	char shown[VALUE_SHOWN_MAX], subject[SUBJECT_MAX], data[ERROR_TEXT_MAX];
	struct text allowed;
	struct origin here;

	*value = 0;
	if (member == NULL || value_is_whole(like, member, value))
		return 0;
	text_init(&allowed, data, sizeof(data));
	setting_allowed(like, &allowed);
	subject_key(subject, members->subject, key);
	here = origin_at(&members->origin, member->place);
	return loader_refuse(
	    members->loader, &here, subject, value_show(&members->origin, member, shown), data);
}

static bool is_reference(const char *text)
{
	if (strncmp(text, "env:", 4) == 0)
		return is_variable_name(text + 4);
	return strncmp(text, "file:", 5) == 0 && (text[5] == '/' || strncmp(text + 5, "~/", 2) == 0) &&
	       strlen(text) < PATH_MAX;
}

int members_reference(
    const struct members *members, const char *key, bool required, const char *allowed, settings_text *offset)
{
	const struct member_rule rule = {.key = key,
	    .is_allowed = is_reference,
	    .required = required,
	    .secret = true,
	    .allowed = allowed != NULL ? allowed
	                               : "a reference to a secret and not the secret itself: \"env:NAME\" or "
	                                 "\"file:/PATH\""};
	struct loader *loader = members->loader;
	char path[PATH_MAX], reference[PATH_MAX + 8];
	const char *text;
	int result = members_text(members, &rule, offset);

	text = settings_string(loader->settings, *offset);
	if (result < 0 || strncmp(text, "file:", 5) != 0)
		return result;
	if (paths_resolve(loader->home, NULL, text + 5, path) < 0)
		return loader_fail(
		    loader, &members->origin, "The path in %s.%s is too long.", members->subject, key);
	snprintf(reference, sizeof(reference), "file:%s", path);
	return loader_text(loader, reference, strlen(reference), offset);
}
