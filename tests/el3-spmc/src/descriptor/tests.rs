//! Memory transaction descriptors, written by hand offset by offset.
use super::*;
use crate::error::FfaError;

/// A share descriptor by endpoint 0 for 0x8001, as bytes written by hand offset by offset.
pub fn share_bytes(entry_size: usize, ranges: &[(u64, u32)]) -> std::vec::Vec<u8> {
    let mut bytes = vec![0_u8; HEADER_SIZE + entry_size + 16 + ranges.len() * 16];
    let mut put = |offset: usize, data: &[u8]| bytes[offset..offset + data.len()].copy_from_slice(data);
    put(2, &[0x2f, 0]);
    put(24, &(entry_size as u32).to_le_bytes());
    put(28, &[1]);
    put(32, &[48]);
    put(48, &[0x01, 0x80, 2, 0]);
    put(52, &((48 + entry_size) as u32).to_le_bytes());
    let composite = 48 + entry_size;
    put(composite, &ranges.iter().map(|range| range.1).sum::<u32>().to_le_bytes());
    put(composite + 4, &(ranges.len() as u32).to_le_bytes());
    for (index, (address, pages)) in ranges.iter().enumerate() {
        put(composite + 16 + index * 16, &address.to_le_bytes());
        put(composite + 24 + index * 16, &pages.to_le_bytes());
    }
    bytes
}

/// A retrieve request of 0x8001 for memory of endpoint 0.
pub fn retrieve_bytes(entry_size: usize, handle: u64) -> std::vec::Vec<u8> {
    let mut bytes = vec![0_u8; HEADER_SIZE + entry_size];
    let mut put = |offset: usize, data: &[u8]| bytes[offset..offset + data.len()].copy_from_slice(data);
    put(4, &TYPE_SHARE.to_le_bytes());
    put(8, &handle.to_le_bytes());
    put(24, &(entry_size as u32).to_le_bytes());
    put(28, &[1]);
    put(32, &[48]);
    put(48, &[0x01, 0x80, 2, 0]);
    bytes
}

const TWO: [(u64, u32); 2] = [(0x4100_0000, 2), (0x4200_0000, 3)];

#[test]
fn a_good_share_in_both_formats() {
    for size in [16, 32] {
        let bytes = share_bytes(size, &TWO);
        let share = decode_share(&bytes, size, Kind::Share).unwrap();
        assert_eq!(share.entry.receiver, 0x8001);
        assert_eq!(share.range_count(), 2);
        let last = share.constituents(&bytes).last();
        assert_eq!(last, Some(Constituent { address: 0x4200_0000, pages: 3 }));
    }
}

