/* Settings: any bytes as holdfast.json and, behind the first NUL, as openclaw.json are either loaded, within
 * their ranges, or refused with one sentence. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/load.h"
#include "config/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct settings settings;

static int put(const uint8_t *data, size_t size)
{
	int fd = memfd_create("settings", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

static void check_sentence(const char *sentence)
{
	if (*sentence == '\0')
		abort();
	for (; *sentence != '\0'; sentence++)
		if ((unsigned char)*sentence < 0x20 || *sentence == 0x7f)
			abort();
}

static void take_remark(void *context, const char *sentence)
{
	check_sentence(sentence);
}

static void check_ranges(void)
{
	static char data[1024 * 1024];
	struct text text;

	for (size_t i = 0; i < schema_count; i++) {
		const char *value = (const char *)&settings + schema[i].offset;

		if (schema[i].type == SETTING_COUNT || schema[i].type == SETTING_PORT) {
			if (*(const uint32_t *)(const void *)value > schema[i].max ||
			    *(const uint32_t *)(const void *)value < schema[i].min)
				abort();
		} else if (schema[i].type == SETTING_DURATION || schema[i].type == SETTING_SIZE) {
			if (*(const int64_t *)(const void *)value > schema[i].max ||
			    *(const int64_t *)(const void *)value < schema[i].min)
				abort();
		}
	}
	text_init(&text, data, sizeof(data));
	settings_describe(&settings, &text);
	settings_describe_json(&settings, &text);
	if (text.truncated)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
	size_t length = end != NULL ? (size_t)(end - data) : size;
	size_t rest = end != NULL ? size - length - 1 : 0;
	int ours = put(data, length), theirs = put(data + size - rest, rest);
	char file[64], variable[64];
	char *environment[] = {(char *)"HOME=/nowhere", (char *)"PATH=/bin", (char *)"HOLDFAST_KIND=openclaw",
	    (char *)"HOLDFAST_COMMAND=['/bin/sh']", (char *)"HOLDFAST_RUNTIME_DIR=/nowhere/run", variable,
	    NULL};
	struct settings_flags flags = {.config_file = file};
	struct error why = {0};

	snprintf(file, sizeof(file), "/proc/self/fd/%d", ours);
	snprintf(variable, sizeof(variable), "OPENCLAW_CONFIG_PATH=/proc/self/fd/%d", theirs);
	if (settings_load(&settings, &flags, environment, take_remark, NULL, &why) < 0)
		check_sentence(why.text);
	else
		check_ranges();
	close(ours);
	close(theirs);
	return 0;
}
