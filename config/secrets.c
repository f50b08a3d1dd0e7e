/* What refers to a secret: the variables that hold one are noted, to be kept from everybody else, and what
 * cannot be had is remarked upon. No secret is read here. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/loader.h"
#include "config/paths.h"
#include "config/secret_file.h"

static int note_variable(struct loader *loader, const char *name)
{
	struct settings *settings = loader->settings;

	for (uint32_t i = 0; i < settings->secret_count; i++)
		if (strcmp(settings_string(settings, settings->secrets[i]), name) == 0)
			return 0;
	if (paths_variable(loader->environment, name) == NULL)
		loader_remark(loader, "The variable %.100s, which is to hold a secret, is not set.", name);
	if (settings->secret_count == SETTINGS_SECRETS_MAX)
		return error_set(loader->why, -EBADMSG,
		    "The settings name more than %d variables with secrets: use \"file:\" for some.",
		    SETTINGS_SECRETS_MAX);
	return loader_text(loader, name, strlen(name), &settings->secrets[settings->secret_count++]);
}

static int add_secret(struct loader *loader, settings_text reference)
{
	const char *text = settings_string(loader->settings, reference);

	if (strncmp(text, "file:", 5) == 0 && access(text + 5, R_OK) < 0)
		loader_remark(loader, "The secret %.300s cannot be read: %s.", text, strerror(errno));
	return strncmp(text, "env:", 4) == 0 ? note_variable(loader, text + 4) : 0;
}

/* What the relay would refuse. */
static void look_at_file(struct loader *loader, const char *path)
{
	struct stat status;
	const char *fault;

	if (stat(path, &status) < 0)
		return; /* said already */
	fault = secret_file_fault(&status);
	if (fault != NULL)
		loader_remark(loader, "%.300s, which is to hold a key, %s.", path, fault);
}

/* Its arguments are not shown: nobody knows what is in them. */
static void look_at_command(struct loader *loader, const char *command)
{
	char program[1024];
	struct stat status;
	int error = 0;

	snprintf(program, sizeof(program), "%.*s", (int)strcspn(command, " "), command);
	if (stat(program, &status) < 0 || access(program, X_OK) < 0)
		error = errno;
	else if (!S_ISREG(status.st_mode))
		error = EACCES;
	if (error != 0)
		loader_remark(
		    loader, "%.300s, which is to print a key, cannot be run: %s.", program, strerror(error));
}

static int add_profile(
    struct loader *loader, const struct settings_provider *provider, const struct settings_profile *profile)
{
	const struct settings *settings = loader->settings;
	const char *key = settings_string(settings, profile->key);
	int result = add_secret(loader, profile->key);

	if (strncmp(key, "file:", 5) == 0)
		look_at_file(loader, key + 5);
	else if (strncmp(key, "exec:", 5) == 0)
		look_at_command(loader, key + 5);
	if (profile->rotate != 0 && strcmp(key, "gateway") != 0)
		loader_remark(loader,
		    "The \"rotate\" of the profile \"%s\" of %s has no effect: only a login of the gateway's "
		    "own "
		    "(key \"gateway\") has a next one.",
		    settings_string(settings, profile->id), settings_string(settings, provider->name));
	return result;
}

int secrets_collect(struct loader *loader)
{
	struct settings *settings = loader->settings;
	int result = 0;

	for (uint32_t i = 0; i < settings->alert_count && result == 0; i++)
		result = add_secret(loader, settings->alerts[i].secret);
	for (uint32_t i = 0; i < settings->relay.provider_count; i++) {
		const struct settings_provider *provider = &settings->relay.providers[i];

		for (uint32_t j = 0; j < provider->profile_count && result == 0; j++)
			result = add_profile(loader, provider, &provider->profiles[j]);
	}
	return result;
}
