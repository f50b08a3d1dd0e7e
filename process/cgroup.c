#include "process/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define FILE_BYTES 8192 /* memory.stat has about 2 kB */

struct search {
	const char *controller; /* NULL: version 2 */
	char root[CGROUP_PATH_MAX], point[CGROUP_PATH_MAX];
	char own[CGROUP_PATH_MAX];
	bool has_mount, has_own;
};

/* Whether the comma-separated list has the word. */
static bool has_word(const char *list, size_t length, const char *word)
{
	size_t word_length = strlen(word);

	for (const char *at = list; at < list + length;) {
		const char *comma = memchr(at, ',', (size_t)(list + length - at));
		const char *end = comma != NULL ? comma : list + length;

		if ((size_t)(end - at) == word_length && memcmp(at, word, word_length) == 0)
			return true;
		at = end + 1;
	}
	return false;
}

/* `42 32 0:27 /root /mount/point opts ... - cgroup2 cgroup2 rw`, or `... - cgroup cgroup rw,memory`. */
static bool look_for_mount(void *context, const char *line)
{
	struct search *search = context;
	const char *kind = strstr(line, " - "), *options = strrchr(line, ' ');

	if (kind == NULL || options == NULL)
		return true;
	options++;
	if (search->controller == NULL ? strncmp(kind, " - cgroup2 ", 11) != 0
	                               : strncmp(kind, " - cgroup ", 10) != 0 ||
	                                     !has_word(options, strlen(options), search->controller))
		return true;
	search->has_mount = sscanf(line, "%*s %*s %*s %511s %511s", search->root, search->point) == 2;
	return !search->has_mount;
}

/* `0::/path`, or `4:cpu,memory:/path`. */
static bool look_for_own(void *context, const char *line)
{
	struct search *search = context;
	const char *controllers = strchr(line, ':'), *path;

	if (controllers == NULL || (path = strchr(controllers + 1, ':')) == NULL)
		return true;
	controllers++;
	if (search->controller == NULL
	        ? path != controllers || line[0] != '0'
	        : !has_word(controllers, (size_t)(path - controllers), search->controller))
		return true;
	search->has_own = text_copy(search->own, sizeof(search->own), path + 1);
	return false;
}

/* What is mounted may be a part of the tree; a process outside that part is somewhere above it all. */
static const char *below_root(const struct search *search)
{
	size_t length = strlen(search->root);

	if (strstr(search->own, "/..") != NULL)
		return "";
	if (length == 1)
		return search->own;
	if (strncmp(search->own, search->root, length) != 0 ||
	    (search->own[length] != '/' && search->own[length] != '\0'))
		return "";
	return search->own + length;
}

int cgroup_find(int pid, const char *controller, struct cgroup *cgroup)
{
	struct search search = {.controller = controller};
	struct text path;
	char file[32];
	int result;

	memset(cgroup, 0, sizeof(*cgroup));
	snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	result = file_each_line(AT_FDCWD, file, look_for_own, &search);
	if (result == 0 && search.has_own)
		result = file_each_line(AT_FDCWD, "/proc/self/mountinfo", look_for_mount, &search);
	if (result < 0)
		return result;
	if (!search.has_own || !search.has_mount)
		return -ENOENT;
	cgroup->is_v1 = controller != NULL;
	cgroup->top = strlen(search.point);
	text_init(&path, cgroup->path, sizeof(cgroup->path));
	text_add(&path, search.point);
	text_add(&path, below_root(&search));
	if (path.length > cgroup->top && cgroup->path[path.length - 1] == '/')
		cgroup->path[path.length - 1] = '\0';
	return path.truncated ? -ENAMETOOLONG : 0;
}

bool cgroup_ascend(struct cgroup *cgroup)
{
	char *slash = strrchr(cgroup->path, '/');

	if (slash == NULL || (size_t)(slash - cgroup->path) < cgroup->top)
		return false;
	*slash = '\0';
	return true;
}

const char *cgroup_name(const struct cgroup *cgroup)
{
	return cgroup->path[cgroup->top] != '\0' ? cgroup->path + cgroup->top : "/";
}

int cgroup_read(const struct cgroup *cgroup, const char *file, char *text, size_t size)
{
	char path[CGROUP_PATH_MAX + 64];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/%s", cgroup->path, file);
	length = file_read(AT_FDCWD, path, text, size);
	if (length != -EFBIG)
		return length < 0 ? (int)length : 0;
	text[size - 1] = '\0';
	return 0;
}

static int read_number(const char *text, uint64_t *value)
{
	char *end;

	if (strncmp(text, "max", 3) == 0)
		return -ERANGE;
	errno = 0;
	*value = strtoull(text, &end, 10);
	if (end == text || text[0] == '-' || errno != 0 || (*end != '\0' && *end != '\n'))
		return -EPROTO;
	return 0;
}

int cgroup_number(const struct cgroup *cgroup, const char *file, const char *key, uint64_t *value)
{
	char text[FILE_BYTES];
	size_t length = strlen(key);
	int result = cgroup_read(cgroup, file, text, sizeof(text));

	if (result < 0 || length == 0)
		return result < 0 ? result : read_number(text, value);
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			return read_number(line + length + 1, value);
	}
	return -ENOENT;
}
