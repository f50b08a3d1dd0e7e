/* What the findings of an autopsy mean, and what its inspector's address looks like. */
#include "support/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "format/json5.h"
#include "sentry/autopsy.h"
#include "sentry/inspector.h"

static struct autopsy_findings findings;
static struct autopsy_result result;

static void given_state(char state)
{
	memset(&findings, 0, sizeof(findings));
	memset(&result, 0, sizeof(result));
	findings.process.state = state;
	findings.is_node = true;
	findings.samples = 10;
	findings.call.visible = true;
	findings.call.fd = -1;
	findings.serves = -1;
}

static void given_call(const char *name, long number)
{
	findings.call.name = name;
	findings.call.number = number;
}

static bool says(const char *words)
{
	autopsy_judge(&findings, &result);
	if (strstr(result.sentence, words) == NULL)
		printf("# said: %s\n", result.sentence);
	return strstr(result.sentence, words) != NULL;
}

TEST("the address of an inspector is taken apart")
{
	uint32_t port;
	char path[38];

	CHECK(inspector_read_address(
	    "Debugger listening on ws://127.0.0.1:44575/7cf449ea-a3a4-4b12-92bb-1c0a737576fd", &port, path));
	CHECK(port == 44575);
	CHECK_TEXT(path, "/7cf449ea-a3a4-4b12-92bb-1c0a737576fd");
	CHECK(inspector_read_address(
	    "Debugger listening on ws://127.0.0.1:1/7cf449ea-a3a4-4b12-92bb-1c0a737576fd\r", &port, path));
}

TEST("what only looks like such an address is none")
{
	static const char *const lines[] = {
	    "",
	    "Debugger listening on ws://127.0.0.1:44575/",
	    "Debugger listening on ws://127.0.0.1:0/7cf449ea-a3a4-4b12-92bb-1c0a737576fd",
	    "Debugger listening on ws://127.0.0.1:65536/7cf449ea-a3a4-4b12-92bb-1c0a737576fd",
	    "Debugger listening on ws://127.0.0.1:+1/7cf449ea-a3a4-4b12-92bb-1c0a737576fd",
	    "Debugger listening on ws://127.0.0.1:/7cf449ea-a3a4-4b12-92bb-1c0a737576fd",
	    "Debugger listening on ws://127.0.0.1:123456789012/7cf449ea-a3a4-4b12-92bb-1c0a737576fd",
	    "Debugger listening on ws://127.0.0.1:9229",
	    "Debugger listening on ws://10.0.0.1:9229/7cf449ea-a3a4-4b12-92bb-1c0a737576fd",
	    "Debugger listening on ws://127.0.0.1:9229/7cf449ea-a3a4-4b12-92bb-1c0a737576fd/x",
	    "Debugger listening on ws://127.0.0.1:9229/../../../../../../../../../../../../x",
	    " Debugger listening on ws://127.0.0.1:9229/7cf449ea-a3a4-4b12-92bb-1c0a737576fd",
	};
	uint32_t port;
	char path[38];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!CHECK(!inspector_read_address(lines[i], &port, path)))
			printf("# %s\n", lines[i]);
}

TEST("a text is made fit for people")
{
	char text[] = "a\x1b[31m\nb\xff\xc3\xa9\xe2\x80\xae\xc2\x9b"
	              "c\xe2\x82";

	autopsy_clean(text);
	CHECK_TEXT(text, "a[31mb?\xc3\xa9"
	                 "c??");
}

TEST("the innermost function is named, with the next caller that is not Node's own")
{
	static const struct inspector_frame frames[] = {{"spin", "/srv/plugin.js", 12, 5},
	    {"", "node:internal/timers", 1, 1}, {"", "/srv/main.js", 3, 1}};

	given_state('R');
	findings.running = 10;
	findings.frames = frames;
	findings.frame_count = 3;
	CHECK(says(
	    "The event loop was running JavaScript in function spin (/srv/plugin.js:12:5), called from an "
	    "unnamed function (/srv/main.js:3:1)."));
	CHECK(result.cause == AUTOPSY_JAVASCRIPT);
}

TEST("the longest names leave a sentence of valid text")
{
	struct inspector_frame frames[2] = {{.line = UINT32_MAX, .column = UINT32_MAX}};
	size_t length;

	memset(frames[0].function, 'f', sizeof(frames[0].function) - 1);
	for (size_t i = 0; i + 2 < sizeof(frames[0].file); i += 2)
		memcpy(frames[0].file + i, "\xc3\xa9", 2);
	frames[1] = frames[0];
	given_state('R');
	findings.frames = frames;
	findings.frame_count = 2;
	CHECK(says("called from"));
	length = strlen(result.sentence);
	CHECK(length < sizeof(result.sentence) && result.sentence[length - 1] == '.');
	autopsy_clean(result.sentence);
	CHECK(strchr(result.sentence, '?') == NULL && strlen(result.sentence) == length);
}

