// Entering a lower exception level and coming back from it.
//
// uint64_t enter_lower(struct general_context *context)
// Saves what a function call must preserve on the EL3 stack, loads the context and drops to it. The next exception from
// there stores the context again, restores the stack frame and returns the kind of the exception: 0 synchronous, 1 IRQ,
// 2 FIQ, 3 SError. So EL3 is an ordinary loop in Rust, and its SIMD use never touches a world's registers.

.set CONTEXT_ELR, 248
.set CONTEXT_FPCR, 264
.set CONTEXT_Q, 288

.section .text.enter_lower, "ax"
.global enter_lower
enter_lower:
    sub sp, sp, #176
    stp x0, x19, [sp, #0]
    stp x20, x21, [sp, #16]
    stp x22, x23, [sp, #32]
    stp x24, x25, [sp, #48]
    stp x26, x27, [sp, #64]
    stp x28, x29, [sp, #80]
    str x30, [sp, #96]
    stp d8, d9, [sp, #112]
    stp d10, d11, [sp, #128]
    stp d12, d13, [sp, #144]
    stp d14, d15, [sp, #160]

    ldp x1, x2, [x0, #CONTEXT_ELR]
    msr elr_el3, x1
    msr spsr_el3, x2
    ldp x1, x2, [x0, #CONTEXT_FPCR]
    msr fpcr, x1
    msr fpsr, x2
    add x1, x0, #CONTEXT_Q
    ldp q0, q1, [x1, #0]
    ldp q2, q3, [x1, #32]
    ldp q4, q5, [x1, #64]
    ldp q6, q7, [x1, #96]
    ldp q8, q9, [x1, #128]
    ldp q10, q11, [x1, #160]
    ldp q12, q13, [x1, #192]
    ldp q14, q15, [x1, #224]
    ldp q16, q17, [x1, #256]
    ldp q18, q19, [x1, #288]
    ldp q20, q21, [x1, #320]
    ldp q22, q23, [x1, #352]
    ldp q24, q25, [x1, #384]
    ldp q26, q27, [x1, #416]
    ldp q28, q29, [x1, #448]
    ldp q30, q31, [x1, #480]
    ldp x2, x3, [x0, #16]
    ldp x4, x5, [x0, #32]
    ldp x6, x7, [x0, #48]
    ldp x8, x9, [x0, #64]
    ldp x10, x11, [x0, #80]
    ldp x12, x13, [x0, #96]
    ldp x14, x15, [x0, #112]
    ldp x16, x17, [x0, #128]
    ldp x18, x19, [x0, #144]
    ldp x20, x21, [x0, #160]
    ldp x22, x23, [x0, #176]
    ldp x24, x25, [x0, #192]
    ldp x26, x27, [x0, #208]
    ldp x28, x29, [x0, #224]
    ldr x30, [x0, #240]
    ldp x0, x1, [x0]
    eret
    dsb sy
    isb

// Here with x0 and x1 of the lower level on the stack, the kind in x1.
leave_lower:
    ldr x0, [sp, #16]
    stp x2, x3, [x0, #16]
    stp x4, x5, [x0, #32]
    stp x6, x7, [x0, #48]
    stp x8, x9, [x0, #64]
    stp x10, x11, [x0, #80]
    stp x12, x13, [x0, #96]
    stp x14, x15, [x0, #112]
    stp x16, x17, [x0, #128]
    stp x18, x19, [x0, #144]
    stp x20, x21, [x0, #160]
    stp x22, x23, [x0, #176]
    stp x24, x25, [x0, #192]
    stp x26, x27, [x0, #208]
    stp x28, x29, [x0, #224]
    str x30, [x0, #240]
    ldp x2, x3, [sp], #16
    stp x2, x3, [x0]
    mrs x2, elr_el3
    mrs x3, spsr_el3
    stp x2, x3, [x0, #CONTEXT_ELR]
    mrs x2, fpcr
    mrs x3, fpsr
    stp x2, x3, [x0, #CONTEXT_FPCR]
    add x2, x0, #CONTEXT_Q
    stp q0, q1, [x2, #0]
    stp q2, q3, [x2, #32]
    stp q4, q5, [x2, #64]
    stp q6, q7, [x2, #96]
    stp q8, q9, [x2, #128]
    stp q10, q11, [x2, #160]
    stp q12, q13, [x2, #192]
    stp q14, q15, [x2, #224]
    stp q16, q17, [x2, #256]
    stp q18, q19, [x2, #288]
    stp q20, q21, [x2, #320]
    stp q22, q23, [x2, #352]
    stp q24, q25, [x2, #384]
    stp q26, q27, [x2, #416]
    stp q28, q29, [x2, #448]
    stp q30, q31, [x2, #480]
    // EL3 computes with the default floating-point mode.
    msr fpcr, xzr
    msr fpsr, xzr
    mov x0, x1
    ldr x19, [sp, #8]
    ldp x20, x21, [sp, #16]
    ldp x22, x23, [sp, #32]
    ldp x24, x25, [sp, #48]
    ldp x26, x27, [sp, #64]
    ldp x28, x29, [sp, #80]
    ldr x30, [sp, #96]
    ldp d8, d9, [sp, #112]
    ldp d10, d11, [sp, #128]
    ldp d12, d13, [sp, #144]
    ldp d14, d15, [sp, #160]
    add sp, sp, #176
    ret

.macro from_lower kind
    .balign 128
    stp x0, x1, [sp, #-16]!
    mov x1, #\kind
    b leave_lower
.endm

.macro from_el3 kind
    .balign 128
    mov x0, #\kind
    mrs x1, esr_el3
    mrs x2, elr_el3
    mrs x3, far_el3
    b own_exception
.endm

.macro from_aarch32 kind
    .balign 128
    mov x0, #(\kind + 8)
    mrs x1, esr_el3
    mrs x2, elr_el3
    mrs x3, far_el3
    b own_exception
.endm

.section .text.vectors, "ax"
.balign 2048
.global el3_vectors
el3_vectors:
    from_el3 0
    from_el3 1
    from_el3 2
    from_el3 3
    from_el3 0
    from_el3 1
    from_el3 2
    from_el3 3
    from_lower 0
    from_lower 1
    from_lower 2
    from_lower 3
    from_aarch32 0
    from_aarch32 1
    from_aarch32 2
    from_aarch32 3
