/* The supervisor: owns the gateway process. It carries out what the core decides, and nothing else: no
 * network bytes, no disk that can block, no allocation once it runs. One of it exists, as static memory. */
#ifndef HOLDFAST_SUPERVISE_SUPERVISOR_H
#define HOLDFAST_SUPERVISE_SUPERVISOR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"
#include "channel/control.h"
#include "channel/message.h"
#include "config/settings.h"
#include "core/channels.h"
#include "core/health.h"
#include "core/memory.h"
#include "core/orphans.h"
#include "core/sessions.h"
#include "core/supervision.h"
#include "gateway/gateway.h"
#include "loop/loop.h"
#include "process/containment.h"
#include "process/record.h"
#include "process/tree.h"

#define WORKER_COUNT        3
#define CONTROL_CLIENTS_MAX 16
#define PENDING_EVENTS_MAX  256
#define EVENTS_FILE_NAME    "events" /* in the runtime directory */
#define VARIABLES_MAX       1024
#define HELD_MESSAGES_MAX   8
#define LEAVING_WORKERS_MAX 8
#define SESSION_ANSWERS_MAX 32 /* more than are asked for while one is seen to */
#define SESSION_SHOWN_MAX   81 /* of a key in a sentence */

enum worker_index { WORKER_SENTRY, WORKER_RECORDER, WORKER_RELAY };

struct supervised_worker {
	const char *name;
	char program[PATH_MAX];
	int pid, pid_fd, channel_fd;
	uint64_t start_time;
	struct loop_source channel, death;
	struct loop_timer retry;
	struct restart_history history;
	int64_t started_ms;
	uint32_t restarts;
	bool ready;      /* it said HELLO */
	bool wants_send; /* its channel was full: EPOLLOUT is watched */
	bool returning;  /* of an earlier life; its HELLO is awaited */
	bool outdated;   /* its successor failed; another is started later */
	struct {
		int pid, pid_fd, channel_fd; /* pid 0: none */
	} predecessor;                       /* it goes on until its successor says HELLO */
};

/* Told to finish what it has in hand, or about to be; another is at work. */
struct leaving_worker {
	const char *name;
	int pid, pid_fd; /* pid 0: a free place */
	int channel_fd;  /* -1 once it is told */
	bool heard;      /* it gave back what it holds, and waits until the one of its kind is ready */
	struct loop_source death, channel;
};

/* Events not yet acknowledged by the recorder, in a file on tmpfs: they survive our own death. */
struct pending_events {
	uint32_t magic, version, size, reserved;
	uint64_t life;
	uint64_t last;    /* sequence of the newest event; 0: none yet */
	uint64_t stored;  /* every event up to this one is on disk */
	uint64_t dropped; /* overwritten before they could be stored */
	uint64_t dropped_told;
	struct message_event ring[PENDING_EVENTS_MAX]; /* sequence s is at s % PENDING_EVENTS_MAX */
};

/* What the supervisor changes in itself while the gateway goes on. */
enum change_kind { CHANGE_NONE, CHANGE_RELOAD, CHANGE_UPGRADE };

struct held_message {
	enum worker_index index;
	enum message_type type;
	struct message message;
};

struct control_client {
	int fd; /* -1: free */
	struct loop_source source;
	int64_t since_ms;
};

struct supervisor {
	const struct settings *settings;
	const struct gateway_facts *facts;
	struct loop loop;
	int64_t started_real_ms;
	mode_t umask; /* as we found it: the gateway's. Our own is 077 */

	struct supervision machine;
	struct supervision_settings policy;
	struct loop_timer machine_timer;
	char words[MESSAGE_TEXT_MAX];        /* the gateway's last telling line */
	char fallback_why[MESSAGE_TEXT_MAX]; /* why its own configuration is not used; "" not known */
	char proof[MESSAGE_TEXT_MAX];        /* what the sentry took as ready; "" when nothing was asked */
	char operator_reason[CONTROL_REASON_MAX];
	enum supervision_reason refused; /* by the step just made; REASON_NONE: not */

	struct {
		int pid, pid_fd; /* 0, -1: none */
		uint64_t start_time;
		uint32_t port; /* it was started with this one; 0: none known */
		int64_t started_real_ms;
		bool is_child, in_cgroup;
		bool told_orphans;
		bool from_copy;                /* it was started from the copy of its configuration */
		int64_t channels_off_until_ms; /* CLOCK_BOOTTIME; 0: its channels are not known to be off */
		struct loop_source death;
	} gateway;

