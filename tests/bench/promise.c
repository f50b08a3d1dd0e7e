/* bench_promise FIFO: says { pid, CLOCK_MONOTONIC in ns } into the FIFO first of all, then WATCHDOG=1 to its
 * service manager every 20 ms. SIGUSR1 makes it run in circles, as a program does that hangs. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EVERY_NS 20000000

struct stamp {
	int64_t pid, ns;
};

static void circle(int number)
{
	(void)number;
	for (;;)
		;
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = EVERY_NS};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	struct timespec now;
	struct stamp stamp;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &now);
	stamp = (struct stamp){getpid(), (int64_t)now.tv_sec * 1000000000 + now.tv_nsec};
	signal(SIGUSR1, circle);
	fd = argc > 1 ? open(argv[1], O_WRONLY) : -1;
	if (fd < 0 || write(fd, &stamp, sizeof(stamp)) != sizeof(stamp) || path == NULL ||
	    strlen(path) >= sizeof(address.sun_path))
		return 1;
	memcpy(address.sun_path, path, strlen(path));
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	for (;;) {
		(void)!sendto(fd, "WATCHDOG=1", strlen("WATCHDOG=1"), MSG_NOSIGNAL,
		    (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
		nanosleep(&pause, NULL);
	}
}
