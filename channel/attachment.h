/* A descriptor that goes along with a packet (unix(7), SCM_RIGHTS). */
#ifndef HOLDFAST_CHANNEL_ATTACHMENT_H
#define HOLDFAST_CHANNEL_ATTACHMENT_H

#include <string.h>
#include <sys/socket.h>

struct attachment {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	};
};

/* Both must live until the packet is sent. `fd` stays the sender's; -1: nothing goes along. */
static inline void attachment_add(struct attachment *attachment, struct msghdr *packet, int fd)
{
	if (fd < 0)
		return;
	memset(attachment, 0, sizeof(*attachment));
	attachment->header.cmsg_level = SOL_SOCKET;
	attachment->header.cmsg_type = SCM_RIGHTS;
	attachment->header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&attachment->header), &fd, sizeof(int));
	packet->msg_control = attachment->space;
	packet->msg_controllen = sizeof(attachment->space);
}

#endif
