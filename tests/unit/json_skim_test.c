/* The members of an object, read where they lie. */
#include <stdint.h>
#include <time.h>

#include "format/json_skim.h"
#include "support/tap.h"

#define LARGE (1024 * 1024)

static char large[LARGE];
static struct json_skim skim;
static struct json_span key, value;

static void given(const char *document)
{
	json_skim_begin(&skim, document, strlen(document));
}

static bool next_is(const char *wanted_key, const char *wanted_value)
{
	return json_skim_next(&skim, &key, &value) && json_span_is(&key, wanted_key) &&
	       json_span_spells(&value, wanted_value);
}

static struct json_span spelled(const char *bytes)
{
	return (struct json_span){bytes, strlen(bytes)};
}

TEST("the members of an object come in their order, with their values as they are spelled")
{
	given(
	    " { \"a\" : 1 , \"b\":\"x,\\\"}\",\"c\":{\"a\":2,\"d\":[\"]}\\\\\"]},\"d\":[{},[]],\t\"e\":true "
	    ",\"f\":null}\n");
	CHECK(next_is("a", "1"));
	CHECK(next_is("b", "\"x,\\\"}\""));
	CHECK(next_is("c", "{\"a\":2,\"d\":[\"]}\\\\\"]}"));
	CHECK(next_is("d", "[{},[]]"));
	CHECK(next_is("e", "true"));
	CHECK(!json_skim_is_whole(&skim));
	CHECK(next_is("f", "null"));
	CHECK(!json_skim_next(&skim, &key, &value));
	CHECK(skim.ended && !skim.cut && !skim.broken && json_skim_is_whole(&skim));
	CHECK(!json_skim_next(&skim, &key, &value) && value.bytes == NULL);
	given("{}");
	CHECK(!json_skim_next(&skim, &key, &value) && json_skim_is_whole(&skim));
	given("{} {}");
	CHECK(!json_skim_next(&skim, &key, &value) && skim.ended && !json_skim_is_whole(&skim));
}

TEST("an object within is read without being skipped first")
{
	struct json_skim inner;

	given("{\"a\":{\"b\":7},\"c\":1}");
	CHECK(json_skim_key(&skim, &key) && json_span_is(&key, "a"));
	json_skim_into(&skim, &inner);
	CHECK(
	    json_skim_next(&inner, &key, &value) && json_span_is(&key, "b") && json_span_spells(&value, "7"));
	CHECK(!json_skim_next(&inner, &key, &value) && inner.ended);
}

TEST("what is no object has no members, and is told from what is cut")
{
	static const char *const broken[] = {"[]", "x", "\"a\"", "{a:1}", "{,}", "{\"a\"}", "{\"a\" 1}",
	    "{\"a\":}", "{\"a\":1 \"b\":2}", "{\"a\":1,}", "{\"a\":[}]}", "{\"a\":{]}", "{\"a\":x}",
	    "{\"a\":1]"};
	static const char *const cut[] = {"", "  ", "{", "{\"", "{\"a", "{\"a\\\"", "{\"a\"",
	    "{\"a\":", "{\"a\":1", "{\"a\":\"b", "{\"a\":\"b\\\"", "{\"a\":[1", "{\"a\":[\"", "{\"a\":1,",
	    "{\"a\":{}"};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		given(broken[i]);
		while (json_skim_next(&skim, &key, &value))
			continue;
		if (!CHECK(skim.broken && !skim.ended && !skim.cut))
			printf("# %s\n", broken[i]);
	}
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		given(cut[i]);
		while (json_skim_next(&skim, &key, &value))
			continue;
		if (!CHECK(skim.cut && !skim.ended && !skim.broken))
			printf("# %s\n", cut[i]);
	}
}

TEST("of a value that is cut there is what there is")
{
	given("{\"a\":{\"b\":1,\"c");
	CHECK(!json_skim_next(&skim, &key, &value));
	CHECK(skim.cut && json_span_is(&key, "a") && json_span_spells(&value, "{\"b\":1,\"c"));
	given("{\"a\":1,\"b");
	CHECK(next_is("a", "1"));
	CHECK(!json_skim_next(&skim, &key, &value) && value.bytes == NULL);
}

TEST("no byte beyond the end is read, wherever the document is cut")
{
	static const char document[] = "{\"a\\\\\":\"\\\"\",\"b\":[1,{\"c\":\"\\ud83d\\ude00\"}],\"d\":-1.5e+"
	                               "3,\"a long key with a tail, so that it is looked for\":0}";

	for (size_t length = 0; length < sizeof(document) - 1; length++) {
		char *exact = malloc(length + 1);
		char text[64];
		double number;

		memcpy(exact + 1, document, length);
		json_skim_begin(&skim, exact + 1, length);
		while (json_skim_next(&skim, &key, &value)) {
			json_span_text(&value, text, sizeof(text));
			json_span_rough_text(&value, text, sizeof(text));
			json_span_number(&value, &number);
		}
		CHECK(skim.cut && !skim.broken);
		free(exact);
	}
}

