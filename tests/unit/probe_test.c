/* How an answer to the start-up probe is read. The bodies are those of the real versions. */
#include "support/tap.h"

#include "config/settings.h"
#include "sentry/activity.h"
#include "sentry/probe.h"

static char said[32];

static enum probe_answer read_openclaw(unsigned status, const char *body)
{
	return probe_read_answer(gateway_facts(GATEWAY_OPENCLAW), status, body, strlen(body), said);
}

TEST("2026.9.6 says when it has started")
{
	CHECK(read_openclaw(
	          200, "{\"ok\":true,\"status\":\"started\",\"version\":\"2026.9.6\",\"uptimeMs\":31521}") ==
	      PROBE_STARTED);
	CHECK_TEXT(said, "started");
	CHECK(read_openclaw(
	          503, "{\"ok\":false,\"status\":\"starting\",\"pendingReason\":\"startup-sidecars\"}") ==
	      PROBE_NOT_YET);
	CHECK_TEXT(said, "starting");
	CHECK(read_openclaw(503, "{\"ok\":false,\"status\":\"draining\"}") == PROBE_NOT_YET);
}

TEST("a half-true answer is not started")
{
	CHECK(read_openclaw(503, "{\"ok\":true,\"status\":\"started\"}") == PROBE_NOT_YET);
	CHECK(read_openclaw(200, "{\"ok\":false,\"status\":\"started\"}") == PROBE_NOT_YET);
	CHECK(read_openclaw(200, "{\"ok\":\"true\",\"status\":\"started\"}") == PROBE_NOT_YET);
	CHECK(read_openclaw(200, "{\"ok\":true,\"status\":\"startedish\"}") == PROBE_NOT_YET);
	CHECK(read_openclaw(200, "{\"status\":\"started\"}") == PROBE_NOT_YET);
}

TEST("an answer without a status only proves that the loop turns: 2026.2.1")
{
	CHECK(read_openclaw(200, "<!doctype html><html></html>") == PROBE_TURNING);
	CHECK(read_openclaw(404, "Not Found") == PROBE_TURNING);
	CHECK(read_openclaw(404, "{\"error\":\"no such path\"}") == PROBE_TURNING);
	CHECK(read_openclaw(200, "") == PROBE_TURNING);
	CHECK(read_openclaw(200, "[1,2]") == PROBE_TURNING);
	CHECK(read_openclaw(502, "Bad Gateway") == PROBE_NOT_YET);
}

TEST("a hostile body does no harm")
{
	static char body[HTTP_BODY_MAX];

	memset(body, '[', sizeof(body));
	CHECK(probe_read_answer(gateway_facts(GATEWAY_OPENCLAW), 200, body, sizeof(body), said) ==
	      PROBE_TURNING);
	CHECK(probe_read_answer(gateway_facts(GATEWAY_OPENCLAW), 200, body, 2048, said) == PROBE_TURNING);
	CHECK(read_openclaw(200,
	          "{\"ok\":true,\"status\":\"an endless status that does not fit into the place for it\"}") ==
	      PROBE_NOT_YET);
	CHECK(strlen(said) < sizeof(said));
}

TEST("of a generic program only the status counts")
{
	const struct gateway_facts *facts = gateway_facts(GATEWAY_GENERIC);

	CHECK(probe_read_answer(facts, 200, "", 0, said) == PROBE_STARTED);
	CHECK(probe_read_answer(facts, 302, "", 0, said) == PROBE_STARTED);
	CHECK(probe_read_answer(facts, 404, "", 0, said) == PROBE_NOT_YET);
	CHECK(probe_read_answer(facts, 503, "", 0, said) == PROBE_NOT_YET);
}

TEST("little CPU time and I/O are our own probes' doing")
{
	const struct activity before = {100, 1000}, probed = {102, 9000}, worked = {110, 1000},
	                      read_much = {100, 1000000}, child_ended = {50, 1000};

	CHECK(!activity_moved(&before, &before));
	CHECK(!activity_moved(&before, &probed));
	CHECK(activity_moved(&before, &worked));
	CHECK(activity_moved(&before, &read_much));
	CHECK(activity_moved(&before, &child_ended));
}
