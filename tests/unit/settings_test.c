/* What settings mean, and the one sentence for each bad one. */
#include "tests/support/settings_home.h"

/* --- Nothing is set. --- */

TEST("without any setting OpenClaw is found, with every default")
{
	home_make();
	check_loads();

	CHECK(settings.gateway.kind == GATEWAY_OPENCLAW);
	CHECK(settings.gateway.argument_count == 3);
	CHECK_TEXT(text_of(settings.gateway.arguments[0]), with_home("%/bin/openclaw"));
	CHECK_TEXT(text_of(settings.gateway.arguments[1]), "gateway");
	CHECK_TEXT(text_of(settings.gateway.arguments[2]), "run");
	CHECK(settings.gateway.port == 19000 && !settings.gateway.port_is_ours);
	CHECK_TEXT(text_of(settings.gateway.port_origin), "openclaw.json:1:20");
	CHECK_TEXT(text_of(settings.gateway.config_path), with_home("%/.openclaw/openclaw.json"));
	CHECK_TEXT(text_of(settings.gateway.state_directory), with_home("%/.openclaw"));
	CHECK_TEXT(text_of(settings.gateway.working_directory), home);
	CHECK(settings.gateway.watched_count == 1);
	CHECK(settings.gateway.stop_timeout_ms == 330000);
	CHECK(settings.gateway.session_timeout_ms == 120000 && settings.gateway.tool_timeout_ms == 900000);
	CHECK(settings.gateway.auto_restart.on_crash && settings.gateway.auto_restart.on_hang);
	CHECK(settings.gateway.auto_restart.on_stuck_sessions && settings.gateway.auto_restart.on_memory);
	CHECK(settings.gateway.auto_restart.on_dead_channel);
	CHECK(settings.gateway.auto_restart.threshold == 3 && !settings.gateway.config_fallback);
	CHECK(settings.gateway.reap_idle && !settings.gateway.notify_chat);
	CHECK(settings.gateway.session_rule_count == 0);
	CHECK(settings.health.interval_ms == 30000 && settings.health.timeout_ms == 10000 &&
	      settings.health.failures == 3);
	CHECK_TEXT(text_of(settings.health.path), "/healthz");
	CHECK_TEXT(text_of(settings.health.ready_path), "/startupz");
	CHECK(settings.health.startup_timeout_ms == 600000 && settings.health.watchdog_ms == 0);
	CHECK(settings.health.hang_grace_ms == 2000 && settings.health.autopsy);
	CHECK(settings.backoff.initial_ms == 1000 && settings.backoff.factor == 2 &&
	      settings.backoff.jitter == 0.2);
	CHECK(settings.backoff.max_ms == 2400000 && settings.backoff.reset_after_ms == 3600000);
	CHECK(settings.backoff.immediate_first);
	CHECK_TEXT(text_of(settings.api.host), "127.0.0.1");
	CHECK(settings.api.port == 18790 && settings.relay.port == 18791);
	CHECK(settings.relay.first_content_timeout_ms == 60000 &&
	      settings.relay.last_resort_timeout_ms == 300000);
	CHECK(settings.relay.gap_timeout_ms == 120000 && settings.relay.provider_count == 0);
	CHECK(settings.retention.days == 30 && settings.retention.size_bytes == 200000000);
	CHECK_TEXT(text_of(settings.file), "");
	CHECK_TEXT(origin_of("health.interval"), "default");
	CHECK_TEXT(remarks, "");
}

