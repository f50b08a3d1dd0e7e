/* What is told to the supervisor, which writes it down and alerts: never a key, never a word of a
 * conversation. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/json_write.h"
#include "relay/relay.h"

#define MOMENT_MS 50
#define CALLS_MS  3000

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

static void tell_note(const struct failover_note *note)
{
	struct provider *provider = note->provider;
	struct profile *profile = &provider->profiles[note->from];
	const char *to_id = provider->profiles[note->to].id;
	struct telling telling;

	begin(&telling, "relay.failover", SEVERITY_WARNING);
	add_text(&telling, "provider", provider->name);
	add_text(&telling, "from", profile->id);
	add_text(&telling, "to", to_id);
	add_text(&telling, "cause", failover_outcome_name(note->cause));
	if (note->retry_after_ms >= 0)
		add_number(&telling, "retryAfterMs", note->retry_after_ms);
	if (profile->untold > 0)
		add_number(&telling, "moreSinceTheLast", (int64_t)profile->untold);
	profile->untold = 0;
	if (note->trace[0] != '\0')
		add_text(&telling, "trace", note->trace);
	tell(provider, &telling, "A call to %s went on with the profile %s after %s failed: %s.",
	    provider->name, to_id, profile->id, note->sentence);
}

static void moment_passed(struct loop_timer *timer)
{
	struct relay *relay = timer->context;
	struct failover_change change;

	for (uint32_t i = 0; i < relay->note_count; i++)
		tell_note(&relay->notes[i]);
	relay->note_count = 0;
	for (uint32_t i = 0; i < relay->provider_count; i++)
		while (failover_take_change(&relay->providers[i].failover, &change))
			tell_change(&relay->providers[i], &change);
}

static void send_calls(struct relay *relay, struct message *message)
{
	if (message->relayed.count > 0)
		worker_send(&relay->worker, MESSAGE_RELAYED, message);
	message->relayed.count = 0;
}

/* The session watch learns which runs wait for a model, and whether anything comes. */
static void time_to_tell_calls(struct loop_timer *timer)
{
	struct relay *relay = timer->context;
	struct message message = {0};

	relay_enter(relay);
	for (const struct call *call = relay->calls; call != NULL; call = call->next) {
		struct message_call *told = &message.relayed.calls[message.relayed.count];

		if (call->trace[0] == '\0' || !call->trying)
			continue;
		memcpy(told->trace, call->trace, sizeof(told->trace));
		told->began_ms = call->began_ms;
		told->heard_ms = call->heard_ms;
		if (++message.relayed.count == MESSAGE_CALLS_MAX)
			send_calls(relay, &message);
	}
	send_calls(relay, &message);
	if (relay->call_count > 0)
		loop_timer_arm(&relay->worker.loop, timer, relay_now_ms(relay) + CALLS_MS);
}

void tell_call_began(struct call *call)
{
	struct relay *relay = call->relay;

	if (call->trace[0] != '\0' && relay->tell_calls.due_ms == 0)
		loop_timer_arm(&relay->worker.loop, &relay->tell_calls, relay_now_ms(relay) + CALLS_MS);
}

void tell_init(struct relay *relay)
{
	relay->tell.callback = moment_passed;
	relay->tell_calls.callback = time_to_tell_calls;
	relay->tell.context = relay->tell_calls.context = relay;
}

static void soon(struct relay *relay)
{
	if (relay->tell.due_ms == 0)
		loop_timer_arm(&relay->worker.loop, &relay->tell, relay_now_ms(relay) + MOMENT_MS);
}

void tell_changes(struct provider *provider)
{
	if (failover_has_changes(&provider->failover))
		soon(provider->relay);
}

void tell_failover(struct call *call, uint32_t from, uint32_t to, const struct failover_report *report)
{
	struct relay *relay = call->relay;
	struct profile *profile = &call->provider->profiles[from];
	int64_t now_ms = relay_now_ms(relay);
	struct failover_note *note;

	if ((profile->told_ms != 0 && now_ms - profile->told_ms < RELAY_TELL_MS) ||
	    relay->note_count == RELAY_NOTES_MAX) {
		profile->untold++;
		return;
	}
	profile->told_ms = now_ms;
	note = &relay->notes[relay->note_count++];
	*note = (struct failover_note){.provider = call->provider,
	    .from = from,
	    .to = to,
	    .cause = report->outcome,
	    .retry_after_ms = report->retry_after_ms};
	memcpy(note->trace, call->trace, sizeof(note->trace));
	memcpy(note->sentence, call->sentence, sizeof(note->sentence));
	soon(relay);
}
