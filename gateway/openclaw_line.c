/* The texts of the gateway's log: a few words, then name=value with spaces between. */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "gateway/openclaw_line.h"

#define SECONDS_MAX (366LL * 24 * 60 * 60)
#define QUEUE_MAX   1000000

bool openclaw_take(const char **text, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*text, word, length) != 0)
		return false;
	*text += length;
	return true;
}

/* Up to the next space or the end, which must come; no quotes. */
static bool take_word(const char **text, char *target, size_t size)
{
	size_t length = strcspn(*text, " \"\x1a");

	target[0] = '\0';
	if (length == 0 || length >= size || ((*text)[length] != ' ' && (*text)[length] != '\0'))
		return false;
	memcpy(target, *text, length);
	target[length] = '\0';
	*text += length;
	return true;
}

/* A session's id is a UUID, or what an operator called it. */
static bool take_id(const char **text, char id[OPENCLAW_ID_MAX])
{
	if (!take_word(text, id, OPENCLAW_ID_MAX))
		return false;
	if (strcmp(id, "unknown") == 0)
		id[0] = '\0';
	for (const char *next = id; *next != '\0'; next++)
		if (!isalnum((unsigned char)*next) && strchr("-_.:", *next) == NULL)
			return false;
	return true;
}

static bool read_number(const char *word, const char *unit, int64_t most, int64_t *number)
{
	int64_t sum = 0;
	size_t digits = strspn(word, "0123456789");

	if (digits == 0 || digits > 12 || strcmp(word + digits, unit) != 0)
		return false;
	for (size_t i = 0; i < digits; i++)
		sum = sum * 10 + (word[i] - '0');
	*number = sum;
	return sum <= most;
}

static bool read_age(const char *word, int64_t *age_ms)
{
	if (!read_number(word, "s", SECONDS_MAX, age_ms))
		return false;
	*age_ms *= 1000;
	return true;
}

static bool read_flag(const char *word, bool *flag)
{
	*flag = strcmp(word, "true") == 0;
	return *flag || strcmp(word, "false") == 0;
}

/* Past a text in quotes, with the quotes and backslashes in it escaped. */
static bool skip_quoted(const char **text)
{
	const char *next = *text + 1;

	while (*next != '\0' && *next != '"')
		next += next[0] == '\\' && next[1] != '\0' ? 2 : 1;
	if (*next == '\0')
		return false;
	*text = next + 1;
	return true;
}

enum field { STATE, AGE, QUEUE_DEPTH, PROGRESS_AGE, RELEASED, ABORTED, RECOVERY, REASON, WORK, FIELD_COUNT };

static const char *const field_names[FIELD_COUNT] = {[STATE] = "state",
    [AGE] = "age",
    [QUEUE_DEPTH] = "queueDepth",
    [PROGRESS_AGE] = "lastProgressAge",
    [RELEASED] = "released",
    [ABORTED] = "aborted",
    [RECOVERY] = "recovery",
    [REASON] = "reason",
    [WORK] = "activeWorkKind"};

static bool read_field(struct openclaw_line *line, enum field field, const char *word)
{
	switch (field) {
	case STATE:
		return true;
	case AGE:
		return read_age(word, &line->age_ms);
	case QUEUE_DEPTH:
		return read_number(word, "", QUEUE_MAX, &line->queue_depth);
	case PROGRESS_AGE:
		return read_age(word, &line->progress_age_ms);
	case RELEASED:
		return read_number(word, "", QUEUE_MAX, &line->released);
	case ABORTED:
		return read_flag(word, &line->aborted);
	case RECOVERY:
		line->checking = strcmp(word, "checking") == 0;
		return line->checking || strcmp(word, "none") == 0;
	case REASON:
		return text_copy(line->reason, sizeof(line->reason), word);
	default:
		return text_copy(line->work, sizeof(line->work), word);
	}
}

/* One field, with the space before it. Each that matters comes once: the same again is somebody else's. The
 * name of the session's lane has its key in it. */
