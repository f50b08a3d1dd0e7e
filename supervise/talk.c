/* What is said between us and the workers, and what follows from it. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define WORKER_MESSAGES_A_TURN 64 /* one that speaks without end keeps us from nothing */

/* The kernel's killer sends SIGKILL; a shell around the gateway makes 137 of it, and of one that is no child
 * of ours nobody knows. */
static bool was_killed(const struct supervision_exit *exit)
{
	return exit->kind == EXIT_UNKNOWN || (exit->kind == EXIT_SIGNAL && exit->value == SIGKILL) ||
	       (exit->kind == EXIT_CODE && exit->value == 128 + SIGKILL);
}

static enum exit_verdict verdict_of(uint32_t words, const struct supervision_exit *exit)
{
	switch (words) {
	case WORDS_CONFIG_INVALID:
		return VERDICT_CONFIG_INVALID;
	case WORDS_MIGRATION_REQUIRED:
		return VERDICT_MIGRATION_REQUIRED;
	case WORDS_CONTENTION:
		return VERDICT_CONTENTION;
	case WORDS_OUT_OF_MEMORY:
		return VERDICT_OUT_OF_MEMORY;
	case WORDS_OOM_KILLED:
		return was_killed(exit) ? VERDICT_OOM_KILLED : VERDICT_CRASH;
	default:
		return VERDICT_CRASH;
	}
}

static void sentry_said(struct supervisor *supervisor, const struct message *message)
{
	struct supervision_event event = {.generation = message->gateway.generation};

	switch (message->type) {
	case MESSAGE_READY:
		event.type = ON_READY;
		event.proved = message->gateway.proved != 0;
		text_copy(supervisor->proof, sizeof(supervisor->proof), message->gateway.note);
		supervisor_step(supervisor, &event);
		supervisor->proof[0] = '\0';
		return;
	case MESSAGE_PROGRESS:
		event.type = ON_PROGRESS;
		break;
	case MESSAGE_WORDS:
		event.type = ON_WORDS;
		event.generation = message->words.generation;
		event.verdict = verdict_of(message->words.words, &supervisor->machine.last_exit);
		event.fallback = message->words.fallback != 0;
		/* That it was the kernel's killer is true only of what was killed. */
		if (message->words.words != WORDS_OOM_KILLED || event.verdict == VERDICT_OOM_KILLED)
			text_copy(supervisor->words, sizeof(supervisor->words), message->words.line);
		if (event.fallback)
			text_copy(
			    supervisor->fallback_why, sizeof(supervisor->fallback_why), message->words.line);
		break;
	case MESSAGE_DRAIN_BEGAN:
		event.type = ON_DRAIN_BEGAN;
		event.generation = message->drain.generation;
		event.value = message->drain.budget_ms;
		break;
	case MESSAGE_CONFIG_CHANGED:
		event.type = ON_CONFIG_CHANGED;
		break;
	case MESSAGE_CHANNELS_OFF:
		if (message->gateway.generation == supervisor->machine.generation)
			narrate_channels_off(supervisor, message->gateway.note);
		return;
	case MESSAGE_CONSOLE_DROPPED:
		console_lines_dropped(supervisor, &message->dropped);
		return;
	case MESSAGE_PONG:
		console_ponged(supervisor);
		notify_ponged(supervisor);
		return;
	case MESSAGE_VALIDATED:
		fallback_validated(supervisor, &message->validated);
		return;
	case MESSAGE_CHANNEL:
	case MESSAGE_CHANNEL_RESTARTED:
		channels_said(supervisor, message);
		return;
	default:
		health_said(supervisor, message);
		return;
	}
	supervisor_step(supervisor, &event);
}

void workers_hold(struct supervisor *supervisor)
{
	supervisor->holding = true;
}

