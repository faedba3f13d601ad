//! Where the resource table's name occurs in a piece of an image.
//!
//! Each byte of an image is looked at for it, so the search has to be quick. The one that is quickest takes 2 KiB of code, which is much
//! for a partition: there a smaller one does.
use crate::format::RESOURCE_TABLE_NAME;

/// Offsets of the name, ascending. Two of them don't overlap: its first byte occurs in it only once.
pub fn places(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    #[cfg(target_os = "none")]
    return small::places(bytes);
    #[cfg(not(target_os = "none"))]
    return memchr::memmem::find_iter(bytes, RESOURCE_TABLE_NAME);
}

/// The search by one byte, for a program that has to be small.
#[cfg(any(test, target_os = "none"))]
mod small {
    use super::RESOURCE_TABLE_NAME;
    use memchr::memchr_iter;

    /// Index of a byte of the name that is rare elsewhere, and the byte.
    const MARK: usize = 9;
    const MARK_BYTE: u8 = RESOURCE_TABLE_NAME[MARK];

    /// As [`super::places`].
    pub fn places(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let starts = memchr_iter(MARK_BYTE, bytes).filter_map(|at| at.checked_sub(MARK));
        starts.filter(|start| bytes.get(*start..).is_some_and(|bytes| bytes.starts_with(RESOURCE_TABLE_NAME)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            2 => Just(RESOURCE_TABLE_NAME.to_vec()),
            2 => (0..RESOURCE_TABLE_NAME.len()).prop_map(|end| RESOURCE_TABLE_NAME[..end].to_vec()),
            1 => (0..RESOURCE_TABLE_NAME.len()).prop_map(|start| RESOURCE_TABLE_NAME[start..].to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..80),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// Both searches find what a look at every offset finds.
        #[test]
        fn both_searches_find_every_place(bytes in pieces()) {
            let expected: Vec<usize> =
                (0..bytes.len()).filter(|start| bytes[*start..].starts_with(RESOURCE_TABLE_NAME)).collect();
            prop_assert_eq!(&places(&bytes).collect::<Vec<_>>(), &expected);
            prop_assert_eq!(&small::places(&bytes).collect::<Vec<_>>(), &expected);
        }
    }
}
