/* A provider of language models for tests and benches, on loopback: what its parts share. One thread, one
 * epoll. How a request is answered is chosen by its key (mock_upstream_manners.c has the list). */
#ifndef MOCK_UPSTREAM_H
#define MOCK_UPSTREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_MAX      (256 * 1024)
#define BODY_KEPT_MAX (64 * 1024)
#define KEY_MAX       192
#define STEPS_MAX     48

/* Bytes that grow. Free with bytes_release(). */
struct bytes {
	char *data;
	size_t length, room;
};

void bytes_add(struct bytes *bytes, const void *data, size_t length);
void bytes_print(struct bytes *bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bytes_release(struct bytes *bytes);

enum api { API_ANTHROPIC, API_OPENAI, API_OTHER };

enum step_kind {
	STEP_SEND,   /* words[at, at + length) */
	STEP_DRIP,   /* the same, a byte every `ms` */
	STEP_WAIT,   /* `ms` */
	STEP_REPEAT, /* the bytes again and again, every `ms` (0: as fast as they are taken), for as long as
	                the client stays */
	STEP_TICK,   /* an event with the time in it every `ms`, as long as the client stays */
	STEP_HANG,   /* nothing more, until the client goes */
	STEP_RESET,
	STEP_CLOSE,
};

struct step {
	enum step_kind kind;
	size_t at, length;
	int64_t ms;
};

/* What was asked, for GET /__requests. */
struct asked {
	uint64_t number, connection, body_length, body_hash;
	int64_t came_ns, ended_ns; /* CLOCK_MONOTONIC; 0: it is still being answered */
	bool is_gone;              /* the client left before the answer's end */
	char key[KEY_MAX], manner[32];
	char *head;
	size_t head_length;
	struct bytes body; /* its first BODY_KEPT_MAX bytes */
};

struct request {
	enum api api;
	bool is_stream, is_chunked, has_length, closes;
	char method[16], path[512], key[KEY_MAX], model[128];
	int64_t length;
};

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_ANSWER };

struct connection {
	int fd;
	uint64_t number;
	SSL *tls;
	bool is_shaken, is_readable, is_writable, is_over;
	enum phase phase;
	struct bytes input; /* the head, then what follows of the chunked body or the next request */
	struct request request;
	int64_t body_left; /* of the body, or of the chunk; -1: a chunk's size is next */
	uint64_t body_length, body_hash;
	struct bytes body;
	struct asked *asked;

	struct bytes words; /* the answer */
	const char *fixed;  /* instead of the words, when the answer is always the same */
	size_t fixed_length;
	struct step steps[STEPS_MAX];
	size_t step_count, step, sent;
	struct bytes tick;
	bool tick_under_way;

	int64_t due_ms; /* 0: waits for no time */
	struct connection *next_due, **due_link;
	struct connection *next, **link; /* of all */
};

struct manner;

struct mock {
	bool keeps_requests;
	const struct manner *only; /* whatever the key says; NULL: the key chooses */
	SSL_CTX *tls;
	struct connection *connections;
	uint64_t open, accepted, requests, answered, gone, handshakes, resumed;
};

extern struct mock mock;

/* mock_upstream_timers.c */
int64_t now_ns(void);
void timer_start(struct connection *connection, int64_t due_ms);
void timer_stop(struct connection *connection);
/* How long to wait for the next, in ms; -1: nobody waits. */
int timers_next(void);
/* Stops the timers that are due, and calls `due` for each, which may free its connection and start timers. */
void timers_run(bool (*due)(struct connection *connection));

/* mock_upstream_request.c: takes what has come apart. 1: a whole request is there; 0: more is needed; -1: no
 * HTTP. */
int request_read(struct connection *connection, const char *data, size_t length, size_t *used);
/* The value of a header, up to its end; NULL: there is none. */
const char *head_find(const struct bytes *head, const char *name, size_t *length);

/* mock_upstream_manners.c: fills the steps of the answer. `early`: only the head has come. Returns false
 * where the manner lets the body come first. */
bool manner_answer(struct connection *connection, bool early);
/* Sets, or with "-" clears, how a key is answered from now on, whatever it says. */
void manner_set(const char *key, const char *manner);
/* The name of the manner that a key has now; it is kept for ever. */
const char *manner_of(const char *key);
/* All keys are answered in this manner. Returns false where there is none of that name. */
bool manner_set_only(const char *name);
/* "KEY":N for each key: how often it was used since its manner was set. */
void manner_tell(struct bytes *words);
void step_add(struct connection *connection, enum step_kind kind, size_t from, int64_t ms);

/* mock_upstream_words.c: what providers say. */
/* The answers that follow are to this key: what is said of its organisation. */
void words_speak_for(const char *key);
void words_head(struct bytes *words, enum api api, int status, const char *type, const char *more);
void words_error(struct bytes *words, enum api api, const char *name, int64_t seconds);
void words_error_event(struct bytes *words, enum api api, const char *name);
struct usage {
	int64_t input, output;
};
void words_answer(struct bytes *words, const struct request *request, const char *text, const char *reason,
    const struct usage *usage);
void words_preamble(struct bytes *words, const struct request *request, const struct usage *usage);
void words_content(struct bytes *words, const struct request *request, const char *text);
void words_thinking(struct bytes *words, const struct request *request);
void words_tool(struct bytes *words, const struct request *request);
void words_ping(struct bytes *words, enum api api);
void words_end(
    struct bytes *words, const struct request *request, const char *reason, const struct usage *usage);
void words_chunk(struct bytes *words, const struct bytes *data);
void words_gzip(struct bytes *words, const char *data, size_t length);

/* mock_upstream_record.c: the requests that are remembered, and the paths that begin with /__. */
struct asked *record_begin(struct connection *connection);
void record_end(struct asked *asked, bool is_gone);
void record_control(struct connection *connection);

#endif
