#include "cli/relay_edits.h"
#include "tests/support/tap.h"

#define RELAY "http://127.0.0.1:18791/"

static struct relay_edits edits;
static struct relay_text text;
static struct error why;

static void given(const char *bytes)
{
	edits = (struct relay_edits){0};
	CHECK(relay_text_set(&text, bytes, strlen(bytes)) == 0);
}

static void enabled(const char *id, const char *placeholder, unsigned seconds)
{
	char address[128];
	struct relay_wish wish = {.id = id,
	    .address = address,
	    .models = true,
	    .placeholder = placeholder,
	    .timeout_seconds = seconds};

	snprintf(address, sizeof(address), RELAY "%s", id);
	if (!CHECK(relay_edits_make(&edits, &text, &wish, &why) == 0))
		printf("# %s\n", why.text);
}

static int undone(void)
{
	int skipped;

	CHECK(relay_edits_undo(&edits, &text, &skipped, &why) == 0);
	return skipped;
}

static const char *direct(const void *context, const char *id)
{
	return strcmp(id, "unknown") == 0 ? NULL : context;
}

TEST("an address that is there is replaced, and comes back as it was spelled")
{
	static const char before[] = "{ // mine\n\tmodels: { providers: {\n\t\tmock: { baseUrl: "
	                             "'https://x/v1', apiKey: 'sk' },\n\t} },\n}\n";

	/* given, when */
	given(before);
	enabled("mock", NULL, 0);

	/* then */
	CHECK_TEXT(text.bytes, "{ // mine\n\tmodels: { providers: {\n\t\tmock: { baseUrl: \"" RELAY
	                       "mock\", apiKey: 'sk' },\n\t} },\n}\n");
	CHECK(undone() == 0);
	CHECK_TEXT(text.bytes, before);
}

TEST("what has no entry gets one, with all that is missing above it")
{
	given("{\n  \"gateway\": { \"mode\": \"local\" }\n}\n");
	enabled("anthropic", "sk-ant-x", 390);
	CHECK_TEXT(text.bytes,
	    "{\n  \"gateway\": { \"mode\": \"local\" },\n  \"models\": { \"providers\": { \"anthropic\": { "
	    "\"baseUrl\": \"" RELAY
	    "anthropic\", \"models\": [], \"apiKey\": \"sk-ant-x\", \"timeoutSeconds\": 390 } } }\n}\n");
	CHECK(undone() == 0);
	CHECK_TEXT(text.bytes, "{\n  \"gateway\": { \"mode\": \"local\" }\n}\n");
}

TEST("in whatever form the file is: enabled and undone it is the same, byte for byte")
{
	static const char *const shapes[] = {"{ gateway: {} }", "{ models: {} , }",
	    "{ models: { providers: { } } }", "{ models: { providers: { anthropic: {} } } }",
	    "{ models: { providers: { anthropic: { /* none */ } } } }",
	    "{\n\tmodels: { // ours\n\t\tmode: 'merge', // so\n\t},\n}", "{ a: 1 /* x */ }",
	    "{\r\n\tmodels: {\r\n\t\tproviders: {\r\n\t\t\topenai: { models: [] }\r\n\t\t}\r\n\t}\r\n}\r\n",
	    ("{ \"models\": { \"providers\": { \"anthropic\": { \"baseUrl\": "
	     "\"https:\\u002f/api.anthropic.com\", \"timeoutSeconds\": 5 } } } }")};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		given(shapes[i]);
		enabled("anthropic", i % 2 ? "sk-ant-x" : NULL, i % 3 ? 390 : 0);
		enabled("openai", "sk-x", 390);
		CHECK(strstr(text.bytes, RELAY "anthropic\"") != NULL &&
		      strstr(text.bytes, RELAY "openai\"") != NULL);
		CHECK(undone() == 0);
		CHECK_TEXT(text.bytes, shapes[i]);
	}
}

TEST("what the user changed since stays, and only what is ours goes")
{
	/* given */
	given("{ gateway: { mode: 'local' } }");
	enabled("anthropic", "sk-ant-x", 390);
	/* when the user adds a header to the entry, and another setting */
	given("{ gateway: { mode: 'local', port: 1 }, models: { providers: { anthropic: { baseUrl: \"" RELAY
	      "anthropic\", models: [], apiKey: \"sk-ant-x\", headers: { a: 'b' }, timeoutSeconds: 390 } } } "
	      "}");
	edits.count = 1;
	edits.list[0] = (struct relay_edit){.depth = 1, .inserted = true, .keys = {"models"}};
	snprintf(edits.list[0].after, RELAY_TEXT_BYTES,
	    "{ providers: { anthropic: { baseUrl: \"" RELAY
	    "anthropic\", models: [], apiKey: \"sk-ant-x\", timeoutSeconds: 390 } } }");

	/* then */
	CHECK(undone() == 1);
	int changed, left;

	CHECK(
	    relay_edits_sweep(&text, RELAY, direct, "https://api.anthropic.com", &changed, &left, &why) == 0);
	CHECK(changed == 1 && left == 0);
	CHECK_TEXT(text.bytes,
	    "{ gateway: { mode: 'local', port: 1 }, models: { providers: { anthropic: { baseUrl: "
	    "\"https://api.anthropic.com\", headers: { a: 'b' } } } } }");
}

TEST("without any record the addresses go back to what the settings know, and others are counted")
{
	int changed, left;

	given("{ models: { providers: { unknown: { baseUrl: '" RELAY "unknown' }, b: { baseUrl: '" RELAY
	      "b' }, c: { baseUrl: 'https://c' } } } }");
	CHECK(relay_edits_sweep(&text, RELAY, direct, "https://b", &changed, &left, &why) == 0);
	CHECK(changed == 1 && left == 1);
	CHECK_TEXT(text.bytes,
	    "{ models: { providers: { unknown: { baseUrl: '" RELAY
	    "unknown' }, b: { baseUrl: \"https://b\" }, c: { baseUrl: 'https://c' } } } }");
}

TEST("what is no object is refused")
{
	struct relay_wish wish = {.id = "a", .address = RELAY};

	given("{ models: [] }");
	CHECK(relay_edits_make(&edits, &text, &wish, &why) < 0);
	CHECK_TEXT(why.text, "The member models in the configuration is a list, but must be an object.");
	CHECK(edits.count == 0);
	CHECK_TEXT(text.bytes, "{ models: [] }");
	relay_text_release(&text);
}
