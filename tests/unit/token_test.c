/* Where the gateway's secret comes from. */
#include "support/settings_home.h"

#include "config/token.h"
#include "config/paths.h"

static struct token found;
static const char *process_variables[VARIABLES_MAX][2];

/* The gateway's own environment: what the test put there, and a HOME. */
static bool find_variable(void *context, const char *name, char *value, size_t size)
{
	if (strcmp(name, "HOME") == 0) {
		text_copy(value, size, home);
		return true;
	}
	for (int i = 0; i < VARIABLES_MAX && process_variables[i][0] != NULL; i++)
		if (strcmp(process_variables[i][0], name) == 0) {
			text_copy(value, size, process_variables[i][1]);
			return true;
		}
	return false;
}

static const struct token_environment environment = {find_variable, NULL};

static void set_variable(const char *name, const char *value)
{
	int i = 0;

	while (process_variables[i][0] != NULL)
		i++;
	process_variables[i][0] = name;
	process_variables[i][1] = value;
}

static settings_text add(const char *string)
{
	settings_text offset = settings.pool_used + 1;

	if (!text_copy(settings.pool + offset, sizeof(settings.pool) - offset, string))
		abort();
	settings.pool_used = offset + (uint32_t)strlen(string);
	return offset;
}

static void given(const char *config)
{
	static char template[] = "/tmp/token-test-XXXXXX";

	text_copy(template + sizeof(template) - 7, 7, "XXXXXX");
	if (mkdtemp(template) == NULL)
		abort();
	text_copy(home, sizeof(home), template);
	if (mkdir(at_home(".openclaw"), 0700) < 0 || mkdir(at_home(".config"), 0700) < 0 ||
	    mkdir(at_home(".config/openclaw"), 0700) < 0 || mkdir(at_home("state"), 0700) < 0)
		abort();
	memset(&settings, 0, sizeof(settings));
	memset(process_variables, 0, sizeof(process_variables));
	settings.gateway.kind = GATEWAY_OPENCLAW;
	settings.gateway.config_path = add(at_home(".openclaw/openclaw.json"));
	settings.gateway.state_directory = add(at_home(".openclaw"));
	settings.state_dir = add(at_home("state"));
	put(".openclaw/openclaw.json", config);
}

static bool finds(enum token_kind kind, const char *value)
{
	bool fits;

	why.text[0] = '\0';
	token_clear(&found);
	fits = token_find(&settings, &environment, &found, &why) == 0 && found.kind == kind &&
	       strcmp(found.value, value) == 0;
	if (!fits)
		printf("# kind %d, value \"%s\": %s\n", (int)found.kind, found.value, why.text);
	return fits;
}

static int fails_with(const char *words)
{
	int result = token_find(&settings, &environment, &found, &why);

	if (strstr(why.text, words) == NULL || found.value[0] != '\0' || found.kind != TOKEN_MISSING)
		printf("# \"%s\" without \"%s\", or with a value\n", why.text, words);
	return strstr(why.text, words) != NULL && found.value[0] == '\0' ? result : 0;
}

TEST("a token or password is taken by value, and a password without a mode makes it one")
{
	given("{ gateway: { auth: { mode: 'token', token: ' tok ', password: 'pass' } } }");
	CHECK(finds(TOKEN_SHARED, "tok"));
	put(".openclaw/openclaw.json",
	    "{ gateway: { auth: { mode: 'password', token: 'tok', password: 'pass' } } }");
	CHECK(finds(TOKEN_PASSWORD, "pass"));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { token: 'tok', password: 'pass' } } }");
	CHECK(finds(TOKEN_PASSWORD, "pass"));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { token: 'tok' } } }");
	CHECK(finds(TOKEN_SHARED, "tok"));
	home_remove();
}

TEST("without any there is none, and two modes need none")
{
	given("{ gateway: { mode: 'local' } }");
	CHECK(finds(TOKEN_MISSING, ""));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { mode: 'password', token: 'tok' } } }");
	CHECK(fails_with("no password is configured") == -ENOENT);
	put(".openclaw/openclaw.json", "{ gateway: { auth: { mode: 'none', token: 'tok' } } }");
	CHECK(finds(TOKEN_UNNEEDED, ""));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { mode: 'trusted-proxy' } } }");
	CHECK(finds(TOKEN_UNNEEDED, ""));
	put(".openclaw/openclaw.json", "{ gateway: [ broken");
	CHECK(finds(TOKEN_MISSING, ""));
	remove(at_home(".openclaw/openclaw.json"));
	CHECK(finds(TOKEN_MISSING, ""));
	settings.gateway.kind = GATEWAY_GENERIC;
	CHECK(finds(TOKEN_MISSING, ""));
	home_remove();
}

