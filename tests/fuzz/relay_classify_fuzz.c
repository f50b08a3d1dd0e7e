/* Errors of providers: whatever they say, the report is one that can be. */
#include <stdint.h>
#include <stdlib.h>

#include "http/head.h"
#include "relay/classify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_possible(const struct failover_report *report)
{
	if ((uint32_t)report->outcome >= FAILOVER_OUTCOME_COUNT ||
	    (uint32_t)report->scope > FAILOVER_ORGANISATION || report->retry_after_ms < -1 ||
	    report->retry_after_ms > 31 * 24 * 3600 * (int64_t)1000)
		abort();
	if (report->outcome == FAILOVER_ANSWERED || report->outcome == FAILOVER_ABANDONED)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned statuses[] = {400, 401, 402, 403, 404, 408, 413, 429, 500, 503, 529, 599};
	const char *bytes = (const char *)data;
	ssize_t head = http_head_find(bytes, size);
	struct failover_report report;

	for (int api = API_ANTHROPIC_MESSAGES; api <= API_OTHER; api++) {
		classify_error((enum api)api, bytes, size, &report);
		expect_possible(&report);
		if (head <= 0 || http_head_check(HTTP_HEAD_RESPONSE, bytes, (size_t)head, NULL) < 0)
			continue;
		for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
			classify_answer((enum api)api, statuses[i], bytes, (size_t)head, bytes + head,
			    size - (size_t)head, 1700000000000, &report);
			expect_possible(&report);
		}
	}
	return 0;
}
