/* Asks a model provider, or a relay before it, and measures. One thread; times are CLOCK_MONOTONIC.
 *
 *   load MODE [--port N] [--path P] [--key K] [--connections N] [--seconds S] [--count N] [--body BYTES]
 * [--stream]
 *
 *   requests   as many requests as go, one at a time on each connection, for S seconds or until N are
 * answered failover   N requests, one at a time, each for a model of its own; the time to the first byte of
 * the answer streams    opens N streams, says "open" when each has said something, waits for a line, then
 * measures for S seconds how old each event is ("t=" and ns in it) when it is read
 *
 * Prints one JSON object:
 * {"requests":N,"errors":N,"per_second":N,"p50_us":N,"p99_us":N,"min_us":N,"seconds":S}. An answer other than
 * 200, or with an error in it, is an error. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX     (8 * 1000 * 1000)
#define ANSWER_MAX      (64 * 1024)
#define CONNECTIONS_MAX 20000
#define EVENTS_MAX      512
#define OPENED_A_MS     2 /* streams: spread, so that their events are too */
#define TIME_DIGITS     19
#define MODEL_DIGITS    6
#define PATIENCE_S      60

enum mode { MODE_REQUESTS, MODE_FAILOVER, MODE_STREAMS };

struct link {
	int fd;
	bool is_writable, said;
	size_t sent, received, wanted; /* wanted: of the whole answer; 0: not yet known */
	bool is_chunked, is_timed;
	int64_t began_ns;
	char *answer; /* requests, failover: ANSWER_MAX bytes */
};

static enum mode mode;
static uint16_t port;
static const char *path = "/v1/messages", *key = "sk-ok-1";
static long connections = 1, count, body_bytes = 320;
static double seconds = 1;
static bool is_stream;
static char *request, *model_digits;
static size_t request_length;
static struct link links[CONNECTIONS_MAX];
static int64_t *samples;
static size_t sample_count;
static uint64_t answered, errors, begun;
static long said;
static int epoll_fd;
static bool is_over, is_measured;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void sample_add(int64_t ns)
{
	if (is_measured && sample_count < SAMPLES_MAX)
		samples[sample_count++] = ns;
}

/* The body is filled up to its size with words of the user. */
static void request_make(void)
{
	char head[512], before[512];
	static const char after[] = "\"}]}";
	int before_length = snprintf(before, sizeof(before),
	    "{\"model\":\"mock-%0*d\",\"stream\":%s,\"max_tokens\":64,\"messages\":[{\"role\":\"user\","
	    "\"content\":\"",
	    MODEL_DIGITS, 0, is_stream ? "true" : "false");
	long filler = body_bytes - before_length - (long)sizeof(after) + 1;
	bool is_anthropic = strstr(path, "/messages") != NULL;
	int head_length;

	if (filler < 0)
		filler = 0;
	head_length = snprintf(head, sizeof(head),
	    "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%u\r\nuser-agent: load\r\naccept: application/json\r\n"
	    "content-type: application/json\r\nanthropic-version: 2023-06-01\r\n%s%s\r\ncontent-length: "
	    "%ld\r\n\r\n",
	    path, port, is_anthropic ? "x-api-key: " : "authorization: Bearer ", key,
	    before_length + filler + (long)sizeof(after) - 1);
	request_length = (size_t)head_length + (size_t)before_length + (size_t)filler + sizeof(after) - 1;
	request = malloc(request_length);
	if (request == NULL)
		die("memory");
	memcpy(request, head, (size_t)head_length);
	memcpy(request + head_length, before, (size_t)before_length);
	memset(request + head_length + before_length, 'w', (size_t)filler);
	memcpy(request + request_length - sizeof(after) + 1, after, sizeof(after) - 1);
	model_digits = request + head_length + strlen("{\"model\":\"mock-");
}

static void link_open(struct link *link)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = link};
	int on = 1;

	link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		die("socket");
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	link->is_writable = false;
	if (connect(link->fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, link->fd, &event) < 0)
		die("epoll_ctl");
}

static void link_send(struct link *link)
{
	while (link->is_writable && link->sent < request_length) {
		ssize_t put = send(link->fd, request + link->sent, request_length - link->sent, MSG_NOSIGNAL);

		if (put < 0 && errno != EAGAIN)
			return; /* the event of its end follows */
		if (put < (ssize_t)(request_length - link->sent))
			link->is_writable = false;
		link->sent += put > 0 ? (size_t)put : 0;
	}
}

