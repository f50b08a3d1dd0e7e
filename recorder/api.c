#include "recorder/api.h"

void api_answer(struct serve *serve, const struct http_request *request, struct serve_answer *answer)
{
	(void)serve;
	if (!http_request_only_reads(request)) {
		answer->allow = "GET, HEAD";
		serve_say(answer, 405, "Only GET and HEAD are answered here.");
	} else if (http_request_is_for(request, "/healthz")) {
		serve_say_healthy(answer);
	} else {
		serve_say(answer, 404, "There is nothing at this path: try /healthz.");
	}
}
