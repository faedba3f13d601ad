//! The resumable reader: takes a container's bytes in order, in pieces of any size, and carries all state from call to call.
//!
//! The order of the calls is [`Reader::begin`], [`Reader::push_metadata`] until [`Reader::metadata_complete`],
//! [`Reader::authenticate`], [`Reader::plan`], [`Reader::push`] until [`Reader::is_complete`],
//! [`Reader::verify_segments`] until [`Progress::Done`], [`Reader::decrypt_segments`] until [`Progress::Done`] (at once for a plain
//! image, which may leave it out), [`Reader::finish`]. Another order is refused with
//! `CALL_OUT_OF_ORDER`. After a refusal every call answers the same refusal, until `begin` or `reset`.
//!
//! Where the format leaves a choice: TLVs are read up to the header's exact TLV length; the first TLV of a type counts; a TLV
//! that does not fit its area is refused once the signature verified (before that it only ends the search for SIGNTYPE); an
//! absent HASHTYPE means SHA-256; a resource table is optional.
//!
//! **The section headers are not signed**, unless the image has the TLV RESOURCE_TABLE, which outweighs them. Whoever passes the
//! file on can hide the resource table, or name another piece of an authenticated, shared segment that is a valid table; they can
//! change no byte that is loaded, nor where it is loaded.
use crate::decryption::Decryption;
use crate::elf::Elf;
use crate::format::HEADER_SIZE;
use crate::metadata::Metadata;
use crate::plan::Plan;
use crate::provider::{Destination, Hasher, Provider, TrustedKey};
use crate::sections::TableHint;
use crate::signature::Prepared;
use crate::target::{BootSecurity, Target};
use crate::verification::Verification;
use crate::{own, signature, table};
use remoteproc_refusal::Refusal;

pub use crate::metadata::MAX_METADATA;
pub use crate::own::{ImageTarget, OwnTlvs, SignedTable};
pub use crate::plan::{BOOT_ALIGNMENT, MAX_IMAGES, MAX_PROGRAM_HEADERS, MOST_LOADED, Segment};
pub use crate::rejection::Rejection;
pub use crate::resource_table::MAX_ENTRIES as MAX_RESOURCE_TABLE_ENTRIES;
pub use crate::sections::{MAX_NAMES, MAX_SECTIONS};
pub use crate::signature::Signer;
pub use crate::table::MAX_SIGNED_TABLE;
pub use crate::verification::Progress;

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
    /// Device address of the vector table. Nothing if the image names none, and the target's default is none either or does
    /// not fit this image (outside its segments, in shared memory, misaligned): the image is loaded, but can't be started.
    pub boot_address: Option<u32>,
    /// The image asks for a secure boot, and the target honours it.
    pub secure: bool,
    /// The image asks for a secure boot, and the target runs it non-secure.
    pub secure_declined: bool,
    /// Where the resource table is, if the image has one.
    pub resource_table: Option<ResourceTable>,
    /// The image's security counter; 0 if it has none.
    pub security_counter: u32,
    /// The image came encrypted.
    pub encrypted: bool,
    /// The processor's memory may be read for a dump: it is plain, or the signer allows it.
    pub coredump_allowed: bool,
}

/// Where a load stands.
///
/// Idle is zero, so that a static with idle readers is all zeros and takes no room in a program's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    Idle = 0,
    Metadata,
    Authenticated,
    Planned,
    Complete,
    Hashed,
    Verified,
    Finished,
    Failed(Rejection),
}

/// Reads one container. Calls out of order are refused, not undefined.
///
/// About 26 KiB, so it belongs into a static or into its owner's memory, not onto a small stack.
#[cfg_attr(feature = "snapshot", derive(Clone))]
pub struct Reader<H: Hasher> {
    stage: Stage,
    total: u64,
    position: u64,
    metadata: Metadata,
    /// What the check of the signature needs, once that was looked up.
    prepared: Option<Prepared>,
    plan: Plan,
    elf: Elf,
    /// Index of the image that is taken now.
    image: usize,
    /// Entries of the signed table that the images before this one use.
    entries_used: usize,
    /// What section headers said.
    table: Option<TableHint>,
    verification: Verification<H>,
    decryption: Decryption,
}

