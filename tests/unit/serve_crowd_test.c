/* The HTTP server side under strain: slow callers, crowds, no descriptors, draining and handing over. */
#include "support/serve_home.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

TEST("who is silent is sent away; who trickles is told, and bytes buy no time")
{
	int64_t began_ms, took_ms;
	int silent, trickling, result;

	given_a_server();
	serve.head_ms = 300;
	silent = call();
	CHECK(hear(silent) == 0);
	CHECK_TEXT(heard, "");
	close(silent);
	trickling = call();
	began_ms = clock_boot_ms();
	say(trickling, "GET / HTTP/1.1\r\nA: ");
	do {
		send(trickling, "b", 1, MSG_NOSIGNAL);
		turns_within(5);
		result = recv(trickling, heard, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
		took_ms = clock_boot_ms() - began_ms;
	} while (!result && took_ms < PATIENCE_MS);
	CHECK(took_ms >= 250 && took_ms < 5000);
	CHECK(hear(trickling) == 0 && status() == 408);
	close(trickling);
	CHECK(turn_until_count(0));
	end_of_server();
}

TEST("who does not take its answer is hung up on, and waits in no one's way")
{
	int small = 1, fd, pair[2];

	given_a_server();
	serve.answer_ms = 300;
	body_bytes = SERVE_BODY_MAX - 1;
	/* The answer must be longer than what the kernel keeps for it: a socket of the smallest size. */
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	fd = call();
	CHECK(turn_until_count(1));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (send(pair[1], heard, 512, MSG_DONTWAIT) > 0)
		;
	CHECK(dup2(pair[1], serve.connections[0].fd) >= 0); /* it never takes a byte more */
	close(pair[1]);
	loop_source_retire(&serve.connections[0].source);
	CHECK(loop_source_watch(&loop, &serve.connections[0].source, serve.connections[0].fd, EPOLLIN) == 0);
	say(pair[0], GET_HEALTH);
	while (serve.connections[0].phase == SERVE_HEAD)
		turn();
	CHECK(serve.connections[0].phase == SERVE_ANSWER);
	CHECK(ask(GET_HEALTH) == 200);
	CHECK(turn_until_count(0));
	close(pair[0]);
	close(fd);
	end_of_server();
}

static int resident_pages(void)
{
	static unsigned char pages[SERVE_CONNECTIONS_MAX * SERVE_BUFFER_BYTES / 4096 + 2];
	uintptr_t begin = (uintptr_t)serve.buffers & ~(uintptr_t)4095;
	size_t length = (uintptr_t)serve.buffers + sizeof(serve.buffers) - begin;
	int count = 0;

	if (mincore((void *)begin, length, pages) < 0)
		return -1;
	for (size_t i = 0; i < (length + 4095) / 4096; i++)
		count += pages[i] & 1;
	return count;
}

TEST("a crowd of silent callers keeps nobody out, and leaves no memory behind")
{
	static int crowd[300];
	int resident, honest = -1;

	given_a_server();
	for (int i = 0; i < 300; i++) {
		crowd[i] = call();
		CHECK(say(crowd[i], "GET / HTTP/1.1\r\nX: "));
		/* One who has something to say, with silent ones before and behind it. */
		if (i % 50 == 39) {
			honest = call();
			CHECK(say(honest, "GET /healthz HTTP/1.1\r\n"));
		}
		if (i % 50 == 49) {
			turns_within(20);
			CHECK(say(honest, "Host: localhost\r\n\r\n"));
			CHECK(hear(honest) == 0 && status() == 200);
			close(honest);
		}
	}
	CHECK(requests == 6);
	CHECK(turn_until_count(SERVE_CONNECTIONS_MAX));
	for (int i = 0; i < 10; i++)
		turn();
	resident = resident_pages();
	CHECK(resident >= SERVE_CONNECTIONS_MAX / 2);
	for (int i = 0; i < 300; i++)
		close(crowd[i]);
	CHECK(turn_until_count(0));
	CHECK(serve.timer.due_ms == 0);
	if (sysconf(_SC_PAGESIZE) == 4096) {
		printf("# pages of buffers in memory: %d in the crowd, %d after it\n", resident,
		    resident_pages());
		CHECK(resident_pages() <= 4);
	}
	CHECK(ask(GET_HEALTH) == 200);
	end_of_server();
}

TEST("out of descriptors, callers are sent away and do not keep it turning; later they are served again")
{
	struct rlimit before, few;
	int fd, last;

	given_a_server();
	getrlimit(RLIMIT_NOFILE, &before);
	fd = call();
	last = dup(fd); /* the lowest free one: nothing above it may be opened */
	close(last);
	few = (struct rlimit){(rlim_t)last, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	CHECK(say(fd, GET_HEALTH));
	CHECK(hear(fd) == ECONNRESET); /* it had said something already, which nobody read */
	CHECK(turns_within(200) <= 10);
	CHECK(serve.spare_fd >= 0);
	/* Not even the spare one: tried again later, not at once. */
	file_close(&serve.spare_fd);
	few.rlim_cur--;
	setrlimit(RLIMIT_NOFILE, &few);
	CHECK(turns_within(300) <= 10);
	setrlimit(RLIMIT_NOFILE, &before);
	close(fd);
	CHECK(ask(GET_HEALTH) == 200);
	end_of_server();
}

TEST("a listening socket that is none does not keep it turning, and another one may come")
{
	int broken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	given_a_server();
	CHECK(serve_listen(&serve, broken) == 0);
	CHECK(turns_within(500) <= 20);
	CHECK(serve_listen(&serve, -1) == -EBADF);
	CHECK(serve_listen(&serve, listener) == 0);
	CHECK(ask(GET_HEALTH) == 200);
	close(broken);
	end_of_server();
}

TEST("another listening socket in the place of the first: who is being served goes on")
{
	uint16_t first = port, second;
	int other = listen_somewhere(&second), fd;

	given_a_server();
	first = port;
	fd = call();
	say(fd, "GET / HTTP/1.1\r\n");
	CHECK(turn_until_count(1));
	CHECK(serve_listen(&serve, other) == 0);
	close(listener);
	listener = other;
	CHECK(call_at(first) < 0);
	port = second;
	CHECK(ask(GET_HEALTH) == 200);
	say(fd, "Host: localhost\r\n\r\n");
	CHECK(hear(fd) == 0 && status() == 200);
	close(fd);
	end_of_server();
}

TEST("draining: who is in flight is answered, who comes waits for a successor, and it is said once")
{
	int in_flight, waiting, taken;

	given_a_server();
	in_flight = call();
	say(in_flight, "GET / HTTP/1.1\r\n");
	CHECK(turn_until_count(1));
	serve_drain(&serve, PATIENCE_MS);
	waiting = call();
	CHECK(say(waiting, GET_HEALTH));
	for (int i = 0; i < 20; i++)
		turn();
	CHECK(serve.count == 1 && drained_count == 0);
	say(in_flight, "Host: localhost\r\n\r\n");
	CHECK(hear(in_flight) == 0 && status() == 200);
	close(in_flight);
	while (drained_count == 0)
		turn();
	CHECK(serve_listen(&serve, listener) == -ESHUTDOWN);
	for (int i = 0; i < 20; i++)
		turn();
	CHECK(drained_count == 1);
	taken = accept(listener, NULL, NULL);
	CHECK(taken >= 0); /* by whoever comes next */
	close(taken);
	close(waiting);
	end_of_server();
}

TEST("draining waits for the silent no longer than it may, and for nobody when nobody is there")
{
	int64_t began_ms;
	int fd;

	given_a_server();
	fd = call();
	CHECK(turn_until_count(1));
	began_ms = clock_boot_ms();
	serve_drain(&serve, 200);
	CHECK(drained_count == 0);
	CHECK(hear(fd) == 0);
	CHECK(drained_count == 1 && clock_boot_ms() - began_ms >= 195);
	close(fd);
	end_of_server();
	given_a_server();
	serve_drain(&serve, PATIENCE_MS);
	CHECK(drained_count == 0); /* from the loop only */
	turn();
	CHECK(drained_count == 1);
	end_of_server();
}

/* ---- handing over: processes ---- */

struct shared {
	int stop;
	int answered, failed, last_error;
};

static void asked_to_end(struct loop *ending, const struct signalfd_siginfo *info)
{
	(void)ending;
	(void)info;
	serve_drain(&serve, PATIENCE_MS);
}

static void end_process(struct serve *server)
{
	(void)server;
	loop_stop(&loop);
}

/* A process that serves `fd` until SIGTERM. Returns once it accepts. */
static pid_t start_server(int fd)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGTERM);
		loop_init(&loop);
		loop_signals_watch(&loop, &set, asked_to_end, NULL);
		serve_init(&serve, &loop, "127.0.0.1");
		serve.request = request_came;
		serve.drained = end_process;
		serve_listen(&serve, fd);
		if (write(ready[1], "1", 1) != 1)
			_exit(1);
		_exit(loop_run(&loop) == 0 ? 0 : 1);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		abort();
	close(ready[0]);
	return pid;
}

