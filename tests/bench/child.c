/* bench_child FIFO: what every supervisor in the benchmarks starts. Its first instructions read
 * CLOCK_MONOTONIC; then it writes { pid, nanoseconds } into the FIFO and waits for its end. Without a C
 * library, whose own start would be counted for all and so flatter whoever is slower. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

struct stamp {
	int64_t pid, ns;
};

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall child_main\n\thlt\n");

static long call(long number, long a, long b, long c, long d)
{
	register long fourth __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
	                 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl child_main\n");

static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#else
#error "bench_child knows the system calls of x86-64 and arm64 only: add yours."
#endif

_Noreturn void child_main(long *stack);

_Noreturn void child_main(long *stack)
{
	struct timespec now;
	struct stamp stamp;
	long fifo;

	call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0);
	stamp.ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	stamp.pid = call(SYS_getpid, 0, 0, 0, 0);
	fifo = call(SYS_openat, AT_FDCWD, stack[2], O_WRONLY, 0); /* argc, argv[0], argv[1] */
	if (fifo < 0 || call(SYS_write, fifo, (long)&stamp, sizeof(stamp), 0) != sizeof(stamp))
		call(SYS_exit_group, 1, 0, 0, 0);
	for (;;)
		call(SYS_ppoll, 0, 0, 0, 0);
}
