/* What decides about stuck sessions: rules for some of them, and where the rest is said. */
#include "core/sessions.h"
#include "tests/support/settings_home.h"

/* --- Rules. --- */

_Static_assert(SETTINGS_RULES_MAX == SESSIONS_PATTERNS, "each rule has its place in the core");
_Static_assert(SETTINGS_PATTERN_BYTES < SESSION_PATTERN_MAX, "each pattern fits the core's");

/* gateway.sessions with so many rules, whose first pattern has so many bytes. */
static void put_rules(size_t count, size_t bytes)
{
	static char data[4096];
	struct text text;

	text_init(&text, data, sizeof(data));
	text_addf(&text, "{ gateway: { sessions: [ { key: '%0*d', toolTimeout: 1000 },", (int)bytes, 0);
	for (size_t i = 1; i < count; i++)
		text_addf(&text, " { key: 'agent:%zu:*', sessionTimeout: '%zus' },", i, i);
	text_add(&text, " ] } }");
	CHECK(!text.truncated);
	put(".openclaw/holdfast.json", data);
}

TEST("rules for sessions are kept in their order, and a timeout that is not given is that of the gateway")
{
	const struct settings_session_rule *rules = settings.gateway.session_rules;

	home_make();
	put(".openclaw/holdfast.json",
	    "{ gateway: { sessions: [ { key: 'agent:*:cron:*', sessionTimeout: '10m', toolTimeout: '1h' },\n"
	    "  { key: 'agent:gr\u00fc\u00dfe:*', toolTimeout: 90000 }, { sessionTimeout: '1d', key: '*' } ] "
	    "} }");
	check_loads();
	CHECK(settings.gateway.session_rule_count == 3);
	CHECK_TEXT(text_of(rules[0].key), "agent:*:cron:*");
	CHECK(rules[0].session_timeout_ms == 600000 && rules[0].tool_timeout_ms == 3600000);
	CHECK_TEXT(text_of(rules[1].key), "agent:gr\u00fc\u00dfe:*");
	CHECK(rules[1].session_timeout_ms == 0 && rules[1].tool_timeout_ms == 90000);
	CHECK_TEXT(text_of(rules[2].key), "*");
	CHECK(rules[2].session_timeout_ms == 86400000 && rules[2].tool_timeout_ms == 0);

	put(".openclaw/holdfast.json", "{ gateway: { sessions: [] } }");
	check_loads();
	CHECK(settings.gateway.session_rule_count == 0);
}

TEST("there are at most 16 rules for sessions, and a pattern has at most 63 bytes")
{
	home_make();
	put_rules(16, 63);
	check_loads();
	CHECK(settings.gateway.session_rule_count == 16);
	CHECK(strlen(text_of(settings.gateway.session_rules[0].key)) == 63);
	CHECK(settings.gateway.session_rules[15].session_timeout_ms == 15000);

	put_rules(17, 63);
	check_refused(
	    "%/.openclaw/holdfast.json:1:24: gateway.sessions is too long a list, but must be a list of at "
	    "most 16 objects, such as [{ key: \"agent:*:cron:*\", sessionTimeout: \"10m\" }].");
	put_rules(1, 64);
	CHECK(load() == -EBADMSG);
	CHECK(strstr(why.text, "1:33: gateway.sessions[0].key is \"0000") != NULL);
	CHECK(strstr(why.text, "a pattern of 1 to 63 bytes") != NULL);
}