TEST("the file wins over the environment, and the command over both")
{
	given("{ gateway: { auth: { token: 'file' } } }");
	set_variable("OPENCLAW_GATEWAY_TOKEN", "variable");
	CHECK(finds(TOKEN_SHARED, "file"));
	put(".openclaw/openclaw.json", "{}");
	CHECK(finds(TOKEN_SHARED, "variable"));
	set_variable("OPENCLAW_GATEWAY_PASSWORD", "secret");
	CHECK(finds(TOKEN_PASSWORD, "secret"));
	settings.gateway.arguments[0] = add("openclaw");
	settings.gateway.arguments[1] = add("--auth=token");
	settings.gateway.arguments[2] = add("--token");
	settings.gateway.arguments[3] = add("command");
	settings.gateway.argument_count = 4;
	CHECK(finds(TOKEN_SHARED, "command"));
	home_remove();
}

TEST("variables are put in as OpenClaw does it, also within text")
{
	given("{ gateway: { auth: { token: '${TOK}' } } }");
	set_variable("TOK", "one");
	set_variable("TOK_2", "two");
	CHECK(finds(TOKEN_SHARED, "one"));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { token: 'a-${TOK}-${TOK_2}-b' } } }");
	CHECK(finds(TOKEN_SHARED, "a-one-two-b"));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { token: '$${TOK}' } } }");
	CHECK(finds(TOKEN_SHARED, "${TOK}"));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { token: '$TOK' } } }");
	CHECK(finds(TOKEN_SHARED, "one"));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { token: 'x$TOK ${tok} ${2A} ${ $' } } }");
	CHECK(finds(TOKEN_SHARED, "x$TOK ${tok} ${2A} ${ $"));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { token: '${NOT_THERE}' } } }");
	CHECK(fails_with("NOT_THERE") == -ENOENT);
	home_remove();
}

TEST("a variable is looked for in the process, .env, gateway.env and openclaw.json, in that order")
{
	given("{ env: { vars: { TOK: 'config-vars' }, TOK: 'config' }, gateway: { auth: { token: '${TOK}' } "
	      "} }");
	CHECK(finds(TOKEN_SHARED, "config-vars"));
	put(".config/openclaw/gateway.env", "OTHER=1\nexport TOK = 'gateway env' # why\n");
	CHECK(finds(TOKEN_SHARED, "gateway env"));
	put(".openclaw/.env", "# TOK=comment\nTOKEN=2\nTOK=first\nTOK=dot-env # comment\n");
	CHECK(finds(TOKEN_SHARED, "dot-env"));
	put(".openclaw/.env", "TOK=\"quoted # value\"\r\n");
	CHECK(finds(TOKEN_SHARED, "quoted # value"));
	set_variable("TOK", "process");
	CHECK(finds(TOKEN_SHARED, "process"));
	put(".openclaw/openclaw.json",
	    "{ env: { TOK_3: 'config' }, gateway: { auth: { token: '${TOK_3}' } } }");
	CHECK(finds(TOKEN_SHARED, "config"));
	home_remove();
}

TEST("an included file is read, and what stands beside the include wins")
{
	given("{ gateway: { $include: './auth.json5' } }");
	put(".openclaw/auth.json5", "{ auth: { token: 'included' } }");
	CHECK(finds(TOKEN_SHARED, "included"));
	put(".openclaw/openclaw.json",
	    "{ gateway: { $include: './auth.json5', auth: { token: 'beside' } } }");
	CHECK(finds(TOKEN_SHARED, "beside"));
	/* Read anew each time. */
	put(".openclaw/openclaw.json", "{ gateway: { $include: './auth.json5' } }");
	put(".openclaw/auth.json5", "{ auth: { token: 'rotated' } }");
	CHECK(finds(TOKEN_SHARED, "rotated"));
	home_remove();
}

TEST("a SecretRef of a variable or a file is followed; of a program it is not, and that is said")
{
	given("{ gateway: { auth: { token: { source: 'env', provider: 'default', id: 'TOK' } } } }");
	CHECK(fails_with("TOK") == -ENOENT);
	set_variable("TOK", "by-variable");
	CHECK(finds(TOKEN_SHARED, "by-variable"));
	put(".openclaw/openclaw.json",
	    "{ secrets: { providers: { main: { source: 'file', path: '~/secrets.json' }, "
	    "plain: { source: 'file', path: '~/plain', mode: 'singleValue' } }, defaults: { file: 'main' } "
	    "}, "
	    "gateway: { auth: { token: { source: 'file', provider: 'main', id: '/gateway/a~1b' } } } }");
	CHECK(fails_with("cannot be read") == -ENOENT);
	put("secrets.json", "{ \"gateway\": { \"a/b\": \"by-file\" } }");
	CHECK(finds(TOKEN_SHARED, "by-file"));
	put("secrets.json", "{ \"gateway\": { \"a/b\": [1] } }");
	CHECK(fails_with("no text at that place") == -ENOENT);
	put(".openclaw/openclaw.json",
	    "{ secrets: { providers: { plain: { source: 'file', path: '~/plain', mode: 'singleValue' } }, "
	    "defaults: { file: 'plain' } }, gateway: { auth: { password: { source: 'file', id: 'value' } } } "
	    "}");
	put("plain", "by-plain-file\n");
	CHECK(finds(TOKEN_PASSWORD, "by-plain-file"));
	put(".openclaw/openclaw.json",
	    "{ gateway: { auth: { token: { source: 'exec', provider: 'vault', id: 'x' } } } }");
	CHECK(fails_with("\"exec\"") == -ENOTSUP);
	put(".openclaw/openclaw.json",
	    "{ gateway: { auth: { token: { source: 'file', provider: 'x', id: '/y' } } } }");
	CHECK(fails_with("provider is not configured") == -ENOENT);
	home_remove();
}

