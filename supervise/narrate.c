/* The words for what the core decides: one plain sentence an event, and the figures it rests on as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "format/json_write.h"
#include "supervise/supervisor.h"

static const char *signal_name(int number)
{
	static char other[24];
	const char *name = sigabbrev_np(number);

	snprintf(other, sizeof(other), "SIG%s", name == NULL ? "?" : name);
	return other;
}

static void quote_words(const struct supervisor *supervisor, struct text *text)
{
	if (supervisor->words[0] != '\0')
		text_addf(text, ": \"%.200s\"", supervisor->words);
}

static void exit_sentence(struct text *text, enum supervision_reason reason, int64_t value)
{
	if (reason == REASON_EXIT_CODE)
		text_addf(text, "it ended with exit code %" PRId64, value);
	else if (reason == REASON_EXIT_SIGNAL)
		text_addf(text, "it was ended by signal %" PRId64 " (%s)", value, signal_name((int)value));
	else
		text_add(text, "it ended, and how is not known (it was adopted)");
}

/* Continues "..., because": no capital, no full stop. */
void narrate_reason(const struct supervisor *supervisor, enum supervision_reason reason, int64_t value, char *target,
    size_t size)
{
	static const char *const plain[REASON_COUNT] = {
	    [REASON_FIRST_START] = "Holdfast was started",
	    [REASON_SHUTDOWN] = "Holdfast was asked to end",
	    [REASON_CLEAN_EXIT] = "it ended by itself with exit code 0",
	    [REASON_PAUSED] = "Holdfast is paused (resume it with \"holdfast resume\")",
	    [REASON_HUNG] = "its event loop hung",
	    [REASON_DEAF] = "it accepted no new connections",
	    [REASON_WATCHDOG] = "it stopped sending the watchdog message it had promised",
	    [REASON_STUCK_SESSIONS] = "several sessions were stuck",
	    [REASON_MEMORY] = "it was about to run out of memory",
	    [REASON_START_STALLED] = "its start made no progress for two minutes past its allowance",
	    [REASON_OWN_DRAIN] = "it is draining by itself",
	    [REASON_OWN_DRAIN_OVERDUE] = "it overran the time it had announced for its own drain",
	    [REASON_RESTARTED_ITSELF] = "it restarted itself",
	    [REASON_CRASH_RESTART_OFF] = "it ended and gateway.autoRestart forbids a restart (start it with \"holdfast start\")",
	    [REASON_RESTART_BUDGET] = "the gateway asked for more than 3 restarts within an hour",
	};
	struct text text;

	text_init(&text, target, size);
	switch (reason) {
	case REASON_OPERATOR:
	case REASON_GATEWAY_ASKED:
		text_add(&text, reason == REASON_OPERATOR ? "it was asked for" : "it was asked for from inside the gateway");
		if (supervisor->operator_reason[0] != '\0')
			text_addf(&text, " (%s)", supervisor->operator_reason);
		break;
	case REASON_EXIT_CODE:
	case REASON_EXIT_SIGNAL:
	case REASON_EXIT_UNKNOWN:
		exit_sentence(&text, reason, value);
		if (reason == REASON_EXIT_CODE)
			quote_words(supervisor, &text);
		break;
	case REASON_SPAWN_FAILED:
		text_addf(&text, "its command could not be started (%s: %s)",
		    settings_string(supervisor->settings, supervisor->settings->gateway.arguments[0]), strerror((int)value));
		break;
	case REASON_CONFIG_INVALID:
		text_add(&text, "it refuses its configuration");
		quote_words(supervisor, &text);
		break;
	case REASON_MIGRATION_REQUIRED:
		text_add(&text, "its state must be migrated first");
		quote_words(supervisor, &text);
		break;
	case REASON_CONTENTION:
		text_add(&text, "its port or state belongs to another process");
		quote_words(supervisor, &text);
		break;
	case REASON_BOOT_BUDGET:
		text_addf(&text,
		    "%" PRId64 " starts within %" PRId64 " s ended badly, and after one more the gateway would leave its "
		    "channels off (insist with \"holdfast start --force\")",
		    value, supervisor->facts->boot_window_ms / 1000);
		break;
	case REASON_STOP_TIMEOUT:
		text_addf(&text, "it had not ended %" PRId64 " s after SIGTERM", value / 1000);
		break;
	case REASON_UNKILLABLE:
	case REASON_UNKILLABLE_HOLDS:
		text_addf(&text, "%" PRId64 " of its processes cannot be killed", value);
		if (reason == REASON_UNKILLABLE_HOLDS)
			text_add(&text, " and still hold its port or a lock");
		break;
	default:
		if (reason < REASON_COUNT && plain[reason] != NULL)
			text_add(&text, plain[reason]);
		break;
	}
}

