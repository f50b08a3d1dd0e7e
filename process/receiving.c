#include "process/receiving.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "world/world.h"

#define SOCKETS_MAX   2048 /* of the process; what is beyond them is not seen */
#define SLOTS         4096 /* a power of two, and more than SOCKETS_MAX */
#define PORTS_MAX     32
#define ANSWER_BYTES  32768
#define MESSAGES_MAX  512 /* of ANSWER_BYTES at most: some 30000 connections of the machine */
#define WAIT_MS       5   /* in all: the kernel answers at once, unless others ask as well */
#define ESTABLISHED   1   /* the states of a connection, as the kernel numbers them */
#define LISTENING     10
#define NEEDED_LENGTH (offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(uint64_t))

struct sample {
	uint64_t sockets[SLOTS]; /* inodes of the process, by hash; 0: free */
	uint32_t socket_count;
	uint32_t ports[PORTS_MAX]; /* on which it listens */
	uint32_t port_count;
	int64_t until_ms;
	int receiving_count;
	const struct receiving *before;
	struct receiving now;
};

/* --- The sockets of the process. --- */

/* Where the inode is, or would be. */
static uint64_t *slot_of(struct sample *sample, uint64_t inode)
{
	uint32_t at = (uint32_t)(inode * UINT64_C(0x9e3779b97f4a7c15) >> 32);

	while (sample->sockets[at % SLOTS] != 0 && sample->sockets[at % SLOTS] != inode)
		at++;
	return &sample->sockets[at % SLOTS];
}

static bool add_socket(void *context, int directory_fd, const char *name)
{
	struct sample *sample = context;
	char target[64];
	ssize_t length = readlinkat(directory_fd, name, target, sizeof(target) - 1);
	uint64_t inode = 0;
	uint64_t *slot;

	target[length < 0 ? 0 : length] = '\0';
	if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1 || inode == 0)
		return true;
	slot = slot_of(sample, inode);
	sample->socket_count += *slot == 0;
	*slot = inode;
	return sample->socket_count < SOCKETS_MAX;
}

/* --- One connection. --- */

static bool listens_on(const struct sample *sample, uint32_t port)
{
	for (uint32_t i = 0; i < sample->port_count; i++)
		if (sample->ports[i] == port)
			return true;
	return false;
}

/* One that it accepted has a port that it listens on at our end; one to itself has it at the other, and the
 * same address at both. */
static bool is_outbound(const struct sample *sample, const struct inet_diag_sockid *id)
{
	bool to_itself = memcmp(id->idiag_src, id->idiag_dst, sizeof(id->idiag_src)) == 0 &&
	                 listens_on(sample, ntohs(id->idiag_dport));

	return !listens_on(sample, ntohs(id->idiag_sport)) && !to_itself;
}

static const struct receiving_connection *find(const struct receiving *receiving, uint64_t inode)
{
	for (uint32_t i = 0; i < receiving->count; i++)
		if (receiving->connections[i].inode == inode)
			return &receiving->connections[i];
	return NULL;
}

static void take_connection(struct sample *sample, uint64_t inode, const struct tcp_info *info)
{
	struct receiving *now = &sample->now;
	const struct receiving_connection *before = find(sample->before, inode);
	uint64_t bytes = info->tcpi_bytes_received;
	/* A smaller number is another connection's. */
	uint64_t from = before != NULL && before->bytes <= bytes ? before->bytes : 0;
	bool is_known = before != NULL || !sample->before->is_partial;

	/* One that did not fit last time would look like a new one forever. */
	if (now->count == RECEIVING_MAX)
		now->is_partial = true;
	else if (find(now, inode) == NULL)
		now->connections[now->count++] = (struct receiving_connection){inode, bytes};
	else
		return;
	if (is_known && info->tcpi_bytes_acked >= RECEIVING_PROMPT_BYTES &&
	    bytes - from >= RECEIVING_LEAST_BYTES)
		sample->receiving_count++;
}

