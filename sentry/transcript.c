#include "sentry/transcript.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "format/json5.h"
#include "process/procfs.h"
#include "world/world.h"

#define SESSION_LENGTH   36
#define LOCK_BYTES       1024
#define VALUES_MAX       16384 /* of a line; one with more says nothing */
#define RESULTS_MAX      32    /* of one message's calls that are looked back over */
#define START_SLACK_MS   1500  /* of a process: its start is known to a tick, by another clock */
#define NAME_BYTES       (SESSION_LENGTH + sizeof(".jsonl.lock"))
#define DIRECTORY_FORMAT "%s/agents/%s/sessions"

/* --- Names. --- */

static const char agent_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

static bool is_agent(const char *agent)
{
	size_t length = strnlen(agent, TRANSCRIPT_AGENT_MAX);

	return length > 0 && length < TRANSCRIPT_AGENT_MAX && strspn(agent, agent_characters) == length;
}

static bool is_session(const char *session)
{
	return strnlen(session, SESSION_LENGTH + 1) == SESSION_LENGTH &&
	       strspn(session, "0123456789abcdef-") == SESSION_LENGTH;
}

bool transcript_agent(const char *session_key, char agent[TRANSCRIPT_AGENT_MAX])
{
	const char *start = session_key + 6;
	size_t length;

	if (strncmp(session_key, "agent:", 6) != 0)
		return text_copy(agent, TRANSCRIPT_AGENT_MAX, "main");
	length = strcspn(start, ":");
	*agent = '\0';
	if (length == 0 || length >= TRANSCRIPT_AGENT_MAX || start[length] != ':' ||
	    strspn(start, agent_characters) < length)
		return false;
	/* Its directory is in lower case, however the key spells it. */
	for (size_t i = 0; i < length; i++)
		agent[i] = (char)tolower((unsigned char)start[i]);
	agent[length] = '\0';
	return true;
}

/* --- What the lines say. --- */

/* One document at a time; static memory costs nothing until it is used. */
static struct {
	struct json_value values[VALUES_MAX];
	char strings[JSON_STRINGS_FOR(TRANSCRIPT_TAIL_BYTES)];
	struct json_document document;
} parsed;

static const struct json_document *parse(const char *bytes, size_t length)
{
	struct json_fault fault;

	parsed.document = (struct json_document){.values = parsed.values,
	    .value_max = VALUES_MAX,
	    .strings = parsed.strings,
	    .string_size = sizeof(parsed.strings)};
	return json_parse(&parsed.document, bytes, length, JSON_STRICT, &fault) == 0 ? &parsed.document
	                                                                             : NULL;
}

static bool member_is(
    const struct json_document *document, const struct json_value *object, const char *key, const char *text)
{
	const struct json_value *member = json_find(document, object, key);

	return member != NULL && json_string_is(member, text);
}

/* The calls that have results, from the last line backwards, by the hash of their ids: those can be long. */
struct results {
	uint32_t count;
	uint64_t ids[RESULTS_MAX];
};

static bool hash_id(const struct json_value *id, uint64_t *hash)
{
	if (id == NULL || id->type != JSON_STRING || id->string.length == 0)
		return false;
	*hash = hash_bytes(id->string.bytes, id->string.length);
	return true;
}

static bool has_result(const struct results *results, const struct json_value *id)
{
	uint64_t hash;

	for (uint32_t i = 0; hash_id(id, &hash) && i < results->count; i++)
		if (results->ids[i] == hash)
			return true;
	return false;
}

static void copy_name(const struct json_value *name, char target[TRANSCRIPT_TOOL_MAX])
{
	size_t length = 0;

	*target = '\0';
	if (name == NULL || name->type != JSON_STRING)
		return;
	for (; length < name->string.length && length < TRANSCRIPT_TOOL_MAX - 1; length++)
		target[length] = name->string.bytes[length] > ' ' && name->string.bytes[length] <= '~'
		                     ? name->string.bytes[length]
		                     : '?';
	target[length] = '\0';
}

/* The first call of this message that has no result yet: they are made one after the other. */
static void judge_calls(const struct json_document *document, const struct json_value *message,
    const struct results *results, struct transcript *transcript)
{
	const struct json_value *content = json_find(document, message, "content");

	transcript->waits = TRANSCRIPT_MODEL;
	/* One that broke off: its calls are never made. */
	if (content == NULL || content->type != JSON_ARRAY ||
	    member_is(document, message, "stopReason", "error") ||
	    member_is(document, message, "stopReason", "aborted"))
		return;
	for (const struct json_value *part = json_first(document, content); part != NULL;
	     part = json_next(document, part)) {
		if (!member_is(document, part, "type", "toolCall") ||
		    has_result(results, json_find(document, part, "id")))
			continue;
		transcript->waits = TRANSCRIPT_TOOL;
		copy_name(json_find(document, part, "name"), transcript->tool);
		return;
	}
}

/* Returns whether the line before this one must be seen, too. */
static bool judge_line(
    const char *line, size_t length, struct results *results, struct transcript *transcript)
{
	const struct json_document *document = parse(line, length);
	const struct json_value *root, *message;

	transcript->waits = TRANSCRIPT_UNKNOWN;
	if (document == NULL)
		return false;
	root = json_root(document);
	message = json_find(document, root, "message");
	if (message != NULL && member_is(document, root, "type", "message")) {
		/* Written by others while the run goes on: a copy of what was sent, or put in from outside.
		 */
		if (member_is(document, message, "model", "delivery-mirror") ||
		    member_is(document, message, "stopReason", "injected"))
			return true;
		if (member_is(document, message, "role", "assistant")) {
			judge_calls(document, message, results, transcript);
			return false;
		}
		if (member_is(document, message, "role", "toolResult"))
			return results->count < RESULTS_MAX &&
			       hash_id(json_find(document, message, "toolCallId"),
			           &results->ids[results->count++]);
	}
	transcript->waits = root->type == JSON_OBJECT ? TRANSCRIPT_MODEL : TRANSCRIPT_UNKNOWN;
	return false;
}

