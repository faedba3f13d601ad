//! The client: one remote processor, from load to release, over any [`Tee`].
use crate::tee::{Share, Tee};
use core::fmt;
use remoteproc_abi::command::Command;
use remoteproc_abi::door_d::{Answer, LoadArguments, Request, StopMode};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::status::{Info, ProcessorInfo, Status};
use remoteproc_refusal::Refusal;

/// Why a command did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E: Copy + fmt::Debug + fmt::Display> {
    /// The TEE failed before the service answered.
    #[error("{0}")]
    Tee(E),
    /// The service answered no. [`Remoteproc::last_error`] tells why.
    #[error("{} was answered {}", command.name(), ResultName(*result))]
    Refused {
        /// Which command.
        command: Command,
        /// The raw result (`docs/abi.md`, "Results").
        result: u32,
    },
    /// The service went on answering BUSY or IN_PROGRESS without getting on.
    #[error("{} does not come to an end", .0.name())]
    Stalled(Command),
    /// The service's answer contradicts the ABI.
    #[error("the answer to {} contradicts the ABI", .0.name())]
    BadAnswer(Command),
}

/// A load that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct LoadError<E: Copy + fmt::Debug + fmt::Display> {
    /// What went wrong first.
    pub error: Error<E>,
    /// Why image memory could not be taken back. If set, that memory is still shared and must not be used for anything else.
    pub not_reclaimed: Option<E>,
}

/// A result as text, whether this version knows it or not.
struct ResultName(u32);

impl fmt::Display for ResultName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TeeResult::try_from(self.0) {
            Ok(known) => known.fmt(formatter),
            Err(_) => write!(formatter, "{:#010x}", self.0),
        }
    }
}

/// Why the service refused this client's last refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastError {
    /// The stable number.
    pub number: u16,
    /// The refusal with that number, if this version knows it.
    pub refusal: Option<Refusal>,
    /// Where in the container, bytes, if the refusal has a place.
    pub offset: Option<u64>,
}

/// Where the firmware's resource table was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLocation {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// How far a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the container that the service has consumed.
    pub done: u64,
    /// Bytes of the container.
    pub total: u64,
}

/// How long to go on asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests in a row that are answered BUSY, before the client gives up.
    pub busy: u32,
    /// Requests in a row that are answered IN_PROGRESS without any byte done, before the client gives up.
    pub idle: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { busy: 10_000, idle: 100_000 }
    }
}

/// One remote processor, as its client sees it.
#[derive(Debug)]
pub struct Remoteproc<T: Tee> {
    tee: T,
    processor: u32,
    limits: Limits,
}

pub(crate) type Failure<T> = Error<<T as Tee>::Error>;

impl<T: Tee> Remoteproc<T> {
    /// Makes the client of the processor with this id. Sends nothing.
    pub fn new(tee: T, processor: u32) -> Self {
        Self { tee, processor, limits: Limits::default() }
    }

    /// Returns the id of the processor that this client speaks of.
    pub const fn processor(&self) -> u32 {
        self.processor
    }

    /// Speaks of the processor with this id from now on. Sends nothing; what was asked of another one stands.
    pub const fn select(&mut self, processor: u32) {
        self.processor = processor;
    }

    /// Sets how long to go on asking.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Returns the back end, for what only that can do.
    pub fn tee(&mut self) -> &mut T {
        &mut self.tee
    }

    /// Returns the back end for good.
    pub fn into_tee(self) -> T {
        self.tee
    }

