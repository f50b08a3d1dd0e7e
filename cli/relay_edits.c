#include "cli/relay_edits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "format/json5_edit.h"
#include "format/json_write.h"

/* --- Text that is edited. --- */

int relay_text_set(struct relay_text *text, const char *bytes, size_t length)
{
	char *copy = malloc(length + 1);

	if (copy == NULL)
		return -ENOMEM;
	if (length > 0)
		memcpy(copy, bytes, length);
	copy[length] = '\0';
	relay_text_release(text);
	*text = (struct relay_text){copy, length};
	return 0;
}

void relay_text_release(struct relay_text *text)
{
	if (text->bytes != NULL)
		explicit_bzero(text->bytes, text->length);
	free(text->bytes);
	*text = (struct relay_text){0};
}

/* A text, parsed; and where its next form is written. */
struct draft {
	struct source source;
	struct json_source json;
	char *memory;
	struct text out;
};

static int draft_begin(struct draft *draft, const struct relay_text *text, size_t added, struct error *why)
{
	size_t size = JSON_EDIT_ADDED_MAX(text->length) + added + 1;
	int result;

	*draft = (struct draft){0};
	if (strlen(text->bytes) != text->length)
		return error_set(why, -EBADMSG, "The gateway's configuration holds a NUL: it is no JSON5.");
	result = source_parse(&draft->source, "The gateway's configuration", text->bytes, why);
	if (result < 0)
		return result;
	draft->memory = malloc(size);
	if (draft->memory == NULL) {
		source_release(&draft->source);
		return error_set(why, -ENOMEM, "There is no memory left.");
	}
	draft->json =
	    (struct json_source){draft->source.bytes, draft->source.length, &draft->source.document};
	text_init(&draft->out, draft->memory, size);
	return 0;
}

static void draft_release(struct draft *draft)
{
	source_release(&draft->source);
	free(draft->memory);
}

/* What was written becomes the text. */
static int draft_take(struct draft *draft, struct relay_text *text, int result, struct error *why)
{
	if (result == 0)
		result = relay_text_set(text, draft->out.data, draft->out.length);
	return result == 0 ? 0
	                   : error_set(why, result, "The gateway's configuration cannot be edited: %s.",
	                         strerror(-result));
}

/* The deepest value there is on the way; *depth: how many keys lead to it. */
static const struct json_value *walk(
    const struct draft *draft, const struct relay_edit *edit, int *depth, const struct json_value **parent)
{
	const struct json_value *value = json_root(&draft->source.document), *next;

	*parent = NULL;
	for (*depth = 0; *depth < edit->depth; (*depth)++) {
		next = json_find(&draft->source.document, value, edit->keys[*depth]);
		if (next == NULL)
			break;
		*parent = value;
		value = next;
	}
	return value;
}

static bool is_spelled(const struct draft *draft, const struct json_value *value, const char *spelling)
{
	return draft->source.bytes != NULL && strlen(spelling) == value->end - value->start &&
	       memcmp(draft->source.bytes + value->start, spelling, value->end - value->start) == 0;
}

/* --- Making them. --- */

static bool is_plain_key(const char *key)
{
	size_t length = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return length > 0 && key[length] == '\0' && (key[0] < '0' || key[0] > '9');
}

static void add_key(const struct draft *draft, struct text *text, const char *key)
{
	if (json_edit_quotes_keys(&draft->json) || !is_plain_key(key))
		json_write_string(text, key);
	else
		text_add(text, key);
	text_add(text, ": ");
}

static void add_string(struct text *text, const char *value)
{
	/* After a blank, json_write begins anew. */
	json_write_string(text, value);
}

