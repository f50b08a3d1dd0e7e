/* The table of verbs and their options: it parses, helps and completes. */
#include "cli/command.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/text.h"
#include "cli/print.h"
#include "config/schema.h"

#define COMMANDS_MAX 32

/* clang-format off */
#define AT(member) offsetof(struct invocation, member)
#define FLAG(name, letter, member, help)	{name, letter, OPTION_FLAG, AT(member), NULL, NULL, help}
#define TEXT(name, member, value, help)		{name, 0, OPTION_TEXT, AT(member), value, NULL, help}
#define CHOICE(name, member, value, words, help) {name, 0, OPTION_TEXT, AT(member), value, words, help}
#define LIST(name, member, value, help)		{name, 0, OPTION_LIST, AT(member), value, NULL, help}
#define END					{NULL}

#define JSON	FLAG("--json", 0, json, "print JSON, for programs")
#define NO_WAIT	FLAG("--no-wait", 0, no_wait, "return at once instead of when it is done")
#define PORT	TEXT("--port", port, "PORT", "the gateway's port (default: as it is configured)")
#define SET	LIST("--set", set, "KEY=VALUE", "a setting, such as gateway.sessionTimeout=60s; may be repeated")
#define REASON	TEXT("--reason", reason, "TEXT", "why, for the record (at most 255 bytes)")

const struct option common_options[] = {
	TEXT("--config", config_file, "FILE", "read the settings from FILE"),
	TEXT("--state-dir", state_dir, "DIR", "where events and console logs are kept"),
	TEXT("--runtime-dir", runtime_dir, "DIR", "where the control socket is"),
	FLAG("--help", 'h', help, "print this help"),
	END,
};

static const struct option no_options[] = {END};
static const struct option json_options[] = {JSON, END};

static const struct option run_options[] = {
	PORT, SET,
	FLAG("--supervised", 0, supervised, "accepted; a gateway run by Holdfast always is"),
	END,
};

static const struct option check_options[] = {PORT, SET, JSON, END};

static const struct option sessions_options[] = {
	FLAG("--all", 0, all, "list the idle ones too"),
	JSON, END,
};

static const struct option start_options[] = {
	FLAG("--force", 0, force, "now, in spite of back-off and boot budget"),
	REASON, NO_WAIT, JSON, END,
};

static const struct option stop_options[] = {REASON, NO_WAIT, JSON, END};

static const struct option restart_options[] = {
	FLAG("--force", 0, force, "now: without a drain, in spite of back-off and boot budget"),
	REASON, NO_WAIT, JSON, END,
};

static const struct option pause_options[] = {
	TEXT("--for", pause_for, "TIME", "such as 30s, 15m or 2h (default: until resume)"),
	REASON, JSON, END,
};

static const struct option events_options[] = {
	JSON,
	FLAG("--follow", 'f', events.follow, "go on printing what happens"),
	TEXT("--since", events.since, "TIME", "a date, an RFC 3339 time, or 2h for two hours ago"),
	LIST("--kind", events.kinds, "PATTERN", "such as \"gateway.*\"; may be repeated"),
	CHOICE("--severity", events.severity, "MIN", "info warning error critical", "that or worse"),
	TEXT("--incident", events.incident, "N", "what belongs to one incident"),
	TEXT("--after", events.after, "ID", "newer than the event ID"),
	TEXT("--limit", events.limit, "N", "at most N, the last ones (0: all)"),
	END,
};

static const struct option explain_options[] = {
	JSON,
	FLAG("--console", 0, explain.console, "show all that the gateway had printed before an autopsy"),
	END,
};

static const struct option relay_options[] = {
	FLAG("--dry-run", 0, dry_run, "show what would be changed, and change nothing"),
	JSON, END,
};

