//! The RX/TX buffer pair, and the memory management calls that use it (DEN0140, chapter 2).
//!
//! The SPMC writes the RX buffer. It is copied once into private memory and released at once; only the copy is looked at.
use super::{CallError, SUCCESS, request};
use arm_ffa::{FfaError, FuncId};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use remoteproc_abi::memory_descriptor::{DescriptorError, RetrieveRequest, write_relinquish};
use remoteproc_service::client_memory::EndpointId;

/// Size of each buffer, bytes.
pub const SIZE: usize = 4096;
/// Fragments that a descriptor is followed through, to be able to give its memory back. SPMCs have fewer.
const MAX_FRAGMENTS: usize = 64;

/// Memory that the SPMC reads or writes during calls.
#[repr(C, align(4096))]
struct Buffer(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the one `Mailbox` accesses the buffers, through raw pointers, and it is not shared.
unsafe impl Sync for Buffer {}

// SAFETY: zeroed memory like all of its kind; the linker script only puts what is aligned to pages together.
#[unsafe(link_section = ".bss.pages")]
static RX: Buffer = Buffer(UnsafeCell::new([0; SIZE]));
// SAFETY: as above.
#[unsafe(link_section = ".bss.pages")]
static TX: Buffer = Buffer(UnsafeCell::new([0; SIZE]));
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Why memory could not be retrieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetrieveError {
    /// The SPMC refused.
    #[error("{0}")]
    Refused(#[from] CallError),
    /// The descriptor does not fit the RX buffer. The memory was given back.
    #[error("its description is too long")]
    TooLong,
    /// The request could not be written.
    #[error("{0}")]
    Descriptor(#[from] DescriptorError),
}

/// The partition's side of the buffer pair.
pub struct Mailbox {
    partition: EndpointId,
}

impl Mailbox {
    /// FFA_RXTX_MAP: gives the buffers to the SPMC.
    ///
    /// # Errors
    /// The SPMC's refusal.
    ///
    /// # Panics
    /// If called twice.
    pub fn map(partition: EndpointId) -> Result<Self, CallError> {
        assert!(!TAKEN.swap(true, Ordering::Relaxed), "there is one mailbox");
        // Virtual and physical addresses of the image are the same.
        let (rx, tx) = (RX.0.get() as u64, TX.0.get() as u64);
        request(FuncId::RxTxMap64, &[tx, rx, 1], SUCCESS)?;
        Ok(Self { partition })
    }

    /// FFA_MEM_RETRIEVE_REQ: retrieves memory that somebody shared or lent. The SPMC's description of it goes to `description`; returns
    /// its length in bytes.
    ///
    /// # Errors
    /// Says why not; then nothing is held.
    pub fn retrieve(
        &mut self,
        retrieve: RetrieveRequest,
        description: &mut [u8; SIZE],
    ) -> Result<usize, RetrieveError> {
        let handle = retrieve.handle;
        let length = retrieve.write(description)? as u64;
        self.send(description);
        // Total and fragment length; no buffer of its own, so the descriptor is in the TX buffer.
        let answer = request(FuncId::MemRetrieveReq32, &[length, length, 0, 0], &[FuncId::MemRetrieveResp])?;
        let (total, fragment) = (low_half(answer[1]), low_half(answer[2]));
        self.receive(description);
        if total == fragment && total <= SIZE {
            return Ok(total);
        }
        self.skip_fragments(handle, total, fragment);
        self.relinquish(handle);
        Err(RetrieveError::TooLong)
    }

    /// FFA_MEM_RELINQUISH: gives memory back. The SPMC's refusal changes nothing for the partition, which has let go already.
    pub fn relinquish(&mut self, handle: u64) {
        let mut descriptor = [0; SIZE_OF_RELINQUISH];
        let result = match write_relinquish(&mut descriptor, handle, self.partition) {
            Ok(_) => {
                self.send(&descriptor);
                request(FuncId::MemRelinquish, &[], SUCCESS).map(drop)
            }
            Err(_) => Err(CallError::Refused(FfaError::NoMemory.into())),
        };
        if let Err(error) = result {
            log::error!("memory {handle:#x} not given back: {error}");
        }
    }

    /// Takes the rest of a fragmented descriptor and drops it: SPMCs take memory back only from a borrower that has seen all.
    fn skip_fragments(&mut self, handle: u64, total: usize, first: usize) {
        let mut seen = first;
        for _ in 0..MAX_FRAGMENTS {
            if seen >= total {
                return;
            }
            let arguments = [handle & 0xFFFF_FFFF, handle >> 32, seen as u64, 0];
            let Ok(answer) = request(FuncId::MemFragRx, &arguments, &[FuncId::MemFragTx]) else { return };
            release_rx();
            let length = low_half(answer[3]);
            if length == 0 {
                return;
            }
            seen = seen.saturating_add(length);
        }
    }

    /// Fills the start of the TX buffer.
    fn send(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(SIZE);
        // SAFETY: the buffer is `SIZE` bytes long and only reached through this mailbox, which is borrowed exclusively; the SPMC
        // reads it during the following call only. `bytes` is ordinary memory elsewhere.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), TX.0.get().cast(), length) };
    }

    /// Copies the RX buffer and releases it.
    fn receive(&mut self, into: &mut [u8; SIZE]) {
        // SAFETY: both are `SIZE` bytes long; the partition owns the RX buffer until it is released below, so the SPMC does not
        // write it meanwhile.
        unsafe { core::ptr::copy_nonoverlapping(RX.0.get().cast(), into.as_mut_ptr(), SIZE) };
        release_rx();
    }
}

/// Length of a relinquish descriptor with one endpoint, rounded up, bytes.
const SIZE_OF_RELINQUISH: usize = 32;

/// FFA_RX_RELEASE: lets the SPMC write the RX buffer again. Refused only if the partition does not own it; then that is so.
fn release_rx() {
    if let Err(error) = request(FuncId::RxRelease, &[], SUCCESS) {
        log::error!("RX buffer not released: {error}");
    }
}

/// Returns bits 31:0.
fn low_half(register: u64) -> usize {
    (register & 0xFFFF_FFFF) as usize
}