/* "{ baseUrl: ..., ... }" */
static void add_entry(const struct draft *draft, struct text *text, const struct relay_wish *wish)
{
	text_add(text, "{ ");
	add_key(draft, text, "baseUrl");
	add_string(text, wish->address);
	if (wish->api != NULL) {
		text_add(text, ", ");
		add_key(draft, text, "api");
		add_string(text, wish->api);
	}
	if (wish->models) {
		text_add(text, ", ");
		add_key(draft, text, "models");
		text_add(text, "[]");
	}
	if (wish->placeholder != NULL) {
		text_add(text, ", ");
		add_key(draft, text, "apiKey");
		add_string(text, wish->placeholder);
	}
	if (wish->timeout_seconds != 0) {
		text_add(text, ", ");
		add_key(draft, text, "timeoutSeconds");
		text_addf(text, "%u", wish->timeout_seconds);
	}
	text_add(text, " }");
}

static struct relay_edit *new_edit(struct relay_edits *edits, const char *const *keys, const char *spelling)
{
	struct relay_edit *edit;

	if (edits->count == RELAY_EDITS_MAX)
		return NULL;
	edit = &edits->list[edits->count];
	*edit = (struct relay_edit){0};
	for (; *keys != NULL && edit->depth < RELAY_KEYS_MAX; keys++)
		if (!text_copy(edit->keys[edit->depth++], RELAY_KEY_BYTES, *keys))
			return NULL;
	return *keys == NULL && text_copy(edit->after, sizeof(edit->after), spelling) ? edit : NULL;
}

/* `edit` names the whole path; what is missing of it is inserted at once, around edit->after. */
static int insert_member(
    struct draft *draft, struct relay_edit *edit, const struct json_value *object, int depth)
{
	char inner[RELAY_TEXT_BYTES], member[RELAY_TEXT_BYTES];
	struct text text;

	for (int i = edit->depth - 1; i > depth; i--) {
		text_copy(inner, sizeof(inner), edit->after);
		text_init(&text, edit->after, sizeof(edit->after));
		text_add(&text, "{ ");
		add_key(draft, &text, edit->keys[i]);
		text_add(&text, inner);
		text_add(&text, " }");
		if (text.truncated)
			return -ENOBUFS;
	}
	text_init(&text, member, sizeof(member));
	add_key(draft, &text, edit->keys[depth]);
	text_add(&text, edit->after);
	if (text.truncated)
		return -ENOBUFS;
	if (object->children.count > 0 || depth == 0) {
		edit->depth = depth + 1;
		edit->inserted = true;
		return json_edit_insert(&draft->json, object, member, &draft->out);
	}
	/* An empty object is replaced as a whole: so it comes back as it was. */
	edit->depth = depth;
	if (object->end - object->start >= sizeof(edit->before))
		return -ENOBUFS;
	memcpy(edit->before, draft->source.bytes + object->start, object->end - object->start);
	text_init(&text, edit->after, sizeof(edit->after));
	text_addf(&text, "{ %s }", member);
	return text.truncated ? -ENOBUFS : json_edit_replace(&draft->json, object, edit->after, &draft->out);
}

/* Carries out one edit whose path and `after` are filled. */
static int make_edit(struct relay_edits *edits, struct relay_edit *edit, struct draft *draft,
    struct relay_text *text, struct error *why)
{
	const struct json_value *parent, *value;
	int depth, result;

	value = walk(draft, edit, &depth, &parent);
	if (depth == edit->depth) {
		if (value->end - value->start >= sizeof(edit->before))
			return error_set(
			    why, -EFBIG, "What stands at %s is too long.", edit->keys[edit->depth - 1]);
		memcpy(edit->before, draft->source.bytes + value->start, value->end - value->start);
		result = json_edit_replace(&draft->json, value, edit->after, &draft->out);
	} else if (value->type != JSON_OBJECT) {
		return error_set(why, -EBADMSG, "%s%s in the configuration is %s, but must be an object.",
		    depth > 0 ? "The member " : "What stands", depth > 0 ? edit->keys[depth - 1] : "",
		    json_type_name(value->type));
	} else {
		result = insert_member(draft, edit, value, depth);
	}
	result = draft_take(draft, text, result, why);
	if (result == 0)
		edits->count++;
	return result;
}

