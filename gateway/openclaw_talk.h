/* What OpenClaw says of its sessions: in events, in its log, and in answers. Bytes in, values out: no I/O,
 * and nothing is allocated. Seen in 2026.2.1 and 2026.9.6.
 *
 * Who writes in a chat writes in these texts: a session's key, what an assistant said, the name and the
 * arguments of a tool. So members are believed at their own place only, and a line only where all of it is as
 * the gateway writes it. */
#ifndef HOLDFAST_GATEWAY_OPENCLAW_TALK_H
#define HOLDFAST_GATEWAY_OPENCLAW_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/json5.h"
#include "format/json_skim.h"

/* With their NUL. A key or an id that does not fit is none: it is never cut. */
#define OPENCLAW_KEY_MAX     192
#define OPENCLAW_RUN_MAX     72
#define OPENCLAW_ID_MAX      40
#define OPENCLAW_TOOL_MAX    32
#define OPENCLAW_WORD_MAX    48
#define OPENCLAW_CHANNEL_MAX 32
#define OPENCLAW_TO_MAX      192
#define OPENCLAW_ACCOUNT_MAX 64

enum openclaw_what {
	OPENCLAW_NOTHING,     /* no sign of anything */
	OPENCLAW_MOVED,       /* any progress that is none of those below */
	OPENCLAW_PREPARES,    /* before the model is asked */
	OPENCLAW_RETRIES,     /* it waits before it asks a model again */
	OPENCLAW_KEEPS_HOUSE, /* compaction, or a memory flush: long calls of which nothing is told */
	OPENCLAW_BEGAN,       /* the run */
	OPENCLAW_ENDED,       /* the run, well or not */
	OPENCLAW_CHAT_ENDED,  /* what the chat shows of it is done; the run may go on */
	OPENCLAW_TOOL_BEGAN,  /* `tool`, `item` */
	OPENCLAW_TOOL_ENDED,  /* `item` */
	OPENCLAW_ASKED,       /* a person, for an approval */
	OPENCLAW_ANSWERED,    /* ... by somebody, or by time */
	OPENCLAW_WHAT_COUNT
};

struct openclaw_event {
	bool is_chat;    /* event "chat"; else "agent", or "session.tool" */
	bool is_visible; /* everybody is told of its run, and not only who asked for its session */
	bool aborted;
	bool cut; /* only its beginning was there: what is missing may be in the rest */
	enum openclaw_what what;
	char run[OPENCLAW_RUN_MAX];   /* never "" */
	char key[OPENCLAW_KEY_MAX];   /* "": not said, or it does not fit */
	char id[OPENCLAW_ID_MAX];     /* "": not said */
	char tool[OPENCLAW_TOOL_MAX]; /* "": not said, or it does not fit */
	uint64_t item;                /* hash_bytes() of the tool call's id as it is spelled; 0: none */
	int64_t started_at_ms;        /* the run; by the gateway's clock; 0: not said */
	int64_t ts_ms;                /* the event; 0: not said */
};

/* Reads an event "agent", "chat" or "session.tool" of one run from a text frame, of which only the beginning
 * may be there. Returns false for everything else. */
bool openclaw_event_read(const char *text, size_t length, struct openclaw_event *event);

/* The short way, for the bulk of them: whether the event says nothing but that its run moved (a piece of an
 * answer or of a thought). *run is its id, without quotes, within `text`. Reads no further than that; false
 * proves nothing. */
bool openclaw_event_run(const char *text, size_t length, struct json_span *run);

struct openclaw_row;

/* Reads an event "sessions.changed", which comes after sessions.subscribe (2026.9.6): the key, and as much of
 * a row as it says. Returns false for everything else. */
bool openclaw_change_read(const char *text, size_t length, struct openclaw_row *row);

#define OPENCLAW_TRACE_MAX 33

enum openclaw_line_kind {
	OPENCLAW_LINE_NOTHING,
	OPENCLAW_LINE_PROGRESSLESS, /* a session makes no progress: `id`; after openclaw_line_fits() the rest
	                             */
	OPENCLAW_LINE_RECOVERY,     /* its own recovery did something about it: the same */
	OPENCLAW_LINE_RECOVERY_OUTCOME, /* how that came out: `id`, `status`; the same */
	OPENCLAW_LINE_RUN_TIMEOUT,      /* `run`, `id`: the gateway ends it by itself */
	OPENCLAW_LINE_FAILOVER, /* it retries, or turns to another profile or model: `run`, `id`, `reason` */
	OPENCLAW_LINE_TRACE, /* `run`, `trace`: under which trace a run that it was asked for goes (2026.9.6)
	                      */
	OPENCLAW_LINE_KIND_COUNT
};

struct openclaw_line {
	enum openclaw_line_kind kind;
	int64_t at_ms;                  /* when it was said, by the gateway's clock; 0: not said */
	char id[OPENCLAW_ID_MAX];       /* the session's; "": unknown */
	char run[OPENCLAW_RUN_MAX];     /* "": not said */
	char status[OPENCLAW_WORD_MAX]; /* of an outcome: "aborted", "released", "skipped" ...; of a failover:
	                                   what was decided; "" */
	char trace[OPENCLAW_TRACE_MAX]; /* of the line (W3C Trace Context); "": none */
	struct json_span message;       /* the text, within `line` */
	/* Once it fits. */
	char work[OPENCLAW_WORD_MAX];   /* "model_call", "tool_call", "embedded_run"; "": none */
	char reason[OPENCLAW_WORD_MAX]; /* "active_work_without_progress" ...; "" */
	int64_t age_ms;                 /* -1: not said; so are the following */
	int64_t progress_age_ms;        /* since it last made progress */
	int64_t queue_depth;            /* messages that wait behind it */
	int64_t released;               /* of its lane, by the recovery */
	bool checking;                  /* the gateway looks whether to recover it */
	bool aborted;                   /* the recovery did */
};

/* Reads one line of the gateway's log, without its newline. Returns whether it is one of those above. What
 * names the session is its id; the key comes after it, is written by whoever began the session, and is not
 * looked at yet. */
bool openclaw_line_read(const char *line, size_t length, struct openclaw_line *found);

/* Whether the line is of the session `key`, as all of it must then be: exactly this key, then the gateway's
 * own fields, each once, and nothing else. Only then *line is filled. A line that says the key is unknown
 * fits when it has an id; whether that id is the session's, the caller knows. False for kinds that say no
 * key. */
bool openclaw_line_fits(struct openclaw_line *line, const char *key);

/* A row of the answers to sessions.list and sessions.describe. */
struct openclaw_row {
	char key[OPENCLAW_KEY_MAX];
	char id[OPENCLAW_ID_MAX];           /* "": not said */
	bool knows_running;                 /* 2026.2.1 does not say */
	bool running;                       /* it has a run at work */
	bool queued;                        /* its run waits for its turn */
	int64_t started_at_ms;              /* the last run; by the gateway's clock; 0: not said */
	int64_t updated_at_ms;              /* 0: not said */
	char channel[OPENCLAW_CHANNEL_MAX]; /* where its answers go: "telegram"; "": not said, or it does not
	                                       fit */
	char to[OPENCLAW_TO_MAX];           /* ... to whom */
	char account[OPENCLAW_ACCOUNT_MAX]; /* ... through which account of ours */
};

/* Returns false when it is no row of a session whose key fits. */
bool openclaw_row_read(
    const struct json_document *document, const struct json_value *value, struct openclaw_row *row);

#endif
