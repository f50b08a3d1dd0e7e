/* What is known of each session: the gateway's event streams, its list, its log and the work of its tools,
 * put together. No I/O: what was seen comes in, looks come out.
 *
 * Progress is only what belongs to the run that is under way: a message that somebody sends to a session that
 * hangs moves nothing. Silence counts on a clock of its own, which goes only while the gateway was seen to be
 * alive: between two signs of life that lie no farther apart than `gap_ms`. */
#ifndef HOLDFAST_SENTRY_SESSION_BOOK_H
#define HOLDFAST_SENTRY_SESSION_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sessions.h"
#include "gateway/openclaw_talk.h"
#include "sentry/tool_work.h"
#include "sentry/transcript.h"

#define SESSION_BOOK_TOOLS      8
#define SESSION_BOOK_TRACES     64    /* runs whose traces are remembered */
#define SESSION_BOOK_RELAYED_MS 10000 /* what the relay told of a run counts for so long */
#define SESSION_BOOK_FRESH_MS   45000 /* what the gateway's list or log said counts for so long */
#define SESSION_BOOK_GONE_MS                                                                                 \
	10000 /* the list says twice that a run is over, and it is quiet for so long: so it is */

struct session_entry {
	char run[SESSION_RUN_MAX]; /* "" not known */
	char id[SESSION_ID_MAX];
	char tool[SESSION_TOOL_MAX];
	bool by_events;        /* its run was begun, and not ended, by its events */
	bool is_listed;        /* the gateway's list said that it runs ... */
	bool is_queued;        /* ... or is queued */
	bool is_locked;        /* the gateway holds the lock of its transcript */
	bool is_unsure;        /* nobody listened for a while: a tool may have begun */
	bool was_locked;       /* ... in this run */
	bool is_asking;        /* a person's approval is awaited */
	bool has_written_tool; /* its transcript waits for a tool */
	bool is_gone;          /* the gateway does not have it any more: it leaves once that is told */
	bool is_wanted;        /* something changed that only the gateway can say: ask it soon */
	bool is_hidden;        /* its run's events are for those who ask, and not all of them come */
	bool is_subscribed;    /* they were asked for */
	bool is_heard;         /* ... and the gateway agreed: from then on they come */
	bool has_changed;      /* since it was last told */
	uint32_t tool_count, denials, unlocked; /* denials, unlocked: looks in a row */
	uint64_t tools[SESSION_BOOK_TOOLS];     /* hashes of their calls' ids */
	uint64_t ended_run;                     /* hash of the run that ended last, by its events; 0: none */
	int64_t began_ms, moved_ms, tool_began_ms;
	int64_t moved_watched_ms;      /* the watched clock, when it last moved */
	int64_t heard_watched_ms;      /* the same, when is_heard began */
	int64_t began_real_ms;         /* as the list has it */
	int64_t listed_ms, locked_ms;  /* when it was last seen to be so */
	int64_t own_quiet_ms, said_ms; /* by the gateway's log, and when it said so; said_ms 0: never */
	int64_t recovery_ms, asked_ms, told_ms;
	int64_t relayed_ms;     /* the relay had a request of its run under way; 0: never */
	int64_t relay_heard_ms; /* ... to which content came last */
	int64_t worked_ms;      /* the work of its tools was last looked at */
	uint64_t work_cpu_ticks, work_io_bytes, transcript_bytes;
	uint32_t recovery, queued, work_processes;
	uint16_t next_run; /* with the same hash of the run: a place + 1 */
};

struct session_book {
	int64_t gap_ms; /* set by the owner: what lies between signs of life farther apart was not watched */
	struct session_table table;
	int64_t watched_ms, alive_ms; /* the watched clock; the last sign of life, 0: not watched now */
	uint32_t running;
	bool has_news;        /* an entry has changed; for the reader to take back */
	bool has_wanted;      /* an entry may be wanted; the same */
	uint64_t nonsense;    /* what came with a wrong shape */
	uint64_t unknown_ids; /* the log spoke of sessions that are not known */
	struct {
		char trace[OPENCLAW_TRACE_MAX], run[SESSION_RUN_MAX];
	} traces[SESSION_BOOK_TRACES]; /* a ring: the gateway's log told of them */
	uint32_t next_trace;
	uint16_t runs[SESSIONS_MAX]; /* by hash of the run: a place + 1; 0: none */
	struct session_entry entries[SESSIONS_MAX];
};

/* All is forgotten. A book that is all zero is empty. */
void session_book_clear(struct session_book *book);

/* The gateway was seen to be alive at this moment. Time may not go back. */
void session_book_alive(struct session_book *book, int64_t now_ms);

/* Nobody listened for a while: what runs may have moved unseen, or be over. */
void session_book_blind(struct session_book *book);

/* One message of the gateway's WebSocket; anything that is no event of a run is ignored. */
void session_book_event(struct session_book *book, const char *text, size_t length, int64_t now_ms);

/* One line of the gateway's log. */
void session_book_line(struct session_book *book, const char *line, size_t length, int64_t now_ms);

/* The relay has a request under this trace under way, to which content last came at `heard_ms`; 0: none yet.
 */
void session_book_relayed(struct session_book *book, const char *trace, int64_t heard_ms, int64_t now_ms);

/* A row of the gateway's list. */
void session_book_row(struct session_book *book, const struct openclaw_row *row, int64_t now_ms);

/* The gateway has no session of this key any more; or its run is over, though no event has said so. */
void session_book_forget(struct session_book *book, int place, int64_t now_ms);
void session_book_ended(struct session_book *book, int place, int64_t now_ms);

/* What the files of 2026.2.1 and the processes of its tools show. */
void session_book_transcript(
    struct session_book *book, int place, const struct transcript *transcript, int64_t now_ms);
void session_book_work(struct session_book *book, int place, const struct tool_work *work, int64_t now_ms);

/* It moved, by a sign that is not an event of its own. */
void session_book_moved(struct session_book *book, int place, int64_t now_ms);

/* The gateway says that a session has changed: an event "sessions.changed". */
void session_book_change(struct session_book *book, const struct openclaw_row *row, int64_t now_ms);

static inline bool session_entry_runs(const struct session_entry *entry)
{
	return entry->by_events || entry->is_listed || entry->is_queued || entry->is_locked;
}

static inline bool session_entry_has_tool(const struct session_entry *entry)
{
	return entry->tool_count > 0 || entry->has_written_tool || entry->is_unsure;
}

/* For so long it was watched and did not move; 0 when it does not run. */
int64_t session_book_quiet_ms(const struct session_book *book, int place);

/* The supervisor knows how it is. */
void session_book_told(struct session_book *book, int place, int64_t now_ms);

/* Inside. A place of the session's, or -1; whether an event shows which run it is that is at work unseen;
 * what its run is at, by the gateway's log. */
int session_book_place(struct session_book *book, const char *key, int64_t now_ms);
bool session_book_writes_hidden(
    const struct session_book *book, int place, const struct openclaw_event *event);
void session_book_works(struct session_entry *entry, const char *work);

/* Its hidden events come from now on. */
void session_book_heard(struct session_book *book, int place);

void session_book_look(const struct session_book *book, int place, int64_t now_ms, struct session_look *look);

/* Inside: it is to be told; and the place whose run this is, or -1. */
void session_book_changed(struct session_book *book, struct session_entry *entry);
int session_book_find_run(const struct session_book *book, const char *run, size_t length);

#endif
