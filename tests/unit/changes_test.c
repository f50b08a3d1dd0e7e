/* What new settings change in those in force. */
#include <errno.h>

#include "config/changes.h"
#include "tests/support/settings_home.h"

static struct settings before;
static char said[2048];
static uint32_t waiting;

/* Given that these were in force, when those are read, how many settings have changed? What is said: `said`.
 */
static uint32_t changes_in(const char *old_file, const char *new_file, size_t room)
{
	struct text lines;

	home_make();
	set("HOME_OF_KEYS=%s", "x");
	put(".openclaw/holdfast.json", old_file);
	check_loads();
	before = settings;
	put(".openclaw/holdfast.json", new_file);
	check_loads();
	text_init(&lines, said, room);
	return settings_changes(&before, &settings, &lines, &waiting);
}

TEST("the same settings change nothing, wherever they stand and however they are spelled")
{
	CHECK(changes_in("{}", "{}", sizeof(said)) == 0 && waiting == 0);
	CHECK_TEXT(said, "");
	CHECK(changes_in("{ gateway: { stopTimeout: '5m', env: { A: 'b' } } }",
	          "// moved\n{ gateway: { env: { A: 'b' }, stopTimeout: 300000 } }", sizeof(said)) == 0);
	CHECK(changes_in("{}", "{ health: { failures: 3 }, backoff: { jitter: 0.2 } }", sizeof(said)) == 0);
	CHECK_TEXT(said, "");
}

TEST("each change is a line: from what to what, and when it is in force")
{
	CHECK(changes_in("{ gateway: { stopTimeout: '330s' } }",
	          "{ gateway: { stopTimeout: '5m', port: 19001 }, health: { readyPath: '' }, backoff: { "
	          "factor: 1.5 "
	          "}, retention: { size: '1GB' } }",
	          sizeof(said)) == 5);
	CHECK(waiting == 1);
	CHECK_TEXT(said,
	    "gateway.port: from 19000 to 19001, with the gateway's next start (holdfast restart)\n"
	    "gateway.stopTimeout: from \"330s\" to \"5m\", now\n"
	    "health.readyPath: from \"/startupz\" to \"\", now\n"
	    "backoff.factor: from 2 to 1.5, now\n"
	    "retention.size: from \"200MB\" to \"1GB\", now\n");
}

TEST("what only a new start tells the gateway waits for it")
{
	CHECK(changes_in("{}",
	          "{ gateway: { env: { A: '1' }, workingDirectory: '~/bin', command: ['other'], kind: "
	          "'openclaw' } }",
	          sizeof(said)) == 3);
	CHECK(waiting == 3);
	CHECK(strstr(said, "gateway.env: from [] to [\"A\"], with the gateway's next start") != NULL);
	CHECK(strstr(said, "gateway.workingDirectory: from \"/tmp/") != NULL);
	CHECK(strstr(said, "gateway.command: from [") != NULL && strstr(said, "bin/other\"]") != NULL);
}

TEST("lists are compared whole, and no secret is shown")
{
	static const char alert[] =
	    "{ alerts: [ { url: 'https://h.example/%s', secret: 'env:HOME_OF_KEYS' } ] }";
	static const char provider[] = "{ relay: { providers: { p: { api: 'x', baseUrl: 'https://p.example', "
	                               "profiles: [ { id: 'a', key: 'env:%s' } ] } } } }";
	char old_file[256], new_file[256];

	CHECK(changes_in("{ gateway: { env: { TOKEN: 'hunter2' } } }",
	          "{ gateway: { env: { TOKEN: 'hunter3' } } }", sizeof(said)) == 1);
	CHECK_TEXT(said,
	    "gateway.env: [\"TOKEN\"] with other values, which are not shown, with the gateway's next "
	    "start (holdfast restart)\n");

	snprintf(old_file, sizeof(old_file), alert, "hunter2");
	snprintf(new_file, sizeof(new_file), alert, "hunter3");
	CHECK(changes_in(old_file, new_file, sizeof(said)) == 1 && waiting == 0);
	CHECK(strstr(said, "alerts: [") == said && strstr(said, "which are not shown, now\n") != NULL);
	CHECK(strstr(said, "hunter") == NULL);

	snprintf(old_file, sizeof(old_file), provider, "HOME_OF_KEYS");
	snprintf(new_file, sizeof(new_file), provider, "ANOTHER");
	CHECK(changes_in(old_file, new_file, sizeof(said)) == 1 && waiting == 0);
	CHECK(strstr(said, "relay.providers: from ") == said && strstr(said, "env:ANOTHER") != NULL);

	CHECK(changes_in("{}", new_file, sizeof(said)) == 1);
	CHECK(changes_in(new_file, "{}", sizeof(said)) == 1);
}

