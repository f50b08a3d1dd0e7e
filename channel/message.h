/* What the programs say to each other: one fixed, versioned struct a SOCK_SEQPACKET packet.
 *
 * Supervisor <-> worker over the socket pair a worker inherits as descriptor 3 (CHANNEL_FD); the settings are
 * descriptor 4 (SETTINGS_FD). A worker whose supervisor died is reached by the next one at a socket of its
 * own in the runtime directory, and says the same things there. People's commands come over the control
 * socket in the runtime directory. */
#ifndef HOLDFAST_CHANNEL_MESSAGE_H
#define HOLDFAST_CHANNEL_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/channels.h"
#include "core/health.h"
#include "core/memory.h"
#include "core/orphans.h"
#include "core/sessions.h"

#define CHANNEL_FD      3
#define SETTINGS_FD     4
#define MESSAGE_VERSION 5

#define EVENT_KIND_MAX     40
#define EVENT_REASON_MAX   384
#define EVENT_EVIDENCE_MAX 512
#define MESSAGE_TEXT_MAX   512
#define MESSAGE_LOOKS_MAX  8
#define MESSAGE_CALLS_MAX  16
#define MESSAGE_TRACE_MAX  33

enum message_type {
	/* supervisor -> every worker */
	MESSAGE_GATEWAY_STARTED = 1, /* gateway; carries the gateway's pidfd */
	MESSAGE_GATEWAY_GONE,        /* gateway */
	/* supervisor -> sentry */
	MESSAGE_PROBE_START,  /* gateway: say READY once the start-up probe says started */
	MESSAGE_ASK_WORDS,    /* gateway: what did its last lines say? Answer WORDS after draining */
	MESSAGE_WATCH_CONFIG, /* watch.on: say CONFIG_CHANGED when one of the watched files changes */
	MESSAGE_NOTE,         /* note: print this sentence of ours to the foreground */
	MESSAGE_PING,         /* answer PONG at once */
	MESSAGE_CONSOLE,  /* console; carries the gateway's console FIFO: drain it (the same again: go on) */
	MESSAGE_NOTIFY,   /* carries the socket that a generic gateway's sd_notify(3) comes to: drain it */
	MESSAGE_LOOK,     /* look: take looks at this gateway so often, and say LOOKED; or no more */
	MESSAGE_EXAMINE,  /* examine: it is condemned; find out where it hangs, and say EXAMINED within 3 s */
	MESSAGE_VALIDATE, /* is the gateway's own configuration valid again? Say VALIDATED */
	MESSAGE_ABORT,    /* abort: end this one run, if it is still as it was judged, and say ABORTED */
	MESSAGE_CHANNEL_RESTART, /* channel_restart: restart this one channel, and say CHANNEL_RESTARTED */
	MESSAGE_RELAYED, /* relayed: calls that the relay has under way; from the relay, and on to the sentry
	                  */
	/* sentry -> supervisor */
	MESSAGE_READY,       /* gateway; note: what proved it */
	MESSAGE_PROGRESS,    /* gateway: something moved during the start (console, CPU, I/O, probe); at most
	                        every 5 s */
	MESSAGE_WORDS,       /* words */
	MESSAGE_DRAIN_BEGAN, /* drain */
	MESSAGE_CONFIG_CHANGED,  /* note: which file */
	MESSAGE_CHANNELS_OFF,    /* gateway; note: its own line: it runs with its channels off after too many
	                            unclean boots */
	MESSAGE_CONSOLE_DROPPED, /* dropped: lines lost since the last such message */
	MESSAGE_PONG,
	MESSAGE_LOOKED,   /* health */
	MESSAGE_EXAMINED, /* examined */
	MESSAGE_FIGURES,  /* figures: what the gateway says of itself, for the status */
	MESSAGE_FINDING, /* finding: something to be written down as an event, and nothing to be done about */
	MESSAGE_MEMORY,  /* memory */
	MESSAGE_ORPHANS, /* orphans: found below the running gateway, once a minute */
	MESSAGE_VALIDATED,         /* validated */
	MESSAGE_SESSIONS,          /* sessions: looks at some of them */
	MESSAGE_ABORTED,           /* aborted */
	MESSAGE_CHANNEL,           /* channel: one look at one account of one channel, once a minute */
	MESSAGE_CHANNEL_RESTARTED, /* channel_restarted */
	/* supervisor -> recorder */
	MESSAGE_EVENT, /* event */
	/* recorder -> supervisor */
	MESSAGE_STORED, /* stored: every event up to this sequence is on disk */
	MESSAGE_STORE,  /* store: whether events can be written now, and why not */
	/* to every worker */
	MESSAGE_FINISH, /* finish what is in hand and exit 0; a successor may be at work already */
	/* both ways */
	MESSAGE_LISTENER, /* listener; carries a listening socket. Every worker keeps each of them, so that
	                     any survivor can give them to the next supervisor; it accepts from its own only
	                   */
	/* from every worker */
	MESSAGE_HELLO,
	/* settings read anew -> supervisor */
	MESSAGE_SETTINGS, /* settings; carries the sealed settings, unless they are refused */
	MESSAGE_TYPE_COUNT
};

