//! LOAD_FW: which load a request goes on with, whose it is, and how it ends.
//!
//! A load is a walk through the steps of `steps.rs`. One request goes as far as a [`Budget`] reaches, then answers IN_PROGRESS; the
//! next one goes on. Until `Claim` has passed, nothing but the reader's copy of the metadata has been touched; from then on, a refusal
//! clears the processor's memory first, slice by slice, and is answered when that is done. A refusal by what took all of a
//! request's budget is answered to the next request.
use crate::client_memory::{ClientMemory, MemoryError};
use crate::clients::Caller;
use crate::guards::Guard;
use crate::hardware::Machine;
use crate::jobs::{Portion, Share, Source, Work};
use crate::lifecycle::{Ask, Pending, State, Verdict};
use crate::ranges;
use crate::result::Refused;
use crate::service::{Outcome, Service};
use crate::slice::Budget;
use crate::steps::{Next, Step};
use remoteproc_abi::door_d::{Answer, LoadArguments};
use remoteproc_abi::result::TeeResult;
use remoteproc_image::reader::Progress;
use remoteproc_refusal::Refusal;

impl<M: Machine> Service<'_, M> {
    /// LOAD_FW, one slice of it. Whatever is answered but IN_PROGRESS (and OFFSET_UNEXPECTED, with which the load stands) ends the
    /// load, and its handle is given back. With ONE_CALL there is no next share; see [`goes_on_by_itself`](crate::goes_on_by_itself).
    pub(crate) fn load<C: ClientMemory>(
        &mut self,
        caller: Caller,
        index: usize,
        arguments: &LoadArguments,
        memory: &mut C,
    ) -> Outcome {
        let LoadArguments { handle, total, offset, lent, one_call: is_all } = *arguments;
        if is_all && !self.board.one_call_endpoints.contains(&caller.endpoint) {
            return Err(Refusal::FlagsUnknown.into());
        }
        if is_all && offset != 0 {
            return Err(Refusal::OffsetUnexpected.into());
        }
        let portion = Portion { source: Source::Memory { handle, lent }, total, offset, is_all };
        self.load_slice(caller, index, &portion, memory)
    }

    /// One slice of a load.
    pub(crate) fn load_slice<C: ClientMemory>(
        &mut self,
        caller: Caller,
        index: usize,
        portion: &Portion,
        memory: &mut C,
    ) -> Outcome {
        match self.enter(caller, index, portion, memory) {
            Ok(Some(place)) => {
                let answer = self.walk(place, memory)?;
                let goes_on = answer.tee_result() == Some(TeeResult::InProgress);
                if portion.is_all
                    && goes_on
                    && matches!(self.work(place)?, Work { share: None, refused: None, .. })
                {
                    return self.fail(place, Refusal::ShareTooSmall.into(), memory);
                }
                Ok(answer)
            }
            Ok(None) => match self.place_of(caller, index) {
                Some(place) => self.in_progress(place),
                None => Ok(Answer::with(TeeResult::InProgress, [0, portion.total, 0, 0])),
            },
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
        portion: &Portion,
        memory: &mut C,
    ) -> Result<Option<usize>, Refused> {
        let only_the_same = self.admit(index, caller, Ask::Load)? == Verdict::OnlyTheSame;
        if self.slot(index)?.is_nobodys() {
            self.clear_for_nobody(index)?;
            return Ok(None);
        }
        let now = self.machine.milliseconds();
        let place = self.place_of(caller, index);
        let Portion { source, total, offset, .. } = *portion;
        // At the container's end, where what is left to do needs no more bytes.
        let brings_nothing = matches!(source, Source::Buffer { length: 0, .. });
        if let Some(place) = place {
            let claimed = self.has_claimed(place);
            let work = self.work(place)?;
            work.only_the_same = only_the_same;
            let same = work.share.is_some_and(|share| portion.is_of(share))
                || (brings_nothing && work.done == offset);
            if (claimed && work.refused.is_some()) || (work.total == total && same) {
                self.goes_on(place, now)?;
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
            if let Some(share) = work.take().and_then(|work| work.share) {
                share.let_go(memory);
            }
            let step = Step::Metadata;
            let (done, share, refused, signer, touched) = (0, None, None, [0; 32], now);
            *work = Some(Work {
                caller,
                index,
                total,
                step,
                done,
                share,
                only_the_same,
                refused,
                signer,
                touched,
            });
            self.readers.get_mut(place).ok_or(Refusal::CallOutOfOrder)?.begin(total)?;
        }
        let work = self.work(place)?;
        if let Some(share) = work.share.take() {
            share.let_go(memory);
        }
        match source {
            Source::Memory { handle, lent } => self.retrieve(place, handle, lent, offset, memory)?,
            Source::Buffer { handle, place, length } => {
                let end = offset.saturating_add(length).min(total);
                work.share = Some(Share { handle, place, offset, end, is_buffer: true });
            }
        }
        self.goes_on(place, now)?;
        Ok(Some(place))
    }

    /// Its client goes on with a load: nothing else keeps a claim from being idle.
    fn goes_on(&mut self, place: usize, now: u64) -> Result<(), Refused> {
        let claimed = self.has_claimed(place);
        let work = self.work(place)?;
        work.touched = now;
        let index = work.index;
        if claimed {
            self.slot(index)?.touched = now;
        }
        Ok(())
    }

    /// Takes over memory whose first byte is this one of the container. Not inlined: the stack need not hold the ranges all the time.
    #[inline(never)]
    fn retrieve<C: ClientMemory>(
        &mut self,
        place: usize,
        handle: u64,
        lent: bool,
        offset: u64,
        memory: &mut C,
    ) -> Result<(), Refused> {
        let Work { caller, total, .. } = *self.work(place)?;
        let retrieved = memory.retrieve(caller.endpoint, handle, lent).map_err(refusal_of)?;
        let size = ranges::total_size(&retrieved);
        let end = offset.saturating_add(size).min(total);
        // Held from here on: whoever ends the load gives it back.
        self.work(place)?.share = Some(Share { handle, place: 0, offset, end, is_buffer: false });
        if self.guarded(Guard::RangeCheck) {
            ranges::check(&self.board, &retrieved)?;
        }
        if size == 0 {
            return Err(Refusal::ShareTooSmall.into());
        }
        Ok(memory.map(handle, &retrieved).map_err(refusal_of)?)
    }

    /// Finds room for another load. A client has room for one load that has claimed nothing yet. If there is none left, the load
    /// that was idle for the longest time, beyond the limit, is given up: first of those that have claimed nothing. If none was idle
    /// for so long, an endpoint that has no load gets the room of one that has several, of which one has claimed nothing.
    fn make_room<C: ClientMemory>(
        &mut self,
        caller: Caller,
        now: u64,
        memory: &mut C,
    ) -> Result<usize, Refused> {
        let limit = u64::from(self.board.idle_claim_ms);
        let idle = |work: &Work| now.saturating_sub(work.touched) > limit;
        let claims = |work: &Work| self.has_claimed_by(work);
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
                let loads_of =
                    |endpoint| under_way().filter(|(_, work)| work.caller.endpoint == endpoint).count();
                let one_of_several = || {
                    let has_none = loads_of(caller.endpoint) == 0;
                    under_way()
                        .filter(|(_, work)| has_none && !claims(work) && loads_of(work.caller.endpoint) > 1)
                        .min_by_key(|(_, work)| work.touched)
                };
                oldest.or_else(one_of_several).ok_or(Refusal::MetadataSlotsFull)?.0
            }
        };
        let before = self.work(victim)?.caller.endpoint;
        log::warn!("a load of {before:#06x} is given up for one of {:#06x}", caller.endpoint);
        self.end(victim, memory);
        Ok(victim)
    }

    /// Returns where this client's load of this processor is kept.
    pub(crate) fn place_of(&self, caller: Caller, index: usize) -> Option<usize> {
        self.works
            .iter()
            .position(|work| work.as_ref().is_some_and(|work| work.caller == caller && work.index == index))
    }

    pub(crate) fn work(&mut self, place: usize) -> Result<&mut Work, Refused> {
        let work = self.works.get_mut(place).and_then(Option::as_mut);
        work.ok_or(Refusal::CallOutOfOrder.into())
    }

    /// Ends a load: gives its handle back and wipes its copy of the metadata. If it was the one that waited for the hardware, nobody
    /// does any more.
    pub(crate) fn end<C: ClientMemory>(&mut self, place: usize, memory: &mut C) {
        let work = self.works.get_mut(place).and_then(Option::take);
        if let Some(share) = work.and_then(|work| work.share) {
            share.let_go(memory);
        }
        if let Some(Work { index, step: Step::Claim, .. }) = work
            && !self.works.iter().flatten().any(|other| other.index == index && other.step == Step::Claim)
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.wait.take_if(|wait| wait.pending == Pending::Load);
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
            if !self.has_claimed(place) {
                self.end(place, memory);
                return Err(refused);
            }
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
                // What the budget went into was all that this request may do.
                Err(refused) if budget.is_spent() && !self.has_claimed(place) => {
                    self.work(place)?.refused = Some(refused);
                    return self.in_progress(place);
                }
                Err(refused) => return self.fail(place, refused, memory),
            }
        }
    }

    /// Tells whether the processor belongs to this load.
    fn has_claimed(&self, place: usize) -> bool {
        self.works.get(place).and_then(Option::as_ref).is_some_and(|work| self.has_claimed_by(work))
    }

    fn has_claimed_by(&self, work: &Work) -> bool {
        let slot = self.slots.get(work.index);
        slot.is_some_and(|slot| slot.state() == State::Loading && slot.owner == Some(work.caller))
    }

    fn in_progress(&mut self, place: usize) -> Outcome {
        let Work { done, total, .. } = *self.work(place)?;
        Ok(Answer::with(TeeResult::InProgress, [done, total, 0, 0]))
    }

    /// A load can't succeed any more. If it has claimed the processor, that is cleared before the client hears of it.
    pub(crate) fn fail<C: ClientMemory>(
        &mut self,
        place: usize,
        refused: Refused,
        memory: &mut C,
    ) -> Outcome {
        let Work { index, .. } = *self.work(place)?;
        if self.has_claimed(place) {
            self.slot(index)?.begin_wipe(None);
            self.work(place)?.refused = Some(refused);
            return self.in_progress(place);
        }
        self.end(place, memory);
        Err(refused)
    }
}

/// Returns why memory that can't be used is refused.
pub(crate) const fn refusal_of(error: MemoryError) -> Refusal {
    match error {
        MemoryError::UnknownHandle => Refusal::HandleUnknown,
        MemoryError::Malformed => Refusal::ShareMalformed,
        // Room for mappings is bounded by the number of ranges.
        MemoryError::TooManyRanges | MemoryError::NoRoom => Refusal::TooManyRanges,
        MemoryError::Abort => Refusal::MemoryAbort,
        MemoryError::OutOfBounds => Refusal::ShareTooSmall,
        MemoryError::InUse => Refusal::HandleInUse,
        MemoryError::Busy => Refusal::SpmcBusy,
    }
}