static const char every_key[] =
    "{ // a comment\n"
    "  gateway: { kind: 'openclaw', command: ['openclaw', 'gateway', 'run', '--verbose'], port: "
    "0x4a38,\n"
    "    env: { A: '1', B: 'two=2', A: '3' }, workingDirectory: '~/bin', stopTimeout: '5m', "
    "sessionTimeout: 90000,\n"
    "    toolTimeout: '1.5h', notifyChat: true, sessions: [ { key: 'agent:*:cron:*', sessionTimeout: '10m' } "
    "],\n"
    "    autoRestart: { onCrash: false, onHang: false, onStuckSessions: false, "
    "threshold: 5,\n"
    "    onMemory: false, onDeadChannel: false }, configFallback: true, reapIdle: false },\n"
    "  health: { interval: '1s', timeout: '250ms', failures: 2, path: '/live?x=1', readyPath: '', "
    "startupTimeout: '1d',\n"
    "    watchdog: '10s', hangGrace: 0, autopsy: false },\n"
    "  backoff: { initial: 0, factor: 1.5, max: '2h', jitter: 0, resetAfter: '10m', immediateFirst: "
    "false },\n"
    "  api: { host: '::1', port: 0 },\n"
    "  relay: { port: 20001, firstContentTimeout: '2s', lastResortTimeout: '3s', gapTimeout: '4s', "
    "providers: {\n"
    "    anthropic: { api: 'anthropic-messages', baseUrl: 'https://api.example.com', profiles: [\n"
    "      { id: 'work', key: 'env:KEY_WORK' }, { id: 'home', key: 'file:~/key' } ] } } },\n"
    "  alerts: [ { url: 'https://hooks.example.com/T0/secret', format: 'slack', kinds: ['gateway.*', "
    "'session.stuck'],\n"
    "    minSeverity: 'error', secret: 'env:HOOK' }, { url: 'http://127.0.0.1:1/' } ],\n"
    "  retention: { days: 7, size: '1.5GB' },\n"
    "}\n";

TEST("every key of the design can be set in holdfast.json")
{
	home_make();
	put("key", "secret");
	put(".openclaw/holdfast.json", every_key);
	set("KEY_WORK=%s", "a");
	set("HOOK=%s", "b");
	check_loads();

	CHECK(settings.gateway.argument_count == 4 && settings.gateway.port == 19000 &&
	      settings.gateway.port_is_ours);
	CHECK_TEXT(text_of(settings.gateway.port_origin), "holdfast.json:2:92");
	CHECK(settings.gateway.variable_count == 2);
	CHECK_TEXT(text_of(settings.gateway.variables[0]), "B=two=2");
	CHECK_TEXT(text_of(settings.gateway.variables[1]), "A=3");
	CHECK_TEXT(text_of(settings.gateway.working_directory), with_home("%/bin"));
	CHECK(settings.gateway.stop_timeout_ms == 300000 && settings.gateway.session_timeout_ms == 90000);
	CHECK(settings.gateway.tool_timeout_ms == 5400000 && settings.gateway.notify_chat);
	CHECK(settings.gateway.session_rule_count == 1);
	CHECK(!settings.gateway.auto_restart.on_crash && !settings.gateway.auto_restart.on_hang);
	CHECK(!settings.gateway.auto_restart.on_stuck_sessions && !settings.gateway.auto_restart.on_memory);
	CHECK(!settings.gateway.auto_restart.on_dead_channel);
	CHECK(settings.gateway.auto_restart.threshold == 5 && settings.gateway.config_fallback);
	CHECK(!settings.gateway.reap_idle);
	CHECK(settings.health.interval_ms == 1000 && settings.health.timeout_ms == 250 &&
	      settings.health.failures == 2);
	CHECK_TEXT(text_of(settings.health.path), "/live?x=1");
	CHECK_TEXT(text_of(settings.health.ready_path), "");
	CHECK(settings.health.startup_timeout_ms == 86400000 && settings.health.watchdog_ms == 10000);
	CHECK(settings.health.hang_grace_ms == 0 && !settings.health.autopsy);
	CHECK(settings.backoff.initial_ms == 0 && settings.backoff.factor == 1.5 &&
	      settings.backoff.jitter == 0);
	CHECK(settings.backoff.max_ms == 7200000 && settings.backoff.reset_after_ms == 600000);
	CHECK(!settings.backoff.immediate_first);
	CHECK_TEXT(remarks, "");
}

