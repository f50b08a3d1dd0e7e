#include "sentry/words.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "process/procfs.h"
#include "sentry/line.h"

#define LINE_READ_MAX 2048
#define PROBLEM_LINES 4

/* The lines of a block, from the last to the first. */
struct backwards {
	const char *bytes;
	size_t left; /* bytes before the line taken last */
};

static bool previous_line(struct backwards *at, const char **line, size_t *length)
{
	const char *end;

	if (at->left == 0)
		return false;
	if (at->bytes[at->left - 1] == '\n')
		at->left--;
	end = memrchr(at->bytes, '\n', at->left);
	*line = end != NULL ? end + 1 : at->bytes;
	*length = at->left - (size_t)(*line - at->bytes);
	at->left -= *length;
	return true;
}

/* Takes the next line of what is left. Returns its first byte that is not blank. */
static const char *take_line(const char **at, const char *end, char *line, size_t line_size)
{
	const char *stop = memchr(*at, '\n', (size_t)(end - *at));

	stop = stop != NULL ? stop : end;
	line_strip(line, line_size, *at, (size_t)(stop - *at));
	*at = stop < end ? stop + 1 : end;
	return line + strspn(line, " ");
}

/* "Invalid config at FILE:" does not say what is wrong, nor does "Config invalid": the next line does, or one
 * of the next that begins with a dash. */
static void add_problem(const char *at, const char *end, char *line, size_t line_size)
{
	size_t filled = strlen(line);
	bool has_colon = filled > 0 && line[filled - 1] == ':';
	struct text text = {.data = line, .size = line_size, .length = filled};
	char next[LINE_READ_MAX];

	for (int lines = 0; lines < PROBLEM_LINES && at < end; lines++) {
		const char *problem = take_line(&at, end, next, sizeof(next));

		if (!has_colon && strncmp(problem, "- ", 2) != 0)
			continue;
		text_add(&text, has_colon ? " " : ": ");
		text_add(&text, problem + strspn(problem, "- "));
		return;
	}
}

/* The time a line begins with: the record has its own. */
static size_t time_length(const char *line)
{
	size_t length = strspn(line, "0123456789-:.TZ+");

	return length >= 20 && line[10] == 'T' && line[length] == ' ' ? length + 1 : 0;
}

void words_read(const struct gateway_facts *facts, const char *bytes, size_t length, uint32_t *words,
    char *line, size_t line_size)
{
	struct backwards at = {.bytes = bytes, .left = length};
	const char *raw;
	size_t raw_length;

	*words = WORDS_NONE;
	line[0] = '\0';
	while (previous_line(&at, &raw, &raw_length)) {
		char stripped[LINE_READ_MAX];
		enum exit_words found;
		const char *after = raw + raw_length, *end = bytes + length;

		line_strip(stripped, sizeof(stripped), raw, raw_length);
		found = gateway_read_words(facts, stripped);
		if (found == WORDS_NONE) {
			if (line[0] == '\0')
				text_copy(line, line_size, stripped + time_length(stripped));
			continue;
		}
		*words = found;
		text_copy(line, line_size, stripped + time_length(stripped));
		if (found == WORDS_CONFIG_INVALID && after < end)
			add_problem(after + 1, end, line, line_size);
		return;
	}
}

void words_name_holder(uint32_t port, char *line, size_t line_size)
{
	struct procfs_listener holder = {0};
	char said[MESSAGE_TEXT_MAX];
	struct text text;

	if (port == 0 || procfs_listener(port, &holder) <= 0)
		return;
	text_copy(said, sizeof(said), line);
	text_init(&text, line, line_size);
	if (holder.pid > 0)
		text_addf(&text, "port %u is held by pid %d (%s)", (unsigned)port, holder.pid, holder.name);
	else
		text_addf(
		    &text, "port %u is held by a process of user %u", (unsigned)port, (unsigned)holder.uid);
	if (said[0] != '\0') {
		text_add(&text, ": ");
		text_add(&text, said);
	}
}
