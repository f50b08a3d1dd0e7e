/* The words for what the core decides: one plain sentence an event, and the figures it rests on as JSON.
 * The sentences are data; only what has a name or a number of its own is filled in. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "format/json_write.h"
#include "format/utf8.h"
#include "supervise/supervisor.h"

#define PLACE_MAX 16

/* Who fills in the places of a sentence, each only when it is met: an exit is told on the way to the next
 * start. */
struct filler {
	void (*fill)(const struct filler *filler, const char *place, struct text *text);
	const struct supervisor *supervisor;
	const struct supervision_action *action;
	int64_t value; /* of the reason */
};

static bool is(const char *place, const char *name)
{
	return strcmp(place, name) == 0;
}

/* Copies `sentence`, with each "{place}" filled in. */
static void fill(struct text *text, const char *sentence, const struct filler *filler)
{
	while (*sentence != '\0') {
		size_t plain = strcspn(sentence, "{"), length;
		char place[PLACE_MAX];

		text_add_bytes(text, sentence, plain);
		sentence += plain;
		if (*sentence == '\0')
			return;
		length = strcspn(sentence, "}");
		snprintf(place, sizeof(place), "%.*s", (int)length - 1, sentence + 1);
		filler->fill(filler, place, text);
		sentence += length + 1;
	}
}

/* Each continues "..., because ": no capital, no full stop. */
static const char *const reasons[REASON_COUNT] = {
    [REASON_NONE] = "",
    [REASON_FIRST_START] = "Holdfast was started",
    [REASON_OPERATOR] = "it was asked for{asked}",
    [REASON_GATEWAY_ASKED] = "it was asked for from inside the gateway{asked}",
    [REASON_SHUTDOWN] = "Holdfast was asked to end",
    [REASON_EXIT_CODE] = "it ended with exit code {value}{words}",
    [REASON_EXIT_SIGNAL] = "it was ended by signal {value} ({signal})",
    [REASON_EXIT_UNKNOWN] = "it ended, and how is not known (it was adopted)",
    [REASON_CLEAN_EXIT] = "it ended by itself with exit code 0",
    [REASON_SPAWN_FAILED] = "its command could not be started ({command}: {errno})",
    [REASON_CONFIG_INVALID] = "it refuses its configuration{words}",
    [REASON_MIGRATION_REQUIRED] = "its state must be migrated first{words}",
    [REASON_CONTENTION] = "its port or state belongs to another process{words}",
    [REASON_BOOT_BUDGET] =
        ("{value} starts within {window} s ended badly, and after one more the gateway would "
         "leave its channels off (insist with \"holdfast start --force\")"),
    [REASON_PAUSED] = "Holdfast is paused (resume it with \"holdfast resume\")",
    [REASON_HUNG] = "it hung",
    [REASON_DEAF] = "no new connection to it has succeeded for three minutes",
    [REASON_WATCHDOG] = "it stopped sending the watchdog message it had promised",
    [REASON_STUCK_SESSIONS] = "{sessions} stuck and could not be aborted{stuck}",
    [REASON_MEMORY] = "it was about to run out of memory",
    [REASON_START_STALLED] = "its start made no progress for two minutes past its allowance",
    [REASON_STOP_TIMEOUT] = "it had not ended {seconds} s after SIGTERM",
    [REASON_OWN_DRAIN] = "it is draining by itself",
    [REASON_OWN_DRAIN_OVERDUE] = "it overran the time it had announced for its own drain",
    [REASON_RESTARTED_ITSELF] = "it restarted itself",
    [REASON_CRASH_RESTART_OFF] =
        "it ended and gateway.autoRestart forbids a restart (start it with \"holdfast start\")",
    [REASON_UNKILLABLE] = "{value} of its processes cannot be killed",
    [REASON_UNKILLABLE_HOLDS] = "{value} of its processes cannot be killed and still hold its port or a lock",
    [REASON_RESTART_BUDGET] = "the gateway asked for more than 3 restarts within an hour",
    [REASON_OUT_OF_MEMORY] = "its JavaScript heap was full{words}",
    [REASON_OOM_KILLED] = "the kernel ended it because memory had run out",
    [REASON_HOST_SLEPT] =
        "the host had slept, and what goes unanswered meanwhile is no sign (it is looked at anew)",
    [REASON_CONFIG_MENDED] = "its configuration is valid again",
};

