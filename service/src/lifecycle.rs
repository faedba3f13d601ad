//! The states of a processor and the one table of how they change.
use core::fmt;
use remoteproc_refusal::Refusal;

/// What a processor is to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No firmware, no owner; its memory is clear.
    Offline,
    /// Claimed by an owner whose image was authenticated; its memory is being written.
    Loading,
    /// Every byte of the firmware was checked; held in reset.
    Loaded,
    /// Released from reset.
    Running,
    /// Released from reset and, as far as is known, not running: it faulted, or a start went wrong.
    Crashed,
    /// Held in reset, memory kept. Has to be loaded again before it can start.
    Stopped,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Offline, Self::Loading, Self::Loaded, Self::Running, Self::Crashed, Self::Stopped];
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Offline => "OFFLINE",
            Self::Loading => "LOADING",
            Self::Loaded => "LOADED",
            Self::Running => "RUNNING",
            Self::Crashed => "CRASHED",
            Self::Stopped => "STOPPED",
        })
    }
}

/// What the hardware was told and has not done yet. The state stays until it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pending {
    /// Being held in reset before a load.
    Load,
    /// Being released from reset.
    Start,
    /// Its firmware was asked to stop by itself, and runs.
    GracefulStop,
    /// Being held in reset.
    Stop,
    /// Being held in reset before its memory is cleared.
    Release,
    /// Its memory is being cleared, to be given back.
    Wipe,
    /// Being held in reset, because nobody owns it (any more).
    Hold,
    /// The same, held: its memory is being cleared.
    Clear,
}

impl Pending {
    /// Every value.
    pub const ALL: [Self; 8] = [
        Self::Load,
        Self::Start,
        Self::GracefulStop,
        Self::Stop,
        Self::Release,
        Self::Wipe,
        Self::Hold,
        Self::Clear,
    ];
}

/// What a client asks of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// LOAD_FW.
    Load,
    /// START_FW.
    Start,
    /// STOP_FW.
    Stop,
    /// GET_RSC_TABLE.
    GetResourceTable,
    /// RELEASE_FW.
    Release,
}

impl Ask {
    /// Every value.
    pub const ALL: [Self; 5] = [Self::Load, Self::Start, Self::Stop, Self::GetResourceTable, Self::Release];
}

/// What has happened to a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The signature verified and the processor is held: the memory is the loader's now.
    Claimed,
    /// The same of a processor whose load was given up: by its owner, who starts again, or by another client's after idle time.
    ClaimedAgain,
    /// The last check of a load passed.
    LoadDone,
    /// A load or the check before a start failed, and the memory was cleared.
    Wiped,
    /// The memory could not be cleared.
    WipeFailed,
    /// The hardware released the processor from reset.
    Started,
    /// A start failed; the processor is held again, but may have run.
    StartUndone,
    /// A start failed, and the hardware does not confirm that the processor is held, or a stop has to clear its memory.
    StartLost,
    /// The hardware says that the processor does not run any more.
    CrashSeen,
    /// The hardware holds the processor.
    Held,
    /// Its owner is gone: from now on it is nobody's, to be held and cleared.
    OwnerGone,
    /// The hardware holds a processor that is nobody's.
    HeldForNobody,
    /// It ran when the service began.
    FoundRunning,
    /// When the service began it had stopped by itself, or the hardware did not say what it does.
    FoundAstray,
}

impl Event {
    /// Every value.
    pub const ALL: [Self; 14] = [
        Self::Claimed,
        Self::ClaimedAgain,
        Self::LoadDone,
        Self::Wiped,
        Self::WipeFailed,
        Self::Started,
        Self::StartUndone,
        Self::StartLost,
        Self::CrashSeen,
        Self::Held,
        Self::OwnerGone,
        Self::HeldForNobody,
        Self::FoundRunning,
        Self::FoundAstray,
    ];
}

/// A row's left side: something asked, or something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A client asks.
    Ask(Ask),
    /// The service reports.
    Event(Event),
}

/// A row's right side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Carry it out (an ask).
    Proceed,
    /// It is so already: answer SUCCESS and do nothing (an ask).
    AlreadySo,
    /// Only the image that is loaded already will do (LOAD_FW).
    OnlyTheSame,
    /// Say no (an ask).
    Refuse(Refusal),
    /// The state is this from now on (an event).
    Become(State),
    /// This can't happen here (an event); the state stays.
    Impossible,
}

