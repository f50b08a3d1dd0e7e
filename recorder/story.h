/* An incident as it is told: its events in the order of time, what it was judged by, and the report of the
 * autopsy. */
#ifndef HOLDFAST_RECORDER_STORY_H
#define HOLDFAST_RECORDER_STORY_H

#include <stdbool.h>
#include <stdio.h>

#include "format/json5.h"
#include "recorder/autopsies.h"
#include "recorder/reader.h"

/* More than these are not shown: the first ones say how it began, the last ones how it ended. */
#define STORY_FIRST_MAX 10
#define STORY_LAST_MAX  14

struct story {
	struct incident_row incident;
	struct event_row first[STORY_FIRST_MAX], last[STORY_LAST_MAX]; /* `last` is a ring */
	int64_t count;   /* of all events, the suspicion before them included */
	int64_t starts;  /* of the gateway, in the incident */
	int64_t took_ms; /* from the first evidence to the recovery as a clock saw it that nobody sets; -1:
	                    not known */
	int64_t
	    silent_ms; /* so long before the first evidence it had last proved to be well; -1: not known */
	bool was_down; /* nobody was answered from the first sign on */
	/* kind "": there was none */
	struct event_row suspicion;
	struct event_row judgement;
	struct event_row autopsy;
	int advice; /* of the table in advice.c; -1: none */

	/* The report, if one is kept and whole. Its texts are the gateway's: hostile. */
	char report[AUTOPSY_REPORT_BYTES_MAX + 1];
	bool is_damaged; /* one is kept, and cannot be read */
	struct json_document document;
	const struct json_value *root; /* NULL: there is none */
};

/* Reads the story of story->incident. Returns 0 or a negative errno. */
int story_read(struct story *story, struct reader *reader, struct error *why);

/* When the first evidence was seen, and how long it took from then to the proved recovery; meaningless while
 * the incident is not closed. */
int64_t story_began_ms(const struct story *story);
int64_t story_duration_ms(const struct story *story);

/* The event at `index`, which counts those that can be shown: story_shown() many. */
const struct event_row *story_event(const struct story *story, int index);
int story_shown(const struct story *story);

/* How many lie between the first and the last that are shown. */
int64_t story_left_out(const struct story *story);

/* Members of the report, whatever it holds: NULL, "" or -1 (also for a number below 0) where there is none of
 * that type. `object` may be NULL. */
const struct json_value *story_find(
    const struct story *story, const struct json_value *object, const char *key);
const char *story_text(const struct story *story, const struct json_value *object, const char *key);
int64_t story_number(const struct story *story, const struct json_value *object, const char *key);

/* Why the autopsy's report is not kept, in a sentence, if the recorder said so. */
bool story_missing(const struct story *story, char *sentence, size_t size);

/* The advice of the report, else the one for what happened. Never NULL. */
const char *story_advice(const struct story *story);

/* Tells it to a person. `width` is the terminal's, 0 for lines of any length; `whole_console` shows all lines
 * of the gateway's console that the report has. */
void story_tell(FILE *out, const struct story *story, int width, bool whole_console);

/* The part of story_tell that the report makes: where it hung, and what it printed last. */
void story_tell_report(FILE *out, const struct story *story, int width, bool whole_console);

/* A paragraph of plain words (print_plain), every line after the first one `indent` columns in; the first one
 * begins where the cursor is, at `indent`. */
void story_print(FILE *out, int indent, int width, const char *words);

/* Calls `say` with one sentence for each thing that a verdict rested on. `evidence` is the JSON object of a
 * gateway.condemned event; what is missing in it is not said. */
void judgement_tell(const char *evidence, void (*say)(void *context, const char *sentence), void *context);

/* Advice by the kind of an event: its rank (lower ranks are more telling) or -1, and the sentence of a rank.
 */
#define ADVICE_STUCK_SESSIONS "gateway.condemned for its sessions"
int advice_rank(const char *kind);
const char *advice_sentence(int rank);

#endif