static bool take_field(const char **text, struct openclaw_line *line, const char *key, uint32_t *seen)
{
	char name[OPENCLAW_WORD_MAX], word[OPENCLAW_MESSAGE_MAX];
	size_t length;

	if (!openclaw_take(text, " "))
		return false;
	length = strspn(*text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	if (length == 0 || length >= sizeof(name) || (*text)[length] != '=')
		return false;
	memcpy(name, *text, length);
	name[length] = '\0';
	*text += length + 1;
	if (strcmp(name, "lane") == 0 && openclaw_take(text, "session:") && openclaw_take(text, key))
		return **text == ' ' || **text == '\0';
	if (**text == '"')
		return skip_quoted(text);
	if (!take_word(text, word, sizeof(word)))
		return false;
	for (int field = 0; field < FIELD_COUNT; field++)
		if (strcmp(name, field_names[field]) == 0) {
			bool is_again = (*seen & 1u << field) != 0;

			*seen |= 1u << field;
			return !is_again && read_field(line, (enum field)field, word);
		}
	return true;
}

/* What comes first, in the gateway's order: nothing that a key could bring stands before it. */
static bool take_first_fields(const char **text, struct openclaw_line *line, const char *key, uint32_t *seen)
{
	static const enum field progressless[] = {STATE, AGE, QUEUE_DEPTH}, recovery[] = {AGE};
	const enum field *fields = line->kind == OPENCLAW_LINE_PROGRESSLESS ? progressless : recovery;
	size_t count = line->kind == OPENCLAW_LINE_PROGRESSLESS ? 3
	               : line->kind == OPENCLAW_LINE_RECOVERY   ? 1
	                                                        : 0;

	for (size_t i = 0; i < count; i++)
		if (!take_field(text, line, key, seen) || *seen >> fields[i] != 1)
			return false;
	return true;
}

/* 2026.9.6 gives a reason, and ends with the recovery, whatever stands in the quotes before it. */
static bool has_needed(const struct openclaw_line *line, uint32_t seen, bool recovery_is_last)
{
	if (line->kind == OPENCLAW_LINE_RECOVERY)
		return line->released >= 0;
	if (line->kind == OPENCLAW_LINE_RECOVERY_OUTCOME)
		return true;
	return recovery_is_last || (seen & (1u << RECOVERY | 1u << REASON)) == 0;
}

static bool read_fields(const char *text, struct openclaw_line *line, const char *key)
{
	uint32_t seen = 0;
	bool recovery_is_last = false;

	if (!take_first_fields(&text, line, key, &seen))
		return false;
	while (*text != '\0') {
		recovery_is_last = strncmp(text, " recovery=", 10) == 0;
		if (!take_field(&text, line, key, &seen))
			return false;
	}
	return has_needed(line, seen, recovery_is_last);
}

struct beginning {
	const char *text;
	enum openclaw_line_kind kind;
};

static const struct beginning beginnings[] = {
    {"stuck session: ", OPENCLAW_LINE_PROGRESSLESS},
    {"stalled session: ", OPENCLAW_LINE_PROGRESSLESS},
    {"long-running session: ", OPENCLAW_LINE_PROGRESSLESS},
    {"stuck session recovery: ", OPENCLAW_LINE_RECOVERY},
    {"stuck session recovery outcome: ", OPENCLAW_LINE_RECOVERY_OUTCOME},
};

/* Up to the key: "stalled session: sessionId=... sessionKey=" */
static bool take_session(const char **text, struct openclaw_line *line)
{
	char action[OPENCLAW_WORD_MAX];

	line->kind = OPENCLAW_LINE_NOTHING;
	for (size_t i = 0;
	     i < sizeof(beginnings) / sizeof(beginnings[0]) && line->kind == OPENCLAW_LINE_NOTHING; i++)
		if (openclaw_take(text, beginnings[i].text))
			line->kind = beginnings[i].kind;
	if (line->kind == OPENCLAW_LINE_NOTHING)
		return false;
	if (line->kind == OPENCLAW_LINE_RECOVERY_OUTCOME &&
	    !(openclaw_take(text, "status=") && take_word(text, line->status, sizeof(line->status)) &&
	        openclaw_take(text, " action=") && take_word(text, action, sizeof(action)) &&
	        openclaw_take(text, " ")))
		return false;
	return openclaw_take(text, "sessionId=") && take_id(text, line->id) &&
	       openclaw_take(text, " sessionKey=");
}

/* "embedded run timeout: runId=... sessionId=... timeoutMs=..." and nothing more. */
bool openclaw_line_timeout(const char *text, struct openclaw_line *line)
{
	char word[OPENCLAW_WORD_MAX];
	int64_t number;
	bool has_grace = openclaw_take(&text, "embedded run timeout after compaction grace: ");

	line->kind = OPENCLAW_LINE_RUN_TIMEOUT;
	if (!has_grace && !openclaw_take(&text, "embedded run timeout: "))
		return false;
	if (!openclaw_take(&text, "runId=") || !take_word(&text, line->run, sizeof(line->run)) ||
	    !openclaw_take(&text, " sessionId=") || !take_id(&text, line->id) ||
	    !openclaw_take(&text, " timeoutMs=") || !take_word(&text, word, sizeof(word)) ||
	    !read_number(word, "", SECONDS_MAX * 1000, &number))
		return false;
	if (has_grace &&
	    !(openclaw_take(&text, " compactionGraceMs=") && take_word(&text, word, sizeof(word)) &&
	        read_number(word, "", SECONDS_MAX * 1000, &number)))
		return false;
	return *text == '\0';
}

bool openclaw_line_begin(const char *text, struct openclaw_line *line)
{
	return take_session(&text, line);
}

bool openclaw_line_fits(struct openclaw_line *line, const char *key)
{
	char message[OPENCLAW_MESSAGE_MAX];
	const char *text = message, *behind;
	struct openclaw_line read = *line;

	if (line->kind != OPENCLAW_LINE_PROGRESSLESS && line->kind != OPENCLAW_LINE_RECOVERY &&
	    line->kind != OPENCLAW_LINE_RECOVERY_OUTCOME)
		return false;
	if (key[0] == '\0' || strchr(key, JSON_ROUGH) != NULL ||
	    !json_span_rough_text(&line->message, message, sizeof(message)) || !take_session(&text, &read))
		return false;
	behind = text;
	if (openclaw_take(&text, key) && read_fields(text, &read, key)) {
		*line = read;
		return true;
	}
	/* A session called "unknown ..." is not meant. */
	read = *line;
	if (line->id[0] == '\0' || !openclaw_take(&behind, "unknown") || !read_fields(behind, &read, key))
		return false;
	*line = read;
	return true;
}