struct message_gateway {
	uint64_t generation;
	int32_t pid;
	uint64_t start_time; /* field 22 of /proc/PID/stat, clock ticks since boot */
	uint32_t port;       /* it was started with this one; 0: none known */
	uint32_t proved;     /* READY: it answered what a health probe asks, or would */
	uint32_t fallback;   /* STARTED: from the copy of its configuration (gateway.configFallback) */
	char note[MESSAGE_TEXT_MAX];
};

struct message_words {
	uint64_t generation;
	uint32_t words;              /* enum exit_words */
	uint32_t fallback;           /* a copy of its last good configuration is ready for a start */
	char line[MESSAGE_TEXT_MAX]; /* the line that says so, or who holds the port */
};

struct message_drain {
	uint64_t generation;
	int64_t budget_ms;
};

struct message_dropped {
	uint64_t lines, bytes;
	char why[128];
};

struct message_event {
	uint64_t life;     /* which supervisor's life; with sequence it makes the event unique */
	uint64_t sequence; /* 1, 2, 3 ... within a life */
	uint64_t oldest;   /* the lowest sequence the sender still holds: what is missing below it is lost for
	                      good; what is   missing above it will be sent again. 0: unknown, a gap is accepted
	                      as it comes */
	int64_t real_ms;
	uint64_t incident; /* 0: none */
	uint32_t severity; /* enum event_severity */
	char kind[EVENT_KIND_MAX];
	char reason[EVENT_REASON_MAX];
	char evidence[EVENT_EVIDENCE_MAX]; /* a JSON object */
};

/* How the gateway is to be looked at. */
struct message_look {
	struct message_gateway gateway;
	int64_t pace_ms; /* a look so often; 0: no more looks */
};

struct message_examine {
	uint64_t generation;
	uint32_t may_open; /* its inspector may be opened: it is replaced whatever comes */
};

struct message_examined {
	uint64_t generation;
	uint32_t opened; /* its inspector was opened */
	int64_t took_ms;
	char cause[24];     /* "javascript", "child" ... */
	char sentence[304]; /* where it hangs, for people */
	char advice[304];   /* what to do about it */
	char file[32];      /* in the runtime directory: the whole report; "" none */
};

/* What the gateway says of itself. Numbers are -1 and texts "" where it says nothing. */
struct message_figures {
	uint64_t generation;
	char version[24];
	int32_t loop_delay_p99_ms, loop_delay_max_ms, loop_utilization_permille;
	uint32_t slow_listeners; /* told of in this life */
	char failing[160];       /* what its readiness probe names as failing */
	char status[160];        /* STATUS= of sd_notify(3) */
};

/* What the sentry noticed. */
struct message_finding {
	uint64_t generation;
	uint32_t severity; /* enum event_severity */
	char kind[EVENT_KIND_MAX];
	char reason[EVENT_REASON_MAX];
	char evidence[EVENT_EVIDENCE_MAX]; /* a JSON object */
};

struct message_validated {
	uint64_t generation;
	uint32_t valid;
	char why[MESSAGE_TEXT_MAX]; /* not valid: its own words */
};

/* Looks at sessions: each that runs is looked at every few seconds, and every one whose state changes. */
struct message_sessions {
	uint64_t generation;
	uint64_t strange; /* answers, events and lines that made no sense, so far */
	uint32_t count;
	struct session_look looks[MESSAGE_LOOKS_MAX];
};

/* Calls under way, each as often as every few seconds while it is. Times are CLOCK_BOOTTIME in ms. */
struct message_relayed {
	uint32_t count;
	struct message_call {
		char trace[MESSAGE_TRACE_MAX]; /* as the gateway named it: its run's */
		int64_t began_ms;
		int64_t heard_ms; /* content last came; 0: none yet */
	} calls[MESSAGE_CALLS_MAX];
};

