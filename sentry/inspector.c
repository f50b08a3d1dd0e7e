#include "sentry/inspector.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/text.h"
#include "format/json5.h"
#include "process/examine.h"
#include "world/world.h"

#define MESSAGE_BYTES (256 * 1024)
#define VALUES_MAX    4096
#define SCRIPTS_MAX   16384
#define URL_BYTES     (1536 * 1024)
#define UUID_LENGTH   36
#define METHOD_WITHIN 64 /* V8 names the method first */

struct script {
	uint32_t id, offset;
};

/* Mapped for each use: touched only as far as it is needed, and given back as a whole. */
struct inspector_space {
	char message[MESSAGE_BYTES];
	char strings[JSON_STRINGS_FOR(MESSAGE_BYTES)];
	struct json_value values[VALUES_MAX];
	struct script scripts[SCRIPTS_MAX];
	uint32_t script_count, url_used;
	char urls[URL_BYTES];
};

bool inspector_read_address(const char *line, uint32_t *port, char path[38])
{
	static const char words[] = "Debugger listening on ws://127.0.0.1:";
	char digits[6];
	size_t length;
	uint64_t number;
	const char *at;

	if (strncmp(line, words, sizeof(words) - 1) != 0)
		return false;
	at = line + sizeof(words) - 1;
	length = strcspn(at, "/");
	if (length == 0 || length >= sizeof(digits) || at[length] != '/')
		return false;
	memcpy(digits, at, length);
	digits[length] = '\0';
	if (text_to_u64(digits, UINT16_MAX, &number) < 0 || number == 0)
		return false;
	at += length;
	length = strspn(at + 1, "0123456789abcdef-");
	if (length != UUID_LENGTH || strspn(at + 1 + length, " \r\n") != strlen(at + 1 + length))
		return false;
	memcpy(path, at, length + 1);
	path[length + 1] = '\0';
	*port = (uint32_t)number;
	return true;
}

static void end(struct inspector *inspector, enum inspector_state state)
{
	inspector->state = state;
	inspector->ended(inspector);
}

static void attached(struct websocket *websocket)
{
	static const char enable[] = "{\"id\":1,\"method\":\"Debugger.enable\"}";
	static const char pause[] = "{\"id\":2,\"method\":\"Debugger.pause\"}";
	struct inspector *inspector = websocket->context;

	inspector->state = INSPECTOR_ATTACHED;
	if (websocket_send(websocket, enable, sizeof(enable) - 1) < 0 ||
	    websocket_send(websocket, pause, sizeof(pause) - 1) < 0) {
		websocket_close(websocket);
		end(inspector, INSPECTOR_FAILED);
	}
}

static void detached(struct websocket *websocket, enum websocket_end how, unsigned code)
{
	struct inspector *inspector = websocket->context;

	(void)how;
	(void)code;
	/* After its pause: the process has ended. */
	if (inspector->state != INSPECTOR_PAUSED)
		end(inspector, INSPECTOR_FAILED);
}

static const struct json_value *parse(
    struct inspector_space *space, struct json_document *document, const char *text, size_t length)
{
	struct json_fault fault;

	*document = (struct json_document){.values = space->values,
	    .value_max = VALUES_MAX,
	    .strings = space->strings,
	    .string_size = sizeof(space->strings)};
	return json_parse(document, text, length, JSON_STRICT, &fault) < 0 ? NULL : json_root(document);
}

static const char *string_of(
    const struct json_document *document, const struct json_value *object, const char *key)
{
	const struct json_value *value = json_find(document, object, key);

	return value != NULL && value->type == JSON_STRING ? value->string.bytes : "";
}

static uint32_t number_of(
    const struct json_document *document, const struct json_value *object, const char *key)
{
	const struct json_value *value = json_find(document, object, key);

	if (value == NULL || value->type != JSON_NUMBER ||
	    !(value->number >= 0 && value->number < UINT32_MAX))
		return 0;
	return (uint32_t)value->number;
}

static uint32_t script_id(const struct json_document *document, const struct json_value *object)
{
	uint64_t id;

	return text_to_u64(string_of(document, object, "scriptId"), UINT32_MAX, &id) < 0 ? 0 : (uint32_t)id;
}

/* Every script that was ever loaded is told of, and only afterwards which ones are meant. */
static void keep_script(struct inspector_space *space, const char *text, size_t length)
{
	struct json_document document;
	const struct json_value *root = parse(space, &document, text, length);
	const struct json_value *params = root != NULL ? json_find(&document, root, "params") : NULL;
	const char *url = params != NULL ? string_of(&document, params, "url") : "";
	size_t url_length = strlen(url);

	if (url_length == 0 || url_length >= INSPECTOR_FILE_MAX || space->script_count == SCRIPTS_MAX ||
	    url_length + 1 > URL_BYTES - space->url_used)
		return;
	space->scripts[space->script_count++] =
	    (struct script){script_id(&document, params), space->url_used};
	memcpy(space->urls + space->url_used, url, url_length + 1);
	space->url_used += (uint32_t)url_length + 1;
}

