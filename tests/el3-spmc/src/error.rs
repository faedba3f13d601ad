//! FF-A error codes, and a refusal that names the rule it stands on.

/// FF-A error code (DEN0077A 1.2, table 13.2), as FFA_ERROR carries it in w2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum FfaError {
    /// The function or feature does not exist here.
    NotSupported = -1,
    /// A parameter is malformed or names nothing.
    InvalidParameters = -2,
    /// No room.
    NoMemory = -3,
    /// The target or the buffer is in use.
    Busy = -4,
    /// Not allowed in this state or for this caller.
    Denied = -6,
    /// Ask again.
    Retry = -7,
    /// There is nothing to tell.
    NoData = -9,
}

impl FfaError {
    /// The 32-bit register value (two's complement, zero-extended).
    pub const fn register(self) -> u64 {
        (self as i32 as u32) as u64
    }
}

/// Why a call is refused: the FF-A error for the caller, and the rule for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the caller is told.
    pub error: FfaError,
    /// Stable short name of the rule.
    pub rule: &'static str,
    /// The rule in words.
    pub text: &'static str,
    /// Whether a client can lead a partition that keeps every rule to this: it retrieves what it is told, as it is told.
    pub provoked: bool,
}

impl Refusal {
    /// INVALID_PARAMETERS because of `rule`.
    pub const fn invalid(rule: &'static str, text: &'static str) -> Self {
        Self::new(FfaError::InvalidParameters, rule, text)
    }

    /// DENIED because of `rule`.
    pub const fn denied(rule: &'static str, text: &'static str) -> Self {
        Self::new(FfaError::Denied, rule, text)
    }

    /// Any other error because of `rule`.
    pub const fn new(error: FfaError, rule: &'static str, text: &'static str) -> Self {
        Self { error, rule, text, provoked: false }
    }

    /// The same refusal, but it may be the client's doing: no violation of the partition.
    pub const fn provoked(self) -> Self {
        Self { provoked: true, ..self }
    }
}
