/* What the recorder answers over HTTP. */
#ifndef HOLDFAST_RECORDER_API_H
#define HOLDFAST_RECORDER_API_H

#include "http/serve.h"

/* For struct serve. */
void api_answer(struct serve *serve, const struct http_request *request, struct serve_answer *answer);

#endif
