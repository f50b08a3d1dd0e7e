#include "sentry/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/hash.h"
#include "config/token.h"
#include "process/procfs.h"
#include "sentry/link_request.h"

#define PATH         "/"
#define CONNECT_ID   "connect"
#define STEADY_MS    30000 /* a connection that lived so long is no failure when it ends */
#define SILENT_TICKS 3     /* without so many of them, a new connection shows whether the old one is dead */
#define NEW_TRIES    3

static const struct {
	enum probe_result result;
	bool is_failure; /* of the gateway's, not of ours */
} ends[] = {
    [WEBSOCKET_REFUSED] = {PROBE_L4CON, true},
    [WEBSOCKET_NO_CONNECT] = {PROBE_L4TOUT, true},
    [WEBSOCKET_UNANSWERED] = {PROBE_L7TOUT, true},
    [WEBSOCKET_STATUS] = {PROBE_L7STS, true},
    [WEBSOCKET_NONSENSE] = {PROBE_L7RSP, true},
    [WEBSOCKET_CLOSED] = {PROBE_L7RSP, true},
    [WEBSOCKET_RESET] = {PROBE_L7RSP, true},
    [WEBSOCKET_IMPOSSIBLE] = {PROBE_SOCKERR, false},
};

static void connect_main(struct link *link);

static void arm(struct link *link, int64_t delay_ms)
{
	loop_timer_arm(link->loop, &link->timer, clock_boot_ms() + delay_ms);
}

static void disarm(struct link *link, struct loop_timer *timer)
{
	if (timer->loop != NULL)
		loop_timer_arm(link->loop, timer, 0);
}

static void enter(struct link *link, enum link_state state, enum probe_result result)
{
	bool changed = link->state != state || link->last_result != result;

	link->state = state;
	link->last_result = result;
	if (state != LINK_UP)
		link->tick_interval_ms = link->up_since_ms = link->tick_ms = 0;
	if (changed && link->changed != NULL)
		link->changed(link);
}

/* --- How an attempt ends. --- */

static void note_failure(struct link *link, enum probe_result result, unsigned status)
{
	link->status = result == PROBE_L7STS ? status : 0;
	if (link->failing_since_ms == 0)
		link->failing_since_ms = clock_boot_ms();
}

/* From 1 s to 60 s, 20 % more or less. */
static int64_t backoff_ms(struct link *link)
{
	int64_t delay_ms = LINK_BACKOFF_MIN_MS << (link->failures < 6 ? link->failures : 6);
	uint16_t chance = 0;

	link->failures++;
	if (delay_ms > LINK_BACKOFF_MAX_MS)
		delay_ms = LINK_BACKOFF_MAX_MS;
	/* Without chance there is no jitter. */
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != (ssize_t)sizeof(chance))
		chance = UINT16_MAX / 2;
	return delay_ms * 8 / 10 + delay_ms * 4 / 10 * chance / UINT16_MAX;
}

/* The connection is closed already. */
static void wait_again(struct link *link, enum probe_result result)
{
	uint64_t generation = link->generation;

	disarm(link, &link->timer);
	if (!link->once)
		arm(link, backoff_ms(link));
	enter(link, link->once ? LINK_OFF : LINK_WAITING, result);
	if (link->generation == generation)
		link_requests_fail(link);
}

static void deny(struct link *link, const char *sentence)
{
	websocket_close(&link->main);
	link->denied_ms = clock_boot_ms();
	link->tries_left -= link->tries_left > 0;
	disarm(link, &link->timer);
	if (!link->once)
		arm(link, link->settings->health.interval_ms);
	if (!link->has_said && link->said != NULL)
		link->said(link, sentence);
	link->has_said = true;
	enter(link, LINK_DENIED, PROBE_WSAUTH);
}

/* --- The secret. --- */

static bool find_variable(void *context, const char *name, char *value, size_t size)
{
	const struct link *link = context;

	return procfs_variable(link->pid, name, value, size) > 0;
}

/* Read anew each time: it may have been rotated. */
static int find_secret(struct link *link, struct token *token, struct error *why)
{
	const struct token_environment environment = {find_variable, link};
	int result = token_find(link->settings, &environment, token, why);
	uint64_t hash = result == 0 ? hash_bytes(token->value, strlen(token->value)) + token->kind : 0;

	if (hash != link->secret_hash)
		link->tries_left = NEW_TRIES;
	link->secret_hash = hash;
	if (result == 0 && token->kind == TOKEN_MISSING)
		result = error_set(why, -ENOENT,
		    "No secret of the gateway is configured, so that Holdfast watches it without its ticks: "
		    "set "
		    "gateway.auth.token in openclaw.json, or restart the gateway and it is given one.");
	return result;
}

