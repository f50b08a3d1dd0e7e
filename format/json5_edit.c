#include "format/json5_edit.h"

#include <errno.h>
#include <string.h>

#include "format/json5_scan.h"

/* Where a member stands between its neighbours: offsets into the source. */
struct seat {
	uint32_t comma; /* of the member before; where there is none, the object's own bracket */
	uint32_t key;
	uint32_t end;        /* of its value */
	uint32_t next_comma; /* behind it; 0: none */
	bool is_first;
};

/* The next byte that is neither blank nor comment, from `at` on. */
static uint32_t skip_space(const struct json_source *source, uint32_t at)
{
	struct json_fault fault;
	struct scanner scanner = {.bytes = source->bytes,
	    .length = source->length,
	    .offset = at,
	    .dialect = JSON_5,
	    .fault = &fault};

	scan_start(&scanner);
	scan_space(&scanner);
	return (uint32_t)scanner.offset;
}

static bool is_at(const struct json_source *source, uint32_t at, char wanted)
{
	return at < source->length && source->bytes[at] == wanted;
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\v' || byte == '\f';
}

/* Back from `end` over blanks, not beyond `from`. */
static uint32_t skip_blanks_back(const struct json_source *source, uint32_t from, uint32_t end)
{
	while (end > from && is_blank(source->bytes[end - 1]))
		end--;
	return end;
}

static bool is_line_end(const char *at, size_t left)
{
	return *at == '\n' || *at == '\r' ||
	       (left >= 3 && (memcmp(at, "\xe2\x80\xa8", 3) == 0 || memcmp(at, "\xe2\x80\xa9", 3) == 0));
}

/* Whether what stands at `end` would belong to a comment that ends with its line; between `from` and `end`
 * are blanks and comments only. */
static bool is_in_comment(const struct json_source *source, uint32_t from, uint32_t end)
{
	bool in_line = false, in_block = false;

	for (uint32_t i = from; i < end; i++) {
		const char *at = source->bytes + i;
		size_t left = end - i;

		if (in_line) {
			in_line = !is_line_end(at, left);
		} else if (in_block) {
			in_block = left < 2 || memcmp(at, "*/", 2) != 0;
			i += !in_block;
		} else if (left >= 2 && at[0] == '/') {
			in_line = at[1] == '/';
			in_block = at[1] == '*';
			i++;
		}
	}
	return in_line;
}

static bool has_lines(const struct json_source *source, uint32_t from, uint32_t end)
{
	return memchr(source->bytes + from, '\n', end - from) != NULL ||
	       memchr(source->bytes + from, '\r', end - from) != NULL;
}

static const char *line_end(const struct json_source *source)
{
	const char *feed = memchr(source->bytes, '\n', source->length);

	if (feed == NULL)
		return memchr(source->bytes, '\r', source->length) != NULL ? "\r" : "\n";
	return feed > source->bytes && feed[-1] == '\r' ? "\r\n" : "\n";
}

/* The blanks at the beginning of the line in which `at` is. */
static void add_indent(const struct json_source *source, uint32_t at, struct text *out)
{
	uint32_t begin = at, end;

	while (begin > 0 && source->bytes[begin - 1] != '\n' && source->bytes[begin - 1] != '\r')
		begin--;
	for (end = begin; end < at && (source->bytes[end] == ' ' || source->bytes[end] == '\t'); end++)
		;
	text_add_bytes(out, source->bytes + begin, end - begin);
}

/* One step deeper, as the first line does that begins with blanks. */
static void add_step(const struct json_source *source, struct text *out)
{
	for (size_t i = 1; i < source->length; i++)
		if ((source->bytes[i - 1] == '\n' || source->bytes[i - 1] == '\r') &&
		    source->bytes[i] == '\t') {
			text_add(out, "\t");
			return;
		}
	text_add(out, "  ");
}

static void add_range(const struct json_source *source, size_t start, size_t end, struct text *out)
{
	text_add_bytes(out, source->bytes + start, end - start);
}

static int finish(const struct text *out)
{
	return out->truncated ? -ENOBUFS : 0;
}

static bool is_within(const struct json_source *source, const struct json_value *value)
{
	const struct json_value *values = source->document->values;

	return value != NULL && value >= values && value < values + source->document->value_count &&
	       value->start < value->end && value->end <= source->length;
}

