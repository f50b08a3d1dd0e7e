/* What is particular to one kind of gateway, as facts: no I/O here. */
#ifndef HOLDFAST_GATEWAY_GATEWAY_H
#define HOLDFAST_GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

/* What a gateway's own last words, with its exit code, say about its end. */
enum exit_words {
	WORDS_NONE,               /* nothing known: an ordinary crash */
	WORDS_CONFIG_INVALID,     /* its configuration is refused: parked until the file changes */
	WORDS_MIGRATION_REQUIRED, /* it waits for a command a person must run: parked */
	WORDS_CONTENTION,         /* the port or the state directory belongs to another: back off */
	WORDS_OUT_OF_MEMORY,      /* the JavaScript heap ran full: an ordinary crash, named */
	WORDS_OOM_KILLED,         /* not its own: the kernel's out-of-memory killer has been at work */
	WORDS_COUNT
};

/* All looked for in a console line from which colours were removed. */
struct gateway_phrase {
	const char *text;
	const char *also; /* must follow in the same line; NULL: nothing more */
	enum exit_words words;
};

struct gateway_drain {
	const char *text; /* a console line with this says that it began to drain by itself */
	const char
	    *budget_key; /* followed in that line by its budget in ms; a line without it announces nothing */
};

/* A console line with this text becomes an event, and nothing is done because of it. */
struct gateway_sign {
	const char *text;
	const char *kind;     /* of the event */
	const char *sentence; /* for people; the line follows */
	bool is_listener;     /* a listener that was slow: counted */
};

struct gateway_facts {
	const char *name;
	const char *const *variables; /* "NAME=value" given to every child; NULL-terminated */
	const struct gateway_phrase
	    *phrases;         /* ends with text NULL; the first match of the latest line wins */
	int config_exit_code; /* this code means configuration unless the words say otherwise; 0: none */
	uint32_t boot_limit;  /* unclean boots within the window after which it hides its channels; 0: none */
	int64_t boot_window_ms;
	const char *startup_path;         /* NULL: no start-up probe of its own */
	const char *startup_status;       /* the "status" of its JSON answer once it has started */
	const char *ready_path;           /* its readiness probe, which tells figures; NULL: none */
	const struct gateway_sign *signs; /* ends with text NULL; NULL: none */
	const char
	    *listening_phrase; /* said by versions without a start-up probe once they serve; NULL: none */
	const char
	    *stuck_phrase; /* it says of a session that it makes no progress; NULL: it says no such thing */
	const char *channels_off_phrase; /* it runs, but with its channels off after too many unclean boots */
	const struct gateway_drain *drains; /* ends with text NULL; NULL: it never drains by itself */
	bool opens_inspector; /* node: SIGUSR1 opens its inspector, in versions whose start-up probe speaks
	                         JSON */
	const char
	    *command_name; /* how its own commands call themselves, and their script; NULL: by their script */
	const char *const
	    *helpers; /* parts of the paths of its helper processes' scripts; NULL-terminated; NULL: none
	               */
	const char *migration_command; /* what a person must run after WORDS_MIGRATION_REQUIRED; NULL: none */
};

/* `kind` is an enum gateway_kind of the settings. */
const struct gateway_facts *gateway_facts(int kind);

/* What a console line (NUL-terminated, without colours) says about the end to come. */
enum exit_words gateway_read_words(const struct gateway_facts *facts, const char *line);

#define GATEWAY_DRAIN_MAX_MS (60 * 60 * 1000)

/* Whether the line announces a drain of its own, and its budget: 0 to GATEWAY_DRAIN_MAX_MS. */
bool gateway_read_drain(const struct gateway_facts *facts, const char *line, int64_t *budget_ms);

extern const struct gateway_facts gateway_openclaw, gateway_generic;

#endif