TEST("every key of the other sections can be set too")
{
	home_make();
	put("key", "secret");
	put(".openclaw/holdfast.json", every_key);
	check_loads();

	CHECK_TEXT(text_of(settings.api.host), "::1");
	CHECK(settings.api.port == 0 && settings.relay.port == 20001);
	CHECK(settings.relay.provider_count == 1 && settings.relay.providers[0].profile_count == 2);
	CHECK_TEXT(text_of(settings.relay.providers[0].name), "anthropic");
	CHECK_TEXT(text_of(settings.relay.providers[0].profiles[0].key), "env:KEY_WORK");
	CHECK_TEXT(text_of(settings.relay.providers[0].profiles[1].key), with_home("file:%/key"));
	CHECK(settings.alert_count == 2);
	CHECK_TEXT(text_of(settings.alerts[0].kinds), "gateway.*,session.stuck");
	CHECK_TEXT(text_of(settings.alerts[0].min_severity), "error");
	CHECK_TEXT(text_of(settings.alerts[1].format), "json");
	CHECK_TEXT(text_of(settings.alerts[1].min_severity), "warning");
	CHECK(settings.secret_count == 2);
	CHECK_TEXT(text_of(settings.secrets[0]), "HOOK");
	CHECK_TEXT(text_of(settings.secrets[1]), "KEY_WORK");
	CHECK(settings.retention.days == 7 && settings.retention.size_bytes == 1500000000);
	CHECK_TEXT(text_of(settings.file), with_home("%/.openclaw/holdfast.json"));
	CHECK_TEXT(remarks, "The variable HOOK, which is to hold a secret, is not set.\n"
	                    "The variable KEY_WORK, which is to hold a secret, is not set.\n");
}

/* --- Bad values. --- */