const struct command commands[] = {
	{"run", " [-- COMMAND...]", "supervise the gateway in the foreground",
	    "Without COMMAND it is the OpenClaw that the settings or the PATH name.\n", run_options, NULL, run_run},
	{"status", "", "say whether the gateway is well, and why not",
	    "Exit status: 0 it is ready, 4 it is not, 3 no supervisor is running.\n", json_options, NULL, run_status},
	{"events", "", "print what happened", NULL, events_options, NULL, run_events},
	{"explain", " [INCIDENT]", "tell what an incident was, what it cost, and what to do about it",
	    "Without a number it is the newest.\n", explain_options, "", run_explain},
	{"sessions", "", "list the gateway's sessions, the stuck ones first", NULL, sessions_options, NULL, run_sessions},
	{"abort", " SESSION", "abort what a session is doing; the gateway goes on",
	    "SESSION is its key, as \"holdfast sessions\" prints it.\n", json_options, "", run_abort},
	{"profiles", "", "list the relay's auth profiles, and how they are", NULL, json_options, NULL, run_profiles},
	{"start", "", "start the gateway, or try again at once", NULL, start_options, NULL, run_start},
	{"stop", "", "stop the gateway and leave it stopped", NULL, stop_options, NULL, run_stop},
	{"restart", "", "stop the gateway when it has drained, and start it", NULL, restart_options, NULL, run_restart},
	{"pause", "", "leave the gateway alone for a while, whatever happens", NULL, pause_options, NULL, run_pause},
	{"resume", "", "end the pause", NULL, json_options, NULL, run_resume},
	{"reload", "", "read the settings again and follow them; the gateway goes on",
	    "It says what changed. Wrong settings change nothing.\n", json_options, NULL, run_reload},
	{"upgrade", "", "let the programs beside this one take over; the gateway goes on",
	    "They are tried first, on a copy of the state. A trial that fails changes nothing.\n", json_options, NULL,
	    run_upgrade},
	{"relay", " enable [PROVIDER...] | disable | status | import", "lead the gateway's calls to models through the relay, or back",
	    "\"enable\" points the gateway's providers to the relay, \"disable\" puts their own addresses back,\n"
	    "\"status\" says which go where and why, \"import\" takes over what OpenClaw 2026.2.1 has of keys.\n"
	    "They take what \"run\" takes.\n", relay_options, "enable disable status import", run_relay},
	{"check", " [-- COMMAND...]", "read the settings and say what is wrong with them",
	    "It takes what \"run\" takes, and starts nothing.\n", check_options, NULL, run_check},
	{"completion", " bash", "print the completion script of a shell", NULL, no_options, "bash", run_completion},
	{"version", "", "print the version", NULL, json_options, NULL, run_version},
	{"help", " [COMMAND]", "print this help, or that of a command", NULL, no_options, "COMMAND", run_help},
	{NULL},
};
/* clang-format on */

const struct command *command_find(const char *name)
{
	for (const struct command *command = commands; command->name != NULL; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

const char *command_nearest(const char *name)
{
	const char *known[COMMANDS_MAX + 1];
	size_t count = 0;

	for (const struct command *command = commands; command->name != NULL && count < COMMANDS_MAX;
	     command++)
		known[count++] = command->name;
	known[count] = NULL;
	return schema_nearest_of(known, name);
}

/* Named in messages and in the manual, and still to come. */
bool command_is_planned(const char *name)
{
	static const char *const planned[] = {"install", "uninstall", "monitor", "profiles", "update", NULL};

	for (const char *const *word = planned; *word != NULL; word++)
		if (strcmp(*word, name) == 0)
			return true;
	return false;
}

/* The settings refuse a bad port too; that it came from the command line makes it a question of usage. */
static bool is_port(const char *word)
{
	uint64_t port;

	return text_to_u64(word, 65535, &port) == 0 && port > 0;
}

int command_flags(const struct invocation *invocation, struct settings_flags *flags, struct error *why)
{
	*flags = (struct settings_flags){
	    .config_file = invocation->config_file,
	    .state_dir = invocation->state_dir,
	    .runtime_dir = invocation->runtime_dir,
	    .port = invocation->port,
	    .command = invocation->child_command,
	    .set_count = invocation->set.count,
	};
	_Static_assert(SETTINGS_SET_MAX == OPTION_LIST_MAX, "all that are given are passed on");
	memcpy(flags->set, invocation->set.items, sizeof(flags->set));
	if (invocation->port == NULL || is_port(invocation->port))
		return 0;
	return error_set(
	    why, -EINVAL, "--port %.64s is not a port: it is a number from 1 to 65535.", invocation->port);
}

int locate(const struct invocation *invocation, struct settings *settings)
{
	struct settings_flags flags;
	struct error why;
	int status = EXIT_USAGE;

	if (command_flags(invocation, &flags, &why) == 0) {
		if (settings_locate(settings, &flags, &why) == 0)
			return 0;
		status = EXIT_CONFIG;
	}
	complain("%s", why.text);
	return status;
}