static void show_secret(struct link *link)
{
	char bytes[LINK_REQUEST_BYTES];
	struct token token;
	struct error why;
	struct text text;
	int result = find_secret(link, &token, &why);

	if (result < 0) {
		token_clear(&token);
		deny(link, why.text);
		return;
	}
	text_init(&text, bytes, sizeof(bytes));
	link_connect_write(&text, CONNECT_ID, &token, link->scopes);
	result = text.truncated ? -EMSGSIZE : websocket_send(&link->main, bytes, text.length);
	explicit_bzero(bytes, sizeof(bytes));
	token_clear(&token);
	if (result < 0) {
		websocket_close(&link->main);
		wait_again(link, PROBE_SOCKERR);
		return;
	}
	arm(link, link->settings->health.timeout_ms);
	enter(link, LINK_CHALLENGED, link->last_result);
}

static void connect_answered(struct link *link, const struct link_frame *frame)
{
	char sentence[ERROR_TEXT_MAX];

	if (frame->ok) {
		link_hello_read(&link->hello, frame);
		link->tick_interval_ms = link->hello.tick_interval_ms;
		link->up_since_ms = clock_boot_ms();
		link->tick_ms = 0;
		link->ever_up = true;
		link->has_said = false;
		arm(link, SILENT_TICKS * link->tick_interval_ms);
		enter(link, LINK_UP, PROBE_WSOK);
	} else if (strcmp(frame->code, "UNAVAILABLE") == 0) {
		/* It is starting or stopping. */
		websocket_close(&link->main);
		wait_again(link, PROBE_L7RSP);
	} else {
		snprintf(sentence, sizeof(sentence),
		    "The gateway does not accept the secret that it is configured with (%s: %.200s), so that "
		    "Holdfast "
		    "watches it without its ticks: restart it if the secret was changed.",
		    frame->code, frame->sentence);
		deny(link, sentence);
	}
}

/* --- The connection. --- */

static void main_opened(struct websocket *websocket)
{
	struct link *link = websocket->context;

	/* The gateway speaks first. */
	arm(link, link->settings->health.timeout_ms);
}

static void main_message(struct websocket *websocket, const char *text, size_t length, bool whole)
{
	struct link *link = websocket->context;
	struct link_frame frame;

	if (link->state == LINK_UP && link_frame_is_run_event(text, length)) {
		if (link->event != NULL)
			link->event(link, text, length);
		return;
	}
	link_frame_read(&frame, text, length, whole);
	if (link->state == LINK_CONNECTING && frame.kind == LINK_FRAME_CHALLENGE) {
		link->failing_since_ms = 0;
		show_secret(link);
	} else if (link->state == LINK_CHALLENGED && frame.kind == LINK_FRAME_RESPONSE &&
	           strcmp(frame.id, CONNECT_ID) == 0) {
		connect_answered(link, &frame);
	} else if (link->state == LINK_UP && frame.kind == LINK_FRAME_TICK) {
		link->tick_ms = websocket->heard_ms;
		link->ticks++;
	} else if (link->state == LINK_UP && frame.kind == LINK_FRAME_RESPONSE) {
		link_request_answered(link, &frame);
	}
}

/* Its loop turns, and it wants to know first who asks. */
static bool is_denial(enum websocket_end end, unsigned code)
{
	return end == WEBSOCKET_STATUS && (code == 401 || code == 403 || code == 429);
}

static void main_closed(struct websocket *websocket, enum websocket_end end, unsigned code)
{
	struct link *link = websocket->context;
	enum probe_result result = ends[end].result;

	if (is_denial(end, code)) {
		link->failing_since_ms = 0;
		deny(link,
		    "The gateway lets no WebSocket be opened without a proxy of its own, so that Holdfast "
		    "watches it without its ticks.");
		return;
	}
	if (link->state == LINK_CONNECTING && ends[end].is_failure)
		note_failure(link, result, code);
	if (link->state == LINK_UP && clock_boot_ms() - link->up_since_ms >= STEADY_MS)
		link->failures = 0;
	wait_again(link, result);
}

static void connect_main(struct link *link)
{
	disarm(link, &link->timer);
	if (websocket_open(&link->main, link->port, PATH, link->settings->health.timeout_ms) < 0)
		wait_again(link, PROBE_SOCKERR);
	else
		enter(link, LINK_CONNECTING, link->last_result);
}

/* The connection is silent. Its own end is not for us to say: silence is what the looks want to see. But
 * where new connections work, this one is dead. */
static void watch_silence(struct link *link)
{
	int64_t due_ms = link->main.heard_ms + SILENT_TICKS * link->tick_interval_ms,
	        now_ms = clock_boot_ms();

	if (now_ms < due_ms) {
		arm(link, due_ms - now_ms);
		return;
	}
	arm(link, link->tick_interval_ms);
	link_try(link);
}

static void try_secret_again(struct link *link)
{
	struct token token;
	bool may_try = find_secret(link, &token, NULL) == 0 &&
	               (link->tries_left > 0 || clock_boot_ms() - link->denied_ms >= LINK_DENIED_AGAIN_MS);

	token_clear(&token);
	if (may_try) {
		connect_main(link);
		return;
	}
	arm(link, link->settings->health.interval_ms);
	link_try(link);
}

