/* Requests over a link that is up, and their answers. */
#include "sentry/link_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static void answer(
    struct link *link, struct link_request *request, int result, const struct link_frame *frame)
{
	struct link_request ended = *request;

	*request = (struct link_request){0};
	ended.answered(link, result, frame, ended.context);
}

void link_requests_fail(struct link *link)
{
	/* Those only that were there: a callback may ask again. */
	uint64_t last = link->next_request;

	if (link->request_timer.loop != NULL)
		loop_timer_arm(link->loop, &link->request_timer, 0);
	for (uint32_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (link->requests[i].number != 0 && link->requests[i].number <= last)
			answer(link, &link->requests[i], -ECONNRESET, NULL);
}

static void arm_requests(struct link *link)
{
	int64_t due_ms = 0;

	for (uint32_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (link->requests[i].number != 0 && (due_ms == 0 || link->requests[i].due_ms < due_ms))
			due_ms = link->requests[i].due_ms;
	if (due_ms != 0 || link->request_timer.loop != NULL)
		loop_timer_arm(link->loop, &link->request_timer, due_ms);
}

void link_requests_overdue(struct loop_timer *timer)
{
	struct link *link = timer->context;
	int64_t now_ms = clock_boot_ms();

	for (uint32_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (link->requests[i].number != 0 && link->requests[i].due_ms <= now_ms)
			answer(link, &link->requests[i], -ETIMEDOUT, NULL);
	arm_requests(link);
}

void link_request_answered(struct link *link, const struct link_frame *frame)
{
	char id[24];

	for (uint32_t i = 0; i < LINK_REQUESTS_MAX; i++) {
		snprintf(id, sizeof(id), "h%llu", (unsigned long long)link->requests[i].number);
		if (link->requests[i].number == 0 || strcmp(id, frame->id) != 0)
			continue;
		answer(link, &link->requests[i], frame->cut ? -EMSGSIZE : 0, frame);
		arm_requests(link);
		return;
	}
}

int link_request(struct link *link, const char *method, const char *parameters, int64_t timeout_ms,
    link_answered *answered, void *context)
{
	struct link_request *request = NULL;
	char bytes[LINK_REQUEST_BYTES], id[24];
	struct text text;
	int result;

	if (link->state != LINK_UP)
		return -ENOTCONN;
	for (uint32_t i = 0; i < LINK_REQUESTS_MAX && request == NULL; i++)
		if (link->requests[i].number == 0)
			request = &link->requests[i];
	if (request == NULL)
		return -EBUSY;
	text_init(&text, bytes, sizeof(bytes));
	snprintf(id, sizeof(id), "h%llu", (unsigned long long)link->next_request + 1);
	link_request_write(&text, id, method, parameters);
	if (text.truncated)
		return -EMSGSIZE;
	result = websocket_send(&link->main, bytes, text.length);
	if (result < 0)
		return result;
	*request =
	    (struct link_request){++link->next_request, clock_boot_ms() + timeout_ms, answered, context};
	arm_requests(link);
	return 0;
}
