/* The whole report of an autopsy as JSON, for the record. */
#include "sentry/autopsy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "format/json_write.h"
#include "world/world.h"

#define LINE_SHOWN_MAX 1024
#define NEW_NAME       ".autopsy.new"

static void write_text(struct text *json, const char *key, const char *value)
{
	json_write_key(json, key);
	json_write_string(json, *value != '\0' ? value : NULL);
}

static void write_number(struct text *json, const char *key, int64_t value)
{
	json_write_key(json, key);
	json_write_integer(json, value);
}

static void write_state(struct text *json, char state)
{
	char word[2] = {state, '\0'};

	write_text(json, "state", word);
}

static void write_call(const struct autopsy_findings *findings, struct text *json)
{
	const struct examine_call *call = &findings->call;
	const struct examine_object *object = &findings->object;
	char hexadecimal[24];

	json_write_key(json, "syscall");
	if (!call->visible) {
		json_write_string(json, "not visible");
		return;
	}
	if (call->running) {
		json_write_null(json);
		return;
	}
	json_write_begin(json, '{');
	write_number(json, "number", call->number);
	write_text(json, "name", call->name != NULL ? call->name : "");
	json_write_key(json, "arguments");
	json_write_begin(json, '[');
	for (int i = 0; i < 6; i++) {
		snprintf(hexadecimal, sizeof(hexadecimal), "0x%" PRIx64, call->arguments[i]);
		json_write_string(json, hexadecimal);
	}
	json_write_end(json, ']');
	if (call->path[0] != '\0')
		write_text(json, "path", call->path);
	json_write_key(json, "object");
	if (object->kind == OBJECT_NONE) {
		json_write_null(json);
	} else {
		json_write_begin(json, '{');
		write_number(json, "descriptor", object->fd);
		write_text(json, "kind", examine_object_name(object->kind));
		write_text(json, "name", object->name);
		if (object->other_pid > 0) {
			write_number(json, "other_end_pid", object->other_pid);
			write_text(json, "other_end", object->other);
		}
		if (object->kind == OBJECT_EPOLL && findings->serves >= 0) {
			json_write_key(json, "serves_callers");
			json_write_bool(json, findings->serves > 0);
		}
		json_write_end(json, '}');
	}
	json_write_end(json, '}');
}

static void write_process(const struct autopsy_findings *findings, struct text *json)
{
	const struct examine_process *process = &findings->process;

	json_write_key(json, "process");
	json_write_begin(json, '{');
	write_state(json, process->state);
	write_text(json, "wchan", process->wchan);
	write_call(findings, json);
	write_text(json, "command", process->command);
	write_text(json, "executable", process->executable);
	write_number(json, "age_ms", process->age_ms);
	write_number(json, "rss_bytes", (int64_t)process->rss_bytes);
	write_number(json, "swap_bytes", (int64_t)process->swap_bytes);
	write_number(json, "threads", process->threads);
	write_number(json, "traced_by", process->tracer);
	write_number(json, "samples", findings->samples);
	write_number(json, "samples_running", findings->running);
	write_number(json, "samples_uninterruptible", findings->uninterruptible);
	json_write_end(json, '}');
}

/* Where it stands instead of a list. */
static bool begin_list(struct text *json, const char *key, int count)
{
	json_write_key(json, key);
	if (count < 0)
		json_write_string(json, "not visible");
	else
		json_write_begin(json, '[');
	return count >= 0;
}

static void write_threads(const struct autopsy_findings *findings, struct text *json)
{
	write_number(json, "window_ms", findings->window_ms);
	if (!begin_list(json, "threads", findings->thread_count))
		return;
	for (int i = 0; i < findings->thread_count; i++) {
		const struct examine_thread *thread = &findings->threads[i];

		json_write_begin(json, '{');
		write_number(json, "tid", thread->tid);
		write_text(json, "name", thread->name);
		write_state(json, thread->state);
		write_number(json, "cpu_ms", (int64_t)(thread->cpu_ns / 1000000));
		write_number(json, "window_cpu_ms", (int64_t)(thread->window_ns / 1000000));
		json_write_end(json, '}');
	}
	json_write_end(json, ']');
}

static void write_frames(const struct autopsy_findings *findings, struct text *json)
{
	begin_list(json, "frames", 0);
	for (uint32_t i = 0; i < findings->frame_count; i++) {
		const struct inspector_frame *frame = &findings->frames[i];

		json_write_begin(json, '{');
		write_text(json, "function", frame->function);
		write_text(json, "file", frame->file);
		write_number(json, "line", frame->line);
		write_number(json, "column", frame->column);
		json_write_end(json, '}');
	}
	json_write_end(json, ']');
}

