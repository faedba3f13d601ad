//! The one service of this partition, and the way to it from the message loop and from the end.
//!
//! The execution contexts take it in turn, and its stack with it. Who comes while it is in use is answered BUSY, and has the next turn.
//! Only buffers that come and go, and LOAD_FW with ONE_CALL between two slices, wait for it inside the partition.
use crate::client_memory::FfaMemory;
use crate::contexts;
use crate::dead;
#[cfg(feature = "fault-injection")]
use crate::fault;
#[cfg(feature = "control")]
use crate::guards;
use crate::machine::Hardware;
use crate::time;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
use remoteproc_abi::result::TeeResult;
use remoteproc_abi::{door_d, ts_rpc};
use remoteproc_image::provider::Provider;
use remoteproc_image::software::Software;
use remoteproc_service::client_memory::EndpointId;
use remoteproc_service::configuration::MAX_PROCESSORS;
use remoteproc_service::door_t::answer_at_once;
use remoteproc_service::{Caller, Door, Service, Storage, goes_on_by_itself};
use remoteproc_sp::gone::Gone;
use remoteproc_sp::message::{self, door_t};
use remoteproc_sp::turn::Turn;
use spin::{Mutex, MutexGuard, Once};

/// The service with the client memory it works on.
pub struct Partition {
    pub service: Service<'static, Hardware>,
    pub memory: FfaMemory,
}

static PARTITION: Once<Mutex<Partition>> = Once::new();

/// The execution context that uses the service, by its number; 0 if none does.
static USER: AtomicU32 = AtomicU32::new(0);

/// Who uses it next.
static TURN: Turn = Turn::new();

/// Virtual machines that are gone, and that the service does not know to be gone yet.
static GONE: Gone = Gone::new();

/// How often the service was entered so far: who waits for it sees whether it gets on.
static ENTERED: AtomicU32 = AtomicU32::new(0);

/// The longest that a request waits for a service that does not get on, milliseconds: much longer than a slice takes, even in an
/// emulator. Who has it was stopped by the normal world, then, and nobody goes on with that.
const PATIENCE: u64 = 10_000;

/// Slices of one LOAD_FW with ONE_CALL at most: hardware that is never done would be waited for, for ever, under a clock that
/// stands still.
const MOST_SLICES: u32 = 10_000_000;

/// The memory that the service works in.
type Workplace = Storage<<Software as Provider>::Hasher>;

/// By far the largest object. It is all zeros, so the image file need not carry it.
static WORKPLACE: Mutex<Workplace> = Mutex::new(Workplace::new());

/// Returns the memory that the service works in. `None` when called again.
pub fn storage() -> Option<&'static mut Workplace> {
    WORKPLACE.try_lock().map(MutexGuard::leak)
}

/// Puts the service in its place.
pub fn install(make: impl FnOnce() -> Partition) {
    PARTITION.call_once(|| Mutex::new(make()));
}

/// Works with the service, on the service's stack. `None`: another execution context does, or the client is gone.
fn enter<R>(work: impl FnOnce(&mut Partition) -> R) -> Option<R> {
    let (me, now) = (contexts::current(), time::milliseconds());
    let partition = PARTITION.get()?;
    let Some(guard) = is_admitted(me, now).then(|| partition.try_lock()).flatten() else {
        TURN.wait(me, now);
        return None;
    };
    serve_with(me, guard, work)
}

/// Tells whether it is not somebody else's turn.
fn is_admitted(me: u32, now: u64) -> bool {
    #[cfg(feature = "control")]
    if !guards::stands(remoteproc_service::Guard::Turn) {
        return true;
    }
    TURN.admits(me, now)
}

/// Tells whether the client of this context's request is gone.
fn is_stale() -> bool {
    #[cfg(feature = "control")]
    if !guards::stands(remoteproc_service::Guard::Stale) {
        return false;
    }
    GONE.is_stale(contexts::place())
}

/// Works with the service whoever's turn it is. `None`: another execution context does; this one has the next turn, unless another
/// one has that already, or the client is gone.
fn enter_out_of_turn<R>(work: impl FnOnce(&mut Partition) -> R) -> Option<R> {
    let me = contexts::current();
    let Some(guard) = PARTITION.get()?.try_lock() else {
        TURN.wait(me, time::milliseconds());
        return None;
    };
    serve_with(me, guard, work)
}