TEST("a secret that is too long is refused, and never cut")
{
	static char config[4096];
	char value[600];

	memset(value, 'a', sizeof(value));
	value[TOKEN_MAX - 1] = '\0';
	snprintf(config, sizeof(config), "{ gateway: { auth: { token: '%s' } } }", value);
	given(config);
	CHECK(finds(TOKEN_SHARED, value));
	value[TOKEN_MAX - 1] = 'a';
	value[TOKEN_MAX] = '\0';
	snprintf(config, sizeof(config), "{ gateway: { auth: { token: '%s' } } }", value);
	put(".openclaw/openclaw.json", config);
	CHECK(fails_with("longer than 512") == -E2BIG);
	put(".openclaw/openclaw.json", "{}");
	set_variable("OPENCLAW_GATEWAY_TOKEN", value);
	CHECK(fails_with("longer than 512") == -E2BIG);
	home_remove();
}

TEST("a gateway is given a token only where nobody configured anything")
{
	static char token_variable[] = "OPENCLAW_GATEWAY_TOKEN=x";
	char *nothing_set[] = {NULL}, *set_outside[] = {token_variable, NULL};

	given("{ gateway: { mode: 'local' } }");
	CHECK(token_is_missing(&settings, nothing_set));
	CHECK(!token_is_missing(&settings, set_outside));
	settings.gateway.variables[0] = add("OPENCLAW_GATEWAY_PASSWORD=y");
	settings.gateway.variable_count = 1;
	CHECK(!token_is_missing(&settings, nothing_set));
	settings.gateway.variable_count = 0;
	put(".openclaw/openclaw.json", "{ gateway: { auth: { mode: 'token' } } }");
	CHECK(token_is_missing(&settings, nothing_set));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { mode: 'none' } } }");
	CHECK(!token_is_missing(&settings, nothing_set));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { mode: 'trusted-proxy' } } }");
	CHECK(!token_is_missing(&settings, nothing_set));
	/* The gateway will say itself that these are missing. */
	put(".openclaw/openclaw.json", "{ gateway: { auth: { mode: 'password' } } }");
	CHECK(!token_is_missing(&settings, nothing_set));
	put(".openclaw/openclaw.json", "{ gateway: { auth: { token: '${NOT_THERE}' } } }");
	CHECK(!token_is_missing(&settings, nothing_set));
	settings.gateway.kind = GATEWAY_GENERIC;
	CHECK(!token_is_missing(&settings, nothing_set));
	home_remove();
}

TEST("the token that is given is made once, kept to its owner, and made anew when others could read it")
{
	char first[128], second[128];
	struct stat status;

	given("{}");
	CHECK(token_ensure(&settings, first, sizeof(first), &why) == 0);
	CHECK(strlen(first) == TOKEN_GIVEN_LENGTH && strspn(first, "0123456789abcdef") == TOKEN_GIVEN_LENGTH);
	CHECK(stat(at_home("state/gateway-token"), &status) == 0 && (status.st_mode & 07777) == 0600);
	CHECK(access(at_home("state/gateway-token.new"), F_OK) < 0);
	CHECK(token_ensure(&settings, second, sizeof(second), &why) == 0);
	CHECK_TEXT(second, first);
	chmod(at_home("state/gateway-token"), 0644);
	CHECK(token_ensure(&settings, second, sizeof(second), &why) == 0);
	CHECK(strcmp(second, first) != 0);
	CHECK(stat(at_home("state/gateway-token"), &status) == 0 && (status.st_mode & 07777) == 0600);
	/* Damaged, or half written. */
	put("state/gateway-token", "0123");
	put("state/gateway-token.new", "left behind");
	CHECK(token_ensure(&settings, first, sizeof(first), &why) == 0);
	CHECK(strlen(first) == TOKEN_GIVEN_LENGTH && strcmp(second, first) != 0);
	/* Somebody's link is not followed. */
	remove(at_home("state/gateway-token"));
	put("elsewhere", second);
	CHECK(symlink(at_home("elsewhere"), at_home("state/gateway-token")) == 0);
	CHECK(token_ensure(&settings, first, sizeof(first), &why) == 0);
	CHECK(strcmp(second, first) != 0);
	CHECK(lstat(at_home("state/gateway-token"), &status) == 0 && S_ISREG(status.st_mode));
	CHECK(token_ensure(&settings, first, TOKEN_GIVEN_LENGTH, &why) == -EINVAL);
	settings.state_dir = add(at_home("nowhere"));
	CHECK(token_ensure(&settings, first, sizeof(first), &why) == -ENOENT);
	home_remove();
}