static void write_children(const struct autopsy_findings *findings, struct text *json)
{
	begin_list(json, "children", 0);
	for (int i = 0; i < findings->child_count; i++) {
		const struct examine_child *child = &findings->children[i];

		json_write_begin(json, '{');
		write_number(json, "pid", child->pid);
		write_number(json, "parent", child->parent);
		write_state(json, child->state);
		write_number(json, "age_ms", child->age_ms);
		write_number(json, "cpu_ms", (int64_t)child->cpu_ms);
		write_text(json, "command", child->command);
		json_write_end(json, '}');
	}
	json_write_end(json, ']');
}

static void write_locks(const struct autopsy_findings *findings, struct text *json)
{
	if (!begin_list(json, "locks", findings->lock_count))
		return;
	for (int i = 0; i < findings->lock_count; i++) {
		const struct examine_lock *lock = &findings->locks[i];

		json_write_begin(json, '{');
		write_text(json, "file", lock->file);
		write_text(json, "kind", lock->kind);
		json_write_key(json, "exclusive");
		json_write_bool(json, lock->exclusive);
		json_write_key(json, "waited_for");
		json_write_bool(json, lock->waits);
		json_write_key(json, "own");
		json_write_bool(json, lock->own);
		write_number(json, "holder_pid", lock->holder > 0 ? lock->holder : 0);
		write_text(json, "holder", lock->command);
		json_write_end(json, '}');
	}
	json_write_end(json, ']');
}

static void write_sockets(const struct autopsy_findings *findings, struct text *json)
{
	const struct examine_sockets *sockets = &findings->sockets;

	json_write_key(json, "sockets");
	if (!sockets->visible) {
		json_write_string(json, "not visible");
	} else {
		json_write_begin(json, '{');
		for (unsigned i = 0; i < EXAMINE_TCP_STATES; i++)
			if (sockets->tcp[i] > 0)
				write_number(json, examine_tcp_state_name(i), sockets->tcp[i]);
		write_number(json, "local", sockets->local);
		write_number(json, "other", sockets->other);
		json_write_end(json, '}');
	}
	json_write_key(json, "listen_queue");
	if (sockets->queue < 0)
		json_write_string(json, "not visible");
	else
		json_write_integer(json, sockets->queue);
}

/* `some avg10=0.31 avg60=0.16 avg300=0.51 total=4961594233`, and the same for `full`. */
static void write_pressure_of(struct text *json, const char *what)
{
	char path[32], text[256];
	double some = 0, full = 0;
	const char *at;

	snprintf(path, sizeof(path), "/proc/pressure/%s", what);
	json_write_key(json, what);
	if (file_read(AT_FDCWD, path, text, sizeof(text)) <= 0 ||
	    sscanf(text, "some avg10=%lf", &some) != 1) {
		json_write_string(json, "not visible");
		return;
	}
	at = strstr(text, "full avg10=");
	if (at != NULL)
		sscanf(at, "full avg10=%lf", &full);
	json_write_begin(json, '{');
	json_write_key(json, "some_10s_percent");
	json_write_number(json, some);
	json_write_key(json, "full_10s_percent");
	json_write_number(json, full);
	json_write_end(json, '}');
}

static void write_pressure(struct text *json)
{
	char text[128];
	double load = 0;

	json_write_key(json, "pressure");
	json_write_begin(json, '{');
	write_pressure_of(json, "cpu");
	write_pressure_of(json, "memory");
	write_pressure_of(json, "io");
	json_write_key(json, "load_1min");
	if (file_read(AT_FDCWD, "/proc/loadavg", text, sizeof(text)) > 0 && sscanf(text, "%lf", &load) == 1)
		json_write_number(json, load);
	else
		json_write_string(json, "not visible");
	write_number(json, "processors", sysconf(_SC_NPROCESSORS_ONLN));
	json_write_end(json, '}');
}

/* Where the last `lines` lines begin. */
static const char *last_lines(const char *console, size_t length, uint32_t lines)
{
	const char *at = console + length;

	if (at > console && at[-1] == '\n')
		at--;
	while (at > console) {
		if (at[-1] == '\n' && --lines == 0)
			break;
		at--;
	}
	return at;
}

