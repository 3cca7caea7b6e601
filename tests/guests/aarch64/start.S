// Entry, exception vectors and the ways between EL1 and EL0 of the aarch64 guests.
    .section .text.start, "ax"
    .globl _start
_start:
    msr daifset, #15
    adrp x1, stack_top
    add x1, x1, :lo12:stack_top
    mov sp, x1
    adrp x1, bss_start
    add x1, x1, :lo12:bss_start
    adrp x2, bss_end
    add x2, x2, :lo12:bss_end
1:  cmp x1, x2
    b.hs 2f
    stp xzr, xzr, [x1], #16
    b 1b
2:  adrp x1, boot_argument
    str x0, [x1, :lo12:boot_argument]
    mov x29, xzr
    bl start_guest
    brk #0

    .text
    .balign 2048
    .globl vectors
vectors:
    .set vector, 0
    .rept 16
    .balign 128
    sub sp, sp, #288
    stp x0, x1, [sp]
    mov x0, #vector
    b save_frame
    .set vector, vector + 1
    .endr

save_frame:
    str x0, [sp, #272]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    mrs x1, sp_el0
    stp x30, x1, [sp, #240]
    mrs x1, elr_el1
    mrs x2, spsr_el1
    stp x1, x2, [sp, #256]
    mov x0, sp
    bl on_trap
    ldp x1, x2, [sp, #256]
    msr elr_el1, x1
    msr spsr_el1, x2
    ldp x30, x1, [sp, #240]
    msr sp_el0, x1
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldp x0, x1, [sp]
    add sp, sp, #288
    eret

// Another CPU: x0 is its stack.
    .globl cpu_entry
cpu_entry:
    mov sp, x0
    mov x29, xzr
    bl cpu_main
    brk #0

    .macro save_callee
    sub sp, sp, #96
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    adrp x9, escape_stack
    mov x10, sp
    str x10, [x9, :lo12:escape_stack]
    .endm

    .globl guarded_call
guarded_call:
    save_callee
    mov x9, x0
    mov x0, x1
    blr x9
restore_callee:
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    add sp, sp, #96
    ret

// The frame that frame_escape() rewrote comes here: x0 the result, x1 the saved stack.
    .globl guarded_escape
guarded_escape:
    mov sp, x1
    b restore_callee

// user_call(pc, argument, stack, return_to)
    .globl user_call
user_call:
    save_callee
    msr elr_el1, x0
    msr sp_el0, x2
    mov x30, x3
    mov x0, x1
    msr spsr_el1, xzr
    eret

    .section .user.text, "ax"
    .balign 4
    .globl user_return
user_return:
    mov x8, xzr
    svc #0

    .bss
    .balign 8
    .globl boot_argument
boot_argument: .quad 0
