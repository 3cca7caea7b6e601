// Loads the state of a hostile run from the page at launch + 0x1000 and goes there.
    .section .text.start, "ax"
    .globl _start
_start:
    adr x0, _start
    add x0, x0, #0x1000
    ldr x1, [x0, #0x1f0]
    msr mair_el1, x1
    ldr x1, [x0, #0x10]
    msr tcr_el1, x1
    ldr x1, [x0]
    msr ttbr0_el1, x1
    msr ttbr1_el1, x1
    ldr x1, [x0, #0x18]
    msr vbar_el1, x1
    ldr x1, [x0, #0x38]
    msr cpacr_el1, x1
    ldr x1, [x0, #0x30]
    msr sp_el0, x1
    mov sp, x1
    ldr x1, [x0, #0x20]
    msr elr_el1, x1
    ldr x1, [x0, #0x28]
    msr spsr_el1, x1
    ldr x1, [x0, #0x08]
    isb
    msr sctlr_el1, x1
    isb
    add x0, x0, #0x40
    ldp x1, x2, [x0]
    ldp x3, x4, [x0, #16]
    ldp x5, x6, [x0, #32]
    ldp x7, x8, [x0, #48]
    ldp x9, x10, [x0, #64]
    ldp x11, x12, [x0, #80]
    ldp x13, x14, [x0, #96]
    ldp x15, x16, [x0, #112]
    ldp x17, x18, [x0, #128]
    ldp x19, x20, [x0, #144]
    ldp x21, x22, [x0, #160]
    ldp x23, x24, [x0, #176]
    ldp x25, x26, [x0, #192]
    ldp x27, x28, [x0, #208]
    ldp x29, x30, [x0, #224]
    eret
