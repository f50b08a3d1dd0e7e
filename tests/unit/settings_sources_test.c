/* Where settings come from: variables, flags, openclaw.json; what is run and where things lie. */
#include "tests/support/settings_home.h"

/* --- Variables and flags. --- */

TEST("each key has its variable, by one rule")
{
	char variable[SETTING_VARIABLE_MAX];

	CHECK_TEXT(setting_variable(schema_find("gateway.port"), variable), "HOLDFAST_PORT");
	CHECK_TEXT(
	    setting_variable(schema_find("gateway.sessionTimeout"), variable), "HOLDFAST_SESSION_TIMEOUT");
	CHECK_TEXT(setting_variable(schema_find("gateway.autoRestart.onCrash"), variable),
	    "HOLDFAST_AUTO_RESTART_ON_CRASH");
	CHECK_TEXT(setting_variable(schema_find("backoff.initial"), variable), "HOLDFAST_BACKOFF_INITIAL");
	CHECK_TEXT(setting_variable(schema_find("api.port"), variable), "HOLDFAST_API_PORT");
	CHECK_TEXT(setting_variable(schema_find("alerts"), variable), "HOLDFAST_ALERTS");
	for (size_t i = 0; i < schema_count; i++)
		CHECK(schema_find_variable(setting_variable(&schema[i], variable)) == &schema[i]);
}

TEST("each bad variable or flag is refused by its name")
{
	static const struct {
		const char *variable, *sentence;
	} cases[] = {
	    {"HOLDFAST_PORT=http", "HOLDFAST_PORT is \"http\", but must be a port number from 1 to 65535."},
	    {"HOLDFAST_PORT=+80", "HOLDFAST_PORT is \"+80\", but must be a port number from 1 to 65535."},
	    {"HOLDFAST_PORT=99999999999999999999",
	        "HOLDFAST_PORT is \"99999999999999999999\", but must be a port number from 1 to 65535."},
	    {"HOLDFAST_PROT=80", "There is no variable HOLDFAST_PROT; did you mean HOLDFAST_PORT?"},
	    {"HOLDFAST_SESSION_TIMEOUTS=80",
	        "There is no variable HOLDFAST_SESSION_TIMEOUTS; did you mean HOLDFAST_SESSION_TIMEOUT?"},
	    {"HOLDFAST_STATEDIR=/x",
	        "There is no variable HOLDFAST_STATEDIR; did you mean HOLDFAST_STATE_DIR?"},
	    {"HOLDFAST_QQQQQQ=1",
	        "There is no variable HOLDFAST_QQQQQQ: unset it; holdfast.json(5) lists those there are."},
	    {"HOLDFAST_BACKOFF_JITTER=1.2.3",
	        "HOLDFAST_BACKOFF_JITTER is \"1.2.3\", but must be a number from 0 to 1."},
	    {"HOLDFAST_BACKOFF_JITTER=nan",
	        "HOLDFAST_BACKOFF_JITTER is \"nan\", but must be a number from 0 to 1."},
	    {"HOLDFAST_HEALTH_AUTOPSY=TRUE",
	        "HOLDFAST_HEALTH_AUTOPSY is \"TRUE\", but must be true or false."},
	    {"HOLDFAST_STOP_TIMEOUT=5x", "HOLDFAST_STOP_TIMEOUT is \"5x\", but must be a duration from 0 to "
	                                 "1d, in milliseconds or like \"30s\", "
	                                 "\"5m\", \"2h\"."},
	    {"HOLDFAST_COMMAND=sleep 5",
	        "HOLDFAST_COMMAND is not valid JSON5 (line 1, column 1): expected a value, but found \"s\"."},
	    {"HOLDFAST_COMMAND=5", "HOLDFAST_COMMAND: gateway.command is 5, but must be a list of 1 to 64 "
	                           "texts, such as [\"openclaw\", \"gateway\", \"run\"]."},
	    {"HOLDFAST_ALERTS=[{url:'https://h',format:'x'}]",
	        "HOLDFAST_ALERTS: alerts[0].format is \"x\", but must be \"json\", \"slack\" or "
	        "\"discord\"."},
	    {"HOLDFAST_SESSIONS=[{key:'a',toolTimeout:1}]",
	        "HOLDFAST_SESSIONS: gateway.sessions[0].toolTimeout is 1, but must be a duration from 1s to "
	        "7d, in "
	        "milliseconds or like \"30s\", \"5m\", \"2h\"."},
	    {"HOLDFAST_CONFIG=/nowhere/h.json", "/nowhere/h.json cannot be read: No such file or directory."},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		home_make();
		set("%s", cases[i].variable);
		check_refused(cases[i].sentence);
	}
	home_make();
	flags.port = "abc";
	check_refused("--port is \"abc\", but must be a port number from 1 to 65535.");
	CHECK(why.code == -EINVAL);
}

