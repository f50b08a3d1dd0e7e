/* The console's memory across deaths: a sentry is killed before and after each of its system calls, and at
 * each step that is not one; the next one goes on, and every line is in the file once. */
#include "support/ring_home.h"
#include "support/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "sentry/console.h"
#include "sentry/logfile.h"
#include "sentry/ring.h"
#include "sentry/sink.h"

#define INPUT_BYTES (300 * 1000)
#define KILLS_MAX   20000

static int64_t retention_bytes; /* 0: the files rotate every 128 KiB */
static char input[INPUT_BYTES + 1], found[4 * 1000 * 1000];

/* All the console files, the oldest first. */
static size_t read_log(void)
{
	static const char *const names[] = {
	    "console.log.4", "console.log.3", "console.log.2", "console.log.1", "console.log"};
	size_t length = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd CLOSE_ON_RETURN = open(path_of(names[i]), O_RDONLY | O_CLOEXEC);
		ssize_t got = fd >= 0 ? file_read_up_to(fd, found + length, sizeof(found) - 1 - length) : 0;

		length += got > 0 ? (size_t)got : 0;
	}
	found[length] = '\0';
	return length;
}

/* --- one sentry's life -----------------------------------------------------------------------------------
 */

struct life {
	struct loop loop;
	struct ring ring;
	struct logfile logfile;
	struct sink file, stream;
	struct console console;
	int opened;
};

static ssize_t forget(void *context, const char *bytes, size_t length)
{
	(void)context;
	(void)bytes;
	return (ssize_t)length;
}

static void line_found(struct console *console, const char *line)
{
	(void)console;
	(void)line;
}

/* As the sentry does it when the console is granted. */
static void begin_life(struct life *life, sink_write *write, void *context)
{
	struct ring_cursor *cursor;
	uint64_t left;

	memset(life, 0, sizeof(*life));
	loop_init(&life->loop);
	life->opened = ring_open(&life->ring, directory);
	logfile_init(&life->logfile, directory, retention_bytes);
	cursor = life->logfile.cursor = &life->ring.cursors[RING_FILE];
	left = life->ring.state.sinks[RING_FILE].end - cursor->begin;
	cursor->begin +=
	    logfile_written_since(&life->logfile, cursor, left < SINK_WRITE_MAX ? left : SINK_WRITE_MAX);
	life->file = (struct sink){.write = write,
	    .context = context != NULL ? context : &life->logfile,
	    .slow_words = "it was slow",
	    .notice_prefix = "",
	    .ring = &life->ring,
	    .region = RING_FILE};
	life->stream = (struct sink){.write = forget,
	    .slow_words = "",
	    .notice_prefix = "",
	    .ring = &life->ring,
	    .region = RING_STREAM};
	life->console = (struct console){.loop = &life->loop,
	    .ring = &life->ring,
	    .file = &life->file,
	    .stream = &life->stream,
	    .line_found = line_found};
	console_init(&life->console);
	if (sink_init(&life->file) != 0 || sink_init(&life->stream) != 0)
		_exit(3);
}

/* What every test does in a process of its own: lives until killed, or all is read and written. */
static void live(int fifo, bool traced)
{
	static struct life life;

	if (traced) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
	}
	begin_life(&life, logfile_write, NULL);
	console_start(&life.console, fifo);
	console_drain(&life.console, UINT64_MAX);
	sink_finish(&life.file, 10000);
	sink_finish(&life.stream, 10000);
	_exit(0);
}

static bool is_over(int status)
{
	return WIFEXITED(status) || WIFSIGNALED(status);
}

/* Runs a life and kills it at its `count`th stop before or after a system call, of whichever thread. Returns
 * whether it came so far; -1 when nothing may be traced here. */
static int kill_at(int fifo, int count)
{
	int status = 0, stops = 0;
	pid_t child = fork(), pid;

	if (child == 0)
		live(fifo, true);
	if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, child, NULL,
	        PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) < 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		return -1;
	}
	ptrace(PTRACE_SYSCALL, child, NULL, NULL);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (is_over(status) && pid == child)
			return stops >= count;
		if (is_over(status))
			continue;
		stops += WSTOPSIG(status) == (SIGTRAP | 0x80);
		if (stops == count)
			kill(child, SIGKILL);
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	}
	return -1;
}

