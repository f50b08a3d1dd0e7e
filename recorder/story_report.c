/* The report of an autopsy for a person. Everything in it may come from the gateway, and any of it may be
 * missing: what is not there is not said. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "recorder/print.h"
#include "recorder/story.h"

#define INDENT         2
#define FRAMES_SHOWN   12
#define CHILDREN_SHOWN 5
#define LOCKS_SHOWN    5
#define LINES_SHOWN    8
#define LINE_SHOWN_MAX 512
#define NAME_COLUMNS   24
#define BYTES_PER_MB   1000000

static void line(FILE *out, int width, const struct text *text)
{
	fprintf(out, "%*s", INDENT, "");
	story_print(out, INDENT, width, text->data);
}

static const struct json_value *list_of(const struct story *story, const char *key)
{
	const struct json_value *list = story_find(story, story->root, key);

	return list != NULL && list->type == JSON_ARRAY && list->children.count > 0 ? list : NULL;
}

static void tell_frames(FILE *out, const struct story *story)
{
	const struct json_value *list = list_of(story, "frames"), *frame;
	uint32_t shown = 0;

	if (list == NULL)
		return;
	fprintf(out, "%*sIts stack, the innermost function first:\n", INDENT, "");
	for (frame = json_first(&story->document, list); frame != NULL && shown < FRAMES_SHOWN;
	     frame = json_next(&story->document, frame), shown++) {
		const char *function = story_text(story, frame, "function"),
		           *file = story_text(story, frame, "file");
		int64_t line_number = story_number(story, frame, "line"),
		        column = story_number(story, frame, "column");
		int padding = NAME_COLUMNS - (int)strnlen(function, NAME_COLUMNS);

		fprintf(out, "%*s", 2 * INDENT, "");
		print_plain(out, function[0] != '\0' ? function : "(anonymous)");
		fprintf(out, "%*s", function[0] != '\0' ? padding + 2 : NAME_COLUMNS - 11 + 2, "");
		print_plain(out, file[0] != '\0' ? file : "(unknown file)");
		if (line_number >= 0)
			fprintf(out, ":%" PRId64, line_number);
		if (line_number >= 0 && column >= 0)
			fprintf(out, ":%" PRId64, column);
		putc('\n', out);
	}
	if (list->children.count > shown)
		fprintf(out, "%*sand %" PRIu32 " more, with --json\n", 2 * INDENT, "",
		    list->children.count - shown);
}

static void tell_call(FILE *out, const struct story *story, int width, const struct json_value *process)
{
	const struct json_value *call = story_find(story, process, "syscall"),
	                        *object = story_find(story, call, "object");
	const char *name = story_text(story, call, "name"), *object_name = story_text(story, object, "name"),
	           *kind = story_text(story, object, "kind"), *path = story_text(story, call, "path"),
	           *other = story_text(story, object, "other_end");
	char buffer[1024];
	struct text text;

	if (call == NULL || call->type != JSON_OBJECT)
		return;
	text_init(&text, buffer, sizeof(buffer));
	if (name[0] != '\0')
		text_addf(&text, "It was in the system call %.64s", name);
	else
		text_addf(
		    &text, "It was in the system call number %" PRId64, story_number(story, call, "number"));
	if (object_name[0] != '\0')
		text_addf(&text, " on the %.32s %.256s", kind, object_name);
	else if (path[0] != '\0')
		text_addf(&text, " on %.256s", path);
	if (other[0] != '\0')
		text_addf(&text, ", whose other end process %" PRId64 " (%.200s) has",
		    story_number(story, object, "other_end_pid"), other);
	text_add(&text, ".");
	line(out, width, &text);
}

static void tell_process(FILE *out, const struct story *story, int width)
{
	const struct json_value *process = story_find(story, story->root, "process");
	const char *state = story_text(story, process, "state"), *wchan = story_text(story, process, "wchan");
	int64_t rss_bytes = story_number(story, process, "rss_bytes"),
	        swap_bytes = story_number(story, process, "swap_bytes"),
	        queue = story_number(story, story->root, "listen_queue"),
	        pid = story_number(story, story->root, "pid");
	char buffer[512];
	struct text text;

	tell_call(out, story, width, process);
	if (state[0] == '\0')
		return;
	text_init(&text, buffer, sizeof(buffer));
	text_addf(&text, "Process %" PRId64 ": state %.4s", pid, state);
	if (wchan[0] != '\0')
		text_addf(&text, " in %.64s", wchan);
	if (rss_bytes >= 0)
		text_addf(&text, ", %" PRId64 " MB in memory", rss_bytes / BYTES_PER_MB);
	if (swap_bytes > 0)
		text_addf(&text, " and %" PRId64 " MB in swap", swap_bytes / BYTES_PER_MB);
	if (queue >= 0)
		text_addf(&text, ", %" PRId64 " connection%s waiting", queue, queue == 1 ? "" : "s");
	text_add(&text, ".");
	line(out, width, &text);
}

static void tell_children(FILE *out, const struct story *story, int width)
{
	const struct json_value *list = list_of(story, "children"), *child;
	int shown = 0;

	if (list == NULL)
		return;
	fprintf(out, "%*sProcesses it had started, the youngest first:\n", INDENT, "");
	for (child = json_first(&story->document, list); child != NULL && shown < CHILDREN_SHOWN;
	     child = json_next(&story->document, child), shown++) {
		int64_t age_ms = story_number(story, child, "age_ms");
		char buffer[512], age[32];
		struct text text;

		text_init(&text, buffer, sizeof(buffer));
		text_addf(&text, "%" PRId64 " (state %.4s", story_number(story, child, "pid"),
		    story_text(story, child, "state"));
		if (age_ms >= 0)
			text_addf(&text, ", %s old", text_duration(age, sizeof(age), age_ms));
		text_addf(&text, ") %.300s", story_text(story, child, "command"));
		fprintf(out, "%*s", 2 * INDENT, "");
		story_print(out, 2 * INDENT, width, buffer);
	}
}

/* Those that may hold it up: the kernel has it waiting for them, or another process holds them. */
static void tell_locks(FILE *out, const struct story *story, int width)
{
	const struct json_value *list = list_of(story, "locks"), *lock;
	int shown = 0;

	if (list == NULL)
		return;
	for (lock = json_first(&story->document, list); lock != NULL && shown < LOCKS_SHOWN;
	     lock = json_next(&story->document, lock)) {
		const struct json_value *waits = story_find(story, lock, "waited_for"),
		                        *own = story_find(story, lock, "own");
		char buffer[768];
		struct text text;

		if (own != NULL && own->type == JSON_BOOL && own->boolean)
			continue;
		text_init(&text, buffer, sizeof(buffer));
		text_addf(&text, "%s the lock on %.300s, which process %" PRId64 " (%.200s) holds.",
		    waits != NULL && waits->type == JSON_BOOL && waits->boolean ? "It waited for"
		                                                                : "There was",
		    story_text(story, lock, "file"), story_number(story, lock, "holder_pid"),
		    story_text(story, lock, "holder"));
		line(out, width, &text);
		shown++;
	}
}

