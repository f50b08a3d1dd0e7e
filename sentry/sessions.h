/* The sessions of an OpenClaw that is up: follows its events, its list and its log, looks at the work of
 * tools, and says what it sees of each session. It decides nothing.
 *
 * While no session runs there is no timer and nothing is asked. Nothing here starts a command of the
 * gateway's. */
#ifndef HOLDFAST_SENTRY_SESSIONS_H
#define HOLDFAST_SENTRY_SESSIONS_H

#include "channel/message.h"
#include "config/settings.h"
#include "gateway/gateway.h"
#include "loop/loop.h"
#include "process/receiving.h"
#include "sentry/link.h"
#include "sentry/log_follow.h"
#include "sentry/session_book.h"

#define SESSIONS_PROTOCOL_WITH_STATES 4

struct sessions_sense {
	struct loop *loop;
	const struct settings *settings;
	const struct gateway_facts *facts;
	struct link *link; /* the standing one; borrowed */
	/* Returns 0, or -EAGAIN: tell it again later. */
	int (*looked)(struct sessions_sense *sense, struct message_sessions *looks);
	void *context;

	/* To be read. */
	struct session_book book;
	struct sessions_settings policy;

	/* Private. */
	struct loop_timer timer;
	struct log_follow log;
	struct token_environment environment; /* the gateway's, for where its log is */
	uint64_t generation;                  /* 0: nothing is followed */
	uint64_t book_generation;             /* what is in the book is of this gateway */
	int pid;
	uint64_t start_time;
	int64_t pace_ms, walked_ms, listed_ms;
	struct receiving receiving;       /* what the gateway receives ... */
	int64_t received_ms;              /* ... and when that was looked at; 0: never */
	bool is_up;                       /* the link, when it was last looked at */
	bool is_asking;                   /* one request is under way */
	uint32_t list_offset, list_limit; /* of the list that is being read */
	uint32_t asked;                   /* sessions, in this turn */
	uint64_t strange_told;
	uint64_t unknown_ids; /* of the book, when the list was last read */
	char asked_key[SESSION_KEY_MAX];
	bool is_subscribing, is_unsubscribing; /* a request about one session's events is under way */
	char subscribing_key[SESSION_KEY_MAX];
};

/* Members before `book` are set. */
void sessions_sense_init(struct sessions_sense *sense);

void sessions_sense_start(struct sessions_sense *sense, const struct message_gateway *gateway);
void sessions_sense_stop(struct sessions_sense *sense);

/* The link is in another state than before, perhaps. */
void sessions_sense_link_changed(struct sessions_sense *sense);

/* Something speaks of a stuck session: a reason to look soon. */
void sessions_sense_hint(struct sessions_sense *sense);

/* An event came on the link. `text` may be its beginning only. */
void sessions_sense_event(struct sessions_sense *sense, const char *text, size_t length);

/* What the relay has under way. */
struct message_relayed;
void sessions_sense_relayed(struct sessions_sense *sense, const struct message_relayed *relayed);

/* Inside: sessions_ask.c */
void sessions_ask(struct sessions_sense *sense, int64_t now_ms);
void sessions_list(struct sessions_sense *sense);
void sessions_walk(struct sessions_sense *sense, int64_t now_ms);
void sessions_receive(struct sessions_sense *sense, int64_t now_ms);

/* Whether the list says what runs: from 2026.9.6 on. */
static inline bool sessions_have_states(const struct sessions_sense *sense)
{
	return sense->link->hello.protocol >= SESSIONS_PROTOCOL_WITH_STATES;
}

/* Inside: sessions_hidden.c */
void sessions_subscribe(struct sessions_sense *sense);
void sessions_follow_hidden(struct sessions_sense *sense);

#endif