static void write_lines(struct text *json, const char *at, const char *end)
{
	char line[LINE_SHOWN_MAX + 1];

	json_write_key(json, "console");
	json_write_begin(json, '[');
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline != NULL ? newline : end) - at);
		size_t shown = length < LINE_SHOWN_MAX ? length : LINE_SHOWN_MAX;

		memcpy(line, at, shown);
		line[shown] = '\0';
		autopsy_clean(line);
		json_write_string(json, line);
		at += length + 1;
	}
	json_write_end(json, ']');
	json_write_end(json, '}');
}

/* The newest lines, as many as there is room for: they come last, and close the report. */
static void write_console(struct text *json, const char *console, size_t length)
{
	struct text before = *json;
	uint32_t lines = AUTOPSY_LINES_MAX;

	for (;;) {
		const char *at = console + length;

		if (lines > 0 && length > 0)
			at = last_lines(console, length, lines);
		*json = before;
		json->data[json->length] = '\0';
		write_lines(json, at, console + length);
		if (!json->truncated || lines == 0)
			return;
		lines = lines * 3 / 4;
	}
}

static void write_report(const struct autopsy_findings *findings, const struct autopsy_result *result,
    const char *console, size_t console_length, struct text *json)
{
	json_write_begin(json, '{');
	json_write_key(json, "generation");
	json_write_unsigned(json, result->generation);
	write_number(json, "pid", result->pid);
	write_number(json, "began_ms", result->began_ms);
	write_number(json, "took_ms", result->took_ms);
	write_text(json, "cause", autopsy_cause_name(result->cause));
	write_text(json, "sentence", result->sentence);
	write_text(json, "advice", result->advice);
	json_write_key(json, "opened");
	json_write_bool(json, result->opened);
	write_process(findings, json);
	write_threads(findings, json);
	write_frames(findings, json);
	write_children(findings, json);
	write_locks(findings, json);
	write_sockets(findings, json);
	write_pressure(json);
	write_console(json, console, console_length);
}

/* ---- its file ---- */

static bool is_report(const char *name)
{
	size_t digits;

	if (strncmp(name, "autopsy.", 8) != 0)
		return false;
	digits = strspn(name + 8, "0123456789");
	return digits > 0 && digits <= 20 && strcmp(name + 8 + digits, ".json") == 0;
}

struct report_search {
	uint32_t count;
	struct timespec oldest_time;
	char oldest[AUTOPSY_FILE_MAX + 8];
};

static bool look_at_report(void *context, int directory_fd, const char *name)
{
	struct report_search *search = context;
	struct stat status;

	if (!is_report(name) || fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	if (search->count++ == 0 || status.st_mtim.tv_sec < search->oldest_time.tv_sec ||
	    (status.st_mtim.tv_sec == search->oldest_time.tv_sec &&
	        status.st_mtim.tv_nsec < search->oldest_time.tv_nsec)) {
		search->oldest_time = status.st_mtim;
		text_copy(search->oldest, sizeof(search->oldest), name);
	}
	return true;
}

/* Whoever takes them into the record removes them: this is for when nobody does. */
static void remove_oldest(const char *directory, int directory_fd)
{
	struct report_search search;

	do {
		memset(&search, 0, sizeof(search));
		file_each_entry(directory, look_at_report, &search);
	} while (search.count > AUTOPSY_REPORTS_KEPT && world_unlinkat(directory_fd, search.oldest, 0) == 0);
}

int autopsy_write(const struct autopsy_findings *findings, const struct autopsy_result *result,
    const char *console, size_t console_length, const char *directory)
{
	static char bytes[AUTOPSY_REPORT_MAX];
	int directory_fd CLOSE_ON_RETURN = world_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd CLOSE_ON_RETURN = -1;
	struct text json;
	int code;

	if (directory_fd < 0)
		return -errno;
	text_init(&json, bytes, sizeof(bytes));
	write_report(
	    findings, result, console != NULL ? console : "", console != NULL ? console_length : 0, &json);
	if (json.truncated)
		return -EFBIG;
	fd =
	    world_openat(directory_fd, NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	code = file_write_all(fd, json.data, json.length);
	if (code == 0 && world_renameat(directory_fd, NEW_NAME, directory_fd, result->file) < 0)
		code = -errno;
	if (code < 0)
		world_unlinkat(directory_fd, NEW_NAME, 0);
	else
		remove_oldest(directory, directory_fd);
	return code;
}
