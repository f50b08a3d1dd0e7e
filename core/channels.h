/* Channels of a gateway that is well itself: which of them is dead, and may be restarted. Pure: looks in,
 * decisions out.
 *
 * Only the gateway's own status counts. A channel is dead when that says so in two looks, so far apart and
 * with nothing else said between them, of one that had worked in this gateway's life: what never worked
 * cannot fail. One that was disabled, or that somebody stopped, is nobody's failure; and while the gateway's
 * own restart of it is pending, that one has its turn.
 *
 * A restart is one of that channel only. It has CHANNELS_VERIFY_MS to show, else it is made again, ever more
 * seldom; one that the gateway itself calls beyond a restart (its login is refused) is tried CHANNELS_TRIES
 * times. The gateway is never restarted for a channel. */
#ifndef HOLDFAST_CORE_CHANNELS_H
#define HOLDFAST_CORE_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>

#define CHANNELS_MAX        32
#define CHANNEL_NAME_MAX    32
#define CHANNEL_ACCOUNT_MAX 64
#define CHANNEL_ERROR_MAX   160

#define CHANNELS_VERIFY_MS      (2 * 60000)
#define CHANNELS_BACKOFF_MIN_MS (5 * 60000)
#define CHANNELS_BACKOFF_MAX_MS (60 * 60000)
#define CHANNELS_LEFT_AGAIN_MS  60000        /* after a restart that did no more than stop it */
#define CHANNELS_WELL_MS        (60 * 60000) /* well for so long, and its earlier restarts are forgotten */
#define CHANNELS_TRIES          3            /* told of in one outage; more are made without a word */
#define CHANNELS_GAP_LOOKS      3 /* without a look for so many, and nobody knows what it did meanwhile */

enum channel_word { CHANNEL_UNSAID, CHANNEL_NO, CHANNEL_YES };

/* The gateway's own judgement of a channel (healthState of 2026.9.6). */
enum channel_health {
	CHANNEL_HEALTH_UNSAID,
	CHANNEL_HEALTH_FINE,
	CHANNEL_HEALTH_NOT_RUNNING,
	CHANNEL_HEALTH_DISCONNECTED, /* for longer than it is given to connect again */
	CHANNEL_HEALTH_DEAF,         /* nothing can reach it ("ingress-unavailable") */
	CHANNEL_HEALTH_BLOCKED,      /* refused by its server; the gateway does not restart it */
	CHANNEL_HEALTH_OTHER, /* a word of a plugin's own, or one that is no matter of ours: never evidence */
};

/* One look at one account of one channel. */
struct channel_look {
	uint64_t generation;
	int64_t at_ms; /* CLOCK_BOOTTIME: when it was asked for */
	char channel[CHANNEL_NAME_MAX], account[CHANNEL_ACCOUNT_MAX];
	uint32_t enabled, configured, linked, running, connected, pending; /* enum channel_word */
	uint32_t health;                                                   /* enum channel_health */
	uint32_t restarts;   /* that the gateway made by itself, one after another */
	uint32_t has_ladder; /* this version restarts channels itself, and restarts one when it is asked */
	int64_t started_real_ms, stopped_real_ms, connected_real_ms; /* the gateway's clock; 0: not said */
	char error[CHANNEL_ERROR_MAX];                               /* its lastError; "" none */
};

enum channel_state {
	CHANNEL_OFF,        /* nobody wants it to run */
	CHANNEL_STOPPED,    /* it does not run, and nothing says that it failed */
	CHANNEL_RECOVERING, /* it starts or connects, or will be started by the gateway */
	CHANNEL_UP,
	CHANNEL_DEAD,
	CHANNEL_REFUSED, /* dead, and the gateway itself expects nothing of a restart */
};

/* What became of a restart that was asked for. */
enum channel_outcome {
	CHANNEL_STARTED,      /* the gateway starts it */
	CHANNEL_NOT_STARTED,  /* the gateway did not start it, and says why */
	CHANNEL_LEFT_STOPPED, /* it was stopped, and could not be started again */
	CHANNEL_UNREACHABLE,  /* nobody could be asked */
};

struct channels_settings {
	int64_t dead_ms; /* between two looks that say so; looks come as often */
	bool restarts;   /* autoRestart.onDeadChannel */
};

/* Private. */
struct channel_kept {
	char channel[CHANNEL_NAME_MAX], account[CHANNEL_ACCOUNT_MAX];
	int64_t at_ms;
	bool has_worked;
	bool told;                                /* that it is dead */
	bool left_alone;                          /* somebody stopped it while it was dead */
	bool left_stopped;                        /* our own restart stopped it, and did not start it */
	bool answered;                            /* the restart under way */
	int64_t up_since_ms;                      /* 0: it is not up */
	int64_t dead_since_ms;                    /* 0: it is not dead */
	int64_t told_since_ms;                    /* the outage that was told began */
	int64_t started_real_ms, stopped_real_ms; /* of what is dead */
	int64_t asked_ms;                         /* a restart is under way; 0: none */
	int64_t again_ms;                         /* the next one not before */
	uint32_t tries;                           /* in this outage */
	uint32_t backoff;                         /* restarts that are not forgotten yet */
};

struct channels {
	const struct channels_settings *settings; /* borrowed */
	uint64_t generation;
	uint32_t count, ignored; /* ignored: looks at more than CHANNELS_MAX */
	struct channel_kept kept[CHANNELS_MAX];
};

struct channels_verdict {
	bool dead;      /* to be told: it is dead */
	bool restart;   /* to be done: restart it */
	bool recovered; /* to be told: it works again */
	bool failed;    /* to be told: the restart did not help */
	bool last;  /* with failed: it is not told of again; with CHANNEL_REFUSED it is not tried again either
	             */
	bool quiet; /* nothing is told of this restart */
	enum channel_state state;
	uint32_t tries;
	int64_t dead_ms; /* for so long */
	int64_t next_ms; /* with failed: until the next restart */
};

void channels_init(struct channels *channels, const struct channels_settings *settings);

enum channel_state channel_state(const struct channel_look *look);

/* One look. `may_act`: the gateway runs, nothing speaks against it, and nobody asked us to leave it alone;
 * else what is seen is no evidence. A new generation begins anew. */
void channels_step(struct channels *channels, const struct channel_look *look, bool may_act,
    struct channels_verdict *verdict);

/* The answer to a restart. */
void channels_restarted(struct channels *channels, const char *channel, const char *account,
    enum channel_outcome outcome, int64_t now_ms, struct channels_verdict *verdict);

const char *channel_health_name(enum channel_health health);

#endif
