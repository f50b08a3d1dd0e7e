/* A story for a person: what was seen and done and when, why, what it cost, what to do. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "format/utf8.h"
#include "recorder/print.h"
#include "recorder/story.h"

#define INDENT       2
#define WORD_MAX     256
#define TIME_MAX     48
#define TIME_COLUMNS 8 /* 10:14:18 */
#define AGO_COLUMNS  12

static int columns_of(const char *bytes, size_t length)
{
	int columns = 0;

	/* A wrong width makes a ragged line, nothing worse. */
	for (size_t i = 0; i < length; i++)
		columns += ((unsigned char)bytes[i] & 0xc0) != 0x80;
	return columns;
}

static void print_word(FILE *out, const char *word, size_t length)
{
	char piece[WORD_MAX];

	while (length > 0) {
		size_t size = length < sizeof(piece) ? length : sizeof(piece) - 1;

		/* Never within a character. */
		while (size < length && size > 1 && ((unsigned char)word[size] & 0xc0) == 0x80)
			size--;
		memcpy(piece, word, size);
		piece[size] = '\0';
		print_plain(out, piece);
		word += size;
		length -= size;
	}
}

void story_print(FILE *out, int indent, int width, const char *words)
{
	int column = indent;
	bool begun = false;

	while (*words != '\0') {
		size_t length = strcspn(words, " ");
		int columns = columns_of(words, length);

		if (begun && width > 0 && column + 1 + columns > width) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
		} else if (begun) {
			putc(' ', out);
			column++;
		}
		print_word(out, words, length);
		column += columns;
		begun = true;
		words += length + (words[length] == ' ');
	}
	putc('\n', out);
}

static void paragraph(FILE *out, int width, const char *words)
{
	fprintf(out, "%*s", INDENT, "");
	story_print(out, INDENT, width, words);
}

static const char *local_time(char *target, int64_t time_ms, const char *format)
{
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm parts;

	if (localtime_r(&seconds, &parts) == NULL || strftime(target, TIME_MAX, format, &parts) == 0)
		text_copy(target, TIME_MAX, "?");
	return target;
}

static void tell_head(FILE *out, const struct story *story, int width)
{
	const struct incident_row *incident = &story->incident;
	char began[TIME_MAX], last[TIME_MAX], duration[32], words[256];

	local_time(began, story_began_ms(story), "%Y-%m-%d at %H:%M:%S (%Z)");
	if (incident->closed_ms != 0)
		snprintf(words, sizeof(words), "Incident %" PRIu64 " began on %s and was over after %s.",
		    incident->id, began, text_duration(duration, sizeof(duration), story_duration_ms(story)));
	else
		snprintf(words, sizeof(words),
		    "Incident %" PRIu64
		    " began on %s. Its end is not recorded; the last was heard of it on %s.",
		    incident->id, began, local_time(last, incident->last_ms, "%Y-%m-%d at %H:%M:%S"));
	story_print(out, 0, width, words);
}

static void tell_event(
    FILE *out, const struct story *story, const struct event_row *row, bool days, int width)
{
	char when[TIME_MAX], ago[40] = "", duration[32];
	int64_t after_ms = row->time_ms - story_began_ms(story);
	int indent = INDENT + TIME_COLUMNS + 2 + AGO_COLUMNS + 2 + (days ? 6 : 0);

	local_time(when, row->time_ms, days ? "%m-%d %H:%M:%S" : "%H:%M:%S");
	if (after_ms >= 0)
		snprintf(ago, sizeof(ago), "+%s", text_duration(duration, sizeof(duration), after_ms));
	fprintf(out, "%*s%s  %*s  ", INDENT, "", when, AGO_COLUMNS, ago);
	story_print(out, indent, width, row->reason);
}

static void tell_events(FILE *out, const struct story *story, int width)
{
	char first[TIME_MAX], last[TIME_MAX];
	int shown = story_shown(story);
	int64_t left_out = story_left_out(story);
	bool days = strcmp(local_time(first, story_began_ms(story), "%F"),
	                local_time(last, story->incident.last_ms, "%F")) != 0;

	fprintf(out, "\nWhat was seen and done\n");
	for (int i = 0; i < shown; i++) {
		if (i == STORY_FIRST_MAX && left_out > 0)
			fprintf(out,
			    "%*s... %" PRId64 " more: \"holdfast events --incident %" PRIu64
			    "\" has them all\n",
			    INDENT, "", left_out, story->incident.id);
		tell_event(out, story, story_event(story, i), days, width);
	}
}

struct listing {
	FILE *out;
	int width;
	bool begun;
};

static void tell_reason(void *context, const char *sentence)
{
	struct listing *listing = context;

	if (!listing->begun)
		fprintf(listing->out, "\nWhat it was judged by\n");
	listing->begun = true;
	paragraph(listing->out, listing->width, sentence);
}

static void tell_cost(FILE *out, const struct story *story, int width)
{
	char from[TIME_MAX], to[TIME_MAX], duration[32], words[512];
	bool knows_answer = story->was_down && story->silent_ms >= 0;
	int64_t before_ms = knows_answer ? story->silent_ms : 0;
	struct text text;

	fprintf(out, "\nWhat it cost\n");
	text_init(&text, words, sizeof(words));
	local_time(from, story_began_ms(story) - before_ms, "%H:%M:%S");
	local_time(to, story->incident.closed_ms, "%H:%M:%S");
	text_duration(duration, sizeof(duration), story_duration_ms(story) + before_ms);
	if (story->incident.closed_ms == 0)
		text_addf(
		    &text, "Its recovery is not recorded: \"holdfast status\" says how the gateway is now.");
	else if (story->was_down)
		text_addf(&text, "For %s, from %s at %s to the proved recovery at %s, nobody was answered.",
		    duration, knows_answer ? "its last answer" : "the first sign", from, to);
	else
		text_addf(&text,
		    "From the first sign at %s to the proved recovery at %s it took %s; it was answering for "
		    "a "
		    "part of that time at least.",
		    from, to, duration);
	if (story->starts > 0)
		text_addf(&text, " The gateway was started %s", story->starts == 1 ? "once." : "");
	if (story->starts > 1)
		text_addf(&text, "%" PRId64 " times.", story->starts);
	paragraph(out, width, words);
}

void story_tell(FILE *out, const struct story *story, int width, bool whole_console)
{
	struct listing reasons = {.out = out, .width = width};

	tell_head(out, story, width);
	tell_events(out, story, width);
	if (story->judgement.kind[0] != '\0')
		judgement_tell(story->judgement.evidence, tell_reason, &reasons);
	story_tell_report(out, story, width, whole_console);
	tell_cost(out, story, width);
	fprintf(out, "\nWhat to do about it\n");
	paragraph(out, width, story_advice(story));
}
