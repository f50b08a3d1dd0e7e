/* Between the two halves of the reader of the gateway's log: records (openclaw_log.c) and texts
 * (openclaw_line.c). */
#ifndef HOLDFAST_GATEWAY_OPENCLAW_LINE_H
#define HOLDFAST_GATEWAY_OPENCLAW_LINE_H

#include "gateway/openclaw_talk.h"

#define OPENCLAW_MESSAGE_MAX 4096 /* the gateway's own limit is 4096 characters; ours are far shorter */

/* Past `word`, when *text begins so. */
bool openclaw_take(const char **text, const char *word);

/* Reads the text of a line of the subsystem "diagnostic" up to a session's key: kind, id, status. */
bool openclaw_line_begin(const char *text, struct openclaw_line *line);

/* Reads the text that tells of a run's own timeout, to its end. */
bool openclaw_line_timeout(const char *text, struct openclaw_line *line);

#endif
