#include "cli/relay_view.h"

#include <string.h>

#include "base/text.h"

static struct relay_provider *find(struct relay_view *view, const char *id)
{
	for (int i = 0; i < view->count; i++)
		if (strcmp(view->list[i].id, id) == 0)
			return &view->list[i];
	return NULL;
}

const struct relay_provider *relay_view_find(const struct relay_view *view, const char *id)
{
	for (int i = 0; i < view->count; i++)
		if (strcmp(view->list[i].id, id) == 0)
			return &view->list[i];
	return NULL;
}

static void take_text(char *target, size_t size, const struct json_value *value)
{
	if (value->type == JSON_STRING && !text_copy(target, size, value->string.bytes))
		target[0] = '\0';
}

/* Objects are merged: what a later one does not say stays. */
static void take_entry(
    struct relay_provider *provider, const struct json_document *document, const struct json_value *entry)
{
	for (const struct json_value *member = json_first(document, entry); member != NULL;
	     member = json_next(document, member)) {
		if (json_key_is(member, "baseUrl"))
			take_text(provider->address, sizeof(provider->address), member);
		else if (json_key_is(member, "api"))
			take_text(provider->api, sizeof(provider->api), member);
		provider->has_key |= json_key_is(member, "apiKey");
		provider->has_models |= json_key_is(member, "models");
		provider->has_timeout |= json_key_is(member, "timeoutSeconds");
	}
}

static int see_entry(struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	struct relay_view *view = (struct relay_view *)openclaw;

	take_entry(view->current, &origin->source->document, value);
	return 0;
}

static int see_providers(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	struct relay_view *view = (struct relay_view *)openclaw;
	const struct json_document *document = &origin->source->document;

	for (const struct json_value *entry = json_first(document, value); entry != NULL;
	     entry = json_next(document, entry)) {
		struct relay_provider *provider;

		if (entry->key == NULL || strlen(entry->key) != entry->key_length || entry->key[0] == '$' ||
		    find(view, entry->key) != NULL || view->count == RELAY_VIEW_MAX)
			continue;
		provider = &view->list[view->count];
		*provider = (struct relay_provider){0};
		if (text_copy(provider->id, sizeof(provider->id), entry->key))
			view->count++;
	}
	return 0;
}

static int see_auth_profiles(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	struct relay_view *view = (struct relay_view *)openclaw;
	const struct json_document *document = &origin->source->document;

	for (const struct json_value *profile = json_first(document, value); profile != NULL;
	     profile = json_next(document, profile)) {
		const struct json_value *name = json_find(document, profile, "provider");
		struct relay_provider *provider =
		    name != NULL && name->type == JSON_STRING ? find(view, name->string.bytes) : NULL;

		if (provider != NULL)
			provider->has_profile = true;
	}
	return 0;
}

/* Those that Holdfast knows and the gateway has built in have no entry: they are listed as well. */
static void add_known(struct relay_view *view, const struct settings *settings)
{
	for (uint32_t i = 0; i < settings->relay.provider_count; i++) {
		const char *name = settings_string(settings, settings->relay.providers[i].name);

		if (find(view, name) != NULL || view->count == RELAY_VIEW_MAX)
			continue;
		view->list[view->count] = (struct relay_provider){0};
		text_copy(view->list[view->count].id, sizeof(view->list[0].id), name);
		view->count++;
	}
}

void relay_view_read(struct relay_view *view, const struct settings *settings)
{
	static const char *const providers[] = {"models", "providers", NULL};
	static const char *const profiles[] = {"auth", "profiles", NULL};

	memset(view, 0, sizeof(*view));
	view->openclaw.loader = &view->loader;
	text_copy(view->openclaw.config_path, sizeof(view->openclaw.config_path),
	    settings_string(settings, settings->gateway.config_path));
	openclaw_read_files(&view->openclaw);
	openclaw_visit(&view->openclaw, providers, see_providers);
	add_known(view, settings);
	for (int i = 0; i < view->count; i++) {
		const char *const path[] = {"models", "providers", view->list[i].id, NULL};

		view->current = &view->list[i];
		openclaw_visit(&view->openclaw, path, see_entry);
	}
	openclaw_visit(&view->openclaw, profiles, see_auth_profiles);
	openclaw_release(&view->openclaw);
}

const char *relay_view_stays_direct(const char *id, const char *api)
{
	static const struct {
		const char *id, *api; /* parts of them */
		const char *why;
	} reasons[] = {
	    {"bedrock", "bedrock", "signs its requests for the host that they go to"},
	    {"vertex", "vertex", "takes its credential from Google's own library, for Google's own host"},
	    {"google", "google", "sends its key in a way that the relay does not replace"},
	    {"azure", "azure", "has its deployment and its credential in the host that its requests go to"},
	    {"github-copilot", "github-copilot", "is told its host by the service, with each token"},
	    {"openai-codex", "openai-codex", "uses a login and a transport of its own"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strstr(id, reasons[i].id) != NULL || strstr(api, reasons[i].api) != NULL)
			return reasons[i].why;
	return NULL;
}
