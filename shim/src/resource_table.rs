//! Reading a resource table, as Linux's remoteproc lays it out (include/linux/remoteproc.h, `struct resource_table`).
//!
//! The table lies in memory that the remote processor writes: copy it, then read the copy. Addresses in it are device addresses.
use core::fmt;

/// Length of a name field, bytes.
const NAME_LENGTH: usize = 32;
/// Length of a virtio ring's description, bytes.
const RING_LENGTH: usize = 20;
/// Length of a vdev entry without its rings and configuration, bytes.
const VDEV_LENGTH: usize = 28;
/// The first type number that belongs to vendors.
const VENDOR_FIRST: u32 = 128;
/// The last type number that belongs to vendors.
const VENDOR_LAST: u32 = 512;

/// Why bytes are no resource table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The header or the list of offsets is cut off.
    #[error("the resource table is cut off")]
    Truncated,
    /// The version is not 1.
    #[error("the resource table has version {0}, not 1")]
    Version(u32),
    /// An entry lies outside the table, or ends before its fields do.
    #[error("entry {0} of the resource table is cut off")]
    Entry(u32),
}

/// A fixed-length name, shown up to its first zero byte; bytes that are not printable ASCII are shown as dots.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

impl fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take_while(|byte| **byte != 0) {
            let printable = byte.is_ascii_graphic() || *byte == b' ';
            fmt::Write::write_char(formatter, if printable { char::from(*byte) } else { '.' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

/// Memory that an entry asks for or maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory<'a> {
    /// Device address; all ones = anywhere.
    pub device_address: u32,
    /// Physical address, where one is asked for.
    pub physical_address: u32,
    /// Bytes.
    pub length: u32,
    /// Mapping flags.
    pub flags: u32,
    /// For people.
    pub name: Name<'a>,
}

/// A virtio ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Device address; all ones = anywhere.
    pub device_address: u32,
    /// Alignment, bytes.
    pub alignment: u32,
    /// Number of buffers.
    pub buffers: u32,
    /// Notification id.
    pub notify_id: u32,
}

/// The rings of a virtio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings<'a>(&'a [u8]);

impl Rings<'_> {
    /// Returns the rings in order.
    pub fn iter(&self) -> impl Iterator<Item = Ring> + '_ {
        self.0.chunks_exact(RING_LENGTH).filter_map(|ring| {
            Some(Ring {
                device_address: word(ring, 0)?,
                alignment: word(ring, 4)?,
                buffers: word(ring, 8)?,
                notify_id: word(ring, 12)?,
            })
        })
    }
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Type 0: memory that the firmware needs.
    Carveout(Memory<'a>),
    /// Type 1: a device that the firmware uses.
    DeviceMemory(Memory<'a>),
    /// Type 2: a text buffer that the firmware writes.
    Trace {
        /// Device address.
        device_address: u32,
        /// Bytes.
        length: u32,
        /// For people.
        name: Name<'a>,
    },
    /// Type 3: a virtio device.
    VirtioDevice {
        /// Virtio device id; 7 = remote processor messaging.
        id: u32,
        /// Notification id of the configuration.
        notify_id: u32,
        /// Features that the firmware offers.
        device_features: u32,
        /// Features that both sides use.
        driver_features: u32,
        /// Virtio status.
        status: u8,
        /// Bytes of configuration behind the rings.
        configuration_length: u32,
        /// The rings.
        rings: Rings<'a>,
    },
    /// Types 128 to 512: whatever the vendor says.
    Vendor {
        /// Type number.
        kind: u32,
        /// The bytes up to the next entry.
        data: &'a [u8],
    },
    /// A type that this version does not know.
    Unknown {
        /// Type number.
        kind: u32,
    },
}

/// A resource table, its header checked.
#[derive(Clone, Copy, Debug)]
pub struct ResourceTable<'a> {
    bytes: &'a [u8],
    count: u32,
}

/// Reads a word at a byte offset.
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    bytes.get(offset..end)?.try_into().ok().map(u32::from_le_bytes)
}