#[test]
fn every_truncation_of_a_share_is_refused() {
    let bytes = share_bytes(32, &TWO);
    for length in 0..bytes.len() {
        assert!(decode_share(&bytes[..length], 32, Kind::Share).is_err(), "length {length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(decode_share(&longer, 32, Kind::Share).is_err());
}

fn broken_share(offset: usize, data: &[u8]) -> Refusal {
    let mut bytes = share_bytes(32, &TWO);
    bytes[offset..offset + data.len()].copy_from_slice(data);
    decode_share(&bytes, 32, Kind::Share).unwrap_err()
}

#[test]
fn each_rule_of_a_share() {
    assert_eq!(broken_share(2, &[0x6f]).rule, "share-attributes");
    assert_eq!(broken_share(2, &[0x13]).error, FfaError::Denied);
    assert_eq!(broken_share(4, &[1]).rule, "share-flags");
    assert_eq!(broken_share(8, &[1]).rule, "share-handle");
    assert_eq!(broken_share(24, &[16]).rule, "descriptor-entry-size");
    assert_eq!(broken_share(28, &[2]).rule, "descriptor-receiver-count");
    assert_eq!(broken_share(28, &[0]).rule, "descriptor-receiver-count");
    assert_eq!(broken_share(32, &[32]).rule, "descriptor-entry-offset");
    assert_eq!(broken_share(32, &[0xff; 4]).rule, "descriptor-entry-offset");
    assert_eq!(broken_share(32, &[0xf0, 0xff, 0xff, 0xff]).rule, "descriptor-length");
    assert_eq!(broken_share(40, &[1]).rule, "descriptor-reserved");
    assert_eq!(broken_share(50, &[0]).rule, "share-permissions");
    assert_eq!(broken_share(50, &[6]).rule, "share-permissions");
    assert_eq!(broken_share(51, &[1]).rule, "share-entry-flags");
    assert_eq!(broken_share(52, &[48]).rule, "share-composite-offset");
    assert_eq!(broken_share(52, &[0xf8, 0xff, 0xff, 0xff]).rule, "descriptor-length");
    assert_eq!(broken_share(72, &[1]).rule, "descriptor-reserved");
    assert_eq!(broken_share(80, &[9]).rule, "share-total-pages");
    assert_eq!(broken_share(84, &[0]).rule, "share-no-ranges");
    assert_eq!(broken_share(84, &[0xff; 4]).rule, "descriptor-length");
    assert_eq!(broken_share(88, &[1]).rule, "descriptor-reserved");
    assert_eq!(broken_share(97, &[8]).rule, "share-range");
    assert_eq!(broken_share(96, &0xffff_ffff_ffff_f000_u64.to_le_bytes()).rule, "share-range");
    assert_eq!(broken_share(96, &0x4200_1000_u64.to_le_bytes()).rule, "share-overlap");
    assert_eq!(broken_share(104, &[0]).rule, "share-range");
    assert_eq!(broken_share(108, &[1]).rule, "descriptor-reserved");
}

#[test]
fn a_lend_leaves_the_attributes_to_the_borrower() {
    let mut bytes = share_bytes(32, &TWO);
    assert_eq!(decode_share(&bytes, 32, Kind::Lend).unwrap_err().rule, "lend-attributes");
    bytes[2] = 0;
    assert_eq!(decode_share(&bytes, 32, Kind::Lend).unwrap().kind, Kind::Lend);
    assert_eq!(decode_share(&bytes, 32, Kind::Share).unwrap_err().rule, "share-attributes");
    bytes[4] = 1;
    assert_eq!(decode_share(&bytes, 32, Kind::Lend).unwrap_err().rule, "share-flags");
}

#[test]
fn fragments_end_between_ranges() {
    for (length, size, good) in
        [(96, 32, true), (80, 32, false), (80, 16, true), (100, 32, false), (4096, 32, true), (0, 16, false)]
    {
        assert_eq!(is_first_fragment(length, size), good, "{length}");
    }
}

#[test]
fn each_rule_of_a_retrieve_request() {
    let good = retrieve_bytes(32, 7);
    assert!(decode_retrieve_request(&good, 32).is_ok());
    let mut longer = good.clone();
    longer.extend([0; 16]);
    assert_eq!(decode_retrieve_request(&longer, 32).unwrap_err().rule, "retrieve-length");
    for length in 0..good.len() {
        assert!(decode_retrieve_request(&good[..length], 32).is_err());
    }
    let mut composite = good.clone();
    composite[52] = 80;
    assert_eq!(decode_retrieve_request(&composite, 32).unwrap_err().rule, "retrieve-composite");
    assert_eq!(
        decode_retrieve_request(&retrieve_bytes(16, 7), 32).unwrap_err().rule,
        "descriptor-entry-size"
    );
}

#[test]
fn response_layout() {
    let constituents =
        [Constituent { address: 0x4100_0000, pages: 2 }, Constituent { address: 0x1000, pages: 5 }];
    let response = Response {
        kind: Kind::Share,
        sender: 0,
        receiver: 0x8001,
        attributes: 0x6f,
        permissions: 6,
        handle: 0x1122_3344_5566_7788,
        tag: 0,
        implementation: [0; 16],
        constituents: &constituents,
    };
    let mut buffer = Vec::new();
    buffer.extend_from_slice(&[0xff; 300]).unwrap();
    encode_retrieve_response(&response, 32, &mut buffer).unwrap();
    assert_eq!(buffer.len(), 48 + 32 + 16 + 32);
    let words: std::vec::Vec<u32> =
        buffer.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words[..12], [0x6f_0000, 8, 0x5566_7788, 0x1122_3344, 0, 0, 32, 1, 48, 0, 0, 0]);
    assert_eq!(words[12..20], [0x6_8001, 80, 0, 0, 0, 0, 0, 0]);
    assert_eq!(words[20..], [7, 2, 0, 0, 0x4100_0000, 0, 2, 0, 0x1000, 0, 5, 0]);
}

#[test]
fn relinquish_rules() {
    let good = [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x01, 0x80];
    assert_eq!(decode_relinquish(&good, 0x8001), Ok(7));
    for (offset, value, rule) in [
        (8, 1, "relinquish-flags"),
        (12, 2, "relinquish-count"),
        (12, 0, "relinquish-count"),
        (16, 2, "relinquish-endpoint"),
    ] {
        let mut bytes = good;
        bytes[offset] = value;
        assert_eq!(decode_relinquish(&bytes, 0x8001).unwrap_err().rule, rule);
    }
    assert!(decode_relinquish(&good[..17], 0x8001).is_err());
}