static void print_line(FILE *out, const struct json_value *item, int64_t times)
{
	char shown[LINE_SHOWN_MAX];

	text_copy(shown, sizeof(shown), item->string.bytes);
	fprintf(out, "%*s| ", INDENT, "");
	print_plain(out, shown);
	if (times > 1)
		fprintf(out, "  (%" PRId64 " times)", times);
	putc('\n', out);
}

static bool is_same(const struct json_value *left, const struct json_value *right)
{
	return left != NULL && left->string.length == right->string.length &&
	       memcmp(left->string.bytes, right->string.bytes, left->string.length) == 0;
}

/* What is empty says nothing, and what was said again and again says it once: it is counted. */
static void tell_console(FILE *out, const struct story *story, bool whole)
{
	const struct json_value *list = list_of(story, "console"), *kept[LINES_SHOWN] = {NULL};
	int64_t times[LINES_SHOWN] = {0}, count = 0;

	if (list == NULL)
		return;
	fprintf(out, whole ? "\nWhat it had printed\n" : "\nWhat it printed last\n");
	for (const struct json_value *item = json_first(&story->document, list); item != NULL;
	     item = json_next(&story->document, item)) {
		if (item->type != JSON_STRING)
			continue;
		if (whole) {
			print_line(out, item, 1);
			continue;
		}
		if (strspn(item->string.bytes, " \t") == item->string.length)
			continue;
		if (count > 0 && is_same(kept[(count - 1) % LINES_SHOWN], item)) {
			times[(count - 1) % LINES_SHOWN]++;
			continue;
		}
		kept[count % LINES_SHOWN] = item;
		times[count % LINES_SHOWN] = 1;
		count++;
	}
	for (int64_t i = count > LINES_SHOWN ? count - LINES_SHOWN : 0; i < count; i++)
		print_line(out, kept[i % LINES_SHOWN], times[i % LINES_SHOWN]);
	if (!whole)
		fprintf(out, "%*s(--console shows all that was kept)\n", INDENT, "");
}

/* What the event itself says, when its report is not there. */
static void tell_without_report(FILE *out, const struct story *story, int width)
{
	char missing[READER_REASON_SIZE];

	if (story->is_damaged)
		text_copy(missing, sizeof(missing), "The report of it is damaged, and cannot be read.");
	else if (!story_missing(story, missing, sizeof(missing)))
		text_copy(missing, sizeof(missing), "No report of it is kept.");
	fprintf(out, "%*s", INDENT, "");
	story_print(out, INDENT, width, story->autopsy.reason);
	fprintf(out, "%*s", INDENT, "");
	story_print(out, INDENT, width, missing);
}

void story_tell_report(FILE *out, const struct story *story, int width, bool whole_console)
{
	const char *sentence = story_text(story, story->root, "sentence");

	if (story->root == NULL && story->autopsy.kind[0] == '\0' && !story->is_damaged)
		return;
	fprintf(out, "\nWhere it hung\n");
	if (story->root == NULL) {
		tell_without_report(out, story, width);
		return;
	}
	fprintf(out, "%*s", INDENT, "");
	story_print(out, INDENT, width,
	    sentence[0] != '\0'                ? sentence
	    : story->autopsy.reason[0] != '\0' ? story->autopsy.reason
	                                       : "The report does not say.");
	tell_frames(out, story);
	tell_process(out, story, width);
	tell_children(out, story, width);
	tell_locks(out, story, width);
	tell_console(out, story, whole_console);
}
