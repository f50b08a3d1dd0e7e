#include "config/loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int loader_text(struct loader *loader, const char *bytes, size_t length, settings_text *offset)
{
	struct settings *settings = loader->settings;

	*offset = 0;
	if (length == 0)
		return 0;
	if (length >= SETTINGS_POOL_BYTES - settings->pool_used)
		return error_set(loader->why, -ENOSPC,
		    "The settings hold more than %d KiB of text: shorten commands, variables and alerts.",
		    SETTINGS_POOL_BYTES / 1024);
	*offset = settings->pool_used;
	memcpy(settings->pool + settings->pool_used, bytes, length);
	settings->pool[settings->pool_used + length] = '\0';
	settings->pool_used += (uint32_t)length + 1;
	return 0;
}

int loader_fail(struct loader *loader, const struct origin *origin, const char *format, ...)
{
	char sentence[ERROR_TEXT_MAX], within[SUBJECT_MAX] = "";
	va_list arguments;
	int code = origin->rank == RANK_FLAG ? -EINVAL : -EBADMSG;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	/* Within a variable's list or object the sentence is about a part, and the whole must be named too.
	 */
	if (origin->document != NULL && origin->document != origin->source)
		snprintf(within, sizeof(within), "%s: ", origin->name);
	if (origin->source == NULL)
		return error_set(loader->why, code, "%s%s", within, sentence);
	return error_set(loader->why, code, "%.240s:%u:%u: %s%s", origin->source->path, origin->place.line,
	    origin->place.column, within, sentence);
}

void loader_keep_to_one_line(char *sentence)
{
	for (; *sentence != '\0'; sentence++)
		if ((unsigned char)*sentence < 0x20 || *sentence == 0x7f)
			*sentence = '?';
}

void loader_remark(struct loader *loader, const char *format, ...)
{
	char sentence[ERROR_TEXT_MAX];
	va_list arguments;

	if (loader->remark == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	loader_keep_to_one_line(sentence);
	loader->remark(loader->remark_context, sentence);
}

bool loader_wins(const struct loader *loader, const struct setting *setting, const struct origin *origin)
{
	return origin->rank >= loader->ranks[setting - schema];
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

int loader_took(struct loader *loader, const struct setting *setting, const struct origin *origin)
{
	size_t index = (size_t)(setting - schema);
	char text[SUBJECT_MAX];

	if (origin->source != NULL)
		snprintf(text, sizeof(text), "%.90s:%u:%u", file_name(origin->source->path),
		    origin->place.line, origin->place.column);
	else
		snprintf(text, sizeof(text), "%s", origin->name);
	loader->ranks[index] = origin->rank;
	return loader_text(loader, text, strlen(text), &loader->settings->origins[index]);
}

int loader_refuse(struct loader *loader, const struct origin *origin, const char *subject, const char *shown,
    const char *allowed)
{
	if (shown == NULL)
		return loader_fail(loader, origin, "The value of %s must be %s.", subject, allowed);
	return loader_fail(loader, origin, "%s is %s, but must be %s.", subject, shown, allowed);
}

const char *loader_origin(const struct loader *loader, const char *path)
{
	return settings_string(loader->settings, loader->settings->origins[schema_index(path)]);
}

enum rank loader_rank(const struct loader *loader, const char *path)
{
	return loader->ranks[schema_index(path)];
}
