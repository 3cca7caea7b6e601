# Entry, trap vector and the ways between S-mode and U-mode of the riscv64 guests.
    .section .text.start, "ax"
    .globl _start
_start:
    csrw sie, zero
    csrci sstatus, 2
    csrw sscratch, zero
    lla sp, stack_top
    lla t0, bss_start
    lla t1, bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:  lla t0, boot_argument
    sd a1, 0(t0)
    lla t0, boot_hart
    sd a0, 0(t0)
    li s0, 0
    call start_guest
    ebreak

    .text
    .balign 4
# sscratch is 0 in S-mode and the kernel's stack in U-mode.
    .globl trap_vector
trap_vector:
    csrrw sp, sscratch, sp
    bnez sp, from_user
    csrrw sp, sscratch, sp
    addi sp, sp, -272
    sd t0, 40(sp)
    addi t0, sp, 272
    sd t0, 16(sp)
    j save_frame
from_user:
    addi sp, sp, -272
    sd t0, 40(sp)
    csrrw t0, sscratch, zero
    sd t0, 16(sp)
save_frame:
    sd x1, 8(sp)
    sd x3, 24(sp)
    sd x4, 32(sp)
    .irp r, 6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd x\r, 8*\r(sp)
    .endr
    csrr t0, sepc
    sd t0, 0(sp)
    csrr t0, sstatus
    sd t0, 256(sp)
    mv a0, sp
    call on_trap
    ld t0, 0(sp)
    csrw sepc, t0
    ld t0, 256(sp)
    csrw sstatus, t0
    andi t0, t0, 0x100
    bnez t0, to_kernel
    addi t0, sp, 272
    csrw sscratch, t0
to_kernel:
    ld x1, 8(sp)
    ld x3, 24(sp)
    ld x4, 32(sp)
    .irp r, 5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\r, 8*\r(sp)
    .endr
    ld sp, 16(sp)
    sret

# Another hart: a1 is its stack.
    .globl cpu_entry
cpu_entry:
    csrw sscratch, zero
    mv sp, a1
    li s0, 0
    call cpu_main
    ebreak

    .macro save_callee
    addi sp, sp, -112
    sd ra, 0(sp)
    sd s0, 8(sp)
    sd s1, 16(sp)
    sd s2, 24(sp)
    sd s3, 32(sp)
    sd s4, 40(sp)
    sd s5, 48(sp)
    sd s6, 56(sp)
    sd s7, 64(sp)
    sd s8, 72(sp)
    sd s9, 80(sp)
    sd s10, 88(sp)
    sd s11, 96(sp)
    lla t0, escape_stack
    sd sp, 0(t0)
    .endm

    .globl guarded_call
guarded_call:
    save_callee
    mv t1, a0
    mv a0, a1
    jalr t1
restore_callee:
    ld ra, 0(sp)
    ld s0, 8(sp)
    ld s1, 16(sp)
    ld s2, 24(sp)
    ld s3, 32(sp)
    ld s4, 40(sp)
    ld s5, 48(sp)
    ld s6, 56(sp)
    ld s7, 64(sp)
    ld s8, 72(sp)
    ld s9, 80(sp)
    ld s10, 88(sp)
    ld s11, 96(sp)
    addi sp, sp, 112
    ret

# The frame that frame_escape() rewrote comes here: a0 the result, sp the saved stack.
    .globl guarded_escape
guarded_escape:
    j restore_callee

# user_call(pc, argument, stack, return_to)
    .globl user_call
user_call:
    save_callee
    csrw sscratch, sp
    csrw sepc, a0
    li t0, 0x100
    csrc sstatus, t0
    mv ra, a3
    mv a0, a1
    mv sp, a2
    sret

    .section .user.text, "ax"
    .balign 4
    .globl user_return
user_return:
    li a7, 0
    ecall

    .bss
    .balign 8
    .globl boot_argument, boot_hart
boot_argument: .quad 0
boot_hart: .quad 0