/* Each bad value, and what is said after the file's name. */
static const struct {
	const char *text, *sentence;
} bad_values[] = {
    {"{ gateway: { port: '18789' } }",
        "1:20: gateway.port is \"18789\", but must be a port number from 1 to 65535."},
    {"{\n  gateway: {\n    port: 0 } }",
        "3:11: gateway.port is 0, but must be a port number from 1 to 65535."},
    {"{ gateway: { port: 65536 } }",
        "1:20: gateway.port is 65536, but must be a port number from 1 to 65535."},
    {"{ gateway: { port: -1 } }", "1:20: gateway.port is -1, but must be a port number from 1 to 65535."},
    {"{ gateway: { port: +1.5 } }", "1:20: gateway.port is +1.5, but must be a port number from 1 to 65535."},
    {"{ gateway: { port: NaN } }", "1:20: gateway.port is NaN, but must be a port number from 1 to 65535."},
    {"{ gateway: { port: 1e99 } }", "1:20: gateway.port is 1e99, but must be a port number from 1 to 65535."},
    {"{ gateway: { port: null } }", "1:20: gateway.port is null, but must be a port number from 1 to 65535."},
    {"{ api: { port: true } }",
        "1:16: api.port is true, but must be a port number from 1 to 65535, or 0 for none."},
    {"{ gateway: { prot: 1 } }",
        "1:14: There is no setting \"prot\" in gateway; did you mean \"gateway.port\"?"},
    {"{ gatway: {} }", "1:3: There is no setting \"gatway\"; did you mean \"gateway\"?"},
    {"{ sessionTimeout: 1 }",
        "1:3: There is no setting \"sessionTimeout\"; did you mean \"gateway.sessionTimeout\"?"},
    {"{ health: { sessiontimeout: 1 } }", "1:13: There is no setting \"sessiontimeout\" in health; "
                                          "did you mean \"gateway.sessionTimeout\"?"},
    {"{ retention: { colour: 1 } }",
        "1:16: There is no setting \"colour\" in retention; there are days, size."},
    {"{ zebra: 1 }", "1:3: There is no setting \"zebra\"; there are gateway, health, backoff, api, "
                     "relay, alerts, retention."},
    {"{ gateway: 5 }", "1:12: gateway is 5, but must be an object with settings."},
    {"[]", "1:1: This is a list, but must be an object with settings: { ... }."},
    {"{ gateway: { stopTimeout: '30 s' } }",
        "1:27: gateway.stopTimeout is \"30 s\", but must be a duration from 0 to 1d, in milliseconds "
        "or like \"30s\", "
        "\"5m\", \"2h\"."},
    {"{ gateway: { sessionTimeout: 10 } }",
        "1:30: gateway.sessionTimeout is 10, but must be a duration from 1s to 1d, in milliseconds "
        "or like \"30s\", "
        "\"5m\", \"2h\"."},
    {"{ gateway: { sessionTimeout: '-5s' } }", "1:30: gateway.sessionTimeout is \"-5s\", but must be "
                                               "a duration from 1s to 1d, in milliseconds or like "
                                               "\"30s\", \"5m\", \"2h\"."},
    {"{ gateway: { autoRestart: { onCrash: 'yes' } } }",
        "1:38: gateway.autoRestart.onCrash is \"yes\", but must be true or false."},
    {"{ gateway: { autoRestart: { threshold: 0 } } }",
        "1:40: gateway.autoRestart.threshold is 0, but must be a whole number from 1 to 1000."},
    {"{ gateway: { kind: 'openklaw' } }",
        "1:20: gateway.kind is \"openklaw\", but must be \"openclaw\" or \"generic\"."},
    {"{ gateway: { command: 'openclaw' } }", "1:23: gateway.command is \"openclaw\", but must be a "
                                             "list of 1 to 64 texts, such as [\"openclaw\", "
                                             "\"gateway\", \"run\"]."},
    {"{ gateway: { command: [] } }", "1:23: gateway.command is an empty list, but must be a list of "
                                     "1 to 64 texts, such as [\"openclaw\", "
                                     "\"gateway\", \"run\"]."},
    {"{ gateway: { command: ['a', 5] } }",
        "1:29: gateway.command[1] is 5, but must be text without a NUL in it."},
    {"{ gateway: { command: ['a\\0b'] } }",
        "1:24: gateway.command[0] is \"a?b\", but must be text that names a program."},
    {"{ gateway: { env: { 'A B': 'x' } } }", "1:21: A name in gateway.env is \"A B\", but must be "
                                             "letters, digits and \"_\", as variables have."},
    {"{ gateway: { env: { TOKEN: 12345 } } }", "1:28: The value of gateway.env.TOKEN must be text."},
    {"{ gateway: { workingDirectory: 'here' } }",
        "1:32: gateway.workingDirectory is \"here\", but must be a directory that begins with \"/\" "
        "or \"~\"."},
    {"{ health: { path: 'healthz' } }",
        "1:19: health.path is \"healthz\", but must be a path such as \"/healthz\", or \"\" for none."},
    {"{ health: { path: 'notify' } }",
        "1:19: health.path is \"notify\", but must be a path such as \"/healthz\", or \"\" for none."},
    {"{ health: { readyPath: '/a b' } }", "1:24: health.readyPath is \"/a b\", but must be a path "
                                          "such as \"/healthz\", \"notify\", or \"\" for none."},
    {"{ health: { command: 'true' } }", "1:22: health.command is \"true\", but must be a list of at most 64 "
                                        "texts, such as [\"curl\", \"-f\", "
                                        "\"http://127.0.0.1:8080/\"]."},
    {"{ backoff: { jitter: 1.5 } }", "1:22: backoff.jitter is 1.5, but must be a number from 0 to 1."},
    {"{ backoff: { factor: Infinity } }",
        "1:22: backoff.factor is Infinity, but must be a number from 1 to 100."},
    {"{ api: { host: 'example.com' } }", "1:16: api.host is \"example.com\", but must be an IP "
                                         "address, such as \"127.0.0.1\" or \"::1\"."},
    {"{ retention: { size: '5PB' } }", "1:22: retention.size is \"5PB\", but must be a size from 1MB "
                                       "to 1000GB, in bytes or like \"200MB\"."},
    {"{ relay: { providers: { a: { api: 'x', baseUrl: 'https://h', profiles: [ { id: 'w', key: "
     "'sk-secret' } ] } } } }",
        "1:90: The value of relay.providers.a.profiles[0].key must be a reference and not the key itself: "
        "\"env:NAME\", \"file:/PATH\" or \"exec:/PROGRAM ARGUMENTS\"; or \"gateway\", to leave the one that "
        "the "
        "gateway sends."},
    {"{ relay: { providers: { a: { api: 'x', baseUrl: 'ftp://h', profiles: [] } } } }",
        "1:49: relay.providers.a.baseUrl is \"ftp://h\", but must be an address that begins with "
        "\"https://\" or "
        "\"http://\" and names no user."},
    {"{ relay: { providers: { a: { api: 'x', baseUrl: 'https://h', profiles: [] } } } }",
        "1:72: relay.providers.a.profiles is an empty list, but must be a list of 1 to 16 objects, "
        "such as [{ id: "
        "\"work\", key: \"env:ANTHROPIC_KEY_WORK\" }]."},
    {"{ relay: { providers: { a: { baseUrl: 'https://h' } } } }",
        "1:28: relay.providers.a has no \"api\": it must be the name of its interface, such as "
        "\"anthropic-messages\" or \"openai-completions\"."},
    {"{ relay: { providers: { a: { api: 'x', baseUrl: 'https://h', profiles: [ { id: 'w', key: "
     "'env:A' }, { id: "
     "'w', key: 'env:B' } ] } } } }",
        "1:101: relay.providers.a.profiles[1] has the id \"w\", which another profile has already."},
    {"{ alerts: {} }", "1:11: alerts is an object, but must be a list of at most 16 objects, such as "
                       "[{ url: \"https://...\", "
                       "format: \"slack\" }]."},
    {"{ alerts: [ { url: 'https://h', format: 'pager' } ] }",
        "1:41: alerts[0].format is \"pager\", but must be \"json\", \"slack\" or \"discord\"."},
    {"{ alerts: [ { url: 'https://h' }, { format: 'slack' } ] }",
        "1:35: alerts[1] has no \"url\": it must be an address that begins with \"https://\" or "
        "\"http://\" and names "
        "no user."},
    {"{ alerts: [ { url: 'hooks/T0/secret' } ] }",
        "1:20: The value of alerts[0].url must be an address that begins with \"https://\" or "
        "\"http://\" and names no "
        "user."},
    {"{ alerts: [ { url: 'https://h', minSeverty: 'error' } ] }",
        "1:33: There is no setting \"minSeverty\" in alerts[0]; did you mean \"minSeverity\"?"},
    {"{ alerts: [ { url: 'https://h', secret: 'hunter2' } ] }",
        "1:41: The value of alerts[0].secret must be a reference to a secret and not the secret "
        "itself: "
        "\"env:NAME\" or \"file:/PATH\"."},
    {"{ alerts: [ { url: 'https://h', kinds: 'gateway.*' } ] }",
        "1:40: alerts[0].kinds is \"gateway.*\", but must be a list of at most 16 kinds of events, "
        "such as "
        "[\"gateway.*\"]."},
    {"{ gateway: { sesions: [] } }",
        "1:14: There is no setting \"sesions\" in gateway; did you mean \"gateway.sessions\"?"},
    {"{ gateway: { notifyChat: 'yes' } }", "1:26: gateway.notifyChat is \"yes\", but must be true or false."},
    {"{ health: { interval: 30s } }", "1:25: expected \",\" or \"}\", but found \"s\"."},
    {"{ health: { interval: '30s' }", "1:30: expected \",\" or \"}\", but found the end of the file."},
    {"{ health: { path: '/\xff' } }", "1:21: the byte 0xFF is not valid UTF-8."},
    {"", "1:1: expected a value, but found the end of the file."},
};

