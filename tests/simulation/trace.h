/* The last events of a world, for the person who reads why a check failed. Nothing is formatted until then.
 */
#ifndef HOLDFAST_TESTS_SIMULATION_TRACE_H
#define HOLDFAST_TESTS_SIMULATION_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/supervision.h"

#define TRACE_KEPT  128
#define TRACE_SHOWN 40 /* events; the notes between them come on top */

struct trace_entry {
	int64_t at_ms;
	uint64_t step;
	const char *note; /* something in the world; NULL: an event */
	int64_t note_value;
	struct supervision_event event;
	enum supervision_state before, after;
	int64_t deadline_ms;
	struct supervision_actions actions;
};

struct trace {
	uint64_t count;
	bool live; /* print every entry as it comes */
	struct trace_entry entries[TRACE_KEPT];
};

/* `note` is borrowed for good: a literal. */
void trace_note(struct trace *trace, int64_t at_ms, const char *note, int64_t value);
/* The entry to be filled for an event; trace_done prints it when the trace is live. */
struct trace_entry *trace_event(struct trace *trace);
void trace_done(const struct trace *trace, const struct trace_entry *entry);
void trace_print(const struct trace *trace, FILE *out);

#endif
