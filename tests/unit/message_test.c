#include "support/tap.h"

#include <sys/socket.h>
#include <unistd.h>

#include "channel/message.h"

TEST("what was said last is heard, also when the speaker closed without reading what had been said to it")
{
	struct message message = {0};
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(message_send(pair[0], MESSAGE_PONG, &message, -1) == 0);
	CHECK(message_send(pair[1], MESSAGE_FINISH, &message, -1) == 0);
	close(pair[1]);
	CHECK(message_receive(pair[0], &message, NULL) == 1);
	CHECK(message.type == MESSAGE_FINISH);
	CHECK(message_receive(pair[0], &message, NULL) == 0);
	close(pair[0]);
}
