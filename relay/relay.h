/* The relay: between the gateway and the providers of its language models, on loopback.
 *
 *   client (a connection of the gateway) -> call (one request) -> upstream (a connection to a provider)
 *
 * A call keeps its request until the first content of an answer has come, so that another profile can be
 * given the same bytes; what an answer says before that is held. core/failover decides; this room carries it
 * out.
 *
 *   client.c    reads requests, writes answers        endpoint.c  addresses, idle connections
 *   call.c      attempts, one after another           outgoing.c  the head of the request, for one profile
 *   answer.c    holds, commits, passes, ends          upstream.c  one connection to a provider
 *   keys.c      the credentials                       tell.c      what is told to the supervisor
 *   report.c    /profiles, /metrics, /healthz         relay.c     all of it together
 *
 * Everything runs on one thread but name resolution. What a callback frees is freed after it (relay_bury). */
#ifndef HOLDFAST_RELAY_RELAY_H
#define HOLDFAST_RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"
#include "core/failover.h"
#include "http/body.h"
#include "http/head.h"
#include "relay/chain.h"
#include "relay/classify.h"
#include "relay/deadlines.h"
#include "relay/decoding.h"
#include "relay/keys.h"
#include "relay/resolve.h"
#include "relay/scan.h"
#include "relay/tls.h"
#include "worker/worker.h"

#define RELAY_CLIENTS_MAX   8192
#define RELAY_BODY_MAX      (32u * 1024 * 1024)
#define RELAY_BODIES_MAX    (256u * 1024 * 1024) /* of all calls together */
#define RELAY_BODY_READ_MAX (64 * 1024)   /* so much of a body is read for its model and conversation */
#define RELAY_HOLD_MAX      (1024 * 1024) /* of an answer without events, before it is passed on unread */
#define RELAY_PREAMBLE_MAX  (128 * 1024)  /* of a stream before its first content */
#define RELAY_ERROR_MAX     (64 * 1024)   /* of an error's body */
#define RELAY_TAIL_MAX      (64 * 1024)   /* of an event that is not whole yet */
#define RELAY_IDLE_MAX      64            /* connections kept for reuse, of one endpoint */
#define RELAY_CREDENTIALS   8             /* of the gateway's own that are told apart, of one provider */
#define RELAY_TELL_MS       10000 /* of one profile's failovers one is told in so long; the rest is counted */
#define RELAY_SPECIALS_MAX  16    /* fields of a request that are not copied as they are */
#define RELAY_NOTES_MAX     16
#define RELAY_HISTOGRAM     20

#define RELAY_HEAD_MS       10000 /* from the first byte of a request to its whole head */
#define RELAY_UPLOAD_MS     30000 /* between two pieces of a request's body */
#define RELAY_KEPT_MS       75000 /* a client's connection without a request */
#define RELAY_TAKE_MS       60000 /* a client that takes nothing of its answer */
#define RELAY_CONNECT_MS    10000
#define RELAY_IDLE_MS       55000 /* a connection to a provider that is kept for reuse */
#define RELAY_ERROR_MS      5000  /* for the rest of an error's body */
#define RELAY_RESOLVED_MS   60000 /* addresses are asked for anew after so long */
#define RELAY_DRAIN_IDLE_MS 5000

struct call;
struct client;
struct upstream;

/* Where a profile's requests go. Profiles with the same address share one. */
struct endpoint {
	struct relay *relay;
	bool tls;
	char host[RESOLVE_HOST_MAX];          /* as it is looked up and verified: without brackets */
	char authority[RESOLVE_HOST_MAX + 8]; /* for the Host field */
	uint32_t port;
	const char *path; /* before what the gateway asks for; "" or "/v1", without a slash at its end */
	size_t path_length;

	struct resolve resolve;
	struct resolve_answer addresses; /* the last good ones */
	int64_t resolved_ms;             /* 0: never */
	struct upstream *waiting;        /* for the addresses */
	struct upstream *idle;           /* the one used last first */
	uint32_t idle_count;
	struct tls_memory memory;
};

/* Counted since this process began. */
struct profile_figures {
	uint64_t outcomes[FAILOVER_OUTCOME_COUNT];
	uint64_t failovers; /* calls that went on to another profile after this one */
	/* From the beginning of an attempt to its first content, or to its failure; bucket n: up to 2^n ms.
	 */
	uint64_t latency[FAILOVER_OUTCOME_COUNT][RELAY_HISTOGRAM];
	uint64_t latency_sum_ms[FAILOVER_OUTCOME_COUNT];
	uint64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens;
};

