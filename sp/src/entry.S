// First instructions of the partition (EL1h, MMU off, DAIF masked; DEN0077, section 5.2): relocate, clear, set up the stacks,
// go to Rust. x0 = address of the boot information, physical.
//
// Touches memory by aligned accesses only: with the MMU off all memory is Device.

    .section .text.entry, "ax"
    .global partition_entry
    .type partition_entry, %function
partition_entry:
    // Only the first execution context boots. SPMCs without FFA_SECONDARY_EP_REGISTER send the others here as well.
    adrp    x9, partition_entered
    add     x9, x9, :lo12:partition_entered
    ldr     w10, [x9]
    cbnz    w10, parked_context
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
    isb

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

// An execution context that does not serve requests: it waits, and answers every direct request with BUSY (0xFFFF000D).
// Uses no stack, and no memory but code.
parked_context:
    movz    w0, #0x006b             // FFA_MSG_WAIT
    movk    w0, #0x8400, lsl #16
    mov     x1, xzr
    mov     x3, xzr
1:  mov     x2, xzr
    mov     x4, xzr
    mov     x5, xzr
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
    and     w9, w0, #0xbfffffff     // without the bit that tells 32-bit from 64-bit calls
    movz    w10, #0x006f            // FFA_MSG_SEND_DIRECT_REQ
    movk    w10, #0x8400, lsl #16
    cmp     w9, w10
    b.ne    parked_context
    add     w0, w0, #1              // FFA_MSG_SEND_DIRECT_RESP of the same width
    ror     w1, w1, #16             // sender and receiver change places
    movz    w3, #0x000d             // BUSY
    movk    w3, #0xffff, lsl #16
    b       1b
    .size partition_entry, . - partition_entry

    // Not in .bss, which the first context clears after it has set this.
    .section .data.partition_entered, "aw"
    .balign 4
partition_entered:
    .word   0
