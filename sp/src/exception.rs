//! Exceptions that nothing fixes up: reported, then as a panic. The vectors are in `vectors.S`.
use crate::backtrace::Backtrace;
use crate::dead;
use crate::memory::layout;
use core::arch::global_asm;

global_asm!(include_str!("vectors.S"));

/// Called by the vectors, on the stack of the end.
#[unsafe(no_mangle)]
extern "C" fn exception_main(vector: u64, syndrome: u64, link: u64, fault: u64, stack_pointer: usize) -> ! {
    let place = link.wrapping_sub(layout::image().start as u64);
    dead::die(
        format_args!(
            "exception by vector {vector}: ESR {syndrome:#x}, ELR {link:#x} (image + {place:#x}), FAR {fault:#x}"
        ),
        Backtrace::from_stack(stack_pointer),
    )
}