TEST("each bad value in holdfast.json is refused with its place, what it is and what is allowed")
{
	char sentence[ERROR_TEXT_MAX];

	home_make();
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
		put(".openclaw/holdfast.json", bad_values[i].text);
		snprintf(sentence, sizeof(sentence), "%%/.openclaw/holdfast.json:%s", bad_values[i].sentence);
		check_refused(sentence);
		CHECK(why.code == -EBADMSG);
		CHECK(strstr(why.text, "sk-secret") == NULL && strstr(why.text, "hunter2") == NULL);
	}
}

TEST("a probe of the user's own is found like the gateway's program, and only a generic gateway speaks "
     "sd_notify")
{
	home_make();
	put(".openclaw/holdfast.json", "{ health: { readyPath: 'notify' } }");
	check_refused(
	    "health.readyPath is \"notify\" (holdfast.json:1:24), but OpenClaw does not speak sd_notify: "
	    "leave it out, or set gateway.kind to \"generic\".");
	put(".openclaw/holdfast.json", "{ health: { command: ['/no/such/probe'] } }");
	check_refused(
	    "There is no program /no/such/probe (holdfast.json:1:22): install it, or name another command.");
	put(".openclaw/holdfast.json",
	    "{ gateway: { kind: 'generic', command: ['/bin/sh'] }, health: { readyPath: 'notify', path: '', "
	    "command: ['/bin/sh', '-c', 'exit 0'] } }");
	check_loads();
	CHECK(settings.health.argument_count == 3);
	CHECK_TEXT(settings_string(&settings, settings.health.arguments[0]), "/bin/sh");
	CHECK_TEXT(settings_string(&settings, settings.health.arguments[2]), "exit 0");
	CHECK_TEXT(settings_string(&settings, settings.health.ready_path), "notify");
	CHECK_TEXT(settings_string(&settings, settings.health.path), "");
}

