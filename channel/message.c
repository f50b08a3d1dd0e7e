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
    [MESSAGE_LOOK] = sizeof(struct message_look),
    [MESSAGE_LOOKED] = sizeof(struct health_look),
    [MESSAGE_EXAMINE] = sizeof(struct message_examine),
    [MESSAGE_EXAMINED] = sizeof(struct message_examined),
    [MESSAGE_FIGURES] = sizeof(struct message_figures),
    [MESSAGE_FINDING] = sizeof(struct message_finding),
    [MESSAGE_MEMORY] = sizeof(struct memory_look),
    [MESSAGE_ORPHANS] = sizeof(struct orphans_look),
    [MESSAGE_VALIDATED] = sizeof(struct message_validated),
    [MESSAGE_SESSIONS] = sizeof(struct message_sessions),
    [MESSAGE_ABORT] = sizeof(struct message_abort),
    [MESSAGE_RELAYED] = sizeof(struct message_relayed),
    [MESSAGE_ABORTED] = sizeof(struct message_aborted),
    [MESSAGE_CHANNEL] = sizeof(struct channel_look),
    [MESSAGE_CHANNEL_RESTART] = sizeof(struct message_channel_restart),
    [MESSAGE_CHANNEL_RESTARTED] = sizeof(struct message_channel_restarted),
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

#define TEXT(type, member)                                                                                   \
	{                                                                                                    \
		type, offsetof(struct message, member), sizeof(((struct message *)0)->member)                \
	}

/* Every text of every type. */
static const struct message_text {
	enum message_type type;
	size_t offset, size;
} texts[] = {
    TEXT(MESSAGE_GATEWAY_STARTED, gateway.note),
    TEXT(MESSAGE_GATEWAY_GONE, gateway.note),
    TEXT(MESSAGE_PROBE_START, gateway.note),
    TEXT(MESSAGE_ASK_WORDS, gateway.note),
    TEXT(MESSAGE_READY, gateway.note),
    TEXT(MESSAGE_PROGRESS, gateway.note),
    TEXT(MESSAGE_CHANNELS_OFF, gateway.note),
    TEXT(MESSAGE_WORDS, words.line),
    TEXT(MESSAGE_CONSOLE_DROPPED, dropped.why),
    TEXT(MESSAGE_EVENT, event.kind),
    TEXT(MESSAGE_EVENT, event.reason),
    TEXT(MESSAGE_EVENT, event.evidence),
    TEXT(MESSAGE_STORE, store.why),
    TEXT(MESSAGE_NOTE, note.text),
    TEXT(MESSAGE_CONFIG_CHANGED, note.text),
    TEXT(MESSAGE_SETTINGS, settings.sentence),
    TEXT(MESSAGE_SETTINGS, settings.changes),
    TEXT(MESSAGE_HELLO, hello.name),
    TEXT(MESSAGE_LOOK, look.gateway.note),
    TEXT(MESSAGE_FIGURES, figures.version),
    TEXT(MESSAGE_FIGURES, figures.failing),
    TEXT(MESSAGE_FIGURES, figures.status),
    TEXT(MESSAGE_FINDING, finding.kind),
    TEXT(MESSAGE_FINDING, finding.reason),
    TEXT(MESSAGE_FINDING, finding.evidence),
    TEXT(MESSAGE_EXAMINED, examined.cause),
    TEXT(MESSAGE_EXAMINED, examined.sentence),
    TEXT(MESSAGE_EXAMINED, examined.advice),
    TEXT(MESSAGE_EXAMINED, examined.file),
    TEXT(MESSAGE_VALIDATED, validated.why),
    TEXT(MESSAGE_ABORT, abort.key),
    TEXT(MESSAGE_ABORT, abort.id),
    TEXT(MESSAGE_ABORT, abort.run),
    TEXT(MESSAGE_ABORTED, aborted.sentence),
    TEXT(MESSAGE_CHANNEL, channel.channel),
    TEXT(MESSAGE_CHANNEL, channel.account),
    TEXT(MESSAGE_CHANNEL, channel.error),
    TEXT(MESSAGE_CHANNEL_RESTART, channel_restart.channel),
    TEXT(MESSAGE_CHANNEL_RESTART, channel_restart.account),
    TEXT(MESSAGE_CHANNEL_RESTARTED, channel_restarted.channel),
    TEXT(MESSAGE_CHANNEL_RESTARTED, channel_restarted.account),
    TEXT(MESSAGE_CHANNEL_RESTARTED, channel_restarted.sentence),
};

static void terminate_looks(struct message_sessions *sessions)
{
	if (sessions->count > MESSAGE_LOOKS_MAX)
		sessions->count = MESSAGE_LOOKS_MAX;
	for (uint32_t i = 0; i < sessions->count; i++) {
		struct session_look *look = &sessions->looks[i];

		look->key[sizeof(look->key) - 1] = look->id[sizeof(look->id) - 1] = '\0';
		look->run[sizeof(look->run) - 1] = look->tool[sizeof(look->tool) - 1] = '\0';
	}
}

static void terminate_calls(struct message_relayed *relayed)
{
	if (relayed->count > MESSAGE_CALLS_MAX)
		relayed->count = MESSAGE_CALLS_MAX;
	for (uint32_t i = 0; i < relayed->count; i++)
		relayed->calls[i].trace[MESSAGE_TRACE_MAX - 1] = '\0';
}

static void terminate_texts(struct message *message)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].type == message->type)
			((char *)message)[texts[i].offset + texts[i].size - 1] = '\0';
	if (message->type == MESSAGE_SESSIONS)
		terminate_looks(&message->sessions);
	if (message->type == MESSAGE_RELAYED)
		terminate_calls(&message->relayed);
	if (message->type != MESSAGE_ORPHANS)
		return;
	if (message->orphans.count > ORPHANS_MAX)
		message->orphans.count = ORPHANS_MAX;
	for (uint32_t i = 0; i < message->orphans.count; i++)
		message->orphans.list[i].name[sizeof(message->orphans.list[i].name) - 1] = '\0';
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
