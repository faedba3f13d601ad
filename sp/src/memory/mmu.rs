//! Switches the MMU and the caches on, with the memory types that the tables refer to.
use super::layout;
use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, MAIR_EL1, Readable, TCR_EL1, TTBR0_EL1, Writeable};
use aarch64_paging::descriptor::{El1Attributes, PhysicalAddress};
use aarch64_paging::mair::{Mair, MairAttribute, NormalMemory};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bits of virtual addresses, and most bits of physical ones.
pub const ADDRESS_BITS: u64 = 48;
/// Tables' attribute index of devices.
pub const ATTRIBUTES_DEVICE: El1Attributes = El1Attributes::empty();
/// Tables' attribute index of normal write-back memory.
pub const ATTRIBUTES_WRITE_BACK: El1Attributes = El1Attributes::ATTRIBUTE_INDEX_1;
/// Tables' attribute index of normal non-cacheable memory.
pub const ATTRIBUTES_NON_CACHEABLE: El1Attributes = El1Attributes::ATTRIBUTE_INDEX_2;

/// What the attribute indices mean.
const MEMORY_TYPES: Mair = Mair::EMPTY
    .with_attribute(0, MairAttribute::DEVICE_NGNRE)
    .with_attribute(
        1,
        MairAttribute::normal(
            NormalMemory::WriteBackNonTransientReadWriteAllocate,
            NormalMemory::WriteBackNonTransientReadWriteAllocate,
        ),
    )
    .with_attribute(2, MairAttribute::normal(NormalMemory::NonCacheable, NormalMemory::NonCacheable));

/// SCTLR_EL1: the bits that are one on a processor without later extensions, then MMU (0), data cache (2), stack alignment checks
/// (3, 4), instruction cache (12), writable memory is never executable (19). Alignment checks (1) stay off: the copy routines
/// access the partition's own memory unaligned.
const SYSTEM_CONTROL: u64 = 0x30D0_0800 | 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 12 | 1 << 19;

/// TCR_EL1.IPS of 48 bits.
const MAX_PHYSICAL_ADDRESS_SIZE: u64 = 0b101;

/// Switches the MMU on.
///
/// # Safety
/// The MMU is off. The tables under `root` map the code, the data and the stack in use at their own addresses with the right they
/// are used with, and stay as long as the partition runs.
pub unsafe fn enable(root: PhysicalAddress) {
    let physical_address_size =
        ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange).min(MAX_PHYSICAL_ADDRESS_SIZE);
    MAIR_EL1.set(MEMORY_TYPES.0);
    TCR_EL1.write(
        TCR_EL1::T0SZ.val(64 - ADDRESS_BITS)
            + TCR_EL1::TG0::KiB_4
            + TCR_EL1::SH0::Inner
            + TCR_EL1::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable
            + TCR_EL1::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable
            + TCR_EL1::EPD1::DisableTTBR1Walks
            + TCR_EL1::TG1::KiB_4
            + TCR_EL1::IPS.val(physical_address_size),
    );
    TTBR0_EL1.set(root.0 as u64);
    let ram = layout::image();
    // SAFETY: what was written since the entry went past the cache, and the SPMC has cleaned the partition's memory before
    // (docs/threat-model.md): only stale lines are dropped. Nothing is written from then until the switch. The mapping is as our
    // caller says.
    unsafe {
        asm!(
            "dsb sy",
            "2: dc ivac, {address}",
            "add {address}, {address}, {line}",
            "cmp {address}, {end}",
            "b.lo 2b",
            "dsb sy",
            "tlbi vmalle1",
            "ic iallu",
            "dsb sy",
            "isb",
            "msr sctlr_el1, {control}",
            "isb",
            address = inout(reg) ram.start => _,
            end = in(reg) ram.end,
            line = in(reg) cache_line(),
            control = in(reg) SYSTEM_CONTROL,
            options(nostack),
        );
    }
}

/// What the execution contexts that come later switch on: MAIR_EL1, TCR_EL1, TTBR0_EL1, SCTLR_EL1 (`entry.S`). The last one is
/// zero until they may come. In a cache line of its own, which is read with the MMU off.
#[repr(align(64))]
struct Settings([AtomicU64; 4]);

#[unsafe(export_name = "context_settings")]
static SETTINGS: Settings = Settings([const { AtomicU64::new(0) }; 4]);

/// Lets further execution contexts switch on what this one has.
pub fn publish() {
    let values = [MAIR_EL1.get(), TCR_EL1.get(), TTBR0_EL1.get(), SYSTEM_CONTROL];
    for (place, value) in SETTINGS.0.iter().zip(values) {
        place.store(value, Ordering::Relaxed);
    }
    let address = (&raw const SETTINGS).addr();
    // SAFETY: cleans a cache line of a static; no value changes.
    unsafe { asm!("dsb ish", "dc cvac, {}", "dsb sy", in(reg) address, options(nostack, preserves_flags)) };
}

/// Returns the length of the smallest data cache line, bytes.
fn cache_line() -> u64 {
    let cache_type: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) cache_type, options(nomem, nostack, preserves_flags)) };
    // DminLine, bits 19:16: the logarithm of the number of words.
    4 << (cache_type >> 16 & 0xF)
}
