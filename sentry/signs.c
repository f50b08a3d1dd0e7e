#include "sentry/signs.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "format/json5.h"
#include "format/json_write.h"

#define SIGNS_AGAIN_MS (5 * 60000)
#define TIMEOUT_MS     10000
#define READY_VALUES   256
#define LINE_SHOWN_MAX 280

static const struct json_value *member(
    const struct json_document *document, const struct json_value *object, const char *key)
{
	return object != NULL && object->type == JSON_OBJECT ? json_find(document, object, key) : NULL;
}

/* A number of milliseconds, or a share in thousandths; -1 where there is none. */
static int32_t read_number(
    const struct json_document *document, const struct json_value *object, const char *key, double factor)
{
	const struct json_value *value = member(document, object, key);
	double number = value != NULL && value->type == JSON_NUMBER ? value->number * factor : -1;

	return number >= 0 && number < INT32_MAX ? (int32_t)number : -1;
}

static void read_failing(
    const struct json_document *document, const struct json_value *list, struct text *text)
{
	if (list == NULL || list->type != JSON_ARRAY)
		return;
	for (const struct json_value *value = json_first(document, list); value != NULL;
	     value = json_next(document, value)) {
		if (value->type != JSON_STRING)
			continue;
		text_addf(text, "%s%s", text->length > 0 ? ", " : "", value->string.bytes);
	}
}

bool signs_read_ready(const char *body, size_t length, struct message_figures *figures, bool *degraded)
{
	struct json_value values[READY_VALUES];
	char strings[4096];
	struct json_document document = {
	    .values = values, .value_max = READY_VALUES, .strings = strings, .string_size = sizeof(strings)};
	struct json_fault fault;
	const struct json_value *root, *loop, *word;
	struct text failing;

	if (json_parse(&document, body, length, JSON_STRICT, &fault) < 0)
		return false;
	root = json_root(&document);
	if (member(&document, root, "ready") == NULL)
		return false;
	loop = member(&document, root, "eventLoop");
	word = member(&document, loop, "degraded");
	*degraded = word != NULL && word->type == JSON_BOOL && word->boolean;
	figures->loop_delay_p99_ms = read_number(&document, loop, "delayP99Ms", 1);
	figures->loop_delay_max_ms = read_number(&document, loop, "delayMaxMs", 1);
	figures->loop_utilization_permille = read_number(&document, loop, "utilization", 1000);
	text_init(&failing, figures->failing, sizeof(figures->failing));
	read_failing(&document, member(&document, root, "failing"), &failing);
	return true;
}

static void tell(struct signs *signs, size_t kind, const char *name, const char *sentence, const char *said)
{
	struct message_finding finding = {
	    .generation = signs->figures.generation, .severity = SEVERITY_WARNING};
	int64_t now_ms = clock_boot_ms();
	struct text json, reason;

	signs->kinds[kind].untold++;
	if (signs->kinds[kind].told_ms != 0 && now_ms - signs->kinds[kind].told_ms < SIGNS_AGAIN_MS)
		return;
	text_copy(finding.kind, sizeof(finding.kind), name);
	text_init(&reason, finding.reason, sizeof(finding.reason));
	text_addf(&reason, "%s: \"%.*s\".", sentence, LINE_SHOWN_MAX, said);
	text_init(&json, finding.evidence, sizeof(finding.evidence));
	json_write_begin(&json, '{');
	json_write_key(&json, "times");
	json_write_unsigned(&json, signs->kinds[kind].untold);
	json_write_key(&json, "said");
	json_write_string(&json, said);
	json_write_end(&json, '}');
	if (json.truncated)
		finding.evidence[0] = '\0';
	signs->kinds[kind].told_ms = now_ms;
	signs->kinds[kind].untold = 0;
	signs->found(signs, &finding);
}

void signs_line(struct signs *signs, const char *line)
{
	const struct gateway_sign *list = signs->facts->signs;

	for (size_t kind = 0; list != NULL && list[kind].text != NULL && kind < SIGNS_KINDS_MAX - 1; kind++) {
		if (strstr(line, list[kind].text) == NULL)
			continue;
		signs->figures.slow_listeners += list[kind].is_listener;
		tell(signs, kind, list[kind].kind, list[kind].sentence, line);
		signs->changed(signs);
		return;
	}
}

static void get_done(struct http_get *get, enum http_get_result result)
{
	struct signs *signs = get->context;
	bool degraded = false;
	struct text text;
	char said[160];

	if (result != HTTP_GET_ANSWERED ||
	    !signs_read_ready(get->body, get->body_length, &signs->figures, &degraded))
		return;
	if (degraded && !signs->was_degraded) {
		text_init(&text, said, sizeof(said));
		text_addf(&text, "delayP99Ms %d, delayMaxMs %d", signs->figures.loop_delay_p99_ms,
		    signs->figures.loop_delay_max_ms);
		tell(signs, SIGNS_KINDS_MAX - 1, "gateway.event_loop_delayed",
		    "The gateway calls its own event loop degraded", said);
	}
	signs->was_degraded = degraded;
	signs->changed(signs);
}

static void ask(struct loop_timer *timer)
{
	struct signs *signs = timer->context;

	if (!http_get_is_busy(&signs->get))
		http_get_start(&signs->get, signs->port, signs->facts->ready_path, TIMEOUT_MS);
	loop_timer_arm(signs->loop, &signs->next, clock_boot_ms() + signs->interval_ms);
}

void signs_init(struct signs *signs)
{
	http_get_init(&signs->get, signs->loop);
	signs->get.done = get_done;
	signs->get.context = signs;
	signs->next = (struct loop_timer){.callback = ask, .context = signs};
}

void signs_start(struct signs *signs, uint64_t generation, uint32_t port, int64_t interval_ms)
{
	if (signs->figures.generation != generation) {
		memset(&signs->figures, 0, sizeof(signs->figures));
		signs->figures.generation = generation;
		signs->figures.loop_delay_p99_ms = signs->figures.loop_delay_max_ms = -1;
		signs->figures.loop_utilization_permille = -1;
		signs->was_degraded = false;
	}
	signs->port = port;
	if (signs->interval_ms != 0 || port == 0 || signs->facts->ready_path == NULL)
		return;
	signs->interval_ms = interval_ms;
	/* Between two health probes, not together with one. */
	loop_timer_arm(signs->loop, &signs->next, clock_boot_ms() + interval_ms / 2);
}

void signs_stop(struct signs *signs)
{
	http_get_cancel(&signs->get);
	signs->interval_ms = 0;
	loop_timer_arm(signs->loop, &signs->next, 0);
}
