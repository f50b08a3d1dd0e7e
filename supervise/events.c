/* Events wait in a ring on tmpfs until the recorder says that they are on disk. The ring outlives us; when it
 * is full the oldest is overwritten, and counted. Nobody here ever waits for the recorder. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define EVENTS_MAGIC   0x48455654u
#define EVENTS_VERSION 1
#define TRIM_EVENTS    32

static bool is_ours(const struct pending_events *pending)
{
	return pending->magic == EVENTS_MAGIC && pending->version == EVENTS_VERSION &&
	       pending->size == sizeof(*pending) && pending->stored <= pending->last &&
	       pending->last - pending->stored <= PENDING_EVENTS_MAX;
}

static void begin_life(struct pending_events *pending)
{
	/* The ring is left alone: what has not been counted is not looked at, and touching it would cost its
	 * memory. */
	memset(pending, 0, offsetof(struct pending_events, ring));
	if (getrandom(&pending->life, sizeof(pending->life), GRND_NONBLOCK) < 0)
		pending->life = (uint64_t)clock_real_ms() ^ ((uint64_t)getpid() << 44);
	pending->life >>= 1; /* the store's integers are signed */
	pending->size = sizeof(*pending);
	pending->version = EVENTS_VERSION;
	pending->magic = EVENTS_MAGIC;
}

int events_open(struct supervisor *supervisor, struct error *why)
{
	int fd CLOSE_ON_RETURN = world_openat(
	    supervisor->runtime_fd, EVENTS_FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int flags = MAP_SHARED;

	/* Without room on tmpfs the ring is ordinary memory: it works, but does not outlive us. */
	if (fd < 0 || world_posix_fallocate(fd, 0, sizeof(struct pending_events)) != 0)
		flags = MAP_PRIVATE | MAP_ANONYMOUS;
	supervisor->pending = world_mmap(NULL, sizeof(struct pending_events), PROT_READ | PROT_WRITE, flags,
	    flags & MAP_ANONYMOUS ? -1 : fd, 0);
	if (supervisor->pending == MAP_FAILED)
		return error_set(why, -errno, "There is no memory for events: %s.", strerror(errno));
	if (!is_ours(supervisor->pending))
		begin_life(supervisor->pending);
	supervisor->sent = supervisor->pending->stored;
	supervisor->shown = supervisor->pending->last;
	supervisor->store_writable = true;
	return 0;
}

uint64_t events_waiting(const struct supervisor *supervisor)
{
	return supervisor->pending->last - supervisor->pending->stored;
}

/* What happened is shown by the sentry: what it missed, when it is back. */
static void show(struct supervisor *supervisor)
{
	const struct pending_events *pending = supervisor->pending;

	if (supervisor->holding || !supervisor->workers[WORKER_SENTRY].ready)
		return;
	if (pending->last - supervisor->shown > PENDING_EVENTS_MAX)
		supervisor->shown = pending->last - PENDING_EVENTS_MAX;
	while (supervisor->shown < pending->last) {
		struct message note = {0};

		text_copy(note.note.text, sizeof(note.note.text),
		    pending->ring[(supervisor->shown + 1) % PENDING_EVENTS_MAX].reason);
		if (worker_say(supervisor, WORKER_SENTRY, MESSAGE_NOTE, &note, -1) < 0)
			return;
		supervisor->shown++;
	}
}

void events_record(struct supervisor *supervisor, const char *kind, enum event_severity severity,
    uint64_t incident, const char *evidence, const char *format, ...)
{
	struct pending_events *pending = supervisor->pending;
	struct message_event *event = &pending->ring[(pending->last + 1) % PENDING_EVENTS_MAX];
	va_list arguments;

	if (pending->last - pending->stored == PENDING_EVENTS_MAX) {
		pending->stored++;
		pending->dropped++;
		if (supervisor->sent < pending->stored)
			supervisor->sent = pending->stored;
	}
	memset(event, 0, sizeof(*event));
	event->life = pending->life;
	event->sequence = pending->last + 1;
	event->real_ms = clock_real_ms();
	event->incident = incident;
	event->severity = severity;
	text_copy(event->kind, sizeof(event->kind), kind);
	text_copy(event->evidence, sizeof(event->evidence), evidence == NULL ? "{}" : evidence);
	va_start(arguments, format);
	vsnprintf(event->reason, sizeof(event->reason), format, arguments);
	va_end(arguments);
	/* The event is whole before it counts: we may be killed between any two instructions. */
	__atomic_store_n(&pending->last, pending->last + 1, __ATOMIC_RELEASE);
	events_send(supervisor);
}

void events_send(struct supervisor *supervisor)
{
	const struct pending_events *pending = supervisor->pending;
	const struct supervised_worker *recorder = &supervisor->workers[WORKER_RECORDER];

	show(supervisor);
	if (!recorder->ready || !supervisor->store_writable || supervisor->holding)
		return;
	while (supervisor->sent < pending->last) {
		struct message message;

		message.event = pending->ring[(supervisor->sent + 1) % PENDING_EVENTS_MAX];
		message.event.oldest = pending->stored + 1;
		if (worker_say(supervisor, WORKER_RECORDER, MESSAGE_EVENT, &message, -1) < 0)
			return;
		supervisor->sent++;
	}
}

static void tell_dropped(struct supervisor *supervisor)
{
	struct pending_events *pending = supervisor->pending;
	uint64_t dropped = pending->dropped - pending->dropped_told;
	char evidence[64];

	if (dropped == 0 || !supervisor->store_writable)
		return;
	pending->dropped_told = pending->dropped;
	snprintf(evidence, sizeof(evidence), "{\"dropped\":%" PRIu64 "}", dropped);
	events_record(supervisor, "events.dropped", SEVERITY_WARNING, 0, evidence,
	    "%" PRIu64 " events could not be stored in time and are lost; the ones after them are here.",
	    dropped);
}

void events_resend(struct supervisor *supervisor)
{
	supervisor->sent = supervisor->pending->stored;
	events_send(supervisor);
}

/* Events that are on disk and shown need no memory of ours: now and then the ring's pages are given back. */
static void trim(struct supervisor *supervisor)
{
	const struct pending_events *pending = supervisor->pending;
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

	if (pending->stored != pending->last || supervisor->shown != pending->last ||
	    pending->last - supervisor->trimmed < TRIM_EVENTS)
		return;
	supervisor->trimmed = pending->last;
	/* The first page has the counts. */
	world_madvise((char *)supervisor->pending + page_bytes, sizeof(*pending) - page_bytes, MADV_DONTNEED);
}

void events_acknowledge(struct supervisor *supervisor, uint64_t life, uint64_t sequence)
{
	struct pending_events *pending = supervisor->pending;

	if (life != pending->life || sequence > supervisor->sent || sequence <= pending->stored)
		return;
	pending->stored = sequence;
	tell_dropped(supervisor);
	events_send(supervisor);
	trim(supervisor);
}

void events_store_state(struct supervisor *supervisor, bool writable, const char *why)
{
	supervisor->store_writable = writable;
	text_copy(supervisor->store_why, sizeof(supervisor->store_why), writable ? "" : why);
	if (writable)
		events_resend(supervisor);
}