TEST("of duplicate keys in holdfast.json the last counts, also of whole sections")
{
	home_make();
	put(".openclaw/holdfast.json",
	    "{ api: { port: 'bad', host: '::1' }, health: { failures: 5, failures: 6 }, api: { port: 7 } }");
	check_loads();
	CHECK(settings.api.port == 7 && settings.health.failures == 6);
	CHECK_TEXT(text_of(settings.api.host), "127.0.0.1");
}

TEST("what is no readable file of a sensible size is refused unread")
{
	char big[16];

	home_make();
	flags.config_file = at_home("it");
	check_refused("%/it cannot be read: No such file or directory.");
	CHECK(why.code == -ENOENT);

	CHECK(mkdir(at_home("it"), 0700) == 0);
	check_refused("%/it is a directory, but must be a file with settings.");
	rmdir(at_home("it"));

	CHECK(mkfifo(at_home("it"), 0600) == 0);
	check_refused("%/it is a pipe, but must be a file with settings.");
	unlink(at_home("it"));

	put("it", "{}");
	CHECK(truncate(at_home("it"), 100 * 1000 * 1000) == 0);
	check_refused(
	    "%/it is 100000000 bytes long, but a file with settings is at most 1048576: it was not read.");

	memset(big, ' ', sizeof(big));
	put_bytes("it", big, sizeof(big), 0);
	if (geteuid() != 0)
		check_refused("%/it cannot be read: Permission denied.");

	flags.config_file = "/dev/zero";
	check_refused("/dev/zero is a device, but must be a file with settings.");
	flags.config_file = "";
	check_refused("--config is empty, but must name a file with settings.");
	flags.config_file = at_home("bin/openclaw/below");
	check_refused("%/bin/openclaw/below cannot be read: Not a directory.");
}

/* --- What must fit together. --- */

TEST("two ports cannot be the same, and a port is named once")
{
	home_make();
	put(".openclaw/holdfast.json", "{ api: { port: 19000 } }");
	check_refused("gateway.port (openclaw.json:1:20) and api.port (holdfast.json:1:16) are both 19000, "
	              "but each needs a port "
	              "of its own.");
	put(".openclaw/holdfast.json", "{ api: { port: 0 }, relay: { port: 0 } }");
	check_loads();
	set("%s", "HOLDFAST_COMMAND=['openclaw', 'gateway', 'run', '--port', '2003']");
	set("%s", "HOLDFAST_PORT=2004");
	check_refused(
	    "gateway.port is 2004 (HOLDFAST_PORT), but the command says --port 2003: name it once.");
}

