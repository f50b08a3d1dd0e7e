#include "relay/classify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "base/text.h"
#include "format/json_skim.h"
#include "http/head.h"
#include "relay/retry_after.h"

#define WORD_MAX    64
#define MESSAGE_MAX 1024

/* What an error's body says, as far as it is text. */
struct said {
	char type[WORD_MAX], code[WORD_MAX];
	char message[MESSAGE_MAX];
	bool is_page; /* for a browser: what stands before the interface answered, not the interface */
};

enum api api_from_name(const char *name)
{
	if (strcmp(name, "anthropic-messages") == 0)
		return API_ANTHROPIC_MESSAGES;
	return strcmp(name, "openai-completions") == 0 ? API_OPENAI_COMPLETIONS : API_OTHER;
}

/* A number as it is spelled: OpenRouter's codes are statuses. */
static void copy_rough(const struct json_span *value, char *target, size_t size)
{
	if (value->length == 3 && *value->bytes >= '1' && *value->bytes <= '9')
		snprintf(target, size, "%.3s", value->bytes);
	else
		json_span_rough_text(value, target, size);
}

/* {"type","code","message"}, wherever it stands. */
static void read_object(const char *bytes, size_t length, struct said *said)
{
	struct json_span key, value;
	struct json_skim skim;

	json_skim_begin(&skim, bytes, length);
	while (json_skim_next(&skim, &key, &value)) {
		if (json_span_is(&key, "type"))
			copy_rough(&value, said->type, sizeof(said->type));
		else if (json_span_is(&key, "code"))
			copy_rough(&value, said->code, sizeof(said->code));
		else if (json_span_is(&key, "message"))
			copy_rough(&value, said->message, sizeof(said->message));
	}
}

/* Anthropic: {"type":"error","error":{"type","message"}}. OpenAI:
 * {"error":{"message","type","param","code"}}. Others give a sentence as "error", "message" or "detail". */
static void read_body(const char *body, size_t length, struct said *said)
{
	struct json_span key, value;
	struct json_skim skim;

	memset(said, 0, sizeof(*said));
	for (size_t i = 0; i < length && strchr(" \t\r\n<", body[i]) != NULL && !said->is_page; i++)
		said->is_page = body[i] == '<';
	json_skim_begin(&skim, body, length);
	while (json_skim_next(&skim, &key, &value)) {
		if (json_span_is(&key, "error") && value.length > 0 && *value.bytes == '{')
			read_object(value.bytes, value.length, said);
		else if ((json_span_is(&key, "error") || json_span_is(&key, "message") ||
		             json_span_is(&key, "detail")) &&
		         said->message[0] == '\0')
			copy_rough(&value, said->message, sizeof(said->message));
		else if (json_span_is(&key, "type") && said->type[0] == '\0' &&
		         !json_span_is(&value, "error"))
			copy_rough(&value, said->type, sizeof(said->type));
	}
	/* It need not be JSON at all. */
	if (said->type[0] == '\0' && said->code[0] == '\0' && said->message[0] == '\0')
		snprintf(
		    said->message, sizeof(said->message), "%.*s", (int)(length < 1000 ? length : 1000), body);
}

struct meaning {
	const char *words;
	enum failover_outcome outcome;
	enum failover_scope scope;
};

/* Of "type" and "code", by the providers' documentation of their errors (docs.anthropic.com/en/api/errors,
 * platform.openai.com/docs/guides/error-codes; what is spent also developers.openai.com/api/docs/guides/
 * spend-limits and help.openai.com, article 5955604: those may come with the type "insufficient_quota"). */
