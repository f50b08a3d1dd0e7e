#include "supervise/descriptors.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "world/world.h"

static struct descriptor {
	char name[DESCRIPTORS_NAME_MAX];
	int fd; /* -1: taken */
} descriptors[DESCRIPTORS_MAX];
static int count;

static bool is_listed(int fd)
{
	for (int i = 0; i < count; i++)
		if (descriptors[i].fd == fd)
			return true;
	return false;
}

/* One "name:fd". */
static void read_entry(const char *entry, size_t length, int lowest)
{
	const char *colon = memchr(entry, ':', length);
	char name[DESCRIPTORS_NAME_MAX], number[16];
	uint64_t fd;

	if (colon == NULL || colon == entry || (size_t)(colon - entry) >= sizeof(name) ||
	    length - (size_t)(colon - entry) - 1 >= sizeof(number) || count == DESCRIPTORS_MAX)
		return;
	memset(name, 0, sizeof(name));
	memset(number, 0, sizeof(number));
	memcpy(name, entry, (size_t)(colon - entry));
	memcpy(number, colon + 1, length - (size_t)(colon - entry) - 1);
	if (text_to_u64(number, INT_MAX, &fd) < 0 || (int)fd < lowest || is_listed((int)fd) ||
	    world_fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return;
	memcpy(descriptors[count].name, name, sizeof(name));
	descriptors[count++].fd = (int)fd;
}

void descriptors_read(const char *list, int lowest)
{
	int last = lowest - 1;

	count = 0;
	while (*list != '\0') {
		size_t length = strcspn(list, ",");

		read_entry(list, length, lowest);
		list += length + (list[length] == ',');
	}
	for (int i = 0; i < count; i++)
		if (descriptors[i].fd > last)
			last = descriptors[i].fd;
	for (int fd = lowest; fd < last; fd++)
		if (!is_listed(fd))
			close(fd);
	world_close_range((unsigned int)last + 1, ~0u, 0);
}

static struct descriptor *find(const char *name)
{
	for (int i = 0; i < count; i++)
		if (descriptors[i].fd >= 0 && strcmp(descriptors[i].name, name) == 0)
			return &descriptors[i];
	return NULL;
}

bool descriptors_has(const char *name)
{
	return find(name) != NULL;
}

int descriptors_take(const char *name)
{
	struct descriptor *found = find(name);
	int fd = found == NULL ? -1 : found->fd;

	if (found != NULL)
		found->fd = -1;
	return fd;
}

void descriptors_close_rest(void)
{
	for (int i = 0; i < count; i++)
		file_close(&descriptors[i].fd);
	count = 0;
}

void descriptors_add(struct text *list, const char *name, int fd)
{
	if (fd < 0 || world_fcntl(fd, F_SETFD, 0) < 0)
		return;
	text_addf(list, "%s%s:%d", list->length == 0 ? "" : ",", name, fd);
}

void descriptors_withdraw(const struct text *list)
{
	const char *entry = list->data;

	while ((entry = strchr(entry, ':')) != NULL) {
		char number[16] = "";
		uint64_t fd;
		size_t length = strcspn(++entry, ",");

		if (length < sizeof(number))
			memcpy(number, entry, length);
		if (text_to_u64(number, INT_MAX, &fd) == 0)
			world_fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	}
}
