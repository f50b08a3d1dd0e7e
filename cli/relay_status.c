/* `holdfast relay status`: which of the gateway's providers go through the relay, and which do not and why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/member.h"
#include "cli/print.h"
#include "cli/relay.h"
#include "format/json_write.h"

#define ID_WIDTH   20
#define REPORT_MAX (64 * 1024)
#define REASON_MAX 256

struct way {
	bool relayed;
	const char *direct; /* its own address; "" where it is not known */
	uint32_t profiles;
	char why[REASON_MAX]; /* it is direct */
};

static void find_way(const struct settings *settings, const struct relay_provider *provider, struct way *way)
{
	const struct settings_provider *known = relay_settings_of(settings, provider->id);
	char prefix[RELAY_ADDRESS_MAX];
	const char *reason = relay_view_stays_direct(provider->id, provider->api);

	relay_prefix(settings, prefix);
	*way = (struct way){.direct = provider->address};
	way->relayed = settings->relay.port != 0 && strncmp(provider->address, prefix, strlen(prefix)) == 0;
	if (known != NULL) {
		way->profiles = known->profile_count;
		if (way->relayed || provider->address[0] == '\0')
			way->direct = settings_string(settings, known->base_url);
	} else if (way->relayed) {
		way->direct = "";
	}
	if (way->relayed)
		return;
	if (reason != NULL)
		snprintf(way->why, sizeof(way->why), "it %s", reason);
	else if (known == NULL)
		snprintf(way->why, sizeof(way->why), "the settings have no relay.providers.%s", provider->id);
	else
		snprintf(way->why, sizeof(way->why), "\"holdfast relay enable %s\" would change that",
		    provider->id);
}

static int print_json(const struct settings *settings, const struct relay_view *view, bool answers)
{
	char *data = malloc(REPORT_MAX);
	struct text text;

	if (data == NULL)
		return EXIT_FAILED;
	text_init(&text, data, REPORT_MAX);
	json_write_begin(&text, '{');
	member_optional(&text, "port", settings->relay.port);
	member_bool(&text, "answers", answers);
	json_write_key(&text, "providers");
	json_write_begin(&text, '[');
	for (int i = 0; i < view->count; i++) {
		struct way way;

		find_way(settings, &view->list[i], &way);
		json_write_begin(&text, '{');
		member_text(&text, "id", view->list[i].id);
		member_text(&text, "way", way.relayed ? "relay" : "direct");
		member_text(&text, "direct", way.direct);
		member_number(&text, "profiles", way.profiles);
		member_text(&text, "why", way.why);
		json_write_end(&text, '}');
	}
	json_write_end(&text, ']');
	json_write_end(&text, '}');
	if (!text.truncated)
		puts(data);
	free(data);
	return text.truncated ? EXIT_FAILED : EXIT_DONE;
}

static void print_way(const struct settings *settings, const struct relay_provider *provider)
{
	struct way way;

	find_way(settings, provider, &way);
	printf("  ");
	print_padded(COLOUR_NONE, provider->id, ID_WIDTH);
	if (!way.relayed) {
		printf(" direct: ");
		print_text(way.why);
	} else if (way.direct[0] != '\0') {
		printf(" through the relay, to ");
		print_text(way.direct);
		printf(" (%u profile%s)", way.profiles, way.profiles == 1 ? "" : "s");
	} else {
		printf(" through the relay, which does not know it: its calls fail until the settings have "
		       "relay.providers.%s",
		    provider->id);
	}
	putchar('\n');
}

int relay_status(const struct settings *settings, bool json)
{
	struct relay_view *view = calloc(1, sizeof(*view));
	bool answers = settings->relay.port != 0 && relay_answers(settings->relay.port);
	int status = EXIT_DONE;

	if (view == NULL) {
		complain("There is no memory left.");
		return EXIT_FAILED;
	}
	relay_view_read(view, settings);
	if (json) {
		status = print_json(settings, view, answers);
	} else {
		if (settings->relay.port == 0)
			printf("There is no relay: relay.port is 0.\n");
		else
			printf("The relay %s on 127.0.0.1:%u.\n", answers ? "answers" : "does not answer",
			    settings->relay.port);
		for (int i = 0; i < view->count; i++)
			print_way(settings, &view->list[i]);
		if (view->count == 0)
			printf("Neither the gateway's configuration nor the settings name a provider.\n");
	}
	free(view);
	return status;
}