TEST("a shortest wait above the longest is refused")
{
	home_make();
	set("%s", "HOLDFAST_BACKOFF_MAX=100");
	check_refused("backoff.max (HOLDFAST_BACKOFF_MAX) is shorter than backoff.initial (default).");
}

TEST("more text than there is room for is said")
{
	static char text[80 * 1024];
	size_t length = (size_t)snprintf(text, sizeof(text), "{ gateway: { env: { A: '");

	home_make();
	memset(text + length, 'x', 31 * 1024);
	length += 31 * 1024;
	length += (size_t)snprintf(text + length, sizeof(text) - length, "', B: '");
	memset(text + length, 'x', 31 * 1024);
	length += 31 * 1024;
	snprintf(
	    text + length, sizeof(text) - length, "', C: 'more than 64 KiB with the %s' } } }", "defaults");
	put(".openclaw/holdfast.json", text);
	set("HOLDFAST_COMMAND=['openclaw', '%0.4000s']", text + 1024);
	check_refused("The settings hold more than 64 KiB of text: shorten commands, variables and alerts.");
}

/* --- Telling. --- */

TEST("the settings in force are told with their origins, and without secrets")
{
	static char data[64 * 1024];
	struct text text;

	home_make();
	put(".openclaw/holdfast.json",
	    "{ gateway: { env: { TOKEN: 'hush' }, stopTimeout: 90000,\n"
	    "  sessions: [ { key: 'a:*', sessionTimeout: 600000 }, { key: '*', toolTimeout: '1h' } ] },\n"
	    "  alerts: [ { url: 'https://hooks.example.com/T0/hush', kinds: ['gateway.*'] } ] }");
	check_loads();
	text_init(&text, data, sizeof(data));
	settings_describe(&settings, &text);
	CHECK(strstr(data, "gateway.port = 19000  (openclaw.json:1:20)\n") != NULL);
	CHECK(strstr(data, "gateway.stopTimeout = \"90s\"  (holdfast.json:1:51)\n") != NULL);
	CHECK(strstr(data, "gateway.env = [\"TOKEN\"]  (holdfast.json:1:19)\n") != NULL);
	CHECK(strstr(data, "gateway.sessions = [{\"key\":\"a:*\",\"sessionTimeout\":\"10m\"},"
	                   "{\"key\":\"*\",\"toolTimeout\":\"1h\"}]  (holdfast.json:2:13)\n") != NULL);
	CHECK(strstr(data, "gateway.notifyChat = false  (default)\n") != NULL);
	CHECK(strstr(data, "\"url\":\"https://hooks.example.com\"") != NULL);
	CHECK(strstr(data, "retention.size = \"200MB\"  (default)\n") != NULL);
	CHECK(strstr(data, "hush") == NULL);

	text_init(&text, data, sizeof(data));
	settings_describe_json(&settings, &text);
	CHECK(strstr(data, "\"gateway.stopTimeout\":{\"value\":\"90s\",\"origin\":\"holdfast.json:1:51\"}") !=
	      NULL);
	CHECK(strstr(data, "hush") == NULL && !text.truncated);

	text_init(&text, data, sizeof(data));
	schema_explain(&text);
	CHECK(strstr(data, "Default: 40m. Variable: HOLDFAST_BACKOFF_MAX.") != NULL && !text.truncated);
}

TEST("a map of sealed settings is what was loaded")
{
	home_make();
	check_loads();
	int fd = settings_seal(&settings, &why);
	const struct settings *mapped = settings_map(fd, &why);

	CHECK(mapped != NULL && mapped->instance == settings.instance &&
	      memcmp(mapped->pool, settings.pool, sizeof(settings.pool)) == 0);
	close(fd);
	CHECK(settings_map(STDERR_FILENO, &why) == NULL);
}
