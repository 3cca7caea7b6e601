# Loads the state of a hostile run from the page at launch + 0x1000 and goes there.
    .section .text.start, "ax"
    .globl _start
_start:
    leaq _start(%rip), %rbx
    addq $0x1000, %rbx
    lgdt 0x1d6(%rbx)
    lidt 0x1e6(%rbx)
    movl $0x50, %eax
    ltr %ax
    movl $0xc0000080, %ecx
    movl 0x38(%rbx), %eax
    movl 0x3c(%rbx), %edx
    wrmsr
    movl $0xc0000081, %ecx
    movl 0x1f0(%rbx), %eax
    movl 0x1f4(%rbx), %edx
    wrmsr
    movl $0xc0000082, %ecx
    movl 0x18(%rbx), %eax
    movl 0x1c(%rbx), %edx
    wrmsr
    movq 0x10(%rbx), %rax
    movq %rax, %cr4
    movq 0x08(%rbx), %rax
    movq %rax, %cr0
    movq 0x00(%rbx), %rax
    movq %rax, %cr3
    leaq 0x1000(%rbx), %rsp
    pushq 0x148(%rbx)
    pushq 0x30(%rbx)
    pushq 0x28(%rbx)
    pushq 0x140(%rbx)
    pushq 0x20(%rbx)
    movq 0x40(%rbx), %rax
    movq 0x48(%rbx), %rcx
    movq 0x50(%rbx), %rdx
    movq 0x68(%rbx), %rbp
    movq 0x70(%rbx), %rsi
    movq 0x78(%rbx), %rdi
    movq 0x80(%rbx), %r8
    movq 0x88(%rbx), %r9
    movq 0x90(%rbx), %r10
    movq 0x98(%rbx), %r11
    movq 0xa0(%rbx), %r12
    movq 0xa8(%rbx), %r13
    movq 0xb0(%rbx), %r14
    movq 0xb8(%rbx), %r15
    movq 0x58(%rbx), %rbx
    iretq