/* Each bad rule, and what is said after the file's name. */
static const struct {
	const char *text, *sentence;
} bad_rules[] = {
    {"{ gateway: { sessions: {} } }",
        "1:24: gateway.sessions is an object, but must be a list of at most 16 objects, such as [{ key: "
        "\"agent:*:cron:*\", sessionTimeout: \"10m\" }]."},
    {"{ gateway: { sessions: [ 'agent:*' ] } }",
        "1:26: gateway.sessions[0] is \"agent:*\", but must be an object."},
    {"{ gateway: { sessions: [ { sessionTimeout: 5000 } ] } }",
        "1:26: gateway.sessions[0] has no \"key\": it must be a pattern of 1 to 63 bytes without control "
        "characters, such as \"agent:*:cron:*\"."},
    {"{ gateway: { sessions: [ { key: '', toolTimeout: '1h' } ] } }",
        "1:33: gateway.sessions[0].key is \"\", but must be a pattern of 1 to 63 bytes without control "
        "characters, such as \"agent:*:cron:*\"."},
    {"{ gateway: { sessions: [ { key: 'a\\u009bb', toolTimeout: '1h' } ] } }",
        "1:33: gateway.sessions[0].key is \"a?b\", but must be a pattern of 1 to 63 bytes without control "
        "characters, such as \"agent:*:cron:*\"."},
    {"{ gateway: { sessions: [ { key: 7, toolTimeout: '1h' } ] } }",
        "1:33: gateway.sessions[0].key is 7, but must be a pattern of 1 to 63 bytes without control "
        "characters, such as \"agent:*:cron:*\"."},
    {"{ gateway: { sessions: [\n { key: 'a', toolTimeout: '1h' },\n { key: '*' } ] } }",
        "3:2: gateway.sessions[1] has neither \"sessionTimeout\" nor \"toolTimeout\": give it one, or both."},
    {"{ gateway: { sessions: [ { key: 'a', sessionTimeout: 0 } ] } }",
        "1:54: gateway.sessions[0].sessionTimeout is 0, but must be a duration from 1s to 1d, in "
        "milliseconds or like \"30s\", \"5m\", \"2h\"."},
    {"{ gateway: { sessions: [ { key: 'a', sessionTimeout: '2d' } ] } }",
        "1:54: gateway.sessions[0].sessionTimeout is \"2d\", but must be a duration from 1s to 1d, in "
        "milliseconds or like \"30s\", \"5m\", \"2h\"."},
    {"{ gateway: { sessions: [ { key: 'a', toolTimeout: true } ] } }",
        "1:51: gateway.sessions[0].toolTimeout is true, but must be a duration from 1s to 7d, in "
        "milliseconds or like \"30s\", \"5m\", \"2h\"."},
    {"{ gateway: { sessions: [ { key: 'a', tooltimeout: 1 } ] } }",
        "1:38: There is no setting \"tooltimeout\" in gateway.sessions[0]; did you mean \"toolTimeout\"?"},
    {"{ gateway: { sessions: [ { key: 'a', colour: 1 } ] } }",
        "1:38: There is no setting \"colour\" in gateway.sessions[0]; there are key, sessionTimeout, "
        "toolTimeout."},
    {"{ gateway: { sessions: [ { key: 'a', toolTimeout: '1h' }, { key: 'a', toolTimeout: '2h' } ] } }",
        "1:59: gateway.sessions[1] has the key \"a\", which gateway.sessions[0] has already: it would never "
        "count."},
};

TEST("each bad rule is refused with its place, what it is and what is allowed")
{
	char sentence[ERROR_TEXT_MAX];

	home_make();
	for (size_t i = 0; i < sizeof(bad_rules) / sizeof(bad_rules[0]); i++) {
		put(".openclaw/holdfast.json", bad_rules[i].text);
		snprintf(sentence, sizeof(sentence), "%%/.openclaw/holdfast.json:%s", bad_rules[i].sentence);
		check_refused(sentence);
		CHECK(why.code == -EBADMSG);
	}
}

/* --- Where it is said. --- */

