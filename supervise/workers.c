/* The three workers: started, restarted with the same policy as the gateway, and gone on without. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/procfs.h"
#include "process/spawn.h"
#include "supervise/supervisor.h"

#define WORKER_HEALTHY_AFTER_MS 10000
#define WORKER_BACKOFF_MIN_MS   10
#define WORKER_BACKOFF_END_MS   1000 /* what they come to where the gateway has no back-off */
#define WORKER_MESSAGES_A_TURN  64   /* one that speaks without end keeps us from nothing */
#define WORKER_BACKOFF_MAX_MS                                                                                \
	60000 /* nobody may be left unwatched for longer, whatever the gateway's back-off */

static const char *const names[WORKER_COUNT] = {"sentry", "recorder", "relay"};

static void start_worker(struct supervisor *supervisor, struct supervised_worker *worker);

static enum exit_verdict verdict_of(uint32_t words)
{
	switch (words) {
	case WORDS_CONFIG_INVALID:
		return VERDICT_CONFIG_INVALID;
	case WORDS_MIGRATION_REQUIRED:
		return VERDICT_MIGRATION_REQUIRED;
	case WORDS_CONTENTION:
		return VERDICT_CONTENTION;
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
		event.verdict = verdict_of(message->words.words);
		text_copy(supervisor->words, sizeof(supervisor->words), message->words.line);
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
		return;
	default:
		return;
	}
	supervisor_step(supervisor, &event);
}

static void worker_said(
    struct supervisor *supervisor, struct supervised_worker *worker, const struct message *message)
{
	enum worker_index index = (enum worker_index)(worker - supervisor->workers);

	if (message->type == MESSAGE_HELLO) {
		worker->ready = true;
		if (index == WORKER_SENTRY) {
			console_sentry_back(supervisor);
			workers_tell_gateway(supervisor);
			events_send(supervisor);
		} else if (index == WORKER_RECORDER) {
			events_store_state(supervisor, true, "");
		}
	} else if (index == WORKER_SENTRY) {
		sentry_said(supervisor, message);
	} else if (index == WORKER_RECORDER && message->type == MESSAGE_STORED) {
		events_acknowledge(supervisor, message->stored.life, message->stored.sequence);
	} else if (index == WORKER_RECORDER && message->type == MESSAGE_STORE) {
		events_store_state(supervisor, message->store.writable != 0, message->store.why);
	}
}

static void close_channel(struct supervised_worker *worker)
{
	loop_source_retire(&worker->channel);
	file_close(&worker->channel_fd);
	worker->ready = worker->wants_send = false;
}

static void channel_event(struct loop_source *source, uint32_t events)
{
	struct supervisor *supervisor = source->context;
	struct supervised_worker *worker =
	    (struct supervised_worker *)((char *)source - offsetof(struct supervised_worker, channel));
	struct message message = {0};

	if ((events & EPOLLOUT) && worker->wants_send) {
		worker->wants_send = false;
		loop_source_change(source, EPOLLIN);
		/* What was said while it did not listen is lost; it must know of its gateway all the same. */
		if (worker == &supervisor->workers[WORKER_SENTRY] && worker->ready) {
			workers_tell_gateway(supervisor);
			if (supervisor->console.discarding)
				worker_say(supervisor, WORKER_SENTRY, MESSAGE_PING, &message, -1);
		}
		events_send(supervisor);
	}
	for (int i = 0; i < WORKER_MESSAGES_A_TURN && worker->channel_fd >= 0; i++) {
		int got = message_receive(worker->channel_fd, &message, NULL);

		if (got == 1) {
			worker_said(supervisor, worker, &message);
		} else if (got == -EAGAIN) {
			return;
		} else {
			/* A worker that closed its channel, or says what we do not understand, is of no use.
			 */
			close_channel(worker);
			if (worker->pid > 0)
				syscall(SYS_pidfd_send_signal, worker->pid_fd, SIGKILL, NULL, 0);
		}
	}
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
	if (result == -EAGAIN && !worker->wants_send) {
		worker->wants_send = true;
		loop_source_change(&worker->channel, EPOLLIN | EPOLLOUT);
	}
	return result;
}

void workers_tell_gateway(struct supervisor *supervisor)
{
	const struct supervision *machine = &supervisor->machine;
	struct message message = {0};

	if (machine->state == STATE_PARKED) {
		message.watch.on = 1;
		worker_say(supervisor, WORKER_SENTRY, MESSAGE_WATCH_CONFIG, &message, -1);
		return;
	}
	if (!machine->alive)
		return;
	message.gateway.generation = machine->generation;
	message.gateway.pid = supervisor->gateway.pid;
	message.gateway.start_time = supervisor->gateway.start_time;
	worker_say(supervisor, WORKER_SENTRY, MESSAGE_GATEWAY_STARTED, &message, supervisor->gateway.pid_fd);
	if (machine->state == STATE_STARTING || (machine->state == STATE_DRAINING && machine->own_drain))
		worker_say(supervisor, WORKER_SENTRY, MESSAGE_PROBE_START, &message, -1);
}

