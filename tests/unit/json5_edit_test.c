#include <errno.h>

#include "format/json5_edit.h"
#include "tests/support/tap.h"

static struct json_value values[1 << 12];
static char strings[1 << 14];
static struct json_document document;
static struct json_source source;
static char result[1 << 14];

static void given(const char *bytes)
{
	struct json_fault fault;

	document = (struct json_document){
	    .values = values, .value_max = 1 << 12, .strings = strings, .string_size = sizeof(strings)};
	source = (struct json_source){bytes, strlen(bytes), &document};
	CHECK(json_parse(&document, bytes, source.length, JSON_5, &fault) == 0);
}

/* "a.b": the value there; "" the root. */
static const struct json_value *at(const char *path)
{
	const struct json_value *value = json_root(&document);
	char words[128], *rest = words, *word;

	snprintf(words, sizeof(words), "%s", path);
	while ((word = strsep(&rest, ".")) != NULL)
		if (*word != '\0' && value != NULL)
			value = json_find(&document, value, word);
	return value;
}

static const char *inserted(const char *bytes, const char *path, const char *member)
{
	struct text text;

	given(bytes);
	text_init(&text, result, sizeof(result));
	CHECK(json_edit_insert(&source, at(path), member, &text) == 0);
	return result;
}

static const char *removed(const char *bytes, const char *object, const char *key)
{
	struct text text;

	given(bytes);
	text_init(&text, result, sizeof(result));
	CHECK(json_edit_remove(&source, at(object), json_find(&document, at(object), key), &text) == 0);
	return result;
}

TEST("a value is replaced, and nothing else")
{
	struct text text;

	/* given */
	given("{ a: 'x', /* why */ b: \"y\", }\n");

	/* when */
	text_init(&text, result, sizeof(result));
	CHECK(json_edit_replace(&source, at("b"), "\"z\"", &text) == 0);

	/* then */
	CHECK_TEXT(result, "{ a: 'x', /* why */ b: \"z\", }\n");
}

TEST("a member takes the place and the form of the ones before it")
{
	/* given, when, then: on one line */
	CHECK_TEXT(inserted("{a:1}", "", "m: 2"), "{a:1, m: 2}");
	CHECK_TEXT(inserted("{ a: 1, }", "", "m: 2"), "{ a: 1, m: 2, }");
	CHECK_TEXT(inserted("{ a: { b: 1 } }", "a", "m: 2"), "{ a: { b: 1, m: 2 } }");
	/* on lines of their own */
	CHECK_TEXT(inserted("{\n\ta: 1\n}\n", "", "m: 2"), "{\n\ta: 1,\n\tm: 2\n}\n");
	CHECK_TEXT(inserted("{\n  a: 1,\n}\n", "", "m: 2"), "{\n  a: 1,\n  m: 2,\n}\n");
	CHECK_TEXT(inserted("{\r\n  a: 1\r\n}", "", "m: 2"), "{\r\n  a: 1,\r\n  m: 2\r\n}");
	CHECK_TEXT(
	    inserted("{\n  a: {\n    b: 1\n  }\n}", "a", "m: 2"), "{\n  a: {\n    b: 1,\n    m: 2\n  }\n}");
	/* mixed */
	CHECK_TEXT(inserted("{ a: 1,\n  b: 2 }", "", "m: 2"), "{ a: 1,\n  b: 2,\n  m: 2 }");
}

TEST("comments stay with what they stand beside")
{
	CHECK_TEXT(inserted("{\n\ta: 1 // one\n}", "", "m: 2"), "{\n\ta: 1, // one\n\tm: 2\n}");
	CHECK_TEXT(inserted("{\n\ta: 1, // one\n\t/* end */ }", "", "m: 2"),
	    "{\n\ta: 1, // one\n\t/* end */\n\tm: 2, }");
	CHECK_TEXT(inserted("{ a: 1 /* , */ }", "", "m: 2"), "{ a: 1, /* , */ m: 2 }");
	CHECK_TEXT(inserted("{ a: 'x}', /* } */ }", "", "m: 2"), "{ a: 'x}', /* } */ m: 2, }");
}

