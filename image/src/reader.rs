//! The resumable reader: takes a container's bytes in order, in pieces of any size, and carries all state from call to call.
use crate::provider::{Destination, Hasher, Provider, TrustedKey};
use crate::target::Target;
use remoteproc_refusal::Refusal;

/// A refusal and where in the container it was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub refusal: Refusal,
    /// Offset in the container, bytes, where there is one.
    pub offset: Option<u64>,
}

/// Who signed the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Index into the trusted keys.
    pub key: usize,
    /// The algorithm's name.
    pub algorithm: &'static str,
}

/// A resource table, found and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceTable {
    /// As the remote processor sees it.
    pub device_address: u32,
    /// As this processor sees it.
    pub physical_address: u64,
    /// Bytes.
    pub size: u32,
}

/// What a finished load yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Device address of the vector table.
    pub boot_address: u32,
    /// The image asks for a secure boot, and the target honours it.
    pub secure: bool,
    /// The image asks for a secure boot, and the target runs it non-secure.
    pub secure_declined: bool,
    /// Where the resource table is, if the image has one.
    pub resource_table: Option<ResourceTable>,
}

/// Whether a resumable step has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    Pending,
    /// Ended.
    Done,
}

/// One segment of the plan, for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Image index.
    pub image: u8,
    /// Offset of the first byte in the container.
    pub container_offset: u64,
    /// As the remote processor sees it.
    pub device_address: u32,
    /// As this processor sees it.
    pub physical_address: u64,
    /// Bytes in the file.
    pub file_size: u32,
    /// Bytes in memory; what the file does not give is zero.
    pub memory_size: u32,
    /// ELF p_flags.
    pub flags: u32,
}

/// Reads one container. Calls out of order are refused, not undefined.
pub struct Reader<H: Hasher> {
    _hasher: Option<H>,
}

impl<H: Hasher> Reader<H> {
    /// Makes an idle reader.
    #[must_use]
    pub const fn new() -> Self {
        todo!()
    }
    /// Forgets everything and wipes the copy of the metadata.
    pub fn reset(&mut self) {
        todo!()
    }
    /// Starts a container of `total` bytes.
    pub fn begin(&mut self, total: u64) -> Result<(), Rejection> {
        todo!()
    }
    /// Takes the next bytes of header, TLVs and signature; returns how many it took. It never takes a byte of the images.
    pub fn push_metadata(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        todo!()
    }
    /// Tells whether header, TLVs and signature are complete.
    pub fn metadata_complete(&self) -> bool {
        todo!()
    }
    /// Bytes taken so far, metadata and images together.
    pub fn position(&self) -> u64 {
        todo!()
    }
    /// Length of the whole container as given to `begin`.
    pub fn total(&self) -> u64 {
        todo!()
    }
    /// Digest of header, TLVs and signature: what makes two loads the same image.
    pub fn identity<P: Provider<Hasher = H>>(&self, provider: &P) -> [u8; 32] {
        todo!()
    }
    /// Checks the signature against the trusted keys. Before this has succeeded, nothing else of the TLVs is believed.
    pub fn authenticate<P: Provider<Hasher = H>>(
        &mut self,
        provider: &P,
        keys: &[TrustedKey<'_>],
    ) -> Result<Signer, Rejection> {
        todo!()
    }
    /// Makes the plan from the signed table: which bytes go where.
    pub fn plan(&mut self, target: &Target<'_>) -> Result<(), Rejection> {
        todo!()
    }
    /// The planned segments (those that load or clear at least one byte).
    pub fn segments(&self) -> &[Segment] {
        todo!()
    }
    /// Takes the next bytes of the images, writes what belongs to segments.
    pub fn push<D: Destination>(&mut self, bytes: &[u8], destination: &mut D) -> Result<(), Rejection> {
        todo!()
    }
    /// Tells whether the last byte of the container has been taken.
    pub fn is_complete(&self) -> bool {
        todo!()
    }
    /// Hashes the loaded segments where they are, at most `budget` bytes in this call.
    pub fn verify_segments<P: Provider<Hasher = H>, D: Destination>(
        &mut self,
        provider: &P,
        destination: &mut D,
        budget: usize,
    ) -> Result<Progress, Rejection> {
        todo!()
    }
    /// Ends the load: boot address and resource table, read where they were loaded.
    pub fn finish<D: Destination>(
        &mut self,
        target: &Target<'_>,
        destination: &mut D,
    ) -> Result<Loaded, Rejection> {
        todo!()
    }
}
