#include "cli/relay_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/print.h"

#define HIDDEN     "\xe2\x80\xa6"
#define RESYNC_MAX 64 /* lines that one change adds or takes away, at most */

static const char *skip_string(const char *at)
{
	char quote = *at++;

	while (*at != '\0' && *at != quote)
		at += 1 + (*at == '\\' && at[1] != '\0');
	return *at != '\0' ? at + 1 : at;
}

static const char *skip_comment(const char *at)
{
	const char *end;

	if (at[1] == '/')
		return at + strcspn(at, "\r\n");
	end = strstr(at + 2, "*/");
	return end != NULL ? end + 2 : at + strlen(at);
}

static bool is_key(const char *behind)
{
	for (;;) {
		behind += strspn(behind, " \t\r\n\v\f");
		if (behind[0] != '/' || (behind[1] != '/' && behind[1] != '*'))
			return *behind == ':';
		behind = skip_comment(behind);
	}
}

/* Whether these bytes, quotes included, stand in one of the edits. */
static bool is_ours(const struct relay_edits *edits, const char *string, size_t length)
{
	char wanted[RELAY_TEXT_BYTES];

	if (length >= sizeof(wanted))
		return false;
	memcpy(wanted, string, length);
	wanted[length] = '\0';
	for (int i = 0; i < edits->count; i++)
		if (strstr(edits->list[i].before, wanted) != NULL ||
		    strstr(edits->list[i].after, wanted) != NULL)
			return true;
	return false;
}

/* What is hidden keeps its line ends, so that lines keep their numbers. */
static char *hide(const char *from, const char *end, const char *open, const char *close, char *to)
{
	to = stpcpy(to, open);
	to = stpcpy(to, HIDDEN);
	for (; from < end; from++)
		if (*from == '\n')
			*to++ = '\n';
	return stpcpy(to, close);
}

/* A copy with secrets and comments hidden. Free it. NULL: no memory. */
static char *mask(const char *bytes, const struct relay_edits *edits)
{
	/* The shortest text, "", becomes "…", which is 3 bytes more; a comment begins with two bytes. */
	char *copy = malloc(strlen(bytes) * 4 + 8), *to = copy;

	while (copy != NULL && *bytes != '\0') {
		const char *end;

		if (*bytes == '"' || *bytes == '\'') {
			const char quote[2] = {*bytes, '\0'};

			end = skip_string(bytes);
			if (is_key(end) || end - bytes == 2 || is_ours(edits, bytes, (size_t)(end - bytes)))
				to = mempcpy(to, bytes, (size_t)(end - bytes));
			else
				to = hide(bytes, end, quote, quote, to);
			bytes = end;
		} else if (bytes[0] == '/' && (bytes[1] == '/' || bytes[1] == '*')) {
			end = skip_comment(bytes);
			to = hide(bytes, end, bytes[1] == '/' ? "//" : "/*", bytes[1] == '/' ? "" : "*/", to);
			bytes = end;
		} else {
			*to++ = *bytes++;
		}
	}
	if (copy != NULL)
		*to = '\0';
	return copy;
}

/* --- Lines. --- */

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return *line == '\n' ? line + 1 : line;
}

static bool same_line(const char *one, const char *other)
{
	size_t length = strcspn(one, "\n");

	return length == strcspn(other, "\n") && memcmp(one, other, length) == 0;
}

static void print_line(char sign, unsigned number, const char *shown)
{
	size_t length = strcspn(shown, "\r\n");
	char *text = strndup(shown, length);

	printf("%c %4u  ", sign, number);
	if (text != NULL)
		print_coloured(sign == '-' ? COLOUR_RED : COLOUR_GREEN, text);
	putchar('\n');
	free(text);
}

struct side {
	const char *line, *shown; /* the real text, and the one that may be shown */
	unsigned number;
};

static void step(struct side *side)
{
	side->line = next_line(side->line);
	side->shown = next_line(side->shown);
	side->number++;
}

/* How many lines of `side` come before the one that is `line`; RESYNC_MAX: none of those near is. */
static int distance(struct side side, const char *line)
{
	for (int lines = 0; lines < RESYNC_MAX && *side.line != '\0'; lines++, step(&side))
		if (same_line(side.line, line))
			return lines;
	return RESYNC_MAX;
}

static void print_side(char sign, struct side *side, int lines)
{
	for (; lines > 0 && *side->line != '\0'; lines--, step(side))
		print_line(sign, side->number, side->shown);
}

static void print_changes(struct side old, struct side new)
{
	while (*old.line != '\0' || *new.line != '\0') {
		int added, gone;

		if (*old.line != '\0' && *new.line != '\0' && same_line(old.line, new.line)) {
			step(&old);
			step(&new);
			continue;
		}
		added = *old.line != '\0' ? distance(new, old.line) : RESYNC_MAX;
		gone = *new.line != '\0' ? distance(old, new.line) : RESYNC_MAX;
		if (added < RESYNC_MAX && added <= gone) {
			print_side('+', &new, added);
		} else if (gone < RESYNC_MAX) {
			print_side('-', &old, gone);
		} else {
			print_side('-', &old, 1);
			print_side('+', &new, 1);
		}
	}
}

void relay_diff_print(
    const char *path, const char *before, const char *after, const struct relay_edits *edits)
{
	char *old = mask(before, edits), *new = mask(after, edits);

	print_text(path);
	printf(":\n");
	if (old != NULL && new != NULL)
		print_changes((struct side){before, old, 1}, (struct side){after, new, 1});
	free(old);
	free(new);
}
