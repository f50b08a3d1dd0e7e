/* What a verdict rested on, in words; and what to do about what happened. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "recorder/story.h"

#define SENTENCE_MAX 512

struct word {
	const char *name, *words;
};

static const struct word results[] = {
    {"L4CON", "refused: nothing listened"},
    {"L4TOUT", "no connection was made in time"},
    {"L7TOUT", "connected, and no answer in time"},
    {"L7RSP", "closed, or nonsense instead of an answer"},
    {"L7STS", "answered with another status than it should"},
    {"WSTICK", "open, and the tick that was due did not come"},
    {"WSAUTH", "our token is not accepted"},
    {"PROCERR", "the command failed"},
    {"PROCTOUT", "the command did not end in time"},
    {"SOCKERR", "we could not ask"},
};

static const struct word states[] = {
    {"R", "was running (state R)"},
    {"S", "slept (state S)"},
    {"D", "was in a wait that nothing interrupts (state D)"},
    {"T", "was stopped by a signal (state T)"},
    {"t", "was stopped by a debugger (state t)"},
    {"Z", "had ended (state Z)"},
};

static const struct word witnesses[] = {
    {"unanswered", "probes without an answer"},
    {"pinned", "a main thread that ran without pause"},
    {"stopped", "a process that is stopped"},
    {"uninterruptible", "a main thread in a wait that nothing interrupts"},
    {"no-tick", "a WebSocket without its tick"},
    {"queue", "our own connections still in its queue"},
    {"promise", "a watchdog promise that it did not keep"},
    {"no-connection", "neither HTTP nor WebSocket can be opened any more"},
};

static const struct word holds[] = {
    {"debugger", "a debugger is attached"},
    {"frozen", "somebody froze it"},
    {"no-witness", "nothing but the probes speaks against it"},
    {"blind", "Holdfast could not ask"},
    {"reloading", "it said that it reloads"},
    {"starved", "other programs use the processors"},
    {"stolen", "the host gives this machine no processor"},
    {"memory", "other programs make it wait for memory"},
    {"late", "Holdfast itself was late"},
};

static const char *words_for(const struct word *words, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i].name, name) == 0)
			return words[i].words;
	return NULL;
}

#define WORDS_FOR(table, name) words_for(table, sizeof(table) / sizeof((table)[0]), name)

struct judgement {
	const struct json_document *document;
	const struct json_value *root;
	void (*say)(void *context, const char *sentence);
	void *context;
};

/* -1: it is not there. */
static int64_t number(const struct judgement *judgement, const char *key)
{
	const struct json_value *value = json_find(judgement->document, judgement->root, key);

	if (value == NULL || value->type != JSON_NUMBER || !(value->number >= 0 && value->number < 1e15))
		return -1;
	return (int64_t)value->number;
}

static const char *string(const struct judgement *judgement, const char *key)
{
	const struct json_value *value = json_find(judgement->document, judgement->root, key);

	return value != NULL && value->type == JSON_STRING ? value->string.bytes : "";
}

