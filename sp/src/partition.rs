//! The one service of this partition, and the way to it from the message loop and from the end.
use crate::client_memory::FfaMemory;
#[cfg(feature = "fault-injection")]
use crate::fault;
use crate::machine::Hardware;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use remoteproc_abi::{door_d, ts_rpc};
use remoteproc_image::provider::Provider;
use remoteproc_image::software::Software;
use remoteproc_service::client_memory::EndpointId;
use remoteproc_service::configuration::MAX_PROCESSORS;
use remoteproc_service::{Caller, Door, Service, Storage};
use remoteproc_sp::message;
use spin::{Mutex, MutexGuard, Once};

/// The service with the client memory it works on.
pub struct Partition {
    pub service: Service<'static, Hardware>,
    pub memory: FfaMemory,
}

static PARTITION: Once<Mutex<Partition>> = Once::new();

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

/// The message loop's view of the service.
pub struct Front;

impl message::Service for Front {
    fn handle(&mut self, client: EndpointId, request: &door_d::Registers) -> door_d::Registers {
        let caller = Caller { endpoint: client, door: Door::Direct };
        let Some(partition) = PARTITION.get() else { return message::Dead.handle(client, request) };
        let answer = {
            let Partition { service, memory } = &mut *partition.lock();
            #[cfg(feature = "fault-injection")]
            if let Some(answer) = fault::command(request) {
                return answer;
            }
            service.handle(caller, request, memory).encode()
        };
        look_if_due();
        answer
    }

    fn handle_rpc(&mut self, client: EndpointId, request: &ts_rpc::Registers) -> ts_rpc::Registers {
        let Some(partition) = PARTITION.get() else { return message::Dead.handle_rpc(client, request) };
        let Partition { service, memory } = &mut *partition.lock();
        #[cfg(feature = "fault-injection")]
        fault::reach(fault::Point::DoorT);
        service.handle_rpc(client, request, memory)
    }

    fn interrupted(&mut self) {
        LOOK_DUE.store(true, Ordering::Release);
        look_if_due();
    }
}

/// Something may have happened to a processor, and nobody has looked since.
static LOOK_DUE: AtomicBool = AtomicBool::new(false);

/// Has the service look at the processors, if that is due. While somebody else uses the service, it is theirs to do afterwards.
fn look_if_due() {
    let Some(partition) = PARTITION.get() else { return };
    while LOOK_DUE.load(Ordering::Acquire) {
        let Some(mut partition) = partition.try_lock() else { return };
        if LOOK_DUE.swap(false, Ordering::AcqRel) {
            partition.service.look_around();
        }
    }
}

/// Tries to hold one processor. Whoever fails in one goes on with the next, and so gets to all of them.
const TRIES: usize = 2;

/// The next try: [`TRIES`] for each processor.
static NEXT_TRY: AtomicUsize = AtomicUsize::new(0);

/// Holds every processor in reset that is being loaded or is loaded. Called again because it has failed on the way, it goes on
/// behind the try that has failed.
///
/// # Safety
/// Whatever was using the service never goes on.
pub unsafe fn hold_all_loading() {
    let Some(partition) = PARTITION.get() else { return };
    loop {
        let index = NEXT_TRY.fetch_add(1, Ordering::Relaxed) / TRIES;
        if index >= MAX_PROCESSORS {
            return;
        }
        // SAFETY: there is one execution context; if it holds the lock, it is dying inside the service and never returns to it.
        unsafe { partition.force_unlock() };
        #[cfg(feature = "fault-injection")]
        fault::reach(fault::Point::Dying);
        partition.lock().service.hold_if_loading(index);
        NEXT_TRY.store(index.saturating_add(1).saturating_mul(TRIES), Ordering::Relaxed);
    }
}