void workers_release(struct supervisor *supervisor)
{
	if (!supervisor->holding)
		return;
	supervisor->holding = false;
	for (uint32_t i = 0; i < supervisor->held_count; i++) {
		struct held_message *held = &supervisor->held[i];

		worker_say(supervisor, held->index, held->type, &held->message, -1);
	}
	supervisor->held_count = 0;
	events_send(supervisor);
}

int worker_say(struct supervisor *supervisor, enum worker_index index, enum message_type type,
    struct message *message, int passed_fd)
{
	struct supervised_worker *worker = &supervisor->workers[index];
	int result;

	if (worker->channel_fd < 0)
		return -EPIPE;
	if (supervisor->holding && passed_fd < 0 && supervisor->held_count < HELD_MESSAGES_MAX) {
		supervisor->held[supervisor->held_count++] = (struct held_message){index, type, *message};
		return 0;
	}
	workers_release(supervisor);
	result = message_send(worker->channel_fd, type, message, passed_fd);
	if (result < 0 && result != -EPIPE && !worker->wants_send) {
		worker->wants_send = true;
		loop_source_change(&worker->channel, EPOLLIN | EPOLLOUT);
	}
	return result;
}

static void say_gateway(struct supervisor *supervisor, enum worker_index index)
{
	struct message message = {0};

	message.gateway.generation = supervisor->machine.generation;
	message.gateway.pid = supervisor->gateway.pid;
	message.gateway.start_time = supervisor->gateway.start_time;
	message.gateway.port = supervisor->gateway.port;
	message.gateway.fallback = supervisor->gateway.from_copy;
	worker_say(supervisor, index, MESSAGE_GATEWAY_STARTED, &message, supervisor->gateway.pid_fd);
}

void workers_announce_gateway(struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		say_gateway(supervisor, (enum worker_index)i);
	fallback_watch(supervisor);
}

void workers_tell_gateway(struct supervisor *supervisor, enum worker_index index)
{
	const struct supervision *machine = &supervisor->machine;
	struct message message = {0};

	if (machine->alive)
		say_gateway(supervisor, index);
	if (index != WORKER_SENTRY)
		return;
	if (machine->state == STATE_PARKED) {
		message.watch.on = 1;
		worker_say(supervisor, index, MESSAGE_WATCH_CONFIG, &message, -1);
	} else if (machine->alive && (machine->state == STATE_STARTING ||
	                                 (machine->state == STATE_DRAINING && machine->own_drain))) {
		message.gateway.generation = machine->generation;
		message.gateway.pid = supervisor->gateway.pid;
		message.gateway.start_time = supervisor->gateway.start_time;
		message.gateway.port = supervisor->gateway.port;
		worker_say(supervisor, index, MESSAGE_PROBE_START, &message, -1);
	}
	fallback_watch(supervisor);
	health_tell_sentry(supervisor);
}

/* All that a worker must know, and would not know if it was not there when it was said. */
static void brief(struct supervisor *supervisor, enum worker_index index)
{
	struct message message = {0};

	listeners_put(supervisor, supervisor->workers[index].channel_fd);
	if (index == WORKER_SENTRY)
		worker_say(supervisor, index, MESSAGE_CONSOLE, &message, supervisor->console.fd);
	if (index == WORKER_SENTRY && supervisor->notify.fd >= 0)
		worker_say(supervisor, index, MESSAGE_NOTIFY, &message, supervisor->notify.fd);
	workers_tell_gateway(supervisor, index);
}

void worker_is_ready(struct supervisor *supervisor, struct supervised_worker *worker)
{
	enum worker_index index = (enum worker_index)(worker - supervisor->workers);

	worker->ready = true;
	brief(supervisor, index);
	worker_release_predecessor(supervisor, worker); /* only now: it knows all that the old one knew */
	workers_release_surplus(supervisor, worker);
	if (index == WORKER_SENTRY) {
		console_sentry_back(supervisor);
		notify_sentry_back(supervisor);
		sessions_sentry_is_new(supervisor);
		events_send(supervisor);
	} else if (index == WORKER_RECORDER) {
		events_store_state(supervisor, true, "");
	}
	change_again(supervisor);
}

