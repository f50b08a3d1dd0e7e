/* Logins that the gateway holds and renews itself: of a limit it is told in the way that makes it use its
 * next login at once.
 *
 * Tried, from the limited login's answer to the first call with the next one: 2026.9.6 takes 120 to 149 s
 * after a 429, and 1.4 s after a 401, which keeps the first login out for 30 s; 2026.2.1 takes 19.5 s after a
 * 429, and 0.1 s after a 401, which keeps it out for 60 s. A 402 is as fast, but keeps it out for 10 min
 * (2026.9.6) and 5 h (2026.2.1). */
#include <stdlib.h>
#include <string.h>

#include "relay/relay.h"

#define SEEN_MS    (60 * 60 * (int64_t)1000) /* a login that was not used for so long may be gone */
#define LIMITED_MS 30000                     /* where the provider does not say how long */
#define AUTO       401

static bool is_limited(const struct provider *provider, uint32_t place, int64_t now_ms)
{
	return provider->credentials[place].limited_until_ms > now_ms;
}

static uint32_t find(struct provider *provider, uint64_t credential)
{
	uint32_t oldest = 0;

	for (uint32_t i = 0; i < RELAY_CREDENTIALS; i++) {
		if (provider->credentials[i].hash == credential)
			return i;
		if (provider->credentials[i].seen_ms < provider->credentials[oldest].seen_ms)
			oldest = i;
	}
	memset(&provider->credentials[oldest], 0, sizeof(provider->credentials[oldest]));
	provider->credentials[oldest].hash = credential;
	return oldest;
}

void rotate_seen(struct call *call)
{
	if (call->credential != 0)
		call->provider->credentials[find(call->provider, call->credential)].seen_ms =
		    relay_now_ms(call->relay);
}

void rotate_limited(struct call *call, const struct failover_report *report)
{
	int64_t for_ms = report->retry_after_ms > 0 ? report->retry_after_ms : LIMITED_MS;

	if (call->credential != 0 && report->outcome == FAILOVER_RATE_LIMITED)
		call->provider->credentials[find(call->provider, call->credential)].limited_until_ms =
		    relay_now_ms(call->relay) + for_ms;
}

/* Whether the gateway has another login that is not known to be limited too. */
static bool has_another(const struct call *call)
{
	const struct provider *provider = call->provider;
	int64_t now_ms = relay_now_ms(call->relay);
	uint32_t known = 0, usable = 0;

	for (uint32_t i = 0; i < RELAY_CREDENTIALS; i++) {
		if (provider->credentials[i].hash == 0 || now_ms - provider->credentials[i].seen_ms > SEEN_MS)
			continue;
		known++;
		usable +=
		    provider->credentials[i].hash != call->credential && !is_limited(provider, i, now_ms);
	}
	return usable > 0 || provider->gateway_logins > known;
}

unsigned rotate_status(const struct call *call)
{
	struct provider *provider = call->provider;
	int64_t now_ms = relay_now_ms(call->relay);
	const char *form = "off";

	for (uint32_t i = 0; i < provider->profile_count; i++)
		if (provider->profiles[i].is_gateways)
			form = provider->profiles[i].rotate;
	if (call->credential == 0 || strcmp(form, "off") == 0 ||
	    !is_limited(provider, find(provider, call->credential), now_ms))
		return 0;
	if (strcmp(form, "auto") != 0)
		return (unsigned)strtoul(form, NULL, 10);
	return has_another(call) ? AUTO : 0;
}
