//! Who called whom, for the log of the end: the return addresses on the stack, as offsets in the image.
//!
//! `llvm-symbolizer --obj <the partition's ELF file>` turns them into functions and lines. That replaces the texts of panics:
//! texts and places of all panics that could ever happen would be a sixth of the image. Compiled code keeps no frame pointers,
//! so the stack is searched for what can only be a return address; one that an earlier call left behind may be among them.
use crate::contexts;
use crate::memory::layout;
use core::arch::asm;
use core::fmt;
use core::ops::Range;

/// Most addresses that are told.
const MAX_ADDRESSES: usize = 12;
/// Bytes of an instruction.
const INSTRUCTION: usize = 4;

/// What lies on the stack from an address on.
#[derive(Clone, Copy, Debug)]
pub struct Backtrace {
    stack_pointer: usize,
}

impl Backtrace {
    /// What lies above this stack pointer, which may be any number.
    pub const fn from_stack(stack_pointer: usize) -> Self {
        Self { stack_pointer }
    }

    /// What lies above the current stack pointer.
    #[inline(always)]
    pub fn here() -> Self {
        let stack_pointer;
        // SAFETY: copies a register.
        unsafe { asm!("mov {}, sp", out(reg) stack_pointer, options(nomem, nostack, preserves_flags)) };
        Self { stack_pointer }
    }

    /// Returns the used part of the stack. A stack pointer in the guard page counts as the lowest address of the stack above it.
    fn used(self) -> Range<usize> {
        [layout::stack(), layout::exception_stack(), contexts::stack(contexts::place())]
            .into_iter()
            .find(|stack| self.stack_pointer < stack.end)
            .map_or(0..0, |stack| self.stack_pointer.max(stack.start)..stack.end)
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.used();
        let word = size_of::<usize>();
        let addresses = (start.next_multiple_of(word)..end).step_by(word).filter_map(|place| {
            // SAFETY: an aligned word of a stack, which is mapped for good; whatever it holds is only a number.
            return_address(unsafe { (place as *const usize).read_volatile() })
        });
        formatter.write_str("image +")?;
        for offset in addresses.take(MAX_ADDRESSES) {
            write!(formatter, " {offset:#x}")?;
        }
        Ok(())
    }
}

/// Returns the offset in the image if the value is the address behind a call.
fn return_address(value: usize) -> Option<usize> {
    let text = layout::text();
    let call = value.checked_sub(INSTRUCTION)?;
    if !text.contains(&call) || !call.is_multiple_of(INSTRUCTION) {
        return None;
    }
    // SAFETY: an aligned address inside the code, which is mapped for good.
    let instruction = unsafe { (call as *const u32).read_volatile() };
    let with_offset = instruction & 0xFC00_0000 == 0x9400_0000;
    let by_register = instruction & 0xFFFF_FC1F == 0xD63F_0000;
    (with_offset || by_register).then(|| value.wrapping_sub(text.start))
}
