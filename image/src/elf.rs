//! One image's bytes in file order, seen once: segment bytes go out to where the signed table says, the program headers are
//! compared with the signed ones, and the rest goes by in search of a resource table.
//!
//! The file's program headers have to be the signed entries, in order. A signed entry that is not PT_LOAD may be missing from
//! the container's last image (which takes all entries that are left): it loads nothing, so nothing is lost. Earlier images
//! have exactly as many entries as program headers. No other header is allowed, and no PT_LOAD may be missing.
//!
//! Of an encrypted image the table holds the PT_LOAD headers only, then as many zero entries as there are other headers. Those are
//! not signed; they load nothing.
use crate::elf_header::{Header, header_size, program_header};
use crate::format::{ELF_HEADER_SIZE, ELF64_HEADER_SIZE, ELF64_IDENT, PROGRAM_HEADER64_SIZE, PT_LOAD};
use crate::metadata::Metadata;
use crate::pieces::{Record, overlap, wide};
use crate::plan::Plan;
use crate::provider::Destination;
use crate::rejection::Rejection;
use crate::sections::{Defect, Sections, TableHint};
use core::ops::Range;
use remoteproc_refusal::Refusal;
use zerocopy::IntoBytes;

/// What is needed of a checked ELF header.
#[cfg_attr(feature = "snapshot", derive(Clone))]
struct Layout {
    /// Offsets from the image's start, within the image.
    program_headers: Range<u32>,
    /// The image's entries of the signed table.
    entries: Range<usize>,
}

/// Takes one image.
#[cfg_attr(feature = "snapshot", derive(Clone))]
pub struct Elf {
    image: u8,
    /// Container offset of the image's first byte.
    start: u64,
    /// Bytes of the image, pad included.
    size: u32,
    /// Bytes taken.
    taken: u32,
    /// The image's first bytes, until the ELF header is complete.
    head: [u8; ELF64_HEADER_SIZE],
    layout: Option<Layout>,
    /// The file is one of 64 bits. Not in the layout: there the compiler would use it to say that there is no layout, with a byte
    /// that is not zero.
    wide: bool,
    /// The program header that is being taken.
    program_header: Record<PROGRAM_HEADER64_SIZE>,
    /// Index in the signed table of the entry that it may be the first to match.
    next_entry: usize,
    sections: Sections,
}

impl Elf {
    /// Nothing to take.
    pub const fn new() -> Self {
        Self {
            image: 0,
            start: 0,
            size: 0,
            taken: 0,
            head: [0; ELF64_HEADER_SIZE],
            layout: None,
            wide: false,
            program_header: Record::new(),
            next_entry: 0,
            sections: Sections::new(),
        }
    }

    /// Starts an image.
    pub fn begin(&mut self, image: u8, start: u64, size: u32) {
        self.image = image;
        self.start = start;
        self.size = size;
        self.taken = 0;
        self.layout = None;
        self.next_entry = 0;
        self.sections.begin(0, 0..0, 0, false);
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
        while self.layout.is_none() {
            // Segments may begin inside the ELF header: its bytes are kept until it is known where they go.
            let wanted = self.header_size();
            let filled = self.taken as usize;
            let rest = self.head.get_mut(filled..wanted).unwrap_or_default();
            let count = rest.len().min(bytes.len());
            let (now, later) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            rest.get_mut(..count).unwrap_or_default().copy_from_slice(now);
            bytes = later;
            self.advance(count);
            if (self.taken as usize) < wanted {
                return Ok(());
            }
            if self.header_size() > wanted {
                // It is a file of 64 bits, whose header is longer.
                if (self.size as usize) < ELF64_HEADER_SIZE {
                    return Err(Rejection::at(Refusal::ElfMalformed, self.start));
                }
                continue;
            }
            self.read_header(first_entry, metadata, plan)?;
            let head = self.head;
            self.take(head.get(..wanted).unwrap_or_default(), 0, metadata, plan, destination)?;
        }
        let offset = self.taken;
        self.take(bytes, offset, metadata, plan, destination)?;
        self.advance(bytes.len());
        Ok(())
    }