/* The three settings as they are spelled in each source, the lowest first. */
static const struct {
	const char *file, *text, *variables[3], *set[3];
	int64_t timeout_ms;
	uint32_t threshold;
	bool restarts;
	const char *origins[3];
} sources[] = {
    {.timeout_ms = 120000, .threshold = 3, .restarts = true, .origins = {"default", "default", "default"}},
    {.file = ".openclaw/holdfast.json",
        .text =
            "{ gateway: { sessionTimeout: 11000, autoRestart: { onStuckSessions: false, threshold: 11 } } }",
        .timeout_ms = 11000,
        .threshold = 11,
        .origins = {"holdfast.json:1:30", "holdfast.json:1:69", "holdfast.json:1:87"}},
    {.file = ".openclaw/openclaw.json",
        .text =
            "{ gateway: { sessionTimeout: 12000, autoRestart: { onStuckSessions: true, threshold: 12 } } }",
        .timeout_ms = 12000,
        .threshold = 12,
        .restarts = true,
        .origins = {"openclaw.json:1:30", "openclaw.json:1:69", "openclaw.json:1:86"}},
    {.file = ".openclaw/openclaw.json",
        .text =
            "{ gateway: { sessionTimeout: 12000, autoRestart: { onStuckSessions: true, threshold: 12 } },\n"
            "plugins: { entries: { holdfast: { config: {\n"
            "gateway: { sessionTimeout: '13s', autoRestart: { onStuckSessions: false, threshold: 13 } } } } "
            "} } }",
        .timeout_ms = 13000,
        .threshold = 13,
        .origins = {"openclaw.json:3:28", "openclaw.json:3:67", "openclaw.json:3:85"}},
    {.file = ".openclaw/openclaw.json",
        .text =
            "{ gateway: { sessionTimeout: 12000, autoRestart: { onStuckSessions: false, threshold: 12 } },\n"
            "env: { vars: {\n"
            "HOLDFAST_SESSION_TIMEOUT: '14s',\n"
            "HOLDFAST_AUTO_RESTART_ON_STUCK_SESSIONS: true,\n"
            "HOLDFAST_AUTO_RESTART_THRESHOLD: 14 } },\n"
            "plugins: { entries: { holdfast: { config: {\n"
            "gateway: { sessionTimeout: '13s', autoRestart: { onStuckSessions: false, threshold: 13 } } } } "
            "} } }",
        .timeout_ms = 14000,
        .threshold = 14,
        .restarts = true,
        .origins = {"openclaw.json:3:27", "openclaw.json:4:42", "openclaw.json:5:34"}},
    {.variables = {"HOLDFAST_SESSION_TIMEOUT=15000", "HOLDFAST_AUTO_RESTART_ON_STUCK_SESSIONS=false",
         "HOLDFAST_AUTO_RESTART_THRESHOLD=15"},
        .timeout_ms = 15000,
        .threshold = 15,
        .origins = {"HOLDFAST_SESSION_TIMEOUT", "HOLDFAST_AUTO_RESTART_ON_STUCK_SESSIONS",
            "HOLDFAST_AUTO_RESTART_THRESHOLD"}},
    {.set = {"gateway.sessionTimeout=16s", "gateway.autoRestart.onStuckSessions=true",
         "gateway.autoRestart.threshold=16"},
        .timeout_ms = 16000,
        .threshold = 16,
        .restarts = true,
        .origins = {"--set gateway.sessionTimeout", "--set gateway.autoRestart.onStuckSessions",
            "--set gateway.autoRestart.threshold"}},
};

TEST("what decides about stuck sessions can be set in every source, and each wins over those below it")
{
	home_make();
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		if (sources[i].file != NULL)
			put(sources[i].file, sources[i].text);
		for (int j = 0; j < 3 && sources[i].variables[j] != NULL; j++)
			set("%s", sources[i].variables[j]);
		for (int j = 0; j < 3 && sources[i].set[j] != NULL; j++)
			flags.set[flags.set_count++] = sources[i].set[j];
		check_loads();
		CHECK(settings.gateway.session_timeout_ms == sources[i].timeout_ms);
		CHECK(settings.gateway.auto_restart.on_stuck_sessions == sources[i].restarts);
		CHECK(settings.gateway.auto_restart.threshold == sources[i].threshold);
		CHECK_TEXT(origin_of("gateway.sessionTimeout"), sources[i].origins[0]);
		CHECK_TEXT(origin_of("gateway.autoRestart.onStuckSessions"), sources[i].origins[1]);
		CHECK_TEXT(origin_of("gateway.autoRestart.threshold"), sources[i].origins[2]);
	}
}

TEST("the settings of the gateway's own file are read as they were asked for, and each is remarked upon")
{
	static const char *const keys[] = {
	    "sessionTimeout", "autoRestart.onStuckSessions", "autoRestart.threshold"};
	char remark[128];

	home_make();
	put(".openclaw/openclaw.json",
	    "{ gateway: { sessionTimeout: 90000, autoRestart: { onStuckSessions: false, threshold: 4 } } }");
	check_loads();
	CHECK(settings.gateway.session_timeout_ms == 90000 && settings.gateway.auto_restart.threshold == 4);
	CHECK(!settings.gateway.auto_restart.on_stuck_sessions);
	for (int i = 0; i < 3; i++) {
		snprintf(remark, sizeof(remark),
		    ": gateway.%s is read, but OpenClaw does not know this key and refuses", keys[i]);
		CHECK(strstr(remarks, remark) != NULL);
	}
}
