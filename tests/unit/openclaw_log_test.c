/* The log of the real gateways, and what is made to look like it. */
#include "gateway/openclaw_talk.h"
#include "support/tap.h"

#define ID     "0cb2a5f0-3f0e-4c8e-9a55-4a1b6c1d2e3f"
#define KEY    "agent:main:s2"
#define OTHER  "agent:main:victim"
#define DIAG   "{\\\"subsystem\\\":\\\"diagnostic\\\"}"
#define EMBED  "{\\\"subsystem\\\":\\\"agent/embedded\\\"}"
#define FIELDS " state=processing age=386s queueDepth=0"
#define REST   FIELDS " reason=active_work_without_progress classification=stalled_agent_run"

static struct openclaw_line line;
static char bytes[1024 * 1024];

static bool when_line(const char *text)
{
	return openclaw_line_read(text, strlen(text), &line);
}

/* As 2026.2.1 writes it; `text` is spelled as JSON has it. */
static bool when_said(const char *subsystem, const char *text)
{
	snprintf(bytes, sizeof(bytes),
	    "{\"0\":\"%s\",\"1\":\"%s\",\"_meta\":{\"name\":\"%s\",\"logLevelId\":4},\"time\":\"2026-11-"
	    "21T06:27:50.325Z\"}",
	    subsystem, text, subsystem);
	return when_line(bytes);
}

static bool when_told(const char *text)
{
	return when_said(DIAG, text);
}

/* Whether a line with this behind the key fits the session. */
static bool fits(const char *behind, const char *key)
{
	char text[4096];

	snprintf(text, sizeof(text), "stalled session: sessionId=" ID " sessionKey=%s", behind);
	return CHECK(when_told(text)) && openclaw_line_fits(&line, key);
}

static int each_line(const char *name, void (*tell)(const char *line, int number))
{
	char path[512], *text = NULL;
	size_t size = 0;
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/sessions/%s", TEST_DATA, name);
	file = fopen(path, "r");
	if (!CHECK(file != NULL))
		return 0;
	for (ssize_t length; (length = getline(&text, &size, file)) > 0; count++) {
		text[length - 1] = '\0';
		tell(text, count);
	}
	free(text);
	fclose(file);
	return count;
}

static void check_2026_9(const char *text, int number)
{
	static const enum openclaw_line_kind kinds[] = {OPENCLAW_LINE_PROGRESSLESS,
	    OPENCLAW_LINE_PROGRESSLESS, OPENCLAW_LINE_RECOVERY, OPENCLAW_LINE_RECOVERY_OUTCOME,
	    OPENCLAW_LINE_RUN_TIMEOUT, OPENCLAW_LINE_FAILOVER, OPENCLAW_LINE_FAILOVER, OPENCLAW_LINE_NOTHING};

	CHECK(when_line(text) == (kinds[number] != OPENCLAW_LINE_NOTHING) && line.kind == kinds[number]);
	if (number < 7)
		CHECK(line.at_ms == 1795242521223);
	if (number == 0) {
		CHECK_TEXT(line.id, ID);
		CHECK(line.age_ms == -1 && !openclaw_line_fits(&line, "agent:main:s") &&
		      !openclaw_line_fits(&line, "") && line.age_ms == -1);
		CHECK(openclaw_line_fits(&line, KEY));
		CHECK(line.age_ms == 386000 && line.progress_age_ms == 386000 && line.queue_depth == 0 &&
		      !line.checking && line.released == -1);
		CHECK_TEXT(line.work, "model_call");
		CHECK_TEXT(line.reason, "active_work_without_progress");
	} else if (number == 1) {
		CHECK(openclaw_line_fits(&line, "agent:main:s1") && line.checking && line.queue_depth == 1);
	} else if (number == 2) {
		CHECK(openclaw_line_fits(&line, KEY) && line.age_ms == 1814000 && line.released == 0 &&
		      line.aborted);
	} else if (number == 3) {
		CHECK_TEXT(line.status, "aborted");
		CHECK(openclaw_line_fits(&line, KEY) && line.released == 0 && line.aborted &&
		      line.age_ms == -1);
	} else if (number == 4) {
		CHECK_TEXT(line.run, "new-hang-3");
		CHECK_TEXT(line.id, ID);
	} else if (number == 5) {
		CHECK_TEXT(line.reason, "rate_limit");
		CHECK_TEXT(line.status, "retry");
	} else if (number == 6) {
		CHECK_TEXT(line.reason, "rate_limit");
		CHECK_TEXT(line.status, "rotate_profile");
		CHECK_TEXT(line.run, "f6c0a6d6-6b6e-4b7b-a3c9-1f5bb0a5c001");
	}
}

