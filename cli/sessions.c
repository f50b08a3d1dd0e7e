/* `holdfast sessions` and `holdfast abort`: what the gateway's sessions do, and ending what one of them does.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/report.h"

/* All parts of the list, and its counts. */
struct listing {
	struct control_sessions part; /* the last one */
	size_t count;
	struct control_session sessions[SESSIONS_MAX];
};

static int fetch(const struct settings *settings, struct listing *listing, struct error *why)
{
	uint32_t after = 0;

	do {
		const struct control_sessions *part = &listing->part;
		int status = ask_sessions(settings, after, &listing->part, why);

		if (status != EXIT_DONE)
			return status;
		if (part->code < 0) {
			error_set(why, part->code, "%s", part->sentence);
			return EXIT_FAILED;
		}
		if (part->count > SESSIONS_MAX - listing->count) {
			error_set(why, -EBADMSG, "The supervisor's list of sessions has no end.");
			return EXIT_FAILED;
		}
		memcpy(listing->sessions + listing->count, part->rows, part->count * sizeof(part->rows[0]));
		listing->count += part->count;
		after = part->next;
	} while (after != 0);
	return EXIT_DONE;
}

int run_sessions(struct invocation *invocation)
{
	static struct settings settings;
	static struct listing listing; /* large */
	static const struct control_sessions nothing;
	struct error why;
	int status = locate(invocation, &settings);

	if (status != 0)
		return status;
	status = fetch(&settings, &listing, &why);
	report_sort_sessions(listing.sessions, listing.count);
	if (status != EXIT_DONE && invocation->json)
		report_sessions_json(&nothing, NULL, 0, why.text);
	else if (status != EXIT_DONE)
		complain("%s", why.text);
	else if (invocation->json)
		report_sessions_json(&listing.part, listing.sessions, listing.count, NULL);
	else
		report_sessions_text(&listing.part, listing.sessions, listing.count, invocation->all);
	return print_finish(status);
}

int run_abort(struct invocation *invocation)
{
	static struct settings settings;
	struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_ABORT};
	struct control_reply reply = {0};
	const char *sentence = reply.sentence;
	struct error why;
	int status;

	if (invocation->word == NULL || *invocation->word == '\0') {
		complain("Which session? \"holdfast abort SESSION\" takes its key; \"holdfast sessions\" "
		         "lists them.");
		return EXIT_USAGE;
	}
	if (!text_copy(request.session, sizeof(request.session), invocation->word)) {
		complain("SESSION is too long: a key has at most %d bytes; \"holdfast sessions\" lists them.",
		    SESSION_KEY_MAX - 1);
		return EXIT_USAGE;
	}
	status = locate(invocation, &settings);
	if (status != 0)
		return status;
	status = ask(&settings, &request, &reply, &why);
	if (status != EXIT_DONE)
		sentence = why.text;
	else if (reply.code < 0)
		status = EXIT_FAILED;
	if (invocation->json) {
		report_outcome_json(status == EXIT_DONE, sentence, reply.state);
	} else if (status == EXIT_DONE) {
		print_text(sentence);
		putchar('\n');
	} else {
		complain("%s", sentence);
	}
	return print_finish(status);
}
