//! The setters of this project's own TLVs, 0x8001 to 0x8006 (docs/image-format.md).
use super::{Container, WriteError, elf};
use crate::format::{self, PT_LOAD};
use object::{Object, ObjectSection};
use sha2::{Digest, Sha256};

/// Tells whether these are printable ASCII characters, the space among them.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

impl Container {
    /// Adds SECURITY_COUNTER: a platform whose counter is higher refuses the image.
    #[must_use]
    pub fn security_counter(mut self, counter: u32) -> Self {
        self.own.insert(format::TLV_SECURITY_COUNTER, counter.to_le_bytes().to_vec());
        self
    }

    /// Adds TARGET: the processor (`None`: any) and the board (empty: any) that the image is for.
    ///
    /// # Errors
    /// [`WriteError::Value`] if the board's name is longer than 32 bytes or not printable ASCII, or the processor id is that
    /// which stands for any.
    pub fn target(mut self, processor: Option<u32>, board: &str) -> Result<Self, WriteError> {
        if processor == Some(format::ANY_PROCESSOR) {
            return Err(WriteError::Value("processor id 0xffffffff stands for any processor".into()));
        }
        if board.len() > format::MAX_BOARD_NAME || !is_printable(board) {
            return Err(WriteError::Value("a board's name is at most 32 printable ASCII characters".into()));
        }
        let mut value = processor.unwrap_or(format::ANY_PROCESSOR).to_le_bytes().to_vec();
        value.extend_from_slice(board.as_bytes());
        self.own.insert(format::TLV_TARGET, value);
        Ok(self)
    }

    /// Adds RESOURCE_TABLE: where the table is once loaded, and SHA-256 of it (of the plaintext).
    #[must_use]
    pub fn resource_table(mut self, device_address: u32, size: u32, digest: &[u8; 32]) -> Self {
        let value = [&device_address.to_le_bytes()[..], &size.to_le_bytes(), digest].concat();
        self.own.insert(format::TLV_RESOURCE_TABLE, value);
        self
    }

    /// Adds RESOURCE_TABLE: the image declares that it has none, whatever its section headers say.
    #[must_use]
    pub fn no_resource_table(self) -> Self {
        self.resource_table(0, 0, &[0; 32])
    }

    /// Adds RESOURCE_TABLE for the images added so far: the `.resource_table` section of one of them, or that there is none.
    ///
    /// # Errors
    /// [`WriteError::ResourceTable`] if several images have one, or it lies in no segment's file bytes; [`WriteError::Elf`].
    pub fn resource_table_of_images(self) -> Result<Self, WriteError> {
        let mut found = None;
        for (image, elf) in self.images.iter().enumerate() {
            if let Some(table) = find_table(image, elf)?
                && found.replace(table).is_some()
            {
                return Err(WriteError::ResourceTable("more than one image has one"));
            }
        }
        Ok(match found {
            Some((address, bytes)) => {
                let size = u32::try_from(bytes.len()).map_err(|_| WriteError::TooLarge)?;
                self.resource_table(address, size, &Sha256::digest(bytes).into())
            }
            None => self.no_resource_table(),
        })
    }

    /// Adds KEY_ID: SHA-256 over the signing key's DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn key_id(mut self, id: &[u8; 32]) -> Self {
        self.own.insert(format::TLV_KEY_ID, id.to_vec());
        self
    }

    /// Adds VERSION: the firmware's version, for people.
    ///
    /// # Errors
    /// [`WriteError::Value`] if it is empty, longer than 64 bytes or not printable ASCII.
    pub fn version(mut self, version: &str) -> Result<Self, WriteError> {
        if version.is_empty() || version.len() > format::MAX_VERSION || !is_printable(version) {
            return Err(WriteError::Value("a version is 1 to 64 printable ASCII characters".into()));
        }
        self.own.insert(format::TLV_VERSION, version.as_bytes().to_vec());
        Ok(self)
    }

    /// Adds COREDUMP: whether the memory of an encrypted image may be read for a dump.
    #[must_use]
    pub fn coredump(mut self, allowed: bool) -> Self {
        self.own.insert(format::TLV_COREDUMP, u32::from(allowed).to_le_bytes().to_vec());
        self
    }
}

/// Finds the resource table of a (plain) ELF file: its device address and its bytes as they will be loaded.
fn find_table(image: usize, elf: &[u8]) -> Result<Option<(u32, Vec<u8>)>, WriteError> {
    let refuse = |header, reason| WriteError::Elf { image, header, reason };
    let file = object::File::parse(elf).map_err(|_| refuse(None, "the ELF file's headers are malformed"))?;
    let Some(section) = file.section_by_name(".resource_table").filter(|section| section.size() > 0) else {
        return Ok(None);
    };
    let address = u32::try_from(section.address())
        .map_err(|_| WriteError::ResourceTable("its address exceeds 32 bits"))?;
    let size = section.size();
    let headers = elf::program_headers(elf).map_err(|defect| defect.of(image))?;
    for (index, header) in headers.iter().enumerate() {
        let start = header.physical_address.get();
        let Some(inside) = address.checked_sub(start) else { continue };
        if header.kind.get() == PT_LOAD && u64::from(inside) + size <= u64::from(header.file_size.get()) {
            let at = header.offset.get() as usize + inside as usize;
            let outside = refuse(Some(index), "a segment lies outside the file");
            let bytes = elf.get(at..at + size as usize).ok_or(outside)?;
            return Ok(Some((address, bytes.to_vec())));
        }
    }
    Err(WriteError::ResourceTable("it does not lie in the file bytes of one segment"))
}