static void timer_fired(struct loop_timer *timer)
{
	struct link *link = timer->context;

	switch (link->state) {
	case LINK_CONNECTING:
		note_failure(link, PROBE_L7TOUT, 0);
		__attribute__((fallthrough));
	case LINK_CHALLENGED:
		websocket_close(&link->main);
		wait_again(link, PROBE_L7TOUT);
		break;
	case LINK_UP:
		watch_silence(link);
		break;
	case LINK_DENIED:
		try_secret_again(link);
		break;
	case LINK_WAITING:
		connect_main(link);
		break;
	case LINK_OFF:
		break;
	}
}

/* --- Trying whether a new connection can be opened. --- */

static void trial_ended(struct link *link, enum probe_result result, bool is_failure, unsigned status)
{
	disarm(link, &link->trial_timer);
	websocket_close(&link->trial);
	if (is_failure)
		note_failure(link, result, status);
	if (link->state == LINK_DENIED)
		enter(link, LINK_DENIED, is_failure ? result : PROBE_WSAUTH);
}

static void trial_opened(struct websocket *websocket)
{
	struct link *link = websocket->context;

	loop_timer_arm(link->loop, &link->trial_timer, clock_boot_ms() + link->settings->health.timeout_ms);
}

static void trial_message(struct websocket *websocket, const char *text, size_t length, bool whole)
{
	struct link *link = websocket->context;
	struct link_frame frame;

	link_frame_read(&frame, text, length, whole);
	if (frame.kind != LINK_FRAME_CHALLENGE)
		return;
	link->failing_since_ms = 0;
	trial_ended(link, PROBE_WSOK, false, 0);
	if (link->state == LINK_UP &&
	    clock_boot_ms() - link->main.heard_ms >= SILENT_TICKS * link->tick_interval_ms) {
		websocket_close(&link->main);
		wait_again(link, PROBE_WSTICK);
	}
}

static void trial_closed(struct websocket *websocket, enum websocket_end end, unsigned code)
{
	struct link *link = websocket->context;

	if (is_denial(end, code))
		link->failing_since_ms = 0;
	trial_ended(link, ends[end].result, ends[end].is_failure && !is_denial(end, code), code);
}

static void trial_unanswered(struct loop_timer *timer)
{
	trial_ended(timer->context, PROBE_L7TOUT, true, 0);
}

void link_try(struct link *link)
{
	if ((link->state == LINK_UP || link->state == LINK_DENIED) && link->trial.state == WEBSOCKET_IDLE)
		(void)!websocket_open(&link->trial, link->port, PATH, link->settings->health.timeout_ms);
}

/* --- For the owner. --- */

static void init_websocket(struct link *link, struct websocket *websocket, char *buffer, size_t size)
{
	websocket_init(websocket, link->loop);
	websocket->context = link;
	websocket->buffer = buffer;
	websocket->buffer_size = size;
}

void link_init(struct link *link)
{
	init_websocket(link, &link->main, link->text, sizeof(link->text));
	link->main.opened = main_opened;
	link->main.message = main_message;
	link->main.closed = main_closed;
	init_websocket(link, &link->trial, link->trial_text, sizeof(link->trial_text));
	link->trial.opened = trial_opened;
	link->trial.message = trial_message;
	link->trial.closed = trial_closed;
	link->timer = (struct loop_timer){.callback = timer_fired, .context = link};
	link->request_timer = (struct loop_timer){.callback = link_requests_overdue, .context = link};
	link->trial_timer = (struct loop_timer){.callback = trial_unanswered, .context = link};
	link->state = LINK_OFF;
	link->generation = link->next_request = 0;
	memset(link->requests, 0, sizeof(link->requests));
	link_stop(link);
}

void link_start(struct link *link, uint64_t generation, int pid, uint32_t port)
{
	link_stop(link);
	link->generation = generation;
	link->pid = pid;
	link->port = port;
	if (port != 0)
		connect_main(link);
}

void link_stop(struct link *link)
{
	websocket_close(&link->main);
	websocket_close(&link->trial);
	disarm(link, &link->timer);
	disarm(link, &link->request_timer);
	disarm(link, &link->trial_timer);
	memset(link->requests, 0, sizeof(link->requests));
	link->state = LINK_OFF;
	link->last_result = PROBE_UNK;
	link->tick_ms = link->tick_interval_ms = link->up_since_ms = link->failing_since_ms = 0;
	link->denied_ms = 0;
	link->ticks = link->secret_hash = 0;
	link->status = link->failures = link->tries_left = 0;
	link->ever_up = link->has_said = false;
	link->hello = (struct link_hello){0};
}

void link_configuration_changed(struct link *link)
{
	link->tries_left = NEW_TRIES;
	if (link->state == LINK_DENIED && !link->once)
		connect_main(link);
}

int64_t link_heard_ms(const struct link *link)
{
	return link->state == LINK_UP ? link->main.heard_ms : 0;
}

enum probe_result link_result(const struct link *link, int64_t now_ms)
{
	if (link->state == LINK_UP &&
	    now_ms - link->main.heard_ms > link->tick_interval_ms + link->settings->health.timeout_ms)
		return PROBE_WSTICK;
	return link->last_result;
}

const char *link_state_name(enum link_state state)
{
	static const char *const names[] = {"off", "connecting", "challenged", "up", "denied", "waiting"};

	return names[state];
}
