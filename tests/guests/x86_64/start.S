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
