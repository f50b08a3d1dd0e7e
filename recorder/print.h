/* Events for people and for programs. */
#ifndef HOLDFAST_RECORDER_PRINT_H
#define HOLDFAST_RECORDER_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "recorder/reader.h"

/* One line of aligned columns: time (UTC), severity, kind, incident, reason. Nothing in it moves a terminal:
 * control characters, invalid UTF-8 and marks that turn the writing direction are written \xXX or \uXXXX. */
void event_print_text(FILE *out, const struct event_row *row, bool colours);

/* One JSON object on one line: id, time, kind, severity, incident, reason, evidence. */
void event_print_json(FILE *out, const struct event_row *row);

/* The same without the end of the line, to stand within other JSON. */
void event_print_object(FILE *out, const struct event_row *row);

/* Writes what is JSON already, without line breaks, and nothing that moves a terminal. */
void print_json(FILE *out, const char *json);

/* Writes `string` as event_print_text does. */
void print_plain(FILE *out, const char *string);

#endif
