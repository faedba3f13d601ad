//! The guards that tests take out, one by one, to show that they would notice: the exploration of all states on the host, and the
//! partition that `cargo xtask test` builds for the controls. In a partition that is used none can be taken out: without the feature
//! `control` there is nothing to ask, and every guard stands.
use crate::hardware::Machine;
use crate::service::Service;
#[cfg(feature = "control")]
use remoteproc_image::provider::{Algorithm, CipherKey, Provider, PublicKey, Signed};

/// A guard. Its number is what the partition of the controls is told (`sp/src/guards.rs`). The last five stand in the partition itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Only its owner may ask something of a processor.
    Owner = 1,
    /// Memory is cleared before it is given back.
    Wipe = 2,
    /// Private segments are hashed again before a start, where the hardware does not close them.
    Seal = 3,
    /// A state changes only after the hardware has done what it was told.
    HardwareFirst = 4,
    /// LOAD_FW succeeds at once for the image that is loaded, and for no other.
    SameImage = 5,
    /// A processor is held in reset again whose start failed.
    UndoStart = 6,
    /// Each byte of a segment is read once from client memory.
    CopyOnce = 7,
    /// Header, TLVs and signature are read once from client memory.
    MetadataOnce = 8,
    /// Loaded segments are held against their signed digests.
    SegmentHash = 9,
    /// A signature is believed only if a trusted key has made it.
    Signature = 10,
    /// Memory that a client names is judged before it is used.
    RangeCheck = 11,
    /// A processor's memory is closed to everybody else before it is written.
    Close = 12,
    /// A processor is held in reset before its memory is written.
    HoldBeforeLoad = 13,
    /// Only the endpoints that the manifest lists may ask something of a processor.
    EndpointList = 14,
    /// Nothing is loaded or started that is older than the platform's security counter allows.
    SecurityCounter = 15,
    /// A wipe that has failed begins anew when it is asked for again.
    WipeAgain = 16,
    /// What a virtual machine that is gone had owned is held and cleared.
    OwnerGone = 17,
    /// After a stop, private memory is open, or kept where nothing closes it, only if it may be read for a dump.
    Dump = 18,
    /// Client memory is held until its bytes are used: its owner can't take it back meanwhile.
    HoldMemory = 19,
    /// A copy that aborts is an error, and not the partition's end.
    FixUp = 20,
    /// What a virtual machine had asked before it was gone is not done afterwards.
    Stale = 21,
    /// Who was answered BUSY has the next turn.
    Turn = 22,
    /// The partition's clock is none that the normal world can set.
    Clock = 23,
}

impl Guard {
    /// Every value.
    pub const ALL: [Self; 23] = [
        Self::Owner,
        Self::Wipe,
        Self::Seal,
        Self::HardwareFirst,
        Self::SameImage,
        Self::UndoStart,
        Self::CopyOnce,
        Self::MetadataOnce,
        Self::SegmentHash,
        Self::Signature,
        Self::RangeCheck,
        Self::Close,
        Self::HoldBeforeLoad,
        Self::EndpointList,
        Self::SecurityCounter,
        Self::WipeAgain,
        Self::OwnerGone,
        Self::Dump,
        Self::HoldMemory,
        Self::FixUp,
        Self::Stale,
        Self::Turn,
        Self::Clock,
    ];
}

impl<M: Machine> Service<'_, M> {
    /// Tells whether a guard stands.
    #[cfg(not(feature = "control"))]
    #[allow(clippy::unused_self, reason = "with the feature it looks")]
    pub(crate) const fn guarded(&self, _guard: Guard) -> bool {
        true
    }

    /// Tells whether a guard stands.
    #[cfg(feature = "control")]
    pub(crate) fn guarded(&self, guard: Guard) -> bool {
        self.removed != Some(guard)
    }

    /// Takes a guard out.
    #[cfg(feature = "control")]
    pub const fn remove(&mut self, guard: Option<Guard>) {
        self.removed = guard;
    }
}

/// A provider that believes every signature, if it is told so.
#[cfg(feature = "control")]
pub(crate) struct Believer<'p, P> {
    pub crypto: &'p P,
    pub believes: bool,
}

#[cfg(feature = "control")]
impl<P: Provider> Provider for Believer<'_, P> {
    type Hasher = P::Hasher;
    type Decryption = P::Decryption;

    fn sha256(&self) -> P::Hasher {
        self.crypto.sha256()
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        self.crypto.supports(algorithm)
    }

    fn verify(&self, key: &PublicKey<'_>, signed: &Signed<'_>) -> bool {
        self.believes || self.crypto.verify(key, signed)
    }

    fn decryption(&self, key: &CipherKey<'_>) -> Option<P::Decryption> {
        self.crypto.decryption(key)
    }
}
