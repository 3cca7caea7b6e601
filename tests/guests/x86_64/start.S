# Entry, interrupt vectors and the ways between kernel and user mode of the x86_64 guests.
    .section .text.start, "ax"
    .globl _start
_start:
    cli
    cld
    leaq stack_top(%rip), %rsp
    leaq bss_start(%rip), %rdi
    leaq bss_end(%rip), %rcx
    subq %rdi, %rcx
    shrq $3, %rcx
    xorl %eax, %eax
    rep stosq
    movq %rsi, boot_argument(%rip)
    xorl %ebp, %ebp
    call start_guest
    ud2

    .text
# 256 stubs of 16 bytes: error code (0 where the CPU pushes none), vector, then the rest.
    .balign 16
    .globl vector_stubs
vector_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    pushq $0
    .endif
    pushq $vector
    jmp save_frame
    .set vector, vector + 1
    .endr

save_frame:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    movq %rsp, %rbx
    andq $-16, %rsp
    call on_trap
    movq %rbx, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

# SYSCALL makes the frame of an interrupt with vector 0x100.
    .globl syscall_entry
syscall_entry:
    movq %rsp, user_stack_pointer(%rip)
    movq kernel_stack(%rip), %rsp
    pushq $0x23
    pushq user_stack_pointer(%rip)
    pushq %r11
    pushq $0x2b
    pushq %rcx
    pushq $0
    pushq $0x100
    jmp save_frame

# Another CPU starts in real mode at 0x8000, where this is copied to; 0x8f00 holds CR3 and a stack.
    .globl cpu_entry, cpu_entry_end
    .code16
cpu_entry:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl 0x8000 + (cpu_gdtr - cpu_entry)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $(0x8000 + (cpu_protected - cpu_entry))
    .code32
cpu_protected:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %ss
    movl $0x20, %eax
    movl %eax, %cr4
    movl 0x8f00, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80010000, %eax
    movl %eax, %cr0
    ljmpl $0x18, $(0x8000 + (cpu_long - cpu_entry))
    .code64
cpu_long:
    movq 0x8f08, %rsp
    movq $0, 0x8f08
    xorl %ebp, %ebp
    movabsq $cpu_main, %rax
    callq *%rax
    ud2
    .balign 8
cpu_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
cpu_gdtr:
    .word 31
    .long 0x8000 + (cpu_gdt - cpu_entry)
cpu_entry_end:

    .macro save_callee
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    movq %rsp, escape_stack(%rip)
    .endm

    .globl guarded_call
guarded_call:
    save_callee
    movq %rdi, %rax
    movq %rsi, %rdi
    call *%rax
restore_callee:
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

# The frame that frame_escape() rewrote comes here: rax the result, rsp the saved stack.
    .globl guarded_escape
guarded_escape:
    jmp restore_callee

# user_call(pc, argument, stack, return_to): return_to lies on the user stack already.
    .globl user_call
user_call:
    save_callee
    movq %rsp, kernel_stack(%rip)
    pushq $0x23
    pushq %rdx
    pushq $0x202
    pushq $0x2b
    pushq %rdi
    movq %rsi, %rdi
    iretq

    .section .user.text, "ax"
    .globl user_return
user_return:
    movq %rax, %rdi
    xorl %eax, %eax
    syscall

    .bss
    .balign 8
    .globl kernel_stack, boot_argument
kernel_stack: .quad 0
user_stack_pointer: .quad 0
boot_argument: .quad 0