static void check_2026_2(const char *text, int number)
{
	CHECK(when_line(text) && line.at_ms == 1795242470325);
	if (number == 0) {
		CHECK_TEXT(line.id, "38aed7c1-2365-4af3-9d30-26e01258e6e2");
		CHECK(openclaw_line_fits(&line, KEY) && line.age_ms == 132000 && line.progress_age_ms == -1);
	} else if (number == 1) {
		CHECK_TEXT(line.id, "");
		CHECK(!openclaw_line_fits(&line, KEY) && openclaw_line_fits(&line, "agent:main:w1"));
		CHECK(line.age_ms == 149000 && line.queue_depth == 1);
	} else if (number == 2) {
		CHECK(line.kind == OPENCLAW_LINE_RUN_TIMEOUT && !openclaw_line_fits(&line, KEY));
		CHECK_TEXT(line.run, "old-hang-1");
	} else {
		CHECK(line.kind == OPENCLAW_LINE_FAILOVER && line.run[0] == '\0' && line.id[0] == '\0');
		CHECK_TEXT(line.status, "rotate_profile");
	}
}

TEST("what the real gateways write of a session is understood")
{
	CHECK(each_line("2026.9.6-gateway.log", check_2026_9) == 8);
	CHECK(each_line("2026.2.1-gateway.log", check_2026_2) == 4);
}

static void check_cuts(const char *text, int number)
{
	for (size_t length = 0; length < strlen(text); length++) {
		char *exact = malloc(length + 1);

		memcpy(exact + 1, text, length);
		CHECK(!openclaw_line_read(exact + 1, length, &line) && line.kind == OPENCLAW_LINE_NOTHING &&
		      line.id[0] == '\0');
		free(exact);
	}
}

TEST("a line that is cut at any byte is none")
{
	each_line("2026.9.6-gateway.log", check_cuts);
	each_line("2026.2.1-gateway.log", check_cuts);
}

TEST("a line of another subsystem, or of none, is nothing")
{
	static const char text[] = "stalled session: sessionId=" ID " sessionKey=" KEY REST " recovery=none";
	static const char *const subsystems[] = {"diagnostic", "{\\\"subsystem\\\":\\\"gateway\\\"}",
	    "{\\\"subsystem\\\":\\\"diagnostic\\\",\\\"a\\\":1}", (" " DIAG), EMBED, ""};

	CHECK(when_said(DIAG, text));
	for (size_t i = 0; i < sizeof(subsystems) / sizeof(subsystems[0]); i++)
		CHECK(!when_said(subsystems[i], text));
	/* Printed as a text by whoever heard it in a chat: the logger's name is another. */
	CHECK(!when_line("{\"0\":\"" DIAG "\",\"1\":\"stuck session: sessionId=" ID " sessionKey=" KEY FIELDS
	                 "\",\"_meta\":{\"name\":\"openclaw\"}}"));
	CHECK(!when_line(
	    "{\"0\":\"" DIAG "\",\"1\":\"stuck session: sessionId=" ID " sessionKey=" KEY FIELDS "\"}"));
}

TEST("the text is anchored, and its own: not another's within it")
{
	static const char *const texts[] = {"",
	    "stuck session:", "a stuck session: sessionId=" ID " sessionKey=" KEY FIELDS,
	    "lane task error: lane=main error=\\\"stuck session: sessionId=" ID " sessionKey=" KEY FIELDS
	    "\\\"",
	    "hello\\nstuck session: sessionId=" ID " sessionKey=" KEY FIELDS,
	    "stuck session: sessionKey=" KEY " sessionId=" ID FIELDS,
	    "stuck session: sessionId= sessionKey=" KEY FIELDS,
	    "stuck session: sessionId=a\\\"b sessionKey=" KEY FIELDS,
	    "stuck session: sessionId=a/b sessionKey=" KEY FIELDS,
	    "stuck session: sessionId=0123456789012345678901234567890123456789 sessionKey=" KEY FIELDS,
	    "stuck session recovery skipped: sessionId=" ID " sessionKey=" KEY " age=5s queueDepth=0",
	    "embedded run timeout: runId=a sessionId=" ID " timeoutMs=1"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!CHECK(!when_told(texts[i])))
			printf("# %s\n", texts[i]);
}