static const struct meaning names[] = {
    {"rate_limit_error", FAILOVER_RATE_LIMITED, FAILOVER_MODEL},
    {"rate_limit_exceeded", FAILOVER_RATE_LIMITED, FAILOVER_MODEL},
    {"overloaded_error", FAILOVER_OVERLOADED, FAILOVER_MODEL},
    {"server_overloaded", FAILOVER_OVERLOADED, FAILOVER_MODEL},
    {"engine_overloaded", FAILOVER_OVERLOADED, FAILOVER_MODEL},
    {"insufficient_quota", FAILOVER_QUOTA, FAILOVER_PROFILE},
    {"quota_exceeded", FAILOVER_QUOTA, FAILOVER_PROFILE},
    {"organization_usage_limit_exceeded", FAILOVER_QUOTA, FAILOVER_PROFILE},
    {"organization_spend_limit_exceeded", FAILOVER_QUOTA, FAILOVER_PROFILE},
    {"project_spend_limit_exceeded", FAILOVER_QUOTA, FAILOVER_PROFILE},
    {"credit_balance_exhausted", FAILOVER_BILLING, FAILOVER_PROFILE},
    {"billing_error", FAILOVER_BILLING, FAILOVER_PROFILE},
    {"billing_hard_limit_reached", FAILOVER_BILLING, FAILOVER_PROFILE},
    {"billing_not_active", FAILOVER_BILLING, FAILOVER_PROFILE},
    {"authentication_error", FAILOVER_AUTH, FAILOVER_PROFILE},
    {"permission_error", FAILOVER_AUTH, FAILOVER_PROFILE},
    {"invalid_api_key", FAILOVER_AUTH, FAILOVER_PROFILE},
    {"account_deactivated", FAILOVER_AUTH, FAILOVER_PROFILE},
    {"token_revoked", FAILOVER_AUTH, FAILOVER_PROFILE},
    {"context_length_exceeded", FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},
    {"string_above_max_length", FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},
    {"request_too_large", FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},
    {"content_filter", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},
    {"content_policy_violation", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},
    {"invalid_prompt", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL}, /* flagged, of OpenAI's reasoning models */
    {"api_error", FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {"timeout_error", FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {"server_error", FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {"internal_server_error", FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
};

/* Within a message; the first that is found counts. Not of a 429: a limit said with one is a limit. Anthropic
 * says all of these with a 400 "invalid_request_error": the first by its documentation ("... your specified
 * workspace API usage limits" for a workspace's), the others as its clients' users report them. */
static const struct meaning phrases[] = {
    {"reached your specified API usage limits", FAILOVER_BILLING, FAILOVER_PROFILE}, /* Anthropic */
    {"reached your specified workspace API usage", FAILOVER_BILLING, FAILOVER_PROFILE},
    {"credit balance is too low", FAILOVER_BILLING, FAILOVER_PROFILE},       /* Anthropic */
    {"draw from your extra usage", FAILOVER_BILLING, FAILOVER_PROFILE},      /* ... a subscription's token */
    {"draw from extra usage", FAILOVER_BILLING, FAILOVER_PROFILE},           /* ... of a team */
    {"organization has been disabled", FAILOVER_AUTH, FAILOVER_PROFILE},     /* Anthropic */
    {"credential is only authorized for", FAILOVER_AUTH, FAILOVER_MODEL},    /* ... for some requests only */
    {"prompt is too long", FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},       /* Anthropic */
    {"exceed context limit", FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},     /* Anthropic */
    {"maximum context length", FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},   /* OpenAI */
    {"context window", FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},           /* OpenAI, others */
    {"input is too long", FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},        /* Bedrock and others */
    {"content filtering policy", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},   /* Anthropic */
    {"content management policy", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},  /* Azure OpenAI */
    {"violating our usage policy", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL}, /* OpenAI, "invalid_prompt" */
    {"usage policies", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},             /* both */
    {"safety system", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},              /* OpenAI */
    {"input was flagged", FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},          /* OpenRouter, with a 403 */
};

static const struct meaning *find_name(const char *name)
{
	for (size_t i = 0; name[0] != '\0' && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i].words) == 0)
			return &names[i];
	return NULL;
}

static const struct meaning *find_phrase(const char *message)
{
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (strcasestr(message, phrases[i].words) != NULL)
			return &phrases[i];
	return NULL;
}

static struct meaning of_status(unsigned status)
{
	struct meaning meaning = {"", FAILOVER_BAD_REQUEST, FAILOVER_MODEL};

	switch (status) {
	case 401:
	case 403:
		return (struct meaning){"", FAILOVER_AUTH, FAILOVER_PROFILE};
	case 402:
		return (struct meaning){"", FAILOVER_BILLING, FAILOVER_PROFILE};
	case 408:
	case 409:
		meaning.outcome = FAILOVER_SERVER_ERROR;
		break;
	case 413:
		meaning.outcome = FAILOVER_CONTEXT_TOO_LONG;
		break;
	case 429:
		meaning.outcome = FAILOVER_RATE_LIMITED;
		break;
	case 503:
	case 529:
		meaning.outcome = FAILOVER_OVERLOADED;
		break;
	default:
		if (status >= 500)
			meaning.outcome = FAILOVER_SERVER_ERROR;
		break;
	}
	return meaning;
}

/* A name that says less than the status does not count against it. */
static bool may_refine(unsigned status, const struct meaning *meaning)
{
	switch (meaning->outcome) {
	case FAILOVER_RATE_LIMITED:
		return status == 429 || status == 403 || status == 200;
	case FAILOVER_SERVER_ERROR:
		return (status >= 500 && status != 503 && status != 529) || status == 200;
	case FAILOVER_CONTEXT_TOO_LONG:
	case FAILOVER_CONTENT_FILTER:
		return status == 400 || status == 403 || status == 413 || status == 422 || status == 200;
	default:
		return true;
	}
}

/* A 403 that is not the key's: "model_not_found" is of one model ("Project ... does not have access to model
 * ...", OpenAI); the others are refused for the place that they come from, whatever the key, and often for a
 * moment only ("forbidden", "Request not allowed" from what stands before Anthropic; a page of Cloudflare).
 */
static bool find_other_refusal(unsigned status, const struct said *said, struct meaning *meaning)
{
	static const struct meaning no_model = {"", FAILOVER_AUTH, FAILOVER_MODEL};
	static const struct meaning no_place = {"", FAILOVER_SERVER_ERROR, FAILOVER_MODEL};

	if (status != 403)
		return false;
	if (strcmp(said->code, "model_not_found") == 0)
		*meaning = no_model;
	else if (said->is_page || strcmp(said->code, "unsupported_country_region_territory") == 0 ||
	         strcmp(said->message, "Request not allowed") == 0)
		*meaning = no_place;
	else
		return false;
	return true;
}

static struct meaning find_meaning(unsigned status, const struct said *said)
{
	static const struct meaning overloaded = {"", FAILOVER_OVERLOADED, FAILOVER_MODEL};
	const struct meaning *found = find_name(said->code);
	struct meaning refusal;

	if (find_other_refusal(status, said, &refusal))
		return refusal;
	if (found == NULL || !may_refine(status, found))
		found = find_name(said->type);
	/* "The engine is currently overloaded" comes as a "server_error" (OpenAI). */
	if (found != NULL && found->outcome == FAILOVER_SERVER_ERROR && may_refine(status, found) &&
	    strcasestr(said->message, "overloaded") != NULL)
		return overloaded;
	if (found != NULL && may_refine(status, found))
		return *found;
	found = status == 429 || status == 401 ? NULL : find_phrase(said->message);
	if (found != NULL && may_refine(status, found))
		return *found;
	return of_status(status);
}

uint64_t classify_organisation(const char *head, size_t head_length)
{
	static const char *const fields[] = {"anthropic-organization-id", "openai-organization"};
	const char *value;
	size_t length;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (http_head_field(head, head_length, fields[i], &value, &length) && length > 0)
			return hash_bytes(value, length);
	return 0;
}

/* "... in organization org-abc on tokens per min": OpenAI's limits name whose they are. */
static uint64_t organisation_in(const char *message)
{
	const char *name = strstr(message, "organization org-");
	size_t length;

	if (name == NULL)
		return 0;
	name += strlen("organization ");
	length = strcspn(name, " .,;:)");
	return hash_bytes(name, length);
}

/* x-should-retry: what the providers' own clients go by before the status. "false" is said of this key and
 * moment, not of other profiles. */
static bool says_try_again(const char *head, size_t head_length)
{
	const char *value;
	size_t length;

	return http_head_field(head, head_length, "x-should-retry", &value, &length) && length == 4 &&
	       memcmp(value, "true", 4) == 0;
}

/* Anthropic's limits are those of the organisation (docs.anthropic.com/en/api/rate-limits). */
static void find_whose(enum api api, const struct said *said, struct failover_report *report)
{
	if (api == API_ANTHROPIC_MESSAGES && report->organisation != 0)
		report->scope = FAILOVER_ORGANISATION;
	else if (organisation_in(said->message) != 0) {
		report->scope = FAILOVER_ORGANISATION;
		if (report->organisation == 0)
			report->organisation = organisation_in(said->message);
	}
}

void classify_answer(enum api api, unsigned status, const char *head, size_t head_length, const char *body,
    size_t body_length, int64_t real_ms, struct failover_report *report)
{
	struct meaning meaning;
	struct said said;

	if (body_length > CLASSIFY_BODY_MAX)
		body_length = CLASSIFY_BODY_MAX;
	read_body(body, body_length, &said);
	meaning = find_meaning(status, &said);
	*report = (struct failover_report){.outcome = meaning.outcome,
	    .scope = meaning.scope,
	    .retry_after_ms = retry_after_read(head, head_length, said.message, real_ms),
	    .organisation = classify_organisation(head, head_length)};
	/* A cap of the month looks like a limit of the minute, but for these words and without a Retry-After.
	 */
	if (report->outcome == FAILOVER_RATE_LIMITED && report->retry_after_ms < 0 &&
	    memmem(body, body_length, "enforced_spend_limit_reached", 28) != NULL) {
		report->outcome = FAILOVER_QUOTA;
		report->scope = FAILOVER_PROFILE;
	}
	if (report->outcome == FAILOVER_BAD_REQUEST && says_try_again(head, head_length))
		report->outcome = FAILOVER_SERVER_ERROR;
	if (report->outcome != FAILOVER_RATE_LIMITED)
		return;
	if (report->retry_after_ms < 0)
		report->retry_after_ms = retry_after_of_limits(head, head_length, real_ms);
	find_whose(api, &said, report);
}

/* OpenRouter's "code" of an error within an answer is the status that it would have had. Not of the caller's
 * key, which was good enough to begin with. */
static unsigned status_within(const struct said *said)
{
	unsigned status = strlen(said->code) == 3 ? (unsigned)strtoul(said->code, NULL, 10) : 0;

	return status >= 400 && status <= 599 && (status < 401 || status > 403) ? status : 200;
}

void classify_error(enum api api, const char *json, size_t length, struct failover_report *report)
{
	struct meaning meaning;
	struct said said;

	read_body(json, length < CLASSIFY_BODY_MAX ? length : CLASSIFY_BODY_MAX, &said);
	meaning = find_meaning(status_within(&said), &said);
	/* An error without a name that is known, where an answer was promised. */
	if (meaning.outcome == FAILOVER_BAD_REQUEST && status_within(&said) == 200 &&
	    strcmp(said.type, "invalid_request_error") != 0)
		meaning.outcome = FAILOVER_SERVER_ERROR;
	*report = (struct failover_report){.outcome = meaning.outcome,
	    .scope = meaning.scope,
	    .retry_after_ms = retry_after_of_message(said.message)};
	if (report->outcome == FAILOVER_RATE_LIMITED)
		find_whose(api, &said, report);
}