static int one_call(void)
{
	int fd = call(), result = 0;
	size_t length = 0;
	ssize_t got = 1;
	char answer[1024];

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){20, 0}, sizeof(struct timeval));
	if (!say(fd, GET_HEALTH))
		result = errno;
	while (result == 0 && got > 0 && length < sizeof(answer) - 1) {
		got = recv(fd, answer + length, sizeof(answer) - 1 - length, 0);
		if (got < 0)
			result = errno;
		else
			length += (size_t)got;
	}
	answer[length] = '\0';
	close(fd);
	return result != 0 ? result : strstr(answer, "{\"status\":\"ok\"}") != NULL ? 0 : EPROTO;
}

static pid_t start_caller(struct shared *shared)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
		int result = one_call();

		if (result != 0) {
			__atomic_store_n(&shared->last_error, result, __ATOMIC_RELEASE);
			__atomic_add_fetch(&shared->failed, 1, __ATOMIC_ACQ_REL);
		}
		__atomic_add_fetch(&shared->answered, 1, __ATOMIC_ACQ_REL);
	}
	_exit(0);
}

static void wait_for_calls(struct shared *shared, int more)
{
	int wanted = __atomic_load_n(&shared->answered, __ATOMIC_ACQUIRE) + more;
	int64_t until_ms = clock_boot_ms() + PATIENCE_MS;

	while (__atomic_load_n(&shared->answered, __ATOMIC_ACQUIRE) < wanted && clock_boot_ms() < until_ms)
		usleep(1000);
}

TEST("forty handovers from process to process under constant calls: none refused, none reset")
{
	struct shared *shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t server, callers[3];
	int code, clean = 0;

	listener = listen_somewhere(&port);
	server = start_server(listener);
	for (int i = 0; i < 3; i++)
		callers[i] = start_caller(shared);
	for (int i = 0; i < 40; i++) {
		pid_t successor = start_server(listener);

		wait_for_calls(shared, 20); /* both accept */
		kill(server, SIGTERM);
		waitpid(server, &code, 0);
		clean += WIFEXITED(code) && WEXITSTATUS(code) == 0;
		server = successor;
		wait_for_calls(shared, 20);
	}
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		waitpid(callers[i], NULL, 0);
	kill(server, SIGTERM);
	waitpid(server, &code, 0);
	printf("# %d calls over 40 handovers, %d failed%s%s\n", shared->answered, shared->failed,
	    shared->failed > 0 ? ": " : "", shared->failed > 0 ? strerror(shared->last_error) : "");
	CHECK(clean == 40);
	CHECK(shared->failed == 0);
	CHECK(shared->answered >= 40 * 40);
	munmap(shared, sizeof(*shared));
	file_close(&listener);
}
