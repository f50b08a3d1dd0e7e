/* `holdfast check`: are the settings right, and where do they come from? */
#include <stdio.h>

#include "cli/command.h"
#include "cli/print.h"
#include "config/schema.h"
#include "format/json_write.h"

#define DESCRIPTION_MAX (512 * 1024)
#define REMARKS_MAX     (64 * 1024)

extern char **environ;

struct remarks {
	bool json;
	struct text text;
	char data[REMARKS_MAX];
};

static void take_remark(void *context, const char *sentence)
{
	struct remarks *remarks = context;

	if (remarks->json)
		json_write_string(&remarks->text, sentence);
	else
		text_addf(&remarks->text, "Remark: %s\n", sentence);
}

static int report_json(const struct error *why, const struct settings *settings, struct remarks *remarks)
{
	static char data[DESCRIPTION_MAX];
	struct text text;

	json_write_end(&remarks->text, ']');
	text_init(&text, data, sizeof(data));
	json_write_begin(&text, '{');
	json_write_key(&text, "ok");
	json_write_bool(&text, why == NULL);
	json_write_key(&text, "message");
	json_write_string(&text, why != NULL ? why->text : "The settings are right.");
	json_write_key(&text, "settings");
	if (why == NULL)
		settings_describe_json(settings, &text);
	else
		json_write_null(&text);
	json_write_key(&text, "remarks");
	json_write_raw(&text, remarks->text.data);
	json_write_end(&text, '}');
	if (text.truncated || remarks->text.truncated) {
		complain("The settings are too long to be printed as JSON.");
		return print_finish(EXIT_FAILED);
	}
	puts(data);
	return print_finish(why == NULL ? EXIT_DONE : EXIT_CONFIG);
}

static int report_text(
    const struct error *why, const struct settings *settings, const struct remarks *remarks)
{
	static char data[DESCRIPTION_MAX];
	struct text text;

	if (why != NULL) {
		complain("%s", why->text);
		return print_finish(EXIT_CONFIG);
	}
	text_init(&text, data, sizeof(data));
	settings_describe(settings, &text);
	print_lines(data);
	if (remarks->text.length > 0)
		putchar('\n');
	print_lines(remarks->text.data);
	return print_finish(EXIT_DONE);
}

int run_check(struct invocation *invocation)
{
	static struct settings settings;
	static struct remarks remarks;
	struct settings_flags flags;
	struct error why;
	int result;

	if (command_flags(invocation, &flags, &why) < 0) {
		complain("%s", why.text);
		return EXIT_USAGE;
	}
	remarks.json = invocation->json;
	text_init(&remarks.text, remarks.data, sizeof(remarks.data));
	if (remarks.json)
		json_write_begin(&remarks.text, '[');
	result = settings_load(&settings, &flags, environ, take_remark, &remarks, &why);
	if (invocation->json)
		return report_json(result < 0 ? &why : NULL, &settings, &remarks);
	return report_text(result < 0 ? &why : NULL, &settings, &remarks);
}
