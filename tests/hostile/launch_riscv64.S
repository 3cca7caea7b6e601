# Loads the state of a hostile run from the page at launch + 0x1000 and goes there.
    .section .text.start, "ax"
    .globl _start
_start:
    lla a0, _start
    li a1, 0x1000
    add a0, a0, a1
    ld a1, 0x18(a0)
    csrw stvec, a1
    ld a1, 0x08(a0)
    csrw sie, a1
    ld a1, 0x30(a0)
    csrw sscratch, a1
    ld a1, 0x38(a0)
    csrw scounteren, a1
    ld a1, 0x20(a0)
    csrw sepc, a1
    ld a1, 0x28(a0)
    csrw sstatus, a1
    ld a1, 0(a0)
    csrw satp, a1
    sfence.vma
    .irp r, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\r, 0x38+8*\r(a0)
    .endr
    ld a0, 0x38+80(a0)
    sret
