//! Power-off and reset through the secure GPIO controller (PL061), as the emulated machine wires them.

const GPIO: usize = 0x090b_0000;
/// Direction register.
const DIRECTION: usize = 0x400;
const LINE_POWER_OFF: u32 = 0;
const LINE_RESET: u32 = 1;

/// Raises one output line and waits for what comes of it.
fn raise(line: u32) -> ! {
    let bit = 1_u32 << line;
    // Address bits 9:2 of the data register are the mask of the lines that a write changes.
    let data = GPIO + ((bit as usize) << 2);
    // SAFETY: the PL061 is mapped as device memory by `entry.S`; nothing else uses it; the two registers are 32 bits wide
    // and the offsets are aligned.
    unsafe {
        let direction = (GPIO + DIRECTION) as *mut u32;
        direction.write_volatile(direction.read_volatile() | bit);
        (data as *mut u32).write_volatile(0);
        (data as *mut u32).write_volatile(bit);
    }
    loop {
        core::hint::spin_loop();
    }
}

/// Switches the machine off.
pub fn off() -> ! {
    raise(LINE_POWER_OFF)
}

/// Resets the machine.
pub fn reset() -> ! {
    raise(LINE_RESET)
}
