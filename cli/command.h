/* The verbs of `holdfast`: what each is called, takes and does. */
#ifndef HOLDFAST_CLI_COMMAND_H
#define HOLDFAST_CLI_COMMAND_H

#include <stdbool.h>

#include "cli/options.h"
#include "config/load.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_SUPERVISOR = 3,
	EXIT_NOT_HEALTHY = 4,
	EXIT_CONFIG = 78
};

/* The command line, read. All text is borrowed from argv. */
struct invocation {
	const struct command *command;
	const char *config_file, *state_dir, *runtime_dir;
	bool help, version, json;
	const char *port, *reason, *pause_for;
	bool supervised, force, no_wait, all, dry_run;
	struct option_list set;
	struct {
		bool follow;
		const char *since, *limit, *after, *severity, *incident;
		struct option_list kinds;
	} events;
	struct {
		bool console;
	} explain;
	const char *word;            /* an operand, NULL if none */
	struct option_list operands; /* of "relay": the words behind that one */
	char **child_command;        /* after "--", NULL-terminated; NULL if none */
	char **arguments;            /* all of them as they came, without the program's name */
};

struct command {
	const char *name;
	const char *operands; /* for the help: " [-- COMMAND...]", "" for none */
	const char *summary;
	const char *details;          /* more lines of help; may be NULL */
	const struct option *options; /* besides the common ones */
	const char
	    *words; /* what its operand may be, for the completion ("": anything); NULL: it takes none */
	int (*run)(struct invocation *invocation); /* returns the exit status */
};

extern const struct command commands[]; /* ends with name NULL */
extern const struct option common_options[];

const struct command *command_find(const char *name);
/* The command `name` was most likely meant to be; NULL when none is near. */
const char *command_nearest(const char *name);
bool command_is_planned(const char *name);

/* Reads a command line, NULL-terminated and without the program's name. Returns 0, or -EINVAL with *why. */
int invocation_read(struct invocation *invocation, char **arguments, struct error *why);

/* What the command line says about the settings. Returns 0, or -EINVAL with *why. */
int command_flags(const struct invocation *invocation, struct settings_flags *flags, struct error *why);

/* Finds the directories; says what is wrong. Returns 0 or the exit status to end with. */
int locate(const struct invocation *invocation, struct settings *settings);

int run_run(struct invocation *invocation);
int run_status(struct invocation *invocation);
int run_start(struct invocation *invocation);
int run_stop(struct invocation *invocation);
int run_restart(struct invocation *invocation);
int run_pause(struct invocation *invocation);
int run_resume(struct invocation *invocation);
int run_events(struct invocation *invocation);
int run_explain(struct invocation *invocation);
int run_reload(struct invocation *invocation);
int run_upgrade(struct invocation *invocation);
int run_sessions(struct invocation *invocation);
int run_profiles(struct invocation *invocation);
int run_abort(struct invocation *invocation);
int run_relay(struct invocation *invocation);
int run_check(struct invocation *invocation);
int run_completion(struct invocation *invocation);
int run_version(struct invocation *invocation);
int run_help(struct invocation *invocation);

#endif
