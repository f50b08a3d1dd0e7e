/* bench_brood FIFO: a gateway that leaves a helper behind. Forks twice with a setsid() between, as daemons
 * do; the grandchild ignores every polite signal and sleeps. Writes { pid, grandchild's pid } into the FIFO,
 * then waits. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

struct brood {
	int64_t pid, grandchild_pid;
};

static _Noreturn void helper(int fifo)
{
	struct brood brood = {.pid = getpid()};
	pid_t parent = getppid();

	setsid();
	brood.grandchild_pid = fork();
	if (brood.grandchild_pid != 0) {
		brood.pid = parent;
		_exit(write(fifo, &brood, sizeof(brood)) == (ssize_t)sizeof(brood) ? 0 : 1);
	}
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	close(fifo);
	for (;;)
		pause();
}

int main(int count, char **arguments)
{
	int fifo = count == 2 ? open(arguments[1], O_WRONLY | O_CLOEXEC) : -1;
	int status = 0;
	pid_t child;

	if (fifo < 0)
		return 2;
	child = fork();
	if (child == 0)
		helper(fifo);
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		return 1;
	for (;;)
		pause();
}
