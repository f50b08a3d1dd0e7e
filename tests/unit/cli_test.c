#include "cli/options.h"

#include <errno.h>
#include <stddef.h>

#include "cli/print.h"
#include "tests/support/tap.h"

struct values {
	bool loud;
	const char *name, *colour;
	struct option_list kinds;
};

#define AT(member) offsetof(struct values, member)

static const struct option table[] = {
    {"--loud", 'l', OPTION_FLAG, AT(loud), NULL, NULL, "help"},
    {"--name", 0, OPTION_TEXT, AT(name), "NAME", NULL, "help"},
    {"--colour", 0, OPTION_TEXT, AT(colour), "COLOUR", "red green", "help"},
    {"--kind", 0, OPTION_LIST, AT(kinds), "PATTERN", NULL, "help"},
    {NULL},
};

static const struct option *const tables[] = {table, NULL};

static int take(struct values *values, const char *first, const char *second, struct error *why)
{
	char *arguments[] = {(char *)first, (char *)second, NULL};

	why->text[0] = '\0';
	return options_take(tables, values, arguments, why);
}

TEST("a flag is taken by its name and by its letter")
{
	struct values values = {0};
	struct error why;

	CHECK(take(&values, "--loud", "x", &why) == 1 && values.loud);
	values.loud = false;
	CHECK(take(&values, "-l", NULL, &why) == 1 && values.loud);
}

TEST("a value is taken from the next argument or from behind the equals sign")
{
	struct values values = {0};
	struct error why;

	CHECK(take(&values, "--name", "-x", &why) == 2);
	CHECK_TEXT(values.name, "-x");
	CHECK(take(&values, "--name=--loud=1", "y", &why) == 1);
	CHECK_TEXT(values.name, "--loud=1");
}

TEST("words, a dash and two dashes are no options")
{
	struct values values = {0};
	struct error why;

	CHECK(take(&values, "word", NULL, &why) == 0);
	CHECK(take(&values, "-", NULL, &why) == 0);
	CHECK(take(&values, "--", NULL, &why) == 0);
	CHECK(take(&values, NULL, NULL, &why) == 0);
	CHECK(take(&values, "", NULL, &why) == 0);
}

TEST("what is wrong with an option is said in one sentence")
{
	static const struct {
		const char *first, *second, *sentence;
	} cases[] = {
	    {"--laud", NULL, "There is no option --laud: did you mean --loud?"},
	    {"--LOUD", NULL, "There is no option --LOUD: did you mean --loud?"},
	    {"--quite-another", NULL, "There is no option --quite-another."},
	    {"-x", NULL, "There is no option -x."},
	    {"-ll", NULL, "There is no option -ll."},
	    {"--loud=yes", NULL, "--loud takes no value."},
	    {"--name", NULL, "--name needs a value: --name NAME."},
	    {"--name", "--loud", "--name needs a value: --name NAME."},
	    {"--name", "", "--name has an empty value: it takes a NAME."},
	    {"--name=", NULL, "--name has an empty value: it takes a NAME."},
	    {"--colour", "re", "--colour re is not known: it is one of red green."},
	    {"--colour", "red green", "--colour red green is not known: it is one of red green."},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct values values = {0};
		struct error why;

		CHECK(take(&values, cases[i].first, cases[i].second, &why) == -EINVAL);
		CHECK_TEXT(why.text, cases[i].sentence);
	}
}

TEST("an endless name is refused without being copied")
{
	static char name[100000];
	struct values values = {0};
	struct error why;

	memset(name, '-', sizeof(name) - 1);
	CHECK(take(&values, name, NULL, &why) == -EINVAL);
	CHECK(strlen(why.text) < 100);
}

TEST("a list has a limit")
{
	struct values values = {0};
	struct error why;

	for (int i = 0; i < OPTION_LIST_MAX; i++)
		CHECK(take(&values, "--kind", "a", &why) == 2);
	CHECK(take(&values, "--kind", "a", &why) == -EINVAL);
	CHECK(values.kinds.count == OPTION_LIST_MAX);
}

TEST("what was taken can be written again")
{
	struct values values = {0};
	const char *arguments[6];
	struct error why;

	take(&values, "--kind=a", NULL, &why);
	take(&values, "--kind", "b", &why);
	take(&values, "-l", NULL, &why);
	CHECK(options_write(table, &values, arguments, 6) == 5);
	CHECK_TEXT(arguments[0], "--loud");
	CHECK_TEXT(arguments[1], "--kind");
	CHECK_TEXT(arguments[2], "a");
	CHECK_TEXT(arguments[4], "b");
	CHECK(options_write(table, &values, arguments, 4) == -E2BIG);
}

TEST("control characters are found, in UTF-8 as well, and letters are not taken for them")
{
	CHECK(text_is_plain("Grüße, 世界"));
	CHECK(!text_is_plain("a\033[31m"));
	CHECK(!text_is_plain("a\n"));
	CHECK(!text_is_plain("a\x7f"));
	CHECK(!text_is_plain("a\xc2\x9b"));
	CHECK(!text_is_plain("a\x9b"));
	CHECK(!text_is_plain("a\xe2\x80\xae"
	                     "b")); /* U+202E: the rest from right to left */
	CHECK(!text_is_plain("a\xe2\x80"));
	CHECK(text_is_plain("\xe2\x80\x8d")); /* U+200D joins, as some scripts need it */
}
