/* What `holdfast check` says of keys that cannot be had, and which variables are noted as secrets. */
#include "tests/support/settings_home.h"

static void given_key(const char *key, const char *rest)
{
	char text[1024];

	snprintf(text, sizeof(text),
	    "{ relay: { providers: { a: { api: 'anthropic-messages', baseUrl: 'https://h', profiles: [\n"
	    "  { id: 'w', key: '%s'%s } ] } } } }",
	    key, rest);
	put(".openclaw/holdfast.json", text);
}

static void given_file(mode_t mode)
{
	put("key", "sk-secret");
	if (chmod(at_home("key"), mode) < 0)
		abort();
	given_key("file:~/key", "");
}

TEST("a file with a key that others may use, or that is none, is remarked upon")
{
	static const mode_t refused[] = {0640, 0604, 0620, 0610, 0777};

	home_make();
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		given_file(refused[i]);
		check_loads();
		CHECK_TEXT(remarks, with_home("%/key, which is to hold a key, may be read or written by "
		                              "others: make its mode 0600.\n"));
	}
	given_file(0400);
	check_loads();
	CHECK_TEXT(remarks, "");
	given_key("file:~/bin", "");
	check_loads();
	CHECK_TEXT(remarks, with_home("%/bin, which is to hold a key, is no file.\n"));
	given_key("file:~/nothing", "");
	check_loads();
	CHECK_TEXT(
	    remarks, with_home("The secret file:%/nothing cannot be read: No such file or directory.\n"));
}

TEST("a link to a file is judged by the file")
{
	home_make();
	given_file(0644);
	if (symlink(at_home("key"), at_home("link")) < 0)
		abort();
	given_key("file:~/link", "");
	check_loads();
	CHECK(strstr(remarks, "make its mode 0600") != NULL);
	given_file(0600);
	given_key("file:~/link", "");
	check_loads();
	CHECK_TEXT(remarks, "");
}

TEST("another user's file is remarked upon")
{
	home_make();
	given_file(0600);
	if (geteuid() != 0)
		return; /* only root can give a file away */
	CHECK(chown(at_home("key"), 65534, 65534) == 0);
	check_loads();
	CHECK_TEXT(remarks, with_home("%/key, which is to hold a key, belongs to another user.\n"));
}

TEST("a command that cannot be run is remarked upon, without its arguments")
{
	home_make();
	given_key("exec:/no/such/program --for hunter2", "");
	check_loads();
	CHECK_TEXT(remarks,
	    "/no/such/program, which is to print a key, cannot be run: No such file or directory.\n");
	given_key("exec:/etc/passwd", "");
	check_loads();
	CHECK_TEXT(remarks, "/etc/passwd, which is to print a key, cannot be run: Permission denied.\n");
	given_key("exec:/bin", "");
	check_loads();
	CHECK_TEXT(remarks, "/bin, which is to print a key, cannot be run: Permission denied.\n");
	given_key("exec:/bin/echo sk-x", "");
	check_loads();
	CHECK_TEXT(remarks, "");
	CHECK(settings.secret_count == 0);
}

TEST("a variable with a key is a secret, whether it is set or not")
{
	home_make();
	given_key("env:KEY_W", "");
	check_loads();
	CHECK_TEXT(remarks, "The variable KEY_W, which is to hold a secret, is not set.\n");
	set("KEY_W=%s", "sk-secret");
	check_loads();
	CHECK_TEXT(remarks, "");
	CHECK(settings.secret_count == 1);
	CHECK_TEXT(text_of(settings.secrets[0]), "KEY_W");
}

TEST("how the gateway is told of a limit is of use for its own logins only")
{
	home_make();
	given_key("gateway", ", rotate: '401'");
	check_loads();
	CHECK_TEXT(remarks, "");
	given_key("exec:/bin/echo sk-x", ", rotate: '401'");
	check_loads();
	CHECK_TEXT(remarks,
	    "The \"rotate\" of the profile \"w\" of a has no effect: only a login of the gateway's own (key "
	    "\"gateway\") has a next one.\n");
}
