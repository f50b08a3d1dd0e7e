/* holdfast-recorder: memory. Three duties in one program:
 *
 *   the worker (no arguments; started by the supervisor): stores events and acknowledges them;
 *   "events" (recorder/events.c): reads them for a person, with the supervisor running or not;
 *   "explain" (recorder/explain.c): tells what an incident was, from them and the reports of autopsies.
 *
 * What the worker and the supervisor agree on. The supervisor sends events in the order of their sequence and
 * keeps each until STORED names it or a later one. The worker acknowledges only what is committed, and takes
 * events in order only: what was lost for good is announced by `oldest`. When storing fails it keeps nothing,
 * says STORE writable 0 with the reason, and lets pass by whatever still comes; when a write works again it
 * says STORE writable 1, and the supervisor sends everything unacknowledged once more, as it does after
 * HELLO. What was stored before is recognised, whoever stored it: while a worker hands over to its successor,
 * both may have the store open and each may write. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "http/serve.h"
#include "recorder/api.h"
#include "recorder/autopsies.h"
#include "recorder/events.h"
#include "recorder/explain.h"
#include "recorder/store.h"
#include "worker/worker.h"
#include "world/world.h"

#define BATCH_MAX          128
#define RETRY_FIRST_MS     1000
#define RETRY_MAX_MS       30000
#define ANSWER_AGAIN_MS    20
#define RESEND_AGAIN_MS    1000
#define SETTLE_AFTER_MS    2000
#define SETTLE_AGAIN_MS    30000
#define TRIM_EVERY_MS      3600000
#define TRIM_STEP_PAUSE_MS 10
#define DRAIN_MS           2000

struct recorder {
	struct worker worker;
	struct store store;
	struct store_retention retention;
	struct serve serve;

	struct message_event batch[BATCH_MAX];
	size_t count;
	uint64_t life;
	uint64_t stored,
	    taken; /* the highest sequence of `life` that is committed; that is committed or in the batch */

	bool writable;
	int64_t retry_ms;
	char why[STORE_WHY_MAX];
	bool stored_owed, store_owed; /* answers not yet sent */
	int64_t resend_asked_ms, trimmed_ms;
	bool unsettled;
	struct loop_timer commit_timer, retry_timer, answer_timer, care_timer;
};

/* Answers are owed until the channel takes them: a supervisor that is slow misses none. */
static void answer(struct recorder *recorder)
{
	struct message message = {0};
	int result = 0;

	if (recorder->store_owed) {
		message.store.writable = recorder->writable;
		text_copy(
		    message.store.why, sizeof(message.store.why), recorder->writable ? "" : recorder->why);
		result = worker_send(&recorder->worker, MESSAGE_STORE, &message);
		recorder->store_owed = result == -EAGAIN;
	}
	if (recorder->stored_owed && result == 0) {
		memset(&message, 0, sizeof(message));
		message.stored.life = recorder->life;
		message.stored.sequence = recorder->stored;
		result = worker_send(&recorder->worker, MESSAGE_STORED, &message);
		recorder->stored_owed = result == -EAGAIN;
	}
	if (result == -EAGAIN)
		loop_timer_arm(
		    &recorder->worker.loop, &recorder->answer_timer, clock_boot_ms() + ANSWER_AGAIN_MS);
}

static void answer_again(struct loop_timer *timer)
{
	answer(timer->context);
}

static void storing_failed(struct recorder *recorder, const struct error *why)
{
	recorder->count = 0;
	recorder->taken = recorder->stored;
	if (recorder->writable || strcmp(recorder->why, why->text) != 0) {
		recorder->writable = false;
		text_copy(recorder->why, sizeof(recorder->why), why->text);
		recorder->store_owed = true;
		answer(recorder);
	}
	loop_timer_arm(&recorder->worker.loop, &recorder->retry_timer, clock_boot_ms() + recorder->retry_ms);
	recorder->retry_ms *= 2;
	if (recorder->retry_ms > RETRY_MAX_MS)
		recorder->retry_ms = RETRY_MAX_MS;
}

