//! Function identifiers: FF-A (DEN0077A), PSCI (DEN0022), SMCCC (DEN0028) and the fixture's own.

/// Bit 30 of a function identifier: the SMC64 convention.
pub const SMC64: u32 = 1 << 30;

/// FF-A functions. The 64-bit form, where one exists, is the value with [`SMC64`] set.
#[allow(missing_docs)]
pub mod ffa {
    pub const FIRST: u32 = 0x8400_0060;
    pub const LAST: u32 = 0x8400_00ef;
    pub const ERROR: u32 = 0x8400_0060;
    pub const SUCCESS: u32 = 0x8400_0061;
    pub const INTERRUPT: u32 = 0x8400_0062;
    pub const VERSION: u32 = 0x8400_0063;
    pub const FEATURES: u32 = 0x8400_0064;
    pub const RX_RELEASE: u32 = 0x8400_0065;
    pub const RXTX_MAP: u32 = 0x8400_0066;
    pub const RXTX_UNMAP: u32 = 0x8400_0067;
    pub const PARTITION_INFO_GET: u32 = 0x8400_0068;
    pub const ID_GET: u32 = 0x8400_0069;
    pub const MSG_WAIT: u32 = 0x8400_006b;
    pub const YIELD: u32 = 0x8400_006c;
    pub const RUN: u32 = 0x8400_006d;
    pub const MSG_SEND_DIRECT_REQ: u32 = 0x8400_006f;
    pub const MSG_SEND_DIRECT_RESP: u32 = 0x8400_0070;
    pub const MEM_DONATE: u32 = 0x8400_0071;
    pub const MEM_LEND: u32 = 0x8400_0072;
    pub const MEM_SHARE: u32 = 0x8400_0073;
    pub const MEM_RETRIEVE_REQ: u32 = 0x8400_0074;
    pub const MEM_RETRIEVE_RESP: u32 = 0x8400_0075;
    pub const MEM_RELINQUISH: u32 = 0x8400_0076;
    pub const MEM_RECLAIM: u32 = 0x8400_0077;
    pub const MEM_FRAG_RX: u32 = 0x8400_007a;
    pub const MEM_FRAG_TX: u32 = 0x8400_007b;
    pub const NOTIFICATION_BITMAP_CREATE: u32 = 0x8400_007d;
    pub const NOTIFICATION_BITMAP_DESTROY: u32 = 0x8400_007e;
    pub const NOTIFICATION_BIND: u32 = 0x8400_007f;
    pub const NOTIFICATION_UNBIND: u32 = 0x8400_0080;
    pub const NOTIFICATION_SET: u32 = 0x8400_0081;
    pub const NOTIFICATION_GET: u32 = 0x8400_0082;
    pub const NOTIFICATION_INFO_GET: u32 = 0x8400_0083;
    pub const SPM_ID_GET: u32 = 0x8400_0085;
    pub const SECONDARY_EP_REGISTER: u32 = 0x8400_0087;
    pub const CONSOLE_LOG: u32 = 0x8400_008a;
    pub const PARTITION_INFO_GET_REGS: u32 = 0x8400_008b;
    pub const MSG_SEND_DIRECT_REQ2: u32 = 0x8400_008d;
    pub const MSG_SEND_DIRECT_RESP2: u32 = 0x8400_008e;
}

/// PSCI functions.
#[allow(missing_docs)]
pub mod psci {
    pub const FIRST: u32 = 0x8400_0000;
    pub const LAST: u32 = 0x8400_001f;
    pub const VERSION: u32 = 0x8400_0000;
    pub const CPU_OFF: u32 = 0x8400_0002;
    pub const CPU_ON: u32 = 0x8400_0003;
    pub const AFFINITY_INFO: u32 = 0x8400_0004;
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    pub const FEATURES: u32 = 0x8400_000a;
}

/// Arm architecture calls.
#[allow(missing_docs)]
pub mod architecture {
    pub const SMCCC_VERSION: u32 = 0x8000_0000;
    pub const FEATURES: u32 = 0x8000_0001;
}

/// The fixture's own calls (OEM range, SMC64, normal world only).
pub mod fixture {
    /// x1 = flags, see the constants below. x0 = 0.
    pub const CONTROL: u32 = 0xc300_0001;
    /// x0 = number of violations so far.
    pub const VIOLATIONS: u32 = 0xc300_0002;
    /// x0 = shares that exist, x1 = shares that the partition holds, x2 = entries of its stage 1 tables that map memory.
    pub const COUNTS: u32 = 0xc300_0004;
    /// x1 = the normal-world endpoint in whose name the hypervisor reclaims memory from now on: FFA_MEM_RECLAIM itself names
    /// none. x0 = 0, or -1 for an id that is no normal-world endpoint's.
    pub const SPEAKER: u32 = 0xc300_0005;
    /// x0 = number of preemptions so far, x1 = those while the partition held its RX buffer, x2 = those while it held memory.
    pub const PREEMPTIONS: u32 = 0xc300_0003;
    /// x0 = how often the partition was entered for an interrupt of its own so far.
    pub const SECURE_INTERRUPTS: u32 = 0xc300_0006;
    /// Sends the partition a framework message: x1 = function of the request (32 or 64 bit), x2 = sender (0 or the SPMC), x3 = number
    /// of the message, x4 to x6 = w3 to w5. x0 to x7 = the partition's answer; x0 = -1: the SPMC sends no such message.
    pub const FRAMEWORK: u32 = 0xc300_0007;
    /// Flag: FFA_MEM_SHARE of any address is accepted, as an SPMC without knowledge of the memory map does.
    pub const LENIENT_ADDRESSES: u64 = 1;
    /// Flag: shares made while it is set are reported to the borrower with the NS attribute clear.
    pub const NS_ATTRIBUTE_CLEAR: u64 = 1 << 1;
    /// Flag: FFA_MSG_SEND_DIRECT_REQ2 is delivered whatever its UUID, as an SPMC at EL3 does.
    pub const ANY_UUID: u64 = 1 << 2;
    /// Flag: non-secure interrupts preempt the partition, whatever its manifest says.
    pub const SIGNAL_INTERRUPTS: u64 = 1 << 3;
}