/// Serves a request with the service, which this context has; then does what became due meanwhile.
fn serve_with<R>(
    me: u32,
    guard: MutexGuard<'_, Partition>,
    work: impl FnOnce(&mut Partition) -> R,
) -> Option<R> {
    // Of a machine that is gone nothing is served any more.
    let unless_stale = |partition: &mut Partition| (!is_stale()).then(|| work(partition));
    let result = work_with(me, guard, unless_stale).flatten();
    TURN.served(me);
    do_what_is_due(me);
    end_if_dead();
    result
}

/// Works with the service, which this context has, on the service's stack, and gives it back.
fn work_with<R>(
    me: u32,
    mut guard: MutexGuard<'_, Partition>,
    work: impl FnOnce(&mut Partition) -> R,
) -> Option<R> {
    // Whoever fails says so before it lets the service go: what it leaves is not worked with.
    if dead::is_dead() {
        return None;
    }
    USER.store(me, Ordering::Relaxed);
    ENTERED.fetch_add(1, Ordering::Relaxed);
    let mut result = None;
    let whole = || {
        let Partition { service, memory } = &mut *guard;
        // Before anything else: who has the id now is another one.
        GONE.take(|id| service.forget(id, memory));
        result = Some(work(&mut guard));
    };
    // SAFETY: whoever has the lock has the stack; what used it before is done, or never goes on.
    unsafe { contexts::on_service_stack(whole) };
    USER.store(0, Ordering::Relaxed);
    result
}

/// Something may have happened to a processor, and nobody has looked since.
static LOOK_DUE: AtomicBool = AtomicBool::new(false);

/// Has the service look at the processors, and forget who is gone, if that is due. While another context uses the service, it is that
/// one's to do afterwards; so nobody waits, and nobody's turn is lost.
fn do_what_is_due(me: u32) {
    let Some(partition) = PARTITION.get() else { return };
    // What was given back, and what is due, are seen in this order; who makes something due does it the other way round.
    fence(Ordering::SeqCst);
    while (LOOK_DUE.load(Ordering::SeqCst) || GONE.is_due()) && !dead::is_dead() {
        let Some(guard) = partition.try_lock() else { return };
        work_with(me, guard, |partition| {
            if LOOK_DUE.swap(false, Ordering::SeqCst) {
                partition.service.look_around();
            }
        });
    }
}

/// Another context may have failed while this one had the service, and found it in use.
fn end_if_dead() {
    fence(Ordering::SeqCst);
    if dead::is_dead() {
        // SAFETY: this context has left the service.
        unsafe { hold_all_loading() };
    }
}

/// Whether an execution context, by its number, was stopped while it used the service.
pub fn is_used_by(context: u32) -> bool {
    USER.load(Ordering::Relaxed) == context
}

/// A wait for the service.
struct Waiting {
    /// When it began, milliseconds.
    since: u64,
    /// When the service was seen to get on, and how often it was entered by then.
    moved: u64,
    entered: u32,
}

impl Waiting {
    fn new() -> Self {
        let now = time::milliseconds();
        Self { since: now, moved: now, entered: ENTERED.load(Ordering::Relaxed) }
    }

    /// The service does not get on.
    fn in_vain(&mut self) -> bool {
        let (now, entered) = (time::milliseconds(), ENTERED.load(Ordering::Relaxed));
        if entered != self.entered {
            (self.moved, self.entered) = (now, entered);
        }
        now.saturating_sub(self.moved) > PATIENCE
    }

    /// It takes long, though the service gets on.
    fn long(&self) -> bool {
        time::milliseconds().saturating_sub(self.since) > PATIENCE
    }
}

/// The message loop's view of the service.
pub struct Front;

impl message::Service for Front {
    fn handle(&mut self, client: EndpointId, request: &door_d::Registers) -> door_d::Registers {
        if dead::is_dead() {
            return message::Dead.handle(client, request);
        }
        let caller = Caller { endpoint: client, door: Door::Direct };
        // BUSY is asked again.
        GONE.begin(contexts::place(), client, true);
        // IN_PROGRESS, once a load has begun that has no other request to go on with.
        let mut last = None;
        let (mut slices, mut waiting) = (0u32, Waiting::new());
        while slices < MOST_SLICES {
            let slice = enter(|Partition { service, memory }| {
                #[cfg(feature = "fault-injection")]
                if let Some(answer) = fault::command(request) {
                    return Err(answer);
                }
                #[cfg(feature = "control")]
                if let Some(answer) = guards::command(request, service) {
                    return Err(answer);
                }
                Ok(service.handle(caller, request, memory))
            });
            match slice {
                Some(Ok(answer)) if goes_on_by_itself(request, &answer) => {
                    last = Some(answer);
                    slices = slices.saturating_add(1);
                    waiting = Waiting::new();
                }
                Some(Ok(answer)) => return answer.encode(),
                Some(Err(registers)) => return registers,
                None if dead::is_dead() => return message::Dead.handle(client, request),
                None if last.is_none() || is_stale() || waiting.in_vain() => break,
                None => spin_loop(),
            }
        }
        last.unwrap_or(door_d::Answer::of(TeeResult::Busy)).encode()
    }

