//! Translation tables, good and bad.
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
    fake.put(0, 2, 1 | PXN);
    fake.put(2, 0, 1);
    assert_eq!(fake.findings(1, CONTROL), [Problem::Malformed, Problem::TableOutside, Problem::NotItsMemory]);
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
