/* The gateway's own log: one JSON object a line, as tslog writes it. "0" is the subsystem, one of "1", "2" is
 * the text, and the other may be an object of facts. 2026.9.6 says the text once more as "message". */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "gateway/openclaw_line.h"

#define MS_PER_MIN   60000
#define FIRST_YEAR   1970
#define LAST_YEAR    9999
#define DAYS_TO_1970 719468

struct record {
	struct json_span subsystem, name, text, facts, message, time, trace;
};

/* What has one place takes one value. */
static bool set_once(struct json_span *target, const struct json_span *value)
{
	if (target->bytes != NULL)
		return false;
	*target = *value;
	return true;
}

/* _meta.name: the logger's own name, which no caller of it can choose. */
static bool read_name(struct record *record, const struct json_span *meta)
{
	struct json_skim skim;
	struct json_span key, value;

	json_skim_begin(&skim, meta->bytes, meta->length);
	while (json_skim_next(&skim, &key, &value))
		if (json_span_is(&key, "name") && !set_once(&record->name, &value))
			return false;
	return skim.ended;
}

/* One text, and at most one object of facts, in any order. */
static bool read_positional(struct record *record, const struct json_span *value)
{
	if (json_span_is_string(value))
		return set_once(&record->text, value);
	return *value->bytes == '{' && set_once(&record->facts, value);
}

static bool read_member(struct record *record, const struct json_span *key, const struct json_span *value)
{
	if (json_span_is(key, "0"))
		return set_once(&record->subsystem, value);
	if (json_span_is(key, "1") || json_span_is(key, "2"))
		return read_positional(record, value);
	if (json_span_is(key, "message"))
		return set_once(&record->message, value);
	if (json_span_is(key, "time"))
		return set_once(&record->time, value);
	if (json_span_is(key, "traceId"))
		return set_once(&record->trace, value);
	if (json_span_is(key, "_meta"))
		return read_name(record, value);
	return !json_span_is(key, "3");
}

/* Facts with a "message" of their own would be found in the record's: so it must be the text, byte for byte.
 */
static bool read_record(const char *line, size_t length, struct record *record)
{
	struct json_skim skim;
	struct json_span key, value;

	*record = (struct record){0};
	json_skim_begin(&skim, line, length);
	while (json_skim_next(&skim, &key, &value))
		if (!read_member(record, &key, &value))
			return false;
	if (!json_skim_is_whole(&skim) || record->text.bytes == NULL || record->subsystem.bytes == NULL ||
	    record->name.bytes == NULL || record->name.length != record->subsystem.length ||
	    memcmp(record->name.bytes, record->subsystem.bytes, record->name.length) != 0)
		return false;
	return record->message.bytes == NULL ||
	       (record->message.length == record->text.length &&
	           memcmp(record->message.bytes, record->text.bytes, record->text.length) == 0);
}

/* The time: 2026-11-21T06:27:50.325Z, or with +01:00 for Z. */

static bool take_figures(const char **text, int count, int least, int most, int *figure)
{
	*figure = 0;
	for (; count > 0; count--, (*text)++) {
		if (!isdigit((unsigned char)**text))
			return false;
		*figure = *figure * 10 + (**text - '0');
	}
	return *figure >= least && *figure <= most;
}

/* Days since 1970-01-01 in the Gregorian calendar; a year begins in March, so that a leap day is its last. */
static int64_t days_since_1970(int year, int month, int day)
{
	int64_t from_march = (month + 9) % 12, its_year = month <= 2 ? year - 1 : year;

	return its_year * 365 + its_year / 4 - its_year / 100 + its_year / 400 + (from_march * 153 + 2) / 5 +
	       day - 1 - DAYS_TO_1970;
}

static bool take_zone(const char **text, int *minutes)
{
	int hour, minute, sign = **text == '-' ? -1 : 1;

	*minutes = 0;
	if (openclaw_take(text, "Z"))
		return true;
	if (!openclaw_take(text, sign < 0 ? "-" : "+") || !take_figures(text, 2, 0, 23, &hour) ||
	    !openclaw_take(text, ":") || !take_figures(text, 2, 0, 59, &minute))
		return false;
	*minutes = sign * (hour * 60 + minute);
	return true;
}

/* 0: none. */
static int64_t read_time(const struct json_span *span)
{
	char spelled[40];
	const char *text = spelled;
	int year, month, day, hour, minute, second, ms, zone;

	if (!json_span_text(span, spelled, sizeof(spelled)) ||
	    !take_figures(&text, 4, FIRST_YEAR, LAST_YEAR, &year) || !openclaw_take(&text, "-") ||
	    !take_figures(&text, 2, 1, 12, &month) || !openclaw_take(&text, "-") ||
	    !take_figures(&text, 2, 1, 31, &day) || !openclaw_take(&text, "T") ||
	    !take_figures(&text, 2, 0, 23, &hour) || !openclaw_take(&text, ":") ||
	    !take_figures(&text, 2, 0, 59, &minute) || !openclaw_take(&text, ":") ||
	    !take_figures(&text, 2, 0, 60, &second) || !openclaw_take(&text, ".") ||
	    !take_figures(&text, 3, 0, 999, &ms) || !take_zone(&text, &zone) || *text != '\0')
		return 0;
	return ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute - zone) * MS_PER_MIN +
	       second * 1000 + ms;
}

struct facts {
	char event[OPENCLAW_WORD_MAX], decision[OPENCLAW_WORD_MAX], next[OPENCLAW_WORD_MAX];
};

