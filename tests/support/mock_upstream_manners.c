/* How the mock upstream answers: chosen by a word between the dashes of the key, such as sk-429-a or
 * sk-ant-late500-b.
 *
 *   [flap]NAME[once][NUMBER]   NAME is in the table below. once: the key's first request only, then ok. flap:
 * the first, third, fifth ... request, the others ok. NUMBER may be the next word: sk-tick-200.
 *
 * A key without such a word is refused, as providers refuse it. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tests/support/mock_upstream.h"
#include "tests/support/mock_upstream_manners.h"

#define KEYS_MAX 4096 /* a power of two */

static const struct manner manners[] = {
    {"ok", answer_ok},
    {"429", answer_error, "rate"},
    {"429ra", answer_error, "rate"}, /* NUMBER: Retry-After, in seconds */
    {"529", answer_error, "overloaded"},
    {"500", answer_error, "server"},
    {"503", answer_error, "unavailable"},
    {"401", answer_error, "key"},
    {"403", answer_error, "forbidden"},
    {"402billing", answer_error, "billing"},
    {"spend", answer_error,
        "spend"}, /* the month's limit: Anthropic's enforced_spend_limit_reached, OpenAI's ... */
    {"quota", answer_error, "spend"}, /* ... insufficient_quota */
    {"usagelimit", answer_error, "usage"},
    {"credit", answer_error, "credit"},
    {"toolong", answer_error, "context"},
    {"413", answer_error, "large"},
    {"filter", answer_error, "filter"},
    {"prefill", answer_error, "prefill"},
    {"400", answer_error, "bad"},
    {"gzip429", answer_gzip_error, "rate"},
    {"filtered", answer_filtered}, /* a 200 that says so at its end */
    {"reset", answer_reset},
    {"closed", answer_closed},
    {"silent", answer_silent},
    {"late", answer_late, .number = 1000}, /* NUMBER ms of silence, then the answer */
    {"slow", answer_slow, .number = 1000}, /* head and preamble, then NUMBER ms */
    {"gap", answer_gap, .number = 1000},   /* NUMBER ms between two contents */
    {"drip", answer_drip, .number = 100},  /* ten contents, one every NUMBER ms */
    {"tick", answer_tick,
        .number = 200}, /* contents with the time in them, "t=" and ns of CLOCK_MONOTONIC, for ever */
    {"pings", answer_pings, .number = 50}, /* pings (comments), one every NUMBER ms, for ever */
    {"big", answer_big, .number = 1024},   /* NUMBER KiB of content */
    {"usage", answer_usage, .number = 1},  /* NUMBER + 1000 tokens of input, NUMBER + 100 of output */
    {"preerror", answer_preamble_error, "overloaded"},
    {"prerate", answer_preamble_error, "rate"},
    {"presilence", answer_preamble_silence},
    {"precut", answer_preamble_cut},
    {"cut", answer_cut},
    {"stall", answer_stall},
    {"miderror", answer_middle_error, "overloaded"},
    {"badchunk", answer_bad_chunk},
    {"noend",
        answer_no_end}, /* a stream that ends without its end event; whole: chunks without the last one */
    {"gzip", answer_gzip},
    {"tool", answer_tool},
    {"thinking", answer_thinking},
    {"goes", answer_goes},     /* answers well, then closes a connection that could have been kept */
    {"untold", answer_untold}, /* a body that ends with the connection */
    {"http10", answer_raw,
        "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"},
    {"204", answer_raw, "HTTP/1.1 204 No Content\r\n\r\n"},
    {"redirect", answer_raw,
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"},
    {"upgrade", answer_raw, "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"},
    {"badstatus", answer_raw, "HTTP/1.1 2x0 What\r\ncontent-length: 2\r\n\r\n{}"},
    {"nothttp", answer_raw, "220 mail.example ESMTP\r\n"},
    {"badname", answer_raw, "HTTP/1.1 200 OK\r\nbad name : x\r\ncontent-length: 2\r\n\r\n{}"},
    {"folded", answer_raw, "HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 2\r\n\r\n{}"},
    {"twolengths", answer_raw,
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}123456789"},
    {"badlength", answer_raw, "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}"},
    {"smuggle", answer_raw,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
    {"extra", answer_raw,
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"},
    {"nul", answer_nul},
    {"info", answer_info},           /* 103 and 100 first, then the answer */
    {"infoflood", answer_infoflood}, /* 103 for ever */
    {"headbomb", answer_headbomb},   /* a megabyte of fields */
    {"endlesshead", answer_endlesshead},
    {"endlessline", answer_endlessline},
    {"slowhead", answer_slowhead, .number = 50}, /* a byte every NUMBER ms */
    {"endlessbody", answer_endlessbody},
    {"endlessevent", answer_endlessevent},     /* one event that never ends */
    {"endlesserror", answer_endlesserror},     /* a 429 whose body never ends */
    {"early", answer_early, .is_early = true}, /* refuses a body that it has not read */
    {"__control", answer_control},
};

static struct key_state {
	char key[KEY_MAX];
	char chosen[64]; /* by manner_set() */
	const struct manner *manner;
	bool is_once, is_flapping;
	int64_t number;
	uint64_t uses;
} keys[KEYS_MAX];

static const struct manner *manner_find(const char *name)
{
	for (size_t i = 0; i < sizeof(manners) / sizeof(manners[0]); i++)
		if (strcmp(manners[i].name, name) == 0)
			return &manners[i];
	return NULL;
}

/* The longest name that the word begins with, if the rest of it is what may follow a name. */
static bool word_read(struct key_state *state, const char *word)
{
	const struct manner *best = NULL;
	const char *rest = NULL;

	state->is_flapping = strncmp(word, "flap", 4) == 0;
	if (state->is_flapping)
		word += 4;
	if (state->is_flapping && *word == '\0')
		word = "500";
	for (size_t i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
		const char *after = word + strlen(manners[i].name);

		if (strncmp(word, manners[i].name, strlen(manners[i].name)) != 0 ||
		    (rest != NULL && after <= rest))
			continue;
		state->is_once = strncmp(after, "once", 4) == 0;
		if (after[state->is_once ? 4 + strspn(after + 4, "0123456789")
		                         : strspn(after, "0123456789")] != '\0')
			continue;
		best = &manners[i];
		rest = after;
	}
	if (best == NULL)
		return false;
	state->is_once = strncmp(rest, "once", 4) == 0;
	rest += state->is_once ? 4 : 0;
	state->manner = best;
	state->number = *rest != '\0' ? strtoll(rest, NULL, 10) : -1;
	return true;
}

static void key_read(struct key_state *state, const char *key)
{
	char copy[KEY_MAX], *at = copy, *word;

	state->manner = NULL;
	snprintf(copy, sizeof(copy), "%s", key);
	while ((word = strsep(&at, "-")) != NULL && !word_read(state, word))
		;
	if (state->manner != NULL && state->number < 0) {
		state->number = state->manner->number;
		if (state->number > 0 && at != NULL && isdigit((unsigned char)*at))
			state->number = strtoll(at, NULL, 10);
	}
}

static struct key_state *key_find(const char *key)
{
	size_t at = hash_bytes(key, strlen(key)) & (KEYS_MAX - 1);

	for (size_t tries = 0; tries < KEYS_MAX - 1; tries++, at = (at + 1) & (KEYS_MAX - 1)) {
		if (strcmp(keys[at].key, key) == 0)
			return &keys[at];
		if (keys[at].key[0] == '\0')
			break;
	}
	snprintf(keys[at].key, sizeof(keys[at].key), "%s", key);
	key_read(&keys[at], key);
	return &keys[at];
}

void manner_set(const char *key, const char *manner)
{
	struct key_state *state = key_find(key);

	snprintf(state->chosen, sizeof(state->chosen), "%s", strcmp(manner, "-") == 0 ? "" : manner);
	key_read(state, state->chosen[0] != '\0' ? state->chosen : key);
	state->uses = 0;
}

bool manner_set_only(const char *name)
{
	mock.only = manner_find(name);
	return mock.only != NULL;
}

const char *manner_of(const char *key)
{
	const struct key_state *state = key[0] != '\0' ? key_find(key) : NULL;

	return state != NULL && state->manner != NULL ? state->manner->name : "none";
}

void manner_tell(struct bytes *words)
{
	const char *separator = "";

	for (size_t i = 0; i < KEYS_MAX; i++) {
		if (keys[i].key[0] == '\0' || strpbrk(keys[i].key, "\"\\") != NULL)
			continue;
		bytes_print(words, "%s\"%s\":%" PRIu64, separator, keys[i].key, keys[i].uses);
		separator = ",";
	}
}

bool manner_answer(struct connection *connection, bool early)
{
	static const struct manner refused = {"none", answer_error, "key"};
	const struct request *request = &connection->request;
	struct key_state *state = request->key[0] != '\0' ? key_find(request->key) : NULL;
	const struct manner *manner = state != NULL && state->manner != NULL ? state->manner : &refused;
	bool is_control = strncmp(request->path, "/__", 3) == 0;

	if (early && (!manner->is_early || is_control))
		return false;
	if (is_control)
		manner = manner_find("__control");
	else if (mock.only != NULL)
		manner = mock.only;
	else if (state != NULL &&
	         ((state->is_once && state->uses > 0) || (state->is_flapping && state->uses % 2 == 1)))
		manner = manner_find("ok");
	if (state != NULL && !is_control)
		state->uses++;
	connection->phase = PHASE_ANSWER;
	connection->words.length = 0;
	connection->fixed = NULL;
	connection->step_count = connection->step = connection->sent = 0;
	words_speak_for(is_control ? "" : request->key);
	manner->answer(connection, manner->words, state != NULL ? state->number : 0);
	return true;
}
