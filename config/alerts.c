/* alerts: where events are sent to. */
#include <stdio.h>
#include <string.h>

#include "config/loader.h"

#define KINDS_MAX      16
#define KINDS_TEXT_MAX 1024

static bool is_format(const char *text)
{
	return strcmp(text, "json") == 0 || strcmp(text, "slack") == 0 || strcmp(text, "discord") == 0;
}

static bool is_severity(const char *text)
{
	return strcmp(text, "info") == 0 || strcmp(text, "warning") == 0 || strcmp(text, "error") == 0 ||
	       strcmp(text, "critical") == 0;
}

static bool is_kind(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz._-*");

	return length > 0 && length < 40 && text[length] == '\0';
}

/* The patterns become one text with commas between them. */
static int read_kinds(const struct members *members, settings_text *offset)
{
	static const char allowed[] = "a list of at most 16 kinds of events, such as [\"gateway.*\"]";
	const struct json_document *document = &members->origin.document->document;
	const struct json_value *list = json_find(document, members->object, "kinds");
	char shown[VALUE_SHOWN_MAX], subject[SUBJECT_MAX], data[KINDS_TEXT_MAX];
	struct origin here;
	struct text text;

	if (list == NULL)
		return 0;
	text_init(&text, data, sizeof(data));
	subject_key(subject, members->subject, "kinds");
	here = origin_at(&members->origin, list->place);
	if (list->type != JSON_ARRAY || list->children.count > KINDS_MAX)
		return loader_refuse(members->loader, &here, subject,
		    list->type == JSON_ARRAY ? "too long a list" : value_show(&members->origin, list, shown),
		    allowed);
	for (const struct json_value *item = json_first(document, list); item != NULL;
	     item = json_next(document, item)) {
		here = origin_at(&members->origin, item->place);
		if (item->type != JSON_STRING || strlen(item->string.bytes) != item->string.length ||
		    !is_kind(item->string.bytes))
			return loader_refuse(members->loader, &here, subject,
			    value_show(&members->origin, item, shown), allowed);
		text_addf(&text, "%s%s", text.length > 0 ? "," : "", item->string.bytes);
	}
	return loader_text(members->loader, data, text.length, offset);
}

static int read_alert(const struct members *members, struct settings_alert *alert)
{
	static const char *const names[] = {"url", "format", "kinds", "minSeverity", "secret", NULL};
	static const struct member_rule url = {.key = "url",
	    .is_allowed = is_url,
	    .required = true,
	    .secret = true,
	    .allowed = "an address that begins with \"https://\" or \"http://\" and names no user"};
	static const struct member_rule format = {
	    .key = "format", .is_allowed = is_format, .allowed = "\"json\", \"slack\" or \"discord\""};
	static const struct member_rule severity = {.key = "minSeverity",
	    .is_allowed = is_severity,
	    .allowed = "\"info\", \"warning\", \"error\" or \"critical\""};
	struct loader *loader = members->loader;
	int result = members_check(members, names);

	*alert = (struct settings_alert){0};
	if (result == 0)
		result = loader_text(loader, "json", 4, &alert->format);
	if (result == 0)
		result = loader_text(loader, "warning", 7, &alert->min_severity);
	if (result == 0)
		result = members_text(members, &url, &alert->url);
	if (result == 0)
		result = members_text(members, &format, &alert->format);
	if (result == 0)
		result = members_text(members, &severity, &alert->min_severity);
	if (result == 0)
		result = read_kinds(members, &alert->kinds);
	return result == 0 ? members_reference(members, "secret", false, NULL, &alert->secret) : result;
}

int alerts_from_json(struct loader *loader, const struct origin *origin, const struct json_value *list)
{
	const struct json_document *document = &origin->document->document;
	struct settings *settings = loader->settings;
	char shown[VALUE_SHOWN_MAX];
	uint32_t count = 0;

	if (list->type != JSON_ARRAY || list->children.count > SETTINGS_ALERTS_MAX)
		return loader_refuse(loader, origin, "alerts",
		    list->type == JSON_ARRAY ? "too long a list" : value_show(origin, list, shown),
		    "a list of at most 16 objects, such as [{ url: \"https://...\", format: \"slack\" }]");
	for (const struct json_value *item = json_first(document, list); item != NULL;
	     item = json_next(document, item)) {
		struct members members = {
		    .loader = loader, .origin = origin_at(origin, item->place), .object = item};
		int result;

		subject_index(members.subject, "alerts", count);
		result = read_alert(&members, &settings->alerts[count]);
		if (result < 0)
			return result;
		count++;
	}
	settings->alert_count = count;
	return 0;
}