TEST("what is too deep is refused, and what is just deep enough is not")
{
	memset(large, '[', 200);
	memcpy(large, "{\"a\":", 5);
	memset(large + 5 + 64, ']', 64);
	memcpy(large + 5 + 128, "}", 2);
	given(large);
	CHECK(json_skim_next(&skim, &key, &value) && value.length == 128);
	memset(large + 5, '[', 65);
	memset(large + 5 + 65, ']', 65);
	memcpy(large + 5 + 130, "}", 2);
	given(large);
	CHECK(!json_skim_next(&skim, &key, &value) && skim.broken);
}

static int64_t spent_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static size_t fill(bool quoted, const char *piece)
{
	size_t length = quoted ? 6 : 5;

	memcpy(large, "{\"a\":\"", 6);
	for (; length + strlen(piece) < sizeof(large); length += strlen(piece))
		memcpy(large + length, piece, strlen(piece));
	return length;
}

/* Quadratic time would be minutes; a megabyte in a second is slow even with a sanitizer on a busy machine. */
TEST("a hostile document costs linear time")
{
	static const char *const pieces[] = {"\\\\", "\\\"", "\\", "{\"a\":", "[", "\"\",", "\\\\\\\"", "1,"};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		for (int quoted = 0; quoted < 2; quoted++) {
			int64_t began = spent_us();
			size_t length = fill(quoted != 0, pieces[i]);

			json_skim_begin(&skim, large, length);
			while (json_skim_next(&skim, &key, &value))
				continue;
			CHECK(spent_us() - began < 1000000);
		}
}

static bool text_is(const char *bytes, const char *wanted)
{
	struct json_span span = spelled(bytes);
	char text[16];

	return json_span_text(&span, text, sizeof(text)) && strcmp(text, wanted) == 0 &&
	       json_span_is(&span, wanted);
}

TEST("a string is decoded, with its escapes")
{
	CHECK(text_is("\"\"", ""));
	CHECK(text_is("\"abc\"", "abc"));
	CHECK(text_is("\"a\\\"\\\\\\/b\"", "a\"\\/b"));
	CHECK(text_is("\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"));
	CHECK(text_is("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"));
	CHECK(text_is("\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80"));
	CHECK(text_is("\"123456789012345\"", "123456789012345"));
}

TEST("a string that is not valid, does not fit, or holds a control character is none")
{
	static const char *const bad[] = {"\"1234567890123456\"", "\"\\ud83d\"", "\"\\ude00\"",
	    "\"\\ud83d\\u0041\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\x41\"", "\"\\\"", "\"a\\n\"",
	    "\"\\u0000\"", "\"\\u001b[0m\"", "\"a\tb\"", "\"\x7f\"", "\"\\u0085\"", "\"\xff\"",
	    "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xe2\x82\"", "abc", "\"abc", "\"", "", "1", "null"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct json_span span = spelled(bad[i]);
		char text[16] = "before";

		if (!CHECK(!json_span_text(&span, text, sizeof(text))))
			printf("# %s\n", bad[i]);
		CHECK_TEXT(text, "");
	}
}

TEST("a rough text says where something was, and what fits")
{
	struct json_span span = spelled("\"a\\u0000b\xff\\ud83dc\\n\"");
	char text[16], little[4];

	CHECK(json_span_rough_text(&span, text, sizeof(text)));
	CHECK_TEXT(text, "a\x1a"
	                 "b\x1a\x1aud83dc\x1a");
	span = spelled("\"abc\xc3\xa9\"");
	CHECK(!json_span_rough_text(&span, little, sizeof(little)));
	CHECK_TEXT(little, "abc");
	span = spelled("12");
	CHECK(!json_span_rough_text(&span, text, sizeof(text)));
	CHECK_TEXT(text, "");
}

TEST("a string is compared by what it says, not by how it is spelled")
{
	struct json_span span = spelled("\"run\\u0049d\"");

	CHECK(json_span_is(&span, "runId") && !json_span_is(&span, "runI") && !json_span_is(&span, "runIdx"));
	span = spelled("\"a\\\\b\"");
	CHECK(json_span_is(&span, "a\\b") && !json_span_is(&span, "a\\\\b"));
	span = spelled("\"a\\u0000\"");
	CHECK(!json_span_is(&span, "a"));
	span = spelled("true");
	CHECK(!json_span_is(&span, "true") && json_span_spells(&span, "true"));
	span = (struct json_span){0};
	CHECK(!json_span_is(&span, "") && !json_span_spells(&span, ""));
}

TEST("numbers are those of RFC 8259")
{
	static const struct {
		const char *text;
		double number;
	} good[] = {{"0", 0}, {"-0", 0}, {"7", 7}, {"1796073628259", 1796073628259}, {"-1.5e+3", -1500},
	    {"0.25", 0.25}, {"999999999999999", 999999999999999},
	    {"12345678901234567890", 12345678901234567890.0}, {"1E2", 100}};
	static const char *const bad[] = {"", "-", "01", "00", ".5", "1.", "1e", "1e+", "+1", "0x10", "1 ",
	    "Infinity", "nan", "\"1\"", "1111111111111111111111111111111111111111111111111111111111111111"};
	double number;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct json_span span = spelled(good[i].text);

		CHECK(json_span_number(&span, &number) && number == good[i].number);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct json_span span = spelled(bad[i]);

		CHECK(!json_span_number(&span, &number));
	}
}