    /// Authenticates and loads the container of `total` bytes that lies at `image`, telling `progress` whenever bytes were
    /// consumed. The service works in slices, and takes an image that is too scattered for one share in several. All image memory
    /// that was shared on the way is taken back before this returns.
    ///
    /// # Errors
    /// [`LoadError::error`] says what went wrong. Nothing is loaded then, with two exceptions: what this client had loaded before
    /// stands where the service refuses another image; and if all that failed is taking the last memory back, the image is loaded.
    pub fn load(
        &mut self,
        image: &T::Image,
        total: u64,
        mut progress: impl FnMut(Progress),
    ) -> Result<(), LoadError<T::Error>> {
        let mut done = 0;
        while done < total {
            let offset = done;
            let mut under_way = offset > 0;
            let share = match self.tee.share(image, offset, total) {
                Ok(share) => share,
                Err(error) => {
                    if under_way {
                        // The service waits for the rest, and the processor is claimed: nobody else could have it.
                        let _ = self.release();
                    }
                    return Err(LoadError { error: Error::Tee(error), not_reclaimed: None });
                }
            };
            let outcome = self.load_share(share, offset, total, &mut under_way, &mut progress);
            if under_way && matches!(outcome, Err(Error::Stalled(_) | Error::BadAnswer(_) | Error::Tee(_))) {
                // The service holds the memory; a release makes it let go. Its answer changes nothing here.
                let _ = self.release();
            }
            let mut reclaimed = self.tee.reclaim(share);
            if reclaimed.is_err() && outcome.is_ok_and(|done| done < total) {
                let _ = self.release();
            }
            if !under_way && reclaimed.is_err() && matches!(outcome, Err(Error::Tee(_))) {
                // The first request was not answered, and has begun a load all the same.
                let _ = self.release();
                reclaimed = self.tee.reclaim(share);
            }
            match (outcome, reclaimed) {
                (Err(error), reclaimed) => {
                    return Err(LoadError { error, not_reclaimed: reclaimed.err() });
                }
                (Ok(_), Err(error)) => {
                    return Err(LoadError { error: Error::Tee(error), not_reclaimed: Some(error) });
                }
                (Ok(now), Ok(())) => done = now,
            }
        }
        Ok(())
    }

    /// Repeats LOAD_FW until the bytes of one share are consumed. Returns the bytes done, which are `total` at the end. Sets
    /// `under_way` when the service has answered that it is not done.
    fn load_share(
        &mut self,
        share: Share,
        offset: u64,
        total: u64,
        under_way: &mut bool,
        progress: &mut impl FnMut(Progress),
    ) -> Result<u64, Failure<T>> {
        let request = Request::Load {
            processor: self.processor,
            arguments: LoadArguments {
                handle: share.handle,
                total,
                offset,
                lent: share.lent,
                one_call: false,
            },
        };
        let end = offset.saturating_add(share.length).min(total);
        let mut done = offset;
        let mut idle = 0;
        loop {
            let (answer, finished) = self.ask(&request, Command::LoadFirmware)?;
            if finished {
                progress(Progress { done: total, total });
                return Ok(total);
            }
            *under_way = true;
            let [now, ..] = answer.values;
            if now < done || now > end {
                return Err(Error::BadAnswer(Command::LoadFirmware));
            }
            if now == done {
                idle += 1;
                if idle > self.limits.idle {
                    return Err(Error::Stalled(Command::LoadFirmware));
                }
                self.tee.pause();
                continue;
            }
            idle = 0;
            done = now;
            progress(Progress { done, total });
            // The last share's end is not the load's end: there the service still has to say so.
            if done == end && done < total {
                return Ok(done);
            }
        }
    }

