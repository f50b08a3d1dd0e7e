#include <errno.h>
#include <math.h>

#include "format/json5.h"
#include "format/json_write.h"
#include "tests/support/tap.h"

static struct json_value values[1 << 16];
static char strings[1 << 20];
static struct json_document document;
static struct json_fault fault;

static int parse_bytes(const char *bytes, size_t length, enum json_dialect dialect)
{
	document = (struct json_document){
	    .values = values,
	    .value_max = sizeof(values) / sizeof(values[0]),
	    .strings = strings,
	    .string_size = sizeof(strings),
	};
	fault = (struct json_fault){0};
	return json_parse(&document, bytes, length, dialect, &fault);
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text), JSON_5);
}

static const struct json_value *at(const char *key)
{
	return json_find(&document, json_root(&document), key);
}

/* "LINE:COLUMN: what", or "" when it was accepted. */
static const char *complaint(const char *text, enum json_dialect dialect)
{
	static char sentence[256];

	if (parse_bytes(text, strlen(text), dialect) == 0)
		return "";
	snprintf(sentence, sizeof(sentence), "%u:%u: %s", fault.place.line, fault.place.column, fault.text);
	return sentence;
}

TEST("what JSON5 allows beyond JSON is understood")
{
	/* given */
	const char *text = "\xef\xbb\xbf// settings\n"
	                   "{ /* all */ plain: 1, 'single': 'it\\'s', \"double\": \"a\\x41\\u00e9\\\nb\",\n"
	                   "  hex: 0xFf, plus: +.5, minus: -Infinity, nan: NaN, end: 5., list: [1, 2,], }\n";

	/* when */
	int result = parse(text);

	/* then */
	CHECK(result == 0);
	CHECK(at("plain")->number == 1);
	CHECK_TEXT(at("single")->string.bytes, "it's");
	CHECK_TEXT(at("double")->string.bytes, "aA\xc3\xa9"
	                                       "b");
	CHECK(at("hex")->number == 255);
	CHECK(at("plus")->number == 0.5);
	CHECK(isinf(at("minus")->number) && at("minus")->number < 0);
	CHECK(isnan(at("nan")->number));
	CHECK(at("end")->number == 5);
	CHECK(at("list")->children.count == 2);
	CHECK(at("none") == NULL);
}

TEST("every value and key knows its line and column")
{
	/* given: a tab, characters of several bytes, and all three ends of a line */
	CHECK(parse("{\r\n\t'\xc3\xa9\xf0\x9f\x98\x80': 1,\r  second:\n 'two' }") == 0);

	/* then */
	const struct json_value *first = json_first(&document, json_root(&document));
	const struct json_value *second = json_next(&document, first);

	CHECK(first->key_place.line == 2 && first->key_place.column == 2);
	CHECK(first->place.line == 2 && first->place.column == 8);
	CHECK(second->key_place.line == 3 && second->key_place.column == 3);
	CHECK(second->place.line == 4 && second->place.column == 2);
	CHECK(json_next(&document, second) == NULL);
}

TEST("of duplicate keys the last one counts")
{
	CHECK(parse("{a: 1, b: 2, a: 3}") == 0);
	CHECK(at("a")->number == 3);
}

TEST("escapes, surrogates and NUL come out as UTF-8")
{
	CHECK(parse("['\\ud83d\\ude00', '\\ud83d', '\\ude00\\ud83d\\ud83d\\ude00', 'a\\0b', '\\v\\q']") == 0);
	const struct json_value *item = json_first(&document, json_root(&document));

	CHECK_TEXT(item->string.bytes, "\xf0\x9f\x98\x80");
	item = json_next(&document, item);
	CHECK_TEXT(item->string.bytes, "\xef\xbf\xbd");
	item = json_next(&document, item);
	CHECK_TEXT(item->string.bytes, "\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80");
	item = json_next(&document, item);
	CHECK(item->string.length == 3 && memcmp(item->string.bytes, "a\0b", 4) == 0);
	CHECK(!json_string_is(item, "a"));
	item = json_next(&document, item);
	CHECK_TEXT(item->string.bytes, "\vq");
}

