/* The events "agent", "chat" and "session.tool": what each says of its run; and "sessions.changed". */
#include <string.h>

#include "base/hash.h"
#include "gateway/openclaw_talk.h"

#define TIME_MAX_MS 1e14

/* The members of a payload, as far as they are there. Of duplicates the first counts; JSON.stringify() makes
 * none. */
struct payload {
	struct json_span run, key, id, stream, state, data, ts;
	bool cut;
};

struct member {
	const char *name;
	struct json_span *target;
};

/* Of an object that is cut, what there is of it counts; of anything else nothing: a number may go on. */
static void read_members(struct json_skim *skim, const struct member *members)
{
	struct json_span key, value;

	while (json_skim_next(skim, &key, &value) || (value.bytes != NULL && *value.bytes == '{'))
		for (const struct member *member = members; member->name != NULL; member++)
			if (member->target->bytes == NULL && json_span_is(&key, member->name)) {
				*member->target = value;
				break;
			}
}

/* As both versions begin them; the run's id comes next. */
static const char *skip_beginning(const char *text, const char *end, bool *is_chat)
{
	static const char agent[] = "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"runId\":\"",
	                  chat[] = "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"runId\":\"";
	size_t length = (size_t)(end - text);

	if (length > sizeof(agent) && memcmp(text, agent, sizeof(agent) - 1) == 0) {
		*is_chat = false;
		return text + sizeof(agent) - 1;
	}
	if (length > sizeof(chat) && memcmp(text, chat, sizeof(chat) - 1) == 0) {
		*is_chat = true;
		return text + sizeof(chat) - 1;
	}
	return NULL;
}

enum name { NAME_OTHER, NAME_AGENT, NAME_CHAT, NAME_TOOL, NAME_CHANGED };

static enum name name_of(const struct json_span *value)
{
	static const char *const names[] = {[NAME_AGENT] = "agent",
	    [NAME_CHAT] = "chat",
	    [NAME_TOOL] = "session.tool",
	    [NAME_CHANGED] = "sessions.changed"};

	for (size_t i = NAME_AGENT; i <= NAME_CHANGED; i++)
		if (json_span_is(value, names[i]))
			return (enum name)i;
	return NAME_OTHER;
}

/* To the payload of one of these events. Both versions write its name before its payload. */
static enum name find_payload(const char *text, size_t length, struct json_skim *payload)
{
	struct json_skim frame;
	struct json_span key, value;
	bool is_event = false, is_chat;
	enum name name = NAME_OTHER;
	const char *inside = skip_beginning(text, text + length, &is_chat);

	if (inside != NULL) {
		inside -= strlen("{\"runId\":\"");
		json_skim_begin(payload, inside, (size_t)(text + length - inside));
		return is_chat ? NAME_CHAT : NAME_AGENT;
	}
	json_skim_begin(&frame, text, length);
	while (json_skim_key(&frame, &key)) {
		if (json_span_is(&key, "payload")) {
			json_skim_into(&frame, payload);
			return is_event ? name : NAME_OTHER;
		}
		if (!json_skim_value(&frame, &value))
			return NAME_OTHER;
		if (json_span_is(&key, "type")) {
			is_event = json_span_is(&value, "event");
		} else if (json_span_is(&key, "event")) {
			name = name_of(&value);
		}
	}
	return NAME_OTHER;
}

static bool begins(const char *text, const char *end, const char *with)
{
	size_t length = strlen(with);

	return (size_t)(end - text) >= length && memcmp(text, with, length) == 0;
}

/* `text` is behind the run of an event "chat": its state comes after a few short members. */
static bool is_delta(const char *text, const char *end)
{
	struct json_skim skim;
	struct json_span key, value;

	skim = (struct json_skim){.next = text, .end = end, .begun = true};
	while (json_skim_key(&skim, &key)) {
		if (json_span_is(&key, "message") || !json_skim_value(&skim, &value))
			return false;
		if (json_span_is(&key, "state"))
			return json_span_is(&value, "delta");
	}
	return false;
}