static void retry(struct loop_timer *timer)
{
	struct recorder *recorder = timer->context;
	struct error why;

	if (store_probe(&recorder->store, &why) < 0) {
		storing_failed(recorder, &why);
		return;
	}
	/* retry_ms falls back with the first batch that is stored: a disk that takes a probe and no events
	 * must not make us ask for them all every second. */
	recorder->writable = true;
	recorder->store_owed = true;
	answer(recorder);
}

static void care_later(struct recorder *recorder, int64_t delay_ms)
{
	int64_t due_ms = clock_boot_ms() + delay_ms;

	if (recorder->care_timer.due_ms == 0 || due_ms < recorder->care_timer.due_ms)
		loop_timer_arm(&recorder->worker.loop, &recorder->care_timer, due_ms);
}

/* Retention and the log, in small steps; a failure is found again, and told, with the next event. */
static void care(struct loop_timer *timer)
{
	struct recorder *recorder = timer->context;
	int64_t now_ms = clock_boot_ms();
	bool more = false;

	if (!recorder->writable) {
		care_later(recorder, SETTLE_AGAIN_MS);
		return;
	}
	if (recorder->trimmed_ms == 0 || now_ms - recorder->trimmed_ms >= TRIM_EVERY_MS) {
		if (store_trim(&recorder->store, &recorder->retention, clock_real_ms(), &more) < 0)
			more = false;
		if (!more)
			recorder->trimmed_ms = now_ms;
		recorder->unsettled = true;
	}
	if (more) {
		care_later(recorder, TRIM_STEP_PAUSE_MS);
		return;
	}
	if (recorder->unsettled && store_settle(&recorder->store) == -EBUSY)
		care_later(recorder, SETTLE_AGAIN_MS);
	else
		recorder->unsettled = false;
	care_later(recorder, recorder->trimmed_ms + TRIM_EVERY_MS - now_ms);
}

static void commit(struct recorder *recorder)
{
	struct error why;

	if (recorder->count == 0)
		return;
	if (store_write(&recorder->store, recorder->batch, recorder->count, &why) < 0) {
		storing_failed(recorder, &why);
		return;
	}
	recorder->count = 0;
	recorder->stored = recorder->taken;
	recorder->retry_ms = RETRY_FIRST_MS;
	recorder->stored_owed = true;
	answer(recorder);
	if (!recorder->unsettled) {
		recorder->unsettled = true;
		care_later(recorder, SETTLE_AFTER_MS);
	}
}

static void commit_due(struct loop_timer *timer)
{
	struct recorder *recorder = timer->context;

	commit(recorder);
	if (recorder->stored_owed)
		answer(recorder);
}

/* Once what is queued in the channel has been read: the loop calls timers after the descriptors. */
static void commit_soon(struct recorder *recorder)
{
	if (recorder->commit_timer.due_ms == 0)
		loop_timer_arm(&recorder->worker.loop, &recorder->commit_timer, clock_boot_ms());
}

/* Returns false when what this life has stored cannot be known. */
static bool begin_life(struct recorder *recorder, uint64_t life)
{
	struct error why;
	uint64_t sequence = 0;

	commit(recorder);
	if (!recorder->writable)
		return false;
	if (store_last_sequence(&recorder->store, life, &sequence, &why) < 0) {
		storing_failed(recorder, &why);
		return false;
	}
	recorder->life = life;
	recorder->stored = recorder->taken = sequence;
	return true;
}

static void ask_for_resend(struct recorder *recorder)
{
	int64_t now_ms = clock_boot_ms();

	if (recorder->resend_asked_ms != 0 && now_ms - recorder->resend_asked_ms < RESEND_AGAIN_MS)
		return;
	recorder->resend_asked_ms = now_ms;
	recorder->store_owed = true;
	answer(recorder);
}

static void take_event(struct recorder *recorder, const struct message_event *event)
{
	uint64_t wanted;

	if (!recorder->writable || event->sequence == 0)
		return;
	if ((event->life != recorder->life || recorder->life == 0) && !begin_life(recorder, event->life))
		return;
	wanted = recorder->taken + 1;
	if (event->oldest > wanted)
		wanted = event->oldest;
	if (event->sequence < wanted) {
		/* We may have been killed between the commit and the removal of the file it names. */
		if (event->sequence <= recorder->stored)
			autopsy_remove_file(&recorder->store, event);
		recorder->stored_owed = recorder->stored != 0;
		commit_soon(recorder);
		return;
	}
	if (event->sequence > wanted && event->oldest != 0) {
		ask_for_resend(recorder);
		return;
	}
	recorder->batch[recorder->count++] = *event;
	recorder->taken = event->sequence;
	if (recorder->count == BATCH_MAX)
		commit(recorder);
	else
		commit_soon(recorder);
}