TEST("rules for sessions are compared by all they say, and their order counts")
{
	static const char one[] = "{ gateway: { sessions: [ { key: 'a', sessionTimeout: '1m' }, { key: 'b', "
	                          "toolTimeout: '1h' } ] } }";

	CHECK(changes_in(one,
	          "{ gateway: { sessions: [ { sessionTimeout: 60000, key: 'a' }, { key: 'b', toolTimeout: "
	          "'60m' } ] } }",
	          sizeof(said)) == 0);
	CHECK(changes_in("{}", one, sizeof(said)) == 1 && waiting == 0);
	CHECK_TEXT(said,
	    "gateway.sessions: from [] to [{\"key\":\"a\",\"sessionTimeout\":\"1m\"},{\"key\":\"b\","
	    "\"toolTimeout\":\"1h\"}], now\n");
	CHECK(changes_in(one,
	          "{ gateway: { sessions: [ { key: 'b', toolTimeout: '1h' }, { key: 'a', sessionTimeout: "
	          "'1m' } ] } }",
	          sizeof(said)) == 1);
	CHECK(changes_in(one,
	          "{ gateway: { sessions: [ { key: 'a', sessionTimeout: '2m' }, { key: 'b', toolTimeout: "
	          "'1h' } ] } }",
	          sizeof(said)) == 1);
	CHECK(changes_in(one,
	          "{ gateway: { sessions: [ { key: 'a', sessionTimeout: '1m' }, { key: 'b', toolTimeout: "
	          "'2h' } ] } }",
	          sizeof(said)) == 1);
	CHECK(changes_in(one,
	          "{ gateway: { sessions: [ { key: 'a', sessionTimeout: '1m' }, { key: 'c', toolTimeout: "
	          "'1h' } ] } }",
	          sizeof(said)) == 1);
}

TEST("long values are cut to where they differ, between characters")
{
	char old_file[600], new_file[600], long_word[301];

	for (size_t i = 0; i < sizeof(long_word) - 1; i += 2)
		memcpy(long_word + i, "\xc3\xa9", 2);
	long_word[sizeof(long_word) - 1] = '\0';
	snprintf(old_file, sizeof(old_file), "{ gateway: { command: ['other', '%s', 'x1'] } }", long_word);
	snprintf(new_file, sizeof(new_file), "{ gateway: { command: ['other', '%s', 'x2'] } }", long_word);
	CHECK(changes_in(old_file, new_file, sizeof(said)) == 1);
	CHECK(strstr(said, ": from ...\xc3\xa9") != NULL);
	CHECK(strstr(said, "x1\"] to ...\xc3\xa9") != NULL && strstr(said, "x2\"], with") != NULL);

	snprintf(new_file, sizeof(new_file), "{ gateway: { command: ['other', '1%s'] } }", long_word);
	CHECK(changes_in("{ gateway: { command: ['other', '2'] } }", new_file, sizeof(said)) == 1);
	CHECK(strstr(said, "\xc3\xa9..., with the gateway") != NULL);
}

TEST("a list of changes without room says how many more there are")
{
	static const char many[] =
	    "{ gateway: { stopTimeout: 1, toolTimeout: 1000 }, health: { failures: 9 }, "
	    "retention: { days: 1 } }";

	CHECK(changes_in("{}", many, 100) == 4);
	CHECK_TEXT(said, "gateway.stopTimeout: from \"330s\" to \"1ms\", now\nand 3 more\n");
	CHECK(changes_in("{}", many, 16) == 4);
	CHECK_TEXT(said, "and 4 more\n");
}

