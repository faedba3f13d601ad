// Exception vectors. The partition runs on SP_EL0 with all interrupts masked, so only the synchronous exception and the
// SError of that mode are expected; SP_EL1 is some room for the former (entry.S).
//
// A synchronous exception inside the copy routines (copy.S) returns to their fix-up; any other is reported and fatal.

    .macro fatal_vector kind
    .balign 0x80
    mov     x0, #\kind
    b       fatal_exception
    .endm

    .section .text.vectors, "ax"
    .balign 0x800
    .global exception_vectors
exception_vectors:
    // Current exception level with SP_EL0.
    .balign 0x80
    b       synchronous_exception
    fatal_vector 1
    fatal_vector 2
    fatal_vector 3
    // Current exception level with SP_ELx: an exception inside an exception.
    fatal_vector 4
    fatal_vector 5
    fatal_vector 6
    fatal_vector 7
    // Lower exception levels: there are none.
    fatal_vector 8
    fatal_vector 9
    fatal_vector 10
    fatal_vector 11
    fatal_vector 12
    fatal_vector 13
    fatal_vector 14
    fatal_vector 15
    .balign 0x80

synchronous_exception:
    stp     x0, x1, [sp, #-16]!
    // Only a data abort from this exception level (class 0x25) can be the other world's doing.
    mrs     x0, esr_el1
    lsr     x0, x0, #26
    cmp     x0, #0x25
    b.ne    1f
    mrs     x0, elr_el1
    adrp    x1, copy_routines_start
    add     x1, x1, :lo12:copy_routines_start
    cmp     x0, x1
    b.lo    1f
    adrp    x1, copy_routines_end
    add     x1, x1, :lo12:copy_routines_end
    cmp     x0, x1
    b.hs    1f
    adrp    x1, copy_fault
    add     x1, x1, :lo12:copy_fault
    msr     elr_el1, x1
    ldp     x0, x1, [sp], #16
    eret
1:  mov     x0, xzr

// x0 = which vector. The registers of the interrupted code are not kept: it does not go on.
fatal_exception:
    mrs     x1, esr_el1
    mrs     x2, elr_el1
    mrs     x3, far_el1
    msr     spsel, #1               // sp_el0 can be read from there only
    mrs     x4, sp_el0
    adrp    x16, exception_main
    add     x16, x16, :lo12:exception_main
    b       to_the_end