struct kind {
	const char *name;
	enum event_severity severity;
};

static const struct kind kinds[RECORD_COUNT] = {
    [RECORD_STARTED] = {"gateway.started", SEVERITY_INFO},
    [RECORD_READY] = {"gateway.ready", SEVERITY_INFO},
    [RECORD_RECOVERED] = {"gateway.recovered", SEVERITY_INFO},
    [RECORD_EXITED] = {"gateway.exited", SEVERITY_ERROR},
    [RECORD_START_FAILED] = {"gateway.start_failed", SEVERITY_ERROR},
    [RECORD_WAITING] = {"gateway.waiting", SEVERITY_WARNING},
    [RECORD_PARKED] = {"gateway.parked", SEVERITY_CRITICAL},
    [RECORD_UNPARKED] = {"gateway.unparked", SEVERITY_INFO},
    [RECORD_STOPPING] = {"gateway.stopping", SEVERITY_INFO},
    [RECORD_STOPPED] = {"gateway.stopped", SEVERITY_INFO},
    [RECORD_KILLED] = {"gateway.killed", SEVERITY_WARNING},
    [RECORD_DRAINING] = {"gateway.draining", SEVERITY_INFO},
    [RECORD_RESTARTED_ITSELF] = {"gateway.restarted_itself", SEVERITY_INFO},
    [RECORD_SUSPECTED] = {"gateway.suspected", SEVERITY_WARNING},
    [RECORD_CLEARED] = {"gateway.cleared", SEVERITY_INFO},
    [RECORD_CONDEMNED] = {"gateway.condemned", SEVERITY_ERROR},
    [RECORD_ADOPTED] = {"gateway.adopted", SEVERITY_INFO},
    [RECORD_ADOPT_REFUSED] = {"gateway.adoption_refused", SEVERITY_WARNING},
    [RECORD_TREE_LEFT] = {"tree.left", SEVERITY_CRITICAL},
    [RECORD_PAUSED] = {"supervisor.paused", SEVERITY_INFO},
    [RECORD_RESUMED] = {"supervisor.resumed", SEVERITY_INFO},
};

static void parked_sentence(const struct supervisor *supervisor, const char *because, enum supervision_reason reason,
    struct text *text)
{
	text_addf(text, "The gateway is parked, because %s. ", because);
	if (reason == REASON_MIGRATION_REQUIRED && supervisor->facts->migration_command != NULL)
		text_addf(text, "Run: %s", supervisor->facts->migration_command);
	else
		text_addf(text, "Mend %s", settings_string(supervisor->settings, supervisor->settings->gateway.config_path));
	text_add(text, "; it is tried again when the file changes, after \"holdfast start\", and every 40 minutes.");
}

