//! Walks the partition's own stage 1 tables and judges what they map.
//!
//! Under Hafnium a second stage stands behind the partition and forgives nothing: memory of the normal world is reached
//! only with NS set, is never executable, and what was relinquished is gone. There is no second stage here, so the
//! tables themselves are read at every point where the partition hands the CPU back or gives memory back.
use core::fmt;

use crate::memory_map::{PAGE_SIZE, Range};

/// The partition's EL1 translation registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TranslationRegisters {
    /// SCTLR_EL1.
    pub control: u64,
    /// TCR_EL1.
    pub translation_control: u64,
    /// TTBR0_EL1.
    pub table_0: u64,
    /// TTBR1_EL1.
    pub table_1: u64,
}

/// Memory that the partition may map, and how.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Physical range.
    pub range: Range,
    /// Whether it must be mapped with NS set (else with NS clear).
    pub non_secure: bool,
    /// Whether it may be writable.
    pub writable: bool,
    /// Whether it may be executable.
    pub executable: bool,
}

/// What is wrong with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A table is not in the partition's own memory.
    TableOutside,
    /// A descriptor is of a reserved form, or the granule or size is none that can be walked.
    Malformed,
    /// Memory that is neither the partition's, nor in its manifest, nor held by a handle.
    NotItsMemory,
    /// Normal-world memory mapped secure, or secure memory mapped non-secure.
    WrongSecurity,
    /// Executable, and must not be.
    Executable,
    /// Writable, and must not be.
    Writable,
    /// Writable and executable.
    WritableAndExecutable,
}

impl Problem {
    /// Stable short name of the rule.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::TableOutside => "stage1-table-outside",
            Self::Malformed => "stage1-malformed",
            Self::NotItsMemory => "stage1-not-its-memory",
            Self::WrongSecurity => "stage1-wrong-security",
            Self::Executable => "stage1-executable",
            Self::Writable => "stage1-writable",
            Self::WritableAndExecutable => "stage1-writable-and-executable",
        }
    }
}

/// A bad mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// Virtual address.
    pub virtual_address: u64,
    /// Physical address: of the mapping, or of the table.
    pub physical_address: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "virtual {:#x}, physical {:#x}", self.virtual_address, self.physical_address)
    }
}

/// Attributes that tables hand down to what is below them.
#[derive(Clone, Copy, Default)]
struct Inherited {
    non_secure: bool,
    read_only: bool,
    privileged_execute_never: bool,
    execute_never: bool,
}

struct Walk<'a> {
    /// Reads a page of physical memory.
    read: &'a dyn Fn(u64, &mut [u8; PAGE_SIZE as usize]),
    /// Where tables may lie.
    home: Range,
    /// Calls back for each allowed range that holds an address, until it returns false.
    allowed: &'a dyn Fn(u64) -> Option<Allowed>,
    report: &'a mut dyn FnMut(Finding),
    write_implies_execute_never: bool,
}

/// Walks both tables. `allowed` gives an allowed range that holds a physical address. `report` gets every bad mapping
/// (one for each leaf). Returns false if translation is off, so that there was nothing to walk.
pub fn walk(
    registers: &TranslationRegisters,
    home: Range,
    read: &dyn Fn(u64, &mut [u8; PAGE_SIZE as usize]),
    allowed: &dyn Fn(u64) -> Option<Allowed>,
    report: &mut dyn FnMut(Finding),
) -> bool {
    if registers.control & 1 == 0 {
        return false;
    }
    let control = registers.translation_control;
    let mut walk =
        Walk { read, home, allowed, report, write_implies_execute_never: registers.control & (1 << 19) != 0 };
    // (EPD, size field, 4 KiB granule, table, base of the virtual range)
    let halves = [
        (control & (1 << 7) != 0, control & 0x3f, (control >> 14) & 3 == 0, registers.table_0, false),
        (control & (1 << 23) != 0, (control >> 16) & 0x3f, (control >> 30) & 3 == 2, registers.table_1, true),
    ];
    for (disabled, size, granule, table, upper) in halves {
        if disabled {
            continue;
        }
        // 16 to 39: what a 4 KiB granule walks without large addresses. TCR_EL1.DS changes the descriptor format.
        if !granule || !(16..=39).contains(&size) || control & (1 << 59) != 0 {
            (walk.report)(Finding {
                problem: Problem::Malformed,
                virtual_address: 0,
                physical_address: table,
            });
            continue;
        }
        let bits = 64 - size as u32;
        let levels = (bits - 12).div_ceil(9);
        let base = if upper { u64::MAX << bits } else { 0 };
        // Common-not-private (bit 0) and the ASID (bits 63:48) are no part of the address.
        let address = table & 0x0000_ffff_ffff_fffe;
        let entries = 1_usize << (bits - 12 - 9 * (levels - 1));
        walk.table(address, 4 - levels, entries, base, Inherited::default());
    }
    true
}