static void message_came(struct worker *worker, const struct message *message, int passed_fd)
{
	file_close(&passed_fd);
	if (message->type == MESSAGE_EVENT)
		take_event(worker->context, &message->event);
}

/* The last events are stored, the log goes into the file. */
static void end(struct serve *serve)
{
	struct recorder *recorder = serve->context;
	struct worker *worker = &recorder->worker;
	struct pollfd channel = {.fd = worker->channel.fd, .events = POLLOUT};

	commit(recorder);
	store_close(&recorder->store);
	answer(recorder);
	if (recorder->stored_owed && poll(&channel, 1, 200) > 0)
		answer(recorder);
	loop_stop(&worker->loop);
}

/* FINISH, SIGTERM, or the end of an abandoned worker: events are stored at once, and callers in flight are
 * answered before the end. */
static void finish(struct worker *worker)
{
	struct recorder *recorder = worker->context;

	commit(recorder);
	serve_drain(&recorder->serve, DRAIN_MS);
}

/* The supervisor is gone: what it sent is stored, and callers are served as before. */
static void abandoned(struct worker *worker)
{
	commit(worker->context);
}

/* It will send everything not acknowledged once more, and takes the store for writable until it is told. */
static void taken_back(struct worker *worker)
{
	struct recorder *recorder = worker->context;

	recorder->store_owed = !recorder->writable;
	answer(recorder);
}

static void listener_came(struct worker *worker, enum listener_index which, int fd)
{
	struct recorder *recorder = worker->context;

	if (which == LISTENER_API)
		serve_listen(&recorder->serve, fd);
}

static void prepare(struct recorder *recorder)
{
	struct worker *worker = &recorder->worker;
	const struct settings *settings = worker->settings;
	struct error why;
	int result;

	recorder->writable = true;
	recorder->retry_ms = RETRY_FIRST_MS;
	recorder->retention.days = settings->retention.days;
	/* A quarter of the size is for the console's logs. */
	recorder->retention.size_bytes = settings->retention.size_bytes / 4 * 3;
	recorder->commit_timer.callback = commit_due;
	recorder->retry_timer.callback = retry;
	recorder->answer_timer.callback = answer_again;
	recorder->care_timer.callback = care;
	recorder->commit_timer.context = recorder->retry_timer.context = recorder;
	recorder->answer_timer.context = recorder->care_timer.context = recorder;
	serve_init(&recorder->serve, &worker->loop, settings_string(settings, settings->api.host));
	recorder->serve.request = api_answer;
	recorder->serve.drained = end;
	recorder->serve.context = recorder;
	result = store_init(&recorder->store, settings_string(settings, settings->state_dir), &why);
	store_find_reports(&recorder->store, settings_string(settings, settings->runtime_dir));
	if (result < 0 || store_write(&recorder->store, NULL, 0, &why) < 0)
		storing_failed(recorder, &why);
	care_later(recorder, SETTLE_AFTER_MS);
}

int main(int argc, char **argv)
{
	static struct recorder recorder; /* its buffers are no part of the program's file */
	struct worker *worker = &recorder.worker;
	struct error why;

	if (argc > 1 && strcmp(argv[1], "events") == 0)
		return events_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "explain") == 0)
		return explain_main(argc - 1, argv + 1);
	world_umask(077);
	/* A file size limit is to be an error that can be told. */
	signal(SIGXFSZ, SIG_IGN);
	worker->name = "recorder";
	worker->message = message_came;
	worker->finish = finish;
	worker->abandoned = abandoned;
	worker->taken_back = taken_back;
	worker->listener = listener_came;
	worker->context = &recorder;
	if (worker_init(worker, &why) < 0) {
		fprintf(stderr, "holdfast-recorder: %s\n", why.text);
		return 78;
	}
	worker_drop_rights();
	prepare(&recorder);
	return worker_run(worker);
}
