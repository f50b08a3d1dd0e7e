#include "cli/report.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/member.h"
#include "core/health.h"
#include "format/json_write.h"

#define REPORT_MAX 16384

static void open_object(struct text *text, const char *key)
{
	json_write_key(text, key);
	json_write_begin(text, '{');
}

static void write_gateway(struct text *text, const struct control_reply *reply)
{
	open_object(text, "gateway");
	member_optional(text, "pid", (uint64_t)reply->gateway.pid);
	member_time(text, "startedAt", reply->gateway.started_ms);
	member_bool(text, "ready", reply->gateway.ready != 0);
	member_bool(text, "configFallback", reply->gateway.from_copy != 0);
	member_time(text, "readyAt", reply->gateway.ready_ms);
	member_number(text, "restarts", reply->gateway.restarts);
	member_number(text, "generation", reply->gateway.generation);
	member_text(text, "kind", reply->gateway.kind);
	member_text(text, "command", reply->gateway.command);
	member_optional(text, "port", reply->gateway.port);
	member_text(text, "containment", reply->gateway.containment);
	json_write_end(text, '}');
}

static void write_orphans(struct text *text, const struct control_health *health)
{
	open_object(text, "orphans");
	member_number(text, "count", health->orphan_count);
	member_number(text, "bytes", health->orphan_bytes);
	json_write_key(text, "processes");
	json_write_begin(text, '[');
	for (int i = 0; i < CONTROL_ORPHANS_MAX && health->orphans[i].pid != 0; i++) {
		json_write_begin(text, '{');
		member_number(text, "pid", (uint64_t)health->orphans[i].pid);
		member_text(text, "kind", health->orphans[i].kind);
		member_text(text, "name", health->orphans[i].name);
		member_number(text, "bytes", health->orphans[i].bytes);
		member_known(text, "ageMs", health->orphans[i].age_ms);
		json_write_end(text, '}');
	}
	json_write_end(text, ']');
	json_write_end(text, '}');
}

static void write_health(struct text *text, const struct control_health *health)
{
	open_object(text, "health");
	member_text(text, "state", health->state);
	member_text(text, "probe", health->probe);
	member_optional(text, "httpStatus", health->status);
	member_time(text, "answeredAt", health->answered_ms);
	member_number(text, "unanswered", health->unanswered);
	json_write_key(text, "witnesses");
	json_write_bits(text, health->witnesses, WITNESS_COUNT, health_witness_name);
	json_write_key(text, "heldBackBy");
	json_write_bits(text, health->held, HELD_COUNT, health_held_name);
	member_text(text, "webSocket", health->link);
	member_time(text, "heardAt", health->heard_ms);
	member_known(text, "listenQueue", health->queue);
	member_text(text, "version", health->version);
	member_text(text, "failing", health->failing);
	member_text(text, "said", health->said);
	member_known(text, "loopDelayP99Ms", health->loop_delay_p99_ms);
	member_known(text, "loopDelayMaxMs", health->loop_delay_max_ms);
	member_known(text, "loopUtilizationPermille", health->loop_utilization_permille);
	member_number(text, "slowListeners", health->slow_listeners);
	member_optional(text, "memoryBytes", health->tree_bytes);
	member_optional(text, "memoryLimitBytes", health->limit_bytes);
	member_optional(text, "memoryLeftBytes", health->room_bytes);
	member_number(text, "stuckSessions", health->stuck_sessions);
	member_number(text, "processes", health->processes);
	write_orphans(text, health);
	json_write_end(text, '}');
}

static void write_workers(struct text *text, const struct control_reply *reply)
{
	json_write_key(text, "workers");
	json_write_begin(text, '[');
	for (int i = 0; i < CONTROL_WORKER_COUNT; i++) {
		const struct control_worker *worker = &reply->workers[i];

		if (worker->name[0] == '\0')
			continue;
		json_write_begin(text, '{');
		member_text(text, "name", worker->name);
		member_optional(text, "pid", (uint64_t)worker->pid);
		member_number(text, "restarts", worker->restarts);
		member_optional(
		    text, "retryInMs", worker->retry_in_ms > 0 ? (uint64_t)worker->retry_in_ms : 0);
		json_write_end(text, '}');
	}
	json_write_end(text, ']');
}

static void write_rest(struct text *text, const struct control_reply *reply, const struct settings *settings)
{
	open_object(text, "supervisor");
	member_optional(text, "pid", (uint64_t)reply->supervisor.pid);
	member_time(text, "startedAt", reply->supervisor.started_ms);
	member_text(text, "version", reply->supervisor.version);
	json_write_end(text, '}');
	write_workers(text, reply);
	open_object(text, "store");
	member_bool(text, "writable", reply->store.writable != 0);
	member_text(text, "why", reply->store.why);
	member_number(text, "waiting", reply->store.waiting);
	member_number(text, "dropped", reply->store.dropped);
	json_write_end(text, '}');
	open_object(text, "console");
	member_number(text, "linesDropped", reply->console.lines_dropped);
	member_number(text, "bytesDiscarded", reply->console.bytes_discarded);
	json_write_end(text, '}');
	member_text(text, "stateDir", settings_string(settings, settings->state_dir));
	member_text(text, "runtimeDir", settings_string(settings, settings->runtime_dir));
}

void report_json(const struct control_reply *reply, const struct settings *settings)
{
	char data[REPORT_MAX];
	struct text text;

	text_init(&text, data, sizeof(data));
	json_write_begin(&text, '{');
	member_text(&text, "state", reply->state);
	json_write_key(&text, "reason");
	json_write_string(&text, reply->reason);
	member_time(&text, "time", reply->real_ms);
	member_time(&text, "since", reply->state_since_ms);
	member_time(&text, "nextTry", reply->next_try_ms);
	member_bool(&text, "paused", reply->paused_until_ms != 0);
	member_time(&text, "pausedUntil", reply->paused_until_ms);
	member_optional(&text, "incident", reply->incident);
	write_gateway(&text, reply);
	write_health(&text, &reply->health);
	write_rest(&text, reply, settings);
	json_write_end(&text, '}');
	puts(text.data);
}

static void write_outcome(struct text *text, bool ok, const char *message, const char *state)
{
	json_write_begin(text, '{');
	member_bool(text, "ok", ok);
	member_text(text, "message", message);
	member_text(text, "state", state);
}

void report_outcome_json(bool ok, const char *message, const char *state)
{
	char data[REPORT_MAX];
	struct text text;

	text_init(&text, data, sizeof(data));
	write_outcome(&text, ok, message, state);
	json_write_end(&text, '}');
	puts(text.data);
}

void report_change_json(bool ok, const char *message, const char *state, const char *changes)
{
	char data[REPORT_MAX];
	struct text text;

	text_init(&text, data, sizeof(data));
	write_outcome(&text, ok, message, state);
	json_write_key(&text, "changes");
	json_write_begin(&text, '[');
	while (*changes != '\0') {
		size_t length = strcspn(changes, "\n");

		if (length > 0)
			json_write_bytes(&text, changes, length);
		changes += length + (changes[length] == '\n');
	}
	json_write_end(&text, ']');
	json_write_end(&text, '}');
	puts(text.data);
}
