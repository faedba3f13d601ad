//! Finds the resource table's section in one forward pass over an image.
//!
//! The name table may stand before or behind the section headers. So every place is remembered where the resource table's
//! name occurs, and every section that could be it; the image's end decides. All offsets are from the image's start, in bytes.
use crate::format::{
    RESOURCE_TABLE_NAME, SECTION_HEADER_SIZE, SECTION_HEADER64_SIZE, SectionHeader, SectionHeader64,
};
use crate::name_search;
use crate::pieces::{Record, overlap, wide};
use core::ops::Range;
use heapless::Vec;
use remoteproc_refusal::Refusal;
use zerocopy::FromBytes;

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

/// Something wrong with an image.
pub struct Defect {
    /// The byte by which it shows.
    pub shows: u32,
    /// Where it is.
    pub at: u32,
    /// What it is.
    pub refusal: Refusal,
}

/// What is known of an image's sections.
#[cfg_attr(feature = "snapshot", derive(Clone))]
pub struct Sections {
    /// Bytes of the image.
    image_size: u32,
    /// Where the section headers are.
    headers: Range<u32>,
    /// Index of the section that holds the names; 0 = none.
    name_section: u16,
    /// The section header that is being taken, and its index.
    header: Record<SECTION_HEADER64_SIZE>,
    /// The file is one of 64 bits.
    wide: bool,
    index: u16,
    sections: Vec<Section, MAX_SECTIONS>,
    /// Where the names are, once that section header was taken.
    names: Option<Range<u32>>,
    /// Bytes of the resource table's name that the last bytes taken match.
    matched: usize,
    /// Where the name starts.
    name_starts: Vec<u32, MAX_NAMES>,
}

impl Sections {
    /// No sections.
    pub const fn new() -> Self {
        Self {
            image_size: 0,
            headers: 0..0,
            name_section: 0,
            header: Record::new(),
            wide: false,
            index: 0,
            sections: Vec::new(),
            names: None,
            matched: 0,
            name_starts: Vec::new(),
        }
    }

    /// Starts an image whose ELF header says where the section headers are (in the image), and which of them is that of the
    /// names (one of them). `wide`: in 64 bits.
    pub fn begin(&mut self, image_size: u32, headers: Range<u32>, name_section: u16, wide: bool) {
        self.image_size = image_size;
        self.headers = headers;
        self.name_section = name_section;
        self.wide = wide;
        self.header.reset(self.header_size());
        self.index = 0;
        self.sections.clear();
        self.names = None;
        self.matched = 0;
        self.name_starts.clear();
    }

    /// Takes bytes of the image at an offset, the next ones after those taken before.
    pub fn take(&mut self, bytes: &[u8], offset: u32) -> Result<(), Defect> {
        // The names may only be searched when the headers in the same bytes are known; what shows first is told.
        let (headers, names) = (self.read(bytes, offset), self.search(bytes, offset));
        match (headers, names) {
            (Err(header), Err(name)) => Err(if name.shows < header.shows { name } else { header }),
            (headers, names) => headers.and(names),
        }
    }

    /// Bytes of a section header.
    const fn header_size(&self) -> usize {
        if self.wide { SECTION_HEADER64_SIZE } else { SECTION_HEADER_SIZE }
    }

    /// Reads what belongs to the section headers.
    fn read(&mut self, bytes: &[u8], offset: u32) -> Result<(), Defect> {
        let Some((mut part, _)) = overlap(bytes, offset.into(), wide(&self.headers)) else { return Ok(()) };
        while let Some(header) = self.header.fill(&mut part) {
            let before = u32::from(self.index).saturating_mul(self.header_size() as u32);
            let at = self.headers.start.saturating_add(before);
            let shows = at.saturating_add(self.header_size() as u32);
            self.keep_section(&header).map_err(|refusal| Defect { shows, at, refusal })?;
            self.index = self.index.saturating_add(1);
        }
        Ok(())
    }

