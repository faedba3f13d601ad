//! What a refusal is here, and from its class to the result code of the wire (`docs/abi.md`, "Results").
use remoteproc_abi::result::TeeResult;
use remoteproc_image::reader::Rejection;
use remoteproc_refusal::{Class, Refusal};

/// Returns the result that a refused request is answered with.
#[must_use]
pub fn result_of(refusal: Refusal) -> TeeResult {
    match refusal.class() {
        Class::BadParameters => TeeResult::BadParameters,
        Class::BadFormat => TeeResult::BadFormat,
        Class::NoData => TeeResult::NoData,
        Class::NotSupported => TeeResult::NotSupported,
        Class::NotImplemented => TeeResult::NotImplemented,
        Class::SignatureInvalid => TeeResult::SignatureInvalid,
        Class::Security => TeeResult::Security,
        Class::AccessDenied => TeeResult::AccessDenied,
        Class::BadState => TeeResult::BadState,
        Class::OutOfMemory => TeeResult::OutOfMemory,
        Class::Generic => TeeResult::Generic,
        Class::CorruptObject => TeeResult::CorruptObject,
    }
}

/// A refusal on its way to the client's answer, the log and the memory of last refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Where in the container, bytes, if there is a place.
    pub offset: Option<u64>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, offset: None }
    }
}

impl From<Rejection> for Refused {
    fn from(Rejection { refusal, offset }: Rejection) -> Self {
        Self { refusal, offset }
    }
}