struct profile {
	const char *id;
	struct endpoint *endpoint;
	bool is_gateways;   /* the credential that came with the request goes on as it is */
	const char *rotate; /* of the gateway's own: how a limit is told to it (settings.h) */
	int64_t told_ms;    /* that calls went on elsewhere; 0: never */
	uint64_t untold;    /* ... since then */
	struct profile_figures figures;
};

struct provider {
	struct relay *relay;
	uint32_t index;
	const char *name;
	size_t name_length;
	enum api api;
	const char *api_name;
	uint32_t profile_count;
	struct profile profiles[SETTINGS_PROFILES_MAX];
	struct failover failover;
	bool has_gateways;
	uint32_t gateway_logins; /* that openclaw.json lists */
	struct {
		uint64_t hash; /* 0: free */
		int64_t seen_ms, limited_until_ms;
	} credentials[RELAY_CREDENTIALS];
	uint64_t calls, all_cooling;
};

/* One connection of the gateway. */
struct client {
	struct relay *relay;
	struct client *next, *previous;
	struct loop_source source;
	int fd;
	uint32_t watched; /* epoll events */
	struct deadline deadline;
	bool closing;   /* after the answer under way */
	bool plain;     /* HTTP/1.0: it knows no chunks */
	bool gone;      /* released; buried */
	bool reading;   /* its bytes are being used: what comes of them must not begin to read again */
	bool deaf;      /* not read: its next request came while one is under way */
	bool lingering; /* answered, and not read to its end: the rest is thrown away for a moment */
	uint32_t in_length;
	char *in;          /* bytes that came and were not used yet; NULL: none */
	struct chain out;  /* bytes it has not taken yet */
	struct call *call; /* NULL between two */
};

/* What is not copied of a request's head as it came. */
enum special_use { SPECIAL_DROP, SPECIAL_HOST, SPECIAL_CREDENTIAL, SPECIAL_CONNECTION, SPECIAL_BETA };

struct special {
	uint16_t start, end; /* of the line, in the head */
	uint8_t name_length;
	uint8_t use; /* enum special_use */
};

/* What the answer's reading and passing on need. */
struct answer {
	unsigned status; /* 0: no head yet */
	bool committed;  /* some of it went out */
	bool is_error;   /* a status of 400 or more */
	bool is_stream, chunked_out, may_be_kept;
	uint32_t dropped_count;
	struct special dropped[RELAY_SPECIALS_MAX]; /* lines of the head that the client does not get */
	bool split; /* a part of an event went out before the rest of it came */
	struct http_body body;
	struct scan scan;
	struct decoding *decoding; /* NULL: it is not compressed */
	char *head;                /* checked; freed when it went out */
	size_t head_length;
	struct chain held;             /* decoded */
	struct chain tail;             /* the beginning of an event, decoded */
	uint64_t bytes;                /* of the body, so far */
	bool last_sent;                /* the last chunk went out */
	struct failover_report report; /* of the error event that went out */
};

/* One request. */
struct call {
	struct client *client;
	struct relay *relay;
	struct provider *provider;
	char *head; /* checked, as it came; freed with the first content */
	size_t head_length;
	size_t target, target_length; /* in the head: what follows "/NAME" */
	bool is_head;                 /* the method HEAD: no body comes back */
	uint32_t special_count;
	struct special specials[RELAY_SPECIALS_MAX];
	struct http_body upload;
	struct chain stored; /* the request's body */
	bool stored_whole, chosen;
	bool trying; /* core/failover knows of it, and must be told of its end */
	struct scan_request request;
	uint64_t credential; /* hash of the gateway's own; 0: it sent none */
	char trace[33];      /* the trace id of its traceparent; "" none */

	struct failover_call failover;
	struct failover_try attempt;
	struct upstream *upstream; /* of the attempt under way */
	struct deadline clock;
	bool reading_error; /* the clock is for the rest of an error */
	struct answer answer;

	int64_t began_ms, attempt_ms, content_ms, heard_ms;
	uint32_t attempts;
	enum failover_outcome outcome; /* of the last attempt that failed */
	char sentence[160];            /* ... and what happened, for people */
	struct call *next, *previous;  /* all of the relay's */
};

enum upstream_state {
	UPSTREAM_RESOLVING,
	UPSTREAM_CONNECTING,
	UPSTREAM_SHAKING, /* the TLS handshake */
	UPSTREAM_BUSY,    /* a request goes out, an answer comes in */
	UPSTREAM_IDLE,
};