/* How many they were, an earlier version's record does not say. */
static void add_sessions(int64_t count, struct text *text)
{
	if (count == 1)
		text_add(text, "1 session was");
	else if (count > 1)
		text_addf(text, "%" PRId64 " sessions were", count);
	else
		text_add(text, "sessions were");
}

static void fill_reason(const struct filler *filler, const char *place, struct text *text)
{
	const struct supervisor *supervisor = filler->supervisor;
	const struct settings *settings = supervisor->settings;
	const char *asked = supervisor->operator_reason, *words = supervisor->words;
	const char *signal = sigabbrev_np((int)filler->value);

	if (is(place, "value"))
		text_addf(text, "%" PRId64, filler->value);
	else if (is(place, "seconds"))
		text_addf(text, "%" PRId64, filler->value / 1000);
	else if (is(place, "errno"))
		text_add(text, strerror((int)filler->value));
	else if (is(place, "signal"))
		text_addf(text, "SIG%s", signal == NULL ? "?" : signal);
	else if (is(place, "window"))
		text_addf(text, "%" PRId64, supervisor->facts->boot_window_ms / 1000);
	else if (is(place, "command"))
		text_add(text, settings_string(settings, settings->gateway.arguments[0]));
	else if (is(place, "asked") && asked[0] != '\0')
		text_addf(text, " (%.200s)", asked);
	else if (is(place, "words") && words[0] != '\0')
		text_addf(text, ": \"%.200s\"", words);
	else if (is(place, "stuck"))
		text_add(text, supervisor->sessions.condemned);
	else if (is(place, "sessions"))
		add_sessions(filler->value, text);
	else if (is(place, "seen"))
		health_describe(supervisor, text);
}

void narrate_reason(const struct supervisor *supervisor, enum supervision_reason reason, int64_t value,
    char *target, size_t size)
{
	const struct filler filler = {.fill = fill_reason, .supervisor = supervisor, .value = value};
	struct text text;

	text_init(&text, target, size);
	fill(&text, reasons[reason] == NULL ? "" : reasons[reason], &filler);
}

struct narration {
	const char *kind;
	enum event_severity severity;
	const char *sentence;
};