static int run_to_the_end(int fifo)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		live(fifo, false);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void make_input(void)
{
	size_t at = 0;
	unsigned next = 12345;

	/* Lines of all lengths, also longer than a piece, each with its number. */
	for (int number = 0; at < INPUT_BYTES; number++) {
		size_t length;

		next = next * 1103515245 + 12345;
		length = number % 20 == 19 ? 20000 : (next >> 16) % 2000;
		at += (size_t)snprintf(input + at, sizeof(input) - at, "line %d ", number);
		while (length-- > 0 && at < INPUT_BYTES)
			input[at++] = (char)('a' + length % 26);
		if (at < INPUT_BYTES)
			input[at++] = '\n';
	}
	input[INPUT_BYTES] = '\0';
}

static int make_fifo(void)
{
	int fd;

	CHECK(mkfifo(path_of("console"), 0600) == 0);
	fd = open(path_of("console"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	unlink(path_of("console"));
	CHECK(fd >= 0 && fcntl(fd, F_SETPIPE_SZ, 1 << 20) >= INPUT_BYTES);
	return fd;
}

static bool is_all_there_once(int count)
{
	size_t length = read_log(), same = 0;

	while (same < length && same < INPUT_BYTES && found[same] == input[same])
		same++;
	if (length == INPUT_BYTES && same == INPUT_BYTES)
		return true;
	printf(
	    "# killed at stop %d: %zu bytes of %d, the first %zu right\n", count, length, INPUT_BYTES, same);
	return false;
}

TEST("killed before and after every system call: nothing is lost and nothing is doubled")
{
	int fifo CLOSE_ON_RETURN = -1;
	int count, reached = 1;

	make_input();
	make_directory();
	fifo = make_fifo();
	for (count = 1; reached > 0 && count < KILLS_MAX; count++) {
		CHECK(file_write_all(fifo, input, INPUT_BYTES) == 0);
		reached = kill_at(fifo, count);
		if (reached < 0) {
			SKIP("no process can be traced here");
			break;
		}
		if (!CHECK(run_to_the_end(fifo) == 0) || !CHECK(is_all_there_once(count)))
			break;
		remove_files();
	}
	printf("# %d deaths\n", count);
	CHECK(reached != 0 || count > 100);
	remove_directory();
}

TEST("killed again and again: each sentry goes on where the last one was")
{
	int fifo CLOSE_ON_RETURN = -1;
	int kills = 0;

	make_input();
	make_directory();
	fifo = make_fifo();
	CHECK(file_write_all(fifo, input, INPUT_BYTES) == 0);
	/* A little further each time: the next one begins with what the last one left. */
	for (int count = 60; kill_at(fifo, count) == 1; count += 2)
		kills++;
	CHECK(run_to_the_end(fifo) == 0);
	CHECK(is_all_there_once(kills));
	remove_directory();
}

/* --- single steps ----------------------------------------------------------------------------------------
 */

/* A disk that does nothing until it is told to. */
static ssize_t refuse(void *context, const char *bytes, size_t length)
{
	(void)context;
	(void)bytes;
	(void)length;
	return -ENOSPC;
}

/* Runs `step` in a process that then is no more. */
static void die_after(void (*step)(int fifo), int fifo)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		step(fifo);
		kill(getpid(), SIGKILL);
	}
	waitpid(child, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Until the sink's thread does what kills us. */
static void await_death(void)
{
	alarm(30);
	pause();
	_exit(4);
}

static void read_but_not_account(int fifo)
{
	struct ring ring;
	size_t room;
	char *target;

	ring_open(&ring, directory);
	target = ring_read_begin(&ring, &room);
	(void)!read(fifo, target, room);
}

TEST("killed between read(2) and everything else: the bytes are found")
{
	int fifo CLOSE_ON_RETURN = -1;
	size_t length;

	make_directory();
	fifo = make_fifo();
	CHECK(file_write_all(fifo, "one\ntwo", 7) == 0);
	die_after(read_but_not_account, fifo);
	CHECK(file_write_all(fifo, "\nthree\n", 7) == 0);
	CHECK(run_to_the_end(fifo) == 0);

	length = read_log();
	CHECK(length == 14);
	CHECK_TEXT(found, "one\ntwo\nthree\n");
	remove_directory();
}

TEST("killed between read(2) and everything else, where other lines had been before")
{
	struct ring ring;
	char *target;
	size_t room;

	make_directory();
	CHECK(ring_open(&ring, directory) == RING_NEW);
	target = ring_read_begin(&ring, &room);
	memset(target, 'x', 1000);
	ring_read_end(&ring, 1000);
	ring_release_held(&ring, 1000);
	ring_commit(&ring);
	target = ring_read_begin(&ring, &room);
	memcpy(target, "two\n", 4);
	ring_close(&ring);

	CHECK(ring_open(&ring, directory) == RING_FOUND);
	CHECK(ring.state.held == 4 && memcmp(ring.bytes[RING_LANDING] + ring.state.from, "two\n", 4) == 0);
	ring_close(&ring);
	CHECK(ring_open(&ring, directory) == RING_FOUND);
	CHECK(ring.state.held == 4);
	ring_close(&ring);
	remove_directory();
}

static void fill_and_drop(int fifo)
{
	static struct life life;
	static char line[1000];

	(void)fifo;
	begin_life(&life, refuse, &life);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (int i = 0; i < 2000; i++)
		sink_offer(&life.file, line, sizeof(line), true);
	ring_commit(&life.ring);
	sink_publish(&life.file);
}

TEST("killed with a full ring: what was kept is written, and what was dropped is said")
{
	int fifo CLOSE_ON_RETURN = -1;
	const char *notice;

	make_directory();
	fifo = make_fifo();
	retention_bytes = 100 * 1000 * 1000;
	die_after(fill_and_drop, fifo);
	CHECK(run_to_the_end(fifo) == 0);
	retention_bytes = 0;

	read_log();
	notice = strstr(found, "[holdfast] ");
	if (CHECK(notice != NULL)) {
		unsigned long long dropped = strtoull(notice + 11, NULL, 10);

		CHECK((size_t)(notice - found) + dropped * 1000 == 2000 * 1000);
	}
	remove_directory();
}

static sem_t all_is_read;

/* Begins once all is in the ring, and writes about half of what it is given; after its third write it is
 * killed. */
static ssize_t write_half_and_die(void *context, const char *bytes, size_t length)
{
	static int writes;
	ssize_t written;

	if (writes == 0)
		sem_wait(&all_is_read);
	written = logfile_write(context, bytes, length / 2 + 1);
	if (++writes == 3)
		kill(getpid(), SIGKILL);
	return written;
}

static void write_and_die(int fifo)
{
	static struct life life;

	sem_init(&all_is_read, 0, 0);
	begin_life(&life, write_half_and_die, &life.logfile);
	console_start(&life.console, fifo);
	console_drain(&life.console, UINT64_MAX);
	sem_post(&all_is_read);
	await_death();
}

/* A ring with one line in it, close to its end. */
static void make_late_ring(void)
{
	struct ring ring;
	uint64_t begin = RING_SINK_BYTES - 1000;

	CHECK(ring_open(&ring, directory) == RING_NEW);
	CHECK(ring_reserve(&ring, RING_FILE, RING_SINK_BYTES) == RING_SINK_BYTES);
	memcpy(ring.bytes[RING_FILE] + begin, "first\n", 6);
	ring.cursors[RING_FILE].begin = begin;
	ring.state.sinks[RING_FILE].end = begin + 6;
	ring_commit(&ring);
	ring_close(&ring);
}

TEST("killed in the middle of writing a ring that has wrapped")
{
	int fifo CLOSE_ON_RETURN = -1;
	size_t length;

	make_input();
	make_directory();
	fifo = make_fifo();
	CHECK(file_write_all(fifo, input, INPUT_BYTES) == 0);
	make_late_ring();
	die_after(write_and_die, fifo);
	CHECK(run_to_the_end(fifo) == 0);

	length = read_log();
	CHECK(length == INPUT_BYTES + 6 && memcmp(found, "first\n", 6) == 0);
	CHECK(memcmp(found + 6, input, INPUT_BYTES) == 0);
	remove_directory();
}

TEST("a file that another has lengthened or replaced meanwhile costs no line")
{
	int fifo CLOSE_ON_RETURN = -1;
	size_t length;

	make_directory();
	fifo = make_fifo();
	CHECK(file_write_all(fifo, "1\n2\n3\n4\n5\n6\n7\n8\n", 16) == 0);
	die_after(write_and_die, fifo);
	CHECK(rename(path_of("console.log"), strdupa(path_of("console.log.1"))) == 0);
	CHECK(run_to_the_end(fifo) == 0);

	/* Rather twice than never. */
	length = read_log();
	CHECK(length >= 16);
	for (const char *digit = "12345678"; *digit != '\0'; digit++)
		CHECK(strchr(found, *digit) != NULL);
	remove_directory();
}