TEST("the marker of a gateway's tree and empty variables are ignored")
{
	home_make();
	set("HOLDFAST_GENERATION=%s", "17");
	set("HOLDFAST_PORT=%s", "");
	check_loads();
	CHECK(settings.gateway.port == 19000);
}

TEST("flags win over the environment, over openclaw.json, over holdfast.json, over defaults")
{
	home_make();
	put(".openclaw/holdfast.json",
	    "{ gateway: { sessionTimeout: 11000, port: 1111 }, health: { failures: 11 } }");
	check_loads();
	CHECK(settings.gateway.session_timeout_ms == 11000 && settings.gateway.port == 1111);
	CHECK_TEXT(origin_of("health.failures"), "holdfast.json:1:71");

	put(".openclaw/openclaw.json",
	    "{ gateway: { sessionTimeout: 12000, autoRestart: { threshold: 12 } } }");
	check_loads();
	CHECK(settings.gateway.session_timeout_ms == 12000 && settings.gateway.auto_restart.threshold == 12);
	CHECK_TEXT(origin_of("gateway.sessionTimeout"), "openclaw.json:1:30");

	put(".openclaw/openclaw.json",
	    "{ gateway: { sessionTimeout: 12000 }, env: { vars: { HOLDFAST_SESSION_TIMEOUT: '14000', "
	    "HOLDFAST_PORT: 1414 } },\n"
	    "  plugins: { entries: { holdfast: { config: { gateway: { sessionTimeout: '13s', port: 1313 },\n"
	    "  health: { failures: 13 } } } } } }");
	check_loads();
	CHECK(settings.gateway.session_timeout_ms == 14000 && settings.gateway.port == 1414 &&
	      settings.health.failures == 13);
	CHECK_TEXT(origin_of("gateway.sessionTimeout"), "openclaw.json:1:80");

	set("HOLDFAST_SESSION_TIMEOUT=%s", "15s");
	set("HOLDFAST_PORT=%s", "1515");
	check_loads();
	CHECK(settings.gateway.session_timeout_ms == 15000 && settings.gateway.port == 1515);
	CHECK_TEXT(origin_of("gateway.sessionTimeout"), "HOLDFAST_SESSION_TIMEOUT");

	flags.port = "1616";
	check_loads();
	CHECK(settings.gateway.port == 1616);
	CHECK_TEXT(text_of(settings.gateway.port_origin), "--port");
}

TEST("lists and objects in variables are JSON5, and replace those of a file")
{
	home_make();
	put(".openclaw/holdfast.json",
	    "{ gateway: { env: { A: '1' } }, alerts: [ { url: 'https://a' }, { url: 'https://b' } ] }");
	set("HOLDFAST_ALERTS=%s", "[ { url: 'https://c', secret: 'env:S' } ]");
	set("HOLDFAST_COMMAND=%s", "['other', '-v',]");
	set("HOLDFAST_SESSIONS=%s", "[ { key: 'agent:*', toolTimeout: '1h' } ]");
	check_loads();
	CHECK(settings.gateway.session_rule_count == 1 &&
	      settings.gateway.session_rules[0].tool_timeout_ms == 3600000);
	CHECK_TEXT(origin_of("gateway.sessions"), "HOLDFAST_SESSIONS");
	CHECK(settings.alert_count == 1 && settings.gateway.variable_count == 1);
	CHECK_TEXT(text_of(settings.alerts[0].url), "https://c");
	CHECK(settings.gateway.argument_count == 2 && settings.gateway.kind == GATEWAY_GENERIC);
	CHECK_TEXT(remarks, "The variable S, which is to hold a secret, is not set.\n");
}