TEST("the kind of the gateway and the directories are fixed while Holdfast runs")
{
	home_make();
	check_loads();
	before = settings;
	CHECK(settings_check_fixed(&before, &settings, &why) == 0);

	set("HOLDFAST_KIND=%s", "generic");
	put(".openclaw/holdfast.json", "{ gateway: { command: ['other'] } }");
	check_loads();
	CHECK(settings_check_fixed(&before, &settings, &why) == -EBUSY);
	CHECK_TEXT(why.text,
	    "gateway.kind cannot change while Holdfast runs: it is \"openclaw\", and would be "
	    "\"generic\"; end Holdfast and start it again for that.");

	home_make();
	flags.state_dir = "/tmp/one";
	flags.runtime_dir = "/tmp/run";
	check_loads();
	before = settings;
	flags.state_dir = "/tmp/two";
	check_loads();
	CHECK(settings_check_fixed(&before, &settings, &why) == -EBUSY);
	CHECK_TEXT(why.text,
	    "The state directory cannot change while Holdfast runs: it is /tmp/one, and would be "
	    "/tmp/two; end Holdfast and start it again for that.");
	flags.state_dir = "/tmp/one";
	flags.runtime_dir = "/tmp/r\nun";
	check_loads();
	CHECK(settings_check_fixed(&before, &settings, &why) == -EBUSY);
	CHECK(strstr(why.text, "The runtime directory cannot change") == why.text &&
	      strchr(why.text, '\n') == NULL);
}

/* Gives the setting another value than the one it has in a file where every list has an entry. */
static void alter(const struct setting *setting)
{
	void *value = (char *)&settings + setting->offset;
	uint32_t *count;

	switch (setting->type) {
	case SETTING_BOOL:
		*(bool *)value = !*(bool *)value;
		break;
	case SETTING_COUNT:
	case SETTING_PORT:
		*(uint32_t *)value += 1;
		break;
	case SETTING_NUMBER:
		*(double *)value += 1;
		break;
	case SETTING_DURATION:
	case SETTING_SIZE:
		*(int64_t *)value += 1;
		break;
	case SETTING_KIND:
		*(enum gateway_kind *)value = GATEWAY_GENERIC;
		break;
	case SETTING_ADDRESS:
	case SETTING_PATH:
	case SETTING_DIRECTORY:
		*(settings_text *)value = settings.file;
		break;
	case SETTING_ARGUMENTS:
		setting_arguments(&settings, setting, &count);
		*count += 1;
		break;
	case SETTING_VARIABLES:
		settings.gateway.variable_count--;
		break;
	case SETTING_PROVIDERS:
		settings.relay.provider_count--;
		break;
	case SETTING_ALERTS:
		settings.alert_count--;
		break;
	case SETTING_SESSIONS:
		settings.gateway.session_rule_count--;
		break;
	}
}

TEST("each key of the schema says when a change of it is in force, and is compared")
{
	home_make();
	put(".openclaw/holdfast.json",
	    "{ gateway: { env: { A: '1' }, sessions: [ { key: '*', toolTimeout: 1000 } ] }, alerts: [ { url: "
	    "'https://h.example/' } ], relay: { providers: "
	    "{ p: { "
	    "api: 'x', baseUrl: 'https://p.example', profiles: [ { id: 'a', key: 'env:HOME' } ] } } } }");
	check_loads();
	before = settings;
	for (size_t i = 0; i < schema_count; i++) {
		struct text lines;

		settings = before;
		alter(&schema[i]);
		text_init(&lines, said, sizeof(said));
		if (!CHECK(settings_changes(&before, &settings, &lines, &waiting) == 1) ||
		    !CHECK(strncmp(said, schema[i].path, strlen(schema[i].path)) == 0) ||
		    !CHECK(schema[i].effect >= EFFECT_NOW && schema[i].effect <= EFFECT_NEVER) ||
		    !CHECK(waiting == (schema[i].effect != EFFECT_NOW)))
			printf("# %s\n", schema[i].path);
	}
}
