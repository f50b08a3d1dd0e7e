#include "sentry/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "process/procfs.h"
#include "world/world.h"

#define MEMORY_NAME    "notify.state"
#define MEMORY_MAGIC   0x4e4f5449u
#define MEMORY_VERSION 2u

#define DATAGRAMS_A_TURN 64   /* one that speaks without end keeps us from nothing */
#define DATAGRAMS_AT_END 1024 /* before a promise is called broken, all that waits is read */
#define EXTENSION_MS     5000
#define POSTPONED_MAX    3
#define RECALL_AGAIN_MS  1000
#define AGAIN_LEAST_MS   100
#define AGAIN_MOST_MS    1000

/* --- What outlives us. --- */

static uint64_t sum_of(const struct notify_memory *memory)
{
	return hash_bytes(memory, offsetof(struct notify_memory, sum));
}

static int open_memory(const struct notify *notify, int how)
{
	int directory_fd CLOSE_ON_RETURN =
	    world_open(settings_string(notify->settings, notify->settings->runtime_dir),
	        O_PATH | O_DIRECTORY | O_CLOEXEC);

	return directory_fd < 0 ? -1
	                        : world_openat(directory_fd, MEMORY_NAME, how | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Where it cannot be written, the next sentry knows less: the promise begins anew with the next sign. */
static void remember(struct notify *notify)
{
	int fd CLOSE_ON_RETURN = open_memory(notify, O_WRONLY | O_CREAT);

	notify->memory.magic = MEMORY_MAGIC;
	notify->memory.version = MEMORY_VERSION;
	notify->memory.sum = sum_of(&notify->memory);
	if (fd >= 0)
		(void)!world_pwrite(fd, &notify->memory, sizeof(notify->memory), 0);
}

/* Returns whether an earlier sentry knew this gateway. */
static bool recall(struct notify *notify, const struct message_gateway *gateway)
{
	int fd CLOSE_ON_RETURN = open_memory(notify, O_RDONLY);
	struct notify_memory memory;

	if (fd < 0 || file_read_up_to(fd, (char *)&memory, sizeof(memory)) != sizeof(memory) ||
	    memory.magic != MEMORY_MAGIC || memory.version != MEMORY_VERSION ||
	    memory.sum != sum_of(&memory) || memory.generation != gateway->generation ||
	    memory.pid != gateway->pid || memory.start_time != gateway->start_time ||
	    memory.interval_ms < 0 || memory.interval_ms > NOTIFY_TIME_MAX_MS)
		return false;
	memcpy(&notify->memory, &memory, sizeof(memory));
	return true;
}

/* The sentry before us may have been reading until a moment ago. */
static void recall_again(struct loop_timer *timer)
{
	struct notify *notify = timer->context;
	const struct notify_memory *memory = &notify->memory;
	const struct message_gateway gateway = {
	    .generation = memory->generation, .pid = memory->pid, .start_time = memory->start_time};

	if (!memory->is_ready && recall(notify, &gateway) && memory->is_ready)
		notify->ready(notify);
}

/* --- The promise. --- */

static bool has_promised(const struct notify *notify)
{
	const struct notify_memory *memory = &notify->memory;

	return memory->is_promised && memory->interval_ms > 0 && !memory->is_stopping;
}

static void watch_promise(struct notify *notify)
{
	bool holds = has_promised(notify);

	notify->is_triggered = notify->is_triggered && !notify->memory.is_stopping;
	notify->is_overdue = notify->is_triggered || (notify->is_overdue && holds);
	if (notify->is_overdue)
		return;
	/* One more: when the last sign came is known to the millisecond, and it shall not be judged early. */
	notify->due_ms = holds ? notify->heard_ms + notify->memory.interval_ms + 1 : 0;
	loop_timer_arm(notify->loop, &notify->due, notify->due_ms);
}

static void heard_sign(struct notify *notify)
{
	notify->heard_ms = clock_boot_ms();
	notify->postponed = 0;
	notify->is_overdue = false;
	watch_promise(notify);
}

/* Said again while it lasts: what keeps it from being judged now may be over then. */
static void break_promise(struct notify *notify)
{
	int64_t pause_ms = notify->memory.interval_ms;

	pause_ms = pause_ms < AGAIN_LEAST_MS ? AGAIN_LEAST_MS : pause_ms;
	notify->is_overdue = true;
	notify->due_ms = clock_boot_ms() + (pause_ms > AGAIN_MOST_MS ? AGAIN_MOST_MS : pause_ms);
	loop_timer_arm(notify->loop, &notify->due, notify->due_ms);
	notify->missed(notify);
}

/* --- What it says. --- */

static void extend(struct loop_timer *timer)
{
	struct notify *notify = timer->context;
	int64_t now_ms = clock_boot_ms();

	notify->extended(notify);
	loop_timer_arm(notify->loop, timer,
	    now_ms + EXTENSION_MS < notify->extended_until_ms ? now_ms + EXTENSION_MS : 0);
}

static void change_state(struct notify *notify, const struct notify_words *words)
{
	struct notify_memory *memory = &notify->memory;
	struct notify_memory before;

	memcpy(&before, memory, sizeof(before));
	if (words->said & NOTIFY_INTERVAL)
		memory->interval_ms = words->watchdog_ms;
	if (words->said & NOTIFY_STOPPING) {
		memory->is_stopping = true;
		memory->is_ready = memory->is_reloading = false;
	} else if (words->said & NOTIFY_READY) {
		memory->is_ready = memory->is_promised = true;
		memory->is_stopping = memory->is_reloading = false;
	} else if (words->said & NOTIFY_RELOADING) {
		memory->is_reloading = true;
	}
	if (words->said & NOTIFY_ALIVE)
		memory->is_promised = true;
	if (memcmp(&before, memory, sizeof(before)) != 0)
		remember(notify);
}

static void ask_for_time(struct notify *notify, const struct notify_words *words)
{
	if (notify->memory.is_ready)
		return; /* nothing is waited for */
	notify->extended_until_ms = clock_boot_ms() + words->extension_ms;
	extend(&notify->extension);
}

static void hear(struct notify *notify, const struct notify_words *words)
{
	uint32_t said = words->said;
	bool was_stopping = notify->memory.is_stopping;

	change_state(notify, words);
	if (said & NOTIFY_STATUS)
		memcpy(notify->status, words->status, sizeof(notify->status));
	if (said & NOTIFY_READY)
		notify->is_triggered = false;
	if (said & (NOTIFY_READY | NOTIFY_ALIVE))
		heard_sign(notify);
	else if (said & (NOTIFY_INTERVAL | NOTIFY_STOPPING))
		watch_promise(notify);
	if ((said & NOTIFY_STOPPING) ||
	    (was_stopping && notify->memory.is_stopping && (said & NOTIFY_EXTENSION)))
		notify->stopping(notify, said & NOTIFY_EXTENSION ? words->extension_ms
		                                                 : notify->settings->gateway.stop_timeout_ms);
	else if (said & NOTIFY_EXTENSION)
		ask_for_time(notify, words);
	if ((said & NOTIFY_READY) && !(said & NOTIFY_STOPPING))
		notify->ready(notify);
	if ((said & NOTIFY_TRIGGER) && !notify->memory.is_stopping) {
		notify->is_triggered = true;
		break_promise(notify);
	}
}

/* --- Who says it. --- */

/* What a command that the gateway ran may say as well, and what then harms nobody. */
#define ANYBODYS (NOTIFY_READY | NOTIFY_ALIVE | NOTIFY_STATUS | NOTIFY_EXTENSION)

static bool speaks_for_it(const struct notify *notify, int pid)
{
	const struct notify_memory *memory = &notify->memory;

	return pid == memory->pid ||
	       (pid == memory->speaker_pid && procfs_is_alive(pid, memory->speaker_start_time));
}

/* The one that speaks keeps its place for as long as it lives; the gateway's own process can always have it.
 */
static void choose_speaker(struct notify *notify, int pid)
{
	struct notify_memory *memory = &notify->memory;
	uint64_t start_time = 0;

	if (pid == memory->pid ? pid == memory->speaker_pid
	                       : procfs_is_alive((int)memory->speaker_pid, memory->speaker_start_time))
		return;
	if (procfs_start_time(pid, &start_time) < 0)
		return;
	memory->speaker_pid = pid;
	memory->speaker_start_time = start_time;
	remember(notify);
}

static void hear_one_of_it(struct notify *notify, int pid, const struct notify_words *words)
{
	struct notify_words heard = *words;

	if (heard.said & (NOTIFY_READY | NOTIFY_ALIVE))
		choose_speaker(notify, pid);
	if (!speaks_for_it(notify, pid))
		heard.said &= ANYBODYS;
	if (heard.said != 0)
		hear(notify, &heard);
}

static void hear_from(struct notify *notify, int pid, const struct notify_words *words)
{
	uint32_t place;

	if (notify->memory.generation != 0 && procfs_is_descendant(pid, notify->memory.pid)) {
		hear_one_of_it(notify, pid, words);
		return;
	}
	place = notify->stray_count++ % NOTIFY_STRAYS_MAX;
	notify->strays[place].pid = pid;
	notify->strays[place].words = *words;
}

static void forget_strays(struct notify *notify)
{
	notify->stray_count = 0;
	for (uint32_t i = 0; i < NOTIFY_STRAYS_MAX; i++)
		notify->strays[i].pid = 0;
}

/* In the order in which they came. */
static void hear_strays(struct notify *notify)
{
	uint32_t count = notify->stray_count;

	for (uint32_t i = 0; i < NOTIFY_STRAYS_MAX; i++) {
		uint32_t place = (count + i) % NOTIFY_STRAYS_MAX;
		int pid = notify->strays[place].pid;

		if (pid != 0 && procfs_is_descendant(pid, notify->memory.pid))
			hear_one_of_it(notify, pid, &notify->strays[place].words);
	}
	forget_strays(notify);
}

static int sender_of(struct msghdr *packet)
{
	struct ucred sender;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(packet); header != NULL;
	     header = CMSG_NXTHDR(packet, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS ||
		    header->cmsg_len != CMSG_LEN(sizeof(sender)))
			continue;
		memcpy(&sender, CMSG_DATA(header), sizeof(sender));
		return sender.pid;
	}
	return 0;
}

/* Returns whether one was there. */
static bool receive(struct notify *notify)
{
	static char bytes[NOTIFY_DATAGRAM_MAX + 1];
	struct iovec room = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	/* Room for the sender and nothing else: the kernel closes what descriptors come with it. */
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct msghdr packet = {.msg_iov = &room,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control.space)};
	struct notify_words words;
	ssize_t length = world_recvmsg(notify->source.fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int pid;

	if (length < 0)
		return errno == EINTR;
	pid = sender_of(&packet);
	if (pid > 0 && (packet.msg_flags & MSG_TRUNC) == 0 && notify_read(bytes, (size_t)length, &words) &&
	    words.said != 0)
		hear_from(notify, pid, &words);
	return true;
}

static void drain(struct notify *notify, int most)
{
	while (most-- > 0 && notify->source.fd >= 0 && receive(notify))
		;
}

static void readable(struct loop_source *source, uint32_t events)
{
	(void)events;
	drain(source->context, DATAGRAMS_A_TURN);
}

static void promise_due(struct loop_timer *timer)
{
	struct notify *notify = timer->context;
	int64_t due_ms = notify->due_ms, now_ms = clock_boot_ms();

	notify->due_ms = 0;
	drain(notify, DATAGRAMS_AT_END);
	if (notify->due_ms != 0)
		return; /* what was waiting has settled it */
	if (!notify->is_overdue && !has_promised(notify))
		return;
	/* Who comes so late has been kept from running, or the host slept: the gateway was kept as well. */
	if (!notify->is_overdue && now_ms - due_ms > notify->memory.interval_ms / 2 &&
	    notify->postponed < POSTPONED_MAX) {
		notify->postponed++;
		notify->due_ms = now_ms + notify->memory.interval_ms;
		loop_timer_arm(notify->loop, timer, notify->due_ms);
		return;
	}
	break_promise(notify);
}

void notify_init(struct notify *notify)
{
	notify->source = (struct loop_source){.fd = -1, .callback = readable, .context = notify};
	notify->due = (struct loop_timer){.callback = promise_due, .context = notify};
	notify->again = (struct loop_timer){.callback = recall_again, .context = notify};
	notify->extension = (struct loop_timer){.callback = extend, .context = notify};
}

void notify_take(struct notify *notify, int fd)
{
	struct sockaddr address = {0};
	socklen_t size = sizeof(address);

	if (fd < 0 || getsockname(fd, &address, &size) < 0 || address.sa_family != AF_UNIX) {
		file_close(&fd);
		return;
	}
	/* What was sent to the one before comes first. */
	drain(notify, DATAGRAMS_AT_END);
	notify_stop(notify);
	if (loop_source_watch(notify->loop, &notify->source, fd, EPOLLIN) < 0)
		file_close(&fd);
}

static void forget(struct notify *notify)
{
	memset(&notify->memory, 0, sizeof(notify->memory)); /* the padding too: it is summed up */
	notify->is_overdue = notify->is_triggered = false;
	notify->postponed = 0;
	notify->heard_ms = notify->extended_until_ms = 0;
	notify->status[0] = '\0';
	if (notify->loop != NULL) {
		loop_timer_arm(notify->loop, &notify->due, 0);
		loop_timer_arm(notify->loop, &notify->extension, 0);
		loop_timer_arm(notify->loop, &notify->again, 0);
	}
}

/* A gateway that had run for longer than its start may take before this process began, and of which no
 * earlier one has written: it must not wait for ever for a word that was said long ago. */
static bool is_old(const struct notify *notify, const struct message_gateway *gateway)
{
	uint64_t own_start_time = 0, ticks = (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t allowance = (uint64_t)notify->settings->health.startup_timeout_ms * ticks / 1000;

	return procfs_start_time(getpid(), &own_start_time) == 0 &&
	       gateway->start_time + allowance < own_start_time;
}

void notify_gateway_started(struct notify *notify, const struct message_gateway *gateway)
{
	struct notify_memory *memory = &notify->memory;

	if (gateway->generation == memory->generation && gateway->pid == memory->pid)
		return;
	forget(notify);
	if (!recall(notify, gateway)) {
		memory->generation = gateway->generation;
		memory->pid = gateway->pid;
		memory->start_time = gateway->start_time;
		memory->interval_ms = notify->settings->health.watchdog_ms;
		memory->is_ready = is_old(notify, gateway);
		remember(notify);
	} else if (!memory->is_ready) {
		loop_timer_arm(notify->loop, &notify->again, clock_boot_ms() + RECALL_AGAIN_MS);
	}
	notify->heard_ms = clock_boot_ms(); /* nobody listened before */
	watch_promise(notify);
	hear_strays(notify);
}

void notify_gateway_gone(struct notify *notify)
{
	forget(notify);
}

bool notify_gateway_is_up(struct notify *notify, uint64_t generation)
{
	struct notify_memory *memory = &notify->memory;

	if (memory->generation != generation || memory->is_stopping)
		return false;
	if (!memory->is_ready) {
		memory->is_ready = true;
		remember(notify);
	}
	return true;
}

bool notify_is_ready(const struct notify *notify, uint64_t generation)
{
	return notify->memory.generation == generation && notify->memory.is_ready;
}

bool notify_is_stopping(const struct notify *notify, uint64_t generation)
{
	return notify->memory.generation == generation && notify->memory.is_stopping;
}

bool notify_is_overdue(const struct notify *notify)
{
	return notify->is_overdue;
}

void notify_look(const struct notify *notify, struct health_look *look)
{
	const struct notify_memory *memory = &notify->memory;
	bool holds = memory->is_promised && memory->interval_ms > 0;

	look->watchdog_missed = notify->is_overdue;
	look->watchdog_ms = holds ? memory->interval_ms : 0;
	look->watchdog_heard_ms = holds ? notify->heard_ms : 0;
	if (notify->is_overdue) {
		/* Who asks to be taken for hung is judged as if nothing had come in time, whatever it
		 * promised. */
		if (notify->is_triggered)
			look->watchdog_ms = 1;
		if (look->watchdog_heard_ms > look->at_ms - look->watchdog_ms - 1)
			look->watchdog_heard_ms = look->at_ms - look->watchdog_ms - 1;
	}
	look->is_busy_with_itself = memory->is_reloading;
}

const char *notify_status(const struct notify *notify)
{
	return notify->status;
}

void notify_stop(struct notify *notify)
{
	int fd = notify->source.fd;

	loop_source_retire(&notify->source);
	file_close(&fd);
}
