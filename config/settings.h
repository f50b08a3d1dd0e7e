/* Holdfast's settings as one flat value without pointers.
 *
 * `holdfast run` reads every source once, and hands the result to the supervisor and its workers in a sealed
 * memory file: the programs that keep the gateway alive never parse text. Strings are offsets into `pool`;
 * offset 0 is the empty string. All durations are milliseconds. */
#ifndef HOLDFAST_CONFIG_SETTINGS_H
#define HOLDFAST_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define SETTINGS_MAGIC         0x484f4c44u
#define SETTINGS_VERSION       4u
#define SETTINGS_ARGUMENTS_MAX 64
#define SETTINGS_VARIABLES_MAX 64
#define SETTINGS_SECRETS_MAX   64
#define SETTINGS_PROVIDERS_MAX 8
#define SETTINGS_PROFILES_MAX  16
#define SETTINGS_ALERTS_MAX    16
#define SETTINGS_RULES_MAX     16
#define SETTINGS_PATTERN_BYTES 63 /* of a session rule's key */
#define SETTINGS_WATCHED_MAX   32
#define SETTINGS_KEYS_MAX      64
#define SETTINGS_POOL_BYTES    (64 * 1024)
#define SETTINGS_READY_NOTIFY  "notify"

enum gateway_kind { GATEWAY_OPENCLAW, GATEWAY_GENERIC };

/* Where a value came from, for messages: `origin` is "holdfast.json:3:12", "HOLDFAST_PORT", "--port",
 * "openclaw.json:4:9" or "default". */
typedef uint32_t settings_text; /* offset into pool */

struct settings_profile {
	settings_text id;
	/* A reference: "env:NAME", "file:PATH" or "exec:/PROGRAM ARGUMENTS"; or "gateway": the credential
	 * that the gateway sends stays. */
	settings_text key;
	settings_text base_url; /* "": the provider's */
	settings_text rotate;   /* of "gateway": how a limit is told to it; "": "auto" */
};

struct settings_provider {
	settings_text name;
	settings_text api; /* "anthropic-messages", "openai-completions", or another, passed through */
	settings_text base_url;
	uint32_t gateway_logins; /* auth profiles that openclaw.json lists for a provider of this name */
	uint32_t profile_count;
	struct settings_profile profiles[SETTINGS_PROFILES_MAX];
};

struct settings_alert {
	settings_text url, format, min_severity, secret;
	settings_text kinds; /* comma-separated patterns, "" for all */
};

/* Timeouts of the sessions whose key fits a pattern. */
struct settings_session_rule {
	settings_text key;                           /* "*" stands for any text */
	int64_t session_timeout_ms, tool_timeout_ms; /* 0: not given, that of the gateway counts */
};

struct settings {
	uint32_t magic, version, size;

	struct {
		enum gateway_kind kind;
		uint32_t argument_count;
		settings_text arguments[SETTINGS_ARGUMENTS_MAX]; /* argv; [0] is an absolute path */
		uint32_t port;                                   /* 0: none known (generic) */
		settings_text port_origin;
		bool port_is_ours; /* set by Holdfast's own settings, so the gateway must be told */
		uint32_t variable_count;
		settings_text
		    variables[SETTINGS_VARIABLES_MAX]; /* "NAME=value", added to the child's environment */
		settings_text working_directory;       /* absolute, or "" to stay */
		settings_text config_path;             /* the gateway's own configuration file, "" if none */
		settings_text state_directory;         /* the gateway's own, "" if none */
		uint32_t watched_count;
		settings_text watched[SETTINGS_WATCHED_MAX]; /* config_path and the files it includes */
		int64_t stop_timeout_ms;
		int64_t session_timeout_ms, tool_timeout_ms;
		uint32_t session_rule_count;
		struct settings_session_rule
		    session_rules[SETTINGS_RULES_MAX]; /* the first that fits counts */
		bool notify_chat; /* the chat is told when its run was aborted, where the gateway can */
		struct {
			bool on_crash, on_hang, on_stuck_sessions, on_memory, on_dead_channel;
			uint32_t threshold;
		} auto_restart;
		bool config_fallback;
		bool needs_token; /* nobody configured one for its WebSocket: Holdfast gives it one */
		bool reap_idle; /* its own commands that outlived their caller and do nothing are asked to end
		                 */
	} gateway;

	struct {
		int64_t interval_ms, timeout_ms, startup_timeout_ms, watchdog_ms, hang_grace_ms;
		uint32_t failures;
		bool autopsy;
		settings_text path; /* "": a connection is all that is tried */
		/* "": ready as soon as it runs; SETTINGS_READY_NOTIFY: when it says READY=1 (sd_notify) */
		settings_text ready_path;
		uint32_t argument_count; /* of a command that probes instead; 0: none */
		settings_text arguments[SETTINGS_ARGUMENTS_MAX]; /* argv; [0] is an absolute path */
	} health;

	struct {
		int64_t initial_ms, max_ms, reset_after_ms;
		double factor, jitter;
		bool immediate_first;
	} backoff;

	struct {
		settings_text host;
		uint32_t port;
		settings_text port_origin;
	} api;

	struct {
		uint32_t port;
		settings_text port_origin;
		int64_t first_content_timeout_ms, last_resort_timeout_ms, gap_timeout_ms;
		uint32_t provider_count;
		struct settings_provider providers[SETTINGS_PROVIDERS_MAX];
	} relay;

	uint32_t alert_count;
	struct settings_alert alerts[SETTINGS_ALERTS_MAX];

	struct {
		uint32_t days;
		int64_t size_bytes;
	} retention;

	/* Environment variables that hold one of our secrets ("env:NAME" above): kept from the gateway. */
	uint32_t secret_count;
	settings_text secrets[SETTINGS_SECRETS_MAX];

	settings_text state_dir;   /* absolute; holds the ownership lock, events.db and console logs */
	settings_text runtime_dir; /* absolute; holds the record, the control socket and the console FIFO */
	settings_text file;        /* the holdfast.json that was read, "" if none */
	uint64_t instance;         /* hash of state_dir: names this instance's processes and cgroup */

	/* Where each value came from, by its place in the schema (config/schema.h). */
	settings_text origins[SETTINGS_KEYS_MAX];

	uint32_t pool_used;
	char pool[SETTINGS_POOL_BYTES];
};

static inline const char *settings_string(const struct settings *settings, settings_text offset)
{
	return settings->pool + offset;
}

/* Puts the settings into a sealed memory file. Returns its descriptor (close-on-exec) or a negative errno. */
int settings_seal(const struct settings *settings, struct error *why);

/* Maps what settings_seal made, checks magic, version, size and seals. NULL with *why on failure.
 * Never unmapped: it lives as long as the program. */
const struct settings *settings_map(int fd, struct error *why);

#endif