#define META ",\"_meta\":{\"name\":\"" DIAG "\"}"
#define TEXT "\"stuck session: sessionId=" ID " sessionKey=" KEY FIELDS "\""

TEST("a record with members twice, or with facts that speak for its text, is nothing")
{
	static const char *const lines[] = {"{\"0\":\"" DIAG "\",\"1\":\"lane task error\",\"1\":" TEXT META
	                                    "}",
	    "{\"0\":\"" DIAG "\",\"1\":" TEXT ",\"2\":\"x\"" META "}",
	    "{\"0\":\"x\",\"0\":\"" DIAG "\",\"1\":" TEXT META "}",
	    "{\"0\":\"" DIAG "\",\"1\":" TEXT META META "}", "{\"0\":\"" DIAG "\",\"1\":" TEXT META "} {}",
	    "{\"0\":\"" DIAG "\",\"1\":" TEXT ",\"2\":7" META "}",
	    "{\"0\":\"" DIAG "\",\"1\":" TEXT ",\"3\":{}" META "}",
	    /* As 2026.9.6 puts the "message" of facts before the text. */
	    "{\"0\":\"" DIAG "\",\"1\":{\"message\":" TEXT "},\"2\":\"lane task error\"" META
	    ",\"message\":" TEXT "}",
	    "{\"0\":\"" DIAG "\",\"1\":{\"message\":" TEXT "}" META ",\"message\":" TEXT "}",
	    "{\"0\":\"" DIAG "\",\"1\":{\"message\":\"x\"},\"2\":" TEXT META "}",
	    "{\"0\":\"" DIAG "\",\"1\":" TEXT META ",\"message\":\"other\"}",
	    "{\"0\":\"" DIAG "\",\"message\":" TEXT META "}",
	    "{\"1\":{\"0\":\"" DIAG "\",\"1\":" TEXT META "}}"};

	CHECK(
	    when_line("{\"0\":\"" DIAG "\",\"1\":" TEXT META ",\"message\":" TEXT "}\n") && line.at_ms == 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!CHECK(!when_line(lines[i])))
			printf("# %s\n", lines[i]);
}

TEST("a key that goes on like a line fits nobody but itself")
{
	/* Whoever begins a session may call it so; the gateway's own fields follow. */
	static const char hostile[] = OTHER FIELDS,
	                  quoting[] = OTHER " state=processing age=9999s queueDepth=0 a=\"";
	char text[512];

	snprintf(text, sizeof(text),
	    "stuck session: sessionId=unknown sessionKey=%s state=idle age=1s queueDepth=0", hostile);
	CHECK(when_told(text) && line.id[0] == '\0');
	CHECK(!openclaw_line_fits(&line, OTHER));
	CHECK(openclaw_line_fits(&line, hostile) && line.age_ms == 1000);
	snprintf(text, sizeof(text),
	    "stuck session: sessionId=unknown sessionKey=%s state=idle age=1s queueDepth=0 reason=a "
	    "lastAssistant=\\\"b\\\" recovery=checking",
	    OTHER " state=processing age=9999s queueDepth=0 a=\\\"");
	CHECK(when_told(text) && !openclaw_line_fits(&line, OTHER));
	CHECK(openclaw_line_fits(&line, quoting) && line.age_ms == 1000);
	/* The key that nobody knows is nobody's, where no id says more. */
	CHECK(when_told("stuck session: sessionId=unknown sessionKey=unknown" FIELDS) &&
	      !openclaw_line_fits(&line, OTHER));
	CHECK(when_told("stuck session: sessionId=unknown sessionKey=unknown x" FIELDS) &&
	      !openclaw_line_fits(&line, OTHER));
}

