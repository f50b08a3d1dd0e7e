#include "channel/message.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/attachment.h"
#include "world/world.h"

#define HEADER_BYTES offsetof(struct message, gateway)

/* How long the packet of each type is; a text at its end is sent whole: these are local and few. */
static const uint32_t body_bytes[MESSAGE_TYPE_COUNT] = {
    [MESSAGE_GATEWAY_STARTED] = sizeof(struct message_gateway),
    [MESSAGE_GATEWAY_GONE] = sizeof(struct message_gateway),
    [MESSAGE_PROBE_START] = sizeof(struct message_gateway),
    [MESSAGE_ASK_WORDS] = sizeof(struct message_gateway),
    [MESSAGE_READY] = sizeof(struct message_gateway),
    [MESSAGE_PROGRESS] = sizeof(struct message_gateway),
    [MESSAGE_CHANNELS_OFF] = sizeof(struct message_gateway),
    [MESSAGE_WORDS] = sizeof(struct message_words),
    [MESSAGE_DRAIN_BEGAN] = sizeof(struct message_drain),
    [MESSAGE_CONSOLE_DROPPED] = sizeof(struct message_dropped),
    [MESSAGE_EVENT] = sizeof(struct message_event),
    [MESSAGE_STORED] = sizeof(((struct message *)0)->stored),
    [MESSAGE_STORE] = sizeof(((struct message *)0)->store),
    [MESSAGE_WATCH_CONFIG] = sizeof(((struct message *)0)->watch),
    [MESSAGE_NOTE] = sizeof(((struct message *)0)->note),
    [MESSAGE_CONFIG_CHANGED] = sizeof(((struct message *)0)->note),
    [MESSAGE_SETTINGS] = sizeof(struct message_settings),
    [MESSAGE_LISTENER] = sizeof(((struct message *)0)->listener),
    [MESSAGE_HELLO] = sizeof(((struct message *)0)->hello),
};

int message_send(int fd, enum message_type type, struct message *message, int passed_fd)
{
	struct iovec bytes = {.iov_base = message};
	struct attachment attachment;
	struct msghdr packet = {.msg_iov = &bytes, .msg_iovlen = 1};

	message->version = MESSAGE_VERSION;
	message->type = (uint16_t)type;
	message->size = (uint32_t)(HEADER_BYTES + body_bytes[type]);
	bytes.iov_len = message->size;
	attachment_add(&attachment, &packet, passed_fd);
	while (world_sendmsg(fd, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		return errno == ECONNRESET ? -EPIPE : -errno;
	}
	return 0;
}

static void terminate_texts(struct message *message)
{
	switch (message->type) {
	case MESSAGE_GATEWAY_STARTED:
	case MESSAGE_GATEWAY_GONE:
	case MESSAGE_PROBE_START:
	case MESSAGE_ASK_WORDS:
	case MESSAGE_READY:
	case MESSAGE_PROGRESS:
	case MESSAGE_CHANNELS_OFF:
		message->gateway.note[MESSAGE_TEXT_MAX - 1] = '\0';
		break;
	case MESSAGE_WORDS:
		message->words.line[MESSAGE_TEXT_MAX - 1] = '\0';
		break;
	case MESSAGE_CONSOLE_DROPPED:
		message->dropped.why[sizeof(message->dropped.why) - 1] = '\0';
		break;
	case MESSAGE_EVENT:
		message->event.kind[EVENT_KIND_MAX - 1] = '\0';
		message->event.reason[EVENT_REASON_MAX - 1] = '\0';
		message->event.evidence[EVENT_EVIDENCE_MAX - 1] = '\0';
		break;
	case MESSAGE_STORE:
		message->store.why[sizeof(message->store.why) - 1] = '\0';
		break;
	case MESSAGE_NOTE:
	case MESSAGE_CONFIG_CHANGED:
		message->note.text[MESSAGE_TEXT_MAX - 1] = '\0';
		break;
	case MESSAGE_SETTINGS:
		message->settings.sentence[sizeof(message->settings.sentence) - 1] = '\0';
		message->settings.changes[sizeof(message->settings.changes) - 1] = '\0';
		break;
	case MESSAGE_HELLO:
		message->hello.name[sizeof(message->hello.name) - 1] = '\0';
		break;
	default:
		break;
	}
}

static void take_descriptors(struct msghdr *packet, int *passed_fd)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(packet); header != NULL;
	     header = CMSG_NXTHDR(packet, header)) {
		size_t count;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (passed_fd != NULL && *passed_fd < 0)
				*passed_fd = fd;
			else
				close(fd);
		}
	}
}

int message_receive(int fd, struct message *message, int *passed_fd)
{
	struct iovec bytes = {.iov_base = message, .iov_len = sizeof(*message)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr packet = {.msg_iov = &bytes,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control.space)};
	ssize_t length;
	int resets = 0;

	if (passed_fd != NULL)
		*passed_fd = -1;
	/* ECONNRESET is said once, when the other side closed without having read all of ours: what it said
	 * before (FINISH) still waits behind that. */
	do
		length = world_recvmsg(fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (length < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
	if (length < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (length == 0)
		return 0;
	take_descriptors(&packet, passed_fd);
	if ((size_t)length < HEADER_BYTES || (packet.msg_flags & MSG_TRUNC) ||
	    message->version != MESSAGE_VERSION || message->type == 0 ||
	    message->type >= MESSAGE_TYPE_COUNT || message->size != (uint32_t)length ||
	    message->size != HEADER_BYTES + body_bytes[message->type]) {
		if (passed_fd != NULL && *passed_fd >= 0) {
			close(*passed_fd);
			*passed_fd = -1;
		}
		return -EBADMSG;
	}
	terminate_texts(message);
	return 1;
}

const char *event_severity_name(enum event_severity severity)
{
	static const char *const names[] = {"info", "warning", "error", "critical"};

	return severity <= SEVERITY_CRITICAL ? names[severity] : "info";
}