bool openclaw_event_run(const char *text, size_t length, struct json_span *run)
{
	const char *end = text + length, *quote;
	bool is_chat;

	*run = (struct json_span){0};
	text = skip_beginning(text, end, &is_chat);
	if (text == NULL)
		return false;
	for (quote = text; quote < end && *quote != '"'; quote++)
		if (*quote == '\\' || quote - text == OPENCLAW_RUN_MAX - 1)
			return false;
	if (quote == end || quote == text)
		return false;
	*run = (struct json_span){text, (size_t)(quote - text)};
	quote++;
	if (is_chat)
		return is_delta(quote, end);
	return begins(quote, end, ",\"stream\":\"assistant\",") ||
	       begins(quote, end, ",\"stream\":\"thinking\",");
}

static int64_t read_time(const struct json_span *span)
{
	double number;

	if (!json_span_number(span, &number) || !(number >= 1 && number <= TIME_MAX_MS))
		return 0;
	return (int64_t)number;
}

static enum openclaw_what read_lifecycle(const struct json_span *phase, bool cut)
{
	if (json_span_is(phase, "start"))
		return OPENCLAW_BEGAN;
	if (json_span_is(phase, "end") || json_span_is(phase, "error"))
		return OPENCLAW_ENDED;
	/* It may be the end that was cut. */
	return phase->bytes == NULL && cut ? OPENCLAW_NOTHING : OPENCLAW_MOVED;
}

static enum openclaw_what read_approval(const struct json_span *phase, const struct json_span *status)
{
	if (json_span_is(phase, "resolved"))
		return OPENCLAW_ANSWERED;
	/* "unavailable": there is nobody to be asked, and the run goes on without. */
	if (json_span_is(phase, "requested") && json_span_is(status, "pending"))
		return OPENCLAW_ASKED;
	return OPENCLAW_MOVED;
}

/* A tool's call: 2026.9.6 as "item", both as "tool" to those who want it. */
static enum openclaw_what read_tool(const struct json_span *phase, const struct json_span *kind, bool is_item)
{
	if (is_item && !json_span_is(kind, "tool"))
		return OPENCLAW_MOVED;
	if (json_span_is(phase, "start"))
		return OPENCLAW_TOOL_BEGAN;
	return json_span_is(phase, is_item ? "end" : "result") ? OPENCLAW_TOOL_ENDED : OPENCLAW_MOVED;
}

/* The streams of which the data say more than that the run moves. */
static void read_data(struct openclaw_event *event, const struct payload *payload)
{
	struct json_span phase = {0}, status = {0}, kind = {0}, name = {0}, call = {0}, item = {0},
	                 started = {0}, aborted = {0};
	const struct member members[] = {{"phase", &phase}, {"status", &status}, {"kind", &kind},
	    {"name", &name}, {"toolCallId", &call}, {"itemId", &item}, {"startedAt", &started},
	    {"aborted", &aborted}, {NULL, NULL}};
	const struct json_span *stream = &payload->stream;
	struct json_skim skim;

	json_skim_begin(&skim, payload->data.bytes, payload->data.length);
	read_members(&skim, members);
	if (json_span_is(stream, "lifecycle"))
		event->what = read_lifecycle(&phase, payload->cut);
	else if (json_span_is(stream, "run_status"))
		event->what = json_span_is(&phase, "retrying")          ? OPENCLAW_RETRIES
		              : json_span_is(&phase, "memory_flushing") ? OPENCLAW_KEEPS_HOUSE
		                                                        : OPENCLAW_PREPARES;
	else if (json_span_is(stream, "approval"))
		event->what = read_approval(&phase, &status);
	else
		event->what = read_tool(&phase, &kind, json_span_is(stream, "item"));
	if (json_span_is(stream, "lifecycle"))
		event->started_at_ms = read_time(&started);
	event->aborted = json_span_spells(&aborted, "true");
	json_span_text(&name, event->tool, sizeof(event->tool));
	if (!json_span_is_string(&call))
		call = item;
	if (json_span_is_string(&call))
		event->item = hash_bytes(call.bytes + 1, call.length - 2);
}

