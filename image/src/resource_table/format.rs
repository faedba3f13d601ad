//! The bytes of a resource table (Linux, `include/linux/remoteproc.h`), little-endian. Addresses are device addresses but where a field
//! says physical; lengths are in bytes.
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of the layout.
pub const VERSION: u32 = 1;

/// Memory to be allocated.
pub const CARVEOUT: u32 = 0;
/// Device memory to be mapped.
pub const DEVMEM: u32 = 1;
/// A trace buffer.
pub const TRACE: u32 = 2;
/// A virtio device.
pub const VDEV: u32 = 3;
/// The vendors' types, the first and the last.
pub const VENDOR_FIRST: u32 = 128;
pub const VENDOR_LAST: u32 = 512;

/// `struct resource_table`, without its list of offsets.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    pub version: U32,
    pub count: U32,
    pub reserved: [U32; 2],
}

/// `struct fw_rsc_carveout` and `struct fw_rsc_devmem`, the type before them.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Memory {
    pub kind: U32,
    pub device_address: U32,
    pub physical_address: U32,
    pub length: U32,
    pub flags: U32,
    pub reserved: U32,
    pub name: [u8; 32],
}

/// `struct fw_rsc_trace`, the type before it.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Trace {
    pub kind: U32,
    pub device_address: U32,
    pub length: U32,
    pub reserved: U32,
    pub name: [u8; 32],
}

/// `struct fw_rsc_vdev`, the type before it; vrings and configuration space follow.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Vdev {
    pub kind: U32,
    pub id: U32,
    pub notify_id: U32,
    pub device_features: U32,
    pub guest_features: U32,
    pub configuration_length: U32,
    pub status: u8,
    pub vring_count: u8,
    pub reserved: [u8; 2],
}

/// `struct fw_rsc_vdev_vring`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Vring {
    pub device_address: U32,
    pub alignment: U32,
    pub count: U32,
    pub notify_id: U32,
    pub physical_address: U32,
}
