//! LOAD_FW: from the bytes a client shares to checked firmware in the processor's memory.
//!
//! A load is a walk through [`Step`]s. One request goes as far as a [`Budget`] reaches, then answers IN_PROGRESS; the next one
//! goes on. Until `Claim` has passed, nothing but the reader's copy of the metadata has been touched; from then on, a refusal
//! clears the processor's memory first, slice by slice, and is answered when that is done.
use crate::client_memory::{ClientMemory, MemoryError};
use crate::clients::Caller;
use crate::configuration::{Board, Processor};
use crate::control::Followed;
use crate::counters::Counters;
use crate::hardware::{Machine, SecurityCounter};
use crate::jobs::{Share, Work};
use crate::lifecycle::{Ask, Event, Pending, State, Verdict};
use crate::processor::Firmware;
use crate::regions::{self, Cursor};
use crate::result::Refused;
use crate::seal::{Check, Seal};
use crate::service::{Outcome, PIECE, Service};
use crate::slice::Budget;
use crate::{ranges, report};
use remoteproc_abi::door_d::{Answer, LoadArguments};
use remoteproc_abi::result::TeeResult;
use remoteproc_image::reader::Progress;
use remoteproc_image::target::Target;
use remoteproc_refusal::Refusal;

/// Most slices of a load that has to finish in one request: far more than any container takes, and an end for a driver that
/// never gets done under a clock that stands still.
const MOST_SLICES: u32 = 10_000_000;

/// What a load does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Copy header, TLVs and signature in, piece by piece.
    Metadata,
    /// Compare with what is loaded; check the signature.
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
    /// Decrypt the segments where they are, slice by slice.
    Decrypt,
    /// Hash the plaintext of an encrypted image's private segments, slice by slice, where the hardware does not close them.
    Seal,
    /// Resource table and boot address; open the shared regions. With what `Seal` has found.
    Finish(Option<[u8; 32]>),
}

/// Where a step leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Go on.
    Step(Step),
    /// Go on in the next request: it has a whole slice again, or the next share, or the hardware is further.
    Wait,
    /// The firmware is loaded, or was already.
    Loaded,
}