static void sentence(const struct supervisor *supervisor, const struct supervision_action *action, struct text *text)
{
	char because[CONTROL_SENTENCE_MAX], duration[32];
	int pid = supervisor->gateway.pid;

	narrate_reason(supervisor, action->reason, action->reason_value, because, sizeof(because));
	text_duration(duration, sizeof(duration), action->value);
	switch (action->record) {
	case RECORD_STARTED:
		text_addf(text, "The gateway was started (pid %d)%s%s.", pid, because[0] ? ", because " : "", because);
		break;
	case RECORD_READY:
		text_addf(text, "The gateway (pid %d) is ready after %s.", pid, duration);
		break;
	case RECORD_RECOVERED:
		text_addf(text, "The gateway has recovered: it is ready again %s after the trouble began.", duration);
		break;
	case RECORD_EXITED:
		if (action->reason == REASON_CLEAN_EXIT)
			text_addf(text, "The gateway (pid %d) ended by itself with exit code 0.", pid);
		else
			text_addf(text, "The gateway (pid %d) is gone: %s.", pid, because);
		break;
	case RECORD_START_FAILED:
		text_addf(text, "The gateway could not be started: %s.", because);
		break;
	case RECORD_WAITING:
		if (action->value == 0)
			text_addf(text, "The gateway is not started, because %s.", because);
		else
			text_addf(text, "The gateway is started again in %s, because %s.", duration, because);
		break;
	case RECORD_PARKED:
		parked_sentence(supervisor, because, action->reason, text);
		break;
	case RECORD_UNPARKED:
		text_add(text, "The gateway is tried again.");
		break;
	case RECORD_STOPPING:
		text_addf(text, "The gateway (pid %d) is asked to end within %s, because %s.", pid, duration, because);
		break;
	case RECORD_STOPPED:
		text_addf(text, "The gateway is stopped, because %s.", because);
		break;
	case RECORD_KILLED:
		text_addf(text, "The gateway (pid %d) and its whole tree are killed, because %s.", pid, because);
		break;
	case RECORD_DRAINING:
		text_addf(text, "The gateway (pid %d) drains by itself and has announced %s for it.", pid, duration);
		break;
	case RECORD_RESTARTED_ITSELF:
		text_addf(text, "The gateway (pid %d) restarted itself in its own process.", pid);
		break;
	case RECORD_SUSPECTED:
		text_addf(text, "The gateway (pid %d) is looked at closely, because %s.", pid, because);
		break;
	case RECORD_CLEARED:
		text_addf(text, "The gateway (pid %d) is well after all.", pid);
		break;
	case RECORD_CONDEMNED:
		text_addf(text, "The gateway (pid %d) is replaced, because %s.", pid, because);
		break;
	case RECORD_ADOPTED:
		text_addf(text, "The running gateway (pid %d) was adopted; it has not been touched.", pid);
		break;
	case RECORD_ADOPT_REFUSED:
		text_add(text, "The gateway of the last record no longer runs; what it left behind is removed.");
		break;
	case RECORD_TREE_LEFT:
		text_addf(text, "After 30 s of SIGKILL %s; %s.", because,
		    action->reason == REASON_UNKILLABLE ? "the start goes on without waiting for them"
							: "the gateway cannot be started before they end");
		break;
	case RECORD_PAUSED:
		text_addf(text, "Holdfast is paused%s%s: it starts, stops and replaces nothing by itself.",
		    action->value == 0 ? " until \"holdfast resume\"" : " for ", action->value == 0 ? "" : duration);
		break;
	case RECORD_RESUMED:
		text_add(text, "Holdfast acts again.");
		break;
	case RECORD_COUNT:
		break;
	}
}

void narrate_record(struct supervisor *supervisor, const struct supervision_action *action)
{
	const struct kind *kind = &kinds[action->record];
	enum event_severity severity = kind->severity;
	char words[EVENT_REASON_MAX], evidence[EVENT_EVIDENCE_MAX];
	struct text text, json;

	text_init(&text, words, sizeof(words));
	sentence(supervisor, action, &text);
	text_init(&json, evidence, sizeof(evidence));
	json_write_begin(&json, '{');
	json_write_key(&json, "generation");
	json_write_unsigned(&json, action->generation);
	json_write_key(&json, "pid");
	json_write_integer(&json, supervisor->gateway.pid);
	json_write_key(&json, "value");
	json_write_integer(&json, action->value);
	if (supervisor->words[0] != '\0' && (action->record == RECORD_PARKED || action->record == RECORD_WAITING)) {
		json_write_key(&json, "said");
		json_write_string(&json, supervisor->words);
	}
	json_write_end(&json, '}');
	/* An end that was asked for is no error. */
	if (action->record == RECORD_EXITED && (supervisor->machine.asked || action->reason == REASON_CLEAN_EXIT))
		severity = SEVERITY_INFO;
	events_record(supervisor, kind->name, severity, action->incident, json.truncated ? "{}" : evidence, "%s", words);
}