static const char *last_newline(const char *bytes, size_t length)
{
	return length > 0 ? memrchr(bytes, '\n', length) : NULL;
}

void transcript_judge(const char *bytes, size_t length, bool from_start, struct transcript *transcript)
{
	const char *end = last_newline(bytes, length); /* what is behind it is not finished */
	struct results results = {0};
	bool go_on = true;

	transcript->waits = TRANSCRIPT_UNKNOWN;
	*transcript->tool = '\0';
	/* A result may be one of several calls, of which the next one is being made. */
	while (end != NULL && go_on) {
		const char *before = last_newline(bytes, (size_t)(end - bytes));
		const char *line = before != NULL ? before + 1 : bytes;

		if (before == NULL && !from_start) {
			transcript->waits = TRANSCRIPT_UNKNOWN;
			return;
		}
		go_on = judge_line(line, (size_t)(end - line), &results, transcript);
		end = before;
	}
	/* Results of what nobody called. */
	if (go_on && results.count > 0)
		transcript->waits = TRANSCRIPT_MODEL;
}

bool transcript_lock_names(const char *bytes, size_t length, int pid)
{
	const struct json_document *document = parse(bytes, length);
	const struct json_value *member =
	    document != NULL ? json_find(document, json_root(document), "pid") : NULL;

	return member != NULL && member->type == JSON_NUMBER && member->number == (double)pid;
}

/* --- The files. --- */

static int64_t to_ms(struct timespec time)
{
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Looked at before it is opened: even the opening of a FIFO or a device has effects. Returns a descriptor or
 * a negative errno; -ENOENT as well for what is no file of ours. */
static int open_ours(int directory, const char *name, struct stat *status)
{
	int fd;

	if (fstatat(directory, name, status, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(status->st_mode) || status->st_uid != geteuid())
		return -ENOENT;
	fd = world_openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, status) < 0 || !S_ISREG(status->st_mode) || status->st_uid != geteuid()) {
		file_close(&fd);
		return -ENOENT;
	}
	return fd;
}

/* Whether a process with that pid, as it runs now, can have written at that moment. */
static bool ran_at(int pid, int64_t real_ms)
{
	uint64_t start_time;
	int64_t started_ms;

	if (procfs_start_time(pid, &start_time) < 0)
		return false;
	started_ms = (int64_t)(start_time * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
	return real_ms - clock_real_ms() >= started_ms - clock_boot_ms() - START_SLACK_MS;
}

static void read_lock(int directory, const char *session, int pid, struct transcript *transcript)
{
	char name[NAME_BYTES], bytes[LOCK_BYTES];
	int fd CLOSE_ON_RETURN = -1;
	struct stat status;
	ssize_t length;

	snprintf(name, sizeof(name), "%s.jsonl.lock", session);
	fd = open_ours(directory, name, &status);
	if (fd < 0 || status.st_size >= LOCK_BYTES)
		return;
	length = file_read_up_to(fd, bytes, sizeof(bytes));
	if (length <= 0 || !transcript_lock_names(bytes, (size_t)length, pid) ||
	    !ran_at(pid, to_ms(status.st_mtim)))
		return;
	transcript->is_locked = true;
	transcript->locked_ms = to_ms(status.st_mtim);
}

static int read_lines(int directory, const char *session, struct transcript *transcript)
{
	static char tail[TRANSCRIPT_TAIL_BYTES]; /* too large for a stack; used by one thread */
	char name[NAME_BYTES];
	int fd CLOSE_ON_RETURN = -1;
	struct stat status;
	off_t start;
	ssize_t length;

	snprintf(name, sizeof(name), "%s.jsonl", session);
	fd = open_ours(directory, name, &status);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	transcript->exists = true;
	transcript->bytes = (uint64_t)status.st_size;
	transcript->changed_ms = to_ms(status.st_mtim);
	start = status.st_size > (off_t)sizeof(tail) ? status.st_size - (off_t)sizeof(tail) : 0;
	length = lseek(fd, start, SEEK_SET) < 0 ? -errno : file_read_up_to(fd, tail, sizeof(tail));
	if (length < 0)
		return (int)length;
	transcript_judge(tail, (size_t)length, start == 0, transcript);
	return 0;
}

/* Returns a descriptor of the directory or a negative errno. */
static int open_directory(const char *state_directory, const char *agent, const char *session)
{
	char path[PATH_MAX];
	int fd;

	if (*state_directory == '\0' || !is_agent(agent) || !is_session(session))
		return -EINVAL;
	if ((size_t)snprintf(path, sizeof(path), DIRECTORY_FORMAT, state_directory, agent) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = world_open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool transcript_is_locked(const char *state_directory, const char *agent, const char *session, int pid)
{
	int directory CLOSE_ON_RETURN = open_directory(state_directory, agent, session);
	struct transcript transcript = {0};

	if (directory >= 0)
		read_lock(directory, session, pid, &transcript);
	return transcript.is_locked;
}

int transcript_read(const char *state_directory, const char *agent, const char *session, int pid,
    struct transcript *transcript)
{
	int directory CLOSE_ON_RETURN = open_directory(state_directory, agent, session);
	int result;

	*transcript = (struct transcript){0};
	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	read_lock(directory, session, pid, transcript);
	result = read_lines(directory, session, transcript);
	if (result < 0)
		*transcript = (struct transcript){0};
	return result;
}
