/* What a gateway's last console lines say about its end. */
#ifndef HOLDFAST_SENTRY_WORDS_H
#define HOLDFAST_SENTRY_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "channel/message.h"
#include "gateway/gateway.h"

/* Reads raw console bytes from their end and finds the latest line that tells something. Fills words and
 * line; WORDS_NONE and the last line that is not empty when no line does. A line that ends in a colon is
 * given with the one that follows it. */
void words_read(const struct gateway_facts *facts, const char *bytes, size_t length, uint32_t *words,
    char *line, size_t line_size);

/* Puts "port N is held by pid P (name): " before the line when somebody listens on the port. 0: no port. */
void words_name_holder(uint32_t port, char *line, size_t line_size);

#endif
