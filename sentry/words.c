#include "sentry/words.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "process/procfs.h"
#include "sentry/line.h"

#define LINE_READ_MAX 2048

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

/* "Invalid config at FILE:" alone does not say what is wrong: the next line does. */
static void add_next_line(const char *bytes, size_t length, char *line, size_t line_size)
{
	size_t filled = strlen(line);
	char next[LINE_READ_MAX];
	struct text text = {.data = line, .size = line_size, .length = filled};
	const char *end;

	if (filled == 0 || line[filled - 1] != ':' || length == 0)
		return;
	end = memchr(bytes, '\n', length);
	line_strip(next, sizeof(next), bytes, end != NULL ? (size_t)(end - bytes) : length);
	text_add(&text, " ");
	text_add(&text, next + strspn(next, " -"));
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
		const char *after = raw + raw_length;

		line_strip(stripped, sizeof(stripped), raw, raw_length);
		found = gateway_read_words(facts, stripped);
		if (found == WORDS_NONE) {
			if (line[0] == '\0')
				text_copy(line, line_size, stripped);
			continue;
		}
		*words = found;
		text_copy(line, line_size, stripped);
		if (after < bytes + length)
			add_next_line(after + 1, (size_t)(bytes + length - after - 1), line, line_size);
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