TEST("where the call may not be seen, the kernel function says what it can")
{
	given_state('S');
	findings.call.visible = false;
	text_copy(findings.process.wchan, sizeof(findings.process.wchan), "wait_for_partner");
	CHECK(says("to open the other end of the FIFO (its name is not visible)."));
	CHECK(result.cause == AUTOPSY_PIPE);
	text_copy(findings.process.wchan, sizeof(findings.process.wchan), "something_new");
	CHECK(says("the kernel's something_new"));
	CHECK(result.cause == AUTOPSY_UNKNOWN);
	findings.process.wchan[0] = '\0';
	CHECK(says("a system call that is not visible"));
}

TEST("a child is only blamed for a loop within the loop, or when it is as old as the block")
{
	given_state('S');
	given_call("epoll_pwait", SYS_epoll_pwait);
	findings.call.visible = false;
	text_copy(findings.process.wchan, sizeof(findings.process.wchan), "do_epoll_wait");
	findings.child_count = 1;
	findings.children[0] =
	    (struct examine_child){.pid = 9, .parent = 0, .age_ms = 50000, .command = "sleep 600"};
	findings.blocked_ms = 43000;
	CHECK(says("its child `sleep 600` (pid 9, running for 50 s)"));
	CHECK(result.cause == AUTOPSY_CHILD);
	findings.children[0].age_ms = 3600000;
	CHECK(says("in epoll_pwait(2); for what is not visible"));
	CHECK(result.cause == AUTOPSY_UNKNOWN);
	findings.serves = 0;
	CHECK(says("sleep 600"));
	findings.serves = 1;
	CHECK(says("as an idle one does"));
}

static struct examine_lock *given_lock(const char *file, int holder, bool exclusive)
{
	struct examine_lock *lock = &findings.locks[findings.lock_count++];

	*lock = (struct examine_lock){.holder = holder, .exclusive = exclusive};
	text_copy(lock->file, sizeof(lock->file), file);
	text_copy(lock->command, sizeof(lock->command), "other");
	return lock;
}

TEST("the locks that a gateway always keeps are not what it waits for")
{
	given_state('S');
	given_call("clock_nanosleep", SYS_clock_nanosleep);
	given_lock("/state/gateway.lock.sqlite", 1, true)->own = true;
	given_lock("/state/openclaw.sqlite", 9, false);
	given_lock("/state/openclaw.sqlite-shm", 9, false);
	CHECK(says("clock_nanosleep(2) for time to pass, and for no lock that is visible."));
	CHECK(result.cause == AUTOPSY_UNKNOWN);
	given_lock("/state/openclaw.sqlite-shm", 10, true);
	CHECK(says("for the lock on /state/openclaw.sqlite, held by `other` (pid 10)."));
	CHECK(result.cause == AUTOPSY_LOCK);
}

TEST("who only reads a database without a log is in the way of who writes")
{
	given_state('S');
	given_call("clock_nanosleep", SYS_clock_nanosleep);
	given_lock("/state/memory.sqlite", 9, false);
	CHECK(says("for the lock on /state/memory.sqlite, held by `other` (pid 9)."));
}

TEST("the one FIFO that a process has open is found, and of two neither")
{
	char directory[] = "/tmp/holdfast-autopsy-XXXXXX", name[64], other[64];
	int fd, other_fd;

	if (!CHECK(mkdtemp(directory) != NULL))
		return;
	snprintf(name, sizeof(name), "%s/one", directory);
	snprintf(other, sizeof(other), "%s/two", directory);
	CHECK(mkfifo(name, 0600) == 0 && mkfifo(other, 0600) == 0);
	CHECK(examine_find_fifo(getpid()) == -1);
	fd = open(name, O_RDWR);
	CHECK(examine_find_fifo(getpid()) == fd);
	other_fd = open(other, O_RDWR);
	CHECK(examine_find_fifo(getpid()) == -1);
	close(fd);
	close(other_fd);
	unlink(name);
	unlink(other);
	rmdir(directory);
}

TEST("a stopped process is told from one that is debugged")
{
	given_state('T');
	CHECK(says("stopped by a signal (state T)"));
	findings.process.state = 't';
	findings.process.tracer = 77;
	text_copy(findings.tracer, sizeof(findings.tracer), "gdb");
	CHECK(says("stopped by the debugger `gdb` (pid 77)"));
	CHECK(result.cause == AUTOPSY_STOPPED);
}

TEST("every cause has a name and an advice that fits")
{
	for (int cause = 0; cause < AUTOPSY_CAUSE_COUNT; cause++)
		CHECK(autopsy_cause_name((enum autopsy_cause)cause) != NULL);
	given_state('S');
	CHECK(says("was waiting in"));
	CHECK(result.advice[strlen(result.advice) - 1] == '.');
}

