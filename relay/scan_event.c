#include "relay/scan_event.h"

#include <string.h>

#include "format/json_skim.h"

#define ERROR_MEMBERS  3    /* of a body, that are looked at for an error */
#define USAGE_TAIL_MAX 2048 /* of a body, that is looked at for its usage */

struct event {
	struct json_span name, data; /* of the "event" and the first "data" line, trimmed */
};

/* Keys are compared as they are spelled: no provider escapes a letter of one, and each is asked for often. */
static bool is_key(const struct json_span *key, const char *name)
{
	size_t length = strlen(name);

	return key->length == length + 2 && memcmp(key->bytes + 1, name, length) == 0;
}

static bool spells(const struct json_span *span, const char *text)
{
	return span->length == strlen(text) && memcmp(span->bytes, text, span->length) == 0;
}

static bool has(const struct json_span *span, const char *text)
{
	return memmem(span->bytes, span->length, text, strlen(text)) != NULL;
}

/* The rest of a line behind "NAME:", without the one blank that may follow (WHATWG HTML, 9.2.6). */
static struct json_span rest_of(const char *line, const char *end, size_t name_length)
{
	const char *value = line + name_length + 1;

	if (value < end && *value == ' ')
		value++;
	if (end > value && end[-1] == '\r')
		end--;
	return (struct json_span){value, (size_t)(end - value)};
}

/* The first "data" line counts: both interfaces write all of it there. */
static void read_lines(const char *bytes, size_t length, struct event *event)
{
	const char *line = bytes, *end = bytes + length;

	*event = (struct event){{"", 0}, {"", 0}};
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		if (stop == NULL)
			stop = end;
		if (stop - line > 5 && memcmp(line, "data:", 5) == 0) {
			if (event->data.length == 0)
				event->data = rest_of(line, stop, 4);
		} else if (stop - line > 6 && memcmp(line, "event:", 6) == 0) {
			event->name = rest_of(line, stop, 5);
		}
		line = stop + 1;
	}
}

/* A string with something in it. */
static bool is_filled(const struct json_span *value)
{
	return json_span_is_string(value) && value->length > 2;
}

/* Anything that is neither null nor empty. */
static bool is_something(const struct json_span *value)
{
	return value->length > 0 && !json_span_spells(value, "null") && !spells(value, "\"\"") &&
	       !spells(value, "[]") && !spells(value, "{}");
}

static struct json_span member(const struct json_span *object, const char *name)
{
	struct json_span key, value, found = {"", 0};
	struct json_skim skim;

	json_skim_begin(&skim, object->bytes, object->length);
	while (json_skim_next(&skim, &key, &value))
		if (is_key(&key, name))
			found = value;
	return found;
}

/* The first element of a list. */
static struct json_span first_of(const struct json_span *list)
{
	const char *at = list->bytes, *end = list->bytes + list->length;

