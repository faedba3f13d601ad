//! Memory that segments are loaded to: pages that exist once they are written; everything else reads as zero.
use remoteproc_image::provider::{Destination, Fault};
use std::collections::BTreeMap;

const PAGE: usize = 4096;

/// The memory.
#[derive(Default)]
pub struct Memory(BTreeMap<u64, Box<[u8; PAGE]>>);

impl Memory {
    /// Goes through the pages that a range of `length` bytes touches: address of the page, offset in it, range of the bytes.
    fn pieces(address: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = address.checked_add(done as u64).filter(|_| done < length)?;
            let offset = (at % PAGE as u64) as usize;
            let count = (PAGE - offset).min(length - done);
            let piece = (at - offset as u64, offset, done..done + count);
            done += count;
            Some(piece)
        })
    }
}

impl Destination for Memory {
    fn write(&mut self, physical_address: u64, bytes: &[u8]) -> Result<(), Fault> {
        for (page, offset, range) in Self::pieces(physical_address, bytes.len()) {
            let page = self.0.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            page[offset..offset + range.len()].copy_from_slice(&bytes[range]);
        }
        Ok(())
    }

    fn read(&mut self, physical_address: u64, into: &mut [u8]) -> Result<(), Fault> {
        for (page, offset, range) in Self::pieces(physical_address, into.len()) {
            let into = &mut into[range];
            match self.0.get(&page) {
                Some(page) => into.copy_from_slice(&page[offset..offset + into.len()]),
                None => into.fill(0),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_the_rest_is_zero() {
        let mut memory = Memory::default();
        let bytes: Vec<u8> = (0..9000).map(|index| (index % 251) as u8 + 1).collect();
        assert!(memory.write(0x0fff, &bytes).is_ok());
        let mut read = vec![0xee; 9002];
        assert!(memory.read(0x0ffe, &mut read).is_ok());
        assert_eq!((read[0], &read[1..9001], read[9001]), (0, &bytes[..], 0));
    }
}