static void fill(char *text, size_t size)
{
	memset(text, '"', size - 1);
	text[size - 1] = '\0';
}

static void given_everything_at_its_longest(void)
{
	static struct inspector_frame frames[INSPECTOR_FRAMES_MAX];

	given_state('D');
	findings.frames = frames;
	findings.frame_count = INSPECTOR_FRAMES_MAX;
	for (int i = 0; i < INSPECTOR_FRAMES_MAX; i++) {
		fill(frames[i].function, sizeof(frames[i].function));
		fill(frames[i].file, sizeof(frames[i].file));
		frames[i].line = frames[i].column = UINT32_MAX;
	}
	findings.thread_count = EXAMINE_THREADS_MAX;
	for (int i = 0; i < EXAMINE_THREADS_MAX; i++) {
		findings.threads[i] =
		    (struct examine_thread){.tid = INT32_MAX, .state = 'R', .cpu_ns = UINT64_MAX};
		fill(findings.threads[i].name, sizeof(findings.threads[i].name));
	}
	findings.child_count = EXAMINE_CHILDREN_MAX;
	for (int i = 0; i < EXAMINE_CHILDREN_MAX; i++) {
		findings.children[i] = (struct examine_child){.pid = INT32_MAX,
		    .parent = INT32_MAX,
		    .state = 'R',
		    .age_ms = INT64_MAX,
		    .cpu_ms = INT64_MAX};
		fill(findings.children[i].command, sizeof(findings.children[i].command));
	}
	findings.lock_count = EXAMINE_LOCKS_MAX;
	for (int i = 0; i < EXAMINE_LOCKS_MAX; i++) {
		findings.locks[i] = (struct examine_lock){.holder = INT32_MAX};
		fill(findings.locks[i].kind, sizeof(findings.locks[i].kind));
		fill(findings.locks[i].file, sizeof(findings.locks[i].file));
		fill(findings.locks[i].command, sizeof(findings.locks[i].command));
	}
	findings.object.kind = OBJECT_FIFO;
	findings.object.other_pid = 1;
	fill(findings.object.name, sizeof(findings.object.name));
	fill(findings.object.other, sizeof(findings.object.other));
	fill(findings.call.path, sizeof(findings.call.path));
	fill(findings.process.command, sizeof(findings.process.command));
	fill(findings.process.executable, sizeof(findings.process.executable));
}

TEST("the longest report fits, and is JSON, with the newest lines of the console")
{
	static char console[AUTOPSY_REPORT_MAX], report[AUTOPSY_REPORT_MAX];
	static struct json_value values[JSON_VALUES_FOR(AUTOPSY_REPORT_MAX)];
	static char strings[JSON_STRINGS_FOR(AUTOPSY_REPORT_MAX)];
	struct json_document document = {.values = values,
	    .value_max = sizeof(values) / sizeof(values[0]),
	    .strings = strings,
	    .string_size = sizeof(strings)};
	char directory[] = "/tmp/holdfast-autopsy-XXXXXX", name[64];
	const struct json_value *line, *last = NULL;
	struct json_fault fault;
	ssize_t length;

	if (!CHECK(mkdtemp(directory) != NULL))
		return;
	given_everything_at_its_longest();
	autopsy_judge(&findings, &result);
	text_copy(result.file, sizeof(result.file), "autopsy.1.json");
	for (size_t i = 0; i < sizeof(console); i++)
		console[i] = i % 97 == 0 ? '\n' : (char)(i * 7);
	memcpy(console + sizeof(console) - 6, "\nlast\n", 6);
	CHECK(autopsy_write(&findings, &result, console, sizeof(console), directory) == 0);
	snprintf(name, sizeof(name), "%s/autopsy.1.json", directory);
	length = file_read(AT_FDCWD, name, report, sizeof(report));
	if (CHECK(length > 0) &&
	    CHECK(json_parse(&document, report, (size_t)length, JSON_STRICT, &fault) == 0)) {
		const struct json_value *lines = json_find(&document, json_root(&document), "console");

		for (line = json_first(&document, lines); line != NULL; line = json_next(&document, line))
			last = line;
		CHECK(last != NULL && json_string_is(last, "last"));
	}
	unlink(name);
	rmdir(directory);
}

TEST("a report that cannot be written leaves nothing behind")
{
	given_state('S');
	autopsy_judge(&findings, &result);
	text_copy(result.file, sizeof(result.file), "autopsy.1.json");
	CHECK(autopsy_write(&findings, &result, NULL, 0, "/proc/self") < 0);
	CHECK(autopsy_write(&findings, &result, NULL, 0, "/tmp/holdfast-is-not-there") == -ENOENT);
}
