/* The sockets of a process: in which state, with whom, and how many callers wait for it. */
#include "process/examine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define SOCKETS_MAX 2048
#define LISTEN      0x0A

struct socket_list {
	uint64_t inodes[SOCKETS_MAX];
	uint32_t count, met;
	uint32_t port;
	struct examine_sockets *sockets;
};

const char *examine_tcp_state_name(unsigned state)
{
	static const char *const names[EXAMINE_TCP_STATES] = {"", "established", "syn_sent", "syn_recv",
	    "fin_wait1", "fin_wait2", "time_wait", "close", "close_wait", "last_ack", "listen", "closing",
	    "new_syn_recv"};

	return state < EXAMINE_TCP_STATES ? names[state] : "";
}

static bool add_socket(void *context, int directory_fd, const char *name)
{
	struct socket_list *list = context;
	char target[64];
	ssize_t length = readlinkat(directory_fd, name, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	if (sscanf(target, "socket:[%" SCNu64 "]", &list->inodes[list->count]) == 1)
		list->count++;
	return list->count < SOCKETS_MAX;
}

static int compare_inodes(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static bool is_own(const struct socket_list *list, uint64_t inode)
{
	return bsearch(&inode, list->inodes, list->count, sizeof(inode), compare_inodes) != NULL;
}

/* `0: 0100007F:4965 00000000:0000 0A 00000000:00000002 00:00000000 00000000 0 0 12345 ...`: of a listening
 * socket the second queue is how many wait to be accepted. */
static bool look_at_tcp(void *context, const char *line)
{
	struct socket_list *list = context;
	unsigned port, state, queue;
	uint64_t inode;
	bool own;

	if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%x %*s %*s %*u %*u %" SCNu64, &port,
	        &state, &queue, &inode) != 4)
		return true;
	own = is_own(list, inode);
	if (own && state < EXAMINE_TCP_STATES) {
		list->sockets->tcp[state]++;
		list->met++;
	}
	/* One of another user has no descriptors to be seen: whoever listens on the port is meant. */
	if (state == LISTEN && port == list->port && (own || list->sockets->queue < 0)) {
		list->sockets->queue = (int32_t)queue;
		if (own)
			list->sockets->listener_inode = inode;
	}
	return true;
}

/* `0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x.sock` */
static bool look_at_local(void *context, const char *line)
{
	struct socket_list *list = context;
	uint64_t inode;

	if (sscanf(line, "%*[0-9A-Fa-f]: %*x %*x %*x %*x %*x %" SCNu64, &inode) == 1 && is_own(list, inode)) {
		list->sockets->local++;
		list->met++;
	}
	return true;
}

/* The process's own view of the network: it may be in another namespace. */
static int each_line_of(
    int pid, const char *table, bool (*visit)(void *context, const char *line), void *context)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, table);
	return file_each_line(AT_FDCWD, path, visit, context);
}

void examine_sockets(int pid, uint32_t port, struct examine_sockets *sockets)
{
	struct socket_list list = {.port = port, .sockets = sockets};
	char path[32];

	memset(sockets, 0, sizeof(*sockets));
	sockets->queue = -1;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	sockets->visible = file_each_entry(path, add_socket, &list) == 0;
	qsort(list.inodes, list.count, sizeof(list.inodes[0]), compare_inodes);
	each_line_of(pid, "tcp", look_at_tcp, &list);
	each_line_of(pid, "tcp6", look_at_tcp, &list);
	each_line_of(pid, "unix", look_at_local, &list);
	sockets->other = list.count > list.met ? list.count - list.met : 0;
}

struct peer_search {
	uint64_t inode;
	char *target;
	size_t size;
	bool found;
};

/* The kernel writes an address as numbers of 32 bits in the machine's order. */
static void format_peer(const struct peer_search *search, const char *address, unsigned port)
{
	uint32_t words[4] = {0};
	bool is_six = strlen(address) == 32;
	char text[INET6_ADDRSTRLEN] = "?";

	if (is_six)
		sscanf(address, "%8x%8x%8x%8x", &words[0], &words[1], &words[2], &words[3]);
	else
		sscanf(address, "%8x", &words[0]);
	inet_ntop(is_six ? AF_INET6 : AF_INET, words, text, sizeof(text));
	snprintf(search->target, search->size, is_six ? "[%s]:%u" : "%s:%u", text, port);
}

static bool is_tcp_peer(void *context, const char *line)
{
	struct peer_search *search = context;
	char address[33];
	unsigned port;
	uint64_t inode;

	if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%*x %32[0-9A-Fa-f]:%x %*x %*x:%*x %*s %*s %*u %*u %" SCNu64,
	        address, &port, &inode) != 3 ||
	    inode != search->inode)
		return true;
	format_peer(search, address, port);
	search->found = true;
	return false;
}

static bool is_local_peer(void *context, const char *line)
{
	struct peer_search *search = context;
	uint64_t inode;
	int end = 0;

	if (sscanf(line, "%*[0-9A-Fa-f]: %*x %*x %*x %*x %*x %" SCNu64 " %n", &inode, &end) != 1 ||
	    inode != search->inode)
		return true;
	snprintf(search->target, search->size, "%s",
	    end > 0 && line[end] != '\0' ? line + end : "another process of this machine");
	search->found = true;
	return false;
}

bool examine_peer(int pid, uint64_t inode, char *target, size_t size)
{
	struct peer_search search = {.inode = inode, .target = target, .size = size};

	each_line_of(pid, "tcp", is_tcp_peer, &search);
	if (!search.found)
		each_line_of(pid, "tcp6", is_tcp_peer, &search);
	if (!search.found)
		each_line_of(pid, "unix", is_local_peer, &search);
	return search.found;
}
