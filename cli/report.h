/* The supervisor's answers, for people and for programs. All print on standard output. */
#ifndef HOLDFAST_CLI_REPORT_H
#define HOLDFAST_CLI_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "channel/control.h"
#include "config/settings.h"

#define CONSOLE_LOG_NAME "console.log"

/* One screen in plain words. */
void report_text(const struct control_reply *reply, const struct settings *settings);

/* One object. Times are RFC 3339 in UTC, or null. */
void report_json(const struct control_reply *reply, const struct settings *settings);

/* {"ok":..,"message":..,"state":..}: how a request ended; `state` "" where it is not known. */
void report_outcome_json(bool ok, const char *message, const char *state);

/* The same with "changes", a list of the lines in `changes`. */
void report_change_json(bool ok, const char *message, const char *state, const char *changes);

/* Sessions in the order in which people want to read them: the stuck ones, those that run by how long they
 * have made no progress, the idle ones. */
void report_sort_sessions(struct control_session *sessions, size_t count);

/* A table of those that are not idle, or of all of them, and a line with the counts. `reply` has the counts.
 */
void report_sessions_text(
    const struct control_sessions *reply, const struct control_session *sessions, size_t count, bool all);

/* One object with all of them; `message` NULL when it went well. */
void report_sessions_json(const struct control_sessions *reply, const struct control_session *sessions,
    size_t count, const char *message);

#endif
