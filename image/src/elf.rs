//! One image's bytes in file order, seen once: segment bytes go out to where the signed table says, the program headers are
//! compared with the signed ones, and the section headers tell where a resource table is.
//!
//! The file's program headers have to be the signed entries, in order. A signed entry that is not PT_LOAD may be missing from
//! the container's last image (which takes all entries that are left): it loads nothing, so nothing is lost. Earlier images
//! have exactly as many entries as program headers. No other header is allowed, and no PT_LOAD may be missing.
//!
//! The name table may stand before or behind the section headers. So every place is remembered where the resource table's
//! name occurs, and every section that could be it; the image's end decides.
use crate::format::{
    ELF_HEADER_SIZE, ELF_IDENT, PROGRAM_HEADER_SIZE, PT_LOAD, RESOURCE_TABLE_NAME, RawElfHeader,
    SECTION_HEADER_SIZE, SectionHeader,
};
use crate::metadata::Metadata;
use crate::plan::Plan;
use crate::provider::Destination;
use crate::rejection::Rejection;
use core::ops::Range;
use heapless::Vec;
use remoteproc_refusal::Refusal;
use zerocopy::{FromBytes, IntoBytes};

/// Most section headers of an image with a size other than zero.
pub const MAX_SECTIONS: usize = 256;
/// Most places of an image where the resource table's name occurs.
pub const MAX_NAMES: usize = 64;

/// A section header that could be the resource table's.
#[derive(Clone, Copy)]
struct Section {
    name: u32,
    address: u32,
    size: u32,
}

/// What the section headers say of the resource table. Not authenticated: to be checked against segments.
#[derive(Clone, Copy)]
pub struct TableHint {
    /// Device address.
    pub device_address: u32,
    /// Bytes, not 0.
    pub size: u32,
}

/// What is needed of a checked ELF header. Offsets from the image's start, all within the image.
struct Layout {
    program_headers: Range<u32>,
    section_headers: Range<u32>,
    /// Index of the section that holds the names; 0 = none.
    name_section: u16,
    /// The image's entries of the signed table.
    entries: Range<usize>,
}

/// One record of a table, put together from pieces.
struct Record<const SIZE: usize> {
    bytes: [u8; SIZE],
    filled: usize,
}

impl<const SIZE: usize> Record<SIZE> {
    const fn new() -> Self {
        Self { bytes: [0; SIZE], filled: 0 }
    }

    /// Takes what it lacks from the front of `part`; yields the record when it is complete, and starts the next one.
    fn fill(&mut self, part: &mut &[u8]) -> Option<[u8; SIZE]> {
        let rest = self.bytes.get_mut(self.filled..)?;
        let count = rest.len().min(part.len());
        let (now, later) = part.split_at_checked(count)?;
        rest.get_mut(..count)?.copy_from_slice(now);
        *part = later;
        self.filled = self.filled.saturating_add(count);
        if self.filled < SIZE {
            return None;
        }
        self.filled = 0;
        Some(self.bytes)
    }
}

/// A defect, and the byte of the image by which it shows.
struct Defect {
    shows: u32,
    rejection: Rejection,
}

/// Takes one image.
pub struct Elf {
    image: u8,
    /// Container offset of the image's first byte.
    start: u64,
    /// Bytes of the image, pad included.
    size: u32,
    /// Bytes taken.
    taken: u32,
    /// The image's first bytes, until the ELF header is complete.
    head: [u8; ELF_HEADER_SIZE],
    layout: Option<Layout>,
    /// The program header that is being taken.
    program_header: Record<PROGRAM_HEADER_SIZE>,
    /// Index in the signed table of the entry that it may be the first to match.
    next_entry: usize,
    /// The section header that is being taken, and its index.
    section: Record<SECTION_HEADER_SIZE>,
    section_index: u16,
    sections: Vec<Section, MAX_SECTIONS>,
    /// Where the names are, once that section header was taken.
    names: Option<Range<u32>>,
    /// Bytes of the name that the last bytes taken match.
    name_matched: usize,
    /// Where the name starts.
    name_starts: Vec<u32, MAX_NAMES>,
}

impl Elf {
    /// Nothing to take.
    pub const fn new() -> Self {
        Self {
            image: 0,
            start: 0,
            size: 0,
            taken: 0,
            head: [0; ELF_HEADER_SIZE],
            layout: None,
            program_header: Record::new(),
            next_entry: 0,
            section: Record::new(),
            section_index: 0,
            sections: Vec::new(),
            names: None,
            name_matched: 0,
            name_starts: Vec::new(),
        }
    }