/* One connection to a provider. */
struct upstream {
	struct relay *relay;
	struct endpoint *endpoint;
	struct upstream *next, *previous; /* in the endpoint's list */
	enum upstream_state state;
	struct loop_source source;
	int fd;
	uint32_t watched;
	SSL *ssl;
	uint32_t address; /* which of the endpoint's */
	struct deadline deadline;
	struct call *call; /* NULL while idle */
	bool reused, heard, gone, paused;
	char *head; /* of the request, until it went out */
	size_t head_length, head_sent;
	struct chain_cursor body;
	char *partial; /* of the answer's head */
	size_t partial_length;
};

/* A failover that is to be told. */
struct failover_note {
	struct provider *provider;
	uint32_t from, to;
	enum failover_outcome cause;
	int64_t retry_after_ms;
	char trace[33], sentence[160];
};

struct relay {
	struct worker worker;
	struct deadlines deadlines;
	struct segments segments;
	struct keys keys;
	SSL_CTX *tls;
	struct loop_source listener;
	int listener_fd, spare_fd;
	struct loop_timer again; /* accepting, after there was no descriptor */
	bool draining;
	struct deadline drained;

	uint32_t provider_count, endpoint_count;
	struct provider providers[SETTINGS_PROVIDERS_MAX];
	struct endpoint endpoints[SETTINGS_PROVIDERS_MAX * SETTINGS_PROFILES_MAX];

	struct client *clients; /* the newest first */
	struct call *calls;
	uint32_t client_count, call_count;
	uint64_t stored_bytes;   /* of all requests' bodies */
	struct segment *scratch; /* what is read is read into this; large */
	char *outgoing;          /* a request's head is written here; OUTGOING_MAX bytes */
	void *buried;            /* memory to be freed after the callback under way */
	int64_t started_real_ms;
	struct loop_timer tell, tell_calls;
	uint32_t note_count;
	struct failover_note notes[RELAY_NOTES_MAX];
	int netlink_fd; /* to ask who is at the other end of a connection; -1: not yet */
	uid_t gateway_user;
	uint64_t refused_foreign;
};

/* The time, as of the beginning of the callback under way. */
static inline int64_t relay_now_ms(const struct relay *relay)
{
	return relay->deadlines.now_ns / 1000000;
}

/* relay.c */
int relay_init(struct relay *relay, struct error *why);
/* For a socket of the loopback network, and those accepted from it: sends at once, and without the congestion
 * control that the machine may have chosen for the world outside (BBR's pacing costs a timer a packet). */
void relay_tune(int fd);
/* As sendmsg(2), without blocking. */
ssize_t relay_send(int fd, const struct iovec *spans, uint32_t count);
void relay_listen(struct relay *relay, int fd);
void relay_drain(struct relay *relay);
/* Frees `memory` (from malloc) when no callback is under way that may still use it; the first pointer-sized
 * bytes are overwritten at once. relay_enter is called first in each
 * callback; it also looks at the clock, once for all that follows. */
void relay_bury(struct relay *relay, void *memory);
void relay_enter(struct relay *relay);
void relay_client_gone(struct relay *relay);
void relay_call_began(struct relay *relay, struct call *call);
void relay_call_gone(struct relay *relay, struct call *call);

/* client.c */
void client_accept(struct relay *relay, int fd);
/* Closes it, and abandons its call. */
void client_release(struct client *client);
/* Sends, or keeps what is not taken now. Returns 0, or a negative errno: it is lost, and was released. */
int client_send(struct client *client, const struct iovec *spans, uint32_t count);
/* Whether it has taken everything; while it has not, nothing more is read for it. */
static inline bool client_is_full(const struct client *client)
{
	return client->out.length > 0;
}
/* The call's answer went out whole: the next request, or the end of the connection. */
void client_answered(struct client *client);
/* Answers in the relay's own words, and forgets the call, if any. */
void client_reply(
    struct client *client, enum api api, unsigned status, int64_t retry_after_ms, const char *sentence);

/* request.c */
/* Reads a whole head and routes it. Returns 0 with *call, new; or a status to refuse it with and *why; or
 * with `local` set, the path of what the relay itself answers. */
struct request_route {
	unsigned status; /* 0: accepted */
	const char *why;
	bool local;
	char path[64];
	bool keep_alive, plain, expects_continue;
};
struct call *request_read(
    struct client *client, const char *head, size_t length, struct request_route *route);

