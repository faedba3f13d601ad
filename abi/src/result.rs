//! The results of the service: TEE_Result values (GlobalPlatform TEE Internal Core API), as OP-TEE's service uses them.
use core::fmt;
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// The outcome of a request, bits 31:0 of the first register of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum TeeResult {
    /// Done.
    Success = 0,
    /// Not done yet: repeat the call (LOAD_FW: go on at the bytes done).
    InProgress = 0x00A4_0001,
    /// Data that should have been aligned or consistent is not.
    CorruptObject = 0xF010_0001,
    /// The hardware did not do what it was told.
    Generic = 0xFFFF_0000,
    /// An address outside what the caller or the image may touch.
    AccessDenied = 0xFFFF_0001,
    /// The image's contents are malformed.
    BadFormat = 0xFFFF_0005,
    /// The request or the container's framing is malformed.
    BadParameters = 0xFFFF_0006,
    /// The request does not fit the processor's state or owner.
    BadState = 0xFFFF_0007,
    /// Known, not implemented yet.
    NotImplemented = 0xFFFF_0009,
    /// Known, but not on this platform.
    NotSupported = 0xFFFF_000A,
    /// Something that has to be there is missing.
    NoData = 0xFFFF_000B,
    /// A stated limit is exceeded.
    OutOfMemory = 0xFFFF_000C,
    /// Another execution context is busy with this: try again.
    Busy = 0xFFFF_000D,
    /// Authenticated data and the bytes that came with it disagree.
    Security = 0xFFFF_000F,
    /// The partition has panicked; it answers nothing else any more.
    TargetDead = 0xFFFF_3024,
    /// No trusted key verifies the signature.
    SignatureInvalid = 0xFFFF_3072,
}

impl TeeResult {
    /// Returns the result's name without its prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::InProgress => "IN_PROGRESS",
            Self::CorruptObject => "CORRUPT_OBJECT",
            Self::Generic => "GENERIC",
            Self::AccessDenied => "ACCESS_DENIED",
            Self::BadFormat => "BAD_FORMAT",
            Self::BadParameters => "BAD_PARAMETERS",
            Self::BadState => "BAD_STATE",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::NoData => "NO_DATA",
            Self::OutOfMemory => "OUT_OF_MEMORY",
            Self::Busy => "BUSY",
            Self::Security => "SECURITY",
            Self::TargetDead => "TARGET_DEAD",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
        }
    }
}

impl fmt::Display for TeeResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({:#010x})", self.name(), u32::from(*self))
    }
}
