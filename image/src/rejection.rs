//! A refusal with the place in the container where it was noticed.
use remoteproc_refusal::Refusal;

/// A refusal and where in the container it was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub refusal: Refusal,
    /// Offset in the container, bytes, where there is one.
    pub offset: Option<u64>,
}

impl Rejection {
    /// A refusal that concerns a place in the container.
    pub(crate) const fn at(refusal: Refusal, offset: u64) -> Self {
        Self { refusal, offset: Some(offset) }
    }

    /// A refusal that concerns the container as a whole, or something that is not there.
    pub(crate) const fn whole(refusal: Refusal) -> Self {
        Self { refusal, offset: None }
    }
}