/* --- openclaw.json. --- */

TEST("a bad setting of ours in a well-formed openclaw.json is refused")
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
	    {"{ gateway: { sessionTimeout: 'x' } }",
	        "1:30: gateway.sessionTimeout is \"x\", but must be a duration from 1s to 1d, in "
	        "milliseconds or like \"30s\", "
	        "\"5m\", \"2h\"."},
	    {"{ env: { vars: { HOLDFAST_PROT: '1' } } }",
	        "1:33: There is no variable HOLDFAST_PROT; did you mean HOLDFAST_PORT?"},
	    {"{ env: { vars: { HOLDFAST_PORT: 'x' } } }",
	        "1:33: HOLDFAST_PORT is \"x\", but must be a port number from 1 to 65535."},
	    {"{ env: { vars: { HOLDFAST_PORT: {} } } }",
	        "1:33: HOLDFAST_PORT is an object, but must be text."},
	    {"{ env: { vars: { HOLDFAST_STATE_DIR: '/x' } } }",
	        "1:38: HOLDFAST_STATE_DIR has no effect here: set it in the environment of Holdfast itself."},
	    {"{ plugins: { entries: { holdfast: { config: { helth: {} } } } } }",
	        "1:47: There is no setting \"helth\"; did you mean \"health\"?"},
	};
	char sentence[ERROR_TEXT_MAX];

	home_make();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(".openclaw/openclaw.json", cases[i].text);
		snprintf(sentence, sizeof(sentence), "%%/.openclaw/openclaw.json:%s", cases[i].sentence);
		check_refused(sentence);
	}
}

TEST("keys that the gateway itself refuses are read, with a remark")
{
	home_make();
	put(".openclaw/openclaw.json", "{ gateway: { autoRestart: { onStuckSessions: false } } }");
	check_loads();
	CHECK(!settings.gateway.auto_restart.on_stuck_sessions);
	CHECK_TEXT(remarks,
	    with_home(
	        "%/.openclaw/openclaw.json:1:46: gateway.autoRestart.onStuckSessions is read, but OpenClaw "
	        "does not know this key and refuses to start with it: move it to holdfast.json.\n"));
}

TEST("a broken or missing openclaw.json does not stop Holdfast")
{
	home_make();
	put(".openclaw/openclaw.json", "{ gateway: { port: 19000, }");
	check_loads();
	CHECK(settings.gateway.port == 18789 && settings.gateway.watched_count == 1);
	CHECK_TEXT(remarks,
	    with_home(
	        "OpenClaw will refuse its configuration: %/.openclaw/openclaw.json:1:28: expected \",\" or "
	        "\"}\", but found the end of the file.\n"));

	unlink(at_home(".openclaw/openclaw.json"));
	check_loads();
	CHECK(settings.gateway.port == 18789 && settings.gateway.watched_count == 1);
	CHECK_TEXT(remarks,
	    with_home(
	        "There is no %/.openclaw/openclaw.json: OpenClaw will not start before it is set up.\n"));

	CHECK(mkfifo(at_home(".openclaw/openclaw.json"), 0600) == 0);
	check_loads();
	CHECK(settings.gateway.port == 18789);
}

TEST("includes are followed and watched, wherever they stand; the including file wins")
{
	home_make();
	CHECK(mkdir(at_home(".openclaw/parts"), 0700) == 0);
	put(".openclaw/openclaw.json",
	    "{ $include: ['./parts/a.json5', './parts/b.json5'], agents: { $include: 'agents.json' } }");
	put(".openclaw/parts/a.json5",
	    "{ gateway: { port: 2001 }, env: { vars: { HOLDFAST_HEALTH_FAILURES: '7' } } }");
	put(".openclaw/parts/b.json5", "{ gateway: { $include: 'c.json5' } }");
	put(".openclaw/parts/c.json5", "{ port: 2003 }");
	check_loads();
	CHECK(settings.gateway.port == 2003 && settings.health.failures == 7);
	CHECK_TEXT(text_of(settings.gateway.port_origin), "c.json5:1:9");
	CHECK(settings.gateway.watched_count == 5);
	CHECK_TEXT(text_of(settings.gateway.watched[4]), with_home("%/.openclaw/parts/c.json5"));
	CHECK_TEXT(remarks,
	    with_home(
	        "OpenClaw will refuse its configuration: %/.openclaw/agents.json cannot be read: No such "
	        "file or directory.\n"));

	put(".openclaw/openclaw.json", "{ $include: './parts/a.json5', gateway: { port: 2000 } }");
	check_loads();
	CHECK(settings.gateway.port == 2000);
}

