//! The reader against tables written down by hand, and against any bytes.
use super::*;
use proptest::prelude::*;

fn table(entries: &[&[u32]]) -> Vec<u8> {
    let mut words = vec![1, entries.len() as u32, 0, 0];
    let mut offset = 16 + 4 * entries.len() as u32;
    for entry in entries {
        words.push(offset);
        offset += 4 * entry.len() as u32;
    }
    words.extend(entries.iter().flat_map(|entry| entry.iter()));
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// "trace0" and 26 zero bytes.
const NAME: [u32; 8] = [0x6361_7274, 0x0000_3065, 0, 0, 0, 0, 0, 0];

fn trace() -> Vec<u32> {
    [&[2, 0x80a0_1000, 0x1000, 0][..], &NAME].concat()
}

fn vdev() -> Vec<u32> {
    let rings = [[0x80a0_4000, 4096, 16, 0, 0], [0x80a0_8000, 4096, 16, 1, 0]].concat();
    [&[3, 7, 0, 1, 0, 0, 2 << 8][..], &rings].concat()
}

#[test]
fn all_types_are_read_line_by_line() {
    let memory = |kind: u32| [&[kind, 0x1000, 0x2000, 0x3000, 4, 0][..], &NAME].concat();
    let vendor = [128, 0x80a0_2000, 0x80a0_2004];
    let bytes = table(&[&trace(), &vdev(), &vendor, &memory(0), &memory(1), &[77]]);
    let lines: Vec<_> =
        ResourceTable::new(&bytes).unwrap().entries().map(|entry| entry.unwrap().to_string()).collect();
    assert_eq!(
        lines,
        [
            "trace \"trace0\" device address 0x80a01000 length 0x1000",
            "virtio device 7 notify id 0 features 0x1 status 0 configuration 0 bytes, \
             ring 0 device address 0x80a04000 alignment 4096 buffers 16 notify id 0, \
             ring 1 device address 0x80a08000 alignment 4096 buffers 16 notify id 1",
            "vendor 128 8 bytes 0x80a02000 0x80a02004",
            "carveout \"trace0\" device address 0x00001000 physical address 0x00002000 length 0x3000 flags 0x4",
            "device memory \"trace0\" device address 0x00001000 physical address 0x00002000 length 0x3000 flags 0x4",
            "unknown type 77",
        ]
    );
}

#[test]
fn cut_off_tables_and_entries_are_refused() {
    let bytes = table(&[&trace(), &vdev()]);
    for length in 0..bytes.len() {
        let outcome = ResourceTable::new(&bytes[..length])
            .and_then(|table| table.entries().collect::<Result<Vec<_>, _>>().map(drop));
        assert!(outcome.is_err(), "{length}");
    }
    let mut other = bytes.clone();
    other[0] = 2;
    assert_eq!(ResourceTable::new(&other).unwrap_err(), TableError::Version(2));
    // More rings than there are bytes.
    let mut rings = vdev();
    rings[6] = 255 << 8;
    let bytes = table(&[&rings]);
    let entry = ResourceTable::new(&bytes).unwrap().entries().next();
    assert_eq!(entry, Some(Err(TableError::Entry(0))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), good_start: bool) {
        if good_start && bytes.len() > 16 {
            bytes[..16].copy_from_slice(&[1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        if let Ok(table) = ResourceTable::new(&bytes) {
            for entry in table.entries().flatten() {
                let _ = entry.to_string();
            }
        }
    }
}
