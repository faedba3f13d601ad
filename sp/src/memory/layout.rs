//! Where the image's parts are, from the linker script. Virtual and physical addresses are the same.
use core::ops::Range;

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __data_end: u8;
    static __stack_bottom: u8;
    static __stack_top: u8;
    static __exception_stack_bottom: u8;
    static __exception_stack_top: u8;
    static __context_stacks: u8;
    static __contexts_start: u8;
    static __contexts_end: u8;
    static __heap_start: u8;
    static __heap_end: u8;
    static __ram_end: u8;
    static __window_start: u8;
    static __window_end: u8;
}

/// Returns the addresses from one linker symbol to another.
macro_rules! range {
    ($start:ident, $end:ident) => {
        (&raw const $start).addr()..(&raw const $end).addr()
    };
}

/// All RAM of the partition.
pub fn image() -> Range<usize> {
    range!(__image_start, __ram_end)
}

/// Code.
pub fn text() -> Range<usize> {
    range!(__image_start, __text_end)
}

/// Constants, and pointers that the entry code has relocated.
pub fn rodata() -> Range<usize> {
    range!(__text_end, __rodata_end)
}

/// Variables.
pub fn data() -> Range<usize> {
    range!(__rodata_end, __data_end)
}

/// The stack that the service runs on, and before it the boot.
pub fn stack() -> Range<usize> {
    range!(__stack_bottom, __stack_top)
}

/// The stack that the partition ends on.
pub fn exception_stack() -> Range<usize> {
    range!(__exception_stack_bottom, __exception_stack_top)
}

/// Virtual addresses of the execution contexts' stacks, each behind its guard page.
pub fn contexts() -> Range<usize> {
    range!(__contexts_start, __contexts_end)
}

/// The RAM of these stacks, one page each.
pub fn context_stacks() -> usize {
    (&raw const __context_stacks).addr()
}

/// The heap.
pub fn heap() -> Range<usize> {
    range!(__heap_start, __heap_end)
}

/// Virtual addresses of the copy window; no RAM belongs to them.
pub fn window() -> Range<usize> {
    range!(__window_start, __window_end)
}
