//! The steps of a load: what each does with the bytes, the processor and its memory, and what comes after it.
use crate::client_memory::ClientMemory;
use crate::clients::Caller;
use crate::configuration::{Board, Processor};
use crate::control::Followed;
use crate::counters::Counters;
#[cfg(feature = "control")]
use crate::guards::Believer;
use crate::guards::Guard;
use crate::hardware::{DriverProgress, Machine, SecurityCounter};
use crate::jobs::Work;
use crate::lifecycle::{Event, Pending, State};
use crate::load::refusal_of;
use crate::processor::Firmware;
use crate::regions::{self, Cursor};
use crate::report;
use crate::result::Refused;
use crate::seal::{Check, Seal};
use crate::service::{PIECE, Service};
use crate::slice::Budget;
use remoteproc_abi::measurements::Entry;
use remoteproc_image::reader::Progress;
use remoteproc_image::target::Target;
use remoteproc_refusal::Refusal;

/// What a load does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Copy header, TLVs and signature in, piece by piece.
    Metadata,
    /// Compare with what is loaded; check the signature, one trusted key a request.
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
pub(crate) enum Next {
    /// Go on.
    Step(Step),
    /// Go on in the next request: it has a whole slice again, or the next share, or the hardware is further.
    Wait,
    /// The firmware is loaded, or was already.
    Loaded,
}

