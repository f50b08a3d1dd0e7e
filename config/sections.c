/* Objects of settings: every key is known, and goes to where the schema says. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/loader.h"

static int walk(
    struct loader *loader, const struct origin *origin, const struct json_value *object, const char *section);

bool subject_index(char subject[SUBJECT_MAX], const char *parent, uint32_t index)
{
	return snprintf(subject, SUBJECT_MAX, "%s[%u]", parent, index) < SUBJECT_MAX;
}

bool subject_key(char subject[SUBJECT_MAX], const char *parent, const char *key)
{
	return snprintf(subject, SUBJECT_MAX, "%s%s%s", parent, *parent != '\0' ? "." : "", key) <
	       SUBJECT_MAX;
}

/* The part of `path` that follows `section`, up to the next dot, as *length bytes; NULL: it lies elsewhere.
 */
static const char *part_in(const char *path, const char *section, size_t *length)
{
	size_t skip = strlen(section);

	if (skip > 0) {
		if (strncmp(path, section, skip) != 0 || path[skip] != '.')
			return NULL;
		skip++;
	}
	*length = strcspn(path + skip, ".");
	return path + skip;
}

static bool is_known(const struct json_value *member, const char *section)
{
	for (size_t i = 0; i < schema_count; i++) {
		size_t length;
		const char *part = part_in(schema[i].path, section, &length);

		if (part != NULL && length == member->key_length && memcmp(part, member->key, length) == 0)
			return true;
	}
	return false;
}

static void list_keys(const char *section, struct text *text)
{
	size_t length, last_length = 0;
	const char *last = "";

	for (size_t i = 0; i < schema_count; i++) {
		const char *part = part_in(schema[i].path, section, &length);

		if (part == NULL || (length == last_length && memcmp(part, last, length) == 0))
			continue;
		text_addf(text, "%s%.*s", last_length > 0 ? ", " : "", (int)length, part);
		last = part;
		last_length = length;
	}
}

static int refuse_unknown(
    struct loader *loader, const struct origin *origin, const struct json_value *member, const char *section)
{
	char path[SUBJECT_MAX], nearest[SETTING_VARIABLE_MAX], shown[VALUE_SHOWN_MAX], data[ERROR_TEXT_MAX];
	struct json_value key = {.type = JSON_STRING, .string = {member->key, member->key_length}};
	struct origin here = origin_at(origin, member->key_place);
	struct text keys;

	value_show(origin, &key, shown);
	text_init(&keys, data, sizeof(data));
	list_keys(section, &keys);
	if (subject_key(path, section, member->key) && schema_nearest(path, nearest) != NULL)
		return loader_fail(loader, &here, "There is no setting %s%s%s; did you mean \"%s\"?", shown,
		    *section != '\0' ? " in " : "", section, nearest);
	return loader_fail(loader, &here, "There is no setting %s%s%s; there are %s.", shown,
	    *section != '\0' ? " in " : "", section, data);
}

static int take(
    struct loader *loader, const struct origin *origin, const struct json_value *value, const char *path)
{
	const struct setting *setting = schema_find(path);
	struct origin here = origin_at(origin, value->place);
	char shown[VALUE_SHOWN_MAX];

	if (setting != NULL)
		return value_from_json(loader, setting, &here, value);
	if (value->type != JSON_OBJECT)
		return loader_refuse(
		    loader, &here, path, value_show(origin, value, shown), "an object with settings");
	return walk(loader, origin, value, path);
}

static int walk(
    struct loader *loader, const struct origin *origin, const struct json_value *object, const char *section)
{
	const struct json_document *document = &origin->document->document;
	const char *last = "";
	size_t length, last_length = 0;
	int result;

	for (const struct json_value *member = json_first(document, object); member != NULL;
	     member = json_next(document, member))
		if (!is_known(member, section))
			return refuse_unknown(loader, origin, member, section);
	/* By the schema and not by the members: of duplicates the last counts, as in JavaScript. */
	for (size_t i = 0; i < schema_count; i++) {
		const char *part = part_in(schema[i].path, section, &length);
		const struct json_value *value;
		char key[SETTING_VARIABLE_MAX], path[SUBJECT_MAX];

		if (part == NULL || (length == last_length && memcmp(part, last, length) == 0))
			continue;
		last = part;
		last_length = length;
		snprintf(key, sizeof(key), "%.*s", (int)length, part);
		value = json_find(document, object, key);
		subject_key(path, section, key);
		result = value != NULL ? take(loader, origin, value, path) : 0;
		if (result < 0)
			return result;
	}
	return 0;
}

int section_from_json(struct loader *loader, const struct origin *origin, const struct json_value *object)
{
	struct origin here = origin_at(origin, object->place);
	char shown[VALUE_SHOWN_MAX];

	if (object->type != JSON_OBJECT)
		return loader_refuse(loader, &here, "This", value_show(origin, object, shown),
		    "an object with settings: { ... }");
	return walk(loader, origin, object, "");
}

static bool is_other(const char *name)
{
	for (size_t i = 0; schema_other_variables[i] != NULL; i++)
		if (strcmp(schema_other_variables[i], name) == 0)
			return true;
	return false;
}

int section_from_variable(
    struct loader *loader, const struct origin *origin, const char *name, const char *text)
{
	const struct setting *setting = schema_find_variable(name);
	struct origin here = *origin;
	char nearest[SETTING_VARIABLE_MAX];

	here.name = name;
	if (setting != NULL)
		return *text != '\0' ? value_from_text(loader, setting, &here, text) : 0;
	if (is_other(name) && origin->source == NULL)
		return 0;
	if (is_other(name))
		return loader_fail(loader, origin,
		    "%s has no effect here: set it in the environment of Holdfast itself.", name);
	if (schema_nearest_variable(name, nearest) != NULL)
		return loader_fail(
		    loader, origin, "There is no variable %.100s; did you mean %s?", name, nearest);
	return loader_fail(loader, origin,
	    "There is no variable %.100s: unset it; holdfast.json(5) lists those there are.", name);
}