static const struct narration narrations[RECORD_COUNT] = {
    [RECORD_STARTED] = {"gateway.started", SEVERITY_INFO,
        "The gateway was started (pid {pid}){copy}{because}."},
    [RECORD_READY] = {"gateway.ready", SEVERITY_INFO, "The gateway (pid {pid}) is ready after {duration}."},
    [RECORD_RECOVERED] = {"gateway.recovered", SEVERITY_INFO,
        "The gateway has recovered: it is ready again {duration} after the trouble began."},
    [RECORD_EXITED] = {"gateway.exited", SEVERITY_ERROR, "The gateway (pid {pid}) is gone: {why}."},
    [RECORD_START_FAILED] = {"gateway.start_failed", SEVERITY_ERROR,
        "The gateway could not be started: {why}."},
    [RECORD_WAITING] = {"gateway.waiting", SEVERITY_WARNING, "The gateway is started again {when}{because}."},
    [RECORD_PARKED] = {"gateway.parked", SEVERITY_CRITICAL,
        "The gateway is parked{because}. {mend}; it is tried again when the file changes, after \"holdfast "
        "start\", and "
        "every 40 minutes."},
    [RECORD_UNPARKED] = {"gateway.unparked", SEVERITY_INFO, "The gateway is tried again."},
    [RECORD_STOPPING] = {"gateway.stopping", SEVERITY_INFO,
        "The gateway (pid {pid}) is asked to end within {duration}{because}."},
    [RECORD_STOPPED] = {"gateway.stopped", SEVERITY_INFO, "The gateway is stopped{because}."},
    [RECORD_KILLED] = {"gateway.killed", SEVERITY_WARNING,
        "The gateway (pid {pid}) and its whole tree are killed{because}."},
    [RECORD_DRAINING] = {"gateway.draining", SEVERITY_INFO,
        "The gateway (pid {pid}) drains by itself and has announced {duration} for it."},
    [RECORD_RESTARTED_ITSELF] = {"gateway.restarted_itself", SEVERITY_INFO,
        "The gateway (pid {pid}) restarted itself in its own process."},
    [RECORD_SUSPECTED] = {"gateway.suspected", SEVERITY_WARNING,
        "The gateway (pid {pid}) is looked at closely{seen}."},
    [RECORD_CLEARED] = {"gateway.cleared", SEVERITY_INFO, "The gateway (pid {pid}) is well after all."},
    [RECORD_CONDEMNED] = {"gateway.condemned", SEVERITY_ERROR,
        "The gateway (pid {pid}) is replaced{because}{seen}."},
    [RECORD_ADOPTED] = {"gateway.adopted", SEVERITY_INFO,
        "The running gateway (pid {pid}) was adopted; it has not been touched."},
    [RECORD_ADOPT_REFUSED] = {"gateway.adoption_refused", SEVERITY_WARNING,
        "The gateway of the last record no longer runs; what it left behind is removed."},
    [RECORD_TREE_LEFT] = {"tree.left", SEVERITY_CRITICAL, "After 30 s of SIGKILL {why}; {left}."},
    [RECORD_PAUSED] = {"supervisor.paused", SEVERITY_INFO,
        "Holdfast is paused {until}{because}: it starts, stops and replaces nothing by itself."},
    [RECORD_RESUMED] = {"supervisor.resumed", SEVERITY_INFO, "Holdfast acts again."},
    [RECORD_CONTINUED] = {"gateway.continued", SEVERITY_WARNING,
        "The gateway (pid {pid}) was stopped (SIGSTOP) and did not answer; it was told to continue."},
    [RECORD_LEFT_ALONE] = {"gateway.left_alone", SEVERITY_WARNING,
        "The gateway (pid {pid}) would be replaced{forbidden}."},
    [RECORD_OUT_OF_MEMORY] = {"gateway.out_of_memory", SEVERITY_ERROR,
        "The gateway ended for want of memory: {why}."},
    [RECORD_FALLBACK] = {"gateway.config_fallback", SEVERITY_CRITICAL,
        "The gateway now runs from the copy of its configuration that was kept when it was last well. "
        "{mend}: it "
        "is used again as soon as it is valid. The gateway refuses it{words}."},
    [RECORD_RESTORED] = {"gateway.config_restored", SEVERITY_INFO,
        "{file} is valid again: the gateway uses it from its next start on."},
};

static const char *config_file(const struct supervisor *supervisor)
{
	return settings_string(supervisor->settings, supervisor->settings->gateway.config_path);
}

static void add_mend(const struct supervisor *supervisor, enum supervision_reason reason, struct text *text)
{
	const char *command = supervisor->facts->migration_command;

	if (reason == REASON_MIGRATION_REQUIRED && command != NULL)
		text_addf(text, "Run: %s", command);
	else
		text_addf(text, "Mend %s", config_file(supervisor));
}

/* Why it is left alone though it is condemned: what happened meanwhile, or what is set. */
static void add_forbidden(const struct supervision_action *action, const char *why, struct text *text)
{
	const char *setting = action->reason == REASON_STUCK_SESSIONS ? "onStuckSessions"
	                      : action->reason == REASON_MEMORY       ? "onMemory"
	                                                              : "onHang";

	if (action->reason == REASON_PAUSED || action->reason == REASON_HOST_SLEPT)
		text_addf(text, ", and is left alone, because %s", why);
	else
		text_addf(text, ", because %s, and gateway.autoRestart.%s forbids that", why, setting);
}

static void add_duration(const struct supervision_action *action, const char *before, struct text *text)
{
	char duration[32];

	if (before != NULL && action->value == 0) {
		text_addf(text, "%s \"holdfast resume\"", is(before, "for") ? "until" : "after");
		return;
	}
	text_duration(duration, sizeof(duration), action->value);
	text_addf(text, "%s%s%s", before == NULL ? "" : before, before == NULL ? "" : " ", duration);
}

