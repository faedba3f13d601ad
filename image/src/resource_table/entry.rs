//! A resource table's entries in words: reads a table that need not be valid, as far as it can be read.
use crate::resource_table::format::{self, CARVEOUT, DEVMEM, Header, TRACE, VDEV, VENDOR_FIRST, VENDOR_LAST};
use crate::resource_table::{MAX_ENTRIES, MAX_VRINGS};
use core::fmt;
use heapless::Vec;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

/// "The processor's own choice" in an address field.
const ANY_ADDRESS: u32 = u32::MAX;

/// A name of at most 32 bytes that ends at the first NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; 32]);

impl fmt::Display for Name {
    /// Writes what is printable; everything else as an escape.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        write!(formatter, "{}", bytes.escape_ascii())
    }
}

/// A carveout or device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// As the remote processor sees it; all ones = any.
    pub device_address: u32,
    /// As the other processors see it; all ones = any.
    pub physical_address: u32,
    /// Bytes.
    pub length: u32,
    /// IOMMU flags.
    pub flags: u32,
    /// What it is called.
    pub name: Name,
}

/// A trace buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// As the remote processor sees it.
    pub device_address: u32,
    /// Bytes.
    pub length: u32,
    /// What it is called.
    pub name: Name,
}

/// One ring of a virtio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vring {
    /// As the remote processor sees it; all ones = any.
    pub device_address: u32,
    /// Of the ring, bytes.
    pub alignment: u32,
    /// Buffers.
    pub count: u32,
    /// Notify id.
    pub notify_id: u32,
}

/// A virtio device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vdev {
    /// Virtio device id.
    pub id: u32,
    /// Notify id.
    pub notify_id: u32,
    /// What the firmware offers.
    pub device_features: u32,
    /// Bytes of configuration space.
    pub configuration_length: u32,
    /// Its rings: no valid table has more.
    pub vrings: Vec<Vring, { MAX_VRINGS as usize }>,
}

/// An entry. [`fmt::Display`] writes one line, and one more for each ring.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// Memory to be allocated.
    Carveout(Memory),
    /// Device memory to be mapped.
    Devmem(Memory),
    /// A trace buffer.
    Trace(Trace),
    /// A virtio device.
    Vdev(Vdev),
    /// An entry of a vendor's type.
    Vendor(u32),
    /// Another type, which Linux leaves out.
    Unknown(u32),
}

/// Reads the entries, at most [`MAX_ENTRIES`]; `None` stands for one that does not lie in the table whole.
pub fn entries(table: &[u8]) -> impl Iterator<Item = Option<Entry>> + '_ {
    let count = Header::read_from_prefix(table).map_or(0, |(header, _)| header.count.get().min(MAX_ENTRIES));
    let offsets = table.get(size_of::<Header>()..).unwrap_or_default();
    (0..count as usize).map(move |index| {
        let (_, mut place) = offsets.split_at_checked(index.checked_mul(size_of::<U32>())?)?;
        let offset = take::<U32>(&mut place)?.get();
        entry(table.get(usize::try_from(offset).ok()?..)?)
    })
}

/// Takes a structure from the front.
fn take<T: FromBytes>(bytes: &mut &[u8]) -> Option<T> {
    let (value, rest) = T::read_from_prefix(bytes).ok()?;
    *bytes = rest;
    Some(value)
}

fn entry(bytes: &[u8]) -> Option<Entry> {
    let (kind, _) = U32::read_from_prefix(bytes).ok()?;
    Some(match kind.get() {
        CARVEOUT => Entry::Carveout(memory(bytes)?),
        DEVMEM => Entry::Devmem(memory(bytes)?),
        TRACE => {
            let (trace, _) = format::Trace::read_from_prefix(bytes).ok()?;
            Entry::Trace(Trace {
                device_address: trace.device_address.get(),
                length: trace.length.get(),
                name: Name(trace.name),
            })
        }
        VDEV => Entry::Vdev(vdev(bytes)?),
        vendor @ VENDOR_FIRST..=VENDOR_LAST => Entry::Vendor(vendor),
        unknown => Entry::Unknown(unknown),
    })
}

fn memory(bytes: &[u8]) -> Option<Memory> {
    let (memory, _) = format::Memory::read_from_prefix(bytes).ok()?;
    Some(Memory {
        device_address: memory.device_address.get(),
        physical_address: memory.physical_address.get(),
        length: memory.length.get(),
        flags: memory.flags.get(),
        name: Name(memory.name),
    })
}

