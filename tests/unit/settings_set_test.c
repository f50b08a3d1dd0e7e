/* --set KEY=VALUE on the command line. */
#include "tests/support/settings_home.h"

TEST("any setting can be given with --set, spelled as in a variable")
{
	home_make();
	put(".openclaw/holdfast.json", "{ gateway: { sessions: [ { key: 'b', toolTimeout: 1000 } ] } }");
	set("HOLDFAST_HEALTH_PATH=%s", "/live");
	flags.set[0] = "gateway.sessions=[{ key: 'a=*', sessionTimeout: '5s' }]";
	flags.set[1] = "health.path="; /* "", which a variable cannot say */
	flags.set[2] = "retention.days=7";
	flags.set[3] = "retention.days=8";
	flags.set_count = 4;
	check_loads();
	CHECK(settings.gateway.session_rule_count == 1);
	CHECK_TEXT(text_of(settings.gateway.session_rules[0].key), "a=*");
	CHECK_TEXT(text_of(settings.health.path), "");
	CHECK(settings.retention.days == 8);
	CHECK_TEXT(origin_of("retention.days"), "--set retention.days");
}

TEST("each bad --set is refused by its name")
{
	static const struct {
		const char *pair, *sentence;
	} cases[] = {
	    {"gateway.sessionTimeout", "--set gateway.sessionTimeout has no value: it is KEY=VALUE, such as "
	                               "gateway.sessionTimeout=60s."},
	    {"gateway.sesionTimeout=60s",
	        "There is no setting \"gateway.sesionTimeout\" (--set); did you mean "
	        "\"gateway.sessionTimeout\"?"},
	    {"sessionTimeout=60s",
	        "There is no setting \"sessionTimeout\" (--set); did you mean \"gateway.sessionTimeout\"?"},
	    {"gateway={}", "\"gateway\" (--set) is a group of settings: name one of them, such as "
	                   "gateway.sessionTimeout=60s."},
	    {"=5", "There is no setting \"\" (--set); holdfast.json(5) lists those there are."},
	    {"zebra.zebra=5",
	        "There is no setting \"zebra.zebra\" (--set); holdfast.json(5) lists those there are."},
	    {"gateway.sessionTimeout=",
	        "--set gateway.sessionTimeout is \"\", but must be a duration from 1s to 1d, "
	        "in milliseconds or like \"30s\", \"5m\", \"2h\"."},
	    {"gateway.autoRestart.threshold=0",
	        "--set gateway.autoRestart.threshold is \"0\", but must be a whole number from 1 to 1000."},
	    {"gateway.autoRestart.onStuckSessions=yes",
	        "--set gateway.autoRestart.onStuckSessions is \"yes\", but must be true or false."},
	    {"gateway.sessions=[{key:'a'}]", "--set gateway.sessions: gateway.sessions[0] has neither "
	                                     "\"sessionTimeout\" nor \"toolTimeout\": give it one, or both."},
	    {"gateway.sessions=",
	        "--set gateway.sessions is not valid JSON5 (line 1, column 1): expected a value, but "
	        "found the end of the file."},
	};
	static char endless[100000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		home_make();
		flags.set[0] = cases[i].pair;
		flags.set_count = 1;
		check_refused(cases[i].sentence);
	}
	home_make();
	memset(endless, 'x', sizeof(endless) - 1);
	flags.set[0] = endless;
	flags.set_count = 1;
	CHECK(load() == -EINVAL && strlen(why.text) < 200);
	endless[50000] = '=';
	CHECK(load() == -EINVAL && strlen(why.text) < 200);
}