	struct {
		struct health_settings settings;
		struct health health;
		struct health_look look;       /* the last one */
		struct health_verdict verdict; /* and what was made of it */
		struct memory memory;
		struct memory_verdict memory_verdict;
		struct orphans orphans;
		struct orphans_look orphans_look;
		struct message_figures figures;
		uint64_t generation; /* the sentry looks at this gateway */
		int64_t pace_ms;     /* so often; 0: not */
		bool was_paused;
		struct loop_timer silence; /* no look has come for too long */
	} health;

	struct {
		struct sessions_settings settings;
		struct sessions sessions;
		struct loop_timer timer; /* while any is stuck */
		uint64_t strange;        /* as the sentry counts it */
		char condemned[256];    /* ": agent:main:main, agent:main:other": those of the last verdict */
		struct session_answer { /* to an abort */
			uint64_t serial;    /* 0: no answer */
			char sentence[256]; /* the gateway's own words, or why nobody could be asked */
		} answers[SESSION_ANSWERS_MAX];
	} sessions;

	struct {
		struct channels_settings settings;
		struct channels channels;
	} channels;

	int state_fd, runtime_fd, lock_fd, record_fd;
	bool is_trial;
	bool executed_anew; /* with new settings or as a new build, and the lock in hand */
	bool had_owner;     /* the lock names a supervisor before us */
	struct record record;
	struct containment containment;
	struct loop_source containment_source;

	struct {
		int fd; /* the FIFO, read-write */
		struct loop_source source;
		struct loop_timer timer;
		bool discarding, pinged, ponged;
		uint64_t discarded_bytes, discarded_told, lines_dropped, lines_told;
		int64_t lines_told_ms; /* 0: never */
		char path[PATH_MAX];
	} console;

	struct {
		int fd; /* -1: the gateway's kind does not speak sd_notify, or no address holds the socket's
		           name */
		struct loop_source source;
		struct loop_timer timer;
		bool discarding, pinged, ponged;
	} notify;

	struct supervised_worker workers[WORKER_COUNT];
	struct leaving_worker leaving[LEAVING_WORKERS_MAX];
	struct loop_timer leaving_timer;
	struct restart_policy worker_policy;

	struct {
		struct loop_source source;
		struct loop_timer timer;
		bool told;
	} runtime; /* the directory: is it still there? */

	struct {
		int fds[LISTENER_COUNT]; /* -1: none */
		bool told[LISTENER_COUNT];
		struct loop_timer retry;
	} listeners;
	/* From a death to the next start nothing is sent: what a worker does with it would delay the start.
	 */
	bool holding;
	uint32_t held_count;
	struct held_message held[HELD_MESSAGES_MAX];

	struct pending_events *pending;
	uint64_t sent;    /* sequence of the last event given to the recorder */
	uint64_t shown;   /* and to the sentry, for the terminal */
	uint64_t trimmed; /* the newest event when the ring's pages were last given back */
	bool store_writable;
	char store_why[128];

	struct {
		enum change_kind kind;
		int pid, pid_fd; /* of the process that reads the settings, or tries; 0: none */
		int settings_fd; /* the new settings; -1: not read yet */
		int caller_fd;   /* who asked, and waits for the answer; -1: nobody */
		struct loop_source answer;
		struct loop_timer deadline;
		struct message_settings read;
		char holdfast[CONTROL_PATH_MAX], supervise[CONTROL_PATH_MAX]; /* the programs to change to */
		bool again;  /* a hang-up came while it could not be followed */
		bool told;   /* the child said what came of it */
		bool trying; /* the new programs; before, the settings are read */
	} change;
	struct {
		int64_t down_since_ms; /* CLOCK_BOOTTIME; 0: the relay is well */
		int pid, pid_fd;       /* of what puts the direct addresses back; 0: none */
		struct loop_source answer;
		struct loop_timer timer, deadline;
		struct message_settings said;
		bool told;            /* it said what came of it */
		bool done, taken_out; /* of this outage: seen to; the gateway was changed */
		bool told_failure;
	} outage;
	char **own_arguments; /* of `holdfast run`, to be read again; [0] is its first argument */

	int control_fd, spare_fd; /* the spare is given up for a moment when there are no descriptors left */
	struct loop_source control_source;
	struct control_client clients[CONTROL_CLIENTS_MAX];

	bool finishing; /* nothing of the gateway is left; the workers are being ended */
	struct loop_timer finish_timer;

