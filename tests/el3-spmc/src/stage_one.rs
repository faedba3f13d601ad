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
    let mut walk = Walk {
        read,
        home,
        allowed,
        report,
        write_implies_execute_never: registers.control & (1 << 19) != 0,
    };
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
            (walk.report)(Finding { problem: Problem::Malformed, virtual_address: 0, physical_address: table });
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
                        privileged_execute_never: inherited.privileged_execute_never || descriptor & (1 << 59) != 0,
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
mod tests {
    use super::*;
    use std::cell::RefCell;

    const HOME: Range = crate::memory_map::PARTITION;
    const PAGE: u64 = 1 << 10 | 3;
    const NS: u64 = 1 << 5;
    const READ_ONLY: u64 = 1 << 7;
    const PXN: u64 = 1 << 53;
    const UXN: u64 = 1 << 54;

    /// Four pages of tables at the start of the partition's memory, and what the walk said of them.
    struct Fake {
        memory: RefCell<std::vec::Vec<u64>>,
    }

    impl Fake {
        fn new() -> Self {
            let fake = Self { memory: RefCell::new(vec![0; 4 * 512]) };
            // 39-bit virtual addresses: level 1 at page 0, level 2 at page 1, level 3 at page 2.
            fake.put(0, 0, (HOME.start + 0x1000) | 3);
            fake.put(1, 0, (HOME.start + 0x2000) | 3);
            fake
        }
        fn put(&self, page: usize, index: usize, value: u64) {
            self.memory.borrow_mut()[page * 512 + index] = value;
        }
        fn findings(&self, control: u64, translation_control: u64) -> std::vec::Vec<Problem> {
            let registers = TranslationRegisters {
                control,
                translation_control,
                table_0: HOME.start | 0x0001_0000_0000_0000,
                table_1: 0,
            };
            let mut problems = std::vec::Vec::new();
            let read = |address: u64, buffer: &mut [u8; 4096]| {
                let first = ((address - HOME.start) / 8) as usize;
                for (bytes, value) in buffer.chunks_mut(8).zip(&self.memory.borrow()[first..]) {
                    bytes.copy_from_slice(&value.to_le_bytes());
                }
            };
            let list = [
                Allowed { range: HOME, non_secure: false, writable: true, executable: true },
                Allowed {
                    range: Range { start: 0x8000_0000, end: 0x8100_0000 },
                    non_secure: true,
                    writable: true,
                    executable: false,
                },
                Allowed {
                    range: Range { start: 0x4100_0000, end: 0x4100_1000 },
                    non_secure: true,
                    writable: false,
                    executable: false,
                },
            ];
            let allowed = |address| list.iter().find(|allowed| allowed.range.holds(address)).copied();
            assert!(walk(&registers, HOME, &read, &allowed, &mut |finding| problems.push(finding.problem)));
            problems
        }
        fn with_page(value: u64) -> std::vec::Vec<Problem> {
            let fake = Self::new();
            fake.put(2, 5, value);
            fake.findings(1, CONTROL)
        }
    }

    const CONTROL: u64 = 25 | 1 << 23;

    #[test]
    fn off_is_off() {
        let registers = TranslationRegisters::default();
        assert!(!walk(&registers, HOME, &|_, _| {}, &|_| None, &mut |_| panic!("nothing to find")));
    }

    #[test]
    fn good_mappings() {
        assert_eq!(Fake::with_page(HOME.start | PAGE | READ_ONLY), []);
        assert_eq!(Fake::with_page(HOME.start | PAGE | PXN | UXN), []);
        assert_eq!(Fake::with_page(0x8000_0000 | PAGE | NS | PXN | UXN), []);
        assert_eq!(Fake::with_page(0x4100_0000 | PAGE | NS | READ_ONLY | PXN | UXN), []);
        let block = Fake::new();
        block.put(1, 3, 0x8020_0000 | 1 << 10 | 1 | NS | PXN | UXN);
        assert_eq!(block.findings(1, CONTROL), []);
    }

    #[test]
    fn bad_mappings() {
        assert_eq!(Fake::with_page(HOME.start | PAGE | UXN), [Problem::WritableAndExecutable]);
        assert_eq!(Fake::with_page(0x8000_0000 | PAGE | PXN | UXN), [Problem::WrongSecurity]);
        assert_eq!(Fake::with_page(HOME.start | PAGE | NS | PXN | UXN), [Problem::WrongSecurity]);
        assert_eq!(Fake::with_page(0x8000_0000 | PAGE | NS | READ_ONLY | UXN), [Problem::Executable]);
        assert_eq!(Fake::with_page(0x4100_0000 | PAGE | NS | PXN | UXN), [Problem::Writable]);
        assert_eq!(Fake::with_page(0x4100_1000 | PAGE | NS | PXN | UXN), [Problem::NotItsMemory]);
        assert_eq!(Fake::with_page(0x0900_0000 | PAGE | PXN | UXN), [Problem::NotItsMemory]);
        let block = Fake::new();
        block.put(1, 3, 0x80e0_0000 | 1 << 10 | 1 | NS | PXN | UXN);
        block.put(1, 4, 0x8100_0000 | 1 << 10 | 1 | NS | PXN | UXN);
        assert_eq!(block.findings(1, CONTROL), [Problem::NotItsMemory]);
    }

    #[test]
    fn tables_hand_attributes_down() {
        let fake = Fake::new();
        fake.put(1, 0, (HOME.start + 0x2000) | 3 | 1 << 59 | 1 << 60);
        fake.put(2, 5, HOME.start | PAGE);
        assert_eq!(fake.findings(1, CONTROL), []);
        fake.put(0, 0, (HOME.start + 0x1000) | 3 | 1 << 63);
        assert_eq!(fake.findings(1, CONTROL), [Problem::WrongSecurity]);
    }

    #[test]
    fn tables_elsewhere_and_odd_sizes() {
        let fake = Fake::new();
        fake.put(0, 1, 0x4100_0000 | 3);
        fake.put(0, 2, 1);
        fake.put(2, 0, 1);
        assert_eq!(
            fake.findings(1, CONTROL),
            [Problem::Malformed, Problem::TableOutside, Problem::NotItsMemory]
        );
        // The upper half enabled with a 4 KiB granule and no table, then with no valid granule.
        assert_eq!(Fake::new().findings(1, 25 | 25 << 16 | 2 << 30), [Problem::TableOutside]);
        assert_eq!(Fake::new().findings(1, 25 | 25 << 16), [Problem::Malformed]);
        assert_eq!(Fake::new().findings(1, 1 << 59 | CONTROL), [Problem::Malformed]);
    }

    #[test]
    fn write_implies_execute_never() {
        let fake = Fake::new();
        fake.put(2, 5, HOME.start | PAGE);
        assert_eq!(fake.findings(1 | 1 << 19, CONTROL), []);
    }
}
