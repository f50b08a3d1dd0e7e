#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void finish(struct worker *worker)
{
	worker->finishing = true;
	if (worker->finish != NULL)
		worker->finish(worker);
	else
		loop_stop(&worker->loop);
}

static void supervisor_gone(struct worker *worker)
{
	loop_source_retire(&worker->channel);
	close(CHANNEL_FD);
	if (worker->abandoned != NULL)
		worker->abandoned(worker);
	else
		loop_stop(&worker->loop);
}

static void channel_readable(struct loop_source *source, uint32_t events)
{
	struct worker *worker = source->context;
	struct message message;
	int passed_fd;

	(void)events;
	while (worker->channel.fd >= 0) {
		int got = message_receive(CHANNEL_FD, &message, &passed_fd);

		if (got == -EAGAIN)
			return;
		if (got <= 0) {
			supervisor_gone(worker);
			return;
		}
		if (message.type == MESSAGE_FINISH)
			finish(worker);
		else if (worker->message != NULL)
			worker->message(worker, &message, passed_fd);
		else if (passed_fd >= 0)
			close(passed_fd);
	}
}

static void signal_came(struct loop *loop, const struct signalfd_siginfo *info)
{
	struct worker *worker = loop->context;

	if (info->ssi_signo == SIGTERM)
		finish(worker);
}

int worker_init(struct worker *worker, struct error *why)
{
	struct message hello = {0};
	sigset_t signals;
	int result;

	worker->settings = settings_map(SETTINGS_FD, why);
	if (worker->settings == NULL)
		return why->code;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	result = loop_init(&worker->loop);
	if (result < 0)
		return error_set(why, result, "The event loop cannot be made: %s.", strerror(-result));
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	result = loop_signals_watch(&worker->loop, &signals, signal_came, worker);
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
	hello.hello.pid = getpid();
	strncpy(hello.hello.name, worker->name, sizeof(hello.hello.name) - 1);
	worker_send(worker, MESSAGE_HELLO, &hello);
	return 0;
}

void worker_drop_rights(void)
{
	const struct rlimit none = {0, 0};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
}

int worker_send(struct worker *worker, enum message_type type, struct message *message)
{
	if (worker->channel.fd < 0)
		return -EPIPE;
	return message_send(CHANNEL_FD, type, message, -1);
}

int worker_run(struct worker *worker)
{
	int result = loop_run(&worker->loop);

	loop_release(&worker->loop);
	return result < 0 ? 1 : 0;
}
