//! LOAD_FW: from the bytes a client shares to checked firmware in the processor's memory.
//!
//! A load is a walk through [`Step`]s, each of which does a bounded piece of work. Today one request walks all the way. Until
//! `Claim` has passed, nothing but the reader's copy of the metadata has been touched; from then on, a refusal clears the
//! processor's memory.
use crate::client_memory::{ClientMemory, MemoryError};
use crate::clients::Caller;
use crate::configuration::{Board, Processor};
use crate::control::Followed;
use crate::counters::Counters;
use crate::hardware::Machine;
use crate::lifecycle::{Ask, Event, Pending, State, Verdict};
use crate::processor::Firmware;
use crate::regions::{self, Cursor};
use crate::result::Refused;
use crate::seal::Seal;
use crate::service::{Outcome, PIECE, Service};
use crate::{ranges, report};
use remoteproc_abi::door_d::{Answer, LoadArguments};
use remoteproc_abi::result::TeeResult;
use remoteproc_image::reader::Progress;
use remoteproc_image::target::Target;
use remoteproc_refusal::Refusal;

/// Most bytes of loaded segments hashed in one step.
const HASH_SLICE: usize = 1 << 16;

/// What a load does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Copy header, TLVs and signature in, piece by piece.
    Metadata,
    /// Compare with what is loaded.
    Compare,
    /// Check the signature.
    Authenticate,
    /// Hold the processor, then claim it.
    Claim,
    /// Close its memory to everybody else.
    Close,
    /// Clear its memory, slice by slice.
    Clear(Cursor),
    /// Plan from the signed table.
    Plan,
    /// Copy the images in, piece by piece, and write what belongs to segments.
    Transfer,
    /// Hash the segments where they are, slice by slice.
    Verify,
    /// Resource table and boot address; open the shared regions.
    Finish,
}

/// Where a step leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Go on.
    Step(Step),
    /// The firmware is loaded, or was already.
    Loaded,
    /// The hardware is still holding the processor: the client calls again, from the start.
    Holding,
}

/// One load under way.
#[derive(Clone, Copy, Debug)]
struct Job {
    caller: Caller,
    /// Index of the processor.
    index: usize,
    handle: u64,
    /// Only the image that is loaded already will do.
    only_the_same: bool,
    step: Step,
}

