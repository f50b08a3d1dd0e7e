/* What the kernel shows of a process and of the machine at one moment (proc(5), cgroups(7)), in counters that
 * only grow: what tells a loop that hangs from a machine that is starved. Nothing here blocks or allocates.
 */
#ifndef HOLDFAST_PROCESS_VITALS_H
#define HOLDFAST_PROCESS_VITALS_H

#include <stdbool.h>
#include <stdint.h>

#define VITALS_UNKNOWN UINT64_MAX

struct vitals_thread {
	char state;      /* R S D T t Z; 0: gone, or not visible */
	bool is_traced;  /* by ptrace(2) */
	uint64_t cpu_ms; /* on a processor */
	uint64_t
	    waited_ms; /* ready to run, and kept waiting; VITALS_UNKNOWN where the kernel does not count it */
	uint64_t faults; /* pages it had to wait for */
};

struct vitals_machine {
	uint64_t busy_ms;         /* of all processors together */
	uint64_t steal_ms;        /* that the host of a virtual machine gave to others */
	uint64_t memory_stall_ms; /* time in which somebody waited for memory; VITALS_UNKNOWN without PSI */
	uint32_t processors;
};

/* The main thread of the process. */
void vitals_read_main_thread(int pid, struct vitals_thread *thread);

void vitals_read_machine(struct vitals_machine *machine);

/* The time in which somebody in the process's cgroup waited for memory; VITALS_UNKNOWN where it cannot be
 * seen or the cgroup is the machine's root. */
uint64_t vitals_memory_stall_ms(int pid);

/* Whether the process is frozen by its cgroup's freezer. */
bool vitals_is_frozen(int pid);

/* Whether a debugger is connected to the process's JavaScript inspector: on the port that Node takes unless
 * told otherwise (9229 and the nine after it), or on `inspector_port`. Where that is not known (0), and the
 * process has an inspector's thread, on any port that it listens on besides `own_port`. */
bool vitals_is_inspected(int pid, uint32_t own_port, uint32_t inspector_port);

#endif