impl Walk<'_> {
    fn found(&mut self, problem: Problem, virtual_address: u64, physical_address: u64) {
        (self.report)(Finding { problem, virtual_address, physical_address });
    }

    fn table(&mut self, address: u64, level: u32, entries: usize, base: u64, inherited: Inherited) {
        let page = address & !(PAGE_SIZE - 1);
        if !self.home.holds(page) {
            self.found(Problem::TableOutside, base, address);
            return;
        }
        let mut bytes = [0; PAGE_SIZE as usize];
        (self.read)(page, &mut bytes);
        let offset = (address & (PAGE_SIZE - 1)) as usize;
        let shift = 12 + 9 * (3 - level);
        for (index, entry) in bytes.iter().as_slice()[offset..].chunks_exact(8).take(entries).enumerate() {
            let descriptor = entry.iter().rev().fold(0_u64, |value, &byte| (value << 8) | u64::from(byte));
            let virtual_address = base.wrapping_add((index as u64) << shift);
            match (descriptor & 3, level) {
                (0 | 2, _) => {}
                (3, 3) | (1, 1 | 2) => self.leaf(descriptor, virtual_address, shift, inherited),
                (3, _) => {
                    let below = Inherited {
                        non_secure: inherited.non_secure || descriptor >> 63 != 0,
                        read_only: inherited.read_only || descriptor & (1 << 62) != 0,
                        privileged_execute_never: inherited.privileged_execute_never
                            || descriptor & (1 << 59) != 0,
                        execute_never: inherited.execute_never || descriptor & (1 << 60) != 0,
                    };
                    self.table(descriptor & 0x0000_ffff_ffff_f000, level + 1, 512, virtual_address, below);
                }
                _ => self.found(Problem::Malformed, virtual_address, descriptor),
            }
        }
    }

    fn leaf(&mut self, descriptor: u64, virtual_address: u64, shift: u32, inherited: Inherited) {
        let size = 1_u64 << shift;
        let start = descriptor & 0x0000_ffff_ffff_f000 & !(size - 1);
        let end = start + size;
        let non_secure = inherited.non_secure || descriptor & (1 << 5) != 0;
        let writable = !inherited.read_only && descriptor & (1 << 7) == 0;
        let open_to_el0 = descriptor & (1 << 6) != 0;
        // A page that EL0 can write is never executable at EL1 (DDI0487, D8.4.1).
        let el1_executes = descriptor & (1 << 53) == 0
            && !inherited.privileged_execute_never
            && !(writable && (open_to_el0 || self.write_implies_execute_never));
        let el0_executes = descriptor & (1 << 54) == 0
            && !inherited.execute_never
            && !(writable && self.write_implies_execute_never);
        let executable = el1_executes || (el0_executes && open_to_el0);
        if writable && executable {
            self.found(Problem::WritableAndExecutable, virtual_address, start);
        }
        let mut position = start;
        while position < end {
            let Some(allowed) = (self.allowed)(position) else {
                self.found(Problem::NotItsMemory, virtual_address + (position - start), position);
                return;
            };
            let problem = if allowed.non_secure != non_secure {
                Some(Problem::WrongSecurity)
            } else if executable && !allowed.executable {
                Some(Problem::Executable)
            } else if writable && !allowed.writable {
                Some(Problem::Writable)
            } else {
                None
            };
            if let Some(problem) = problem {
                self.found(problem, virtual_address + (position - start), position);
                return;
            }
            position = allowed.range.end;
        }
    }
}

#[cfg(test)]
mod tests;
