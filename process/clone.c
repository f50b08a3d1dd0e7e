#include "process/clone.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "world/world.h"

#define STACK_BYTES (32 * 1024)

#if defined(__x86_64__)
/* The new process comes out of the system call on its own stack: it must go on without touching ours. */
static long clone_shared(struct clone_args *arguments, void (*run)(void *context), void *context)
{
	register void (*function)(void *) __asm__("r12") = run;
	register void *argument __asm__("r13") = context;
	long result;

	__asm__ volatile(
	    "syscall\n\t"
	    "test %%rax, %%rax\n\t"
	    "jnz 1f\n\t"
	    "xor %%ebp, %%ebp\n\t"
	    "mov %%r13, %%rdi\n\t"
	    "call *%%r12\n\t"
	    "hlt\n"
	    "1:"
	    : "=a"(result)
	    : "a"(SYS_clone3), "D"(arguments), "S"(sizeof(*arguments)), "r"(function), "r"(argument)
	    : "rcx", "r11", "memory", "cc");
	return result;
}
#elif defined(__aarch64__)
static long clone_shared(struct clone_args *arguments, void (*run)(void *context), void *context)
{
	register long number __asm__("x8") = SYS_clone3;
	register long first __asm__("x0") = (long)arguments;
	register long second __asm__("x1") = sizeof(*arguments);
	register void (*function)(void *) __asm__("x20") = run;
	register void *argument __asm__("x21") = context;

	__asm__ volatile("svc 0\n\t"
	                 "cbnz x0, 1f\n\t"
	                 "mov x29, xzr\n\t"
	                 "mov x0, x21\n\t"
	                 "blr x20\n\t"
	                 "brk 1\n"
	                 "1:"
	                 : "+r"(first)
	                 : "r"(number), "r"(second), "r"(function), "r"(argument)
	                 : "memory", "cc");
	return first;
}
#else
static long clone_shared(struct clone_args *arguments, void (*run)(void *context), void *context)
{
	(void)arguments, (void)run, (void)context;
	return -ENOSYS;
}
#endif

/* A copy of us, with a pidfd. */
static int copy(struct clone_args *arguments)
{
	int pid;

	arguments->stack = arguments->stack_size = 0;
	arguments->flags &= ~(uint64_t)CLONE_VM;
	pid = (int)world_clone3(arguments, sizeof(*arguments));
	if (pid < 0 && (errno == ENOSYS || errno == EPERM) && (arguments->flags & CLONE_INTO_CGROUP) == 0) {
		pid = world_fork();
		if (pid > 0)
			*(int *)(uintptr_t)arguments->pidfd = world_pidfd_open(pid, 0);
	}
	return pid < 0 ? -errno : pid;
}

int clone_copy(int *pid_fd)
{
	struct clone_args arguments = {
	    .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)pid_fd, .exit_signal = SIGCHLD};

	return copy(&arguments);
}

static int start(struct clone_args *arguments, void (*run)(void *context), void *context)
{
	long result = world_clone_begins();
	int pid;

	if (result < 0)
		return (int)result;
	result = clone_shared(arguments, run, context);
	if (result > 0)
		world_clone_ended();
	if (result != -ENOSYS && result != -EPERM)
		return (int)result;
	pid = copy(arguments);
	if (pid == 0)
		run(context);
	return pid;
}

int clone_run(int cgroup_fd, void (*run)(void *context), void *context, int *pid_fd, bool *in_cgroup)
{
	static char stack[STACK_BYTES] __attribute__((aligned(64)));
	struct clone_args arguments = {.flags = CLONE_VM | CLONE_PIDFD,
	    .pidfd = (uint64_t)(uintptr_t)pid_fd,
	    .exit_signal = SIGCHLD,
	    .stack = (uint64_t)(uintptr_t)stack,
	    .stack_size = sizeof(stack)};
	int pid;

	*in_cgroup = cgroup_fd >= 0;
	if (cgroup_fd >= 0) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)cgroup_fd;
		pid = start(&arguments, run, context);
		if (pid > 0 || pid == -EAGAIN || pid == -ENOMEM)
			return pid;
		*in_cgroup = false;
		arguments.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
		arguments.cgroup = 0;
	}
	return start(&arguments, run, context);
}