    /// Starts the loaded firmware.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start(&mut self) -> Result<(), Failure<T>> {
        self.complete(&Request::Start { processor: self.processor }, Command::StartFirmware)
    }

    /// Stops the processor. Its memory is kept. Stopping a stopped processor succeeds. A graceful stop asks the firmware first, and
    /// forces it at the time limit; where the firmware can't be asked it is forced at once. If this client's [`Limits`] end before
    /// that time, the error is [`Error::Stalled`], and the processor may still run: stop it again, which goes on or is forced.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn stop(&mut self, mode: StopMode) -> Result<(), Failure<T>> {
        self.complete(&Request::Stop { processor: self.processor, mode }, Command::StopFirmware)
    }

    /// Clears the firmware's memory and gives the processor back. Releasing a released processor succeeds.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn release(&mut self) -> Result<(), Failure<T>> {
        self.complete(&Request::Release { processor: self.processor }, Command::ReleaseFirmware)
    }

    /// Tells where the resource table of the loaded firmware lies; `None` if the firmware has none.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn resource_table(&mut self) -> Result<Option<TableLocation>, Failure<T>> {
        let command = Command::GetResourceTable;
        match self.ask(&Request::GetResourceTable { processor: self.processor }, command)? {
            (Answer { values: [0, 0, ..], .. }, true) => Ok(None),
            (Answer { values: [address, size, ..], .. }, true) if address != 0 && size != 0 => {
                Ok(Some(TableLocation { address, size }))
            }
            _ => Err(Error::BadAnswer(command)),
        }
    }

    /// Tells what the service is: version, number of processors, features, and what is going on.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn info(&mut self) -> Result<Info, Failure<T>> {
        self.question(&Request::GetInfo, Command::GetInfo, Info::of)
    }

    /// Tells what the processor with this index is, counted from 0.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn describe(&mut self, index: u32) -> Result<ProcessorInfo, Failure<T>> {
        self.question(&Request::GetProcessor { index }, Command::GetProcessor, ProcessorInfo::of)
    }

    /// Tells this processor's state and owner.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn status(&mut self) -> Result<Status, Failure<T>> {
        let request = Request::GetStatus { processor: self.processor };
        self.question(&request, Command::GetStatus, Status::of)
    }

    /// Has this processor's events signaled by an FF-A notification, 0 to 63, until it is released. The caller creates its
    /// bitmap and binds the notification to the partition before that, and asks for the [status](Self::status) when it comes.
    ///
    /// # Errors
    /// See [`Error`]; refused where the SPMC has no notifications.
    pub fn bind_events(&mut self, notification: u8) -> Result<(), Failure<T>> {
        let request = Request::BindEvents { processor: self.processor, notification: notification.into() };
        self.complete(&request, Command::BindEvents)
    }

    /// Says that the firmware that runs is to stay: raises the platform's security counter to its own, where the manifest leaves that
    /// to the owner (`counter-on-confirm`). Elsewhere it has risen at the start, and this changes nothing.
    ///
    /// # Errors
    /// See [`Error`]; refused by anybody but the owner, and while the processor does not run.
    pub fn confirm(&mut self) -> Result<(), Failure<T>> {
        self.complete(&Request::Confirm { processor: self.processor }, Command::Confirm)
    }

    /// Asks something that is answered at once.
    pub(crate) fn question<A>(
        &mut self,
        request: &Request,
        command: Command,
        read: impl Fn(&Answer) -> Option<A>,
    ) -> Result<A, Failure<T>> {
        let (answer, true) = self.ask(request, command)? else { return Err(Error::BadAnswer(command)) };
        read(&answer).ok_or(Error::BadAnswer(command))
    }

    /// Tells why this client's last refused request was refused; `None` if none was.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn last_error(&mut self) -> Result<Option<LastError>, Failure<T>> {
        match self.ask(&Request::GetLastError, Command::GetLastError)? {
            (answer, true) => {
                let (number, offset) = answer.as_last_error();
                Ok((number != 0).then(|| LastError { number, refusal: Refusal::from_number(number), offset }))
            }
            _ => Err(Error::BadAnswer(Command::GetLastError)),
        }
    }

    /// Repeats a request until it is answered with something else than IN_PROGRESS.
    fn complete(&mut self, request: &Request, command: Command) -> Result<(), Failure<T>> {
        for _ in 0..=self.limits.idle {
            if self.ask(request, command)?.1 {
                return Ok(());
            }
            self.tee.pause();
        }
        Err(Error::Stalled(command))
    }

    /// How often something is asked again that keeps changing.
    pub(crate) const fn patience(&self) -> u32 {
        self.limits.busy
    }

    /// Sends a request until it is answered with something else than BUSY. True: SUCCESS; false: IN_PROGRESS.
    fn ask(&mut self, request: &Request, command: Command) -> Result<(Answer, bool), Failure<T>> {
        for _ in 0..=self.limits.busy {
            let answer = self.tee.invoke(request).map_err(Error::Tee)?;
            match answer.tee_result() {
                Some(TeeResult::Success) => return Ok((answer, true)),
                Some(TeeResult::InProgress) => return Ok((answer, false)),
                Some(TeeResult::Busy) => self.tee.pause(),
                _ => return Err(Error::Refused { command, result: answer.result }),
            }
        }
        Err(Error::Stalled(command))
    }
}
