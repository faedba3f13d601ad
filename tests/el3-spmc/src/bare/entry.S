// Reset: EL3, MMU off, on every CPU at once. Sets EL3 up, builds nothing at run time: the translation tables are constants in flash.
// CPU 0 boots; the others go to sleep in Rust, on their own stacks, until they are woken.

.macro mov_64 register, value
    movz \register, #((\value) & 0xffff)
    movk \register, #(((\value) >> 16) & 0xffff), lsl #16
    movk \register, #(((\value) >> 32) & 0xffff), lsl #32
    movk \register, #(((\value) >> 48) & 0xffff), lsl #48
.endm

// As in el3-spmc.ld and in Rust.
.set MAXIMUM_PROCESSORS, 8
.set STACK_SIZE, 0x10000

// Attributes: bit 10 access flag, bits 9:8 inner shareable, bit 7 read only, bit 6 RES1 at EL3, bit 5 NS, bits 4:2 MAIR index.
.set BLOCK_CODE,    0x00000000000007c5
.set BLOCK_DATA,    0x0040000000000745
.set BLOCK_DEVICE,  0x0040000000000441
.set BLOCK_NORMAL,  0x0040000000000765

.section .text.reset, "ax"
.global reset
reset:
    msr daifset, #0xf
    adr x0, el3_vectors
    msr vbar_el3, x0
    // No traps for SIMD (TFP 0); SVE stays trapped (EZ 0): its registers are not part of a world's context.
    msr cptr_el3, xzr
    // Debug, trace and counters: no secure profiling, AArch64 only.
    mov x0, #0x18000
    msr mdcr_el3, x0

    // Flat 4 GiB map: MAIR 0 device, 1 normal write-back.
    mov x0, #0xff00
    msr mair_el3, x0
    mov_64 x0, 0x80803520
    msr tcr_el3, x0
    adrp x0, level_1_table
    msr ttbr0_el3, x0
    tlbi alle3
    dsb sy
    isb
    // MMU, caches, stack alignment check; reserved bits one.
    mov_64 x0, 0x30c5183d
    msr sctlr_el3, x0
    isb

    // x19 = this CPU: they are numbered from 0. One stack each.
    mrs x19, mpidr_el1
    and x19, x19, #0xff
    cmp x19, #MAXIMUM_PROCESSORS
    b.hs 9f
    adrp x0, stacks_end
    add x0, x0, :lo12:stacks_end
    mov x1, #STACK_SIZE
    msub x0, x19, x1, x0
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    cbnz x19, 8f

    // .data comes from flash, .bss is cleared; both are 64-byte aligned by the linker script.
    adrp x0, data_start
    add x0, x0, :lo12:data_start
    adrp x1, data_end
    add x1, x1, :lo12:data_end
    adrp x2, data_load
    add x2, x2, :lo12:data_load
1:  cmp x0, x1
    b.hs 2f
    ldp x3, x4, [x2], #16
    stp x3, x4, [x0], #16
    b 1b
2:  adrp x0, bss_start
    add x0, x0, :lo12:bss_start
    adrp x1, bss_end
    add x1, x1, :lo12:bss_end
3:  cmp x0, x1
    b.hs 4f
    stp xzr, xzr, [x0], #16
    b 3b
4:  bl firmware_main
8:  mov x0, x19
    bl secondary_main
9:  wfi
    b 9b

.section .rodata.tables, "a"
.balign 4096
level_1_table:
    .quad level_2_table + 3
    .quad 0x40000000 | BLOCK_NORMAL
    .fill 510, 8, 0

.balign 4096
level_2_table:
    // 0x00000000: this firmware and the package in flash, 2 MiB.
    .quad BLOCK_CODE
    .fill 63, 8, 0
    // 0x08000000 to 0x09ffffff: GIC, UARTs, GPIO.
    .set address, 0x08000000
    .rept 16
    .quad address | BLOCK_DEVICE
    .set address, address + 0x200000
    .endr
    .fill 32, 8, 0
    // 0x0e000000 to 0x0effffff: secure SRAM.
    .set address, 0x0e000000
    .rept 8
    .quad address | BLOCK_DATA
    .set address, address + 0x200000
    .endr
    .fill 392, 8, 0