/// The table. Every change of state in this crate goes through it.
#[must_use]
pub const fn transition(state: State, pending: Option<Pending>, input: Input) -> Verdict {
    use Ask::{GetResourceTable, Load, Release, Start, Stop};
    use Event::{
        Claimed, ClaimedAgain, CrashSeen, FoundAstray, FoundRunning, Held, HeldForNobody, LoadDone,
        OwnerGone, StartLost, StartUndone, Started, WipeFailed, Wiped,
    };
    use Input::{Ask as A, Event as E};
    use Verdict::{AlreadySo, Become, Impossible, OnlyTheSame, Proceed, Refuse};
    match (state, pending, input) {
        // Asked while the hardware is still busy with something asked before.
        (_, Some(Pending::Start), A(Start | Stop)) => Proceed,
        (_, Some(Pending::Start), A(Load | Release)) => Refuse(Refusal::IsRunning),
        (_, Some(Pending::GracefulStop | Pending::Stop), A(Stop)) => Proceed,
        (_, Some(Pending::GracefulStop | Pending::Stop), A(Start)) => Refuse(Refusal::IsStopped),
        (_, Some(Pending::GracefulStop | Pending::Stop), A(Load | Release)) => Refuse(Refusal::IsRunning),
        (_, Some(Pending::Release), A(Release)) => Proceed,
        (State::Crashed, Some(Pending::Release), A(Stop)) => Proceed,
        (_, Some(Pending::Release), A(Stop)) => AlreadySo,
        (_, Some(Pending::Release), A(Load)) => Refuse(Refusal::AnotherImageLoaded),
        (_, Some(Pending::Release), A(Start | GetResourceTable)) => Refuse(Refusal::NotLoaded),
        // A load or a start goes on with the wipe, and is then answered as what it is.
        (_, Some(Pending::Wipe), A(Load | Start | Release)) => Proceed,
        (_, Some(Pending::Wipe), A(Stop)) => AlreadySo,
        (_, Some(Pending::Wipe), A(GetResourceTable)) => Refuse(Refusal::NotLoaded),
        // Nobody's: whoever wants it goes on with the hold and the clearing first.
        (_, Some(Pending::Hold), A(Load | Stop | Release)) => Proceed,
        (_, Some(Pending::Clear), A(Load | Release)) => Proceed,
        (_, Some(Pending::Clear), A(Stop)) => AlreadySo,
        (_, Some(Pending::Hold | Pending::Clear), A(Start | GetResourceTable)) => Refuse(Refusal::NotLoaded),

        // Asked of a processor at rest, or of one that is being held before a load (which has claimed nothing yet).
        (State::Offline, _, A(Load)) => Proceed,
        (State::Offline, _, A(Start | GetResourceTable)) => Refuse(Refusal::NotLoaded),
        (State::Offline, _, A(Stop | Release)) => AlreadySo,
        (State::Loading, _, A(Load | Release)) => Proceed,
        (State::Loading, _, A(Start | Stop | GetResourceTable)) => Refuse(Refusal::LoadInProgress),
        (State::Loaded, _, A(Load)) => OnlyTheSame,
        (State::Loaded, _, A(Start | GetResourceTable | Release)) => Proceed,
        (State::Loaded, _, A(Stop)) => AlreadySo,
        (State::Running, _, A(Start)) => AlreadySo,
        (State::Running, _, A(Stop | GetResourceTable)) => Proceed,
        (State::Running, _, A(Load | Release)) | (State::Crashed, _, A(Load)) => Refuse(Refusal::IsRunning),
        // A client whose START_FW has failed may give up without a STOP_FW.
        (State::Crashed, _, A(Stop | GetResourceTable | Release)) => Proceed,
        (State::Crashed | State::Stopped, _, A(Start)) => Refuse(Refusal::IsStopped),
        (State::Stopped, _, A(Load | GetResourceTable | Release)) => Proceed,
        (State::Stopped, _, A(Stop)) => AlreadySo,

        // What happens.
        (State::Offline | State::Stopped, _, E(Claimed)) => Become(State::Loading),
        (State::Loading, _, E(ClaimedAgain)) => Become(State::Loading),
        (State::Loading, _, E(LoadDone)) => Become(State::Loaded),
        (State::Loading | State::Loaded | State::Stopped, _, E(Wiped)) => Become(State::Offline),
        (State::Loading | State::Loaded | State::Stopped, _, E(WipeFailed)) => Become(State::Stopped),
        (State::Loaded, _, E(Started)) => Become(State::Running),
        (State::Loaded, _, E(StartUndone)) => Become(State::Stopped),
        (State::Loaded, _, E(StartLost)) => Become(State::Crashed),
        (State::Running, _, E(CrashSeen)) => Become(State::Crashed),
        (State::Loaded | State::Running | State::Crashed, _, E(Held)) => Become(State::Stopped),
        (State::Offline, _, E(OwnerGone | HeldForNobody)) => Impossible,
        (_, _, E(OwnerGone)) => Become(state),
        (_, _, E(HeldForNobody)) => Become(State::Stopped),
        (State::Offline, _, E(FoundRunning)) => Become(State::Running),
        (State::Offline, _, E(FoundAstray)) => Become(State::Crashed),
        (_, _, E(_)) => Impossible,
    }
}