static void link_begin(struct link *link)
{
	char digits[MODEL_DIGITS + 1];

	begun++;
	if (mode == MODE_FAILOVER) {
		snprintf(
		    digits, sizeof(digits), "%06u", (unsigned)(begun + (unsigned)getpid() * 100u) % 1000000u);
		memcpy(model_digits, digits, MODEL_DIGITS);
	}
	link->sent = link->received = link->wanted = 0;
	link->is_timed = link->is_chunked = false;
	link->began_ns = now_ns();
	link_send(link);
}

static bool is_enough(void)
{
	return is_over || (count > 0 && answered + errors >= (uint64_t)count);
}

static void link_answered(struct link *link)
{
	bool is_good = link->received > 12 && memcmp(link->answer + 8, " 200", 4) == 0;

	if (is_good && mode == MODE_FAILOVER)
		is_good = memmem(link->answer, link->received, "_error\"", 7) == NULL;
	if (is_good) {
		answered++;
		if (mode == MODE_REQUESTS)
			sample_add(now_ns() - link->began_ns);
	} else {
		errors++;
	}
	if (is_enough())
		is_over = true;
	else if (mode != MODE_FAILOVER)
		link_begin(link);
	else
		link->wanted = SIZE_MAX; /* between two requests */
}

/* Finds out how long the answer is. */
static void head_look(struct link *link)
{
	const char *end = memmem(link->answer, link->received, "\r\n\r\n", 4), *at;

	if (end == NULL)
		return;
	link->wanted = (size_t)(end + 4 - link->answer);
	for (at = link->answer; at < end; at = (const char *)memchr(at, '\n', (size_t)(end + 4 - at)) + 1) {
		if (strncasecmp(at, "content-length:", 15) == 0)
			link->wanted += strtoul(at + 15, NULL, 10);
		else if (strncasecmp(at, "transfer-encoding:", 18) == 0)
			link->is_chunked = true;
	}
	if (link->wanted > ANSWER_MAX - 1) {
		fprintf(stderr, "load: the answer is too long\n");
		exit(99);
	}
}

static void link_lost(struct link *link)
{
	close(link->fd);
	if (mode == MODE_STREAMS) {
		errors++;
		link->fd = -1;
		return;
	}
	/* A connection may end between two requests, not in one. */
	if (link->wanted != SIZE_MAX)
		errors++;
	if (errors > 100000 || is_enough()) {
		is_over = true;
		return;
	}
	link->wanted = SIZE_MAX;
	link_open(link);
	if (mode != MODE_FAILOVER)
		link_begin(link);
}

static void answer_read(struct link *link)
{
	while (!is_over) {
		size_t room = ANSWER_MAX - 1 - link->received;
		ssize_t got = recv(link->fd, link->answer + link->received, room, 0);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			link_lost(link);
			return;
		}
		if (!link->is_timed && mode == MODE_FAILOVER)
			sample_add(now_ns() - link->began_ns);
		link->is_timed = true;
		link->received += (size_t)got;
		link->answer[link->received] = '\0';
		if (link->wanted == 0)
			head_look(link);
		if (link->wanted == 0 || link->received < link->wanted)
			continue;
		if (link->is_chunked && memcmp(link->answer + link->received - 5, "0\r\n\r\n", 5) != 0)
			continue;
		link_answered(link);
		if ((size_t)got < room)
			return;
	}
}

static void events_read(struct link *link)
{
	static char buffer[64 * 1024];

	for (;;) {
		ssize_t got = recv(link->fd, buffer, sizeof(buffer), 0);
		const char *at = buffer, *end = buffer + got;
		int64_t now = now_ns();

		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			link_lost(link);
			return;
		}
		while (
		    (at = memmem(at, (size_t)(end - at), "\"t=", 3)) != NULL && end - at > 3 + TIME_DIGITS) {
			sample_add(now - strtoll(at + 3, NULL, 10));
			at += 3;
			answered++;
			if (!link->said)
				said++;
			link->said = true;
		}
		if ((size_t)got < sizeof(buffer))
			return;
	}
}

static void link_ready(struct link *link, uint32_t events)
{
	if (events & EPOLLOUT) {
		link->is_writable = true;
		link_send(link);
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		if (mode == MODE_STREAMS)
			events_read(link);
		else
			answer_read(link);
	}
}

