#include "relay/peer.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/relay.h"
#include "world/world.h"

#define ANSWER_BYTES 512

struct question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
};

/* Asks for the socket whose own address is `peer` and whose other end is `own`. Returns 0 or a negative
 * errno. */
static int ask(int netlink_fd, const struct sockaddr_in *peer, const struct sockaddr_in *own)
{
	struct question question = {.header = {.nlmsg_len = sizeof(question),
	                                .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	                                .nlmsg_flags = NLM_F_REQUEST},
	    .request = {.sdiag_family = AF_INET,
	        .sdiag_protocol = IPPROTO_TCP,
	        .idiag_states = ~0u,
	        .id = {.idiag_sport = peer->sin_port,
	            .idiag_dport = own->sin_port,
	            .idiag_src = {peer->sin_addr.s_addr},
	            .idiag_dst = {own->sin_addr.s_addr},
	            .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}}};

	return world_send(netlink_fd, &question, sizeof(question), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno
	                                                                                            : 0;
}

/* The user of the socket at the other end. Returns 0 or a negative errno: the kernel does not tell. */
static int peer_user(int netlink_fd, int fd, uid_t *user)
{
	char answer[ANSWER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
	struct sockaddr_in peer = {0}, own = {0};
	socklen_t peer_length = sizeof(peer), own_length = sizeof(own);
	struct inet_diag_msg message;
	ssize_t got;
	int result;

	if (getpeername(fd, (struct sockaddr *)&peer, &peer_length) < 0 ||
	    getsockname(fd, (struct sockaddr *)&own, &own_length) < 0)
		return -errno;
	if (peer.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	result = ask(netlink_fd, &peer, &own);
	if (result < 0)
		return result;
	/* It answers at once: the answer is there when the question has been sent. */
	got = world_recv(netlink_fd, answer, sizeof(answer), MSG_DONTWAIT);
	if (got < (ssize_t)(sizeof(*header) + sizeof(message)) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -ENOENT;
	memcpy(&message, NLMSG_DATA(header), sizeof(message));
	*user = message.idiag_uid;
	return 0;
}

bool peer_is_allowed(struct relay *relay, int fd)
{
	uid_t user = (uid_t)-1;

	if (relay->netlink_fd < 0)
		relay->netlink_fd =
		    world_socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	if (relay->netlink_fd < 0 || peer_user(relay->netlink_fd, fd, &user) < 0)
		return true;
	if (user == 0 || user == getuid() || user == relay->gateway_user)
		return true;
	relay->refused_foreign++;
	return false;
}
