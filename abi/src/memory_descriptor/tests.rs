//! Golden bytes of the descriptors, written down from DEN0140's tables, and properties of the reader.
use super::*;
use proptest::prelude::*;

const RANGES: [Constituent; 2] = [
    Constituent { address: 0x5010_0000, page_count: 4 },
    Constituent { address: 0x1_2345_6000, page_count: 0x0102_0304 },
];

/// An FFA_MEM_SHARE from endpoint 0 to 0x8001 with two ranges.
const SHARE: [u8; 128] = [
    0x00, 0x00, 0x2f, 0x00, 0x00, 0x00, 0x00, 0x00, // sender, attributes, flags
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // handle
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // tag
    0x20, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, // endpoint descriptor size, count
    0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // endpoint descriptor offset, reserved
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // reserved
    0x01, 0x80, 0x02, 0x00, 0x50, 0x00, 0x00, 0x00, // receiver, permissions, flags, composite offset
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // implementation defined
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // implementation defined
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // reserved
    0x08, 0x03, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00, // total pages, range count
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // reserved
    0x00, 0x00, 0x10, 0x50, 0x00, 0x00, 0x00, 0x00, // address
    0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // pages, reserved
    0x00, 0x60, 0x45, 0x23, 0x01, 0x00, 0x00, 0x00, // address
    0x04, 0x03, 0x02, 0x01, 0x00, 0x00, 0x00, 0x00, // pages, reserved
];

/// The start of an FFA_MEM_RETRIEVE_REQ of 0x8001 for handle 0x8000000000000001 of endpoint 0, up to the permissions.
const RETRIEVE_SHARED: [u8; 52] = [
    0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, // sender, attributes, flags
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, // handle
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // tag
    0x20, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, // endpoint descriptor size, count
    0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // endpoint descriptor offset, reserved
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // reserved
    0x01, 0x80, 0x01, 0x00, // receiver, permissions (read-only), flags
];

fn retrieve(lent: bool) -> RetrieveRequest {
    RetrieveRequest {
        handle: 0x8000_0000_0000_0001,
        sender: 0,
        receiver: 0x8001,
        tag: 0,
        lent,
        writable: false,
    }
}

/// A response as an SPMC writes it: the share with handle, the NS attribute and resolved permissions.
fn response() -> [u8; 128] {
    let mut bytes = SHARE;
    bytes[2] = 0x6f;
    bytes[4] = 0x08;
    bytes[8..16].copy_from_slice(&0x8000_0000_0000_0001u64.to_le_bytes());
    bytes[50] = 0x06;
    bytes
}

fn parsed(change: impl FnOnce(&mut [u8])) -> Result<usize, DescriptorError> {
    let mut bytes = response();
    change(&mut bytes);
    RetrieveResponse::parse(&bytes).map(|response| response.range_count())
}

#[test]
fn share_has_the_specified_bytes() {
    let mut buffer = [0xff; 4096];
    let length = write_share(&mut buffer, 0, 0x8001, &RANGES).unwrap();
    assert_eq!(buffer[..length], SHARE);
    assert!(buffer[length..].iter().all(|byte| *byte == 0xff));
}

#[test]
fn retrieve_request_has_the_specified_bytes() {
    let mut buffer = [0xff; 4096];
    assert_eq!(retrieve(false).write(&mut buffer), Ok(80));
    assert_eq!(buffer[..52], RETRIEVE_SHARED);
    assert!(buffer[52..80].iter().all(|byte| *byte == 0), "composite offset and the rest are zero");
    assert_eq!(buffer[80], 0xff);

    assert_eq!(retrieve(true).write(&mut buffer), Ok(80));
    let mut lent = RETRIEVE_SHARED;
    lent[4] = 0x10;
    lent[50] = 0x05;
    assert_eq!(buffer[..52], lent);

    let writable = RetrieveRequest { tag: 0x0102_0304_0506_0708, writable: true, ..retrieve(false) };
    assert_eq!(writable.write(&mut buffer), Ok(80));
    let mut expected = RETRIEVE_SHARED;
    expected[16..24].copy_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
    expected[50] = 0x02;
    assert_eq!(buffer[..52], expected);
}

#[test]
fn relinquish_has_the_specified_bytes() {
    let mut buffer = [0xff; 32];
    assert_eq!(write_relinquish(&mut buffer, 0x8000_0000_0000_0001, 0x8001), Ok(18));
    let mut expected = [0u8; 18];
    expected[0] = 1;
    expected[7] = 0x80;
    expected[12] = 1;
    expected[16..].copy_from_slice(&[0x01, 0x80]);
    assert_eq!(buffer[..18], expected);
}

#[test]
fn response_is_read() {
    let bytes = response();
    let response = RetrieveResponse::parse(&bytes).unwrap();
    assert_eq!(response.handle, 0x8000_0000_0000_0001);
    assert_eq!((response.sender, response.receiver), (0, 0x8001));
    assert_eq!(response.attributes, 0x6f);
    assert_ne!(response.attributes & ATTRIBUTE_NON_SECURE, 0);
    assert_eq!((response.permissions, response.flags), (6, 8));
    assert!(response.is_writable());
    for permissions in [0, 1, 3, 4, 5] {
        let mut bytes = bytes;
        bytes[50] = permissions;
        assert!(!RetrieveResponse::parse(&bytes).unwrap().is_writable(), "{permissions}");
    }
    assert_eq!((response.range_count(), response.total_pages()), (2, 0x0102_0308));
    assert!(response.ranges().eq(RANGES));
}