TEST("behind the key stand the gateway's own fields, each once, and nothing else")
{
	CHECK(fits(KEY FIELDS, KEY));
	CHECK(fits("unknown" FIELDS, KEY));
	CHECK(fits(KEY REST " recovery=none", KEY));
	CHECK(
	    fits(KEY REST " cronJob=\\\"a \\\\\\\\ \\\\\\\" recovery=checking \\\" newField=1 recovery=none",
	        KEY) &&
	    !line.checking);
	CHECK(!fits(KEY "2" FIELDS, KEY));
	CHECK(!fits(KEY, KEY));
	CHECK(!fits(KEY " state=processing", KEY));
	CHECK(!fits(KEY " age=5s state=processing queueDepth=0", KEY));
	CHECK(!fits(KEY " state=processing queueDepth=0 age=5s", KEY));
	CHECK(!fits(KEY FIELDS " ", KEY));
	CHECK(!fits(KEY FIELDS " age=1s", KEY));
	CHECK(!fits(KEY FIELDS " said nothing", KEY));
	CHECK(!fits(KEY REST, KEY));
	CHECK(!fits(KEY REST " recovery=maybe", KEY));
	CHECK(!fits(KEY REST " recovery=none recovery=none", KEY));
	CHECK(!fits(KEY REST " recovery=checking lastAssistant=\\\"x\\\"", KEY));
	CHECK(!fits(KEY REST " lastAssistant=\\\"a\\\" recovery=checking\\\" recovery=none", KEY));
	CHECK(!fits(KEY REST " lastAssistant=\\\"x recovery=none", KEY));
	CHECK(!fits(KEY REST " lastAssistant=\\\"x\\\\\\\" recovery=none", KEY));
	CHECK(line.age_ms == -1 && line.reason[0] == '\0');
}

TEST("a figure that is malformed or out of range makes the line fit nobody")
{
	static const char *const ages[] = {
	    "", "s", "5", "-5s", "5ms", "5.5s", "0x5s", "99999999999s", "9999999999999999999999s"};
	char behind[128];

	for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
		snprintf(behind, sizeof(behind), KEY " state=processing age=%s queueDepth=0", ages[i]);
		CHECK(!fits(behind, KEY));
	}
	CHECK(!fits(KEY " state=processing age=5s queueDepth=-1", KEY));
	CHECK(!fits(KEY " state=processing age=5s queueDepth=99999999", KEY));
	CHECK(!fits(KEY REST " lastProgressAge=1h recovery=none", KEY));
	CHECK(when_told("stuck session recovery: sessionId=" ID " sessionKey=" KEY
	                " age=5s action=none aborted=maybe released=0") &&
	      !openclaw_line_fits(&line, KEY));
	CHECK(when_told("stuck session recovery: sessionId=" ID " sessionKey=" KEY " age=5s action=none") &&
	      !openclaw_line_fits(&line, KEY));
}

TEST("an outcome names a lane that has the key in it")
{
	static const char begin[] =
	    "stuck session recovery outcome: status=released action=release_lane sessionId=" ID
	    " sessionKey=a b";
	char text[512];

	snprintf(text, sizeof(text), "%s lane=session:a b released=2 queuedCount=1", begin);
	CHECK(when_told(text) && openclaw_line_fits(&line, "a b") && line.released == 2);
	CHECK_TEXT(line.status, "released");
	snprintf(text, sizeof(text), "%s lane=session:a c released=2", begin);
	CHECK(when_told(text) && !openclaw_line_fits(&line, "a b") && !openclaw_line_fits(&line, "a"));
	CHECK(when_told(begin) && openclaw_line_fits(&line, "a b") && line.released == -1);
}

TEST("a run's timeout is told by the whole line")
{
	CHECK(when_said(EMBED, "embedded run timeout after compaction grace: runId=a sessionId=" ID
	                       " timeoutMs=1 compactionGraceMs=2"));
	CHECK(!when_said(
	    EMBED, "embedded run timeout: runId=a sessionId=" ID " timeoutMs=1 sessionId=x timeoutMs=2"));
	CHECK(!when_said(EMBED, "embedded run timeout: runId=a b sessionId=" ID " timeoutMs=1"));
	CHECK(!when_said(EMBED, "embedded run timeout: runId= sessionId=" ID " timeoutMs=1"));
	CHECK(!when_said(EMBED,
	    "embedded run timeout reached during compaction; extending deadline: runId=a sessionId=" ID
	    " extraMs=1"));
	CHECK(line.run[0] == '\0' && line.id[0] == '\0');
}