	char *arguments[SETTINGS_ARGUMENTS_MAX + 1];
	char *environment[VARIABLES_MAX + 1];
	char *worker_environment[VARIABLES_MAX + 1];
	char marker[sizeof(MARKER_VARIABLE) + 1 + MARKER_BYTES_MAX];
};

/* A number in [0, 1) from the kernel, for jitter. */
double supervisor_chance(void);

/* main.c: what an earlier life left: its machine's memory, and perhaps its gateway. Returns 1 when one
 * lives, 0, or a negative errno. */
int supervisor_take_up_record(struct supervisor *supervisor, struct error *why);

/* lifecycle.c: the core's hands */
void supervisor_step(struct supervisor *supervisor, struct supervision_event *event);
void supervisor_simple_step(struct supervisor *supervisor, enum supervision_event_type type);
/* A worker whose successor is at work has ended. */
void supervisor_worker_left(struct supervisor *supervisor);
void supervisor_child_ended(struct supervisor *supervisor, int pid, int status_code, int status);
/* Writes the runtime record: the gateway, the workers, the machine's memory. Returns 0 or a negative errno.
 */
int supervisor_save(struct supervisor *supervisor);
void supervisor_tree_changed(struct supervisor *supervisor);
void supervisor_gateway_ended(struct supervisor *supervisor, struct supervision_exit exit);

/* workers.c */
void workers_init(struct supervisor *supervisor);
void workers_start(struct supervisor *supervisor);
bool workers_ended(struct supervisor *supervisor, int pid, int status_code, int status);
void workers_finish(struct supervisor *supervisor);
void workers_kill(struct supervisor *supervisor);
bool workers_are_gone(const struct supervisor *supervisor);
/* All our children that are not of the gateway's tree, into `spared`; returns how many. */
uint32_t workers_spare(const struct supervisor *supervisor, int *spared, uint32_t max);
void worker_start(struct supervisor *supervisor, struct supervised_worker *worker);
/* Its channel is open, its pid is set. */
void worker_connected(struct supervisor *supervisor, struct supervised_worker *worker, int channel_fd);
loop_source_callback worker_died;

/* talk.c */
void worker_is_ready(struct supervisor *supervisor, struct supervised_worker *worker);
loop_source_callback worker_channel_event;
void worker_close_channel(struct supervised_worker *worker);
int worker_say(struct supervisor *supervisor, enum worker_index index, enum message_type type,
    struct message *message, int passed_fd);
/* From now on messages wait, until they are released or too many. */
void workers_hold(struct supervisor *supervisor);
/* Sends what waited, in order. */
void workers_release(struct supervisor *supervisor);
/* Tells a worker of the gateway there is, and the sentry what is wanted of it. */
void workers_tell_gateway(struct supervisor *supervisor, enum worker_index index);
/* Tells every worker of the new gateway, with its pidfd. */
void workers_announce_gateway(struct supervisor *supervisor);

/* succession.c */
/* The name of one that has ended goes from the runtime directory. */
void worker_remove_socket(const struct supervisor *supervisor, const struct supervised_worker *worker);
/* Takes back the workers of an earlier life that can be reached. */
void workers_take_back(struct supervisor *supervisor);
/* Another build, output or settings than ours: a new one takes its place. */
bool worker_is_outdated(const struct supervisor *supervisor, const struct supervised_worker *worker,
    const struct message_hello *hello);
/* The worker goes on, unheard, until its successor says HELLO. */
void worker_succeed(struct supervisor *supervisor, struct supervised_worker *worker);
/* All of them. */
void workers_succeed(struct supervisor *supervisor);
/* This one is ready: others of its kind may go. */
void workers_release_surplus(struct supervisor *supervisor, const struct supervised_worker *worker);
/* Asks a process that is of no use any more to finish what it has in hand, and sees it off. */
void worker_let_leave(struct supervisor *supervisor, const char *name, int pid, int pid_fd);
/* Its successor failed: it goes on, heard again. Returns whether there is one that could. */
bool worker_put_back(struct supervisor *supervisor, struct supervised_worker *worker);
/* Its successor is ready: it finishes what it has in hand. */
void worker_release_predecessor(struct supervisor *supervisor, struct supervised_worker *worker);
/* Is one of them being succeeded by another, or still to say its first word? */
bool workers_are_changing(const struct supervisor *supervisor);
/* While one of an earlier life may still give its listening socket back, none is opened anew. */
void workers_open_listeners(struct supervisor *supervisor);