impl<H: Hasher> Default for Reader<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Hasher> Reader<H> {
    /// Makes an idle reader.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stage: Stage::Idle,
            total: 0,
            position: 0,
            metadata: Metadata::new(),
            prepared: None,
            plan: Plan::new(),
            elf: Elf::new(),
            image: 0,
            entries_used: 0,
            table: None,
            verification: Verification::new(),
            decryption: Decryption::new(),
        }
    }

    /// Forgets everything and wipes the copy of the metadata.
    pub fn reset(&mut self) {
        self.stage = Stage::Idle;
        self.total = 0;
        self.position = 0;
        self.metadata.reset();
        self.prepared = None;
        self.plan.reset();
        self.elf.begin(0, 0, 0);
        self.image = 0;
        self.entries_used = 0;
        self.table = None;
        self.verification = Verification::new();
        self.decryption = Decryption::new();
    }

    /// Starts a container of `total` bytes. Allowed at any time; what was before is forgotten.
    ///
    /// # Errors
    /// `TOO_SHORT` if no header fits.
    pub fn begin(&mut self, total: u64) -> Result<(), Rejection> {
        self.reset();
        self.total = total;
        self.stage = Stage::Metadata;
        let result =
            if total < HEADER_SIZE as u64 { Err(Rejection::whole(Refusal::TooShort)) } else { Ok(()) };
        self.settle(result)
    }

    /// Takes the next bytes of header, TLVs and signature; returns how many it took. It never takes a byte of the images.
    ///
    /// # Errors
    /// What is wrong with the header: `BAD_MAGIC`, `BAD_VERSION`, `EMPTY_TLV_AREA`, `EMPTY_SIGNATURE`, `SIZE_MISMATCH`,
    /// `METADATA_TOO_LARGE`.
    pub fn push_metadata(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        self.expect(Stage::Metadata)?;
        let result = self.metadata.push(bytes, self.total);
        if let Ok(taken) = result {
            self.position = self.position.saturating_add(taken as u64);
        }
        self.settle(result)
    }

    /// Tells whether header, TLVs and signature are complete.
    #[must_use]
    pub fn metadata_complete(&self) -> bool {
        self.metadata.is_complete()
    }

    /// Bytes of the metadata that are still missing: of the header only, until that has told how long the rest is.
    #[must_use]
    pub fn metadata_missing(&self) -> usize {
        self.metadata.missing()
    }

    /// Bytes taken so far, metadata and images together.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Length of the whole container as given to `begin`.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Digest of header, TLVs and signature with their pads: what makes two loads the same image. Of what there is so far,
    /// while [`Self::metadata_complete`] says no.
    #[must_use]
    pub fn identity<P: Provider<Hasher = H>>(&self, provider: &P) -> [u8; 32] {
        let mut hasher = provider.sha256();
        hasher.update(self.metadata.all());
        hasher.finish()
    }

    /// SHA-256 over what the signature covers: header and TLV area with its pad. Of what there is so far, while
    /// [`Self::metadata_complete`] says no.
    #[must_use]
    pub fn signed_metadata<P: Provider<Hasher = H>>(&self, provider: &P) -> [u8; 32] {
        let mut hasher = provider.sha256();
        hasher.update(self.metadata.signed());
        hasher.finish()
    }

    /// Checks the signature against the trusted keys. Before this has succeeded, nothing else of the TLVs is believed.
    ///
    /// # Errors
    /// `SIGNATURE_TYPE_MISSING`, `SIGNATURE_TYPE_UNKNOWN`, `NO_TRUSTED_KEY`, `SIGNATURE_LENGTH`, `SIGNATURE_INVALID`.
    pub fn authenticate<P: Provider<Hasher = H>>(
        &mut self,
        provider: &P,
        keys: &[TrustedKey<'_>],
    ) -> Result<Signer, Rejection> {
        loop {
            if let Some(signer) = self.authenticate_next(provider, keys)? {
                return Ok(signer);
            }
        }
    }

    /// [`Self::authenticate`] for whoever has to bound the work of a call: checks the signature against one trusted key, the next
    /// one that could have made it. `None`: it has not made it, but there are others to try. `keys` are the same in each call.
    ///
    /// # Errors
    /// Those of [`Self::authenticate`].
    pub fn authenticate_next<P: Provider<Hasher = H>>(
        &mut self,
        provider: &P,
        keys: &[TrustedKey<'_>],
    ) -> Result<Option<Signer>, Rejection> {
        self.prepare_authentication(provider, keys)?;
        let Some(prepared) = &mut self.prepared else {
            return self.settle(Err(Rejection::whole(Refusal::CallOutOfOrder)));
        };
        let result = signature::try_next(&self.metadata, provider, keys, prepared);
        if matches!(result, Ok(Some(_))) {
            self.stage = Stage::Authenticated;
        }
        self.settle(result)
    }

    /// Does what [`Self::authenticate_next`] does otherwise before its first check: hashes the metadata, and sees whether any key could
    /// have made the signature.
    ///
    /// # Errors
    /// Those of [`Self::authenticate`], but `SIGNATURE_INVALID`.
    pub fn prepare_authentication<P: Provider<Hasher = H>>(
        &mut self,
        provider: &P,
        keys: &[TrustedKey<'_>],
    ) -> Result<(), Rejection> {
        self.expect(Stage::Metadata)?;
        if !self.metadata.is_complete() {
            return self.settle(Err(Rejection::whole(Refusal::CallOutOfOrder)));
        }
        if self.prepared.is_none() {
            let prepared = signature::prepare(&self.metadata, provider, keys);
            self.prepared = Some(self.settle(prepared)?);
        }
        Ok(())
    }

    /// Makes the plan from the signed table: which bytes go where, and where the processor boots.
    ///
    /// # Errors
    /// What is wrong with the TLVs, or which rule a segment or the boot address breaks (numbers 0x0108, 0x0109, 0x0206, 0x0207,
    /// 0x03xx, 0x07xx).
    pub fn plan(&mut self, target: &Target<'_>) -> Result<(), Rejection> {
        self.expect(Stage::Authenticated)?;
        let result = self.plan.make(&self.metadata, target);
        if result.is_ok() {
            self.stage = Stage::Planned;
            self.begin_image();
        }
        self.settle(result)
    }

    /// The planned segments (those that load or clear at least one byte), in the order of the signed table.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        self.plan.segments()
    }

    /// The signed digest of a planned segment's file bytes, by its index in [`Self::segments`].
    #[must_use]
    pub fn signed_digest(&self, segment: usize) -> Option<&[u8; 32]> {
        self.plan.digest(&self.metadata, segment)
    }

    /// Takes the next bytes of the images, writes what belongs to segments. The caller has cleared the destination.
    ///
    /// # Errors
    /// What is wrong with the ELF files (numbers 0x04xx), `SEGMENT_OUTSIDE_IMAGE`, `RESOURCE_TABLE_TWICE`,
    /// `DESTINATION_ABORT`. Bytes beyond the container's end are `CALL_OUT_OF_ORDER`.
    pub fn push<D: Destination>(&mut self, bytes: &[u8], destination: &mut D) -> Result<(), Rejection> {
        self.expect(Stage::Planned)?;
        let result = self.take(bytes, destination);
        self.settle(result)
    }

    fn take<D: Destination>(&mut self, bytes: &[u8], destination: &mut D) -> Result<(), Rejection> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            if self.stage != Stage::Planned {
                return Err(Rejection::at(Refusal::CallOutOfOrder, self.position));
            }
            let count = (self.elf.missing() as usize).min(bytes.len());
            let (now, later) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            self.elf.push(now, self.entries_used, &self.metadata, &mut self.plan, destination)?;
            self.position = self.position.saturating_add(now.len() as u64);
            bytes = later;
            if self.elf.missing() == 0 {
                self.end_image()?;
            }
        }
        Ok(())
    }

    /// Starts the image with index `self.image`, or ends the taking if there is none.
    fn begin_image(&mut self) {
        match (self.plan.image_sizes.get(self.image), u8::try_from(self.image)) {
            (Some(size), Ok(image)) => self.elf.begin(image, self.position, *size),
            _ => self.stage = Stage::Complete,
        }
    }

    /// All bytes of an image were taken.
    fn end_image(&mut self) -> Result<(), Rejection> {
        if let Some(hint) = self.elf.end()?
            && self.table.replace(hint).is_some()
        {
            return Err(Rejection::at(Refusal::ResourceTableTwice, self.position));
        }
        self.entries_used = self.elf.entries_used();
        self.image = self.image.saturating_add(1);
        self.begin_image();
        Ok(())
    }

    /// Tells whether the last byte of the container has been taken.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Complete | Stage::Hashed | Stage::Verified | Stage::Finished)
    }

    /// Hashes the loaded segments where they are, at most `budget` bytes in this call. The normal world must not be able to
    /// write the destination any more.
    ///
    /// # Errors
    /// `SEGMENT_HASH_MISMATCH`, `DESTINATION_ABORT`; the offset is the segment's in the container.
    pub fn verify_segments<P: Provider<Hasher = H>, D: Destination>(
        &mut self,
        provider: &P,
        destination: &mut D,
        budget: usize,
    ) -> Result<Progress, Rejection> {
        if matches!(self.stage, Stage::Hashed | Stage::Verified) {
            return Ok(Progress::Done);
        }
        self.expect(Stage::Complete)?;
        let result = self.verification.go_on(provider, destination, budget, &self.plan, &self.metadata);
        if result == Ok(Progress::Done) {
            self.stage = if self.plan.encrypted { Stage::Hashed } else { Stage::Verified };
        }
        self.settle(result)
    }

    /// [`Self::verify_segments`] for the tests' controls: believes that the segments are what was signed.
    ///
    /// # Errors
    /// `CALL_OUT_OF_ORDER`.
    #[cfg(feature = "control")]
    pub fn believe_segments(&mut self) -> Result<(), Rejection> {
        self.expect(Stage::Complete)?;
        self.stage = if self.plan.encrypted { Stage::Hashed } else { Stage::Verified };
        Ok(())
    }

    /// Decrypts the loaded segments of an encrypted image where they are, at most `budget` bytes in this call, in whole blocks of
    /// 16. Every segment's ciphertext has matched its hash by then. `target` is the one of [`Self::plan`].
    ///
    /// # Errors
    /// `ENCRYPTION_UNSUPPORTED` if the provider can't decrypt with the target's key, `DESTINATION_ABORT`.
    pub fn decrypt_segments<P: Provider<Hasher = H>, D: Destination>(
        &mut self,
        provider: &P,
        target: &Target<'_>,
        destination: &mut D,
        budget: usize,
    ) -> Result<Progress, Rejection> {
        if self.stage == Stage::Verified {
            return Ok(Progress::Done);
        }
        self.expect(Stage::Hashed)?;
        let result = match &target.decryption_key {
            Some(key) => {
                let Self { decryption, plan, metadata, .. } = self;
                decryption.go_on((provider, key), destination, budget, plan, metadata)
            }
            None => Err(Rejection::whole(Refusal::NoDecryptionKey)),
        };
        if result == Ok(Progress::Done) {
            self.stage = Stage::Verified;
        }
        self.settle(result)
    }

    /// Tells whether the planned image is encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.plan.encrypted
    }

    /// The own TLVs, once the plan was made (so that they are authenticated and well-formed); nothing before.
    #[must_use]
    pub fn own_tlvs(&self) -> Option<OwnTlvs<'_>> {
        let planned =
            !matches!(self.stage, Stage::Idle | Stage::Metadata | Stage::Authenticated | Stage::Failed(_));
        own::read(&self.metadata).ok().filter(|_| planned)
    }

    /// Ends the load: boot address and resource table, read where it was loaded. `target` is the one of [`Self::plan`].
    ///
    /// # Errors
    /// What is wrong with the resource table (numbers 0x06xx), `DESTINATION_ABORT`.
    pub fn finish<P: Provider<Hasher = H>, D: Destination>(
        &mut self,
        provider: &P,
        target: &Target<'_>,
        destination: &mut D,
    ) -> Result<Loaded, Rejection> {
        self.expect(Stage::Verified)?;
        let table = match (self.plan.signed_table, self.table) {
            (Some(signed), _) => table::check_signed(&signed, &self.plan, provider, target, destination),
            (None, Some(hint)) => table::check(hint, &self.plan, target, destination).map(Some),
            (None, None) => Ok(None),
        };
        let honoured = target.boot_security == BootSecurity::Honoured;
        let result = table.map(|resource_table| Loaded {
            boot_address: self.plan.boot_address,
            secure: self.plan.asks_secure && honoured,
            secure_declined: self.plan.asks_secure && !honoured,
            resource_table,
            security_counter: self.plan.security_counter,
            encrypted: self.plan.encrypted,
            coredump_allowed: self.plan.coredump,
        });
        if result.is_ok() {
            self.stage = Stage::Finished;
        }
        self.settle(result)
    }

    /// Refuses a call that does not belong to this stage.
    fn expect(&mut self, stage: Stage) -> Result<(), Rejection> {
        if let Stage::Failed(rejection) = self.stage {
            return Err(rejection);
        }
        if self.stage == stage {
            return Ok(());
        }
        self.settle(Err(Rejection::whole(Refusal::CallOutOfOrder)))
    }

    /// Remembers a refusal, so that nothing goes on after it.
    fn settle<T>(&mut self, result: Result<T, Rejection>) -> Result<T, Rejection> {
        if let Err(rejection) = result {
            self.stage = Stage::Failed(rejection);
        }
        result
    }
}
