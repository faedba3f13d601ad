//! What the partition may have mapped, held against its stage 1 tables whenever it hands over or gives memory back.
use core::cell::Cell;

use super::{PARTITION_ID, Spmc};
use crate::machine::{Machine, violate};
use crate::manifest::{EXECUTE, NON_SECURE, WRITE};
use crate::memory_map::{PAGE_SIZE, PARTITION};
use crate::stage_one::{self, Allowed};

/// Bad mappings reported for one walk.
const FINDINGS_SHOWN: usize = 4;

impl Spmc<'_> {
    /// How many entries of the partition's stage 1 tables map memory: pages, and blocks of pages. The tables are found by the
    /// registers that the partition had when it was last looked at: now the normal world's are live.
    pub(super) fn mapped_entries(&self, machine: &dyn Machine) -> u64 {
        let count = Cell::new(0);
        // Asked once for each entry, as long as nothing is allowed.
        let allowed = |_| {
            count.set(count.get() + 1);
            None
        };
        let read = |address, page: &mut [u8; PAGE_SIZE as usize]| machine.read(address, page);
        stage_one::walk(&self.translation, PARTITION, &read, &allowed, &mut |_| {});
        count.get()
    }

    /// Walks the partition's stage 1 tables and reports what they must not map.
    pub(super) fn check_mappings(&mut self, machine: &mut dyn Machine, occasion: &str) {
        let registers = machine.translation();
        self.translation = registers;
        let region_at = |address: u64| {
            self.manifest
                .memory
                .iter()
                .chain(&self.manifest.devices)
                .find(|region| region.range.holds(address))
        };
        let held_at = |address: u64| self.shares.held(PARTITION_ID).find(|(range, _)| range.holds(address));
        let allowed = |address: u64| {
            if PARTITION.holds(address) {
                Some(Allowed { range: PARTITION, non_secure: false, writable: true, executable: true })
            } else if let Some(region) = region_at(address) {
                Some(Allowed {
                    range: region.range,
                    non_secure: region.attributes & NON_SECURE != 0,
                    writable: region.attributes & WRITE != 0,
                    executable: region.attributes & EXECUTE != 0,
                })
            } else {
                held_at(address).map(|(range, writable)| Allowed {
                    range,
                    non_secure: true,
                    writable,
                    executable: false,
                })
            }
        };
        let mut findings: heapless::Vec<stage_one::Finding, FINDINGS_SHOWN> = heapless::Vec::new();
        let mut more = 0_u32;
        stage_one::walk(
            &registers,
            PARTITION,
            &|address, page| machine.read(address, page),
            &allowed,
            &mut |finding| {
                if findings.push(finding).is_err() {
                    more += 1;
                }
            },
        );
        for finding in &findings {
            violate(machine, finding.problem.rule(), format_args!("{finding} at {occasion}"));
        }
        if more > 0 {
            machine.firmware_line(format_args!("note {more} more bad mappings at {occasion}"));
        }
    }
}