TEST("what is wrong is said with its place")
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
	    {"", "1:1: expected a value, but found the end of the file"},
	    {"{a: 1", "1:6: expected \",\" or \"}\", but found the end of the file"},
	    {"{a: 1 b: 2}", "1:7: expected \",\" or \"}\", but found \"b\""},
	    {"{a 1}", "1:4: expected \":\", but found \"1\""},
	    {"{1: 2}", "1:2: expected a key or \"}\", but found \"1\""},
	    {"{,}", "1:2: expected a key or \"}\", but found \",\""},
	    {"[1,,2]", "1:4: expected a value, but found \",\""},
	    {"[1] 2", "1:5: expected the end of the file, but found \"2\""},
	    {"{\n  a: tru\n}", "2:6: expected a value, but found \"t\""},
	    {"'abc", "1:1: this text is never closed"},
	    {"'abc\n'", "1:1: this text is never closed"},
	    {"'abc\\", "1:6: this text is never closed"},
	    {"[\n/* abc", "2:1: this comment is never closed"},
	    {"[1 / 2]", "1:4: a comment begins with \"//\" or \"/*\""},
	    {"012", "1:2: a number cannot begin with 0"},
	    {"0x", "1:3: expected a hexadecimal digit, but found the end of the file"},
	    {".", "1:2: expected a digit, but found the end of the file"},
	    {"1e+", "1:4: expected a digit, but found the end of the file"},
	    {"+ 1", "1:2: expected a digit, but found \" \""},
	    {"'\\x1g'", "1:5: expected two hexadecimal digits, but found \"g\""},
	    {"'\\u12'", "1:6: expected four hexadecimal digits, but found \"'\""},
	    {"'\\07'", "1:2: \"\\0\" cannot be followed by a digit"},
	    {"'\\1'", "1:2: \"\\1\" is no escape"},
	    {"{\xe2\x80\x9c"
	     "a\xe2\x80\x9d: 1}",
	        "1:2: expected a key or \"}\", but found \"\xe2\x80\x9c\""},
	    {"[\n 'a\xff']", "2:4: the byte 0xFF is not valid UTF-8"},
	    {"'\xed\xa0\x80'", "1:2: the byte 0xED is not valid UTF-8"},
	    {"'\xc0\xaf'", "1:2: the byte 0xC0 is not valid UTF-8"},
	    {"\x01", "1:1: expected a value, but found U+0001"},
	    {"{\"a\"\"", "1:5: expected \":\", but found '\"'"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_TEXT(complaint(cases[i].text, JSON_5), cases[i].wanted);
}

TEST("strict JSON is only JSON")
{
	static const char *const refused[] = {"{a:1}", "'a'", "[1,]", "{\"a\":1,}", "+1", ".5", "5.", "0x1",
	    "NaN", "Infinity", "-Infinity", "// a\n1", "/* a */1", "\"\t\"", "\"\\x41\"", "\"\\v\"",
	    "\"\\'\"", "\"\\\n\"", "\xef\xbb\xbf 1", "01", "1.e3", "\f1", "[,]", "{,}", "\"\\0\""};
	static const char *const accepted[] = {
	    "{\"a\":[1,-2.5e-3,true,false,null,\"\\u0041\\/\\n\"]}", " [ ] ", "0", "-0"};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (!CHECK(parse_bytes(refused[i], strlen(refused[i]), JSON_STRICT) == -EBADMSG))
			printf("# accepted: %s\n", refused[i]);
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		CHECK_TEXT(complaint(accepted[i], JSON_STRICT), "");
	CHECK_TEXT(
	    complaint("[1,]", JSON_STRICT), "1:4: expected another value after the comma, but found \"]\"");
}

