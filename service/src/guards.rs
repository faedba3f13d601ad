//! The guards that the exploration of all states takes out, one by one, to show that it would notice. In a partition none can be
//! taken out: without the feature `exploration` there is nothing to ask, and every guard stands. But for the partition that
//! `control-copies-twice` builds for one test, which never has [`Guard::CopyOnce`].
use crate::hardware::Machine;
use crate::service::Service;

/// A guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Only its owner may ask something of a processor.
    Owner,
    /// Memory is cleared before it is given back.
    Wipe,
    /// Private segments are hashed again before a start, where the hardware does not close them.
    Seal,
    /// A state changes only after the hardware has done what it was told.
    HardwareFirst,
    /// LOAD_FW succeeds at once for the image that is loaded, and for no other.
    SameImage,
    /// A processor is held in reset again whose start failed.
    UndoStart,
    /// After a stop, private memory is open, or kept where nothing closes it, only if it may be read for a dump.
    Dump,
    /// Each byte of client memory is read once.
    CopyOnce,
}

impl<M: Machine> Service<'_, M> {
    /// Tells whether a guard stands.
    #[cfg(not(feature = "exploration"))]
    #[allow(clippy::unused_self, reason = "with the feature it looks")]
    pub(crate) const fn guarded(&self, guard: Guard) -> bool {
        !(cfg!(feature = "control-copies-twice") && matches!(guard, Guard::CopyOnce))
    }

    /// Tells whether a guard stands.
    #[cfg(feature = "exploration")]
    pub(crate) fn guarded(&self, guard: Guard) -> bool {
        self.removed != Some(guard)
    }

    /// Takes a guard out.
    #[cfg(feature = "exploration")]
    pub const fn remove(&mut self, guard: Option<Guard>) {
        self.removed = guard;
    }
}