static void retry(struct loop_timer *timer)
{
	struct supervised_worker *worker =
	    (struct supervised_worker *)((char *)timer - offsetof(struct supervised_worker, retry));

	start_worker(timer->context, worker);
}

static void come_back(struct supervisor *supervisor, struct supervised_worker *worker, bool was_healthy)
{
	int64_t delay_ms = restart_policy_delay(
	    &supervisor->worker_policy, &worker->history, RESTART_CRASH, was_healthy, supervisor_chance());

	if (supervisor->finishing)
		return;
	worker->restarts++;
	if (delay_ms == 0 && was_healthy)
		start_worker(supervisor, worker);
	else
		loop_timer_arm(
		    &supervisor->loop, &worker->retry, clock_boot_ms() + (delay_ms < 10 ? 10 : delay_ms));
}

static void start_worker(struct supervisor *supervisor, struct supervised_worker *worker)
{
	int pair[2];
	int pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		come_back(supervisor, worker, false);
		return;
	}
	pid = spawn_worker(worker->program, worker->name, pair[1], SETTINGS_FD, &worker->pid_fd);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		come_back(supervisor, worker, false);
		return;
	}
	worker->pid = pid;
	worker->started_ms = clock_boot_ms();
	procfs_start_time(pid, &worker->start_time);
	worker->channel_fd = pair[0];
	worker->channel.callback = channel_event;
	worker->channel.context = supervisor;
	loop_source_watch(&supervisor->loop, &worker->channel, pair[0], EPOLLIN);
	supervisor_save(supervisor);
}

void workers_init(struct supervisor *supervisor)
{
	char directory[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", directory, sizeof(directory) - 1);
	char *slash;

	directory[length < 0 ? 0 : length] = '\0';
	slash = strrchr(directory, '/');
	if (slash != NULL)
		*slash = '\0';
	supervisor->worker_policy = supervisor->policy.policy;
	supervisor->worker_policy.boot_limit = 0;
	supervisor->worker_policy.reset_after_ms = WORKER_BACKOFF_MAX_MS;
	if (supervisor->worker_policy.max_ms > WORKER_BACKOFF_MAX_MS)
		supervisor->worker_policy.max_ms = WORKER_BACKOFF_MAX_MS;
	/* The gateway's may be none at all; a worker that ends at once would then do so for ever. */
	if (supervisor->worker_policy.initial_ms < WORKER_BACKOFF_MIN_MS) {
		supervisor->worker_policy.initial_ms = WORKER_BACKOFF_MIN_MS;
		supervisor->worker_policy.max_ms = WORKER_BACKOFF_END_MS;
		supervisor->worker_policy.factor = 2;
	}
	for (int i = 0; i < WORKER_COUNT; i++) {
		struct supervised_worker *worker = &supervisor->workers[i];

		worker->name = names[i];
		worker->pid_fd = worker->channel_fd = worker->channel.fd = worker->death.fd = -1;
		worker->retry.callback = retry;
		worker->retry.context = supervisor;
		snprintf(worker->program, sizeof(worker->program), "%.*s/holdfast-%s", PATH_MAX - 32,
		    directory, names[i]);
	}
}

void workers_start(struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		start_worker(supervisor, &supervisor->workers[i]);
}

bool workers_ended(struct supervisor *supervisor, int pid, int status_code, int status)
{
	for (int i = 0; i < WORKER_COUNT; i++) {
		struct supervised_worker *worker = &supervisor->workers[i];
		int64_t lived_ms = clock_boot_ms() - worker->started_ms;
		char evidence[64];

		if (worker->pid != pid || pid == 0)
			continue;
		close_channel(worker);
		file_close(&worker->pid_fd);
		worker->pid = 0;
		restart_history_healthy(&supervisor->worker_policy, &worker->history, lived_ms);
		if (!supervisor->finishing) {
			snprintf(
			    evidence, sizeof(evidence), "{\"worker\":\"%s\",\"pid\":%d}", worker->name, pid);
			events_record(supervisor, "worker.exited", SEVERITY_WARNING, 0, evidence,
			    "The %s (pid %d) ended with %s %d and is started again; the gateway is not "
			    "touched.",
			    worker->name, pid, status_code == CLD_EXITED ? "exit code" : "signal", status);
		}
		come_back(supervisor, worker, lived_ms >= WORKER_HEALTHY_AFTER_MS);
		return true;
	}
	return false;
}

void workers_finish(struct supervisor *supervisor)
{
	struct message finish = {0};

	for (int i = 0; i < WORKER_COUNT; i++) {
		struct supervised_worker *worker = &supervisor->workers[i];

		loop_timer_arm(&supervisor->loop, &worker->retry, 0);
		if (worker->pid > 0 &&
		    worker_say(supervisor, (enum worker_index)i, MESSAGE_FINISH, &finish, -1) < 0)
			syscall(SYS_pidfd_send_signal, worker->pid_fd, SIGKILL, NULL, 0);
	}
}

bool workers_are_gone(const struct supervisor *supervisor)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		if (supervisor->workers[i].pid > 0)
			return false;
	return true;
}
