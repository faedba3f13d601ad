//! The hardware, as the service needs it: reset lines, isolation, the processors' memory, time. `platform` and `sp` implement it.
use crate::client_memory::EndpointId;
use remoteproc_image::provider::{Destination, Fault, Provider};
use remoteproc_image::target::Region;

/// The hardware did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverError;

/// How far the hardware is with what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverProgress {
    /// Not done yet: call again.
    Pending,
    /// Done.
    Done,
}

/// What the hardware says of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Observed {
    /// Held in reset.
    Held,
    /// Released from reset.
    Running,
    /// Released, and has stopped by itself.
    Crashed(Crash),
}

/// Why a processor has stopped by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The hardware does not tell.
    #[default]
    Unknown,
    /// Its firmware asked for a reset.
    Reset,
    /// Its watchdog expired.
    Watchdog,
    /// Its firmware reported a fault that it could not handle.
    HardFault,
    /// A fault while it could not take one.
    Lockup,
    /// What runs it has ended: in emulation, the emulator.
    Gone,
}

/// How to release a processor from reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Device address of the vector table.
    pub address: u32,
    /// Boot in the secure state.
    pub secure: bool,
}

/// Who may reach a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// No firmware: as the platform has it by default.
    Normal,
    /// Only the partition.
    Loading,
    /// The remote processor, and for shared regions the normal world.
    Running,
    /// The normal world may read it: what is left of a processor that is held.
    Dump,
}

/// What a platform keeps against firmware that is older than what has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityCounter {
    /// Images below this are refused.
    pub value: u32,
    /// The highest value that the storage can hold.
    pub most: u32,
}

impl SecurityCounter {
    /// There is no storage: only images without a counter, or with 0, can be loaded.
    pub const NONE: Self = Self { value: 0, most: 0 };
}

/// Longest that most hardware may be busy with one thing before it counts as failed, milliseconds.
pub const HARDWARE_LIMIT_MS: u64 = 5_000;

/// Longest that firmware is waited for which was asked to stop by itself, milliseconds. Longer limits are shortened to this.
pub const GRACEFUL_LIMIT_MS: u64 = 60_000;

/// One remote processor's reset and isolation control, and its security counter.
pub trait ProcessorDriver {
    /// Longest that this hardware may be busy with one thing before it counts as failed, milliseconds.
    fn limit_ms(&self) -> u64 {
        HARDWARE_LIMIT_MS
    }

    /// Goes on holding the processor in reset; repeated until it says `Done`. Works in any state.
    ///
    /// # Errors
    /// The hardware does not answer; the processor's state is unknown.
    fn hold(&mut self) -> Result<DriverProgress, DriverError>;

    /// Goes on releasing the processor from reset; repeated with the same argument until it says `Done`.
    ///
    /// # Errors
    /// The hardware does not answer or refused; the caller holds the processor again.
    fn release(&mut self, boot: Boot) -> Result<DriverProgress, DriverError>;

    /// Tells whether the firmware can be asked to stop by itself, by [`Self::ask_to_stop`].
    fn can_ask_to_stop(&self) -> bool {
        false
    }

    /// Goes on asking the firmware to stop by itself; repeated until it says `Done`: the firmware is ready to be held. Never waits,
    /// and may be given up at any time, for [`Self::hold`].
    ///
    /// # Errors
    /// It can't be asked.
    fn ask_to_stop(&mut self) -> Result<DriverProgress, DriverError> {
        Err(DriverError)
    }

    /// Reads the processor's state.
    ///
    /// # Errors
    /// The hardware does not answer.
    fn observe(&mut self) -> Result<Observed, DriverError>;

    /// Sets who may reach a region.
    ///
    /// # Errors
    /// The firewall refused.
    fn isolate(&mut self, region: &Region, isolation: Isolation) -> Result<(), DriverError>;

    /// Tells whether [`Self::isolate`] is enforced by hardware.
    fn enforces_isolation(&self) -> bool;

    /// Reads the security counter.
    ///
    /// # Errors
    /// The storage does not answer.
    fn security_counter(&mut self) -> Result<SecurityCounter, DriverError> {
        Ok(SecurityCounter::NONE)
    }

    /// Raises the security counter; when this returns, the value outlives whatever the storage is made to outlive.
    ///
    /// # Errors
    /// The value was not written.
    fn raise_security_counter(&mut self, value: u32) -> Result<(), DriverError> {
        let _ = value;
        Err(DriverError)
    }
}

/// The processors' memory, as the partition has it mapped.
pub trait RemoteMemory: Destination {
    /// Clears bytes.
    ///
    /// # Errors
    /// [`Fault`] if the memory does not take them.
    fn clear(&mut self, physical_address: u64, size: u64) -> Result<(), Fault>;

    /// Makes everything written visible to the remote processor, before reset is released or a region opened.
    fn complete_writes(&mut self);
}

/// The owner was not told of an event; GET_STATUS tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifyError;

/// The way events take to their owners: FF-A notifications (DEN0077, chapter 10).
pub trait Notifier {
    /// Signals a notification, 0 to 63, to an endpoint. It has to have bound that to this partition.
    ///
    /// # Errors
    /// The SPMC refuses.
    fn notify(&mut self, endpoint: EndpointId, notification: u8) -> Result<(), NotifyError>;
}

/// Everything the service needs of the machine under it.
pub trait Machine {
    /// Hash and signature.
    type Crypto: Provider;
    /// The processors' memory.
    type Memory: RemoteMemory;

    /// Returns hash and signature.
    fn crypto(&self) -> &Self::Crypto;
    /// Returns the processors' memory.
    fn memory(&mut self) -> &mut Self::Memory;
    /// Returns both at once: hashing memory in place needs the two together.
    fn crypto_and_memory(&mut self) -> (&Self::Crypto, &mut Self::Memory);
    /// Returns the driver of the processor with this index of the configuration.
    fn driver(&mut self, index: usize) -> Option<&mut dyn ProcessorDriver>;
    /// Milliseconds since some moment; never goes back.
    fn milliseconds(&self) -> u64;
    /// Returns the way to the owners; `None` if the SPMC has no notifications.
    fn notifier(&mut self) -> Option<&mut dyn Notifier> {
        None
    }
}