    fn handle_rpc(&mut self, client: EndpointId, request: &ts_rpc::Registers) -> ts_rpc::Registers {
        if dead::is_dead() {
            return message::Dead.handle_rpc(client, request);
        }
        #[cfg(feature = "fault-injection")]
        fault::reach(fault::Point::Outside);
        if let Some(answer) = answer_at_once(request) {
            return answer;
        }
        // No client of door T asks again. What a machine that is gone had as a buffer is not held, so that its calls find nothing.
        GONE.begin(contexts::place(), client, false);
        let mut waiting = Waiting::new();
        loop {
            let serve = |Partition { service, memory }: &mut Partition| {
                #[cfg(feature = "fault-injection")]
                fault::reach(fault::Point::DoorT);
                service.handle_rpc(client, request, memory)
            };
            let answer = if door_t::goes_first(request) { enter_out_of_turn(serve) } else { enter(serve) };
            if let Some(answer) = answer {
                return answer;
            }
            if dead::is_dead() {
                return message::Dead.handle_rpc(client, request);
            }
            // Only a buffer that has to be given back is worth a wait without end.
            let in_vain = waiting.in_vain() || !door_t::goes_first(request) && waiting.long();
            if !door_t::waits_its_turn(request) || in_vain || is_stale() {
                return door_t::answer_of_the_busy(request);
            }
            spin_loop();
        }
    }

    fn virtual_machine_gone(&mut self, id: EndpointId) -> bool {
        if dead::is_dead() || !GONE.note(id) {
            return false;
        }
        do_what_is_due(contexts::current());
        end_if_dead();
        !dead::is_dead()
    }

    fn waits(&mut self) {
        GONE.wait(contexts::place());
    }

    fn interrupted(&mut self) {
        LOOK_DUE.store(true, Ordering::SeqCst);
        do_what_is_due(contexts::current());
        end_if_dead();
    }
}

/// Tries to hold one processor. Whoever fails in one goes on with the next, and so gets to all of them.
const TRIES: usize = 2;

/// The next try: [`TRIES`] for each processor.
static NEXT_TRY: AtomicUsize = AtomicUsize::new(0);

/// Holds every processor in reset that is being loaded or is loaded. Called again because it has failed on the way, it goes on
/// behind the try that has failed. While another execution context uses the service it does nothing: that one does it when it is
/// done.
///
/// # Safety
/// If this execution context was using the service, it never goes on with that.
pub unsafe fn hold_all_loading() {
    let Some(partition) = PARTITION.get() else { return };
    // Whether others see that the partition is dead is asked before whether they use the service; they do it the other way round.
    fence(Ordering::SeqCst);
    loop {
        let me = contexts::current();
        if me != 0 && is_used_by(me) {
            // SAFETY: the lock is this context's, and what it was taken for never goes on, says our caller.
            unsafe { partition.force_unlock() };
        }
        let Some(mut guard) = partition.try_lock() else { return };
        USER.store(me, Ordering::Relaxed);
        let index = NEXT_TRY.fetch_add(1, Ordering::Relaxed) / TRIES;
        if index < MAX_PROCESSORS {
            #[cfg(feature = "fault-injection")]
            fault::reach(fault::Point::Dying);
            guard.service.hold_if_loading(index);
            NEXT_TRY.store(index.saturating_add(1).saturating_mul(TRIES), Ordering::Relaxed);
        }
        USER.store(0, Ordering::Relaxed);
        if index >= MAX_PROCESSORS {
            return;
        }
    }
}

/// An execution context has failed, and another one ends the service: leaves the service, if it was using that.
///
/// # Safety
/// It never goes on with what it was doing, and uses no stack but its own now.
pub unsafe fn leave_after_failing() {
    if is_used_by(contexts::current()) {
        // SAFETY: both as our caller says; the service's stack was this context's.
        unsafe { contexts::on_service_stack(|| hold_all_loading()) };
    }
}
