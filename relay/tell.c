/* What is told to the supervisor, which writes it down and alerts: never a key, never a word of a
 * conversation. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "format/json_write.h"
#include "relay/relay.h"

struct telling {
	struct message message;
	struct text evidence;
};

static void begin(struct telling *telling, const char *kind, enum event_severity severity)
{
	memset(&telling->message, 0, sizeof(telling->message));
	telling->message.finding.severity = severity;
	text_copy(telling->message.finding.kind, sizeof(telling->message.finding.kind), kind);
	text_init(
	    &telling->evidence, telling->message.finding.evidence, sizeof(telling->message.finding.evidence));
	json_write_begin(&telling->evidence, '{');
}

static void add_text(struct telling *telling, const char *key, const char *value)
{
	json_write_key(&telling->evidence, key);
	json_write_string(&telling->evidence, value);
}

static void add_number(struct telling *telling, const char *key, int64_t value)
{
	json_write_key(&telling->evidence, key);
	json_write_integer(&telling->evidence, value);
}

static void tell(struct provider *provider, struct telling *telling, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct provider *provider, struct telling *telling, const char *format, ...)
{
	va_list arguments;

	json_write_end(&telling->evidence, '}');
	if (telling->evidence.truncated)
		text_copy(telling->message.finding.evidence, sizeof(telling->message.finding.evidence), "{}");
	va_start(arguments, format);
	vsnprintf(
	    telling->message.finding.reason, sizeof(telling->message.finding.reason), format, arguments);
	va_end(arguments);
	worker_send(&provider->relay->worker, MESSAGE_FINDING, &telling->message);
}

/* What a person can do about it. */
static const char *advice_of(enum failover_outcome cause)
{
	switch (cause) {
	case FAILOVER_AUTH:
		return " Its key is refused: put a valid one in its place, then run \"holdfast reload\".";
	case FAILOVER_BILLING:
		return " Its account has no credit: add some.";
	case FAILOVER_QUOTA:
		return " Its account has reached its limit: raise it, or wait.";
	default:
		return "";
	}
}

static void tell_change(struct provider *provider, const struct failover_change *change)
{
	const char *profile = provider->profiles[change->profile].id;
	const char *cause = failover_outcome_name(change->cause);
	int64_t for_ms = change->until_ms - change->at_ms;
	struct telling telling;
	char duration[32];

	begin(&telling,
	    change->kind == FAILOVER_CHANGE_COOLING    ? "profile.cooling"
	    : change->kind == FAILOVER_CHANGE_DISABLED ? "profile.disabled"
	                                               : "profile.recovered",
	    change->kind == FAILOVER_CHANGE_DISABLED ? SEVERITY_ERROR : SEVERITY_INFO);
	add_text(&telling, "provider", provider->name);
	add_text(&telling, "profile", profile);
	add_text(&telling, "cause", cause);
	add_text(&telling, "scope", failover_scope_name(change->scope));
	if (change->kind == FAILOVER_CHANGE_RECOVERED) {
		tell(provider, &telling, "The profile %s of %s answers again.", profile, provider->name);
		return;
	}
	add_number(&telling, "forMs", for_ms);
	text_duration(duration, sizeof(duration), for_ms);
	if (change->kind == FAILOVER_CHANGE_DISABLED)
		tell(provider, &telling, "The profile %s of %s is not used for %s: %s.%s", profile,
		    provider->name, duration, cause, advice_of(change->cause));
	else
		tell(provider, &telling, "The profile %s of %s cools down for %s: %s.", profile,
		    provider->name, duration, cause);
}

void tell_changes(struct provider *provider)
{
	struct failover_change change;

	while (failover_take_change(&provider->failover, &change))
		tell_change(provider, &change);
}

void tell_failover(struct provider *provider, uint32_t from, uint32_t to,
    const struct failover_report *report, const char *trace, const char *sentence)
{
	struct profile *profile = &provider->profiles[from];
	const char *from_id = profile->id, *to_id = provider->profiles[to].id;
	int64_t now_ms = clock_boot_ms();
	struct telling telling;

	if (profile->told_ms != 0 && now_ms - profile->told_ms < RELAY_TELL_MS) {
		profile->untold++;
		return;
	}
	begin(&telling, "relay.failover", SEVERITY_WARNING);
	add_text(&telling, "provider", provider->name);
	add_text(&telling, "from", from_id);
	add_text(&telling, "to", to_id);
	add_text(&telling, "cause", failover_outcome_name(report->outcome));
	if (report->retry_after_ms >= 0)
		add_number(&telling, "retryAfterMs", report->retry_after_ms);
	if (profile->untold > 0)
		add_number(&telling, "moreSinceTheLast", (int64_t)profile->untold);
	profile->told_ms = now_ms;
	profile->untold = 0;
	if (trace[0] != '\0')
		add_text(&telling, "trace", trace);
	tell(provider, &telling, "A call to %s went on with the profile %s after %s failed: %s.",
	    provider->name, to_id, from_id, sentence);
}