TEST("nesting is bounded")
{
	char text[2 * (JSON_DEPTH_MAX + 1) + 1];

	/* given: as deep as allowed */
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	CHECK(parse_bytes(text, 2 * JSON_DEPTH_MAX, JSON_5) == 0);

	/* when: one deeper */
	memset(text, '[', JSON_DEPTH_MAX + 1);
	CHECK(parse_bytes(text, JSON_DEPTH_MAX + 1, JSON_5) == -EBADMSG);

	/* then */
	CHECK_TEXT(fault.text, "this is nested more than 64 deep");
}

TEST("memory that is too small is said, not overrun")
{
	const char *text = "{key: ['some', 'texts', 1234567890]}";
	struct json_value few[8];
	char little[64];
	int wanted = 0;

	for (uint32_t value_max = 0; value_max <= 6; value_max++)
		for (size_t size = 0; size <= 40; size++) {
			struct json_document small = {
			    .values = few, .value_max = value_max, .strings = little, .string_size = size};
			int result = json_parse(&small, text, strlen(text), JSON_5, &fault);

			wanted += result == 0;
			CHECK(result == 0 || result == -ENOBUFS);
			CHECK(small.string_used <= size && small.value_count <= value_max);
		}
	CHECK(wanted > 0);
}

TEST("what the macros promise is enough for any document")
{
	static const char *const texts[] = {
	    "[[],[],[]]", "{a:{},b:{}}", "''", "1", "[0,0,0,0,0,0]", "{a:1e1}", "[[[[[[1]]]]]]"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t length = strlen(texts[i]);
		struct json_document exact = {.values = values,
		    .value_max = (uint32_t)JSON_VALUES_FOR(length),
		    .strings = strings,
		    .string_size = JSON_STRINGS_FOR(length)};

		CHECK(json_parse(&exact, texts[i], length, JSON_5, &fault) == 0);
	}
}

TEST("what is written is JSON, whatever the bytes")
{
	char data[512];
	struct text text;

	text_init(&text, data, sizeof(data));
	json_write_begin(&text, '{');
	json_write_key(&text, "a\"b");
	json_write_string(&text, "\x01\n\\ \xff\xc3\xa9\xe2\x80\xa8");
	json_write_key(&text, "list");
	json_write_begin(&text, '[');
	json_write_integer(&text, INT64_MIN);
	json_write_unsigned(&text, UINT64_MAX);
	json_write_number(&text, 0.1);
	json_write_number(&text, NAN);
	json_write_bool(&text, true);
	json_write_string(&text, NULL);
	json_write_begin(&text, '{');
	json_write_end(&text, '}');
	json_write_string(&text, "");
	json_write_raw(&text, "[1]");
	json_write_end(&text, ']');
	json_write_end(&text, '}');

	CHECK_TEXT(data,
	    "{\"a\\\"b\":\"\\u0001\\n\\\\ \xef\xbf\xbd\xc3\xa9\\u2028\",\"list\":[-9223372036854775808,"
	    "18446744073709551615,0.1,null,true,null,{},\"\",[1]]}");
	CHECK(parse_bytes(data, text.length, JSON_STRICT) == 0);
}

TEST("text that does not fit is marked as cut")
{
	char data[8];
	struct text text;

	text_init(&text, data, sizeof(data));
	json_write_string(&text, "longer than that");
	CHECK(text.truncated);
	CHECK(strlen(data) == 7);
}

TEST("a document of 400 kB with a key given 40,000 times is read at once")
{
	static char big[400 * 1024];
	size_t length = 0;

	big[length++] = '{';
	for (int i = 0; i < 40000; i++)
		length += (size_t)snprintf(big + length, sizeof(big) - length, "key:%d,", i % 10);
	big[length++] = '}';
	CHECK(parse_bytes(big, length, JSON_5) == 0);
	CHECK(at("key")->number == 9);
}

TEST("a number of 100,000 digits is only a number")
{
	static char digits[100001];

	memset(digits, '9', sizeof(digits) - 1);
	CHECK(parse(digits) == 0);
	CHECK(isinf(json_root(&document)->number));
}