static bool when_decided(const char *subsystem, const char *text, const char *facts)
{
	char name[64];

	snprintf(name, sizeof(name), "{\\\"subsystem\\\":\\\"%s\\\"}", subsystem);
	snprintf(bytes, sizeof(bytes),
	    "{\"0\":\"%s\",\"1\":%s,\"2\":\"%s\",\"_meta\":{\"name\":\"%s\"},\"message\":\"%s\"}", name,
	    facts, text, name, text);
	return when_line(bytes);
}

TEST("a decision counts when the gateway goes on with the run")
{
	static const char run[] = "embedded run failover decision", model[] = "model fallback decision";

	CHECK(when_decided("model-fallback/decision", model,
	    "{\"event\":\"model_fallback_decision\",\"runId\":\"r\",\"sessionId\":\"s\",\"decision\":"
	    "\"candidate_failed\","
	    "\"reason\":\"timeout\",\"nextCandidateProvider\":\"openai\"}"));
	CHECK(line.kind == OPENCLAW_LINE_FAILOVER);
	CHECK_TEXT(line.run, "r");
	CHECK_TEXT(line.id, "s");
	CHECK_TEXT(line.reason, "timeout");
	CHECK(!when_decided("model-fallback/decision", model,
	    "{\"event\":\"model_fallback_decision\",\"decision\":\"candidate_failed\",\"reason\":"
	    "\"timeout\"}"));
	CHECK(!when_decided("model-fallback/decision", model,
	    "{\"event\":\"model_fallback_decision\",\"decision\":\"candidate_succeeded\","
	    "\"nextCandidateProvider\":\"x\"}"));
	CHECK(!when_decided("agent/embedded", run,
	    "{\"event\":\"embedded_run_failover_decision\",\"runId\":\"r\",\"decision\":\"surface_error\"}"));
	CHECK(!when_decided("agent/embedded", run,
	    "{\"event\":\"x\",\"decision\":\"surface_error\",\"decision\":\"rotate_profile\"}"));
	CHECK(!when_decided("agent/embedded", run,
	    "{\"error\":{\"event\":\"embedded_run_failover_decision\",\"decision\":\"rotate_profile\"}}"));
	CHECK(!when_decided("gateway", run,
	    "{\"event\":\"embedded_run_failover_decision\",\"decision\":\"rotate_profile\"}"));
	CHECK(line.run[0] == '\0');
}

TEST("the time is read in any zone, and a bad one is none")
{
	static const struct {
		const char *text;
		int64_t ms;
	} times[] = {{"1970-01-01T00:00:00.001Z", 1}, {"2026-11-21T06:27:50.325Z", 1795242470325},
	    {"2026-11-21T08:57:50.325+02:30", 1795242470325},
	    {"2026-11-20T22:27:50.325-08:00", 1795242470325}, {"2024-02-29T12:00:00.000Z", 1709208000000},
	    {"2026-13-21T06:27:50.325Z", 0}, {"2026-11-21T06:27:50.325", 0}, {"2026-11-21T06:27:50Z", 0},
	    {"2026-11-21T06:27:50.325Zx", 0}, {"now", 0}, {"", 0}};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		snprintf(bytes, sizeof(bytes), "{\"0\":\"" DIAG "\",\"1\":" TEXT META ",\"time\":\"%s\"}",
		    times[i].text);
		CHECK(when_line(bytes) && line.at_ms == times[i].ms);
	}
}

TEST("a line of a megabyte, or one that is no UTF-8, breaks nothing")
{
	size_t length;

	snprintf(bytes, sizeof(bytes),
	    "{\"0\":\"" DIAG "\"" META ",\"1\":\"stuck session: sessionId=" ID " sessionKey=");
	length = strlen(bytes);
	memset(bytes + length, 'k', sizeof(bytes) - length);
	memcpy(bytes + sizeof(bytes) - 3, "\"}", 3);
	CHECK(!when_line(bytes));
	CHECK(fits(KEY REST " lastAssistant=\\\"\xff\\u001b[0m\\ud83d\\\" recovery=none", KEY));
	CHECK(!fits("\xff" FIELDS, KEY) && !fits("a\\u001b" FIELDS, "a\x1a"));
}
