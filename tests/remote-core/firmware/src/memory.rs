//! Fixed addresses: words of the shared region and registers of the core (Armv7-M, DDI 0403, and Armv8-M,
//! DDI 0553), and how to reach them. Device addresses.

use core::ptr;

/// A 32-bit word or register at a fixed device address.
#[derive(Clone, Copy)]
pub struct Word(usize);

impl Word {
    /// The word's device address.
    pub const fn address(self) -> u32 {
        self.0 as u32
    }

    /// Reads the word once.
    pub fn read(self) -> u32 {
        // SAFETY: only the constants of this file are Words: aligned, readable, and no Rust object lives there.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance(self.0)) }
    }

    /// Writes the word once.
    pub fn write(self, value: u32) {
        // SAFETY: as for `read`: no reference's target changes.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(self.0), value) }
    }
}

/// The core's name, in the trace.
pub const CORE: &str = if cfg!(cortex_m4) { "m4" } else { "m33" };

/// The shared region; it begins with the resource table.
const SHARED: usize = if cfg!(cortex_m4) { 0x21e0_0000 } else { 0x80a0_0000 };
/// The trace buffer: NUL-terminated text.
pub const TRACE: usize = SHARED + 0x1000;
/// Bytes of the trace buffer.
pub const TRACE_BYTES: usize = 0x1000;
/// Counts the turns of the main loop.
pub const HEARTBEAT: Word = Word(SHARED + 0x2000);
/// What the other side asks for; zero when there is nothing to do.
pub const REQUEST: Word = Word(SHARED + 0x2004);
/// The control page's word for what the firmware has to report of itself.
pub const REPORT: Word = Word(if cfg!(cortex_m4) { 0x21fe_002c } else { 0x80ff_002c });
/// The heartbeat at which the firmware has stopped by itself because it was asked to; zero while it has not.
pub const FAREWELL: Word = Word(SHARED + 0x2008);
/// The control page's word by which the partition asks the firmware to stop by itself; zero: it does not.
pub const STOP_REQUEST: Word = Word(if cfg!(cortex_m4) { 0x21fe_0030 } else { 0x80ff_0030 });
/// The control page's word by which the firmware says that it is ready to be held: the request, repeated.
pub const STOP_ANSWER: Word = Word(if cfg!(cortex_m4) { 0x21fe_0034 } else { 0x80ff_0034 });
/// The two virtqueues that the resource table names. Nothing uses them yet.
pub const VRINGS: [u32; 2] = [SHARED as u32 + 0x4000, SHARED as u32 + 0x8000];

/// Part number of the core.
pub const CPUID: Word = Word(0xe000_ed00);
/// Application interrupt and reset control.
pub const AIRCR: Word = Word(0xe000_ed0c);
/// Configurable fault status.
pub const CFSR: Word = Word(0xe000_ed28);
/// HardFault status.
pub const HFSR: Word = Word(0xe000_ed2c);
/// System timer: control, reload value, current value.
pub const SYST: [Word; 3] = [Word(0xe000_e010), Word(0xe000_e014), Word(0xe000_e018)];
/// The board's watchdog (CMSDK APB watchdog), for the M33 the non-secure one.
const WATCHDOG: usize = if cfg!(cortex_m4) { 0x4000_8000 } else { 0x4008_1000 };
/// The watchdog's load value.
pub const WATCHDOG_LOAD: Word = Word(WATCHDOG);
/// The watchdog's control: bit 0 interrupt and counter, bit 1 reset.
pub const WATCHDOG_CONTROL: Word = Word(WATCHDOG + 0x8);