    /// Starts an image.
    pub fn begin(&mut self, image: u8, start: u64, size: u32) {
        self.image = image;
        self.start = start;
        self.size = size;
        self.taken = 0;
        self.layout = None;
        self.program_header.filled = 0;
        self.next_entry = 0;
        self.section.filled = 0;
        self.section_index = 0;
        self.sections.clear();
        self.names = None;
        self.name_matched = 0;
        self.name_starts.clear();
    }

    /// Bytes that the image still lacks.
    pub const fn missing(&self) -> u32 {
        self.size.saturating_sub(self.taken)
    }

    /// Entries of the signed table that this image and those before it use.
    pub fn entries_used(&self) -> usize {
        self.layout.as_ref().map_or(0, |layout| layout.entries.end)
    }

    /// Takes the next bytes, at most [`Self::missing`]. `first_entry`: entries of the signed table that earlier images use.
    pub fn push<D: Destination>(
        &mut self,
        bytes: &[u8],
        first_entry: usize,
        metadata: &Metadata,
        plan: &mut Plan,
        destination: &mut D,
    ) -> Result<(), Rejection> {
        let mut bytes = bytes;
        if self.layout.is_none() {
            // Segments may begin inside the ELF header: its bytes are kept until it is known where they go.
            let filled = self.taken as usize;
            let rest = self.head.get_mut(filled..).unwrap_or_default();
            let count = rest.len().min(bytes.len());
            let (now, later) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            rest.get_mut(..count).unwrap_or_default().copy_from_slice(now);
            bytes = later;
            self.advance(count);
            if (self.taken as usize) < ELF_HEADER_SIZE {
                return Ok(());
            }
            self.read_header(first_entry, metadata, plan)?;
            let head = self.head;
            self.take(&head, 0, metadata, plan, destination)?;
        }
        let offset = self.taken;
        self.take(bytes, offset, metadata, plan, destination)?;
        self.advance(bytes.len());
        Ok(())
    }