static void say(const struct judgement *judgement, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct judgement *judgement, const char *format, ...)
{
	char sentence[SENTENCE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	judgement->say(judgement->context, sentence);
}

static void tell_silence(const struct judgement *judgement)
{
	int64_t silent_ms = number(judgement, "silent_ms"), blocked_ms = number(judgement, "blocked_ms");
	int64_t unanswered = number(judgement, "unanswered");
	const char *probe = string(judgement, "probe"), *meaning = WORDS_FOR(results, probe);
	char duration[32];

	if (silent_ms > 0)
		say(judgement, "It had last proved to be well %s before.",
		    text_duration(duration, sizeof(duration), silent_ms));
	if (unanswered > 0 && meaning != NULL)
		say(judgement, "%" PRId64 " probe%s in a row had no answer (%s: %s).", unanswered,
		    unanswered == 1 ? "" : "s", probe, meaning);
	else if (unanswered > 0)
		say(judgement, "%" PRId64 " probe%s in a row had no answer.", unanswered,
		    unanswered == 1 ? "" : "s");
	if (blocked_ms > 0)
		say(judgement, "The oldest of them had been waiting for %s.",
		    text_duration(duration, sizeof(duration), blocked_ms));
}

static void tell_process(const struct judgement *judgement)
{
	int64_t queue = number(judgement, "queue"), main_permille = number(judgement, "main_permille");
	int64_t others_permille = number(judgement, "others_permille");
	const char *state = string(judgement, "state"), *meaning = WORDS_FOR(states, state);
	const char *link = string(judgement, "link"), *link_meaning = WORDS_FOR(results, link);

	if (meaning != NULL && main_permille >= 0)
		say(judgement,
		    "Its main thread %s, and had been on a processor for %" PRId64 " %% of the time.",
		    meaning, main_permille / 10);
	else if (meaning != NULL)
		say(judgement, "Its main thread %s.", meaning);
	if (queue > 0)
		say(judgement, "%" PRId64 " connection%s waited to be accepted.", queue,
		    queue == 1 ? "" : "s");
	if (link_meaning != NULL)
		say(judgement, "The standing WebSocket: %s (%s).", link_meaning, link);
	if (others_permille >= 0)
		say(judgement, "Other programs used %" PRId64 " %% of the processors.", others_permille / 10);
}

/* What is not in the table is said as it is: another version may have put it there. */
static void tell_list(const struct judgement *judgement, const char *key, const char *before,
    const struct word *words, size_t count)
{
	const struct json_value *list = json_find(judgement->document, judgement->root, key);
	char buffer[SENTENCE_MAX];
	const char *separator = " ";
	struct text text;

	if (list == NULL || list->type != JSON_ARRAY || list->children.count == 0)
		return;
	text_init(&text, buffer, sizeof(buffer));
	text_add(&text, before);
	for (const struct json_value *item = json_first(judgement->document, list); item != NULL;
	     item = json_next(judgement->document, item)) {
		const char *meaning;

		if (item->type != JSON_STRING)
			continue;
		meaning = words_for(words, count, item->string.bytes);
		text_addf(&text, "%s%.80s", separator, meaning != NULL ? meaning : item->string.bytes);
		separator = ", ";
	}
	text_add(&text, ".");
	judgement->say(judgement->context, buffer);
}

void judgement_tell(const char *evidence, void (*tell)(void *context, const char *sentence), void *context)
{
	static struct json_value values[JSON_VALUES_FOR(READER_EVIDENCE_SIZE)];
	static char strings[JSON_STRINGS_FOR(READER_EVIDENCE_SIZE)];
	struct json_document document = {.values = values,
	    .value_max = sizeof(values) / sizeof(values[0]),
	    .strings = strings,
	    .string_size = sizeof(strings)};
	struct judgement judgement = {.document = &document, .say = tell, .context = context};
	struct json_fault fault;

	if (json_parse(&document, evidence, strlen(evidence), JSON_STRICT, &fault) < 0)
		return;
	judgement.root = json_root(&document);
	tell_silence(&judgement);
	tell_process(&judgement);
	tell_list(&judgement, "witnesses", "What spoke against it:", witnesses,
	    sizeof(witnesses) / sizeof(witnesses[0]));
	tell_list(&judgement, "held", "What spoke for waiting:", holds, sizeof(holds) / sizeof(holds[0]));
	tell_list(&judgement, "sessions",
	    "Sessions that stayed stuck although their abort was tried twice (\"holdfast events --kind "
	    "'session.*'\" has what each waited for):",
	    NULL, 0);
}

/* The most telling first: an incident is more often many kinds than one. */
static const struct word advices[] = {
    {"gateway.config_fallback", "Mend the gateway's configuration file: it runs from the copy that was kept "
                                "when it was last well, and "
                                "returns to the file as soon as that is valid."},
    {"gateway.out_of_memory",
        "Give the gateway more memory (a larger limit of its cgroup or container; for a full JavaScript heap "
        "--max-old-space-size in its NODE_OPTIONS), or make its sessions and tool results smaller."},
    {"gateway.memory", "Give the gateway more memory, or make its sessions and tool results smaller: it was "
                       "restarted before "
                       "it would have been killed."},
    {"gateway.parked", "Do what the reason for parking names; \"holdfast start\" then tries again at once."},
    {"tree.left", "Find out what the processes that cannot be killed wait for: it is mostly a disk or a "
                  "network file system "
                  "that does not answer."},
    {"gateway.channels_off",
        "Let it run: it turns its channels on by itself when its bad starts are long enough ago."},
    {ADVICE_STUCK_SESSIONS,
        "Look at what the sessions waited for (\"holdfast events --kind 'session.*'\"): a provider that does "
        "not "
        "answer, or a tool that never ends, is what to mend; give them more time with gateway.sessions if "
        "they were only slow."},
    {"gateway.condemned", "Look at what it was doing just before in console.log; if it comes again, tell the "
                          "makers of the gateway, "
                          "with what \"holdfast explain --json\" prints."},
    {"gateway.start_failed", "Look at what it said before it ended in console.log, and run its command by "
                             "hand where that says too "
                             "little."},
    {"gateway.exited",
        "Nothing, unless it comes again: then what it printed last, in console.log, says more."},
};

int advice_rank(const char *kind)
{
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
		if (strcmp(advices[i].name, kind) == 0)
			return (int)i;
	return -1;
}

const char *advice_sentence(int rank)
{
	if (rank < 0 || (size_t)rank >= sizeof(advices) / sizeof(advices[0]))
		return "Nothing, unless it comes again.";
	return advices[rank].words;
}
