#include "worker/session_policy.h"

#include "base/text.h"

void session_policy_read(const struct settings *settings, struct sessions_settings *policy)
{
	*policy = (struct sessions_settings){.session_timeout_ms = settings->gateway.session_timeout_ms,
	    .tool_timeout_ms = settings->gateway.tool_timeout_ms,
	    .threshold = settings->gateway.auto_restart.threshold};
	policy->pattern_count = settings->gateway.session_rule_count;
	for (uint32_t i = 0; i < policy->pattern_count; i++) {
		const struct settings_session_rule *rule = &settings->gateway.session_rules[i];
		struct session_pattern *pattern = &policy->patterns[i];

		text_copy(pattern->key, sizeof(pattern->key), settings_string(settings, rule->key));
		pattern->session_timeout_ms =
		    rule->session_timeout_ms != 0 ? rule->session_timeout_ms : policy->session_timeout_ms;
		pattern->tool_timeout_ms =
		    rule->tool_timeout_ms != 0 ? rule->tool_timeout_ms : policy->tool_timeout_ms;
	}
}
