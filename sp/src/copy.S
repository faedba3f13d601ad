// Copy routines for memory that another world or another bus master owns. An access that aborts does not end the partition:
// the synchronous exception handler continues at copy_fault, which returns 1. All return 0 in x0 when done.
//
// The foreign side is accessed by naturally aligned loads and stores only, each byte once; the private side may be unaligned
// (Normal memory, SCTLR_EL1.A = 0).

    .section .text.copy_routines, "ax"
    .balign 4
    .global copy_routines_start
copy_routines_start:

// One copy in either direction: x0 = destination, x1 = source, x2 = bytes. \foreign is the side whose alignment counts.
    .macro copy_routine name, foreign
    .global \name
    .type \name, %function
\name:
    cbz     x2, 9f
1:  tst     \foreign, #15            // single bytes up to an aligned address
    b.eq    2f
    ldrb    w3, [x1], #1
    strb    w3, [x0], #1
    subs    x2, x2, #1
    b.ne    1b
    b       9f
2:  subs    x2, x2, #64
    b.lo    4f
3:  ldp     q0, q1, [x1]
    ldp     q2, q3, [x1, #32]
    add     x1, x1, #64
    stp     q0, q1, [x0]
    stp     q2, q3, [x0, #32]
    add     x0, x0, #64
    subs    x2, x2, #64
    b.hs    3b
4:  add     x2, x2, #64
5:  subs    x2, x2, #8
    b.lo    6f
    ldr     x3, [x1], #8
    str     x3, [x0], #8
    b       5b
6:  adds    x2, x2, #8
    b.eq    9f
7:  ldrb    w3, [x1], #1
    strb    w3, [x0], #1
    subs    x2, x2, #1
    b.ne    7b
9:  mov     x0, xzr
    ret
    .size \name, . - \name
    .endm

// copy_from_foreign(x0 = private destination, x1 = foreign source, x2 = bytes)
    copy_routine copy_from_foreign, x1
// copy_to_foreign(x0 = foreign destination, x1 = private source, x2 = bytes)
    copy_routine copy_to_foreign, x0

// clear_foreign(x0 = foreign destination, x1 = bytes): 1 also if an SError is pending in the end, as when the bus has refused a store
// later than it was executed. Nothing reads the zeros again.
    .global clear_foreign
    .type clear_foreign, %function
clear_foreign:
    cbz     x1, 9f
1:  tst     x0, #15
    b.eq    2f
    strb    wzr, [x0], #1
    subs    x1, x1, #1
    b.ne    1b
    b       9f
2:  movi    v0.2d, #0
    subs    x1, x1, #64
    b.lo    4f
3:  stp     q0, q0, [x0]
    stp     q0, q0, [x0, #32]
    add     x0, x0, #64
    subs    x1, x1, #64
    b.hs    3b
4:  add     x1, x1, #64
5:  subs    x1, x1, #8
    b.lo    6f
    str     xzr, [x0], #8
    b       5b
6:  adds    x1, x1, #8
    b.eq    9f
7:  strb    wzr, [x0], #1
    subs    x1, x1, #1
    b.ne    7b
9:  dsb     sy
    isb
    mrs     x0, isr_el1
    ubfx    x0, x0, #8, #1
    ret
    .size clear_foreign, . - clear_foreign

// clean_foreign(x0 = foreign address, x1 = bytes): cleans and invalidates the data caches' lines, to the point of coherency.
    .global clean_foreign
    .type clean_foreign, %function
clean_foreign:
    cbz     x1, 9f
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4         // DminLine: the smallest line, log2 of its words
    mov     x3, #4
    lsl     x2, x3, x2
    sub     x3, x2, #1
    add     x1, x0, x1
    bic     x0, x0, x3
1:  dc      civac, x0
    add     x0, x0, x2
    cmp     x0, x1
    b.lo    1b
    dsb     sy
9:  mov     x0, xzr
    ret
    .size clean_foreign, . - clean_foreign

    .global copy_routines_end
copy_routines_end:

// Where an aborted routine continues. The routines use no stack, so the link register still holds the caller.
copy_fault:
    mov     x0, #1
    ret