impl<M: Machine> Service<'_, M> {
    /// LOAD_FW. Whatever is answered but IN_PROGRESS (and OFFSET_UNEXPECTED, with which the load stands) ends the load, and its
    /// handle is given back.
    pub(crate) fn load<C: ClientMemory>(
        &mut self,
        caller: Caller,
        index: usize,
        arguments: &LoadArguments,
        memory: &mut C,
    ) -> Outcome {
        if !arguments.one_call {
            return self.load_slice(caller, index, arguments, memory);
        }
        if !self.board.one_call_endpoints.contains(&caller.endpoint) {
            return Err(Refusal::FlagsUnknown.into());
        }
        if arguments.offset != 0 {
            return Err(Refusal::OffsetUnexpected.into());
        }
        for _ in 0..MOST_SLICES {
            let answer = self.load_slice(caller, index, arguments, memory)?;
            if answer.tee_result() != Some(TeeResult::InProgress) {
                return Ok(answer);
            }
            let Some(place) = self.place_of(caller, index) else { continue };
            if matches!(self.work(place)?, Work { share: None, refused: None, .. }) {
                // There is no next share in this request.
                self.fail(place, Refusal::ShareTooSmall.into(), memory)?;
            }
        }
        let Some(place) = self.place_of(caller, index) else { return Err(Refusal::HardwareFailed.into()) };
        self.fail(place, Refusal::HardwareFailed.into(), memory)
    }

    /// One slice of a load.
    fn load_slice<C: ClientMemory>(
        &mut self,
        caller: Caller,
        index: usize,
        arguments: &LoadArguments,
        memory: &mut C,
    ) -> Outcome {
        match self.enter(caller, index, arguments, memory) {
            Ok(Some(place)) => self.walk(place, memory),
            Ok(None) => Ok(Answer::with(TeeResult::InProgress, [0, arguments.total, 0, 0])),
            Err(refused) if refused.refusal == Refusal::OffsetUnexpected => Err(refused),
            Err(refused) => match self.place_of(caller, index) {
                Some(place) => self.fail(place, refused, memory),
                None => Err(refused),
            },
        }
    }

    /// Finds the load that a request goes on with, or makes one; takes over the memory that it names. `None`: the processor's
    /// memory has to be cleared first, and a part of that was done.
    fn enter<C: ClientMemory>(
        &mut self,
        caller: Caller,
        index: usize,
        arguments: &LoadArguments,
        memory: &mut C,
    ) -> Result<Option<usize>, Refused> {
        let only_the_same = self.admit(index, caller, Ask::Load)? == Verdict::OnlyTheSame;
        let now = self.machine.milliseconds();
        let place = self.place_of(caller, index);
        let LoadArguments { handle, total, offset, lent, .. } = *arguments;
        if let Some(place) = place {
            let work = self.work(place)?;
            work.touched = now;
            work.only_the_same = only_the_same;
            let goes_on = |share: Share| share.handle == handle && share.offset == offset;
            if work.refused.is_some() || (work.total == total && work.share.is_some_and(goes_on)) {
                return Ok(Some(place));
            }
        }
        let slot = self.slot(index)?;
        if slot.owner == Some(caller) && slot.wipe.is_some() {
            self.wipe_after(index, &mut Budget::new())?;
            return Ok(None);
        }
        let follows = match place {
            Some(place) => {
                let work = self.work(place)?;
                work.done == offset && offset < total && work.total == total
            }
            None => false,
        };
        if offset != 0 && !follows {
            return Err(Refusal::OffsetUnexpected.into());
        }
        if !self.driver(index)?.enforces_isolation() && !self.board.accept_no_isolation {
            return Err(Refusal::IsolationFailed.into());
        }
        let place = match place {
            Some(place) => place,
            None => self.make_room(caller, now, memory)?,
        };
        if offset == 0 {
            let work = self.works.get_mut(place).ok_or(Refusal::CallOutOfOrder)?;
            if let Some(Share { handle, .. }) = work.take().and_then(|work| work.share) {
                memory.relinquish(handle);
            }
            let step = Step::Metadata;
            let (done, share, refused, touched) = (0, None, None, now);
            *work = Some(Work { caller, index, total, step, done, share, only_the_same, refused, touched });
            self.readers.get_mut(place).ok_or(Refusal::CallOutOfOrder)?.begin(total)?;
        }
        let work = self.work(place)?;
        if let Some(Share { handle, .. }) = work.share.take() {
            memory.relinquish(handle);
        }
        let retrieved = memory.retrieve(caller.endpoint, handle, lent).map_err(refusal_of)?;
        let size = ranges::total_size(&retrieved);
        let end = offset.saturating_add(size).min(total);
        // Held from here on: whoever ends the load gives it back.
        work.share = Some(Share { handle, offset, end });
        ranges::check(&self.board, &retrieved)?;
        if size == 0 {
            return Err(Refusal::ShareTooSmall.into());
        }
        memory.map(handle, &retrieved).map_err(refusal_of)?;
        Ok(Some(place))
    }

    /// Finds room for another load. A client has room for one load that has claimed nothing yet. If there is none left, the load
    /// that was idle for the longest time, beyond the limit, is given up: first of those that have claimed nothing.
    fn make_room<C: ClientMemory>(
        &mut self,
        caller: Caller,
        now: u64,
        memory: &mut C,
    ) -> Result<usize, Refused> {
        let limit = u64::from(self.board.idle_claim_ms);
        let idle = |work: &Work| now.saturating_sub(work.touched) > limit;
        let claims = |work: &Work| {
            let slot = self.slots.get(work.index);
            slot.is_some_and(|slot| slot.state() == State::Loading && slot.owner == Some(work.caller))
        };
        let under_way =
            || self.works.iter().enumerate().filter_map(|(place, work)| Some((place, work.as_ref()?)));
        let own = under_way().find(|(_, work)| work.caller == caller && !claims(work));
        let victim = match own {
            Some((place, work)) if idle(work) => place,
            Some(_) => return Err(Refusal::MetadataSlotsFull.into()),
            None => {
                if let Some(free) = self.works.iter().position(Option::is_none) {
                    return Ok(free);
                }
                let oldest = under_way()
                    .filter(|(_, work)| idle(work))
                    .min_by_key(|(_, work)| (claims(work), work.touched));
                oldest.ok_or(Refusal::MetadataSlotsFull)?.0
            }
        };
        let idler = self.work(victim)?.caller.endpoint;
        log::warn!("an idle load of {idler:#06x} is given up for one of {:#06x}", caller.endpoint);
        self.end(victim, memory);
        Ok(victim)
    }

    /// Returns where this client's load of this processor is kept.
    pub(crate) fn place_of(&self, caller: Caller, index: usize) -> Option<usize> {
        self.works
            .iter()
            .position(|work| work.as_ref().is_some_and(|work| work.caller == caller && work.index == index))
    }

    fn work(&mut self, place: usize) -> Result<&mut Work, Refused> {
        let work = self.works.get_mut(place).and_then(Option::as_mut);
        work.ok_or(Refusal::CallOutOfOrder.into())
    }

    /// Ends a load: gives its handle back and wipes its copy of the metadata.
    pub(crate) fn end<C: ClientMemory>(&mut self, place: usize, memory: &mut C) {
        let work = self.works.get_mut(place).and_then(Option::take);
        if let Some(Share { handle, .. }) = work.and_then(|work| work.share) {
            memory.relinquish(handle);
        }
        if let Some(reader) = self.readers.get_mut(place) {
            reader.reset();
        }
    }

    /// Walks a load as far as one slice reaches.
    fn walk<C: ClientMemory>(&mut self, place: usize, memory: &mut C) -> Outcome {
        let mut budget = Budget::new();
        let Work { index, total, refused, .. } = *self.work(place)?;
        if let Some(refused) = refused {
            return match self.wipe_after(index, &mut budget)? {
                Progress::Pending => self.in_progress(place),
                Progress::Done => {
                    self.end(place, memory);
                    Err(refused)
                }
            };
        }
        loop {
            match self.step(place, &mut budget, memory) {
                Ok(Next::Step(step)) => self.work(place)?.step = step,
                Ok(Next::Wait) => return self.in_progress(place),
                Ok(Next::Loaded) => {
                    self.end(place, memory);
                    return Ok(Answer::with(TeeResult::Success, [total, total, 0, 0]));
                }
                Err(refused) => return self.fail(place, refused, memory),
            }
        }
    }

    fn in_progress(&mut self, place: usize) -> Outcome {
        let Work { done, total, .. } = *self.work(place)?;
        Ok(Answer::with(TeeResult::InProgress, [done, total, 0, 0]))
    }

    /// A load can't succeed any more. If it has claimed the processor, that is cleared before the client hears of it.
    fn fail<C: ClientMemory>(&mut self, place: usize, refused: Refused, memory: &mut C) -> Outcome {
        let Work { caller, index, .. } = *self.work(place)?;
        let slot = self.slot(index)?;
        if slot.state() == State::Loading && slot.owner == Some(caller) {
            slot.begin_wipe(None);
            self.work(place)?.refused = Some(refused);
            return self.in_progress(place);
        }
        self.end(place, memory);
        Err(refused)
    }

    fn step<C: ClientMemory>(
        &mut self,
        place: usize,
        budget: &mut Budget,
        memory: &mut C,
    ) -> Result<Next, Refused> {
        let Work { caller, index, step, only_the_same, .. } = *self.work(place)?;
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let reader = self.readers.get_mut(place).ok_or(Refusal::CallOutOfOrder)?;
        Ok(Next::Step(match step {
            Step::Metadata if reader.metadata_complete() => Step::Authenticate,
            Step::Metadata => return self.copy(place, budget, memory),
            Step::Authenticate if only_the_same => {
                let identity = reader.identity(self.machine.crypto());
                let firmware = self.slots.get(index).and_then(|slot| slot.firmware.as_ref());
                if firmware.is_none_or(|firmware| firmware.identity != identity) {
                    return Err(Refusal::AnotherImageLoaded.into());
                }
                self.counters.repeated_loads = self.counters.repeated_loads.saturating_add(1);
                log::info!("{}: this image is loaded already", processor.name);
                return Ok(Next::Loaded);
            }
            Step::Authenticate if !budget.is_whole() => return Ok(Next::Wait),
            Step::Authenticate => {
                budget.spend_all();
                self.counters.signature_checks = self.counters.signature_checks.saturating_add(1);
                let signer = reader.authenticate(self.machine.crypto(), &self.board.keys)?;
                report::signature_verified(processor, &self.board, &signer);
                Step::Claim
            }
            Step::Claim if budget.is_spent() => return Ok(Next::Wait),
            Step::Claim => {
                let progress = self.driver(index)?.hold();
                match self.follow(index, Pending::Load, progress)? {
                    Followed::Pending => return Ok(Next::Wait),
                    Followed::Failed => return Err(Refusal::HardwareFailed.into()),
                    Followed::Done => {}
                }
                self.claim(caller, index, memory)?;
                Step::Close
            }
            Step::Close => {
                regions::close(&mut self.machine, index, processor)?;
                Step::Clear(Cursor::default())
            }
            Step::Clear(_) if budget.is_spent() => return Ok(Next::Wait),
            Step::Clear(cursor) => regions::clear_slice(&mut self.machine, processor, cursor, budget)?
                .map_or(Step::Plan, Step::Clear),
            Step::Plan => {
                let driver = self.machine.driver(index).ok_or(Refusal::UnknownProcessor)?;
                let counter = driver.security_counter().map_err(|_| Refusal::CounterWriteFailed)?;
                let enforces = driver.enforces_isolation();
                reader.plan(&target_of(&self.board, processor, counter))?;
                if reader.is_encrypted() && !enforces && !self.board.accept_no_isolation_encrypted {
                    return Err(Refusal::EncryptionNotAllowed.into());
                }
                Step::Transfer
            }
            Step::Transfer if reader.is_complete() => Step::Verify,
            Step::Transfer => return self.copy(place, budget, memory),
            Step::Verify => {
                let (crypto, destination) = self.machine.crypto_and_memory();
                match reader.verify_segments(crypto, destination, budget.left())? {
                    Progress::Pending => return Ok(Next::Wait),
                    Progress::Done if reader.is_encrypted() => {
                        budget.spend_all();
                        Step::Decrypt
                    }
                    Progress::Done => Step::Finish(None),
                }
            }
            Step::Decrypt if !budget.is_whole() => return Ok(Next::Wait),
            Step::Decrypt => {
                let target = target_of(&self.board, processor, SecurityCounter::NONE);
                let (crypto, destination) = self.machine.crypto_and_memory();
                let most = budget.left_to_decrypt();
                let progress = reader.decrypt_segments(crypto, &target, destination, most)?;
                budget.spend_all();
                match progress {
                    Progress::Pending => return Ok(Next::Wait),
                    Progress::Done => Step::Seal,
                }
            }
            Step::Seal if self.machine.driver(index).is_some_and(|driver| driver.enforces_isolation()) => {
                Step::Finish(None)
            }
            Step::Seal if budget.is_spent() => return Ok(Next::Wait),
            Step::Seal => {
                let now = self.machine.milliseconds();
                let seal = Seal::new(processor, reader, self.machine.crypto(), None)?;
                let slot = self.slots.get_mut(index).ok_or(Refusal::UnknownProcessor)?;
                let check = slot.check.get_or_insert_with(|| Check::new(self.machine.crypto(), now));
                let found = check.go_on(&seal, self.machine.crypto_and_memory(), self.buffer, budget);
                match found.map_err(|_| Refusal::DestinationAbort)? {
                    None => return Ok(Next::Wait),
                    Some(digest) => Step::Finish(Some(digest)),
                }
            }
            Step::Finish(digest) => {
                self.finish(place, digest)?;
                return Ok(Next::Loaded);
            }
        }))
    }

    /// The signature verified and the processor is held: it belongs to this client from now on. Another client's load of it was
    /// idle for too long, or this one would not have got here.
    fn claim<C: ClientMemory>(
        &mut self,
        caller: Caller,
        index: usize,
        memory: &mut C,
    ) -> Result<(), Refused> {
        let now = self.machine.milliseconds();
        let slot = self.slot(index)?;
        let before = slot.owner.replace(caller);
        slot.touched = now;
        slot.happened(if slot.state() == State::Loading { Event::ClaimedAgain } else { Event::Claimed });
        if let Some(other) = before.filter(|other| *other != caller) {
            log::warn!(
                "{}: the idle load of {:#06x} is taken over by {:#06x}",
                self.processor(index)?.name,
                other.endpoint,
                caller.endpoint
            );
            if let Some(place) = self.place_of(other, index) {
                self.end(place, memory);
            }
        }
        Ok(())
    }

    /// Copies the next piece of the container in and hands it to the reader: of header, TLVs and signature not a byte beyond
    /// them, then of the images.
    fn copy<C: ClientMemory>(
        &mut self,
        place: usize,
        budget: &mut Budget,
        memory: &mut C,
    ) -> Result<Next, Refused> {
        let reader = self.readers.get_mut(place).ok_or(Refusal::CallOutOfOrder)?;
        let work = self.works.get_mut(place).and_then(Option::as_mut).ok_or(Refusal::CallOutOfOrder)?;
        let Some(share) = work.share else { return Ok(Next::Wait) };
        let position = reader.position();
        let in_metadata = work.step == Step::Metadata;
        let most = if in_metadata { reader.metadata_missing().min(PIECE) } else { PIECE };
        let left = share.end.saturating_sub(position);
        let size = usize::try_from(left).unwrap_or(PIECE).min(most);
        if size > budget.left() {
            return Ok(Next::Wait);
        }
        let missing = if in_metadata { Refusal::TooShort } else { Refusal::SizeMismatch };
        let bytes = self.buffer.get_mut(..size).filter(|bytes| !bytes.is_empty()).ok_or(missing)?;
        budget.spend(size);
        memory
            .read(share.handle, position.saturating_sub(share.offset), bytes)
            .map_err(|error| Refused { refusal: refusal_of(error), offset: Some(position) })?;
        let Counters { client_bytes_read: all, segment_bytes_read: images, .. } = &mut self.counters;
        *all = all.saturating_add(size as u64);
        if in_metadata {
            if reader.push_metadata(bytes)? != size {
                // Bytes that were read and not taken would have to be read again.
                return Err(Refusal::SizeMismatch.into());
            }
        } else {
            *images = images.saturating_add(size as u64);
            reader.push(bytes, self.machine.memory())?;
        }
        work.done = reader.position();
        if work.done == share.end && work.done < work.total {
            // Its bytes are consumed; the rest of the container is in another one.
            memory.relinquish(share.handle);
            work.share = None;
            return Ok(Next::Wait);
        }
        Ok(Next::Step(work.step))
    }

    fn finish(&mut self, place: usize, digest: Option<[u8; 32]>) -> Result<(), Refused> {
        let Work { caller, index, total, .. } = *self.work(place)?;
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let reader = self.readers.get_mut(place).ok_or(Refusal::CallOutOfOrder)?;
        let target = target_of(&self.board, processor, SecurityCounter::NONE);
        let (crypto, destination) = self.machine.crypto_and_memory();
        let loaded = reader.finish(crypto, &target, destination)?;
        let seal = if self.machine.driver(index).is_some_and(|driver| driver.enforces_isolation()) {
            None
        } else {
            Some(Seal::new(processor, reader, self.machine.crypto(), digest)?)
        };
        regions::open(&mut self.machine, index, processor)?;
        report::loaded(processor, caller, total, reader.segments(), &loaded);
        let identity = reader.identity(self.machine.crypto());
        let slot = self.slot(index)?;
        slot.happened(Event::LoadDone);
        slot.firmware = Some(Firmware {
            identity,
            boot_address: loaded.boot_address,
            secure: loaded.secure,
            resource_table: loaded.resource_table,
            security_counter: loaded.security_counter,
            seal,
        });
        self.counters.loads = self.counters.loads.saturating_add(1);
        Ok(())
    }
}

/// What an image is planned for. The plan alone looks at the security counter.
fn target_of<'t>(board: &'t Board<'_>, processor: &'t Processor<'_>, counter: SecurityCounter) -> Target<'t> {
    Target {
        processor: processor.id,
        board: board.name,
        security_counter: counter.value,
        most_security_counter: counter.most,
        decryption_key: board.decryption_key,
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
        MemoryError::InUse => Refusal::HandleInUse,
    }
}
