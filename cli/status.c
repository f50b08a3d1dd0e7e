/* `holdfast status`. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/report.h"

/* There is nobody to ask: says so, in the form that was asked for. */
static int report_silence(const struct settings *settings, int status, const struct error *why, bool json)
{
	struct control_reply nothing = {.real_ms = clock_real_ms()};
	struct text reason;
	int pid;

	text_copy(
	    nothing.state, sizeof(nothing.state), status == EXIT_NO_SUPERVISOR ? "no-supervisor" : "unknown");
	text_init(&reason, nothing.reason, sizeof(nothing.reason));
	text_add(&reason, why->text);
	if (status == EXIT_NO_SUPERVISOR && gateway_left_running(settings, &pid)) {
		nothing.gateway.pid = pid;
		text_addf(&reason,
		    " The gateway of an earlier one goes on as pid %d: \"holdfast run\" takes it over.", pid);
	}
	if (json)
		report_json(&nothing, settings);
	else
		complain("%s", nothing.reason);
	return print_finish(status);
}

int run_status(struct invocation *invocation)
{
	static struct settings settings;
	const struct control_request request = {.version = CONTROL_VERSION, .verb = CONTROL_STATUS};
	struct control_reply reply;
	struct error why;
	int status = locate(invocation, &settings);

	if (status != 0)
		return status;
	status = ask(&settings, &request, &reply, &why);
	if (status != EXIT_DONE)
		return report_silence(&settings, status, &why, invocation->json);
	if (invocation->json)
		report_json(&reply, &settings);
	else
		report_text(&reply, &settings);
	return print_finish(reply_is_healthy(&reply) ? EXIT_DONE : EXIT_NOT_HEALTHY);
}