int relay_edits_put(struct relay_edits *edits, struct relay_text *text, const char *const *keys,
    const char *spelling, struct error *why)
{
	struct relay_edit *edit = new_edit(edits, keys, spelling);
	struct draft draft;
	int result;

	if (edit == NULL)
		return error_set(why, -E2BIG, "There are too many changes, or too long ones.");
	result = draft_begin(&draft, text, RELAY_TEXT_BYTES * 2, why);
	if (result == 0) {
		result = make_edit(edits, edit, &draft, text, why);
		draft_release(&draft);
	}
	return result;
}

/* Whether the provider has an entry with something in it, and how a new one would be spelled. */
static int look(const struct relay_text *text, const struct relay_wish *wish, bool *found, struct text *entry,
    struct error *why)
{
	const char *const keys[] = {"models", "providers", wish->id, NULL};
	const struct json_value *value;
	struct draft draft;
	int result = draft_begin(&draft, text, 0, why);

	if (result < 0)
		return result;
	value = json_root(&draft.source.document);
	for (int i = 0; keys[i] != NULL && value != NULL; i++)
		value = json_find(&draft.source.document, value, keys[i]);
	*found = value != NULL && value->type == JSON_OBJECT && value->children.count > 0;
	add_entry(&draft, entry, wish);
	draft_release(&draft);
	return entry->truncated ? error_set(why, -E2BIG, "The provider's entry would be too long.") : 0;
}

static int put_member(struct relay_edits *edits, struct relay_text *text, const char *id, const char *key,
    const char *spelling, struct error *why)
{
	const char *const keys[] = {"models", "providers", id, key, NULL};

	return spelling == NULL ? 0 : relay_edits_put(edits, text, keys, spelling, why);
}

static const char *spell(const char *value, char *target, size_t size)
{
	struct text text;

	text_init(&text, target, size);
	json_write_string(&text, value);
	return target;
}

int relay_edits_make(
    struct relay_edits *edits, struct relay_text *text, const struct relay_wish *wish, struct error *why)
{
	const char *const keys[] = {"models", "providers", wish->id, NULL};
	char entry[RELAY_TEXT_BYTES], address[RELAY_TEXT_BYTES], key[RELAY_TEXT_BYTES], seconds[16];
	struct text spelled, number;
	bool found;
	int result;

	text_init(&spelled, entry, sizeof(entry));
	result = look(text, wish, &found, &spelled, why);
	if (result < 0 || !found)
		return result < 0 ? result : relay_edits_put(edits, text, keys, entry, why);
	text_init(&number, seconds, sizeof(seconds));
	text_addf(&number, "%u", wish->timeout_seconds);
	result =
	    put_member(edits, text, wish->id, "baseUrl", spell(wish->address, address, sizeof(address)), why);
	if (result == 0 && wish->placeholder != NULL)
		result = put_member(
		    edits, text, wish->id, "apiKey", spell(wish->placeholder, key, sizeof(key)), why);
	if (result == 0)
		result = put_member(edits, text, wish->id, "timeoutSeconds",
		    wish->timeout_seconds != 0 ? seconds : NULL, why);
	return result;
}

/* --- Undoing them. --- */

/* Takes out of what stands at the edit's place those members that it had put there and that are unchanged;
 * one at a time: *again. Addresses are left to the sweep. */
static int subtract(struct draft *draft, const struct json_value *value, const struct json_document *made,
    const struct json_value *ours, const char *spelling, bool *done)
{
	if (value->type != JSON_OBJECT || ours->type != JSON_OBJECT)
		return 0;
	for (const struct json_value *member = json_first(made, ours); member != NULL && !*done;
	     member = json_next(made, member)) {
		const struct json_value *found = json_find(&draft->source.document, value, member->key);
		size_t length = member->end - member->start;
		int result = 0;

		if (found == NULL || json_key_is(member, "baseUrl"))
			continue;
		if (found->end - found->start == length &&
		    memcmp(draft->source.bytes + found->start, spelling + member->start, length) == 0 &&
		    member->type != JSON_OBJECT) {
			*done = true;
			return json_edit_remove(&draft->json, value, found, &draft->out);
		}
		result = subtract(draft, found, made, member, spelling, done);
		if (result < 0)
			return result;
	}
	return 0;
}