	if (list->length < 2 || *at != '[')
		return (struct json_span){"", 0};
	for (at++; at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'); at++)
		;
	return (struct json_span){at, (size_t)(end - at)};
}

static void read_count(const struct json_span *value, int64_t *count)
{
	double number;

	if (json_span_number(value, &number) && number >= 0 && number < 1e15)
		*count = (int64_t)number;
}

/* Both interfaces' names: each count as it was last said. */
static void read_usage(struct scan *scan, const struct json_span *usage)
{
	struct json_span key, value;
	struct json_skim skim;

	if (usage->length == 0 || *usage->bytes != '{')
		return;
	json_skim_begin(&skim, usage->bytes, usage->length);
	while (json_skim_next(&skim, &key, &value)) {
		if (is_key(&key, "input_tokens") || is_key(&key, "prompt_tokens"))
			read_count(&value, &scan->usage.input_tokens);
		else if (is_key(&key, "output_tokens") || is_key(&key, "completion_tokens"))
			read_count(&value, &scan->usage.output_tokens);
		else if (is_key(&key, "cache_read_input_tokens"))
			read_count(&value, &scan->usage.cache_read_tokens);
		else if (is_key(&key, "cache_creation_input_tokens"))
			read_count(&value, &scan->usage.cache_write_tokens);
		else if (is_key(&key, "prompt_tokens_details") && *value.bytes == '{') {
			struct json_span cached = member(&value, "cached_tokens");

			read_count(&cached, &scan->usage.cache_read_tokens);
		}
	}
}

static void failed(struct scan *scan, const struct json_span *data, struct scan_found *found)
{
	struct failover_report report;

	/* The first one says why. */
	classify_error(scan->api, data->bytes, data->length, &report);
	if (!scan->failed)
		found->report = report;
	found->error |= !scan->failed;
	scan->failed = true;
}

/* Anthropic: what of a delta or a block's beginning is content. Members that are strings count when they are
 * filled, others when they are there. */
static bool has_content(const struct json_span *object)
{
	static const char *const kinds[] = {
	    "text", "partial_json", "thinking", "signature", "data", "citation", "content", "input_json"};
	struct json_span key, value;
	struct json_skim skim;

	json_skim_begin(&skim, object->bytes, object->length);
	while (json_skim_next(&skim, &key, &value))
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (is_key(&key, kinds[i]) && is_something(&value))
				return true;
	return false;
}

/* A block of text or thinking begins empty; every other kind is a content by being there. */
static bool begins_content(const struct json_span *block)
{
	struct json_span type = member(block, "type");

	if (json_span_is(&type, "text") || json_span_is(&type, "thinking"))
		return has_content(block);
	return block->length > 0;
}

static void anthropic_event(struct scan *scan, const struct event *event, struct scan_found *found)
{
	const struct json_span *name = &event->name, *data = &event->data;
	struct json_span part;

	if (spells(name, "content_block_delta")) {
		part = scan->content ? *data : member(data, "delta");
		found->content |= scan->content || has_content(&part);
	} else if (spells(name, "content_block_start")) {
		part = member(data, "content_block");
		found->content |= begins_content(&part);
	} else if (spells(name, "message_start")) {
		struct json_span usage;

		part = member(data, "message");
		usage = member(&part, "usage");
		read_usage(scan, &usage);
		part = member(&part, "model");
		json_span_text(&part, scan->model, sizeof(scan->model));
	} else if (spells(name, "message_delta")) {
		part = member(data, "usage");
		read_usage(scan, &part);
		part = member(data, "delta");
		part = member(&part, "stop_reason");
		if (is_filled(&part))
			found->content = scan->finished = true;
	} else if (spells(name, "message_stop")) {
		found->ended = scan->ended = true;
	} else if (spells(name, "error")) {
		failed(scan, data, found);
	}
}

/* OpenAI: a role alone is none. */
static bool choice_has_content(struct scan *scan, const struct json_span *choice)
{
	struct json_span key, value, delta = {"", 0}, finish = {"", 0};
	struct json_skim skim;
	bool content = false;

	json_skim_begin(&skim, choice->bytes, choice->length);
	while (json_skim_next(&skim, &key, &value)) {
		if (is_key(&key, "delta"))
			delta = value;
		else if (is_key(&key, "finish_reason"))
			finish = value;
		else if (is_key(&key, "text"))
			content |= is_filled(&value);
	}
	if (is_filled(&finish))
		content = scan->finished = true;
	if (delta.length > 0 && *delta.bytes == '{') {
		json_skim_begin(&skim, delta.bytes, delta.length);
		while (json_skim_next(&skim, &key, &value))
			content |= !is_key(&key, "role") && is_something(&value);
	}
	return content;
}

static void openai_chunk(struct scan *scan, const struct json_span *data, struct scan_found *found)
{
	struct json_span key, value;
	struct json_skim skim;

	json_skim_begin(&skim, data->bytes, data->length);
	while (json_skim_next(&skim, &key, &value)) {
		if (is_key(&key, "choices")) {
			struct json_span choice = first_of(&value);

			found->content |= choice_has_content(scan, &choice);
		} else if (is_key(&key, "usage")) {
			read_usage(scan, &value);
		} else if (is_key(&key, "model")) {
			json_span_text(&value, scan->model, sizeof(scan->model));
		} else if (is_key(&key, "error") && !json_span_spells(&value, "null")) {
			failed(scan, data, found);
		}
	}
}

static void openai_event(struct scan *scan, const struct event *event, struct scan_found *found)
{
	const struct json_span *data = &event->data;

	if (spells(data, "[DONE]"))
		found->ended = scan->ended = true;
	else if (spells(&event->name, "error"))
		failed(scan, data, found);
	/* Once there was content, only what comes rarely is read. */
	else if (data->length > 0 && scan->content && !has(data, "\"usage\":{") &&
	         !has(data, "\"usage\": {") && !has(data, "\"error\"") &&
	         !has(data, "\"finish_reason\":\"") && !has(data, "\"finish_reason\": \""))
		found->content = true;
	else if (data->length > 0)
		openai_chunk(scan, data, found);
}

void scan_event(struct scan *scan, const char *bytes, size_t length, struct scan_found *found)
{
	struct event event;

	read_lines(bytes, length, &event);
	if (event.data.length == 0 && event.name.length == 0)
		return; /* a comment */
	if (scan->api == API_ANTHROPIC_MESSAGES)
		anthropic_event(scan, &event, found);
	else
		openai_event(scan, &event, found);
	scan->content |= found->content;
}

/* The value of the last member "usage" that stands in the body's end: behind it there is little in both
 * interfaces. A quote within a text has a backslash before it. */
static struct json_span find_usage(const char *body, size_t length)
{
	static const char name[] = "\"usage\"";
	const char *least = length > USAGE_TAIL_MAX ? body + length - USAGE_TAIL_MAX : body;

	for (const char *at = body + length - sizeof(name); length > sizeof(name) && at > least; at--) {
		const char *value = at + sizeof(name) - 1, *end = body + length;

		if (*at != '"' || memcmp(at, name, sizeof(name) - 1) != 0 || at[-1] == '\\')
			continue;
		while (value < end && (*value == ':' || *value == ' ' || *value == '\n'))
			value++;
		return (struct json_span){value, (size_t)(end - value)};
	}
	return (struct json_span){"", 0};
}

/* An error says so in its first members; an answer has its usage in its last ones. */
void scan_body(struct scan *scan, const char *body, size_t length, struct scan_found *found)
{
	const struct json_span whole = {body, length};
	struct json_span key, value, usage;
	struct json_skim skim;

	json_skim_begin(&skim, body, length);
	for (int members = 0; members < ERROR_MEMBERS && json_skim_next(&skim, &key, &value); members++) {
		if (is_key(&key, "model"))
			json_span_text(&value, scan->model, sizeof(scan->model));
		else if ((is_key(&key, "error") && is_something(&value)) ||
		         (is_key(&key, "type") && json_span_is(&value, "error")))
			found->error = true;
	}
	if (found->error) {
		failed(scan, &whole, found);
		return;
	}
	usage = find_usage(body, length);
	read_usage(scan, &usage);
	/* Half a document was sent as a whole one: its last brace is missing. What begins otherwise is no
	 * document, and none of our business. */
	while (
	    length > 0 && (body[length - 1] == '\n' || body[length - 1] == '\r' || body[length - 1] == ' '))
		length--;
	found->broken = length > 0 && *body == '{' && body[length - 1] != '}';
}
