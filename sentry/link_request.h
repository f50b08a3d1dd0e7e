/* Inside sentry/link: the requests under way. */
#ifndef HOLDFAST_SENTRY_LINK_REQUEST_H
#define HOLDFAST_SENTRY_LINK_REQUEST_H

#include "sentry/link.h"

#define LINK_REQUEST_BYTES 8192

/* An answer came, to one of them or to none. */
void link_request_answered(struct link *link, const struct link_frame *frame);

/* The connection has ended: each is told so. */
void link_requests_fail(struct link *link);

/* The request timer. */
void link_requests_overdue(struct loop_timer *timer);

#endif