impl<M: Machine> Service<'_, M> {
    /// Does one step, as far as the budget reaches.
    pub(crate) fn step<C: ClientMemory>(
        &mut self,
        place: usize,
        budget: &mut Budget,
        memory: &mut C,
    ) -> Result<Next, Refused> {
        let Work { caller, index, step, only_the_same, .. } = *self.work(place)?;
        let any_image = !self.guarded(Guard::SameImage);
        let holds = self.guarded(Guard::HoldBeforeLoad);
        let closes = self.guarded(Guard::Close);
        let any_counter = !self.guarded(Guard::SecurityCounter);
        #[cfg(feature = "control")]
        let [believes, looks_again, copies_again, hashes_nothing] =
            [Guard::Signature, Guard::MetadataOnce, Guard::CopyOnce, Guard::SegmentHash]
                .map(|guard| !self.guarded(guard));
        let processor = self.board.processors.get(index).ok_or(Refusal::UnknownProcessor)?;
        let reader = self.readers.get_mut(place).ok_or(Refusal::CallOutOfOrder)?;
        Ok(Next::Step(match step {
            Step::Metadata if reader.metadata_complete() => {
                if !only_the_same {
                    // Here, where it fits into what a slice has left, and not beside the signature check.
                    reader.prepare_authentication(self.machine.crypto(), &self.board.keys)?;
                    budget.spend(usize::try_from(reader.position()).unwrap_or(usize::MAX));
                }
                Step::Authenticate
            }
            Step::Metadata => return self.copy(place, budget, memory),
            Step::Authenticate if only_the_same => {
                let identity = reader.identity(self.machine.crypto());
                let firmware = self.slots.get(index).and_then(|slot| slot.firmware.as_ref());
                if !any_image && firmware.is_none_or(|firmware| firmware.identity != identity) {
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
                let crypto = self.machine.crypto();
                #[cfg(feature = "control")]
                let crypto = &Believer { crypto, believes };
                let tried = reader.authenticate_next(crypto, &self.board.keys)?;
                // One key, one request.
                let Some(signer) = tried else { return Ok(Next::Wait) };
                report::signature_verified(processor, &self.board, &signer);
                self.works.get_mut(place).and_then(Option::as_mut).ok_or(Refusal::CallOutOfOrder)?.signer =
                    signer.id;
                #[cfg(feature = "control")]
                if looks_again {
                    self.copy_metadata_again(place, memory)?;
                }
                Step::Claim
            }
            Step::Claim if budget.is_spent() => return Ok(Next::Wait),
            Step::Claim => {
                let progress = if holds { self.driver(index)?.hold() } else { Ok(DriverProgress::Done) };
                match self.follow(index, Pending::Load, progress)? {
                    Followed::Pending => return Ok(Next::Wait),
                    Followed::Failed => return Err(Refusal::HardwareFailed.into()),
                    Followed::Done => {}
                }
                self.claim(caller, index, memory)?;
                Step::Close
            }
            Step::Close => {
                if closes {
                    regions::close(&mut self.machine, index, processor)?;
                }
                Step::Clear(Cursor::default())
            }
            Step::Clear(_) if budget.is_spent() => return Ok(Next::Wait),
            Step::Clear(cursor) => regions::clear_slice(&mut self.machine, processor, cursor, budget)?
                .map_or(Step::Plan, Step::Clear),
            Step::Plan => {
                let driver = self.machine.driver(index).ok_or(Refusal::UnknownProcessor)?;
                let mut counter = driver.security_counter().map_err(|_| Refusal::CounterWriteFailed)?;
                if any_counter {
                    counter.value = 0;
                }
                let enforces = driver.enforces_isolation();
                reader.plan(&target_of(&self.board, processor, counter))?;
                if reader.is_encrypted() && !enforces && !self.board.accept_no_isolation_encrypted {
                    return Err(Refusal::EncryptionNotAllowed.into());
                }
                Step::Transfer
            }
            Step::Transfer if reader.is_complete() => Step::Verify,
            Step::Transfer => return self.copy(place, budget, memory),
            #[cfg(feature = "control")]
            Step::Verify if hashes_nothing => {
                reader.believe_segments()?;
                if reader.is_encrypted() { Step::Decrypt } else { Step::Finish(None) }
            }
            Step::Verify => {
                let (crypto, destination) = self.machine.crypto_and_memory();
                match reader.verify_segments(crypto, destination, budget.left())? {
                    Progress::Pending => return Ok(Next::Wait),
                    Progress::Done => {
                        // How much of the slice was hashed is not told.
                        budget.spend_all();
                        let next = if reader.is_encrypted() { Step::Decrypt } else { Step::Finish(None) };
                        #[cfg(feature = "control")]
                        if copies_again {
                            self.copy_again(place, memory)?;
                        }
                        next
                    }
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
            // Hashes the metadata, and tells the log of each segment.
            Step::Finish(_) if budget.is_spent() => return Ok(Next::Wait),
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
        let before = slot.owner;
        if !slot.happened(if slot.state() == State::Loading { Event::ClaimedAgain } else { Event::Claimed }) {
            return Err(Refusal::CallOutOfOrder.into());
        }
        slot.touched = now;
        slot.belongs_to(caller);
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
        let in_share = position.saturating_sub(share.offset);
        memory
            .read(share.handle, share.place.saturating_add(in_share), bytes)
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
            share.let_go(memory);
            work.share = None;
            return Ok(Next::Wait);
        }
        Ok(Next::Step(work.step))
    }

    fn finish(&mut self, place: usize, digest: Option<[u8; 32]>) -> Result<(), Refused> {
        let Work { caller, index, total, signer, .. } = *self.work(place)?;
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
        report::signed(processor, reader.own_tlvs());
        let identity = reader.identity(self.machine.crypto());
        let signed = reader.signed_metadata(self.machine.crypto());
        let security_counter = loaded.security_counter;
        let entry = Entry { signed, signer, processor: processor.id, security_counter };
        self.measurements.enter(self.machine.crypto(), entry);
        let slot = self.slot(index)?;
        slot.happened(Event::LoadDone);
        slot.firmware = Some(Firmware {
            identity,
            boot_address: loaded.boot_address,
            secure: loaded.secure,
            resource_table: loaded.resource_table,
            security_counter: loaded.security_counter,
            dump_allowed: loaded.coredump_allowed,
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