fn vdev(bytes: &[u8]) -> Option<Vdev> {
    let mut rest = bytes;
    let vdev: format::Vdev = take(&mut rest)?;
    let mut vrings = Vec::new();
    for _ in 0..vdev.vring_count.min(MAX_VRINGS) {
        let vring: format::Vring = take(&mut rest)?;
        let vring = Vring {
            device_address: vring.device_address.get(),
            alignment: vring.alignment.get(),
            count: vring.count.get(),
            notify_id: vring.notify_id.get(),
        };
        vrings.push(vring).ok()?;
    }
    Some(Vdev {
        id: vdev.id.get(),
        notify_id: vdev.notify_id.get(),
        device_features: vdev.device_features.get(),
        configuration_length: vdev.configuration_length.get(),
        vrings,
    })
}

/// An address that may be left open.
struct Address(u32);

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ANY_ADDRESS => formatter.write_str("any address"),
            address => write!(formatter, "{address:#010x}"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Carveout(memory) => write!(formatter, "carveout  {memory}"),
            Self::Devmem(memory) => write!(formatter, "devmem    {memory}"),
            Self::Trace(trace) => {
                let address = Address(trace.device_address);
                write!(formatter, "trace     {address} {:#x} bytes \"{}\"", trace.length, trace.name)
            }
            Self::Vdev(vdev) => write!(formatter, "vdev      {vdev}"),
            Self::Vendor(number) => write!(formatter, "vendor    type {number}"),
            Self::Unknown(number) => write!(formatter, "unknown   type {number}"),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, physical) = (Address(self.device_address), Address(self.physical_address));
        write!(formatter, "{device} -> {physical} {:#x} bytes \"{}\"", self.length, self.name)
    }
}

impl fmt::Display for Vdev {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, notify_id, device_features, configuration_length, vrings } = self;
        write!(
            formatter,
            "id {id}, notify id {notify_id}, features {device_features:#x}, {configuration_length} bytes of configuration"
        )?;
        for (index, vring) in vrings.iter().enumerate() {
            let Vring { device_address, alignment, count, notify_id } = *vring;
            let address = Address(device_address);
            write!(
                formatter,
                "\n         vring {index}: {address} {count} buffers, aligned to {alignment}, notify id {notify_id}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// A table with these entries.
    fn table(entries: &[&[u32]]) -> Vec<u8> {
        let mut words = Vec::from([1, entries.len() as u32, 0, 0]);
        let mut offset = 16 + entries.len() * 4;
        for entry in entries {
            words.push(offset as u32);
            offset += entry.len() * 4;
        }
        words.extend(entries.iter().copied().flatten());
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn shown(table: &[u8]) -> Vec<String> {
        entries(table).map(|entry| entry.map_or("-".into(), |entry| entry.to_string())).collect()
    }

    /// A name of four letters, as words.
    const NAME: [u32; 8] = [u32::from_le_bytes(*b"log0"), 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn every_kind_of_entry_is_shown() {
        let memory = |kind| [[kind, 0x1000, u32::MAX, 0x20, 3, 0].as_slice(), &NAME].concat();
        let trace = [[2, 0x2000, 0x40, 0].as_slice(), &NAME].concat();
        let vdev = [3, 7, 1, 2, 0, 4, 2 << 8, 0x3000, 16, 8, 9, 0, u32::MAX, 16, 4, 5, 0];
        let bytes = table(&[&memory(0), &memory(1), &trace, &vdev, &[128], &[512], &[127]]);
        assert_eq!(
            shown(&bytes),
            [
                "carveout  0x00001000 -> any address 0x20 bytes \"log0\"",
                "devmem    0x00001000 -> any address 0x20 bytes \"log0\"",
                "trace     0x00002000 0x40 bytes \"log0\"",
                "vdev      id 7, notify id 1, features 0x2, 4 bytes of configuration\n         \
                 vring 0: 0x00003000 8 buffers, aligned to 16, notify id 9\n         \
                 vring 1: any address 4 buffers, aligned to 16, notify id 5",
                "vendor    type 128",
                "vendor    type 512",
                "unknown   type 127",
            ]
        );
    }

    #[test]
    fn what_does_not_lie_in_the_table_is_left_out_one_by_one() {
        assert_eq!(shown(&[]), [""; 0]);
        assert_eq!(shown(&table(&[&[0, 1, 2], &[200]])), ["-", "vendor    type 200"]);
        let mut far = table(&[&[200], &[200]]);
        far[16..20].fill(0xff);
        assert_eq!(shown(&far), ["-", "vendor    type 200"]);
        let cut = &table(&[&[200], &[200]])[..20];
        assert_eq!(shown(cut), ["-", "-"], "entries behind the end, and an offset behind it");
        let mut many = table(&[]);
        many[4..8].fill(0xff);
        assert_eq!(shown(&many).len(), MAX_ENTRIES as usize);
    }

    #[test]
    fn a_name_ends_at_its_nul_and_writes_no_control_characters() {
        let mut bytes = [b'a'; 32];
        assert_eq!(Name(bytes).to_string(), "a".repeat(32));
        bytes[..4].copy_from_slice(b"b\x1b\n\0");
        assert_eq!(Name(bytes).to_string(), "b\\x1b\\n");
    }
}
