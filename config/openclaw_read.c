/* Reading openclaw.json with its includes. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config/openclaw.h"
#include "config/paths.h"

#define INCLUDE_DEPTH_MAX  10
#define VISITS_MAX         (4u * 1024 * 1024)
#define INCLUDE_COST       4096u /* in visits */
#define INCLUDED_BYTES_MAX ((size_t)2 * 1024 * 1024)

typedef openclaw_visitor visit;

/* --- The files. --- */

static const struct source *find_file(const struct openclaw *openclaw, const char *path)
{
	for (uint32_t i = 0; i < openclaw->watched_count; i++)
		if (strcmp(openclaw->watched[i], path) == 0)
			return &openclaw->files[i];
	return NULL;
}

/* A file that cannot be read is watched all the same: the gateway may start once it is mended. */
static void read_file(struct openclaw *openclaw, const char *path)
{
	uint32_t index = openclaw->watched_count;
	struct error why;
	int result;

	if (index == SETTINGS_WATCHED_MAX || openclaw->bytes_read > INCLUDED_BYTES_MAX) {
		loader_remark(openclaw->loader, "%.300s is not read: openclaw.json includes too much.", path);
		return;
	}
	text_copy(openclaw->watched[index], PATH_MAX, path);
	openclaw->watched_count++;
	result = source_read(&openclaw->files[index], path, &why);
	if (result == 0)
		openclaw->bytes_read += openclaw->files[index].length;
	else if (result == -ENOENT && index == 0)
		loader_remark(openclaw->loader,
		    "There is no %.300s: OpenClaw will not start before it is set up.", path);
	else
		loader_remark(openclaw->loader, "OpenClaw will refuse its configuration: %s", why.text);
}

static bool include_path(const struct source *source, const struct json_value *name, char path[PATH_MAX])
{
	char directory[PATH_MAX];

	if (name->type != JSON_STRING || name->string.length == 0 ||
	    strlen(name->string.bytes) != name->string.length)
		return false;
	text_copy(directory, sizeof(directory), source->path);
	*strrchr(directory, '/') = '\0';
	return paths_resolve(NULL, directory, name->string.bytes, path) == 0;
}

/* Reads what one "$include" names: a file or a list of files. */
static void read_includes(
    struct openclaw *openclaw, const struct source *source, const struct json_value *include)
{
	const struct json_value *name =
	    include->type == JSON_ARRAY ? json_first(&source->document, include) : include;
	char path[PATH_MAX];

	for (; name != NULL; name = include->type == JSON_ARRAY ? json_next(&source->document, name) : NULL)
		if (include_path(source, name, path) && find_file(openclaw, path) == NULL &&
		    openclaw->watched_count < SETTINGS_WATCHED_MAX)
			read_file(openclaw, path);
}

/* Every object may hold an "$include"; files found on the way are looked through in their turn. */
void openclaw_read_files(struct openclaw *openclaw)
{
	read_file(openclaw, openclaw->config_path);
	for (uint32_t i = 0; i < openclaw->watched_count; i++) {
		const struct source *source = &openclaw->files[i];

		for (uint32_t j = 0; j < source->document.value_count; j++)
			if (json_key_is(&source->document.values[j], "$include"))
				read_includes(openclaw, source, &source->document.values[j]);
	}
}

/* --- Values, whichever file they are in: the last one visited wins. --- */

static int visit_path(struct openclaw *openclaw, const struct source *source, const struct json_value *value,
    const char *const *path, unsigned depth, visit *visitor);

static int visit_included(struct openclaw *openclaw, const struct source *source,
    const struct json_value *object, const char *const *path, unsigned depth, visit *visitor)
{
	const struct json_value *include = json_find(&source->document, object, "$include");
	const struct json_value *name = include;
	int result = 0;

	if (include == NULL || depth == INCLUDE_DEPTH_MAX)
		return 0;
	if (include->type == JSON_ARRAY)
		name = json_first(&source->document, include);
	for (; name != NULL && result == 0;
	     name = include->type == JSON_ARRAY ? json_next(&source->document, name) : NULL) {
		const struct source *included = NULL;
		char file[PATH_MAX];

		openclaw->visits += INCLUDE_COST;
		if (include_path(source, name, file))
			included = find_file(openclaw, file);
		if (included != NULL && included->memory != NULL)
			result = visit_path(
			    openclaw, included, json_root(&included->document), path, depth + 1, visitor);
	}
	return result;
}

