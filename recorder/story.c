#include "recorder/story.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"

#define PAGE_ROWS 32

static bool is(const struct event_row *row, const char *kind)
{
	return strcmp(row->kind, kind) == 0;
}

/* A member of the evidence, valid until the next call; NULL: there is none. */
static const struct json_value *member_of(const struct event_row *row, const char *key)
{
	static struct json_value values[JSON_VALUES_FOR(READER_EVIDENCE_SIZE)];
	static char strings[JSON_STRINGS_FOR(READER_EVIDENCE_SIZE)];
	struct json_document document = {.values = values,
	    .value_max = sizeof(values) / sizeof(values[0]),
	    .strings = strings,
	    .string_size = sizeof(strings)};
	struct json_fault fault;

	if (json_parse(&document, row->evidence, strlen(row->evidence), JSON_STRICT, &fault) < 0)
		return NULL;
	return json_find(&document, json_root(&document), key);
}

/* A duration in the evidence: -1 where there is none. */
static int64_t duration_of(const struct event_row *row, const char *key)
{
	const struct json_value *value = member_of(row, key);

	if (value == NULL || value->type != JSON_NUMBER || !(value->number >= 0 && value->number < 1e15))
		return -1;
	return (int64_t)value->number;
}

/* An incident begins with the gateway's end, or with a verdict. One condemned for its memory or its sessions
 * answers until it has drained; one that hangs has left probes unanswered. */
static bool is_down(const struct event_row *row)
{
	const struct json_value *unanswered;

	if (!is(row, "gateway.condemned"))
		return is(row, "gateway.exited") || is(row, "gateway.start_failed") ||
		       is(row, "gateway.parked") || is(row, "gateway.out_of_memory");
	unanswered = member_of(row, "unanswered");
	return unanswered != NULL && unanswered->type == JSON_NUMBER && unanswered->number > 0;
}

static bool is_for_sessions(const struct event_row *row)
{
	return is(row, "gateway.condemned") && member_of(row, "threshold") != NULL;
}

bool story_missing(const struct story *story, char *sentence, size_t size)
{
	const struct json_value *missing = member_of(&story->autopsy, "missing");

	if (missing == NULL || missing->type != JSON_STRING)
		return false;
	text_copy(sentence, size, missing->string.bytes);
	return true;
}

static void take(struct story *story, const struct event_row *row)
{
	int rank = advice_rank(is_for_sessions(row) ? ADVICE_STUCK_SESSIONS : row->kind);

	if (story->count < STORY_FIRST_MAX)
		story->first[story->count] = *row;
	else
		story->last[(story->count - STORY_FIRST_MAX) % STORY_LAST_MAX] = *row;
	story->count++;
	story->starts += is(row, "gateway.started");
	if (row->id == story->incident.first_event)
		story->was_down = is_down(row);
	if (is(row, "gateway.condemned"))
		story->judgement = *row;
	else if (is(row, AUTOPSY_KIND))
		story->autopsy = *row;
	else if (is(row, "gateway.recovered"))
		story->took_ms = duration_of(row, "value"); /* by a clock that nobody sets */
	if (rank >= 0 && (story->advice < 0 || rank < story->advice))
		story->advice = rank;
}

static int read_suspicion(struct story *story, struct reader *reader, struct error *why)
{
	static const struct event_filter all;
	int64_t event = 0;
	int result = reader_suspicion(reader, &story->incident, &event, why);

	if (result < 0 || event == 0)
		return result;
	result = reader_page(reader, &all, event - 1, &story->suspicion, 1, why);
	return result < 0 ? result : 0;
}

static int read_report(struct story *story, struct reader *reader, struct error *why)
{
	static struct json_value values[JSON_VALUES_FOR(AUTOPSY_REPORT_BYTES_MAX)];
	static char strings[JSON_STRINGS_FOR(AUTOPSY_REPORT_BYTES_MAX)];
	struct json_fault fault;
	int length =
	    reader_report(reader, story->incident.id, story->report, sizeof(story->report), NULL, why);

	if (length == -ENOENT)
		return 0;
	if (length < 0 && length != -EFBIG && length != -EBADMSG)
		return length;
	story->document = (struct json_document){.values = values,
	    .value_max = sizeof(values) / sizeof(values[0]),
	    .strings = strings,
	    .string_size = sizeof(strings)};
	story->is_damaged = length < 0 || json_parse(&story->document, story->report, (size_t)length,
	                                      JSON_STRICT, &fault) < 0;
	if (!story->is_damaged)
		story->root = json_root(&story->document);
	return 0;
}

int story_read(struct story *story, struct reader *reader, struct error *why)
{
	static struct event_row rows[PAGE_ROWS];
	struct event_filter filter = {.incident = story->incident.id};
	int64_t after = 0;
	int count, result;

	story->advice = -1;
	story->took_ms = -1;
	result = read_suspicion(story, reader, why);
	if (result < 0)
		return result;
	story->silent_ms = -1;
	if (story->suspicion.kind[0] != '\0') {
		story->silent_ms = duration_of(&story->suspicion, "silent_ms");
		take(story, &story->suspicion);
	}
	do {
		count = reader_page(reader, &filter, after, rows, PAGE_ROWS, why);
		for (int i = 0; i < count; i++) {
			take(story, &rows[i]);
			after = rows[i].id;
		}
	} while (count == PAGE_ROWS);
	return count < 0 ? count : read_report(story, reader, why);
}

const struct json_value *story_find(
    const struct story *story, const struct json_value *object, const char *key)
{
	return object == NULL ? NULL : json_find(&story->document, object, key);
}

const char *story_text(const struct story *story, const struct json_value *object, const char *key)
{
	const struct json_value *value = story_find(story, object, key);

	return value != NULL && value->type == JSON_STRING ? value->string.bytes : "";
}

int64_t story_number(const struct story *story, const struct json_value *object, const char *key)
{
	const struct json_value *value = story_find(story, object, key);

	if (value == NULL || value->type != JSON_NUMBER || !(value->number >= 0 && value->number < 1e18))
		return -1;
	return (int64_t)value->number;
}

int64_t story_began_ms(const struct story *story)
{
	return story->suspicion.kind[0] != '\0' ? story->suspicion.time_ms : story->incident.opened_ms;
}

/* The supervisor's own measure goes from the opening of the incident; clocks on the wall may be set. */
int64_t story_duration_ms(const struct story *story)
{
	int64_t before_ms = story->incident.opened_ms - story_began_ms(story),
	        took_ms = story->took_ms >= 0 ? story->took_ms
	                                      : story->incident.closed_ms - story->incident.opened_ms;

	return (took_ms > 0 ? took_ms : 0) + (before_ms > 0 ? before_ms : 0);
}

int story_shown(const struct story *story)
{
	return story->count < STORY_FIRST_MAX + STORY_LAST_MAX ? (int)story->count
	                                                       : STORY_FIRST_MAX + STORY_LAST_MAX;
}

int64_t story_left_out(const struct story *story)
{
	return story->count - story_shown(story);
}

const struct event_row *story_event(const struct story *story, int index)
{
	if (index < STORY_FIRST_MAX)
		return &story->first[index];
	return &story->last[(index - STORY_FIRST_MAX + story_left_out(story)) % STORY_LAST_MAX];
}

const char *story_advice(const struct story *story)
{
	const char *advice = story_text(story, story->root, "advice");

	if (advice[0] != '\0')
		return advice;
	return advice_sentence(story->advice);
}