/* Returns false when a fact comes twice. */
static bool read_facts(const struct json_span *object, struct facts *facts, struct openclaw_line *line)
{
	const struct {
		const char *name;
		char *target;
		size_t size;
	} members[] = {{"event", facts->event, sizeof(facts->event)},
	    {"decision", facts->decision, sizeof(facts->decision)},
	    {"nextCandidateProvider", facts->next, sizeof(facts->next)},
	    {"failoverReason", line->reason, sizeof(line->reason)},
	    {"reason", line->reason, sizeof(line->reason)}, {"runId", line->run, sizeof(line->run)},
	    {"sessionId", line->id, sizeof(line->id)}};
	struct json_skim skim;
	struct json_span key, value;

	json_skim_begin(&skim, object->bytes, object->length);
	while (json_skim_next(&skim, &key, &value))
		for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
			if (json_span_is(&key, members[i].name)) {
				if (members[i].target[0] != '\0')
					return false;
				json_span_text(&value, members[i].target, members[i].size);
			}
	return skim.ended;
}

/* A decision after which the gateway goes on with the run; the others end it, or leave it be. */
static bool goes_on(const struct facts *facts)
{
	if (strcmp(facts->event, "embedded_run_failover_decision") == 0)
		return strcmp(facts->decision, "rotate_profile") == 0 ||
		       strcmp(facts->decision, "fallback_model") == 0 ||
		       strcmp(facts->decision, "retry_thinking_level") == 0;
	return strcmp(facts->event, "model_fallback_decision") == 0 && facts->next[0] != '\0' &&
	       (strcmp(facts->decision, "candidate_failed") == 0 ||
	           strcmp(facts->decision, "skip_candidate") == 0);
}

static bool read_decision(const struct json_span *object, struct openclaw_line *line)
{
	struct facts facts = {0};

	return object->bytes != NULL && read_facts(object, &facts, line) && goes_on(&facts) &&
	       text_copy(line->status, sizeof(line->status), facts.decision);
}

/* 2026.9.6: "transient same-model retry 6/9 for anthropic/claude-sonnet-4-6 reason=rate_limit: delayMs=29573"
 */
static bool read_retry(const char *text, struct openclaw_line *line)
{
	size_t length;

	if (!openclaw_take(&text, "transient same-model retry "))
		return false;
	text = strstr(text, " reason=");
	if (text == NULL)
		return false;
	text += strlen(" reason=");
	length = strcspn(text, ": ");
	if (length == 0 || length >= sizeof(line->reason) || strncmp(text + length, ": delayMs=", 10) != 0)
		return false;
	memcpy(line->reason, text, length);
	line->reason[length] = '\0';
	return text_copy(line->status, sizeof(line->status), "retry");
}

/* 2026.2.1: "Profile anthropic:b timed out (possible rate limit). Trying next account..." */
static bool read_rotation(const char *text, struct openclaw_line *line)
{
	static const char end[] = " timed out (possible rate limit). Trying next account...";
	size_t length;

	if (!openclaw_take(&text, "Profile "))
		return false;
	length = strlen(text);
	return length > sizeof(end) - 1 && strcmp(text + length - (sizeof(end) - 1), end) == 0 &&
	       text_copy(line->reason, sizeof(line->reason), "timeout") &&
	       text_copy(line->status, sizeof(line->status), "rotate_profile");
}

/* 2026.9.6, of a run that it was asked for over its WebSocket: "⇄ res ✓ chat.send 360ms runId=8838e739-...
 * conn=..."
 */
static bool read_answer(const struct record *record, const char *text, struct openclaw_line *line)
{
	size_t length;

	if (!openclaw_take(&text, "\xe2\x87\x84 res \xe2\x9c\x93 chat.send ") ||
	    !json_span_text(&record->trace, line->trace, sizeof(line->trace)) ||
	    strlen(line->trace) != OPENCLAW_TRACE_MAX - 1)
		return false;
	text = strstr(text, " runId=");
	if (text == NULL)
		return false;
	text += strlen(" runId=");
	length = strcspn(text, " ");
	if (length == 0 || length >= sizeof(line->run))
		return false;
	memcpy(line->run, text, length);
	line->run[length] = '\0';
	line->kind = OPENCLAW_LINE_TRACE;
	return true;
}

static bool read_text(const struct record *record, const char *text, struct openclaw_line *line)
{
	if (json_span_is(&record->subsystem, "{\"subsystem\":\"gateway/ws\"}"))
		return read_answer(record, text, line);
	if (json_span_is(&record->subsystem, "{\"subsystem\":\"diagnostic\"}"))
		return record->facts.bytes == NULL && openclaw_line_begin(text, line);
	if (json_span_is(&record->subsystem, "{\"subsystem\":\"agent/embedded\"}")) {
		if (openclaw_line_timeout(text, line))
			return true;
		line->kind = OPENCLAW_LINE_FAILOVER;
		line->run[0] = line->id[0] = '\0';
		if (strcmp(text, "embedded run failover decision") == 0)
			return read_decision(&record->facts, line);
		return read_retry(text, line) || read_rotation(text, line);
	}
	line->kind = OPENCLAW_LINE_FAILOVER;
	return json_span_is(&record->subsystem, "{\"subsystem\":\"model-fallback/decision\"}") &&
	       strcmp(text, "model fallback decision") == 0 && read_decision(&record->facts, line);
}

bool openclaw_line_read(const char *line, size_t length, struct openclaw_line *found)
{
	static const struct openclaw_line nothing = {
	    .age_ms = -1, .progress_age_ms = -1, .queue_depth = -1, .released = -1};
	char text[OPENCLAW_MESSAGE_MAX];
	struct record record;

	*found = nothing;
	if (!read_record(line, length, &record) || !json_span_rough_text(&record.text, text, sizeof(text)))
		return false;
	if (!read_text(&record, text, found)) {
		*found = nothing;
		return false;
	}
	found->message = record.text;
	found->at_ms = read_time(&record.time);
	return true;
}