    /// Bytes of the ELF header, as far as is known.
    fn header_size(&self) -> usize {
        let wide = self.taken as usize >= ELF_HEADER_SIZE && self.head.starts_with(&ELF64_IDENT);
        if wide { ELF64_HEADER_SIZE } else { ELF_HEADER_SIZE }
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
        let header = Header::read(&self.head).ok_or(malformed)?;
        let program_header_count = header.program_header_count;
        if program_header_count != 0 && header.program_header_size != header.own_program_header_size() {
            return Err(malformed);
        }
        let [of_headers, of_sections, of_count] = header.places().map(|offset| self.place(offset));
        let program_headers = header
            .window(
                header.program_headers_offset,
                program_header_count,
                header.program_header_size,
                self.size,
            )
            .ok_or(Rejection::at(Refusal::ProgramHeadersOutside, of_headers))?;

        // A signed TLV outweighs the section headers: then nothing in them can be wrong.
        let section_count = if plan.signed_table.is_some() { 0 } else { header.section_header_count };
        let name_section = header.name_section;
        let sections_malformed = Rejection::at(Refusal::SectionHeadersMalformed, of_sections);
        let section_headers = if section_count == 0 {
            0..0
        } else {
            let size = header.section_header_size;
            if size != header.own_section_header_size() || name_section >= section_count {
                return Err(sections_malformed);
            }
            header
                .window(header.section_headers_offset, section_count, size, self.size)
                .ok_or(sections_malformed)?
        };

        let end = first_entry.saturating_add(program_header_count.into());
        let mismatch = Rejection::at(Refusal::ProgramHeadersMismatch, of_count);
        if end > plan.table_count() {
            return Err(mismatch);
        }
        let is_last = usize::from(self.image).saturating_add(1) >= plan.image_sizes.len();
        let entries = first_entry..if is_last { plan.table_count() } else { end };
        plan.assign(metadata, self.image, entries.clone(), self.start, self.size)?;
        self.next_entry = first_entry;
        if program_header_count == 0 && loads(&entries, metadata, plan) {
            return Err(Rejection::at(Refusal::SegmentNotInFile, of_count));
        }
        if plan.encrypted && entries.end != end {
            // The zero entries count the headers that are not signed: there may not be fewer.
            let lost = loads(&(end..entries.end), metadata, plan);
            return Err(if lost { Rejection::at(Refusal::SegmentNotInFile, of_count) } else { mismatch });
        }
        self.sections.begin(self.size, section_headers, name_section, header.wide);
        self.program_header.reset(header.own_program_header_size().into());
        self.wide = header.wide;
        self.layout = Some(Layout { program_headers, entries });
        Ok(())
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
        let headers = self.compare_program_headers(bytes, offset, metadata, plan).err();
        let sections = self.sections.take(bytes, offset).err();
        match headers.into_iter().chain(sections).min_by_key(|defect| defect.shows) {
            Some(defect) => Err(self.reject(&defect)),
            None => Ok(()),
        }
    }

    /// The image's end: its resource table, if it names one that is not empty.
    pub fn end(&self) -> Result<Option<TableHint>, Rejection> {
        self.sections.end().map_err(|defect| self.reject(&defect))
    }

    /// A defect of the image as one of the container.
    fn reject(&self, defect: &Defect) -> Rejection {
        Rejection::at(defect.refusal, self.place(defect.at))
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
        let size = header_size(self.wide);
        while let Some(header) = self.program_header.fill(&mut part) {
            let shows = end.saturating_sub(u32::try_from(part.len()).unwrap_or(u32::MAX));
            let at = shows.saturating_sub(size);
            let defect = |refusal| Defect { shows, at, refusal };
            let header = program_header(&header, self.wide).ok_or(defect(Refusal::ProgramHeadersMismatch))?;
            // Of an encrypted image only what is loaded is signed.
            while !plan.encrypted || header.kind.get() == PT_LOAD {
                let index = self.next_entry;
                let signed = plan.program_header(metadata, index).filter(|_| layout.entries.contains(&index));
                let signed = signed.ok_or(defect(Refusal::ProgramHeadersMismatch))?;
                self.next_entry = index.saturating_add(1);
                if signed.as_bytes() == header.as_bytes() {
                    break;
                }
                if plan.encrypted || signed.kind.get() == PT_LOAD {
                    return Err(defect(Refusal::ProgramHeadersMismatch));
                }
            }
            if shows == window.end && loads(&(self.next_entry..layout.entries.end), metadata, plan) {
                return Err(defect(Refusal::SegmentNotInFile));
            }
        }
        Ok(())
    }
}

/// Tells whether one of these entries of the signed table is PT_LOAD.
fn loads(entries: &Range<usize>, metadata: &Metadata, plan: &Plan) -> bool {
    let kind = |index| plan.program_header(metadata, index).map(|header| header.kind.get());
    entries.clone().any(|index| kind(index) == Some(PT_LOAD))
}