impl<M: Machine> Service<'_, M> {
    /// LOAD_FW. The handle is given back on every path.
    pub(crate) fn load<C: ClientMemory>(
        &mut self,
        caller: Caller,
        index: usize,
        arguments: &LoadArguments,
        memory: &mut C,
    ) -> Outcome {
        let only_the_same = self.admit(index, caller, Ask::Load)? == Verdict::OnlyTheSame;
        let LoadArguments { handle, total, offset, lent, one_call } = *arguments;
        if one_call {
            // Reserved: no manifest names an endpoint that may use it yet.
            return Err(Refusal::FlagsUnknown.into());
        }
        if offset != 0 {
            return Err(Refusal::OffsetUnexpected.into());
        }
        if !self.driver(index)?.enforces_isolation() && !self.board.accept_no_isolation {
            return Err(Refusal::IsolationFailed.into());
        }
        let retrieved = memory.retrieve(caller.endpoint, handle, lent).map_err(refusal_of)?;
        let checked = ranges::check(&self.board, &retrieved).and_then(|()| {
            if ranges::total_size(&retrieved) < total {
                return Err(Refusal::ShareTooSmall);
            }
            memory.map(handle, &retrieved).map_err(refusal_of)
        });
        let job = Job { caller, index, handle, only_the_same, step: Step::Metadata };
        let outcome = checked.map_err(Into::into).and_then(|()| self.walk(job, total, memory));
        memory.relinquish(handle);
        self.reader.reset();
        outcome
    }

    /// Walks a load to its end, and clears up behind one that was refused after the claim.
    fn walk<C: ClientMemory>(&mut self, mut job: Job, total: u64, memory: &mut C) -> Outcome {
        self.reader.begin(total)?;
        loop {
            match self.step(&job, memory) {
                Ok(Next::Step(step)) => job.step = step,
                Ok(Next::Loaded) => return Ok(Answer::with(TeeResult::Success, [total, total, 0, 0])),
                Ok(Next::Holding) => return Ok(Answer::with(TeeResult::InProgress, [0, total, 0, 0])),
                Err(refused) if self.slot(job.index)?.state() == State::Loading => {
                    return Err(self.wipe_after(job.index, refused));
                }
                Err(refused) => return Err(refused),
            }
        }
    }

    fn step<C: ClientMemory>(&mut self, job: &Job, memory: &mut C) -> Result<Next, Refused> {
        let index = job.index;
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        Ok(Next::Step(match job.step {
            Step::Metadata => {
                self.copy_metadata(job.handle, memory)?;
                if self.reader.metadata_complete() { Step::Compare } else { Step::Metadata }
            }
            Step::Compare => {
                if !job.only_the_same {
                    return Ok(Next::Step(Step::Authenticate));
                }
                let identity = self.reader.identity(self.machine.crypto());
                let firmware = self.slots.get(index).and_then(|slot| slot.firmware.as_ref());
                if firmware.is_none_or(|firmware| firmware.identity != identity) {
                    return Err(Refusal::AnotherImageLoaded.into());
                }
                self.counters.repeated_loads = self.counters.repeated_loads.saturating_add(1);
                log::info!("{}: this image is loaded already", processor.name);
                return Ok(Next::Loaded);
            }
            Step::Authenticate => {
                self.counters.signature_checks = self.counters.signature_checks.saturating_add(1);
                let signer = self.reader.authenticate(self.machine.crypto(), &self.board.keys)?;
                report::signature_verified(processor, &self.board, &signer);
                Step::Claim
            }
            Step::Claim => {
                let progress = self.driver(index)?.hold();
                match self.follow(index, Pending::Load, progress)? {
                    Followed::Pending => return Ok(Next::Holding),
                    Followed::Failed => return Err(Refusal::HardwareFailed.into()),
                    Followed::Done => {}
                }
                let slot = self.slot(index)?;
                slot.happened(Event::Claimed);
                slot.owner = Some(job.caller);
                Step::Close
            }
            Step::Close => {
                regions::close(&mut self.machine, index, processor)?;
                Step::Clear(Cursor::default())
            }
            Step::Clear(cursor) => {
                regions::clear_slice(&mut self.machine, processor, cursor)?.map_or(Step::Plan, Step::Clear)
            }
            Step::Plan => {
                self.reader.plan(&target_of(&self.board, processor))?;
                Step::Transfer
            }
            Step::Transfer => {
                if self.reader.is_complete() {
                    return Ok(Next::Step(Step::Verify));
                }
                self.copy_images(job.handle, memory)?;
                Step::Transfer
            }
            Step::Verify => {
                let (crypto, destination) = self.machine.crypto_and_memory();
                match self.reader.verify_segments(crypto, destination, HASH_SLICE)? {
                    Progress::Pending => Step::Verify,
                    Progress::Done => Step::Finish,
                }
            }
            Step::Finish => {
                self.finish(job)?;
                return Ok(Next::Loaded);
            }
        }))
    }

    /// Copies the next piece of header, TLVs and signature in, and not a byte beyond them.
    fn copy_metadata<C: ClientMemory>(&mut self, handle: u64, memory: &mut C) -> Result<(), Refused> {
        let position = self.reader.position();
        let size = self.reader.metadata_missing().min(PIECE);
        let bytes = self.buffer.get_mut(..size).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or(Refusal::TooShort)?;
        read(memory, handle, position, bytes)?;
        self.counters.client_bytes_read = self.counters.client_bytes_read.saturating_add(size as u64);
        if self.reader.push_metadata(bytes)? != size {
            // Bytes that were read and not taken would have to be read again.
            return Err(Refusal::SizeMismatch.into());
        }
        Ok(())
    }

    /// Copies the next piece of the images in and hands it to the reader.
    fn copy_images<C: ClientMemory>(&mut self, handle: u64, memory: &mut C) -> Result<(), Refused> {
        let position = self.reader.position();
        let left = self.reader.total().saturating_sub(position);
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let bytes = self.buffer.get_mut(..size).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or(Refusal::SizeMismatch)?;
        read(memory, handle, position, bytes)?;
        let Counters { client_bytes_read: all, segment_bytes_read: images, .. } = &mut self.counters;
        *all = all.saturating_add(size as u64);
        *images = images.saturating_add(size as u64);
        Ok(self.reader.push(bytes, self.machine.memory())?)
    }

    fn finish(&mut self, job: &Job) -> Result<(), Refused> {
        let index = job.index;
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let loaded = self.reader.finish(&target_of(&self.board, processor), self.machine.memory())?;
        let seal = if self.machine.driver(index).is_some_and(|driver| driver.enforces_isolation()) {
            None
        } else {
            Some(Seal::new(processor, &self.reader, self.machine.crypto())?)
        };
        regions::open(&mut self.machine, index, processor)?;
        let total = self.reader.total();
        report::loaded(processor, job.caller, total, self.reader.segments(), &loaded);
        let identity = self.reader.identity(self.machine.crypto());
        let slot = self.slot(index)?;
        slot.happened(Event::LoadDone);
        slot.firmware = Some(Firmware {
            identity,
            boot_address: loaded.boot_address,
            secure: loaded.secure,
            resource_table: loaded.resource_table,
            seal,
        });
        self.counters.loads = self.counters.loads.saturating_add(1);
        Ok(())
    }
}

fn read<C: ClientMemory>(memory: &mut C, handle: u64, offset: u64, into: &mut [u8]) -> Result<(), Refused> {
    let refused = |error| Refused { refusal: refusal_of(error), offset: Some(offset) };
    memory.read(handle, offset, into).map_err(refused)
}

fn target_of<'t>(board: &'t Board<'_>, processor: &'t Processor<'_>) -> Target<'t> {
    Target {
        regions: &processor.regions,
        default_boot_address: processor.default_boot_address,
        boot_security: processor.boot_security,
        strict_platform_tlvs: board.strict_platform_tlvs,
    }
}

/// Returns why memory that can't be used is refused.
const fn refusal_of(error: MemoryError) -> Refusal {
    match error {
        MemoryError::UnknownHandle => Refusal::HandleUnknown,
        MemoryError::Malformed => Refusal::ShareMalformed,
        // Room for mappings is bounded by the number of ranges.
        MemoryError::TooManyRanges | MemoryError::NoRoom => Refusal::TooManyRanges,
        MemoryError::Abort => Refusal::MemoryAbort,
        MemoryError::OutOfBounds => Refusal::ShareTooSmall,
    }
}