/* call.c */
/* The connection of the attempt under way is there: the request can be sent. */
void call_ready(struct call *call);
/* More of the request's body came, or all of it. */
void call_stored(struct call *call);
/* The attempt under way came to nothing before any of its answer went out. The call goes on with another
 * profile, or is answered and gone. */
void call_failed(struct call *call, const struct failover_report *report, const char *sentence);
/* The first content came: from here on no other profile can take over, and the request is no longer needed.
 */
void call_content(struct call *call);
/* More content: the clock between two begins anew. */
void call_heard(struct call *call);
/* The answer went out whole, or was ended in its interface's words. Frees the call. */
void call_over(struct call *call, const struct failover_report *report);
/* The client is gone: the upstream is closed at once. Frees the call. */
void call_abandon(struct call *call);
/* The connection ended or never came about: another attempt, or the end. */
void call_lost(struct call *call, enum failover_outcome outcome, const char *sentence);
/* The rest of an error is awaited, for a moment only. */
void call_reading_error(struct call *call);
/* The provider's own error went out whole. Frees the call. */
void call_passed_on(struct call *call);
/* Forgets it and all that it holds; its client is not told. */
void call_free(struct call *call);

/* answer.c */
/* Bytes of the answer. Returns false when the call or the upstream is gone. */
bool answer_take(struct call *call, const char *bytes, size_t length);
/* The provider closed the connection. */
void answer_closed(struct call *call, bool clean);
/* Everything of an attempt's answer is forgotten. */
void answer_clear(struct call *call);
/* The whole error that was held goes out as it came. */
void answer_pass_on(struct call *call);
/* After content: ends the answer in its interface's own words, then the client's connection. */
void answer_break(struct call *call, const struct failover_report *report, const char *sentence);

/* rotate.c */
/* The gateway's own credential came with this call; and it was limited. */
void rotate_seen(struct call *call);
void rotate_limited(struct call *call, const struct failover_report *report);
/* The status that makes the gateway use its next login now; 0: its answer goes out as it is. */
unsigned rotate_status(const struct call *call);

/* outgoing.c */
#define OUTGOING_MAX (HTTP_HEAD_MAX + 8 * 1024)
/* Writes the head for this profile into relay->outgoing. Returns its length, or a negative errno. */
ssize_t outgoing_write(
    const struct call *call, const struct profile *profile, const char *key, size_t key_length);
/* Whether a field is not copied as it is, and what is done with it instead. */
bool outgoing_is_special(const struct http_field *field, enum special_use *use);

/* endpoint.c */
/* "https://host[:port][/path]", validated. Returns 0 or -EINVAL. */
int endpoint_init(struct endpoint *endpoint, struct relay *relay, const char *url);
/* A connection for the call, which becomes call->upstream: a kept one unless `fresh`, or a new one. Returns
 * 0; it may still be on its way, and call_ready() comes when it is there; or a negative errno when there is
 * none. */
int endpoint_connect(struct endpoint *endpoint, struct call *call, bool fresh);
void endpoint_close_idle(struct endpoint *endpoint);

/* upstream.c */
struct upstream *upstream_open(struct endpoint *endpoint, struct call *call);
/* Connects to the next of the endpoint's addresses. Returns 0 or a negative errno when none is left. */
int upstream_connect(struct upstream *upstream);
/* The addresses are there, or not (an EAI_ code): for one that waited for them. */
void upstream_resolved(struct upstream *upstream, int result);
/* Sends the request's head and what is stored of its body; what is not taken now is copied. Returns 0 or a
 * negative errno: it is lost. */
int upstream_request(struct upstream *upstream, const char *head, size_t length);
/* More was stored. Returns 0 or a negative errno. */
int upstream_more(struct upstream *upstream);
/* The client took what was kept for it: read on. */
void upstream_resume(struct upstream *upstream);
/* The answer is whole, and the connection may be used again. */
void upstream_keep(struct upstream *upstream);
void upstream_close(struct upstream *upstream);

/* tell.c */
/* What is told is only noted at first, and sent a moment later: a call that fails over waits for none of it.
 */
void tell_init(struct relay *relay);
/* A call that names its run is told of every few seconds while it is under way. */
void tell_call_began(struct call *call);
void tell_changes(struct provider *provider);
void tell_failover(struct call *call, uint32_t from, uint32_t to, const struct failover_report *report);

/* report.c */
/* Writes a whole HTTP answer. Returns false when there is no such path. */
bool report_write(struct relay *relay, const char *path, bool keep_alive, struct chain *out);

#endif