/// An SPMC that answers in the layout of FF-A 1.1: endpoint descriptors of 16 bytes.
#[test]
fn response_with_small_endpoint_descriptor_is_read() {
    let full = response();
    let mut bytes = [0u8; 112];
    bytes[..64].copy_from_slice(&full[..64]);
    bytes[64..].copy_from_slice(&full[80..]);
    bytes[24] = 16;
    bytes[52] = 64;
    let response = RetrieveResponse::parse(&bytes).unwrap();
    assert!(response.ranges().eq(RANGES));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = response();
    for length in 0..bytes.len() {
        assert!(RetrieveResponse::parse(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn malformed_responses_are_refused() {
    use DescriptorError::{Malformed, Overflow, TooManyRanges, Truncated};
    let put = |offset: usize, value: u32| {
        parsed(|bytes| bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes()))
    };
    // Endpoint descriptors: size, count, offset.
    for size in [0, 8, 24, 31] {
        assert_eq!(put(24, size), Err(Malformed), "size {size}");
    }
    assert_eq!(put(24, 0xffff_fff0), Err(Truncated));
    for count in [0, 2, u32::MAX] {
        assert_eq!(put(28, count), Err(Malformed), "count {count}");
    }
    for offset in [0, 32, 47, 49, 56] {
        assert_eq!(put(32, offset), Err(Malformed), "offset {offset}");
    }
    assert_eq!(put(32, 0xffff_fff0), Err(Truncated));
    // Composite: offset, total, count.
    for offset in [0, 48, 72, 81] {
        assert_eq!(put(52, offset), Err(Malformed), "composite {offset}");
    }
    assert_eq!(put(52, 0xffff_fff8), Err(Truncated));
    assert_eq!(put(80, 0x0102_0307), Err(Malformed));
    assert_eq!(put(84, 0), Err(Malformed));
    assert_eq!(put(84, 3), Err(Truncated));
    assert_eq!(put(84, 201), Err(TooManyRanges));
    assert_eq!(put(84, u32::MAX), Err(TooManyRanges));
    // Ranges: empty, sum beyond 32 bits.
    assert_eq!(put(104, 0), Err(Malformed));
    assert_eq!(put(104, u32::MAX), Err(Overflow));
}

#[test]
fn shares_that_no_spmc_would_take_are_not_written() {
    let mut buffer = [0; 4096];
    let one = |address, page_count| [Constituent { address, page_count }];
    assert_eq!(write_share(&mut buffer, 0, 1, &[]), Err(DescriptorError::Malformed));
    assert_eq!(write_share(&mut buffer, 0, 1, &one(0x1000, 0)), Err(DescriptorError::Malformed));
    assert_eq!(write_share(&mut buffer, 0, 1, &one(0x1001, 1)), Err(DescriptorError::Malformed));
    let many = [Constituent { address: 0, page_count: u32::MAX }; 2];
    assert_eq!(write_share(&mut buffer, 0, 1, &many), Err(DescriptorError::Overflow));
    let ranges = [Constituent { address: 0, page_count: 1 }; MAX_RANGES + 1];
    assert_eq!(write_share(&mut buffer, 0, 1, &ranges), Err(DescriptorError::TooManyRanges));
    assert_eq!(write_share(&mut buffer, 0, 1, &ranges[1..]), Ok(96 + 16 * MAX_RANGES));
}

#[test]
fn short_buffers_are_refused() {
    for length in 0..SHARE.len() {
        let mut buffer = vec![0; length];
        assert_eq!(write_share(&mut buffer, 0, 1, &RANGES), Err(DescriptorError::BufferTooSmall));
    }
    assert_eq!(retrieve(false).write(&mut [0; 79]), Err(DescriptorError::BufferTooSmall));
    assert_eq!(write_relinquish(&mut [0; 17], 1, 1), Err(DescriptorError::BufferTooSmall));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = RetrieveResponse::parse(&bytes);
    }

    /// Bytes near a good response reach the deeper checks; what is accepted keeps what parse promises.
    #[test]
    fn damaged_responses_are_read_without_panic(changes in proptest::collection::vec((0usize..128, any::<u8>()), 1..6)) {
        let mut bytes = response();
        for (offset, value) in changes {
            bytes[offset] = value;
        }
        if let Ok(response) = RetrieveResponse::parse(&bytes) {
            prop_assert_eq!(response.ranges().count(), response.range_count());
            let pages: u64 = response.ranges().map(|range| u64::from(range.page_count)).sum();
            prop_assert_eq!(pages, u64::from(response.total_pages()));
        }
    }

    #[test]
    fn shares_come_back(
        sender: u16,
        receiver: u16,
        ranges in proptest::collection::vec((0u64..1 << 52, 1u32..1 << 20), 1..=MAX_RANGES),
    ) {
        let ranges: Vec<_> = ranges
            .into_iter()
            .map(|(page, page_count)| Constituent { address: page * FFA_PAGE_SIZE, page_count })
            .collect();
        let mut buffer = [0; 4096];
        let length = write_share(&mut buffer, sender, receiver, &ranges).unwrap();
        let response = RetrieveResponse::parse(&buffer[..length]).unwrap();
        prop_assert_eq!((response.sender, response.receiver), (sender, receiver));
        prop_assert!(response.ranges().eq(ranges.iter().copied()));
        prop_assert!(RetrieveResponse::parse(&buffer[..length - 1]).is_err());
    }
}
