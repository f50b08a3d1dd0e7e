/* A small harness for unit tests: prints TAP. A test program is a list of TEST(name) { ... } and nothing
 * else.
 *
 *   TEST("a resent event is stored once") {
 *           CHECK(count == 1);
 *           CHECK_TEXT(kind, "gateway.exited");
 *   }
 *
 * A failed CHECK says where, and the test goes on. A test whose needs are missing calls SKIP("why") and
 * returns. */
#ifndef HOLDFAST_TESTS_SUPPORT_TAP_H
#define HOLDFAST_TESTS_SUPPORT_TAP_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAP_TESTS_MAX 512

struct tap_test {
	const char *name;
	void (*run)(void);
};

static struct tap_test tap_tests[TAP_TESTS_MAX];
static int tap_count, tap_failures;
static const char *tap_skipped;

static inline void tap_add(const char *name, void (*run)(void))
{
	if (tap_count == TAP_TESTS_MAX)
		abort();
	tap_tests[tap_count++] = (struct tap_test){name, run};
}

static inline bool tap_check(bool passed, const char *file, int line, const char *what)
{
	if (!passed) {
		tap_failures++;
		printf("# %s:%d: not so: %s\n", file, line, what);
	}
	return passed;
}

static inline bool tap_check_text(const char *seen, const char *wanted, const char *file, int line)
{
	bool same = seen != NULL && wanted != NULL && strcmp(seen, wanted) == 0;

	if (!same) {
		tap_failures++;
		printf("# %s:%d: wanted: %s\n# %s:%d:   seen: %s\n", file, line,
		    wanted != NULL ? wanted : "(null)", file, line, seen != NULL ? seen : "(null)");
	}
	return same;
}

#define CHECK(condition)         tap_check((condition), __FILE__, __LINE__, #condition)
#define CHECK_TEXT(seen, wanted) tap_check_text((seen), (wanted), __FILE__, __LINE__)
#define SKIP(why)                (tap_skipped = (why))

#define TAP_JOIN(a, b) a##b
#define TAP_NAME(a, b) TAP_JOIN(a, b)
#define TEST(test_name)                                                                                      \
	static void TAP_NAME(tap_run_, __LINE__)(void);                                                      \
	__attribute__((constructor)) static void TAP_NAME(tap_register_, __LINE__)(void)                     \
	{                                                                                                    \
		tap_add(test_name, TAP_NAME(tap_run_, __LINE__));                                            \
	}                                                                                                    \
	static void TAP_NAME(tap_run_, __LINE__)(void)

int main(void)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%d\n", tap_count);
	for (int i = 0; i < tap_count; i++) {
		tap_failures = 0;
		tap_skipped = NULL;
		tap_tests[i].run();
		failed += tap_failures != 0;
		printf("%s %d - %s%s%s\n", tap_failures == 0 ? "ok" : "not ok", i + 1, tap_tests[i].name,
		    tap_skipped != NULL ? " # SKIP " : "", tap_skipped != NULL ? tap_skipped : "");
	}
	return failed != 0;
}

#endif