/* listeners.c */
/* Takes over what came with us; to be followed, sooner or later, by listeners_open. */
void listeners_init(struct supervisor *supervisor);
/* A worker of an earlier life gives one back: ours if it is wanted and missing, else closed. */
void listeners_take(struct supervisor *supervisor, uint32_t which, int fd);
void listeners_open(struct supervisor *supervisor);
/* Sends all that there are into a worker's channel. */
void listeners_put(const struct supervisor *supervisor, int channel_fd);
void listeners_add(const struct supervisor *supervisor, struct text *list);
void listeners_close(struct supervisor *supervisor);

/* events.c */
int events_open(struct supervisor *supervisor, struct error *why);
void events_record(struct supervisor *supervisor, const char *kind, enum event_severity severity,
    uint64_t incident, const char *evidence, const char *format, ...) __attribute__((format(printf, 6, 7)));
void events_send(struct supervisor *supervisor);
void events_resend(struct supervisor *supervisor);
void events_acknowledge(struct supervisor *supervisor, uint64_t life, uint64_t sequence);
void events_store_state(struct supervisor *supervisor, bool writable, const char *why);
uint64_t events_waiting(const struct supervisor *supervisor);

/* narrate.c: the words for what the core says */
void narrate_record(struct supervisor *supervisor, const struct supervision_action *action);
void narrate_channels_off(struct supervisor *supervisor, const char *line);
void narrate_reason(const struct supervisor *supervisor, enum supervision_reason reason, int64_t value,
    char *target, size_t size);

/* health.c */
void health_prepare(struct supervisor *supervisor);
/* The machine may be elsewhere now: looks are begun, made quicker or slower, or ended. */
void health_follow(struct supervisor *supervisor);
/* A new sentry knows of no looks. */
void health_tell_sentry(struct supervisor *supervisor);
void health_host_slept(struct supervisor *supervisor);
/* What the sentry says of how the gateway is. */
void health_said(struct supervisor *supervisor, const struct message *message);
/* Writes down what a worker found, if it is of one of the kinds that it may tell of; NULL ends them. */
void health_found(
    struct supervisor *supervisor, const char *const *kinds, const struct message_finding *finding);
/* A look must come so soon. */
int64_t health_patience_ms(const struct supervisor *supervisor);
/* health_status.c */
void health_status(const struct supervisor *supervisor, struct control_health *status);
/* Adds what a verdict for this reason rests on, as members of the JSON object under way. */
void health_write_evidence(
    const struct supervisor *supervisor, enum supervision_reason reason, struct text *json);
/* Adds ": no answer for 45 s, and its main thread never paused" to a sentence; nothing where there is none.
 */
void health_describe(const struct supervisor *supervisor, struct text *text);

/* sessions.c */
void sessions_prepare(struct supervisor *supervisor);
/* The record of an earlier life was read; what is remembered is put into the record. */
void sessions_inherit(struct supervisor *supervisor);
void sessions_save(struct supervisor *supervisor);
/* The gateway may be another now. */
void sessions_follow(struct supervisor *supervisor);
/* A sentry says its first word. */
void sessions_sentry_is_new(struct supervisor *supervisor);
/* MESSAGE_SESSIONS, MESSAGE_ABORTED. */
void sessions_said(struct supervisor *supervisor, const struct message *message);
/* Returns what sessions_abort() does, with `sentence` for who asked. */
int sessions_abort_asked(struct supervisor *supervisor, const char *key, char *sentence, size_t size);
void sessions_reply(const struct supervisor *supervisor, uint32_t after, struct control_sessions *reply);

/* session_words.c */
/* A key as sentences have it: cut where it is long, with "..." then. `target` holds SESSION_SHOWN_MAX bytes.
 */
void session_show(char *target, const char *key);
/* Records what SESSIONS_TELL says. */
void sessions_tell(struct supervisor *supervisor, const struct sessions_action *action);
/* Remembers the names of the sessions that condemn the gateway: they are told longer than it lives. */
void sessions_name_condemned(struct supervisor *supervisor);
/* What a verdict for stuck sessions rests on, as members of the JSON object under way, which has room left.
 */
void sessions_write_evidence(const struct supervisor *supervisor, struct text *json);

/* channels.c */
void channels_prepare(struct supervisor *supervisor);
/* What the sentry says of the gateway's channels. */
void channels_said(struct supervisor *supervisor, const struct message *message);

/* console.c */
int console_open(struct supervisor *supervisor, struct error *why);
void console_sentry_back(struct supervisor *supervisor);
void console_ponged(struct supervisor *supervisor);
void console_lines_dropped(struct supervisor *supervisor, const struct message_dropped *dropped);
void console_close(struct supervisor *supervisor);

