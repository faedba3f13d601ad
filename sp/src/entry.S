// First instructions of the partition (EL1h, MMU off, DAIF masked; DEN0077, section 5.2): relocate, clear, set up the stacks,
// go to Rust. x0 = address of the boot information, physical. And those of the execution contexts that come later.
//
// Touches memory by aligned accesses only: with the MMU off all memory is Device.

    // As in contexts.rs and linker/sp.ld.
    .set    MAX_CONTEXTS, 8
    // Guard page and stack of a context, as a power of two.
    .set    CONTEXT_SHIFT, 13
    // The top of each context's stack belongs to exceptions that are fixed up.
    .set    EXCEPTION_ROOM, 256

    .section .text.entry, "ax"
    .global partition_entry
    .type partition_entry, %function
partition_entry:
    // Only the first execution context boots. SPMCs without FFA_SECONDARY_EP_REGISTER send the others here as well.
    adrp    x9, partition_entered
    add     x9, x9, :lo12:partition_entered
    ldr     w10, [x9]
    cbnz    w10, context_entry
    mov     w10, #1
    str     w10, [x9]

    mov     x20, x0

    // Exceptions before Rust's handler is in place end here too.
    adrp    x9, exception_vectors
    add     x9, x9, :lo12:exception_vectors
    msr     vbar_el1, x9
    // CPACR_EL1.FPEN: no trap of SIMD, which compiled code uses.
    mov     x9, #(3 << 20)
    msr     cpacr_el1, x9
    // No number yet: see contexts.rs.
    msr     tpidr_el1, xzr
    isb

    // What variables begin with.
    adrp    x9, __data_load
    add     x9, x9, :lo12:__data_load
    adrp    x10, __data_start
    add     x10, x10, :lo12:__data_start
    adrp    x11, __image_end
    add     x11, x11, :lo12:__image_end
1:  cmp     x9, x11
    b.hs    2f
    ldr     x12, [x9], #8
    str     x12, [x10], #8
    b       1b
2:
    // Relocate: add the load address to each word that the table names (ELF, SHT_RELR). An even entry is the address of a word;
    // an odd one is a bit map of the 63 words that follow the last one covered, bit 1 first.
    adrp    x11, __image_start
    add     x11, x11, :lo12:__image_start
    adrp    x9, __relr_start
    add     x9, x9, :lo12:__relr_start
    adrp    x10, __relr_end
    add     x10, x10, :lo12:__relr_end
1:  cmp     x9, x10
    b.hs    5f
    ldr     x12, [x9], #8
    tbnz    x12, #0, 2f
    add     x13, x11, x12           // x13 = next word that a bit map would start at
    ldr     x14, [x13]
    add     x14, x14, x11
    str     x14, [x13], #8
    b       1b
2:  mov     x15, x13
3:  lsr     x12, x12, #1
    cbz     x12, 4f
    tbz     x12, #0, 6f
    ldr     x14, [x15]
    add     x14, x14, x11
    str     x14, [x15]
6:  add     x15, x15, #8
    b       3b
4:  add     x13, x13, #(63 * 8)
    b       1b
5:
    adrp    x9, __bss_start
    add     x9, x9, :lo12:__bss_start
    adrp    x10, __bss_end
    add     x10, x10, :lo12:__bss_end
7:  cmp     x9, x10
    b.hs    8f
    stp     xzr, xzr, [x9], #16
    b       7b
8:
    // Exceptions run on their own stack (SP_EL1); everything else on SP_EL0, so that an overflow of it can be reported.
    adrp    x9, __exception_stack_top
    add     x9, x9, :lo12:__exception_stack_top
    mov     sp, x9
    msr     spsel, #0
    adrp    x9, __stack_top
    add     x9, x9, :lo12:__stack_top
    mov     sp, x9

    mov     x0, x20
    mov     x29, xzr
    mov     x30, xzr
    bl      partition_main
9:  wfe                             // partition_main does not return
    b       9b
    .size partition_entry, . - partition_entry

// A further execution context, with the MMU off, in any general registers: FFA_SECONDARY_EP_REGISTER names this.
    .global context_entry
    .type context_entry, %function
