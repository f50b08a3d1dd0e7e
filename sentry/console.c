#include "sentry/console.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "world/world.h"

#define FLUSH_MS      100
#define SETTLE_MS     1000
#define REPORT_MS     5000
#define TURN_READS    16
#define FOUND_MAX     1024
#define PHRASES_COUNT (sizeof(((struct console *)0)->phrases) / sizeof(const char *))

void console_report(struct console *console)
{
	struct sink_losses losses = sink_take_losses(console->file);

	(void)sink_take_losses(console->stream);
	if (losses.bytes > 0 && console->lines_lost != NULL)
		console->lines_lost(console, &losses);
}

static bool needs_settling(const struct console *console)
{
	return sink_losses(console->file)->bytes > 0 || sink_is_dropping(console->file) ||
	       sink_is_dropping(console->stream) || ring_is_spread(console->ring);
}

static void settle_later(struct console *console)
{
	if (console->settle.due_ms == 0 && needs_settling(console))
		loop_timer_arm(console->loop, &console->settle, clock_boot_ms() + SETTLE_MS);
}

static void settle_due(struct loop_timer *timer)
{
	struct console *console = timer->context;
	int64_t now_ms = clock_boot_ms();

	sink_settle(console->file);
	sink_settle(console->stream);
	if (sink_losses(console->file)->bytes > 0 && now_ms - console->settled_ms >= REPORT_MS) {
		console->settled_ms = now_ms;
		console_report(console);
	}
	for (int i = 0; i < RING_REGION_COUNT; i++)
		ring_trim(console->ring, (enum ring_region)i, RING_KEPT_BYTES);
	settle_later(console);
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

/* Hands out the first bytes of what is held. It is in the sinks, and forgotten here, by one commit; only then
 * is it looked at: lines that we could not bear must not be found again by whoever comes after us. */
static void hand_out(struct console *console, size_t length)
{
	struct ring *ring = console->ring;
	const char *bytes = ring->bytes[RING_LANDING] + ring->state.from;

	if (length == 0)
		return;
	sink_offer(console->file, bytes, length, ring->state.begins_line);
	sink_offer(console->stream, bytes, length, ring->state.begins_line);
	ring->state.begins_line = bytes[length - 1] == '\n';
	ring_release_held(ring, length);
	ring_commit(ring);
	sink_publish(console->file);
	sink_publish(console->stream);
	tail_add(&console->tail, bytes, length);
	search(console, bytes, length);
	settle_later(console);
}

/* The last `got` held bytes are new: hands out whole lines and keeps the beginning of the next one, unless it
 * has grown too long. */
static void take(struct console *console, size_t got)
{
	const struct ring_state *state = &console->ring->state;
	const char *bytes = console->ring->bytes[RING_LANDING] + state->from;
	size_t length = state->held, whole;
	const char *end = memrchr(bytes + length - got, '\n', got);

	whole = end != NULL ? (size_t)(end - bytes) + 1 : 0;
	console->bytes += got;
	if (length - whole >= LINE_MAX_BYTES)
		whole = length;
	hand_out(console, whole);
}

static void flush_held(struct console *console)
{
	hand_out(console, console->ring->state.held);
}

static void flush_due(struct loop_timer *timer)
{
	flush_held(timer->context);
}

/* A prompt without a line end must be seen, too. */
static void flush_later(struct console *console)
{
	if (console->ring->state.held > 0)
		loop_timer_arm(console->loop, &console->flush, clock_boot_ms() + FLUSH_MS);
}

/* Returns whether there may be more. */
static bool read_once(struct console *console)
{
	size_t room;
	char *target = ring_read_begin(console->ring, &room);
	ssize_t got = world_read(console->source.fd, target, room);

	ring_read_end(console->ring, got > 0 ? (size_t)got : 0);
	if (got <= 0)
		return false;
	take(console, (size_t)got);
	return (size_t)got >= room / 2;
}

static void console_readable(struct loop_source *source, uint32_t events)
{
	struct console *console = source->context;

	(void)events;
	for (int i = 0; i < TURN_READS && read_once(console); i++)
		;
	flush_later(console);
}

void console_init(struct console *console)
{
	console->source = (struct loop_source){.fd = -1, .callback = console_readable, .context = console};
	console->flush = (struct loop_timer){.callback = flush_due, .context = console};
	console->settle = (struct loop_timer){.callback = settle_due, .context = console};
}

void console_start(struct console *console, int fd)
{
	if (console->ring->state.held > 0)
		take(console, console->ring->state.held);
	flush_later(console);
	settle_later(console);
	/* What cannot be watched can still be drained when somebody asks; there is no better way. */
	if (loop_source_watch(console->loop, &console->source, fd, EPOLLIN) < 0)
		console->source.fd = fd;
}

void console_drain(struct console *console, uint64_t limit)
{
	uint64_t begin = console->bytes, before;

	if (console->source.fd < 0)
		return;
	do {
		before = console->bytes;
		read_once(console);
	} while (console->bytes != before && console->bytes - begin < limit);
	flush_held(console);
}

void console_stop(struct console *console)
{
	if (console->source.fd < 0)
		return;
	loop_source_retire(&console->source);
	console->source.fd = -1;
	flush_held(console);
	loop_timer_arm(console->loop, &console->flush, 0);
}
