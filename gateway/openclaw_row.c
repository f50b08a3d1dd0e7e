/* The rows of sessions.list and sessions.describe. */
#include <string.h>

#include "gateway/openclaw_talk.h"

#define TIME_MAX_MS 1e14

static bool is_plain(const struct json_value *value)
{
	if (value == NULL || value->type != JSON_STRING)
		return false;
	for (uint32_t i = 0; i < value->string.length; i++)
		if ((unsigned char)value->string.bytes[i] < ' ' || value->string.bytes[i] == 0x7f)
			return false;
	return true;
}

/* Returns false, and "", when there is no such text, or it does not fit. */
static bool read_text(const struct json_document *document, const struct json_value *object, const char *name,
    char *target, size_t size)
{
	const struct json_value *value = json_find(document, object, name);

	target[0] = '\0';
	if (!is_plain(value) || value->string.length == 0 || value->string.length >= size)
		return false;
	memcpy(target, value->string.bytes, value->string.length);
	target[value->string.length] = '\0';
	return true;
}

static int64_t read_time(const struct json_document *document, const struct json_value *row, const char *name)
{
	const struct json_value *value = json_find(document, row, name);

	if (value == NULL || value->type != JSON_NUMBER ||
	    !(value->number >= 1 && value->number <= TIME_MAX_MS))
		return 0;
	return (int64_t)value->number;
}

/* A run that waits for its turn counts as active there, too. */
static void read_running(
    const struct json_document *document, const struct json_value *value, struct openclaw_row *row)
{
	const struct json_value *status = json_find(document, value, "status"),
	                        *active = json_find(document, value, "hasActiveRun");

	row->knows_running = status != NULL || active != NULL;
	row->queued = status != NULL && json_string_is(status, "queued");
	/* The status is what was written down last, and may be of a gateway that was killed. */
	if (active != NULL && active->type == JSON_BOOL)
		row->running = !row->queued && active->boolean;
	else
		row->running = status != NULL && json_string_is(status, "running");
}

static void read_target(
    const struct json_document *document, const struct json_value *value, struct openclaw_row *row)
{
	const struct json_value *context = json_find(document, value, "deliveryContext");

	if (context != NULL && read_text(document, context, "channel", row->channel, sizeof(row->channel)) &&
	    read_text(document, context, "to", row->to, sizeof(row->to))) {
		read_text(document, context, "accountId", row->account, sizeof(row->account));
		return;
	}
	read_text(document, value, "lastChannel", row->channel, sizeof(row->channel));
	read_text(document, value, "lastTo", row->to, sizeof(row->to));
	read_text(document, value, "lastAccountId", row->account, sizeof(row->account));
}

bool openclaw_row_read(
    const struct json_document *document, const struct json_value *value, struct openclaw_row *row)
{
	*row = (struct openclaw_row){0};
	if (value == NULL || value->type != JSON_OBJECT ||
	    !read_text(document, value, "key", row->key, sizeof(row->key)))
		return false;
	read_text(document, value, "sessionId", row->id, sizeof(row->id));
	read_running(document, value, row);
	row->started_at_ms = read_time(document, value, "startedAt");
	row->updated_at_ms = read_time(document, value, "updatedAt");
	read_target(document, value, row);
	return true;
}
