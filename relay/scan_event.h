/* What one whole event, or one whole body, means. */
#ifndef HOLDFAST_RELAY_SCAN_EVENT_H
#define HOLDFAST_RELAY_SCAN_EVENT_H

#include "relay/scan.h"

/* `bytes` is an event with the empty line that ends it. */
void scan_event(struct scan *scan, const char *bytes, size_t length, struct scan_found *found);

/* `body` is the whole answer, which is no stream. */
void scan_body(struct scan *scan, const char *body, size_t length, struct scan_found *found);

#endif