context_entry:
    adrp    x9, exception_vectors
    add     x9, x9, :lo12:exception_vectors
    msr     vbar_el1, x9
    mov     x9, #(3 << 20)
    msr     cpacr_el1, x9
    msr     tpidr_el1, xzr
    isb
    // The first context's translation; its boot has failed if there is none.
    movz    w19, #0x3024            // TARGET_DEAD
    movk    w19, #0xffff, lsl #16
    mov     w20, #-1                // INTERNAL
    adrp    x9, context_settings
    add     x9, x9, :lo12:context_settings
    ldp     x10, x11, [x9]
    ldp     x12, x13, [x9, #16]
    cbz     x13, parked_context
    msr     mair_el1, x10
    msr     tcr_el1, x11
    msr     ttbr0_el1, x12
    isb
    tlbi    vmalle1
    ic      iallu
    dsb     sy
    isb
    msr     sctlr_el1, x13
    isb

// The place of this context: the one it had, or a free one. The MMU is on.
    .global take_place
take_place:
    mrs     x9, mpidr_el1
    mov     x10, #0xffffff
    movk    x10, #0xff, lsl #32
    and     x9, x9, x10
    orr     x9, x9, #(1 << 63)
    adrp    x10, context_places
    add     x10, x10, :lo12:context_places
    mov     x11, #1                 // its number
1:  ldaxr   x12, [x10]
    cmp     x12, x9
    b.eq    2f
    cbnz    x12, 3f
    stlxr   w13, x9, [x10]
    cbnz    w13, 1b
    b       2f
3:  add     x10, x10, #8
    add     x11, x11, #1
    cmp     x11, #MAX_CONTEXTS
    b.ls    1b
    clrex
    movz    w19, #0x000d            // BUSY
    movk    w19, #0xffff, lsl #16
    mov     w20, #-8                // RESOURCE_FAILURE
    b       parked_context
2:  clrex
    msr     tpidr_el1, x11
    bl      reset_stack
    bl      context_main
9:  wfe                             // context_main does not return
    b       9b
    .size context_entry, . - context_entry

// Empties the stack of the context whose number is in x11. Changes x9.
reset_stack:
    adrp    x9, __contexts_start
    add     x9, x9, :lo12:__contexts_start
    add     x9, x9, x11, lsl #CONTEXT_SHIFT
    msr     spsel, #1
    mov     sp, x9
    msr     spsel, #0
    sub     x9, x9, #EXCEPTION_ROOM
    mov     sp, x9
    mov     x29, xzr
    ret

// Where a context goes that can't go on with what it did, x16 = a function that does not return, with arguments in x0 to x7. The
// first context that comes here, now or again, runs it on the stack that belongs to the end. Any other one goes to
// `bystander_main`.
    .global to_the_end
to_the_end:
    mrs     x11, tpidr_el1
    cbz     x11, 2f                 // booting: there is no other context
    adrp    x9, dying_context
    add     x9, x9, :lo12:dying_context
1:  ldaxr   w12, [x9]
    cbz     w12, 3f
    clrex
    cmp     w12, w11
    b.eq    2f
    bl      reset_stack
    bl      bystander_main
9:  wfe                             // bystander_main does not return
    b       9b
3:  stlxr   w12, w11, [x9]
    cbnz    w12, 1b
2:  adrp    x9, __exception_stack_top
    add     x9, x9, :lo12:__exception_stack_top
    msr     spsel, #1
    mov     sp, x9
    mov     x29, xzr
    mov     x30, xzr
    br      x16

// An execution context that does not serve requests: it waits, and answers requests of door D with the result w19, calls of door T with
// the status w20, the message that its CPU goes off with success, and other framework messages with NOT_SUPPORTED. Uses no stack, and
// no memory but code.
parked_context:
    movz    w0, #0x006b             // FFA_MSG_WAIT
    movk    w0, #0x8400, lsl #16
    mov     x1, xzr
    mov     x2, xzr
    mov     x3, xzr
1:  mov     x4, xzr
2:  mov     x5, xzr
    mov     x6, xzr
    mov     x7, xzr
    mov     x8, xzr
    mov     x9, xzr
    mov     x10, xzr
    mov     x11, xzr
    mov     x12, xzr
    mov     x13, xzr
    mov     x14, xzr
    mov     x15, xzr
    mov     x16, xzr
    mov     x17, xzr
    smc     #0
    movz    w10, #0x006f            // FFA_MSG_SEND_DIRECT_REQ
    movk    w10, #0x8400, lsl #16
    movz    w11, #0x008d            // FFA_MSG_SEND_DIRECT_REQ2, which is 64-bit only
    movk    w11, #0xc400, lsl #16
    mov     w12, w2
    mov     w13, w3
    and     w9, w0, #0xbfffffff     // without the bit that tells 32-bit from 64-bit calls
    cmp     w0, w11
    ccmp    w9, w10, #4, ne
    b.ne    parked_context
    add     w9, w0, #1              // the response of the same family and width
    ror     w1, w1, #16             // sender and receiver change places
    mov     x2, xzr
    mov     x3, xzr
    cmp     w0, w11
    mov     w0, w9
    mov     w4, w19
    b.eq    2b
    tbnz    w12, #31, 3f
    mov     w3, w19
    tbnz    w0, #30, 1b
    mov     w3, w13                 // door T's control word comes back
    mov     w4, w20
    b       2b
3:  and     w12, w12, #0xff         // framework messages
    mov     w2, #2                  // the response to a power management request, 0 or 1
    cmp     w12, #1
    b.ls    4f
    mov     w3, #-1                 // NOT_SUPPORTED
    mov     w2, w12
    tbnz    w12, #0, 4f
    cmp     w12, #14
    cinc    w2, w12, ls             // requests of even numbers are answered with the next one
4:  orr     w2, w2, #0x80000000
    b       1b

    // Among the constants, because .data and .bss are filled after this was set.
    .section .data.rel.ro.partition_entered, "aw"
    .balign 4
partition_entered:
    .word   0