/* Calls `visitor` for each value at `path` (NULL-terminated keys) below `value`. */
static int visit_path(struct openclaw *openclaw, const struct source *source, const struct json_value *value,
    const char *const *path, unsigned depth, visit *visitor)
{
	const struct json_value *member;
	int result;

	openclaw->visits += 1 + (value->type == JSON_OBJECT ? value->children.count : 0);
	if (openclaw->visits > VISITS_MAX)
		return 0;
	result = visit_included(openclaw, source, value, path, depth, visitor);
	if (result < 0)
		return result;
	if (path[0] == NULL) {
		const struct origin origin = {
		    .source = source, .document = source, .place = value->place, .rank = RANK_GATEWAY_KEYS};

		return visitor(openclaw, &origin, value);
	}
	member = json_find(&source->document, value, path[0]);
	return member != NULL ? visit_path(openclaw, source, member, path + 1, depth, visitor) : 0;
}

int openclaw_visit(struct openclaw *openclaw, const char *const *path, openclaw_visitor *visitor)
{
	const struct source *root = &openclaw->files[0];

	if (root->memory == NULL)
		return 0;
	openclaw->visits = 0;
	return visit_path(openclaw, root, json_root(&root->document), path, 0, visitor);
}

/* --- What concerns us. --- */

static int see_port(struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	if (value->type != JSON_NUMBER || !(value->number >= 1 && value->number <= 65535) ||
	    floor(value->number) != value->number) {
		loader_remark(openclaw->loader,
		    "%.300s:%u:%u: gateway.port is no port number: OpenClaw will refuse it.",
		    origin->source->path, origin->place.line, origin->place.column);
		return 0;
	}
	openclaw->port = (uint32_t)value->number;
	openclaw->port_origin = *origin;
	return 0;
}

static int take_refused_key(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *value, const char *path)
{
	loader_remark(openclaw->loader,
	    "%.240s:%u:%u: %s is read, but OpenClaw does not know this key and refuses to start with it: "
	    "move it to "
	    "holdfast.json.",
	    origin->source->path, origin->place.line, origin->place.column, path);
	return value_from_json(openclaw->loader, schema_find(path), origin, value);
}

static int see_session_timeout(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	return take_refused_key(openclaw, origin, value, "gateway.sessionTimeout");
}

static int see_stuck_sessions(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	return take_refused_key(openclaw, origin, value, "gateway.autoRestart.onStuckSessions");
}

static int see_threshold(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	return take_refused_key(openclaw, origin, value, "gateway.autoRestart.threshold");
}

static int see_plugin(struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	struct origin ours = *origin;

	ours.rank = RANK_PLUGIN;
	return section_from_json(openclaw->loader, &ours, value);
}

static int take_variable(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *member)
{
	struct origin here = origin_at(origin, member->place);
	char text[4096], shown[VALUE_SHOWN_MAX];
	size_t length = member->end - member->start;

	if (member->type == JSON_STRING && member->string.length < sizeof(text) &&
	    strlen(member->string.bytes) == member->string.length) {
		text_copy(text, sizeof(text), member->string.bytes);
	} else if ((member->type == JSON_NUMBER || member->type == JSON_BOOL) && length < sizeof(text)) {
		memcpy(text, origin->source->bytes + member->start, length);
		text[length] = '\0';
	} else {
		return loader_refuse(
		    openclaw->loader, &here, member->key, value_show(&here, member, shown), "text");
	}
	here.rank = RANK_GATEWAY_VARIABLES;
	return section_from_variable(openclaw->loader, &here, member->key, text);
}

static int see_variables(
    struct openclaw *openclaw, const struct origin *origin, const struct json_value *object)
{
	const struct json_document *document = &origin->source->document;
	int result = 0;

	for (const struct json_value *member = json_first(document, object); member != NULL && result == 0;
	     member = json_next(document, member))
		if (member->key != NULL && strlen(member->key) == member->key_length &&
		    strncmp(member->key, "HOLDFAST_", 9) == 0)
			result = take_variable(openclaw, origin, member);
	return result;
}

int openclaw_read(struct openclaw *openclaw)
{
	static const struct {
		const char *path[5];
		visit *visitor;
	} seen[] = {
	    {{"gateway", "port"}, see_port},
	    {{"gateway", "sessionTimeout"}, see_session_timeout},
	    {{"gateway", "autoRestart", "onStuckSessions"}, see_stuck_sessions},
	    {{"gateway", "autoRestart", "threshold"}, see_threshold},
	    {{"plugins", "entries", "holdfast", "config"}, see_plugin},
	    {{"env", "vars"}, see_variables},
	};

	openclaw_read_files(openclaw);
	if (openclaw->files[0].memory == NULL)
		return 0;
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
		int result = openclaw_visit(openclaw, seen[i].path, seen[i].visitor);

		if (result < 0)
			return result;
	}
	return 0;
}

void openclaw_release(struct openclaw *openclaw)
{
	for (uint32_t i = 0; i < openclaw->watched_count; i++)
		source_release(&openclaw->files[i]);
}
