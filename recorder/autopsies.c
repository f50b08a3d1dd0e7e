#include "recorder/autopsies.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "format/json5.h"
#include "format/utf8.h"
#include "world/world.h"

#define DIGITS_MAX 20

static bool is_report_name(const struct json_value *value)
{
	static const char before[] = "autopsy.", after[] = ".json";
	const size_t around = sizeof(before) - 1 + sizeof(after) - 1;
	const char *name = value->string.bytes;
	size_t length = value->string.length, digits;

	/* The length first: a name may hold a NUL, and what follows it counts. */
	if (length <= around || length > around + DIGITS_MAX || memcmp(name, before, sizeof(before) - 1) != 0)
		return false;
	name += sizeof(before) - 1;
	digits = strspn(name, "0123456789");
	return digits == length - around && memcmp(name + digits, after, sizeof(after) - 1) == 0;
}

int autopsy_name(const struct message_event *event, char name[AUTOPSY_NAME_MAX])
{
	static struct json_value values[JSON_VALUES_FOR(EVENT_EVIDENCE_MAX)];
	static char strings[JSON_STRINGS_FOR(EVENT_EVIDENCE_MAX)];
	struct json_document document = {.values = values,
	    .value_max = sizeof(values) / sizeof(values[0]),
	    .strings = strings,
	    .string_size = sizeof(strings)};
	const struct json_value *report;
	struct json_fault fault;

	if (strcmp(event->kind, AUTOPSY_KIND) != 0 ||
	    json_parse(&document, event->evidence, strlen(event->evidence), JSON_STRICT, &fault) < 0)
		return -ENOENT;
	report = json_find(&document, json_root(&document), "report");
	if (report == NULL || report->type == JSON_NULL || json_string_is(report, ""))
		return -ENOENT;
	if (report->type != JSON_STRING || !is_report_name(report))
		return -EINVAL;
	text_copy(name, AUTOPSY_NAME_MAX, report->string.bytes);
	return 0;
}

static bool is_text(const char *bytes, size_t length)
{
	while (length > 0) {
		uint32_t character = 0;
		size_t size = utf8_decode(bytes, length, &character);

		if (size == 0 || character == 0)
			return false;
		bytes += size;
		length -= size;
	}
	return true;
}

/* Returns the number of bytes, or a negative errno: -EFBIG when it is too long, -EINVAL when it is no file or
 * no text. */
static ssize_t read_report(const struct store *store, const char *name, char *buffer)
{
	char path[PATH_MAX + AUTOPSY_NAME_MAX + 1];
	int fd CLOSE_ON_RETURN = -1;
	struct stat status;
	ssize_t length;

	if (store->reports[0] == '\0')
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/%s", store->reports, name);
	/* Whatever lies there under that name must neither hang us nor lead elsewhere. */
	fd = world_open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return -EINVAL;
	length = file_read_up_to(fd, buffer, AUTOPSY_REPORT_BYTES_MAX + 1);
	if (length > AUTOPSY_REPORT_BYTES_MAX)
		return -EFBIG;
	return length < 0 || is_text(buffer, (size_t)length) ? length : -EINVAL;
}

static int run_once(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	/* A failure is not hidden by the reset: it is what store_fault reads. */
	return code == SQLITE_DONE && sqlite3_reset(statement) == SQLITE_OK ? 0 : -1;
}

static int say_missing(struct store *store, int64_t id, const char *name, int cause)
{
	sqlite3_stmt *statement = store->statements[STORE_AUTOPSY_MISSING];
	char sentence[160];

	if (cause == -ENOENT)
		snprintf(sentence, sizeof(sentence), "The report %s was gone before it could be kept.", name);
	else if (cause == -EFBIG)
		snprintf(sentence, sizeof(sentence),
		    "The report %s is too long to be kept, and stays in the runtime directory.", name);
	else if (cause == -EINVAL)
		snprintf(sentence, sizeof(sentence),
		    "The report %s is damaged, and stays in the runtime directory.", name);
	else
		snprintf(sentence, sizeof(sentence),
		    "The report %s could not be read (%.40s), and stays in the runtime directory.", name,
		    strerror(-cause));
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_text(statement, 2, sentence, -1, SQLITE_STATIC);
	return run_once(statement);
}

int autopsy_take(struct store *store, const struct message_event *event, int64_t id)
{
	static char report[AUTOPSY_REPORT_BYTES_MAX + 1];
	sqlite3_stmt *statement = store->statements[STORE_INSERT_AUTOPSY];
	char name[AUTOPSY_NAME_MAX];
	ssize_t length;
	int result = autopsy_name(event, name);

	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return say_missing(store, id, "that the event names", -EINVAL);
	length = read_report(store, name, report);
	if (length < 0)
		return say_missing(store, id, name, (int)length);
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_text(statement, 2, report, (int)length, SQLITE_STATIC);
	if (run_once(statement) < 0)
		return -1;
	/* Nothing is inserted that is no JSON object. */
	return sqlite3_changes(store->database) > 0 ? 0 : say_missing(store, id, name, -EINVAL);
}

void autopsy_remove_file(struct store *store, const struct message_event *event)
{
	sqlite3_stmt *statement = store->statements[STORE_HAS_AUTOPSY];
	char name[AUTOPSY_NAME_MAX], path[PATH_MAX + AUTOPSY_NAME_MAX + 1];

	if (statement == NULL || store->reports[0] == '\0' || autopsy_name(event, name) < 0)
		return;
	/* SQLite's integers are signed: see store.c. */
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)event->life);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)event->sequence);
	if (sqlite3_step(statement) == SQLITE_ROW) {
		snprintf(path, sizeof(path), "%s/%s", store->reports, name);
		world_unlink(path);
	}
	sqlite3_reset(statement);
}