/* notify.c */
/* "NAME=value", or "": not wanted. */
struct notify_variables {
	char socket[144], watchdog[48];
};

int notify_open(struct supervisor *supervisor, struct error *why);
/* Anew, in a directory made anew. */
int notify_reopen(struct supervisor *supervisor, struct error *why);
bool notify_is_there(const struct supervisor *supervisor);
void notify_sentry_back(struct supervisor *supervisor);
void notify_ponged(struct supervisor *supervisor);
/* What a gateway is told of it. Returns 0, or -ENAMETOOLONG where no address holds its path. */
int notify_environment(const struct supervisor *supervisor, struct notify_variables *variables);
void notify_close(struct supervisor *supervisor);

/* commands.c */
int commands_open(struct supervisor *supervisor, struct error *why);
/* The socket and who has connected, for the next image. */
void commands_add(const struct supervisor *supervisor, struct text *list);
/* Anew, in a directory made anew. */
int commands_reopen(struct supervisor *supervisor, struct error *why);
void commands_close(struct supervisor *supervisor);
/* Answers a request whose answer had to wait, and closes the caller. `changes` may be NULL. */
void commands_answer(
    struct supervisor *supervisor, int caller_fd, int code, const char *sentence, const char *changes);

/* runtime.c */
void runtime_watch(struct supervisor *supervisor);
void runtime_forget(struct supervisor *supervisor);

/* change.c */
void change_init(struct supervisor *supervisor);
/* Begins to take up new settings, or new programs (paths; NULL: our own). `caller_fd` is taken over, and
 * answered when it is done or has failed; -1: nobody asked over the control socket. */
void change_begin(struct supervisor *supervisor, enum change_kind kind, const char *holdfast,
    const char *supervise, int caller_fd);
/* Follows a hang-up that had to wait, if nothing stands against it any more. */
void change_again(struct supervisor *supervisor);
/* We end. */
void change_abandon(struct supervisor *supervisor);
bool change_child_ended(struct supervisor *supervisor, int pid, int status_code, int status);
/* In the new image: tells what became of it. */
void change_done(struct supervisor *supervisor);
/* The path of the `holdfast` that belongs to this build. */
void change_own_command(const struct supervisor *supervisor, char *path, size_t size);

/* relay_outage.c: the relay that does not stay up is taken out of the gateway's configuration */
void relay_outage_init(struct supervisor *supervisor);
void relay_outage_ended(struct supervisor *supervisor, int64_t lived_ms);
bool relay_outage_child_ended(struct supervisor *supervisor, int pid);
int relay_outage_child(const struct supervisor *supervisor); /* its pid; 0: none */
void relay_outage_abandon(struct supervisor *supervisor);

/* trial.c: in the place of begin(): proves that this build can do it, on copies, and touches nothing. Returns
 * the exit status. */
int trial_run(struct supervisor *supervisor);
/* Tells who tries us why it failed. Returns the exit status. */
int trial_failed(const struct supervisor *supervisor, const char *what);

/* ownership.c */
int ownership_take(struct supervisor *supervisor, struct error *why);
/* Opens the runtime directory, and makes it where it is missing. */
int ownership_runtime(struct supervisor *supervisor, struct error *why);
/* Opens and locks the runtime record, the first time and when its directory was lost. */
int ownership_record(struct supervisor *supervisor, struct error *why);
/* Refuses when another owns the gateway: something listens on its port, or holds its lock. */
int ownership_check(struct supervisor *supervisor, struct error *why);

/* fallback.c */
/* The gateway's environment for a start from the copy of its configuration. */
char **fallback_environment(struct supervisor *supervisor);
/* While starts are from the copy: asks the sentry, which watches no files of a new gateway and may be new
 * itself, to watch them, and whether they are valid by now. */
void fallback_watch(struct supervisor *supervisor);
void fallback_validated(struct supervisor *supervisor, const struct message_validated *validated);
/* For the status, of a gateway that was started from the copy: why it is so, and what to do. */
void fallback_sentence(const struct supervisor *supervisor, char *target, size_t size);

/* environment.c */
int environment_build(struct supervisor *supervisor, char **inherited, struct error *why);
/* A worker's environment: ours, without the secrets that are not its own. Good until the next call. */
char **environment_of_worker(struct supervisor *supervisor, enum worker_index index);
/* The same without any, for a child that is none of them. */
char **environment_without_secrets(struct supervisor *supervisor);

#endif