    fn advance(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Container offset of a byte of the image.
    fn place(&self, offset: u32) -> u64 {
        self.start.saturating_add(offset.into())
    }

    /// Checks the ELF header, and gives the image its entries of the signed table.
    fn read_header(
        &mut self,
        first_entry: usize,
        metadata: &Metadata,
        plan: &mut Plan,
    ) -> Result<(), Rejection> {
        let malformed = Rejection::at(Refusal::ElfMalformed, self.start);
        let header = RawElfHeader::read_from_bytes(&self.head).map_err(|_| malformed)?;
        if !header.ident.starts_with(&ELF_IDENT) {
            return Err(malformed);
        }
        let program_header_count = header.program_header_count.get();
        if program_header_count != 0 && usize::from(header.program_header_size.get()) != PROGRAM_HEADER_SIZE {
            return Err(malformed);
        }
        let program_headers = self
            .window(header.program_headers_offset.get(), program_header_count, PROGRAM_HEADER_SIZE)
            .ok_or(Rejection::at(Refusal::ProgramHeadersOutside, self.place(28)))?;

        let section_count = header.section_header_count.get();
        let name_section = header.name_section.get();
        let sections_malformed = Rejection::at(Refusal::SectionHeadersMalformed, self.place(32));
        let section_headers = if section_count == 0 {
            0..0
        } else {
            if usize::from(header.section_header_size.get()) != SECTION_HEADER_SIZE
                || name_section >= section_count
            {
                return Err(sections_malformed);
            }
            self.window(header.section_headers_offset.get(), section_count, SECTION_HEADER_SIZE)
                .ok_or(sections_malformed)?
        };

        let end = first_entry.saturating_add(program_header_count.into());
        if end > plan.table_count() {
            return Err(Rejection::at(Refusal::ProgramHeadersMismatch, self.place(44)));
        }
        let is_last = usize::from(self.image).saturating_add(1) >= plan.image_sizes.len();
        let entries = first_entry..if is_last { plan.table_count() } else { end };
        plan.assign(metadata, self.image, entries.clone(), self.start, self.size)?;
        self.next_entry = first_entry;
        if program_header_count == 0 && loads(&entries, metadata, plan) {
            return Err(Rejection::at(Refusal::SegmentNotInFile, self.place(44)));
        }
        self.layout = Some(Layout { program_headers, section_headers, name_section, entries });
        Ok(())
    }

    /// `count` records of `step` bytes at an offset, if they lie in the image.
    fn window(&self, offset: u32, count: u16, step: usize) -> Option<Range<u32>> {
        let bytes = u32::from(count).checked_mul(u32::try_from(step).ok()?)?;
        if bytes == 0 {
            return Some(0..0);
        }
        let end = offset.checked_add(bytes).filter(|end| *end <= self.size)?;
        Some(offset..end)
    }

    /// Bytes of the image at an offset, the ELF header known.
    fn take<D: Destination>(
        &mut self,
        bytes: &[u8],
        offset: u32,
        metadata: &Metadata,
        plan: &Plan,
        destination: &mut D,
    ) -> Result<(), Rejection> {
        self.write_segments(bytes, offset, plan, destination)?;
        // The defect that shows first is told, so that the answer does not depend on how the bytes were cut.
        let defects = [
            self.compare_program_headers(bytes, offset, metadata, plan).err(),
            self.read_sections(bytes, offset).err(),
            self.search_names(bytes, offset).err(),
        ];
        match defects.into_iter().flatten().min_by_key(|defect| defect.shows) {
            Some(defect) => Err(defect.rejection),
            None => Ok(()),
        }
    }

    /// Writes what belongs to segments to where they go.
    fn write_segments<D: Destination>(
        &self,
        bytes: &[u8],
        offset: u32,
        plan: &Plan,
        destination: &mut D,
    ) -> Result<(), Rejection> {
        let from = self.place(offset);
        for segment in plan.current_segments() {
            let end = segment.container_offset.saturating_add(segment.file_size.into());
            let Some((part, at)) = overlap(bytes, from, segment.container_offset..end) else { continue };
            destination.write(segment.physical_address.saturating_add(at), part).map_err(|_| {
                Rejection::at(Refusal::DestinationAbort, segment.container_offset.saturating_add(at))
            })?;
        }
        Ok(())
    }

    /// Compares what belongs to the program headers with the signed ones.
    fn compare_program_headers(
        &mut self,
        bytes: &[u8],
        offset: u32,
        metadata: &Metadata,
        plan: &Plan,
    ) -> Result<(), Defect> {
        let Some(layout) = &self.layout else { return Ok(()) };
        let window = layout.program_headers.clone();
        let Some((mut part, at)) = overlap(bytes, offset.into(), wide(&window)) else { return Ok(()) };
        let end = window.start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
        let end = end.saturating_add(u32::try_from(part.len()).unwrap_or(u32::MAX));
        while let Some(header) = self.program_header.fill(&mut part) {
            let shows = end.saturating_sub(u32::try_from(part.len()).unwrap_or(u32::MAX));
            let place = self.start.saturating_add(shows.saturating_sub(PROGRAM_HEADER_SIZE as u32).into());
            let defect = |refusal| Defect { shows, rejection: Rejection::at(refusal, place) };
            loop {
                let index = self.next_entry;
                let signed = plan.program_header(metadata, index).filter(|_| layout.entries.contains(&index));
                let signed = signed.ok_or(defect(Refusal::ProgramHeadersMismatch))?;
                self.next_entry = index.saturating_add(1);
                if *signed.as_bytes() == header {
                    break;
                }
                if signed.kind.get() == PT_LOAD {
                    return Err(defect(Refusal::ProgramHeadersMismatch));
                }
            }
            if shows == window.end && loads(&(self.next_entry..layout.entries.end), metadata, plan) {
                return Err(defect(Refusal::SegmentNotInFile));
            }
        }
        Ok(())
    }

    /// Reads what belongs to the section headers.
    fn read_sections(&mut self, bytes: &[u8], offset: u32) -> Result<(), Defect> {
        let Some(layout) = &self.layout else { return Ok(()) };
        let (window, name_section) = (layout.section_headers.clone(), layout.name_section);
        let Some((mut part, _)) = overlap(bytes, offset.into(), wide(&window)) else { return Ok(()) };
        while let Some(header) = self.section.fill(&mut part) {
            let before = u32::from(self.section_index).saturating_mul(SECTION_HEADER_SIZE as u32);
            let place = window.start.saturating_add(before);
            self.keep_section(&header, name_section).map_err(|refusal| Defect {
                shows: place.saturating_add(SECTION_HEADER_SIZE as u32),
                rejection: Rejection::at(refusal, self.place(place)),
            })?;
            self.section_index = self.section_index.saturating_add(1);
        }
        Ok(())
    }

    /// Keeps a section header if it matters.
    fn keep_section(&mut self, header: &[u8; SECTION_HEADER_SIZE], name_section: u16) -> Result<(), Refusal> {
        let malformed = Refusal::SectionHeadersMalformed;
        let header = SectionHeader::read_from_bytes(header).map_err(|_| malformed)?;
        // Index 0 is no section, and as the name section it means that there are no names.
        if self.section_index == 0 {
            return Ok(());
        }
        let size = header.size.get();
        if self.section_index == name_section {
            let start = header.offset.get();
            let end = start.checked_add(size).filter(|end| *end <= self.size).ok_or(malformed)?;
            self.names = Some(start..end);
        }
        if size == 0 {
            return Ok(());
        }
        let section = Section { name: header.name.get(), address: header.address.get(), size };
        self.sections.push(section).map_err(|_| Refusal::TooManySections)
    }

    /// Remembers where the resource table's name ends in these bytes. Its first byte occurs in it only once, so a match that
    /// fails goes on at most one byte further on.
    fn search_names(&mut self, bytes: &[u8], offset: u32) -> Result<(), Defect> {
        let mut rest = bytes;
        let mut at = offset;
        loop {
            if self.name_matched == 0 {
                // Most bytes are passed here, many at a time.
                let Some(skip) = memchr::memchr(b'.', rest) else { return Ok(()) };
                rest = rest.get(skip..).unwrap_or_default();
                at = at.saturating_add(u32::try_from(skip).unwrap_or(u32::MAX));
            }
            let Some((byte, later)) = rest.split_first() else { return Ok(()) };
            rest = later;
            at = at.saturating_add(1);
            if RESOURCE_TABLE_NAME.get(self.name_matched) == Some(byte) {
                self.name_matched = self.name_matched.saturating_add(1);
            } else {
                self.name_matched = usize::from(*byte == b'.');
            }
            if self.name_matched == RESOURCE_TABLE_NAME.len() {
                self.name_matched = 0;
                let start = at.saturating_sub(RESOURCE_TABLE_NAME.len() as u32);
                self.keep_name(start).map_err(|refusal| Defect {
                    shows: at,
                    rejection: Rejection::at(refusal, self.place(start)),
                })?;
            }
        }
    }

    /// Remembers one place of the name, unless all section headers are known and say that it is no section's name.
    fn keep_name(&mut self, start: u32) -> Result<(), Refusal> {
        let behind_headers = self.layout.as_ref().is_some_and(|layout| start >= layout.section_headers.end);
        if behind_headers && self.names.as_ref().is_none_or(|names| !names.contains(&start)) {
            return Ok(());
        }
        self.name_starts.push(start).map_err(|_| Refusal::TooManySections)
    }

    /// Decides at the image's end: its resource table, if it names one that is not empty.
    pub fn end(&self) -> Result<Option<TableHint>, Rejection> {
        let Some(names) = &self.names else { return Ok(None) };
        let mut found = None;
        for section in &self.sections {
            let place = self.place(names.start);
            let start = names
                .start
                .checked_add(section.name)
                .filter(|start| names.contains(start))
                .ok_or(Rejection::at(Refusal::SectionHeadersMalformed, place))?;
            let end = start.saturating_add(RESOURCE_TABLE_NAME.len() as u32);
            if end > names.end || !self.name_starts.contains(&start) {
                continue;
            }
            let hint = TableHint { device_address: section.address, size: section.size };
            if found.replace(hint).is_some() {
                return Err(Rejection::at(Refusal::ResourceTableTwice, place));
            }
        }
        Ok(found)
    }
}

/// Tells whether one of these entries of the signed table is PT_LOAD.
fn loads(entries: &Range<usize>, metadata: &Metadata, plan: &Plan) -> bool {
    let kind = |index| plan.program_header(metadata, index).map(|header| header.kind.get());
    entries.clone().any(|index| kind(index) == Some(PT_LOAD))
}

/// The same range in 64 bits.
fn wide(range: &Range<u32>) -> Range<u64> {
    range.start.into()..range.end.into()
}

/// The part of `bytes`, which start at `from`, that lies in `window`, and its offset in the window.
fn overlap(bytes: &[u8], from: u64, window: Range<u64>) -> Option<(&[u8], u64)> {
    let to = from.saturating_add(bytes.len() as u64).min(window.end);
    let start = from.max(window.start);
    if start >= to {
        return None;
    }
    let range =
        usize::try_from(start.checked_sub(from)?).ok()?..usize::try_from(to.checked_sub(from)?).ok()?;
    Some((bytes.get(range)?, start.checked_sub(window.start)?))
}