static void look_at(struct sample *sample, const struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	int length = (int)header->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*message));
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	struct tcp_info info = {0};

	if (length < 0 || message->idiag_inode == 0 || *slot_of(sample, message->idiag_inode) == 0)
		return;
	if (message->idiag_state == LISTENING && sample->port_count < PORTS_MAX)
		sample->ports[sample->port_count++] = ntohs(message->id.idiag_sport);
	if (message->idiag_state != ESTABLISHED || !is_outbound(sample, &message->id))
		return;
	while (RTA_OK(attribute, length) && attribute->rta_type != INET_DIAG_INFO)
		attribute = RTA_NEXT(attribute, length);
	if (!RTA_OK(attribute, length) || RTA_PAYLOAD(attribute) < NEEDED_LENGTH)
		return;
	memcpy(&info, RTA_DATA(attribute),
	    RTA_PAYLOAD(attribute) < sizeof(info) ? RTA_PAYLOAD(attribute) : sizeof(info));
	take_connection(sample, message->idiag_inode, &info);
}

/* --- The kernel's table. --- */

/* The older of the two questions: its answer has both families in one walk through the kernel's table, which
 * is most of what this costs. */
static int ask(int fd)
{
	const struct {
		struct nlmsghdr header;
		struct inet_diag_req request;
	} question = {{.nlmsg_len = sizeof(question),
	                  .nlmsg_type = TCPDIAG_GETSOCK,
	                  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	                  .nlmsg_seq = 1},
	    {.idiag_family = AF_INET,
	        .idiag_ext = 1 << (INET_DIAG_INFO - 1),
	        .idiag_states = 1 << ESTABLISHED | 1 << LISTENING}};

	return world_send(fd, &question, sizeof(question), MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* The result that an error message, or the last one of an answer, begins with; `otherwise` where it has none.
 */
static int result_in(const struct nlmsghdr *header, int otherwise)
{
	int result = 0;

	if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(result)))
		memcpy(&result, NLMSG_DATA(header), sizeof(result));
	return result < 0 ? result : otherwise;
}

/* Returns 1 when that was all, 0 when more is to come, or a negative errno. */
static int read_messages(struct sample *sample, const struct nlmsghdr *header, uint32_t length)
{
	for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return result_in(header, 1);
		if (header->nlmsg_type == NLMSG_ERROR)
			return result_in(header, -EBADMSG);
		if (header->nlmsg_type == TCPDIAG_GETSOCK)
			look_at(sample, header);
		if (NLMSG_ALIGN(header->nlmsg_len) >= length)
			return 0;
	}
	return -EBADMSG; /* a message that is cut */
}

static int wait_for_more(const struct sample *sample, int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int64_t left_ms = sample->until_ms - clock_monotonic_ms();

	return left_ms > 0 && poll(&ready, 1, (int)left_ms) > 0 ? 0 : -ETIMEDOUT;
}

/* The kernel makes the next part of its answer when the one before was read: it is there when we come. */
static int dump(struct sample *sample, int fd)
{
	_Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
	int result = ask(fd);

	for (int i = 0; result == 0 && i < MESSAGES_MAX; i++) {
		ssize_t length = world_recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

		if (length > 0)
			result = read_messages(sample, (const struct nlmsghdr *)answer, (uint32_t)length);
		else if (length == 0 || errno == EAGAIN)
			result = wait_for_more(sample, fd);
		else if (errno != EINTR)
			result = -errno;
	}
	return result == 0 ? -EMSGSIZE : result < 0 ? result : 0;
}

static int read_sample(struct sample *sample, int pid)
{
	int fd CLOSE_ON_RETURN = -1;
	char path[32];
	int result;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	result = file_each_entry(path, add_socket, sample);
	if (result < 0)
		return result;
	fd = world_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	sample->until_ms = clock_monotonic_ms() + WAIT_MS;
	return dump(sample, fd);
}

int receiving_sample(struct receiving *receiving, int pid, uint32_t own_port)
{
	static const struct receiving nothing;
	bool is_first = receiving->pid != pid;
	struct sample sample = {.before = is_first ? &nothing : receiving,
	    .now = {.pid = pid},
	    .ports = {own_port},
	    .port_count = own_port != 0};
	int result = read_sample(&sample, pid);

	if (result < 0)
		return result;
	*receiving = sample.now;
	return is_first ? 0 : sample.receiving_count;
}

void receiving_forget(struct receiving *receiving)
{
	receiving->pid = 0;
	receiving->count = 0;
	receiving->is_partial = false;
}
