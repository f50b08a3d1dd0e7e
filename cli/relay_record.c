#include "cli/relay_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/relay_file.h"
#include "format/json_write.h"
#include "world/world.h"

#define NAME       "relay-enabled.json"
#define VERSION    1
#define RECORD_MAX (RELAY_EDITS_MAX * (2 * RELAY_TEXT_BYTES + 512) + 16 * 1024)

static int place(const struct settings *settings, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/" NAME, settings_string(settings, settings->state_dir)) < PATH_MAX
	           ? 0
	           : -ENAMETOOLONG;
}

static bool take_text(const struct json_document *document, const struct json_value *object, const char *key,
    char *target, size_t size)
{
	const struct json_value *value = json_find(document, object, key);

	return value != NULL && value->type == JSON_STRING &&
	       strlen(value->string.bytes) == value->string.length &&
	       text_copy(target, size, value->string.bytes);
}

static uint64_t take_hash(
    const struct json_document *document, const struct json_value *object, const char *key)
{
	char text[24], *end;
	uint64_t hash;

	if (!take_text(document, object, key, text, sizeof(text)))
		return 0;
	hash = strtoull(text, &end, 16);
	return *end == '\0' ? hash : 0;
}

static bool take_edit(
    const struct json_document *document, const struct json_value *object, struct relay_edit *edit)
{
	const struct json_value *path = json_find(document, object, "path");
	const struct json_value *before = json_find(document, object, "before");

	*edit = (struct relay_edit){0};
	if (path == NULL || path->type != JSON_ARRAY || path->children.count > RELAY_KEYS_MAX ||
	    before == NULL)
		return false;
	for (const struct json_value *key = json_first(document, path); key != NULL;
	     key = json_next(document, key))
		if (key->type != JSON_STRING ||
		    !text_copy(edit->keys[edit->depth++], RELAY_KEY_BYTES, key->string.bytes))
			return false;
	edit->inserted = before->type == JSON_NULL;
	return (edit->inserted ||
	           take_text(document, object, "before", edit->before, sizeof(edit->before))) &&
	       (!edit->inserted || edit->depth > 0) &&
	       take_text(document, object, "after", edit->after, sizeof(edit->after));
}

static bool take(struct relay_record *record, const struct json_document *document)
{
	const struct json_value *root = json_root(document);
	const struct json_value *edits = json_find(document, root, "edits");
	const struct json_value *providers = json_find(document, root, "providers");

	if (!take_text(document, root, "file", record->file, sizeof(record->file)) || edits == NULL ||
	    edits->type != JSON_ARRAY || edits->children.count > RELAY_EDITS_MAX || providers == NULL ||
	    providers->type != JSON_OBJECT)
		return false;
	record->before = take_hash(document, root, "before");
	record->after = take_hash(document, root, "after");
	for (const struct json_value *edit = json_first(document, edits); edit != NULL;
	     edit = json_next(document, edit))
		if (!take_edit(document, edit, &record->edits.list[record->edits.count++]))
			return false;
	for (const struct json_value *member = json_first(document, providers); member != NULL;
	     member = json_next(document, member))
		if (member->type == JSON_STRING)
			relay_record_add(record, member->key, member->string.bytes);
	return true;
}

int relay_record_read(struct relay_record *record, const struct settings *settings, struct error *why)
{
	struct source source;
	char path[PATH_MAX];
	int result = place(settings, path);

	memset(record, 0, sizeof(*record));
	if (result == 0)
		result = source_read(&source, path, why);
	if (result < 0)
		return result;
	if (!take(record, &source.document)) {
		memset(record, 0, sizeof(*record));
		result = -ENOENT;
	}
	source_release(&source);
	return result;
}

static void write_hash(struct text *text, const char *key, uint64_t hash)
{
	char number[24];

	snprintf(number, sizeof(number), "%016" PRIx64, hash);
	json_write_key(text, key);
	json_write_string(text, number);
}

static void write_edit(struct text *text, const struct relay_edit *edit)
{
	json_write_begin(text, '{');
	json_write_key(text, "path");
	json_write_begin(text, '[');
	for (int i = 0; i < edit->depth; i++)
		json_write_string(text, edit->keys[i]);
	json_write_end(text, ']');
	json_write_key(text, "before");
	json_write_string(text, edit->inserted ? NULL : edit->before);
	json_write_key(text, "after");
	json_write_string(text, edit->after);
	json_write_end(text, '}');
}

static void write_all(struct text *text, const struct relay_record *record)
{
	json_write_begin(text, '{');
	json_write_key(text, "version");
	json_write_integer(text, VERSION);
	json_write_key(text, "file");
	json_write_string(text, record->file);
	write_hash(text, "before", record->before);
	write_hash(text, "after", record->after);
	json_write_key(text, "providers");
	json_write_begin(text, '{');
	for (int i = 0; i < record->count; i++) {
		json_write_key(text, record->providers[i].id);
		json_write_string(text, record->providers[i].direct);
	}
	json_write_end(text, '}');
	json_write_key(text, "edits");
	json_write_begin(text, '[');
	for (int i = 0; i < record->edits.count; i++)
		write_edit(text, &record->edits.list[i]);
	json_write_end(text, ']');
	json_write_end(text, '}');
	text_add(text, "\n");
}

int relay_record_write(const struct relay_record *record, const struct settings *settings, struct error *why)
{
	char path[PATH_MAX], *data = malloc(RECORD_MAX);
	struct text text;
	int result = place(settings, path);

	if (data == NULL)
		return error_set(why, -ENOMEM, "There is no memory left.");
	text_init(&text, data, RECORD_MAX);
	write_all(&text, record);
	if (result == 0 && text.truncated)
		result = -EFBIG;
	if (result < 0)
		error_set(why, result, "What is changed cannot be written down: %s.", strerror(-result));
	else if (world_mkdir(settings_string(settings, settings->state_dir), 0700) < 0 && errno != EEXIST)
		result = error_set(why, -errno, "%.300s cannot be made: %s.",
		    settings_string(settings, settings->state_dir), strerror(errno));
	else
		result = relay_file_write(path, NULL, text.data, text.length, why);
	free(data);
	return result;
}

void relay_record_remove(const struct settings *settings)
{
	char path[PATH_MAX];

	if (place(settings, path) == 0)
		world_unlink(path);
}

void relay_record_add(struct relay_record *record, const char *id, const char *direct)
{
	int at = 0;

	while (at < record->count && strcmp(record->providers[at].id, id) != 0)
		at++;
	if (at == SETTINGS_PROVIDERS_MAX)
		return;
	if (text_copy(record->providers[at].id, RELAY_KEY_BYTES, id) &&
	    text_copy(record->providers[at].direct, RELAY_DIRECT_BYTES, direct) && at == record->count)
		record->count++;
}
