#include "sentry/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define REOPEN_MS     1000
#define FLUSH_MS      100
#define SETTLE_MS     1000
#define REPORT_MS     5000
#define TURN_READS    16
#define FOUND_MAX     1024
#define PHRASES_COUNT (sizeof(((struct console *)0)->phrases) / sizeof(const char *))

static void report_losses(struct console *console)
{
	struct sink_losses losses = sink_take_losses(console->file);

	(void)sink_take_losses(console->stream);
	if (losses.bytes > 0 && console->lines_lost != NULL)
		console->lines_lost(console, &losses);
}

static void settle_due(struct loop_timer *timer)
{
	struct console *console = timer->context;
	int64_t now_ms = clock_boot_ms();
	bool unreported = console->file->unreported.bytes > 0;

	sink_settle(console->file);
	sink_settle(console->stream);
	if (unreported && now_ms - console->settled_ms >= REPORT_MS) {
		console->settled_ms = now_ms;
		report_losses(console);
		unreported = false;
	}
	if (unreported || console->file->dropping || console->stream->dropping)
		loop_timer_arm(console->loop, timer, now_ms + SETTLE_MS);
}

/* Looks for the phrases in whole lines, many at a time: nearly always there is none. */
static void search(struct console *console, const char *bytes, size_t length)
{
	for (size_t i = 0; i < PHRASES_COUNT && console->phrases[i] != NULL; i++) {
		const char *phrase = console->phrases[i];
		const char *from = bytes, *end = bytes + length, *at;

		while ((at = memmem(from, (size_t)(end - from), phrase, strlen(phrase))) != NULL) {
			const char *begin = memrchr(bytes, '\n', (size_t)(at - bytes));
			const char *stop = memchr(at, '\n', (size_t)(end - at));
			char line[FOUND_MAX];

			begin = begin != NULL ? begin + 1 : bytes;
			stop = stop != NULL ? stop : end;
			line_strip(line, sizeof(line), begin, (size_t)(stop - begin));
			console->line_found(console, line);
			from = stop;
		}
	}
}

static void hand_out(struct console *console, const char *bytes, size_t length)
{
	if (length == 0)
		return;
	tail_add(&console->tail, bytes, length);
	sink_offer(console->file, bytes, length, console->begins_line);
	sink_offer(console->stream, bytes, length, console->begins_line);
	console->begins_line = bytes[length - 1] == '\n';
	search(console, bytes, length);
	if ((console->file->dropping || console->stream->dropping) && console->settle.due_ms == 0)
		loop_timer_arm(console->loop, &console->settle, clock_boot_ms() + SETTLE_MS);
}

/* Hands out whole lines and keeps the beginning of the next one, unless it has grown too long. */
static void take(struct console *console, size_t got)
{
	size_t length = console->held + got;
	const char *end = memrchr(console->buffer + console->held, '\n', got);
	size_t whole = end != NULL ? (size_t)(end - console->buffer) + 1 : 0;

	console->bytes += got;
	if (length - whole >= LINE_MAX_BYTES)
		whole = length;
	hand_out(console, console->buffer, whole);
	console->held = length - whole;
	memmove(console->buffer, console->buffer + whole, console->held);
}

static void flush_held(struct console *console)
{
	hand_out(console, console->buffer, console->held);
	console->held = 0;
}

static void flush_due(struct loop_timer *timer)
{
	flush_held(timer->context);
}

/* Returns how many bytes were read, 0 when there are none now. */
static size_t read_once(struct console *console)
{
	ssize_t got = read(console->source.fd, console->buffer + console->held, CONSOLE_READ_BYTES);

	if (got <= 0)
		return 0;
	take(console, (size_t)got);
	return (size_t)got;
}

static void release_fifo(struct console *console)
{
	int fd = console->source.fd;

	loop_source_retire(&console->source);
	file_close(&fd);
}

static void console_readable(struct loop_source *source, uint32_t events)
{
	struct console *console = source->context;
	size_t got = 0;

	for (int i = 0; i < TURN_READS; i++) {
		size_t more = read_once(console);

		got += more;
		if (more < CONSOLE_READ_BYTES / 2)
			break;
	}
	if (got == 0 && (events & (EPOLLHUP | EPOLLERR))) {
		/* Nobody holds the other end: waiting on this one would spin. */
		release_fifo(console);
		loop_timer_arm(console->loop, &console->reopen, clock_boot_ms() + REOPEN_MS);
		return;
	}
	/* A prompt without a line end must be seen, too. */
	if (console->held > 0)
		loop_timer_arm(console->loop, &console->flush, clock_boot_ms() + FLUSH_MS);
}

static int open_fifo(const char *runtime_dir)
{
	int directory CLOSE_ON_RETURN = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat stat;
	int fd;

	if (directory < 0)
		return -errno;
	fd = openat(directory, CONSOLE_NAME, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) == 0 && S_ISFIFO(stat.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

static void try_open(struct console *console)
{
	int fd = open_fifo(console->runtime_dir);

	if (fd >= 0 && loop_source_watch(console->loop, &console->source, fd, EPOLLIN) < 0)
		file_close(&fd);
	if (fd < 0)
		loop_timer_arm(console->loop, &console->reopen, clock_boot_ms() + REOPEN_MS);
}

static void reopen_due(struct loop_timer *timer)
{
	try_open(timer->context);
}

void console_init(struct console *console)
{
	console->begins_line = true;
	console->source = (struct loop_source){.fd = -1, .callback = console_readable, .context = console};
	console->reopen = (struct loop_timer){.callback = reopen_due, .context = console};
	console->flush = (struct loop_timer){.callback = flush_due, .context = console};
	console->settle = (struct loop_timer){.callback = settle_due, .context = console};
}

void console_start(struct console *console)
{
	console->started = true;
	try_open(console);
}

void console_drain(struct console *console, uint64_t limit)
{
	uint64_t begin = console->bytes;

	while (console->source.fd >= 0 && console->bytes - begin < limit && read_once(console) > 0)
		;
	flush_held(console);
}

/* Whether the FIFO that is open is the one in the directory, or the only one there is. */
static bool is_current(const struct console *console)
{
	char path[4096];
	struct stat there, open;

	snprintf(path, sizeof(path), "%s/" CONSOLE_NAME, console->runtime_dir);
	if (lstat(path, &there) < 0)
		return true;
	return fstat(console->source.fd, &open) == 0 && there.st_dev == open.st_dev &&
	       there.st_ino == open.st_ino;
}

void console_reopen(struct console *console)
{
	if (!console->started || (console->source.fd >= 0 && is_current(console)))
		return;
	if (console->source.fd >= 0) {
		console_drain(console, TAIL_BYTES);
		release_fifo(console);
	}
	try_open(console);
}

void console_close(struct console *console)
{
	console->started = false;
	release_fifo(console);
	flush_held(console);
	loop_timer_arm(console->loop, &console->reopen, 0);
	report_losses(console);
}
