//! The resource table (Linux, `include/linux/remoteproc.h`): trace buffer, one virtio device, and the vendor entry
//! that tells where heartbeat and request are.

use crate::memory::{HEARTBEAT, REQUEST, TRACE, TRACE_BYTES, VRINGS};
use core::mem::{offset_of, size_of};

/// The number of entries.
const ENTRIES: usize = 3;

/// The table as it lies in memory: little-endian words without gaps.
#[repr(C)]
struct ResourceTable {
    version: u32,
    entries: u32,
    reserved: [u32; 2],
    offsets: [u32; ENTRIES],
    trace: TraceEntry,
    device: DeviceEntry,
    vendor: VendorEntry,
}

/// A trace buffer.
#[repr(C)]
struct TraceEntry {
    kind: u32,
    device_address: u32,
    bytes: u32,
    reserved: u32,
    name: [u8; 32],
}

/// A virtio device with two virtqueues and no configuration space.
#[repr(C)]
struct DeviceEntry {
    kind: u32,
    device: u32,
    notify_id: u32,
    device_features: u32,
    guest_features: u32,
    configuration_bytes: u32,
    status: u8,
    vring_count: u8,
    reserved: [u8; 2],
    vrings: [Vring; 2],
}

/// One virtqueue.
#[repr(C)]
struct Vring {
    device_address: u32,
    alignment: u32,
    buffers: u32,
    notify_id: u32,
    physical_address: u32,
}

/// Our own entry.
#[repr(C)]
struct VendorEntry {
    kind: u32,
    heartbeat: u32,
    request: u32,
}

// Readers parse bytes, so the layout is part of the interface.
const _: () = assert!(offset_of!(ResourceTable, trace) == 28);
const _: () = assert!(offset_of!(ResourceTable, device) == 28 + 48);
const _: () = assert!(offset_of!(ResourceTable, vendor) == 28 + 48 + 68);
const _: () = assert!(size_of::<ResourceTable>() == 28 + 48 + 68 + 12);

/// One of the device's virtqueues; the client fills in the physical address.
const fn vring(device_address: u32, notify_id: u32) -> Vring {
    Vring { device_address, alignment: 4096, buffers: 16, notify_id, physical_address: 0 }
}

/// `text`, padded with NUL.
const fn name(text: &[u8]) -> [u8; 32] {
    let mut name = [0; 32];
    let (start, _) = name.split_at_mut(text.len());
    start.copy_from_slice(text);
    name
}

/// The firmware itself never reads it: from its load on, the normal world may change it.
#[used]
#[unsafe(link_section = ".resource_table")]
static RESOURCE_TABLE: ResourceTable = ResourceTable {
    version: 1,
    entries: ENTRIES as u32,
    reserved: [0; 2],
    offsets: [
        offset_of!(ResourceTable, trace) as u32,
        offset_of!(ResourceTable, device) as u32,
        offset_of!(ResourceTable, vendor) as u32,
    ],
    trace: TraceEntry {
        kind: 2,
        device_address: TRACE as u32,
        bytes: TRACE_BYTES as u32,
        reserved: 0,
        name: name(b"trace0"),
    },
    device: DeviceEntry {
        kind: 3,
        device: 7,
        notify_id: 0,
        device_features: 0,
        guest_features: 0,
        configuration_bytes: 0,
        status: 0,
        vring_count: 2,
        reserved: [0; 2],
        vrings: [vring(VRINGS[0], 0), vring(VRINGS[1], 1)],
    },
    vendor: VendorEntry { kind: 128, heartbeat: HEARTBEAT.address(), request: REQUEST.address() },
};
