/* Any long-running program: nothing is known of it but its exit status. */
#include <stddef.h>

#include "gateway/gateway.h"

static const char *const variables[] = {NULL};
static const struct gateway_phrase phrases[] = {{0}};

const struct gateway_facts gateway_generic = {
    .name = "generic",
    .variables = variables,
    .phrases = phrases,
};