static void run_events(int timeout_ms)
{
	static struct epoll_event events[EVENTS_MAX];
	int got = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout_ms);

	for (int i = 0; i < got && (!is_over || mode == MODE_STREAMS); i++)
		link_ready(events[i].data.ptr, events[i].events);
}

static void run_requests(void)
{
	int64_t until = now_ns() + (int64_t)((count > 0 ? PATIENCE_S : seconds) * 1e9);

	is_measured = true;
	for (long i = 0; i < connections; i++) {
		link_open(&links[i]);
		link_begin(&links[i]);
	}
	while (!is_over && now_ns() < until)
		run_events(100);
}

/* The first connection is made before; one that must be made again is part of the time. */
static void run_failover(void)
{
	int64_t until = now_ns() + PATIENCE_S * 1000000000LL;
	struct link *link = &links[0];

	is_measured = true;

	link->wanted = SIZE_MAX;
	link->sent = request_length;
	link_open(link);
	while (!link->is_writable && now_ns() < until)
		run_events(100);
	while (!is_over && now_ns() < until) {
		if (link->wanted == SIZE_MAX)
			link_begin(link);
		run_events(100);
	}
}

static void run_streams(void)
{
	int64_t until = now_ns() + PATIENCE_S * 1000000000LL;
	char line[16];

	for (long opened = 0; (opened < connections || said < connections) && now_ns() < until;) {
		for (int i = 0; i < OPENED_A_MS && opened < connections; i++) {
			link_open(&links[opened]);
			link_begin(&links[opened++]);
		}
		run_events(1);
	}
	printf("open %ld\n", said);
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return;
	/* What has waited while we did is old, and tells nothing. */
	for (until = now_ns() + 300000000; now_ns() < until;)
		run_events(1);
	is_measured = true;
	answered = 0;
	for (until = now_ns() + (int64_t)(seconds * 1e9); now_ns() < until;)
		run_events(10);
}

static int compare(const void *one, const void *other)
{
	int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;

	return a < b ? -1 : a > b;
}

static double percentile_us(double part)
{
	size_t at = (size_t)((double)sample_count * part);

	return sample_count > 0 ? (double)samples[at < sample_count ? at : sample_count - 1] / 1000 : -1;
}

static void tell(double took_s)
{
	qsort(samples, sample_count, sizeof(*samples), compare);
	printf("{\"requests\":%llu,\"errors\":%llu,\"per_second\":%.1f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"min_"
	       "us\":%.2f,"
	       "\"seconds\":%.3f}\n",
	    (unsigned long long)answered, (unsigned long long)errors, (double)answered / took_s,
	    percentile_us(0.5), percentile_us(0.99), percentile_us(0), took_s);
}

static void read_options(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--stream") == 0)
			is_stream = true;
		else if (i + 1 == argc)
			die(argv[i]);
		else if (strcmp(argv[i], "--port") == 0)
			port = (uint16_t)strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--path") == 0)
			path = argv[++i];
		else if (strcmp(argv[i], "--key") == 0)
			key = argv[++i];
		else if (strcmp(argv[i], "--connections") == 0)
			connections = strtol(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--count") == 0)
			count = strtol(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--body") == 0)
			body_bytes = strtol(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			seconds = strtod(argv[++i], NULL);
		else
			die(argv[i]);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int64_t began;

	if (argc < 2) {
		fprintf(stderr, "load: see the top of load.c\n");
		return 99;
	}
	mode = strcmp(argv[1], "streams") == 0    ? MODE_STREAMS
	       : strcmp(argv[1], "failover") == 0 ? MODE_FAILOVER
	                                          : MODE_REQUESTS;
	is_stream = mode == MODE_STREAMS;
	read_options(argc, argv);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	samples = malloc(SAMPLES_MAX * sizeof(*samples));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (samples == NULL || epoll_fd < 0 || connections > CONNECTIONS_MAX)
		die("memory");
	for (long i = 0; mode != MODE_STREAMS && i < connections; i++)
		links[i].answer = malloc(ANSWER_MAX);
	request_make();
	began = now_ns();
	if (mode == MODE_STREAMS)
		run_streams();
	else if (mode == MODE_FAILOVER)
		run_failover();
	else
		run_requests();
	tell(mode == MODE_STREAMS ? seconds : (double)(now_ns() - began) / 1e9);
	return 0;
}
