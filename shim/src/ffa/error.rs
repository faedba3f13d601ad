//! Errors of the FF-A back end: which call failed, and with which status.
use arm_ffa::{FfaError, FuncId};
use core::fmt;
use remoteproc_abi::memory_descriptor::DescriptorError;
use remoteproc_abi::ts_rpc;

/// The status of an FFA_ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// The call is not implemented.
    pub const NOT_SUPPORTED: Self = Self(FfaError::NotSupported as i32);
    /// An argument is wrong, or nothing has the UUID asked for.
    pub const INVALID_PARAMETERS: Self = Self(FfaError::InvalidParameters as i32);
    /// The receiver is busy: try again.
    pub const BUSY: Self = Self(FfaError::Busy as i32);
    /// Not allowed, or not in this state.
    pub const DENIED: Self = Self(FfaError::Denied as i32);
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match FfaError::try_from(self.0) {
            Ok(FfaError::NotSupported) => "NOT_SUPPORTED",
            Ok(FfaError::InvalidParameters) => "INVALID_PARAMETERS",
            Ok(FfaError::NoMemory) => "NO_MEMORY",
            Ok(FfaError::Busy) => "BUSY",
            Ok(FfaError::Interrupted) => "INTERRUPTED",
            Ok(FfaError::Denied) => "DENIED",
            Ok(FfaError::Retry) => "RETRY",
            Ok(FfaError::Aborted) => "ABORTED",
            Ok(FfaError::NoData) => "NO_DATA",
            Err(_) => "unknown status",
        };
        write!(formatter, "{name} ({})", self.0)
    }
}

/// What went wrong between this client and the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A call was answered with FFA_ERROR.
    #[error("{} was answered {status}", function_name(*function))]
    Call {
        /// Which call.
        function: FuncId,
        /// Its status.
        status: Status,
    },
    /// A call was answered with something that the specification does not allow there.
    #[error("{} was answered {answer:#010x}, against the specification", function_name(*function))]
    Answer {
        /// Which call.
        function: FuncId,
        /// Bits 31:0 of x0 of the answer.
        answer: u32,
    },
    /// A direct response came from or went to somebody else, or a field that has to be zero is not.
    #[error("FFA_MSG_SEND_DIRECT_RESP has x1 {parties:#010x}, x2 {flags:#x}, against the specification")]
    Response {
        /// x1 of the answer.
        parties: u64,
        /// x2 of the answer.
        flags: u64,
    },
    /// The SPMC speaks no version that this client can.
    #[error("FFA_VERSION was answered {0:#x}: FF-A 1.2 or a later 1.x is needed")]
    Version(u32),
    /// No partition that takes direct requests offers the service.
    #[error("no partition offers the service")]
    NoService,
    /// A call went on being answered with BUSY, FFA_INTERRUPT or FFA_YIELD.
    #[error("{} does not come to an end", function_name(*.0))]
    Stalled(FuncId),
    /// The image's ranges are empty, not page aligned, or shorter than the image.
    #[error("the image's memory is not whole pages, or is shorter than the image")]
    Image,
    /// The descriptor of a share can't be written.
    #[error("the descriptor of the share: {0}")]
    Descriptor(#[from] DescriptorError),
    /// A buffer of the RX/TX pair, or the one shared with door T, is smaller than what goes in or out.
    #[error("a buffer is too small")]
    Buffer,
    /// A call of door T was answered with this RPC status.
    #[error("door T answered {}", RpcStatus(*.0))]
    Rpc(i32),
    /// A call of door T was answered with this in w3 to w7.
    #[error("door T answered {0:x?}, against the ABI")]
    RpcAnswer(ts_rpc::Registers),
}

/// An RPC status as text, whether this version knows it or not.
struct RpcStatus(i32);

impl fmt::Display for RpcStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ts_rpc::Status::try_from(self.0) {
            Ok(known) => write!(formatter, "{} ({})", known.name(), self.0),
            Err(_) => write!(formatter, "unknown status {}", self.0),
        }
    }
}

/// Returns the specification's name of a call.
#[must_use]
pub fn function_name(function: FuncId) -> &'static str {
    match function {
        FuncId::Version => "FFA_VERSION",
        FuncId::Features => "FFA_FEATURES",
        FuncId::IdGet => "FFA_ID_GET",
        FuncId::SpmIdGet => "FFA_SPM_ID_GET",
        FuncId::RxTxMap32 | FuncId::RxTxMap64 => "FFA_RXTX_MAP",
        FuncId::RxTxUnmap => "FFA_RXTX_UNMAP",
        FuncId::RxRelease => "FFA_RX_RELEASE",
        FuncId::PartitionInfoGet => "FFA_PARTITION_INFO_GET",
        FuncId::PartitionInfoGetRegs => "FFA_PARTITION_INFO_GET_REGS",
        FuncId::MsgSendDirectReq32 | FuncId::MsgSendDirectReq64 => "FFA_MSG_SEND_DIRECT_REQ",
        FuncId::Run32 | FuncId::Run64 => "FFA_RUN",
        FuncId::MsgSendDirectReq64_2 => "FFA_MSG_SEND_DIRECT_REQ2",
        FuncId::MemLend32 | FuncId::MemLend64 => "FFA_MEM_LEND",
        FuncId::MemShare32 | FuncId::MemShare64 => "FFA_MEM_SHARE",
        FuncId::MemReclaim => "FFA_MEM_RECLAIM",
        _ => "an FF-A call",
    }
}
