/* OpenClaw, as its versions 2026.2.1 and 2026.9.6 were seen to behave. */
#include <stddef.h>

#include "gateway/gateway.h"

/* With all three, 2026.9.6 restarts in process (same pid) and leaves services alone; 2026.2.1 needs the last
 * one to stay a single process with an honest exit status. */
static const char *const variables[] = {
    "OPENCLAW_SUPERVISOR_MODE=external",
    "OPENCLAW_SERVICE_REPAIR_POLICY=external",
    "OPENCLAW_NO_RESPAWN=1",
    NULL,
};

/* Only what is said on the way out. 2026.9.6 warns of a pending migration and of a refused reload while it
 * serves, and puts advice for several causes into one line: the telling words come first in this table. */
static const struct gateway_phrase phrases[] = {
    /* 2026.9.6, exit 78, state directory in use; the same line goes on to speak of a migration */
    {"Gateway failed to start:", "another OpenClaw process owns gateway-lifecycle", WORDS_CONTENTION},
    /* 2026.9.6, another state directory's gateway or any other program on the port: exit 1; 2026.2.1: exit 1
     */
    {"Gateway failed to start:", "is already listening on", WORDS_CONTENTION},
    {"Gateway failed to start:", "EADDRINUSE", WORDS_CONTENTION},
    /* 2026.2.1, state directory in use: exit 1; 2026.9.6 has the words for its older lock */
    {"Gateway failed to start:", "gateway already running", WORDS_CONTENTION},
    /* 2026.9.6, auth-profiles.json left by an older version: exit 1 */
    {"Gateway failed to start:", "requires legacy credential migration", WORDS_MIGRATION_REQUIRED},
    /* 2026.9.6, read in its code: "OpenClaw state database schema migration required (...)" */
    {"Gateway failed to start:", "migration required", WORDS_MIGRATION_REQUIRED},
    {"Gateway failed to start:", "gateway.maintenance_required", WORDS_MIGRATION_REQUIRED},
    /* 2026.9.6: a bad key, a bad type, a missing include: exit 78 */
    {"Gateway failed to start:", "Invalid config at", WORDS_CONFIG_INVALID},
    /* both: gateway.mode missing; 2026.9.6 says the same of broken JSON5 */
    {"Gateway start blocked:", NULL, WORDS_CONFIG_INVALID},
    {"Missing config. Run", NULL, WORDS_CONFIG_INVALID},
    /* both, read in their code */
    {"Gateway auth is set to", "configured.", WORDS_CONFIG_INVALID},
    {"Refusing to bind gateway to", NULL, WORDS_CONFIG_INVALID},
    /* 2026.2.1: a bad key, broken JSON5, a missing include; a bad type may show the second only */
    {"Config invalid", NULL, WORDS_CONFIG_INVALID},
    {"Invalid config at", NULL, WORDS_CONFIG_INVALID},
    /* both (V8) */
    {"FATAL ERROR:", "JavaScript heap out of memory", WORDS_OUT_OF_MEMORY},
    {NULL, NULL, WORDS_NONE},
};

/* 2026.9.6 says the first at the beginning of every stop and restart, the second when runs are active. */
static const struct gateway_drain drains[] = {
    {"shutdown budget at shutdown:", "drain="},
    {"draining active work before", "with timeout "},
    {"draining active work before", "without a timeout"},
    {NULL, NULL},
};

static const struct gateway_sign signs[] = {
    /* both: "Slow listener detected: DiscordMessageListener took 45.2 seconds for event MESSAGE_CREATE" */
    {"Slow listener detected", "gateway.slow_listener", "A listener of the gateway took long", true},
    /* 2026.9.6, read in its code */
    {"liveness warning:", "gateway.event_loop_delayed", "The gateway found its own event loop late", false},
    {NULL, NULL, NULL, false},
};

/* 2026.9.6: children of the gateway with sessions of their own */
static const char *const helpers[] = {"/process/spawn-broker/", ".worker.js", NULL};

const struct gateway_facts gateway_openclaw = {
    .name = "openclaw",
    .variables = variables,
    .phrases = phrases,
    .config_exit_code = 78,
    .boot_limit = 3,
    /* 2026.9.6 counts boots that began in the last 300 s, by the wall clock, to the millisecond. */
    .boot_window_ms = 301000,
    .startup_path = "/startupz",
    .startup_status = "started",
    .ready_path = "/readyz", /* 2026.9.6; 2026.2.1 answers with a page */
    .signs = signs,
    .listening_phrase = "listening on ws://",              /* 2026.2.1 */
    .stuck_phrase = "session: sessionId=",                 /* both: stuck, stalled or long-running */
    .channels_off_phrase = "restart-loop breaker tripped", /* 2026.9.6 */
    .drains = drains,
    .opens_inspector = true,
    .command_name =
        "openclaw", /* the title is "openclaw-SUBCOMMAND", the script openclaw.mjs or a link to it */
    .helpers = helpers,
    .migration_command = "openclaw doctor --fix",
};