int json_edit_replace(
    const struct json_source *source, const struct json_value *value, const char *spelling, struct text *out)
{
	if (!is_within(source, value))
		return -EINVAL;
	add_range(source, 0, value->start, out);
	text_add(out, spelling);
	add_range(source, value->end, source->length, out);
	return finish(out);
}

/* Finds the seat of `wanted`, or of the last member where it is NULL. Returns false when there is none. */
static bool find_seat(const struct json_source *source, const struct json_value *object,
    const struct json_value *wanted, struct seat *seat)
{
	const struct json_value *member = json_first(source->document, object);

	*seat = (struct seat){.comma = object->start, .is_first = true};
	for (; member != NULL; member = json_next(source->document, member)) {
		uint32_t behind = skip_space(source, member->end);

		seat->key = skip_space(source, seat->comma + 1);
		seat->end = member->end;
		seat->next_comma = is_at(source, behind, ',') ? behind : 0;
		if (member == wanted)
			return true;
		if (member->next == 0)
			return wanted == NULL;
		seat->comma = seat->next_comma;
		seat->is_first = false;
	}
	return false;
}

static void insert_first(
    const struct json_source *source, const struct json_value *object, const char *member, struct text *out)
{
	uint32_t close = object->end - 1, at = skip_blanks_back(source, object->start + 1, close);
	bool lines = has_lines(source, object->start, close);

	add_range(source, 0, at, out);
	text_add(out, lines ? line_end(source) : " ");
	if (lines) {
		add_indent(source, object->start, out);
		add_step(source, out);
	}
	text_add(out, member);
	if (at == close)
		text_add(out, " ");
	add_range(source, at, source->length, out);
}

int json_edit_insert(
    const struct json_source *source, const struct json_value *object, const char *member, struct text *out)
{
	uint32_t from, at;
	struct seat last;

	if (!is_within(source, object) || object->type != JSON_OBJECT)
		return -EINVAL;
	if (!find_seat(source, object, NULL, &last)) {
		insert_first(source, object, member, out);
		return finish(out);
	}
	from = last.next_comma != 0 ? last.next_comma + 1 : last.end;
	at = skip_blanks_back(source, from, object->end - 1);
	add_range(source, 0, last.end, out);
	if (last.next_comma == 0)
		text_add(out, ",");
	add_range(source, last.end, at, out);
	if (has_lines(source, object->start, object->end)) {
		text_add(out, line_end(source));
		add_indent(source, last.key, out);
	} else {
		text_add(out, " ");
	}
	text_add(out, member);
	if (last.next_comma != 0)
		text_add(out, ",");
	add_range(source, at, source->length, out);
	return finish(out);
}

int json_edit_remove(const struct json_source *source, const struct json_value *object,
    const struct json_value *member, struct text *out)
{
	uint32_t front, end, behind;
	struct seat seat;

	if (!is_within(source, object) || object->type != JSON_OBJECT || member == NULL ||
	    !find_seat(source, object, member, &seat))
		return -EINVAL;
	front = skip_blanks_back(source, seat.comma + 1, seat.key);
	end = seat.next_comma != 0 ? seat.next_comma + 1 : seat.end;
	for (behind = end; behind < source->length && is_blank(source->bytes[behind]) &&
	                   !is_line_end(source->bytes + behind, 1);
	     behind++)
		;
	/* A comment before it ends with its line: what follows must not become part of it. */
	if (is_in_comment(source, seat.comma + 1, front) && !is_at(source, behind, '\n') &&
	    !is_at(source, behind, '\r'))
		front = seat.key;
	/* The last one without a comma takes the comma of the one before with it. */
	add_range(source, 0, seat.comma + (seat.is_first || seat.next_comma != 0), out);
	add_range(source, seat.comma + 1, front, out);
	add_range(source, end, source->length, out);
	return finish(out);
}

bool json_edit_quotes_keys(const struct json_source *source)
{
	const struct json_value *root = json_root(source->document);
	uint32_t key;

	if (root->type != JSON_OBJECT || root->children.count == 0)
		return false;
	key = skip_space(source, root->start + 1);
	return is_at(source, key, '"') || is_at(source, key, '\'');
}

bool json_edit_span(const struct json_source *source, const struct json_value *object,
    const struct json_value *member, uint32_t *start, uint32_t *end)
{
	struct seat seat;

	if (!is_within(source, object) || object->type != JSON_OBJECT || member == NULL ||
	    !find_seat(source, object, member, &seat))
		return false;
	*start = seat.key;
	*end = seat.end;
	return true;
}