static bool stream_has_data(const struct json_span *stream)
{
	static const char *const names[] = {"lifecycle", "run_status", "item", "tool", "approval"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_span_is(stream, names[i]))
			return true;
	return false;
}

static void read_agent(struct openclaw_event *event, const struct payload *payload)
{
	event->what = json_span_is(&payload->stream, "compaction") ? OPENCLAW_KEEPS_HOUSE : OPENCLAW_MOVED;
	if (payload->data.bytes != NULL && stream_has_data(&payload->stream))
		read_data(event, payload);
	else if (stream_has_data(&payload->stream) || json_span_is(&payload->stream, "error"))
		event->what =
		    OPENCLAW_NOTHING; /* "error": events were lost on their way, the run did nothing */
}

/* "status" comes beside a run_status, which says more. */
static void read_chat(struct openclaw_event *event, const struct json_span *state)
{
	event->aborted = json_span_is(state, "aborted");
	if (json_span_is(state, "delta"))
		event->what = OPENCLAW_MOVED;
	else if (event->aborted || json_span_is(state, "final") || json_span_is(state, "error"))
		event->what = OPENCLAW_CHAT_ENDED;
}

bool openclaw_event_read(const char *text, size_t length, struct openclaw_event *event)
{
	struct payload payload = {0};
	const struct member members[] = {{"runId", &payload.run}, {"sessionKey", &payload.key},
	    {"sessionId", &payload.id}, {"stream", &payload.stream}, {"state", &payload.state},
	    {"data", &payload.data}, {"ts", &payload.ts}, {NULL, NULL}};
	const struct json_span *says;
	struct json_skim skim;
	enum name name = find_payload(text, length, &skim);

	*event = (struct openclaw_event){0};
	if (name == NAME_OTHER || name == NAME_CHANGED)
		return false;
	event->is_chat = name == NAME_CHAT;
	read_members(&skim, members);
	payload.cut = event->cut = skim.cut;
	says = event->is_chat ? &payload.state : &payload.stream;
	if (skim.broken || !json_span_is_string(says) ||
	    !json_span_text(&payload.run, event->run, sizeof(event->run)) || event->run[0] == '\0')
		return false;
	json_span_text(&payload.key, event->key, sizeof(event->key));
	json_span_text(&payload.id, event->id, sizeof(event->id));
	event->ts_ms = read_time(&payload.ts);
	if (event->is_chat)
		read_chat(event, says);
	else
		read_agent(event, &payload);
	event->is_visible =
	    name == NAME_TOOL || event->what == OPENCLAW_PREPARES || event->what == OPENCLAW_RETRIES;
	return true;
}

/* What it says of a session is there twice: as a row, and beside that. */
bool openclaw_change_read(const char *text, size_t length, struct openclaw_row *row)
{
	struct json_span key = {0}, id = {0}, status = {0}, active = {0}, started = {0};
	const struct member members[] = {{"sessionKey", &key}, {"sessionId", &id}, {"status", &status},
	    {"hasActiveRun", &active}, {"startedAt", &started}, {NULL, NULL}};
	struct json_skim skim;

	*row = (struct openclaw_row){0};
	if (find_payload(text, length, &skim) != NAME_CHANGED)
		return false;
	read_members(&skim, members);
	if (skim.broken || !json_span_text(&key, row->key, sizeof(row->key)) || row->key[0] == '\0')
		return false;
	json_span_text(&id, row->id, sizeof(row->id));
	row->knows_running = json_span_is_string(&status) || json_span_spells(&active, "true") ||
	                     json_span_spells(&active, "false");
	row->queued = json_span_is(&status, "queued");
	row->running =
	    json_span_is(&status, "running") || (!row->queued && json_span_spells(&active, "true"));
	row->started_at_ms = read_time(&started);
	return true;
}
