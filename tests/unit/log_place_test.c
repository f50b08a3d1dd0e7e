/* Which file a gateway logs to: by its version, its profile, its directories and its configuration. */
#include "support/log_home.h"

TEST("a profile has a file of its own, spelt as OpenClaw does; \"default\" has the ordinary one")
{
	static const char *const cases[][2] = {{"work", "openclaw-work-2026-11-30.log"},
	    {" My_Bot-2 ", "openclaw--1my-0-1bot--2-2026-11-30.log"},
	    {"a.b", "openclaw-a-22e-b-2026-11-30.log"}, {"Default", "openclaw-2026-11-30.log"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[96];

		given("{}");
		variable(2, "OPENCLAW_PROFILE", cases[i][0]);
		start();
		snprintf(name, sizeof(name), "openclaw/%s", cases[i][1]);
		add("openclaw/openclaw-other-2026-11-30.log", "not mine\n");
		add(name, "mine\n");
		CHECK_TEXT(poll_log(), "mine");
		finish();
	}
}

TEST("--profile and --dev of its command come before the variable")
{
	given("{}");
	variable(2, "OPENCLAW_PROFILE", "work");
	settings.gateway.arguments[0] = setting("node");
	settings.gateway.arguments[1] = setting("--profile=home");
	settings.gateway.arguments[2] = setting("gateway");
	settings.gateway.argument_count = 3;
	start();
	add("openclaw/openclaw-work-2026-11-30.log", "work\n");
	add("openclaw/openclaw-home-2026-11-30.log", "home\n");
	CHECK_TEXT(poll_log(), "home");
	settings.gateway.arguments[1] = setting("--dev");
	start();
	add("openclaw/openclaw-dev-2026-11-30.log", "dev\n");
	CHECK_TEXT(poll_log(), "dev");
	finish();
}

TEST("logging.file is read anew at each start, with ~ and variables; a relative one is the gateway's")
{
	static const char *const configs[] = {"{logging: {file: '~/gw.log'}}",
	    "{logging: {file: '${HOME}/gw.log'}}", "{logging: {file: 'x/../gw.log'}}",
	    "{\"$include\": './more.json'}"};

	given("{}");
	add("more.json", "{logging: {file: '~/gw.log'}}");
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		write_bytes("openclaw.json", configs[i], strlen(configs[i]), O_TRUNC);
		start();
		add("gw.log", "here\n");
		CHECK_TEXT(poll_log(), "here");
		unlink(at_home("gw.log"));
	}
	variable(2, "OPENCLAW_HOME", "~/tmp");
	write_bytes("openclaw.json", configs[0], strlen(configs[0]), O_TRUNC);
	start();
	add("tmp/gw.log", "elsewhere\n");
	CHECK_TEXT(poll_log(), "elsewhere");
	finish();
}

TEST("a configured name with a date rolls, and so does one with YYYY-MM-DD; any other does not")
{
	given("{logging: {file: '~/tmp/openclaw-YYYY-MM-DD.log'}}");
	start();
	add("tmp/openclaw-2026-11-30.log", "today\n");
	CHECK_TEXT(poll_log(), "today");
	now_ms += DAY_MS;
	add("tmp/openclaw-2026-12-01.log", "tomorrow\n");
	CHECK_TEXT(poll_log(), "tomorrow");
	finish();
	given("{logging: {file: '~/tmp/clawed-2026-11-30.log'}}");
	start();
	now_ms += DAY_MS;
	add("tmp/clawed-2026-11-30.log", "as ever\n");
	add("tmp/clawed-2026-12-01.log", "not mine\n");
	CHECK_TEXT(poll_log(), "as ever");
	finish();
}