static void hello_came(
    struct supervisor *supervisor, struct supervised_worker *worker, const struct message_hello *hello)
{
	bool returned = worker->returning;

	if (supervisor->finishing)
		return;
	worker->returning = false;
	loop_timer_arm(&supervisor->loop, &worker->retry, 0);
	if (returned && worker_is_outdated(supervisor, worker, hello))
		worker_succeed(supervisor, worker);
	else
		worker_is_ready(supervisor, worker);
	if (returned)
		workers_open_listeners(supervisor);
}

/* What the relay has under way says something of the gateway's sessions. */
static void pass_on(struct supervisor *supervisor, const struct message *message)
{
	struct message copy = *message;

	worker_say(supervisor, WORKER_SENTRY, MESSAGE_RELAYED, &copy, -1);
}

static void worker_said(struct supervisor *supervisor, struct supervised_worker *worker,
    const struct message *message, int passed_fd)
{
	static const char *const kinds[] = {
	    "relay.failover", "profile.cooling", "profile.disabled", "profile.recovered", NULL};
	enum worker_index index = (enum worker_index)(worker - supervisor->workers);

	if (message->type == MESSAGE_LISTENER && worker->returning) {
		listeners_take(supervisor, message->listener.which, passed_fd);
		return;
	}
	file_close(&passed_fd);
	if (message->type == MESSAGE_HELLO)
		hello_came(supervisor, worker, &message->hello);
	else if (index == WORKER_SENTRY)
		sentry_said(supervisor, message);
	else if (index == WORKER_RELAY && message->type == MESSAGE_RELAYED)
		pass_on(supervisor, message);
	else if (index == WORKER_RELAY && message->type == MESSAGE_FINDING)
		health_found(supervisor, kinds, &message->finding);
	else if (index == WORKER_RECORDER && message->type == MESSAGE_STORED)
		events_acknowledge(supervisor, message->stored.life, message->stored.sequence);
	else if (index == WORKER_RECORDER && message->type == MESSAGE_STORE)
		events_store_state(supervisor, message->store.writable != 0, message->store.why);
}

void worker_close_channel(struct supervised_worker *worker)
{
	loop_source_retire(&worker->channel);
	file_close(&worker->channel_fd);
	worker->ready = worker->wants_send = false;
}

void worker_channel_event(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;
	struct supervised_worker *worker =
	    (struct supervised_worker *)((char *)source - offsetof(struct supervised_worker, channel));
	struct message message = {0};

	if ((events & EPOLLOUT) && worker->wants_send) {
		worker->wants_send = false;
		loop_source_change(source, EPOLLIN);
		/* What was said while it did not listen is lost; it must know of its gateway all the same. */
		if (worker->ready)
			brief(supervisor, (enum worker_index)(worker - supervisor->workers));
		if (worker == &supervisor->workers[WORKER_SENTRY] && worker->ready &&
		    supervisor->console.discarding)
			worker_say(supervisor, WORKER_SENTRY, MESSAGE_PING, &message, -1);
		events_send(supervisor);
	}
	for (int i = 0; i < WORKER_MESSAGES_A_TURN && worker->channel_fd >= 0; i++) {
		int passed_fd;
		int got = message_receive(worker->channel_fd, &message, &passed_fd);

		if (got == 1) {
			worker_said(supervisor, worker, &message, passed_fd);
		} else if (got == -EAGAIN) {
			return;
		} else if (got == -EBADMSG && worker->returning) { /* of another version */
			worker->returning = false;
			worker_succeed(supervisor, worker);
			workers_open_listeners(supervisor);
			return;
		} else {
			/* A worker that closed its channel, or says what we do not understand, is of no use.
			 */
			worker_close_channel(worker);
			if (worker->pid > 0)
				world_pidfd_send_signal(worker->pid_fd, SIGKILL, NULL, 0);
		}
	}
}
