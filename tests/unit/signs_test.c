/* What the gateway says of itself becomes findings and figures. */
#include "support/tap.h"

#include <string.h>

#include "sentry/signs.h"

static struct message_finding last;
static int findings;

static void found(struct signs *signs, const struct message_finding *finding)
{
	(void)signs;
	last = *finding;
	findings++;
}

static void changed(struct signs *signs)
{
	(void)signs;
}

TEST("a slow listener and a late event loop are told once, and what comes again soon is counted")
{
	static struct loop loop;
	static struct signs signs = {
	    .loop = &loop, .facts = &gateway_openclaw, .found = found, .changed = changed};

	CHECK(loop_init(&loop) == 0);
	signs_init(&signs);
	signs_start(&signs, 7, 0, 1000);
	signs_line(&signs, "[discord] Slow listener detected: DiscordMessageListener took 45.2 seconds");
	CHECK(findings == 1 && last.generation == 7 && strcmp(last.kind, "gateway.slow_listener") == 0);
	CHECK(strstr(last.reason, "took 45.2 seconds") != NULL);
	signs_line(&signs, "Slow listener detected: it took 31 seconds");
	CHECK(findings == 1 && signs.figures.slow_listeners == 2);
	signs_line(&signs, "[diagnostic] liveness warning: reasons=event_loop_delay");
	CHECK(findings == 2 && strcmp(last.kind, "gateway.event_loop_delayed") == 0);
	signs_line(&signs, "nothing of interest");
	CHECK(findings == 2);
	loop_release(&loop);
}

TEST("the figures of the readiness probe are read; a page is none")
{
	static const char ready[] =
	    "{\"ready\":false,\"failing\":[\"discord\",\"x\"],\"eventLoop\":{\"degraded\":true,"
	    "\"delayP99Ms\":48.7,\"delayMaxMs\":52,\"utilization\":0.072}}";
	struct message_figures figures = {0};
	bool degraded = false;

	CHECK(signs_read_ready(ready, strlen(ready), &figures, &degraded) && degraded);
	CHECK(figures.loop_delay_p99_ms == 48 && figures.loop_delay_max_ms == 52);
	CHECK(figures.loop_utilization_permille == 72 && strcmp(figures.failing, "discord, x") == 0);
	CHECK(!signs_read_ready("<html>", 6, &figures, &degraded));
}
