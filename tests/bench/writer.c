/* bench_writer ORDERS RESULTS BYTES_PER_SECOND: prints lines at an even pace. Waits for a number of
 * milliseconds (one line of text) in the FIFO ORDERS, prints for so long, then writes one line into the FIFO
 * RESULTS: `BYTES ELAPSED_NS BLOCKED_NS LONGEST_NS LATE_NS`: the time spent in write(), the longest write(),
 * and by how much the pace was missed in the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES 8192
#define LINE_BYTES  128

struct result {
	int64_t bytes, elapsed_ns, blocked_ns, longest_ns, late_ns;
};

static char chunk[CHUNK_BYTES];

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void wait_until(int64_t due_ns)
{
	struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		;
}

static void write_chunk(struct result *result)
{
	size_t done = 0;
	int64_t began_ns = now_ns(), took_ns;

	while (done < sizeof(chunk)) {
		ssize_t length = write(STDOUT_FILENO, chunk + done, sizeof(chunk) - done);

		if (length < 0 && errno != EINTR && errno != EAGAIN)
			exit(1);
		if (length > 0)
			done += (size_t)length;
	}
	took_ns = now_ns() - began_ns;
	result->bytes += CHUNK_BYTES;
	result->blocked_ns += took_ns;
	if (took_ns > result->longest_ns)
		result->longest_ns = took_ns;
}

static struct result write_for(int64_t duration_ms, int64_t bytes_per_second)
{
	struct result result = {0};
	int64_t began_ns = now_ns(), end_ns = began_ns + duration_ms * 1000000, due_ns = began_ns;

	/* Even ticks of 1 ms, each with what is due by then: a late writer catches up, as a busy gateway
	 * would. */
	while (due_ns < end_ns) {
		due_ns += 1000000;
		wait_until(due_ns);
		while (result.bytes < (int64_t)((double)(due_ns - began_ns) * (double)bytes_per_second / 1e9))
			write_chunk(&result);
	}
	result.elapsed_ns = now_ns() - began_ns;
	result.late_ns = result.elapsed_ns - duration_ms * 1000000;
	return result;
}

int main(int count, char **arguments)
{
	FILE *orders = count == 4 ? fopen(arguments[1], "re") : NULL;
	FILE *results = orders == NULL ? NULL : fopen(arguments[2], "we");
	int64_t bytes_per_second = results == NULL ? 0 : strtoll(arguments[3], NULL, 10);
	char line[32];

	if (bytes_per_second <= 0) {
		fputs("usage: bench_writer ORDERS RESULTS BYTES_PER_SECOND\n", stderr);
		return 2;
	}
	memset(chunk, 'x', sizeof(chunk));
	for (size_t end = LINE_BYTES - 1; end < sizeof(chunk); end += LINE_BYTES)
		chunk[end] = '\n';
	while (fgets(line, sizeof(line), orders) != NULL) {
		struct result result = write_for(strtoll(line, NULL, 10), bytes_per_second);

		fprintf(results, "%lld %lld %lld %lld %lld\n", (long long)result.bytes,
		    (long long)result.elapsed_ns, (long long)result.blocked_ns, (long long)result.longest_ns,
		    (long long)result.late_ns);
		fflush(results);
	}
	return 0;
}