static void fill_narration(const struct filler *filler, const char *place, struct text *text)
{
	const struct supervision_action *action = filler->action;
	char why[EVENT_REASON_MAX];

	if (is(place, "pid")) {
		text_addf(text, "%d", filler->supervisor->gateway.pid);
	} else if (is(place, "copy")) {
		text_add(
		    text, filler->supervisor->gateway.from_copy ? " from the copy of its configuration" : "");
	} else if (is(place, "why") || is(place, "because")) {
		narrate_reason(filler->supervisor, action->reason, action->reason_value, why, sizeof(why));
		if (is(place, "because") && why[0] != '\0')
			text_add(text, ", because ");
		text_add(text, why);
	} else if (is(place, "duration")) {
		add_duration(action, NULL, text);
	} else if (is(place, "when")) {
		add_duration(action, "in", text);
	} else if (is(place, "until")) {
		add_duration(action, "for", text);
	} else if (is(place, "left")) {
		text_add(text, action->reason == REASON_UNKILLABLE
		                   ? "the start goes on without waiting for them"
		                   : "the gateway cannot be started before they end");
	} else if (is(place, "forbidden")) {
		narrate_reason(filler->supervisor, action->reason, action->reason_value, why, sizeof(why));
		add_forbidden(action, why, text);
	} else if (is(place, "words") || is(place, "seen")) {
		fill_reason(filler, place, text);
	} else if (is(place, "file")) {
		text_add(text, config_file(filler->supervisor));
	} else if (is(place, "mend")) {
		add_mend(filler->supervisor, action->reason, text);
	}
}

/* The gateway punishes what looks like a restart loop. One more restart would only prolong it. */
void narrate_channels_off(struct supervisor *supervisor, const char *line)
{
	int64_t now_ms = clock_boot_ms(), clear_ms = now_ms + supervisor->facts->boot_window_ms;
	char evidence[EVENT_EVIDENCE_MAX], when[CLOCK_TEXT_MAX];
	struct text json;

	if (supervisor->gateway.channels_off_until_ms != 0 || clear_ms < now_ms)
		return;
	supervisor->gateway.channels_off_until_ms = clear_ms;
	clock_format(when, sizeof(when), clock_real_ms() + clear_ms - now_ms);
	text_init(&json, evidence, sizeof(evidence));
	json_write_begin(&json, '{');
	json_write_key(&json, "said");
	json_write_string(&json, line);
	json_write_key(&json, "until");
	json_write_string(&json, when);
	json_write_end(&json, '}');
	events_record(supervisor, "gateway.channels_off", SEVERITY_CRITICAL, supervisor->machine.incident,
	    json.truncated ? "{}" : evidence,
	    "The gateway runs with its channels off after too many bad starts; it turns them on by itself by "
	    "%s, and a "
	    "restart would only prolong that.",
	    when);
}

void narrate_record(struct supervisor *supervisor, const struct supervision_action *action)
{
	const struct filler filler = {.fill = fill_narration, .supervisor = supervisor, .action = action};
	enum event_severity severity = narrations[action->record].severity;
	char sentence[EVENT_REASON_MAX], evidence[EVENT_EVIDENCE_MAX];
	struct text text, json;

	text_init(&text, sentence, sizeof(sentence));
	fill(&text, narrations[action->record].sentence, &filler);
	text_init(&json, evidence, sizeof(evidence));
	json_write_begin(&json, '{');
	json_write_key(&json, "generation");
	json_write_unsigned(&json, action->generation);
	json_write_key(&json, "pid");
	json_write_integer(&json, supervisor->gateway.pid);
	json_write_key(&json, "value");
	json_write_integer(&json, action->value);
	if (supervisor->words[0] != '\0' &&
	    (action->record == RECORD_PARKED || action->record == RECORD_WAITING ||
	        action->record == RECORD_OUT_OF_MEMORY || action->record == RECORD_FALLBACK)) {
		json_write_key(&json, "said");
		json_write_string(&json, supervisor->words);
	}
	if (action->record == RECORD_SUSPECTED || action->record == RECORD_CONDEMNED ||
	    action->record == RECORD_LEFT_ALONE)
		health_write_evidence(supervisor, action->reason, &json);
	if (supervisor->proof[0] != '\0' && action->record == RECORD_READY) {
		json_write_key(&json, "proof");
		json_write_string(&json, supervisor->proof);
	}
	json_write_end(&json, '}');
	/* An end that was asked for is no error. */
	if (action->record == RECORD_EXITED &&
	    (supervisor->machine.asked || action->reason == REASON_CLEAN_EXIT))
		severity = SEVERITY_INFO;
	events_record(supervisor, narrations[action->record].kind, severity, action->incident,
	    json.truncated ? "{}" : evidence, "%.*s", (int)utf8_whole(sentence, text.length), sentence);
}