static int undo_part(const struct relay_edit *edit, struct relay_text *text, bool *done, struct error *why)
{
	const struct json_value *parent, *value;
	struct source made;
	struct draft draft;
	int depth, result = draft_begin(&draft, text, 0, why);

	*done = false;
	if (result < 0)
		return result;
	result = source_parse(&made, "an edit", edit->after, why);
	if (result == 0) {
		value = walk(&draft, edit, &depth, &parent);
		if (depth == edit->depth)
			result = subtract(
			    &draft, value, &made.document, json_root(&made.document), edit->after, done);
		if (*done || result < 0)
			result = draft_take(&draft, text, result, why);
		source_release(&made);
	}
	draft_release(&draft);
	return result;
}

static int undo(const struct relay_edit *edit, struct relay_text *text, int *skipped, struct error *why)
{
	const struct json_value *parent, *value;
	bool stands, done = true;
	struct draft draft;
	int depth, result = draft_begin(&draft, text, sizeof(edit->before), why);

	if (result < 0)
		return result;
	value = walk(&draft, edit, &depth, &parent);
	stands = depth == edit->depth && is_spelled(&draft, value, edit->after);
	if (stands) {
		result = edit->inserted ? json_edit_remove(&draft.json, parent, value, &draft.out)
		                        : json_edit_replace(&draft.json, value, edit->before, &draft.out);
		result = draft_take(&draft, text, result, why);
	}
	draft_release(&draft);
	if (stands)
		return result;
	(*skipped)++;
	while (result == 0 && done)
		result = undo_part(edit, text, &done, why);
	return result;
}

int relay_edits_undo(
    const struct relay_edits *edits, struct relay_text *text, int *skipped, struct error *why)
{
	int result = 0;

	*skipped = 0;
	for (int i = edits->count - 1; i >= 0 && result == 0; i--)
		result = undo(&edits->list[i], text, skipped, why);
	return result;
}

/* The next provider, from the entry *from on, whose address begins with the prefix; *from is then its own. */
static const struct json_value *next_relayed(
    const struct draft *draft, const char *prefix, int *from, const char **id)
{
	const struct json_document *document = &draft->source.document;
	const struct json_value *providers = json_find(document, json_root(document), "models");
	int index = 0;

	providers = providers != NULL ? json_find(document, providers, "providers") : NULL;
	if (providers == NULL || providers->type != JSON_OBJECT)
		return NULL;
	for (const struct json_value *entry = json_first(document, providers); entry != NULL;
	     entry = json_next(document, entry), index++) {
		const struct json_value *address = json_find(document, entry, "baseUrl");

		*id = entry->key;
		if (index >= *from && address != NULL && address->type == JSON_STRING &&
		    strncmp(address->string.bytes, prefix, strlen(prefix)) == 0) {
			*from = index;
			return address;
		}
	}
	return NULL;
}

int relay_edits_sweep(struct relay_text *text, const char *prefix,
    const char *(*direct)(const void *context, const char *id), const void *context, int *changed, int *left,
    struct error *why)
{
	int from = 0;

	*changed = *left = 0;
	for (;;) {
		char spelling[RELAY_TEXT_BYTES];
		const struct json_value *address;
		const char *id, *wanted;
		struct draft draft;
		int result = draft_begin(&draft, text, sizeof(spelling), why);

		if (result < 0)
			return result;
		address = next_relayed(&draft, prefix, &from, &id);
		wanted = address != NULL ? direct(context, id) : NULL;
		if (address != NULL && wanted != NULL) {
			result = json_edit_replace(
			    &draft.json, address, spell(wanted, spelling, sizeof(spelling)), &draft.out);
			result = draft_take(&draft, text, result, why);
			(*changed)++;
		} else if (address != NULL) {
			(*left)++;
			from++;
		}
		draft_release(&draft);
		if (result < 0 || address == NULL)
			return result;
	}
}
