// What each machine gives the runtime; programs use it through guest.h.
#pragma once

/// The console, by polling.
void console_put(char byte);
/// The console raises an interrupt for every byte that is typed.
void console_listen(void);

[[noreturn]] void power_off(void);
/// Asks for a reset. Comes back where the machine refuses.
void reset(void);

void traps_init(void);
/// Prepares the interrupt controller. Everything stays masked at the CPU.
void interrupts_init(void);
void irq_on(void);
void irq_off(void);
/// Sleeps until an interrupt and takes it. Interrupts are off before and after.
void idle(void);

/// Takes the interrupts of line kDeviceLine (x86_64: GSI 5, aarch64: INTID 40, riscv64: source 11),
/// counted in device_count. After interrupts_init().
void device_listen(void);
/// What the machine calls for an interrupt of that line; on aarch64 and riscv64 for those of the
/// real-time clock, too.
void device_interrupt(void);

/// One interrupt after about `microseconds`.
void timer_arm(u64 microseconds);
/// The timer's interrupt waits to be taken.
int timer_pending(void);
void send_ipi_to_self(void);
/// To the CPU with this number.
void send_ipi(u64 cpu);
/// To all but `me`, which sends it.
void send_ipi_to_others(u64 me);
/// What the machine calls for such an interrupt.
void ipi_interrupt(void);

/// Hypercall `number`: the result as the architecture returns it.
u64 hypercall(u64 number, u64 first, u64 second, u64 third);
u64 hypercall4(u64 number, u64 first, u64 second, u64 third, u64 fourth);

// More CPUs. The one that boots is number 0.
u64 cpu_count(void);
/// CPU `cpu` goes to cpu_main() of the program, with this stack; 0: it was started.
u64 start_cpu(u64 cpu, u64 stack);
[[noreturn]] void stop_this_cpu(void);
int cpu_is_on(u64 cpu);
void cpu_main(void);
void cpu_entry(void);
/// On a CPU that was started: its traps and interrupts, as traps_init() and interrupts_init().
void cpu_init(void);
static inline void memory_barrier(void);

/// Makes code that was written at `at` safe to run.
void sync_code(u64 at, u64 bytes);
void flush_tlb_page(u64 va);

// What other CPUs have to do, or to be told, when something was changed that is not only data.
/// Tells the others of code that was written here; each still has to call context_sync().
void tell_of_code(void);
/// Before this CPU runs code that another has written.
void context_sync(void);
/// Whether flush_tlb_page_everywhere() reaches the other CPUs. Else they must be interrupted, and
/// each has to call flush_tlb_page().
int can_flush_everywhere(void);
void flush_tlb_page_everywhere(u64 va);

// How a stage-1 table looks.
enum : u64 { kTableLevels = TABLE_LEVELS };
u64 table_entry(u64 table);
u64 page_entry(u64 pa, u64 access);
u64 block_entry(u64 pa);
int is_valid_entry(u64 entry);
u64 address_in_entry(u64 entry);
/// Turns paging on with these tables.
void use_tables(u64 root);

// In assembly, and what assembly calls.
u64 guarded_call(u64 (*function)(u64), u64 argument);
u64 user_call(u64 pc, u64 argument, u64 stack, u64 return_to);
void guarded_escape(void);
/// Where a function of user mode returns to: makes its result a kSysExit.
void user_return(void);
/// The stack pointer of the latest guarded call; 0: none is open.
extern u64 escape_stack;
struct trap_frame;
void on_trap(struct trap_frame* frame);
[[noreturn]] void start_guest(void);

/// What the trap handler of runtime.c needs to know of a frame.
void describe_trap(const struct trap_frame* frame, struct trap* trap);
void frame_escape(struct trap_frame* frame, u64 value);
void frame_system_call(const struct trap_frame* frame, u64* number, u64* argument);
void frame_return(struct trap_frame* frame, u64 value);
/// Whether the frame is an interrupt's; it has been handled then.
int handle_interrupt(struct trap_frame* frame);
