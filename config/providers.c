/* relay.providers: the language model providers and the profiles the relay fails over between. */
#include <stdio.h>
#include <string.h>

#include "config/loader.h"

static const char name_allowed[] = "1 to 64 letters, digits and \".\", \"_\", \":\", \"@\" or \"-\"";

static const struct member_rule base_url_rule = {.key = "baseUrl",
    .is_allowed = is_url,
    .allowed = "an address that begins with \"https://\" or \"http://\" and names no user"};

static bool is_rotation(const char *text)
{
	static const char *const names[] = {"auto", "off", "401", "402", "403", "429", NULL};

	for (const char *const *name = names; *name != NULL; name++)
		if (strcmp(*name, text) == 0)
			return true;
	return false;
}

/* "gateway", a command, or a reference as others are. */
static bool is_own_key(const char *text)
{
	return strcmp(text, "gateway") == 0 || (strncmp(text, "exec:/", 6) == 0 && strlen(text) < 1024);
}

static int read_key(const struct members *members, settings_text *offset)
{
	const struct json_document *document = &members->origin.document->document;
	const struct json_value *value = json_find(document, members->object, "key");

	if (value != NULL && value->type == JSON_STRING &&
	    strlen(value->string.bytes) == value->string.length && is_own_key(value->string.bytes))
		return loader_text(members->loader, value->string.bytes, value->string.length, offset);
	return members_reference(members, "key", true,
	    "a reference and not the key itself: \"env:NAME\", \"file:/PATH\" or \"exec:/PROGRAM "
	    "ARGUMENTS\"; or "
	    "\"gateway\", to leave the one that the gateway sends",
	    offset);
}

static int read_profile(
    const struct members *members, const struct settings_provider *provider, struct settings_profile *profile)
{
	static const char *const names[] = {"id", "key", "baseUrl", "rotate", NULL};
	static const struct member_rule rotate = {.key = "rotate",
	    .is_allowed = is_rotation,
	    .allowed =
	        "\"auto\", \"off\", or the status to answer with: \"401\", \"402\", \"403\" or \"429\""};
	static const struct member_rule id = {
	    .key = "id", .is_allowed = is_name, .required = true, .allowed = name_allowed};
	const struct settings *settings = members->loader->settings;
	int result = members_check(members, names);

	*profile = (struct settings_profile){0};
	if (result == 0)
		result = members_text(members, &id, &profile->id);
	for (uint32_t i = 0; result == 0 && i < provider->profile_count; i++)
		if (strcmp(settings_string(settings, provider->profiles[i].id),
		        settings_string(settings, profile->id)) == 0)
			result = loader_fail(members->loader, &members->origin,
			    "%s has the id \"%s\", which another profile has already.", members->subject,
			    settings_string(settings, profile->id));
	if (result == 0)
		result = members_text(members, &base_url_rule, &profile->base_url);
	if (result == 0)
		result = members_text(members, &rotate, &profile->rotate);
	return result == 0 ? read_key(members, &profile->key) : result;
}

static int read_profiles(const struct members *members, struct settings_provider *provider)
{
	static const char allowed[] =
	    "a list of 1 to 16 objects, such as [{ id: \"work\", key: \"env:ANTHROPIC_KEY_WORK\" }]";
	const struct json_document *document = &members->origin.document->document;
	const struct json_value *list = json_find(document, members->object, "profiles");
	char shown[VALUE_SHOWN_MAX], subject[SUBJECT_MAX];
	struct origin here;

	if (list == NULL)
		return loader_fail(members->loader, &members->origin,
		    "%s has no \"profiles\": it must be %s.", members->subject, allowed);
	subject_key(subject, members->subject, "profiles");
	here = origin_at(&members->origin, list->place);
	if (list->type != JSON_ARRAY || list->children.count == 0 ||
	    list->children.count > SETTINGS_PROFILES_MAX)
		return loader_refuse(members->loader, &here, subject,
		    list->type != JSON_ARRAY    ? value_show(&members->origin, list, shown)
		    : list->children.count == 0 ? "an empty list"
		                                : "too long a list",
		    allowed);
	provider->profile_count = 0;
	for (const struct json_value *item = json_first(document, list); item != NULL;
	     item = json_next(document, item)) {
		struct members profile = {.loader = members->loader,
		    .origin = origin_at(&members->origin, item->place),
		    .object = item};
		int result;

		subject_index(profile.subject, subject, provider->profile_count);
		result = read_profile(&profile, provider, &provider->profiles[provider->profile_count]);
		if (result < 0)
			return result;
		provider->profile_count++;
	}
	return 0;
}

static int read_provider(const struct members *members, struct settings_provider *provider)
{
	static const char *const names[] = {"api", "baseUrl", "profiles", NULL};
	static const struct member_rule api = {.key = "api",
	    .is_allowed = is_name,
	    .required = true,
	    .allowed = "the name of its interface, such as \"anthropic-messages\" or \"openai-completions\""};
	struct member_rule base_url = base_url_rule;
	int result = members_check(members, names);

	base_url.required = true;
	if (result == 0)
		result = members_text(members, &api, &provider->api);
	if (result == 0)
		result = members_text(members, &base_url, &provider->base_url);
	return result == 0 ? read_profiles(members, provider) : result;
}

int providers_from_json(struct loader *loader, const struct origin *origin, const struct json_value *object)
{
	const struct json_document *document = &origin->document->document;
	struct settings *settings = loader->settings;
	char shown[VALUE_SHOWN_MAX];
	uint32_t count = 0;

	if (object->type != JSON_OBJECT || object->children.count > SETTINGS_PROVIDERS_MAX)
		return loader_refuse(loader, origin, "relay.providers",
		    object->type == JSON_OBJECT ? "too long" : value_show(origin, object, shown),
		    "an object with at most 8 providers");
	for (const struct json_value *member = json_first(document, object); member != NULL;
	     member = json_next(document, member)) {
		struct members members = {
		    .loader = loader, .origin = origin_at(origin, member->place), .object = member};
		struct json_value key = {.type = JSON_STRING, .string = {member->key, member->key_length}};
		struct settings_provider *provider = &settings->relay.providers[count];
		struct origin here = origin_at(origin, member->key_place);
		int result;

		if (strlen(member->key) != member->key_length || !is_name(member->key))
			return loader_refuse(loader, &here, "A name in relay.providers",
			    value_show(origin, &key, shown), name_allowed);
		if (json_find(document, object, member->key) != member)
			continue;
		*provider = (struct settings_provider){0};
		subject_key(members.subject, "relay.providers", member->key);
		result = loader_text(loader, member->key, member->key_length, &provider->name);
		if (result == 0)
			result = read_provider(&members, provider);
		if (result < 0)
			return result;
		count++;
	}
	settings->relay.provider_count = count;
	return 0;
}
