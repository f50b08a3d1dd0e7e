/* Secrets in command lines are not shown. */
#include "support/tap.h"

#include "base/mask.h"

/* As a person sees it. A bar between two words ends the one before. */
static const char *masked(const char *words)
{
	static char shown[256];
	char bytes[256];
	size_t length = strlen(words);

	for (size_t i = 0; i <= length; i++)
		bytes[i] = words[i];
	for (size_t i = 0; i < length; i++)
		bytes[i] = words[i] == '|' ? '\0' : words[i];
	length = mask_secrets(bytes, length + 1, shown, sizeof(shown));
	CHECK(length > 0 && shown[length - 1] == '\0');
	for (size_t i = 0; i + 1 < length; i++)
		if (shown[i] == '\0')
			shown[i] = '|';
	return shown;
}

TEST("what follows an option that takes a secret is masked")
{
	CHECK_TEXT(masked("x|--token|abc|run"), "x|--token|***|run");
	CHECK_TEXT(masked("x|--password|two words|run"), "x|--password|***|run");
	CHECK_TEXT(masked("x|--api-key|abc"), "x|--api-key|***");
	CHECK_TEXT(masked("x|--apiKey|abc|--key|d|--secret|e"), "x|--apiKey|***|--key|***|--secret|***");
	CHECK_TEXT(masked("x|--gateway-token|abc|--TOKEN|d"), "x|--gateway-token|***|--TOKEN|***");
	CHECK_TEXT(masked("x|--token=abc|--api-key=d e|run"), "x|--token=***|--api-key=***|run");
	CHECK_TEXT(masked("x|--token"), "x|--token");
	CHECK_TEXT(masked("x|--token||run"), "x|--token||run");
}

TEST("... also among several words in one")
{
	CHECK_TEXT(masked("sh|-c|x --token abc run"), "sh|-c|x --token *** run");
	CHECK_TEXT(masked("sh|-c|x --token 'a b' run"), "sh|-c|x --token '***' run");
	CHECK_TEXT(masked("sh|-c|x --token \"a b\" run"), "sh|-c|x --token \"***\" run");
	CHECK_TEXT(masked("openclaw gateway --password=abc run"), "openclaw gateway --password=*** run");
	CHECK_TEXT(masked("sh|-c|x --token 'never closed"), "sh|-c|x --token '***");
}

TEST("the value of a variable that is named after a secret is masked")
{
	CHECK_TEXT(masked("env|OPENAI_API_KEY=abc|x"), "env|OPENAI_API_KEY=***|x");
	CHECK_TEXT(masked("env|db_passwd=a b|MY_SECRET_1=c|x"), "env|db_passwd=***|MY_SECRET_1=***|x");
	CHECK_TEXT(masked("sh|-c|cd /; Token=abc x"), "sh|-c|cd /; Token=*** x");
	CHECK_TEXT(masked("curl|https://h/p?a=1&token=abc"), "curl|https://h/p?a=1&token=***");
	CHECK_TEXT(masked("x|TOKEN="), "x|TOKEN=");
}

TEST("headers and JSON are read as well")
{
	CHECK_TEXT(masked("curl|-H|Authorization: Bearer abc.d-e|h"), "curl|-H|Authorization: Bearer ***|h");
	CHECK_TEXT(masked("curl|-H|authorization: basic QWxh|h"), "curl|-H|authorization: basic ***|h");
	CHECK_TEXT(masked("curl|-H|Authorization:|Bearer|abc|h"), "curl|-H|Authorization:|Bearer|***|h");
	CHECK_TEXT(masked("curl|-H|X-Api-Key: abc|h"), "curl|-H|X-Api-Key: ***|h");
	CHECK_TEXT(masked("curl|-d|{\"botToken\": \"a b\",\"c\":\"d\"}"),
	    "curl|-d|{\"botToken\": \"***\",\"c\":\"d\"}");
	CHECK_TEXT(masked("sh|-c|curl -d \"{\\\"token\\\":\\\"abc\\\"}\""),
	    "sh|-c|curl -d \"{\\\"token\\\":\\\"***\"}\"");
}

TEST("who is named in a URL is masked, and the rest of it is not")
{
	CHECK_TEXT(masked("git|clone|https://user:pass@h/p@q"), "git|clone|https://***@h/p@q");
	CHECK_TEXT(masked("git|clone|https://ghp_abc@h/p"), "git|clone|https://***@h/p");
	CHECK_TEXT(masked("psql|postgres://u:p@ss@h:5432/db"), "psql|postgres://***@h:5432/db");
	CHECK_TEXT(masked("curl|http://127.0.0.1:80/a@b|x@y"), "curl|http://127.0.0.1:80/a@b|x@y");
	CHECK_TEXT(masked("curl|http://127.0.0.1:80|x@y"), "curl|http://127.0.0.1:80|x@y");
}

TEST("what looks like an API key is masked wherever it stands")
{
	CHECK_TEXT(masked("x|sk-abcdefgh|y"), "x|***|y");
	CHECK_TEXT(masked("x|(sk-ant-api03-A_b9)"), "x|(***)");
	CHECK_TEXT(masked("x|sk-short|task-abcdefghij"), "x|sk-short|task-abcdefghij");
}

TEST("what is no secret is shown as it is")
{
	static const char *const lines[] = {"sleep|600", "sqlite3|/srv/state.db|select 1;",
	    "node|--max-old-space-size=4096|/srv/openclaw.mjs|gateway", "x|--token-file|/run/t|--keyring|k",
	    "x|--monitor|a=b|c:d", "cp|C:/keys/a|b", "x|--max-tokens|5"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CHECK_TEXT(masked(lines[i]), lines[i]);
}

TEST("what is cut is never more than was given, and nothing of a secret")
{
	const char words[] = "x\0--token\0abcdefghijklmnop\0y", url[] = "x\0https://user:pas";
	char shown[64];

	for (size_t length = 0; length <= sizeof(words); length++)
		for (size_t size = 1; size < sizeof(shown); size++) {
			size_t used = mask_secrets(words, length, shown, size);

			CHECK(used < size && shown[used] == '\0' && memmem(shown, used, "ab", 2) == NULL);
		}
	CHECK(mask_secrets(url, sizeof(url) - 1, shown, sizeof(shown)) == 13);
	CHECK_TEXT(shown + 2, "https://***");
}
