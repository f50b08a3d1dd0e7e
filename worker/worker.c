#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "channel/control.h"
#include "world/world.h"

#define LOOK_MS      500
#define PAY_AGAIN_MS 20

/* What can be reached is not on its way out. */
static void stop_listening(struct worker *worker)
{
	char path[PATH_MAX], name[CONTROL_NAME_MAX];
	int fd = worker->socket.fd;

	if (fd < 0)
		return;
	control_worker_name(name, worker->name, worker->hello.pid);
	snprintf(path, sizeof(path), "%s/%s",
	    settings_string(worker->settings, worker->settings->runtime_dir), name);
	loop_source_retire(&worker->socket);
	file_close(&fd);
	world_unlinkat(AT_FDCWD, path, 0);
}

static void finish(struct worker *worker)
{
	if (worker->finishing)
		return;
	worker->finishing = true;
	stop_listening(worker);
	loop_timer_arm(&worker->loop, &worker->look, 0);
	if (worker->finish != NULL)
		worker->finish(worker);
	else
		loop_stop(&worker->loop);
}

static int peer_pid(int fd)
{
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    (peer.uid != getuid() && peer.uid != 0))
		return -EPERM;
	return peer.pid;
}

/* Whether a supervisor lives that owns the gateway, by the lock in the state directory. */
static bool has_owner(const struct worker *worker)
{
	char path[PATH_MAX], text[32];
	uint64_t pid;

	snprintf(path, sizeof(path), "%s/" OWNER_LOCK_NAME,
	    settings_string(worker->settings, worker->settings->state_dir));
	if (file_read(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (text_to_u64(text, INT_MAX, &pid) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return access(path, F_OK) == 0;
}

static bool gateway_lives(const struct worker *worker)
{
	/* A pidfd is readable from its process's end on. */
	return worker->gateway_pid_fd >= 0 && !file_is_readable(worker->gateway_pid_fd);
}

/* Abandoned: is there still a gateway to serve, or another supervisor that does without us? */
static void look(struct loop_timer *timer)
{
	struct worker *worker = timer->context;
	int64_t now_ms = clock_boot_ms();

	if (gateway_lives(worker))
		worker->gateway_gone_ms = 0;
	else if (worker->gateway_gone_ms == 0)
		worker->gateway_gone_ms = now_ms;
	if (!has_owner(worker)) /* it may have died before it came for us; another will come */
		worker->owner_came_ms = 0;
	else if (worker->owner_came_ms == 0)
		worker->owner_came_ms = now_ms;
	if ((worker->gateway_gone_ms != 0 && now_ms - worker->gateway_gone_ms >= WORKER_LINGER_MS) ||
	    (worker->owner_came_ms != 0 && now_ms - worker->owner_came_ms >= WORKER_CLAIM_MS))
		finish(worker);
	else
		loop_timer_arm(&worker->loop, timer, now_ms + LOOK_MS);
}

static void supervisor_gone(struct worker *worker)
{
	int fd = worker->channel.fd;

	loop_source_retire(&worker->channel);
	file_close(&fd);
	if (worker->finishing)
		return;
	worker->owed_count = 0; /* the next supervisor asks anew */
	worker->gateway_gone_ms = worker->owner_came_ms = 0;
	look(&worker->look);
	if (worker->abandoned != NULL && !worker->finishing)
		worker->abandoned(worker);
}

static void take_listener(struct worker *worker, uint32_t which, int fd)
{
	int earlier;

	if (which >= LISTENER_COUNT || fd < 0) {
		file_close(&fd);
		return;
	}
	earlier = worker->listeners[which];
	worker->listeners[which] = fd;
	if (worker->listener != NULL)
		worker->listener(worker, (enum listener_index)which, fd);
	file_close(&earlier);
}

static void message_came(struct worker *worker, const struct message *message, int passed_fd)
{
	switch (message->type) {
	case MESSAGE_FINISH:
		file_close(&passed_fd);
		finish(worker);
		return;
	case MESSAGE_LISTENER:
		take_listener(worker, message->listener.which, passed_fd);
		return;
	case MESSAGE_GATEWAY_STARTED:
		file_close(&worker->gateway_pid_fd);
		worker->gateway_pid_fd = passed_fd;
		passed_fd = -1;
		break;
	case MESSAGE_GATEWAY_GONE:
		file_close(&worker->gateway_pid_fd);
		break;
	default:
		break;
	}
	if (worker->message != NULL)
		worker->message(worker, message, passed_fd);
	else
		file_close(&passed_fd);
}

static void channel_readable(struct loop_source *source, uint32_t events)
{
	struct worker *worker = source->context;
	struct message message;
	int passed_fd;

	(void)events;
	while (worker->channel.fd >= 0) {
		int got = message_receive(worker->channel.fd, &message, &passed_fd);

		if (got == -EAGAIN)
			return;
		if (got <= 0) {
			supervisor_gone(worker);
			return;
		}
		message_came(worker, &message, passed_fd);
	}
}

static void signal_came(struct loop *loop, const struct signalfd_siginfo *info)
{
	struct worker *worker = loop->context;

	if (info->ssi_signo == SIGTERM)
		finish(worker);
}

static void pay(struct loop_timer *timer)
{
	struct worker *worker = timer->context;
	uint32_t paid = 0;

	while (paid < worker->owed_count &&
	       message_send(worker->channel.fd, (enum message_type)worker->owed[paid].type,
	           &worker->owed[paid], -1) == 0)
		paid++;
	worker->owed_count -= paid;
	memmove(worker->owed, worker->owed + paid, worker->owed_count * sizeof(worker->owed[0]));
	if (worker->owed_count > 0 && worker->channel.fd >= 0)
		loop_timer_arm(&worker->loop, timer, clock_boot_ms() + PAY_AGAIN_MS);
}

/* Says who we are, and gives back what an earlier supervisor had opened. */
static int introduce(struct worker *worker, bool with_listeners)
{
	struct message message = {0};

	for (uint32_t i = 0; with_listeners && i < LISTENER_COUNT; i++) {
		if (worker->listeners[i] < 0)
			continue;
		memset(&message, 0, sizeof(message));
		message.listener.which = i;
		message_send(worker->channel.fd, MESSAGE_LISTENER, &message, worker->listeners[i]);
	}
	message.hello = worker->hello;
	return message_send(worker->channel.fd, MESSAGE_HELLO, &message, -1);
}

/* A new supervisor. While the old one's channel is open there is none: somebody else is refused. */
static void supervisor_came(struct loop_source *source, uint32_t events)
{
	struct worker *worker = source->context;
	int fd = world_accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int pid = fd < 0 ? -1 : peer_pid(fd);

	(void)events;
	/* The end of the old channel may be waiting in the same turn. */
	if (worker->channel.fd >= 0)
		channel_readable(&worker->channel, EPOLLIN);
	if (pid < 0 || worker->channel.fd >= 0 || worker->finishing ||
	    loop_source_watch(&worker->loop, &worker->channel, fd, EPOLLIN) < 0) {
		file_close(&fd);
		return;
	}
	loop_timer_arm(&worker->loop, &worker->look, 0);
	if (introduce(worker, true) < 0) { /* unheard, it is as if nobody had come */
		supervisor_gone(worker);
		return;
	}
	if (worker->taken_back != NULL)
		worker->taken_back(worker);
}

static int watch_signals(struct worker *worker)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	return loop_signals_watch(&worker->loop, &signals, signal_came, worker);
}

/* Without it the worker works, and cannot be taken back. */
static void listen_for_supervisors(struct worker *worker)
{
	char name[CONTROL_NAME_MAX];
	int fd;

	control_worker_name(name, worker->name, getpid());
	fd = control_listen_at(settings_string(worker->settings, worker->settings->runtime_dir), name, NULL);

	worker->socket.callback = supervisor_came;
	worker->socket.context = worker;
	if (fd >= 0 && loop_source_watch(&worker->loop, &worker->socket, fd, EPOLLIN) < 0)
		close(fd);
}

static void know_oneself(struct worker *worker)
{
	struct message_hello *hello = &worker->hello;

	hello->pid = getpid();
	text_copy(hello->name, sizeof(hello->name), worker->name);
	file_identity("/proc/self/exe", &hello->program_device, &hello->program_inode);
	file_identity("/proc/self/fd/1", &hello->output_device, &hello->output_inode);
	hello->settings_hash = hash_bytes(worker->settings, sizeof(*worker->settings));
}

int worker_init(struct worker *worker, struct error *why)
{
	int result;

	worker->gateway_pid_fd = worker->channel.fd = worker->socket.fd = -1;
	for (int i = 0; i < LISTENER_COUNT; i++)
		worker->listeners[i] = -1;
	worker->settings = settings_map(SETTINGS_FD, why);
	if (worker->settings == NULL)
		return why->code;
	result = loop_init(&worker->loop);
	if (result < 0)
		return error_set(why, result, "The event loop cannot be made: %s.", strerror(-result));
	worker->look.callback = look;
	worker->look.context = worker;
	worker->pay.callback = pay;
	worker->pay.context = worker;
	result = watch_signals(worker);
	if (result < 0)
		return error_set(why, result, "Signals cannot be watched: %s.", strerror(-result));
	worker->channel.callback = channel_readable;
	worker->channel.context = worker;
	result = loop_source_watch(&worker->loop, &worker->channel, CHANNEL_FD, EPOLLIN);
	if (result < 0)
		return error_set(why, result,
		    "holdfast-%s is a part of Holdfast and is started by the supervisor: use \"holdfast "
		    "run\".",
		    worker->name);
	world_fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	know_oneself(worker);
	listen_for_supervisors(worker);
	result = introduce(worker, false);
	return result == 0 ? 0
	                   : error_set(why, result, "The supervisor cannot be told: %s.", strerror(-result));
}

void worker_drop_rights(void)
{
	const struct rlimit none = {0, 0};

	world_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	world_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	world_setrlimit(RLIMIT_CORE, &none);
}

int worker_send(struct worker *worker, enum message_type type, struct message *message)
{
	int result;

	if (worker->channel.fd < 0)
		return -EPIPE;
	result = worker->owed_count > 0 ? -EAGAIN : message_send(worker->channel.fd, type, message, -1);
	if (result == 0 || result == -EPIPE)
		return result;
	if (worker->owed_count == WORKER_OWED_MAX)
		return -EAGAIN;
	message->type = (uint16_t)type;
	worker->owed[worker->owed_count++] = *message;
	loop_timer_arm(&worker->loop, &worker->pay, clock_boot_ms() + PAY_AGAIN_MS);
	return 0;
}

int worker_run(struct worker *worker)
{
	int result = loop_run(&worker->loop);

	loop_release(&worker->loop);
	return result < 0 ? 1 : 0;
}