TEST("an empty object gets its first member")
{
	CHECK_TEXT(inserted("{}", "", "m: 2"), "{ m: 2 }");
	CHECK_TEXT(inserted("{ }", "", "m: 2"), "{ m: 2 }");
	CHECK_TEXT(inserted("{\n}\n", "", "m: 2"), "{\n  m: 2\n}\n");
	CHECK_TEXT(inserted("{\n\ta: {\n\t},\n}", "a", "m: 2"), "{\n\ta: {\n\t\tm: 2\n\t},\n}");
	CHECK_TEXT(inserted("{ // nothing yet\n}", "", "m: 2"), "{ // nothing yet\n  m: 2\n}");
}

TEST("a member goes with its comma")
{
	CHECK_TEXT(removed("{ a: 1, b: 2, c: 3 }", "", "a"), "{ b: 2, c: 3 }");
	CHECK_TEXT(removed("{ a: 1, b: 2, c: 3 }", "", "b"), "{ a: 1, c: 3 }");
	CHECK_TEXT(removed("{ a: 1, b: 2, c: 3 }", "", "c"), "{ a: 1, b: 2 }");
	CHECK_TEXT(removed("{ a: 1 }", "", "a"), "{ }");
	CHECK_TEXT(removed("{\n a: 1, // c\n m: 2, b: 3\n}", "", "m"), "{\n a: 1, // c\n  b: 3\n}");
}

TEST("what is inserted and removed again leaves no trace")
{
	static const char *const shapes[] = {"{a:1}", "{ a: 1, }", "{ \"a\": 1 }", "{\n\ta: 1\n}\n",
	    "{\n\ta: 1,\n}\n", "{\r\n\ta: 1,\r\n\tb: [\r\n]\r\n}", "{\n\ta: 1 // one\n}",
	    "{\n\ta: 1, // one  \n}", "{\n\ta: 1\n\t// the end\n}", "{\n\ta: 1,\n\t/* the // end */ }",
	    "{ a: 1 /* x */ , /* y */ }", "{a:{b:{}}}", "// head\n{ a: 'b\\\nc' }\n// tail",
	    "\xef\xbb\xbf{\n a:1}", "{a:1 // x\n,\n}", "{ a: 1 // x\xe2\x80\xa8 }", "{\n\n\ta: 1\n\n}",
	    "{a:1,\r}"};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		char changed[256];

		snprintf(changed, sizeof(changed), "%s", inserted(shapes[i], "", "m: { n: [], }"));
		CHECK_TEXT(removed(changed, "", "m"), shapes[i]);
	}
}

TEST("what is not of the document, or has no room, is refused")
{
	struct json_value other = {.type = JSON_OBJECT, .start = 0, .end = 2};
	struct text text;

	given("{ a: 1 }");
	text_init(&text, result, sizeof(result));
	CHECK(json_edit_insert(&source, &other, "m: 2", &text) == -EINVAL);
	CHECK(json_edit_insert(&source, at("a"), "m: 2", &text) == -EINVAL);
	CHECK(json_edit_remove(&source, at(""), NULL, &text) == -EINVAL);
	CHECK(json_edit_remove(&source, at(""), at(""), &text) == -EINVAL);
	CHECK(text.length == 0);
	text_init(&text, result, 8);
	CHECK(json_edit_insert(&source, at(""), "m: 2", &text) == -ENOBUFS);
}

TEST("how keys are written is seen")
{
	given("{ a: 1 }");
	CHECK(!json_edit_quotes_keys(&source));
	given("{ // c\n \"a\": 1 }");
	CHECK(json_edit_quotes_keys(&source));
	given("[]");
	CHECK(!json_edit_quotes_keys(&source));
}