    /// Keeps a section header if it matters.
    fn keep_section(&mut self, header: &[u8; SECTION_HEADER64_SIZE]) -> Result<(), Refusal> {
        let malformed = Refusal::SectionHeadersMalformed;
        let (name, address, start, size) = if self.wide {
            let header = SectionHeader64::read_from_bytes(header).map_err(|_| malformed)?;
            // What exceeds 32 bits lies outside of everything.
            let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
            let (address, start) = (narrow(header.address.get()), narrow(header.offset.get()));
            (header.name.get(), address, start, narrow(header.size.get()))
        } else {
            let (header, _) = SectionHeader::read_from_prefix(header).map_err(|_| malformed)?;
            (header.name.get(), header.address.get(), header.offset.get(), header.size.get())
        };
        // Index 0 is no section, and as the name section it means that there are no names.
        if self.index == 0 {
            return Ok(());
        }
        if self.index == self.name_section {
            let end = start.checked_add(size).filter(|end| *end <= self.image_size).ok_or(malformed)?;
            self.names = Some(start..end);
        }
        if size == 0 {
            return Ok(());
        }
        let section = Section { name, address, size };
        self.sections.push(section).map_err(|_| Refusal::TooManySections)
    }

    /// Remembers where the resource table's name ends in these bytes.
    fn search(&mut self, bytes: &[u8], offset: u32) -> Result<(), Defect> {
        if self.headers.is_empty() {
            return Ok(());
        }
        let mut rest = bytes;
        let mut next = offset;
        // A name that began in the bytes before. Its first byte occurs in it only once, so where the match fails none is under way
        // but one that begins there.
        while self.matched != 0
            && let Some((byte, later)) = rest.split_first()
        {
            if RESOURCE_TABLE_NAME.get(self.matched) == Some(byte) {
                rest = later;
                next = next.saturating_add(1);
                self.matched = self.matched.saturating_add(1);
                if self.matched == RESOURCE_TABLE_NAME.len() {
                    self.keep(next)?;
                }
            } else {
                self.matched = 0;
            }
        }
        for start in name_search::places(rest) {
            let end = start.saturating_add(RESOURCE_TABLE_NAME.len());
            self.keep(next.saturating_add(u32::try_from(end).unwrap_or(u32::MAX)))?;
        }
        let most = rest.len().min(RESOURCE_TABLE_NAME.len().saturating_sub(1));
        let longest = (1..=most)
            .rev()
            .find(|count| rest.ends_with(RESOURCE_TABLE_NAME.get(..*count).unwrap_or_default()));
        self.matched = self.matched.max(longest.unwrap_or(0));
        Ok(())
    }

    /// Remembers a place of the name by its end.
    fn keep(&mut self, end: u32) -> Result<(), Defect> {
        self.matched = 0;
        let at = end.saturating_sub(RESOURCE_TABLE_NAME.len() as u32);
        self.keep_name(at).map_err(|refusal| Defect { shows: end, at, refusal })
    }

    /// Remembers one place of the name, unless all section headers are known and say that it is no section's name.
    fn keep_name(&mut self, start: u32) -> Result<(), Refusal> {
        let behind_headers = start >= self.headers.end;
        if behind_headers && self.names.as_ref().is_none_or(|names| !names.contains(&start)) {
            return Ok(());
        }
        self.name_starts.push(start).map_err(|_| Refusal::TooManySections)
    }

    /// Decides at the image's end: its resource table, if it names one that is not empty.
    pub fn end(&self) -> Result<Option<TableHint>, Defect> {
        let Some(names) = &self.names else { return Ok(None) };
        let mut found = None;
        for section in &self.sections {
            let defect = |refusal| Defect { shows: self.image_size, at: names.start, refusal };
            let start = names
                .start
                .checked_add(section.name)
                .filter(|start| names.contains(start))
                .ok_or(defect(Refusal::SectionHeadersMalformed))?;
            let end = start.saturating_add(RESOURCE_TABLE_NAME.len() as u32);
            if end > names.end || !self.name_starts.contains(&start) {
                continue;
            }
            let hint = TableHint { device_address: section.address, size: section.size };
            if found.replace(hint).is_some() {
                return Err(defect(Refusal::ResourceTableTwice));
            }
        }
        Ok(found)
    }
}