static const char *find_url(const struct inspector_space *space, uint32_t id)
{
	for (uint32_t i = 0; i < space->script_count; i++)
		if (space->scripts[i].id == id)
			return space->urls + space->scripts[i].offset;
	return "";
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A file: URL as the path that people know. */
static void copy_file(char *target, size_t size, const char *url)
{
	bool is_file = strncmp(url, "file://", 7) == 0;
	size_t length = 0;

	for (const char *at = is_file ? url + 7 : url; *at != '\0' && length < size - 1; at++) {
		int high = is_file && *at == '%' ? hex_digit(at[1]) : -1;
		int low = high >= 0 ? hex_digit(at[2]) : -1;

		if (low >= 0 && (high | low) != 0) {
			target[length++] = (char)(high << 4 | low);
			at += 2;
		} else {
			target[length++] = *at;
		}
	}
	target[length] = '\0';
}

static void add_frame(struct inspector *inspector, const char *text, size_t length)
{
	struct inspector_frame *frame = &inspector->frames[inspector->frame_count];
	struct json_document document;
	const struct json_value *root = parse(inspector->space, &document, text, length);
	const struct json_value *location = root != NULL ? json_find(&document, root, "location") : NULL;
	const char *url;

	if (location == NULL)
		return;
	memset(frame, 0, sizeof(*frame));
	text_copy(frame->function, sizeof(frame->function), string_of(&document, root, "functionName"));
	url = string_of(&document, root, "url");
	if (*url == '\0')
		url = find_url(inspector->space, script_id(&document, location));
	copy_file(frame->file, sizeof(frame->file), url);
	frame->line = number_of(&document, location, "lineNumber") + 1;
	frame->column = number_of(&document, location, "columnNumber") + 1;
	inspector->frame_count++;
}

/* Where the object that begins at `text` ends; 0: not in these bytes. */
static size_t object_length(const char *text, size_t length)
{
	bool in_string = false;
	size_t depth = 0;

	for (size_t i = 0; i < length; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if ((c == '}' || c == ']') && --depth == 0) {
			return i + 1;
		}
	}
	return 0;
}

/* A stack may be thousands of frames deep: the message is then cut, and its first frames, which are the
 * innermost, are what is wanted. So each is taken by itself. */
static void take_frames(struct inspector *inspector, const char *text, size_t length)
{
	static const char words[] = "\"callFrames\":[";
	const char *at = memmem(text, length, words, sizeof(words) - 1);
	const char *after = text + length;

	if (at == NULL)
		return;
	at += sizeof(words) - 1;
	while (inspector->frame_count < INSPECTOR_FRAMES_MAX && at < after && *at == '{') {
		size_t size = object_length(at, (size_t)(after - at));

		if (size == 0)
			return;
		add_frame(inspector, at, size);
		at += size;
		if (at < after && *at == ',')
			at++;
	}
}

static void message_came(struct websocket *websocket, const char *text, size_t length, bool whole)
{
	struct inspector *inspector = websocket->context;
	size_t start = length < METHOD_WITHIN ? length : METHOD_WITHIN;

	if (inspector->state == INSPECTOR_PAUSED || inspector->space == NULL)
		return;
	if (memmem(text, start, "\"Debugger.scriptParsed\"", 23) != NULL) {
		if (whole)
			keep_script(inspector->space, text, length);
	} else if (memmem(text, start, "\"Debugger.paused\"", 17) != NULL) {
		take_frames(inspector, text, length);
		end(inspector, INSPECTOR_PAUSED);
	} else if (memmem(text, start, "\"id\":2", 6) != NULL) {
		inspector->state = INSPECTOR_ENABLED;
	}
}

void inspector_init(struct inspector *inspector, struct loop *loop)
{
	inspector->state = INSPECTOR_IDLE;
	inspector->frame_count = 0;
	inspector->space = NULL;
	websocket_init(&inspector->websocket, loop);
	inspector->websocket.opened = attached;
	inspector->websocket.message = message_came;
	inspector->websocket.closed = detached;
	inspector->websocket.context = inspector;
}

int inspector_ask(struct inspector *inspector, int pid)
{
	void *space = world_mmap(
	    NULL, sizeof(*inspector->space), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (space == MAP_FAILED)
		return -errno;
	inspector_close(inspector);
	inspector->space = space;
	inspector->websocket.buffer = inspector->space->message;
	inspector->websocket.buffer_size = sizeof(inspector->space->message);
	inspector->pid = pid;
	inspector->frame_count = 0;
	inspector->state = INSPECTOR_ASKED;
	return 0;
}

/* Anybody may write such a line: only the process itself is connected to. */
static bool is_its_own(const struct inspector *inspector, uint32_t port)
{
	struct examine_sockets sockets;

	examine_sockets(inspector->pid, port, &sockets);
	return sockets.listener_inode != 0;
}

bool inspector_line(struct inspector *inspector, const char *line, int64_t timeout_ms)
{
	char path[UUID_LENGTH + 2];
	uint32_t port;

	if (inspector->state != INSPECTOR_ASKED || !inspector_read_address(line, &port, path) ||
	    !is_its_own(inspector, port))
		return false;
	inspector->state = INSPECTOR_OPENING;
	if (websocket_open(&inspector->websocket, port, path, timeout_ms) < 0)
		end(inspector, INSPECTOR_FAILED);
	return true;
}

void inspector_rest(struct inspector *inspector)
{
	/* What still comes is read past, into the same place. */
	if (inspector->space != NULL)
		world_madvise(inspector->space, sizeof(*inspector->space), MADV_DONTNEED);
}

void inspector_close(struct inspector *inspector)
{
	websocket_close(&inspector->websocket);
	if (inspector->space != NULL)
		munmap(inspector->space, sizeof(*inspector->space));
	inspector->space = NULL;
	inspector->state = INSPECTOR_IDLE;
}
