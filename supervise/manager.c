#include "supervise/manager.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "channel/attachment.h"
#include "world/world.h"

static int manager_address(struct sockaddr_un *address, socklen_t *size)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path == NULL ? 0 : strlen(path);

	if (length < 2 || length >= sizeof(address->sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, length);
	if (path[0] == '@') /* an abstract name */
		address->sun_path[0] = '\0';
	*size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return 0;
}

static void say(const char *lines, int passed_fd)
{
	int fd CLOSE_ON_RETURN = -1;
	struct sockaddr_un address;
	struct iovec bytes = {.iov_base = (char *)lines, .iov_len = strlen(lines)};
	struct attachment attachment;
	struct msghdr packet = {.msg_name = &address, .msg_iov = &bytes, .msg_iovlen = 1};

	if (manager_address(&address, &packet.msg_namelen) < 0)
		return;
	fd = world_socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	attachment_add(&attachment, &packet, passed_fd);
	(void)!world_sendmsg(fd, &packet, MSG_NOSIGNAL);
}

void manager_say(const char *lines)
{
	say(lines, -1);
}

void manager_say_reloading(void)
{
	struct timespec now;
	char lines[80];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
	    (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	say(lines, -1);
}

void manager_keep(const char *name, int fd)
{
	char lines[80];

	snprintf(lines, sizeof(lines), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	say(lines, fd);
}

void manager_forget(const char *name)
{
	char lines[80];

	snprintf(lines, sizeof(lines), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	say(lines, -1);
}
