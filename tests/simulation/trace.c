#include "tests/simulation/trace.h"

#include <inttypes.h>

static const char *action_name(enum supervision_action_type type)
{
	static const char *const names[] = {"adopt", "spawn", "terminate", "kill-tree", "probe-start",
	    "ask-words", "watch-config", "validate", "examine", "continue", "record", "save", "refuse",
	    "finish"};

	return (unsigned)type < sizeof(names) / sizeof(names[0]) ? names[type] : "?";
}

static const char *record_name(enum supervision_record record)
{
	static const char *const names[RECORD_COUNT] = {"started", "ready", "recovered", "exited",
	    "start-failed", "waiting", "parked", "unparked", "stopping", "stopped", "killed", "draining",
	    "restarted-itself", "suspected", "cleared", "condemned", "adopted", "adopt-refused", "tree-left",
	    "paused", "resumed", "continued", "left-alone", "out-of-memory", "fallback", "restored"};

	return (unsigned)record < RECORD_COUNT && names[record] != NULL ? names[record] : "?";
}

static void print_action(const struct supervision_action *action, FILE *out)
{
	fprintf(out, " %s", action_name(action->type));
	switch (action->type) {
	case DO_RECORD:
		fprintf(out, "(%s reason=%d value=%" PRId64, record_name(action->record), (int)action->reason,
		    action->value);
		if (action->incident != 0)
			fprintf(out, " incident=%" PRIu64, action->incident);
		fprintf(out, ")");
		break;
	case DO_SPAWN:
		fprintf(
		    out, "(%" PRIu64 "%s)", action->generation, action->value != 0 ? " from the copy" : "");
		break;
	case DO_WATCH_CONFIG:
	case DO_EXAMINE:
		fprintf(out, "(%" PRId64 ")", action->value);
		break;
	case DO_REFUSE:
		fprintf(out, "(reason=%d)", (int)action->reason);
		break;
	default:
		break;
	}
}

static void print_event(const struct trace_entry *entry, FILE *out)
{
	const struct supervision_event *event = &entry->event;

	fprintf(out, "%8" PRIu64 " %12" PRId64 " ms  %s", entry->step, entry->at_ms,
	    supervision_event_name(event->type));
	if (event->now_ms != entry->at_ms)
		fprintf(out, " at=%" PRId64, event->now_ms);
	if (event->generation != 0)
		fprintf(out, " generation=%" PRIu64, event->generation);
	if (event->value != 0)
		fprintf(out, " value=%" PRId64, event->value);
	if (event->reason != REASON_NONE)
		fprintf(out, " reason=%d", (int)event->reason);
	if (event->type == ON_WORDS)
		fprintf(out, " verdict=%d", (int)event->verdict);
	if (event->type == ON_EXITED)
		fprintf(out, " %s %d",
		    event->exit.kind == EXIT_CODE     ? "code"
		    : event->exit.kind == EXIT_SIGNAL ? "signal"
		                                      : "unknown",
		    event->exit.value);
	fprintf(out, "%s%s%s%s%s: %s -> %s", event->force ? " force" : "", event->inside ? " inside" : "",
	    event->holds ? " holds" : "", event->may_open ? " may-open" : "",
	    event->fallback ? " fallback" : "", supervision_state_name(entry->before),
	    supervision_state_name(entry->after));
	if (entry->deadline_ms == INT64_MAX)
		fprintf(out, " until resumed");
	else if (entry->deadline_ms != 0)
		fprintf(out, " until %+" PRId64 " ms", entry->deadline_ms - entry->at_ms);
	fprintf(out, ":");
	for (uint32_t i = 0; i < entry->actions.count && i < SUPERVISION_ACTIONS_MAX; i++)
		print_action(&entry->actions.list[i], out);
	fprintf(out, "\n");
}

static void print_entry(const struct trace_entry *entry, FILE *out)
{
	if (entry->note == NULL)
		print_event(entry, out);
	else
		fprintf(out, "%8s %12" PRId64 " ms  -- %s (%" PRId64 ")\n", "", entry->at_ms, entry->note,
		    entry->note_value);
}

static struct trace_entry *next_entry(struct trace *trace)
{
	struct trace_entry *entry = &trace->entries[trace->count++ % TRACE_KEPT];

	entry->note = NULL;
	return entry;
}

void trace_note(struct trace *trace, int64_t at_ms, const char *note, int64_t value)
{
	struct trace_entry *entry = next_entry(trace);

	entry->at_ms = at_ms;
	entry->note = note;
	entry->note_value = value;
	trace_done(trace, entry);
}

struct trace_entry *trace_event(struct trace *trace)
{
	return next_entry(trace);
}

void trace_done(const struct trace *trace, const struct trace_entry *entry)
{
	if (trace->live)
		print_entry(entry, stdout);
}

void trace_print(const struct trace *trace, FILE *out)
{
	uint64_t first = trace->count > TRACE_KEPT ? trace->count - TRACE_KEPT : 0, shown = 0,
	         from = trace->count;

	while (from > first && shown < TRACE_SHOWN)
		shown += trace->entries[--from % TRACE_KEPT].note == NULL;
	for (; from < trace->count; from++)
		print_entry(&trace->entries[from % TRACE_KEPT], out);
}