impl<'a> ResourceTable<'a> {
    /// Takes a private copy of a table.
    ///
    /// # Errors
    /// [`TableError::Truncated`] or [`TableError::Version`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, TableError> {
        let version = word(bytes, 0).ok_or(TableError::Truncated)?;
        if version != 1 {
            return Err(TableError::Version(version));
        }
        let count = word(bytes, 4).ok_or(TableError::Truncated)?;
        let table = Self { bytes, count };
        // The header and every offset; that bounds the number of entries as well.
        let offsets = (count as usize).checked_mul(4).and_then(|length| length.checked_add(16));
        match offsets {
            Some(end) if end <= bytes.len() => Ok(table),
            _ => Err(TableError::Truncated),
        }
    }

    /// Returns the entries in the order of their offsets' list.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry<'a>, TableError>> + '_ {
        (0..self.count).map(|index| self.entry(index).ok_or(TableError::Entry(index)))
    }

    /// Returns where an entry starts, bytes.
    fn offset(&self, index: u32) -> Option<usize> {
        let place = (index as usize).checked_mul(4)?.checked_add(16)?;
        word(self.bytes, place).map(|offset| offset as usize)
    }

    /// Reads one entry.
    fn entry(&self, index: u32) -> Option<Entry<'a>> {
        let start = self.offset(index)?;
        let end = (0..self.count)
            .filter_map(|other| self.offset(other))
            .filter(|other| *other > start)
            .min()
            .unwrap_or(self.bytes.len())
            .min(self.bytes.len());
        let bytes = self.bytes.get(start..end)?;
        let kind = word(bytes, 0)?;
        let memory = || {
            Some(Memory {
                device_address: word(bytes, 4)?,
                physical_address: word(bytes, 8)?,
                length: word(bytes, 12)?,
                flags: word(bytes, 16)?,
                name: Name(bytes.get(24..24 + NAME_LENGTH)?),
            })
        };
        Some(match kind {
            0 => Entry::Carveout(memory()?),
            1 => Entry::DeviceMemory(memory()?),
            2 => Entry::Trace {
                device_address: word(bytes, 4)?,
                length: word(bytes, 8)?,
                name: Name(bytes.get(16..16 + NAME_LENGTH)?),
            },
            3 => {
                let [status, rings, _, _] = word(bytes, 24)?.to_le_bytes();
                let configuration_length = word(bytes, 20)?;
                let rings_end = usize::from(rings).checked_mul(RING_LENGTH)?.checked_add(VDEV_LENGTH)?;
                let configuration_end = rings_end.checked_add(configuration_length as usize)?;
                if configuration_end > bytes.len() {
                    return None;
                }
                Entry::VirtioDevice {
                    id: word(bytes, 4)?,
                    notify_id: word(bytes, 8)?,
                    device_features: word(bytes, 12)?,
                    driver_features: word(bytes, 16)?,
                    status,
                    configuration_length,
                    rings: Rings(bytes.get(VDEV_LENGTH..rings_end)?),
                }
            }
            VENDOR_FIRST..=VENDOR_LAST => Entry::Vendor { kind, data: bytes.get(4..)? },
            _ => Entry::Unknown { kind },
        })
    }
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Carveout(memory) => write!(formatter, "carveout {memory}"),
            Self::DeviceMemory(memory) => write!(formatter, "device memory {memory}"),
            Self::Trace { device_address, length, name } => {
                write!(formatter, "trace \"{name}\" device address {device_address:#010x} length {length:#x}")
            }
            Self::VirtioDevice {
                id,
                notify_id,
                device_features,
                status,
                configuration_length,
                rings,
                ..
            } => {
                write!(
                    formatter,
                    "virtio device {id} notify id {notify_id} features {device_features:#x} status {status} \
                     configuration {configuration_length} bytes"
                )?;
                for (index, ring) in rings.iter().enumerate() {
                    write!(
                        formatter,
                        ", ring {index} device address {:#010x} alignment {} buffers {} notify id {}",
                        ring.device_address, ring.alignment, ring.buffers, ring.notify_id
                    )?;
                }
                Ok(())
            }
            Self::Vendor { kind, data } => {
                write!(formatter, "vendor {kind} {} bytes", data.len())?;
                for word in data.chunks_exact(4).take(4).filter_map(|word| word.try_into().ok()) {
                    write!(formatter, " {:#010x}", u32::from_le_bytes(word))?;
                }
                Ok(())
            }
            Self::Unknown { kind } => write!(formatter, "unknown type {kind}"),
        }
    }
}

impl fmt::Display for Memory<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "\"{}\" device address {:#010x} physical address {:#010x} length {:#x} flags {:#x}",
            self.name, self.device_address, self.physical_address, self.length, self.flags
        )
    }
}

#[cfg(test)]
mod tests;
