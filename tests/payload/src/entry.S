// Entry of the payload: NS-EL2, MMU off, x0 = device tree (not used). And the exception vectors.
    .section .text.entry, "ax"
    .global payload_entry
payload_entry:
    // EL1 is AArch64 and nothing is trapped; VHE stays off, so CPTR_EL2 has its plain layout (no traps of SIMD).
    mov x1, #(1 << 31)
    msr hcr_el2, x1
    mov x1, #0x33ff
    msr cptr_el2, x1
    adrp x1, vectors
    add x1, x1, :lo12:vectors
    msr vbar_el2, x1
    isb
    adrp x1, bss_start
    add x1, x1, :lo12:bss_start
    adrp x2, bss_end
    add x2, x2, :lo12:bss_end
1:  cmp x1, x2
    b.hs 2f
    stp xzr, xzr, [x1], #16
    b 1b
2:  adrp x1, stack_top
    add x1, x1, :lo12:stack_top
    mov sp, x1
    mov x29, xzr
    mov x30, xzr
    bl payload_main
3:  wfi
    b 3b

    // A further CPU: x0 = its number, which CPU_ON has passed on.
    .set STACK_SIZE, 0x10000
    .global processor_entry
processor_entry:
    mov x1, #(1 << 31)
    msr hcr_el2, x1
    mov x1, #0x33ff
    msr cptr_el2, x1
    adrp x1, vectors
    add x1, x1, :lo12:vectors
    msr vbar_el2, x1
    isb
    adrp x1, processor_stacks
    add x1, x1, :lo12:processor_stacks
    mov x2, #STACK_SIZE
    madd x1, x0, x2, x1
    add x1, x1, x2
    mov sp, x1
    mov x29, xzr
    mov x30, xzr
    bl processor_main
4:  wfi
    b 4b

    // Nothing here is expected to be taken: print and end. The interrupted state is lost, so no register is saved.
    .macro vector number
    .balign 0x80
    mov x0, #\number
    mrs x1, esr_el2
    mrs x2, elr_el2
    mrs x3, far_el2
    b payload_exception
    .endm

    .section .text.vectors, "ax"
    .balign 0x800
vectors:
    vector 0
    vector 1
    vector 2
    vector 3
    vector 4
    vector 5
    vector 6
    vector 7
    vector 8
    vector 9
    vector 10
    vector 11
    vector 12
    vector 13
    vector 14
    vector 15