TEST("files that include each other end")
{
	home_make();
	put(".openclaw/openclaw.json", "{ $include: ['a.json', 'a.json', 'b.json', 'openclaw.json'] }");
	put(".openclaw/a.json",
	    "{ $include: ['b.json', 'b.json', 'b.json', 'a.json'], gateway: { port: 2002 } }");
	put(".openclaw/b.json", "{ $include: ['a.json', 'a.json', 'a.json', 'openclaw.json'] }");
	check_loads();
	CHECK(settings.gateway.watched_count == 3 && settings.gateway.port == 2002);
}

TEST("OpenClaw's files are found as OpenClaw finds them")
{
	static const struct {
		const char *variable, *config, *state;
	} cases[] = {
	    {"OPENCLAW_CONFIG_PATH=~/x/y.json", "%/x/y.json", "%/.openclaw"},
	    {"OPENCLAW_STATE_DIR=~/s/", "%/s/openclaw.json", "%/s"},
	    {"OPENCLAW_HOME=~/h", "%/h/.openclaw/openclaw.json", "%/h/.openclaw"},
	    {"OPENCLAW_PROFILE=work", "%/.openclaw/openclaw.json", "%/.openclaw"},
	    {"HOLDFAST_COMMAND=['openclaw', '--profile', 'work', 'gateway', 'run']",
	        "%/.openclaw-work/openclaw.json", "%/.openclaw-work"},
	    {"HOLDFAST_COMMAND=['openclaw', '--dev', 'gateway', 'run']", "%/.openclaw-dev/openclaw.json",
	        "%/.openclaw-dev"},
	    {"HOLDFAST_COMMAND=['openclaw', '--profile=default', 'gateway', 'run']",
	        "%/.openclaw/openclaw.json", "%/.openclaw"},
	    {"HOLDFAST_ENV={ OPENCLAW_STATE_DIR: '/var/lib/claw' }", "/var/lib/claw/openclaw.json",
	        "/var/lib/claw"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		home_make();
		set("%s", cases[i].variable);
		check_loads();
		CHECK_TEXT(text_of(settings.gateway.config_path), with_home(cases[i].config));
		CHECK_TEXT(text_of(settings.gateway.state_directory), with_home(cases[i].state));
	}
}

TEST("holdfast.json is looked for beside openclaw.json")
{
	home_make();
	put("holdfast.json", "{ health: { failures: 9 } }");
	put("elsewhere.json", "{ gateway: { port: 2222 } }");
	set("OPENCLAW_CONFIG_PATH=%s/elsewhere.json", home);
	check_loads();
	CHECK(settings.health.failures == 9 && settings.gateway.port == 2222);
}

TEST("the port is the one the gateway will take")
{
	static const struct {
		const char *variable;
		uint32_t port;
		const char *origin;
	} cases[] = {
	    {"OPENCLAW_GATEWAY_PORT=2001", 2001, "OPENCLAW_GATEWAY_PORT"},
	    {"OPENCLAW_GATEWAY_PORT=[::1]:2002", 2002, "OPENCLAW_GATEWAY_PORT"},
	    {"OPENCLAW_GATEWAY_PORT=junk", 19000, "openclaw.json:1:20"},
	    {"HOLDFAST_COMMAND=['openclaw', 'gateway', 'run', '--port', '2003']", 2003,
	        "the command's --port"},
	    {"HOLDFAST_ENV={ OPENCLAW_GATEWAY_PORT: '2004' }", 2004, "OPENCLAW_GATEWAY_PORT"},
	    {"HOLDFAST_PORT=2005", 2005, "HOLDFAST_PORT"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		home_make();
		set("%s", cases[i].variable);
		check_loads();
		CHECK(settings.gateway.port == cases[i].port);
		CHECK_TEXT(text_of(settings.gateway.port_origin), cases[i].origin);
	}
	home_make();
	put(".openclaw/openclaw.json", "{}");
	set("%s", "OPENCLAW_PROFILE=work");
	check_loads();
	CHECK(settings.gateway.port == 41984);
}

/* --- The command. --- */

TEST("a command after -- is a generic gateway, unless it is OpenClaw")
{
	char *generic[] = {(char *)"other", (char *)"--flag", NULL};
	char *node[] = {(char *)"other", (char *)"/opt/openclaw/openclaw.mjs", (char *)"gateway", NULL};

	home_make();
	flags.command = generic;
	check_loads();
	CHECK(settings.gateway.kind == GATEWAY_GENERIC && settings.gateway.port == 0);
	CHECK_TEXT(text_of(settings.gateway.arguments[0]), with_home("%/bin/other"));
	CHECK_TEXT(text_of(settings.health.ready_path), "");
	CHECK_TEXT(text_of(settings.gateway.working_directory), "");
	CHECK_TEXT(text_of(settings.gateway.config_path), "");
	CHECK(settings.gateway.watched_count == 0);

	set("HOLDFAST_HEALTH_READY_PATH=%s", "/ready");
	set("HOLDFAST_PORT=%s", "3000");
	check_loads();
	CHECK_TEXT(text_of(settings.health.ready_path), "/ready");
	CHECK(settings.gateway.port == 3000 && settings.gateway.port_is_ours);

	home_make();
	flags.command = node;
	check_loads();
	CHECK(settings.gateway.kind == GATEWAY_OPENCLAW && settings.gateway.port == 19000);
}

TEST("a broken openclaw.json is nothing to a generic gateway")
{
	char *generic[] = {(char *)"other", NULL};

	home_make();
	flags.command = generic;
	put(".openclaw/openclaw.json", "{ env: { vars: { HOLDFAST_PROT: '1' } } }");
	check_loads();
	CHECK_TEXT(remarks, "");
}

TEST("a program that is missing or cannot be run is named")
{
	static char *const words[][2] = {
	    {(char *)"nothing-like-it", NULL},
	    {(char *)"/nowhere/it", NULL},
	    {(char *)"/etc/passwd", NULL},
	    {(char *)"/etc", NULL},
	};
	static const char *const sentences[] = {
	    ("There is no program \"nothing-like-it\" in PATH (the command line): install it, or name it "
	     "with "
	     "its whole path."),
	    "There is no program /nowhere/it (the command line): install it, or name another command.",
	    "/etc/passwd (the command line) cannot be run: it is not executable.",
	    "/etc (the command line) cannot be run: it is a directory.",
	};
	char *empty[] = {(char *)"", NULL}, *many[SETTINGS_ARGUMENTS_MAX + 2] = {NULL};

	home_make();
	for (size_t i = 0; i < 4; i++) {
		flags.command = (char **)(uintptr_t)words[i];
		check_refused(sentences[i]);
	}
	flags.command = empty;
	check_refused("The command after \"--\" is empty: name a program to run.");
	for (int i = 0; i <= SETTINGS_ARGUMENTS_MAX; i++)
		many[i] = (char *)"x";
	flags.command = many;
	check_refused("The command after \"--\" has more than 64 words: put it into a script and name that.");

	home_make();
	unlink(at_home("bin/openclaw"));
	check_refused("There is no \"openclaw\" in PATH: install it (npm install -g openclaw), run \"make "
	              "run\" to try one here, "
	              "or name a command: \"holdfast run -- COMMAND\".");
	CHECK(why.code == -ENOENT);
	set("%s", "HOLDFAST_KIND=generic");
	check_refused("gateway.kind is \"generic\" (HOLDFAST_KIND), but no command is named: set "
	              "gateway.command, or use "
	              "\"holdfast run -- COMMAND\".");
}

TEST("a program in a file counts from the directory it will run in")
{
	home_make();
	put(".openclaw/holdfast.json", "{ gateway: { command: ['./other'], workingDirectory: '~/bin' } }");
	check_loads();
	CHECK_TEXT(text_of(settings.gateway.arguments[0]), with_home("%/bin/other"));

	put(".openclaw/holdfast.json", "{ gateway: { command: ['~/bin/other'] } }");
	check_loads();
	CHECK_TEXT(text_of(settings.gateway.arguments[0]), with_home("%/bin/other"));

	put(".openclaw/holdfast.json", "{ gateway: { workingDirectory: '~/gone' } }");
	check_refused(
	    "gateway.workingDirectory (holdfast.json:1:32) is %/gone, but there is no such directory.");
}

/* --- Directories. --- */

TEST("the two directories follow flags, then variables, then the XDG rules")
{
	home_make();
	check_loads();
	CHECK_TEXT(text_of(settings.state_dir), with_home("%/.local/state/holdfast"));
	/* This home is not the user's own, so another instance may well run: the name carries a hash. */
	CHECK(strncmp(text_of(settings.runtime_dir), with_home("%/holdfast-"), strlen(home) + 10) == 0);
	CHECK(strlen(text_of(settings.runtime_dir)) == strlen(home) + 18);

	set("%s", "XDG_STATE_HOME=/var/x");
	check_loads();
	CHECK_TEXT(text_of(settings.state_dir), "/var/x/holdfast");

	set("HOLDFAST_STATE_DIR=%s/a/../b//c/.", home);
	set("HOLDFAST_RUNTIME_DIR=%s", "~/run");
	check_loads();
	CHECK_TEXT(text_of(settings.state_dir), with_home("%/b/c"));
	CHECK_TEXT(text_of(settings.runtime_dir), with_home("%/run"));

	flags.state_dir = "/f/state";
	flags.runtime_dir = "/f/runtime";
	check_loads();
	CHECK_TEXT(text_of(settings.state_dir), "/f/state");
	CHECK_TEXT(text_of(settings.runtime_dir), "/f/runtime");

	flags.runtime_dir =
	    "/f/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890";
	CHECK(load() == -ENAMETOOLONG);
	flags.runtime_dir = "";
	check_refused("--runtime-dir is empty, but must be a directory.");
}

TEST("two state directories never share a runtime directory, and the same one always has the same")
{
	char first[PATH_MAX];
	uint64_t instance;

	home_make();
	flags.state_dir = "/x/one";
	check_loads();
	text_copy(first, sizeof(first), text_of(settings.runtime_dir));
	instance = settings.instance;
	flags.state_dir = "/x/./one/";
	check_loads();
	CHECK_TEXT(text_of(settings.runtime_dir), first);
	CHECK(settings.instance == instance);
	flags.state_dir = "/x/two";
	check_loads();
	CHECK(strcmp(text_of(settings.runtime_dir), first) != 0 && settings.instance != instance);
}

TEST("without HOME the user's entry in /etc/passwd is asked, without a name service")
{
	home_make();
	free(variables[0]);
	variables[0] = strdup("NOTHING=1");
	CHECK(load() == 0 || why.code == -ENOENT || why.code == -EBADMSG);
	CHECK(settings.state_dir != 0 || strstr(why.text, "HOME is not set") != NULL);
}

TEST("settings_locate finds the same directories, and reads no file")
{
	char state[PATH_MAX], runtime[PATH_MAX];

	home_make();
	flags.state_dir = "/x/one";
	check_loads();
	text_copy(state, sizeof(state), text_of(settings.state_dir));
	text_copy(runtime, sizeof(runtime), text_of(settings.runtime_dir));
	put(".openclaw/holdfast.json", "broken");
	CHECK(setenv("HOME", home, 1) == 0 && setenv("XDG_RUNTIME_DIR", home, 1) == 0);
	unsetenv("HOLDFAST_RUNTIME_DIR");
	CHECK(settings_locate(&settings, &flags, &why) == 0);
	CHECK_TEXT(text_of(settings.state_dir), state);
	CHECK_TEXT(text_of(settings.runtime_dir), runtime);
}