struct message_abort {
	uint64_t generation, serial;
	uint32_t attempt;      /* 1, 2 */
	uint32_t by_person;    /* whether it moves makes no difference */
	uint32_t notify;       /* tell the chat */
	int64_t judged_ms;     /* what has moved since then is left alone */
	int64_t quiet_ms;      /* it had been silent for so long by then */
	int64_t began_real_ms; /* the run, as the gateway's list had it; 0: not listed */
	char key[SESSION_KEY_MAX];
	char id[SESSION_ID_MAX];
	char run[SESSION_RUN_MAX]; /* "" not known */
};

struct message_aborted {
	uint64_t generation, serial;
	uint32_t outcome;   /* enum abort_outcome */
	char sentence[256]; /* the gateway's own, or why nobody could be asked; or what was lost */
};

struct message_channel_restart {
	uint64_t generation;
	uint32_t stop; /* it runs, and is to be stopped before */
	char channel[CHANNEL_NAME_MAX], account[CHANNEL_ACCOUNT_MAX];
};

struct message_channel_restarted {
	uint64_t generation;
	uint32_t outcome; /* enum channel_outcome */
	char channel[CHANNEL_NAME_MAX], account[CHANNEL_ACCOUNT_MAX];
	char sentence[160]; /* why not; "" when it starts */
};

/* Who listens where. */
enum listener_index { LISTENER_API, LISTENER_RELAY, LISTENER_COUNT };

/* Which build of a worker this is, what it writes to, and with which settings it runs: one for which any of
 * that is not what its new supervisor has is succeeded by a new one; every other goes on. */
struct message_hello {
	int32_t pid;
	char name[16];
	uint64_t program_device, program_inode; /* of the executable file */
	uint64_t output_device, output_inode;   /* of its standard output */
	uint64_t settings_hash;                 /* of the sealed settings */
};

/* What came of reading the settings again. */
struct message_settings {
	uint32_t refused; /* `sentence` says why; nothing changes */
	uint32_t changed; /* how many settings differ from those in force */
	char sentence[384];
	char changes[2048]; /* one line for each of them: the setting, from what to what, and what it needs */
};

enum event_severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_CRITICAL };

struct message {
	uint16_t version; /* MESSAGE_VERSION */
	uint16_t type;    /* enum message_type */
	uint32_t size;    /* of the whole packet: the header and the member in use */
	union {
		struct message_gateway gateway;
		struct message_words words;
		struct message_drain drain;
		struct message_dropped dropped;
		struct message_event event;
		struct {
			uint64_t life, sequence;
		} stored;
		struct {
			uint32_t writable;
			uint64_t dropped;
			char why[128];
		} store;
		struct {
			uint32_t on;
		} watch;
		struct {
			char text[MESSAGE_TEXT_MAX];
		} note;
		struct {
			uint32_t which; /* enum listener_index */
		} listener;
		struct message_hello hello;
		struct message_settings settings;
		struct message_look look;
		struct health_look health;
		struct message_examine examine;
		struct message_examined examined;
		struct message_figures figures;
		struct message_finding finding;
		struct memory_look memory;
		struct orphans_look orphans;
		struct message_validated validated;
		struct message_sessions sessions;
		struct message_relayed relayed;
		struct message_abort abort;
		struct message_aborted aborted;
		struct channel_look channel;
		struct message_channel_restart channel_restart;
		struct message_channel_restarted channel_restarted;
	};
};

/* Sends without blocking. `passed_fd` is a descriptor to hand over, or -1. Fills version, type and size.
 * Returns 0, -EAGAIN when the other side is not reading, -EPIPE when it is gone, or another negative errno.
 */
int message_send(int fd, enum message_type type, struct message *message, int passed_fd);

/* Receives one packet without blocking. Checks version, type and size; text members are NUL-terminated.
 * *passed_fd (may be NULL) receives a descriptor (close-on-exec, owned by the caller) or -1.
 * Returns 1, 0 when the other side closed, -EAGAIN, -EBADMSG for a packet that is not ours, or another errno.
 */
int message_receive(int fd, struct message *message, int *passed_fd);

/* "info", "warning", "error", "critical". */
const char *event_severity_name(enum event_severity severity);

#endif
