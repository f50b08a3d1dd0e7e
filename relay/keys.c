#include "relay/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "relay/key_source.h"
#include "world/world.h"

struct key {
	uint16_t length; /* 0: none */
	char bytes[KEY_MAX + 2];
	char why[KEY_WHY_MAX];
};

static struct key *key_of(const struct keys *keys, uint32_t provider, uint32_t profile)
{
	return &keys->table[provider * SETTINGS_PROFILES_MAX + profile];
}

static const char *reference_of(const struct keys *keys, uint32_t provider, uint32_t profile)
{
	return settings_string(
	    keys->settings, keys->settings->relay.providers[provider].profiles[profile].key);
}

/* Checks what was read, and cuts the end of its line. */
static void check(struct key *key, ssize_t length)
{
	if (length > 0 && key->bytes[length - 1] == '\n')
		length--;
	if (length > 0 && key->bytes[length - 1] == '\r')
		length--;
	if (length == 0)
		snprintf(key->why, sizeof(key->why), "it is empty");
	else if (length > KEY_MAX)
		snprintf(key->why, sizeof(key->why), "it is longer than %d bytes", KEY_MAX);
	for (ssize_t i = 0; i < length && key->why[0] == '\0'; i++)
		if (key->bytes[i] <= 0x20 || key->bytes[i] >= 0x7f)
			snprintf(key->why, sizeof(key->why),
			    "it holds a byte that no key has: a blank, a line's end or none of ASCII");
	key->length = key->why[0] == '\0' ? (uint16_t)length : 0;
	if (key->length == 0)
		explicit_bzero(key->bytes, sizeof(key->bytes));
	else
		key->bytes[length] = '\0';
}

static void read_key(struct key *key, const char *reference)
{
	size_t size = sizeof(key->bytes);
	ssize_t got;

	key->why[0] = '\0';
	if (strncmp(reference, "file:", 5) == 0)
		got = key_from_file(reference + 5, key->bytes, size, key->why, sizeof(key->why));
	else if (strncmp(reference, "env:", 4) == 0)
		got = key_from_variable(reference + 4, key->bytes, size, key->why, sizeof(key->why));
	else if (strncmp(reference, "exec:", 5) == 0)
		got = key_from_command(
		    reference + 5, KEY_EXEC_MS, key->bytes, size, key->why, sizeof(key->why));
	else
		return; /* the gateway's own */
	if (got < 0)
		key->length = 0;
	else
		check(key, got);
}

/* What came in the environment stands there for everybody who may look at it. */
static void wipe_variable(const char *reference)
{
	char *value = strncmp(reference, "env:", 4) == 0 ? getenv(reference + 4) : NULL;

	if (value != NULL)
		explicit_bzero(value, strlen(value));
}

static void each(struct keys *keys, void (*visit)(struct key *key, const char *reference))
{
	const struct settings *settings = keys->settings;

	for (uint32_t i = 0; i < settings->relay.provider_count; i++)
		for (uint32_t j = 0; j < settings->relay.providers[i].profile_count; j++)
			visit(key_of(keys, i, j), reference_of(keys, i, j));
}

static void wipe_its_variable(struct key *key, const char *reference)
{
	(void)key;
	wipe_variable(reference);
}

int keys_load(struct keys *keys, const struct settings *settings, struct error *why)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t wanted = settings->relay.provider_count * SETTINGS_PROFILES_MAX * sizeof(struct key);

	*keys = (struct keys){.settings = settings};
	if (wanted == 0)
		return 0;
	keys->size = (wanted + page - 1) / page * page;
	/* A page before and one behind it that nobody may touch. */
	char *pages = world_mmap(
	    NULL, keys->size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + page, keys->size, PROT_READ | PROT_WRITE) < 0)
		return error_set(why, -ENOMEM, "The relay has no memory for the keys.");
	keys->table = (struct key *)(void *)(pages + page);
	world_madvise(keys->table, keys->size, MADV_DONTDUMP);
	world_madvise(keys->table, keys->size, MADV_WIPEONFORK);
	keys->locked = mlock(keys->table, keys->size) == 0;
	each(keys, read_key);
	each(keys, wipe_its_variable);
	return 0;
}

const char *keys_get(const struct keys *keys, uint32_t provider, uint32_t profile, size_t *length)
{
	const struct key *key = key_of(keys, provider, profile);

	*length = key->length;
	return key->length > 0 ? key->bytes : NULL;
}

const char *keys_why(const struct keys *keys, uint32_t provider, uint32_t profile)
{
	return key_of(keys, provider, profile)->why;
}

bool keys_refresh(struct keys *keys, uint32_t provider, uint32_t profile)
{
	const char *reference = reference_of(keys, provider, profile);
	struct key *key = key_of(keys, provider, profile);
	char before[KEY_MAX + 1];
	bool changed;

	if (strncmp(reference, "file:", 5) != 0)
		return false;
	memcpy(before, key->bytes, sizeof(before));
	read_key(key, reference);
	changed = key->length > 0 && strcmp(before, key->bytes) != 0;
	explicit_bzero(before, sizeof(before));
	return changed;
}

enum key_scheme keys_scheme(const char *api, const char *key)
{
	if (strcmp(api, "anthropic-messages") != 0)
		return KEY_SCHEME_BEARER;
	return strncmp(key, "sk-ant-oat", 10) == 0 ? KEY_SCHEME_ANTHROPIC_BEARER : KEY_SCHEME_API_KEY;
}

void keys_release(struct keys *keys)
{
	if (keys->table == NULL)
		return;
	explicit_bzero(keys->table, keys->size);
	munmap(keys->table, keys->size);
	*keys = (struct keys){0};
}
