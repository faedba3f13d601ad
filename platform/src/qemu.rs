//! The remote core of the QEMU platform: another emulator process, whose reset line is a control page in shared memory.
//!
//! The page's other side is the supervisor that owns the emulator process (`tests/remote-core/supervisor`). A command counts
//! when its sequence number is written, which is why that is written last; the supervisor acknowledges with the same number.
//! This machine has no storage for a security counter either: it is kept until the partition boots again.
//! The normal world can write this page too: on this platform reset and isolation are imitated, not enforced.
use crate::registers::Registers;
use remoteproc_image::target::Region;
use remoteproc_service::hardware::{
    Boot, Crash, DriverError, DriverProgress, Isolation, Observed, ProcessorDriver, SecurityCounter,
};

/// Chooses this driver.
pub const COMPATIBLE: &str = "remoteproc-sp,qemu-remote-core";
/// Bytes of the control page.
pub const CONTROL_PAGE_SIZE: usize = 0x1000;

/// The hardware is another process: a busy host may let it wait.
const LIMIT_MS: u64 = 30_000;

/// First word of a page whose supervisor is ready.
const MAGIC: u32 = 0x4C52_5443;
/// The layout this driver speaks.
const VERSION: u32 = 1;

/// Offsets of the words used here.
mod word {
    pub const MAGIC: usize = 0x00;
    pub const VERSION: usize = 0x04;
    pub const SEQUENCE: usize = 0x08;
    pub const COMMAND: usize = 0x0c;
    pub const BOOT_ADDRESS: usize = 0x10;
    pub const ACKNOWLEDGED: usize = 0x14;
    pub const STATE: usize = 0x18;
    pub const RESULT: usize = 0x1c;
    pub const EVENT: usize = 0x24;
    pub const STOP_REQUEST: usize = 0x30;
    pub const STOP_ANSWER: usize = 0x34;
}

/// Why the processor has stopped, from the event that the supervisor writes before the state.
const fn crash(event: u32) -> Crash {
    match event {
        1 => Crash::Reset,
        2 => Crash::Watchdog,
        3 => Crash::HardFault,
        4 => Crash::Lockup,
        5 => Crash::Gone,
        _ => Crash::Unknown,
    }
}

/// Bit of a request to stop, which is never zero: the rest is the sequence number of the release, so that no answer to an older
/// request is taken for this one's.
const STOP_REQUESTED: u32 = 1 << 31;

/// What the supervisor can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Order {
    Release = 1,
    Hold = 2,
}

/// The driver.
#[derive(Debug)]
pub struct RemoteCore<R> {
    page: R,
    /// What was ordered and not seen acknowledged, with its sequence number.
    outstanding: Option<(Order, u32)>,
    /// The security counter. In the partition's RAM, for want of anything better: it is forgotten at the next boot.
    counter: u32,
}

impl<R: Registers> RemoteCore<R> {
    /// Takes the control page. Touches nothing yet.
    pub const fn new(page: R) -> Self {
        Self { page, outstanding: None, counter: 0 }
    }

    /// Fails unless the supervisor has set the page up.
    fn check_supervisor(&mut self) -> Result<(), DriverError> {
        let ready = self.page.read32(word::MAGIC) == MAGIC && self.page.read32(word::VERSION) == VERSION;
        if ready { Ok(()) } else { Err(DriverError) }
    }

    /// Gives an order, or goes on waiting for it if it is under way. Another order under way is overtaken: the supervisor
    /// carries it out, sees a newer sequence number and carries out this one.
    fn order(&mut self, order: Order, boot_address: u32) -> Result<DriverProgress, DriverError> {
        self.check_supervisor()?;
        let sequence = match self.outstanding {
            Some((same, sequence)) if same == order => sequence,
            _ => {
                let mut sequence = self.page.read32(word::SEQUENCE).wrapping_add(1);
                if sequence == self.page.read32(word::ACKNOWLEDGED) {
                    // It would look carried out already.
                    sequence = sequence.wrapping_add(1);
                }
                if order == Order::Release {
                    // What earlier firmware was asked is over.
                    self.page.write32(word::STOP_REQUEST, 0);
                    self.page.write32(word::BOOT_ADDRESS, boot_address);
                }
                self.page.write32(word::COMMAND, order as u32);
                self.page.write32(word::SEQUENCE, sequence);
                self.outstanding = Some((order, sequence));
                sequence
            }
        };
        if self.page.read32(word::ACKNOWLEDGED) != sequence {
            return Ok(DriverProgress::Pending);
        }
        self.outstanding = None;
        if self.page.read32(word::RESULT) != 0 {
            return Err(DriverError);
        }
        // An acknowledgement that the state contradicts is worth nothing.
        let held = self.observe()? == Observed::Held;
        if held == (order == Order::Hold) { Ok(DriverProgress::Done) } else { Err(DriverError) }
    }

    /// Tells whether the supervisor has carried out all that it was told and holds the processor.
    fn is_held_at_rest(&mut self) -> Result<bool, DriverError> {
        let sequence = self.page.read32(word::SEQUENCE);
        let at_rest = self.outstanding.is_none() && self.page.read32(word::ACKNOWLEDGED) == sequence;
        Ok(at_rest && self.observe()? == Observed::Held)
    }
}

impl<R: Registers> ProcessorDriver for RemoteCore<R> {
    fn limit_ms(&self) -> u64 {
        LIMIT_MS
    }

    fn hold(&mut self) -> Result<DriverProgress, DriverError> {
        self.check_supervisor()?;
        if self.is_held_at_rest()? {
            return Ok(DriverProgress::Done);
        }
        self.order(Order::Hold, 0)
    }

    fn release(&mut self, boot: Boot) -> Result<DriverProgress, DriverError> {
        if boot.secure {
            // The emulated core's boot ROM starts non-secure images only.
            return Err(DriverError);
        }
        self.order(Order::Release, boot.address)
    }

    fn can_ask_to_stop(&self) -> bool {
        true
    }

    fn ask_to_stop(&mut self) -> Result<DriverProgress, DriverError> {
        self.check_supervisor()?;
        let request = self.page.read32(word::SEQUENCE) | STOP_REQUESTED;
        if self.page.read32(word::STOP_REQUEST) != request {
            self.page.write32(word::STOP_REQUEST, request);
        }
        let answered = self.page.read32(word::STOP_ANSWER) == request;
        Ok(if answered { DriverProgress::Done } else { DriverProgress::Pending })
    }

    fn observe(&mut self) -> Result<Observed, DriverError> {
        self.check_supervisor()?;
        match self.page.read32(word::STATE) {
            0 => Ok(Observed::Held),
            1 => Ok(Observed::Running),
            2 => Ok(Observed::Crashed(crash(self.page.read32(word::EVENT)))),
            _ => Err(DriverError),
        }
    }

    fn isolate(&mut self, _region: &Region, _isolation: Isolation) -> Result<(), DriverError> {
        // There is no firewall here to set; enforces_isolation says so.
        Ok(())
    }

    fn enforces_isolation(&self) -> bool {
        false
    }

    fn security_counter(&mut self) -> Result<SecurityCounter, DriverError> {
        Ok(SecurityCounter { value: self.counter, most: u32::MAX })
    }

    fn raise_security_counter(&mut self, value: u32) -> Result<(), DriverError> {
        self.counter = self.counter.max(value);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const BOOT: Boot = Boot { address: 0x8000_0000, secure: false };

    /// A control page and a record of what was done to it.
    #[derive(Clone, Debug)]
    pub(crate) struct FakePage {
        words: [u32; 16],
        writes: Vec<(usize, u32)>,
    }

    impl FakePage {
        /// The supervisor is ready, nothing was ordered, the processor is held.
        pub(crate) fn ready() -> Self {
            let mut page = Self { words: [0; 16], writes: Vec::new() };
            page.set(word::MAGIC, MAGIC);
            page.set(word::VERSION, VERSION);
            page
        }

        fn set(&mut self, offset: usize, value: u32) {
            self.words[offset / 4] = value;
        }

        /// Plays the supervisor: carries out the newest order.
        fn obey(&mut self, state: u32, result: u32) {
            self.set(word::STATE, state);
            self.set(word::RESULT, result);
            self.set(word::ACKNOWLEDGED, self.words[word::SEQUENCE / 4]);
        }
    }

    impl Registers for FakePage {
        fn read32(&mut self, offset: usize) -> u32 {
            self.words[offset / 4]
        }

        fn write32(&mut self, offset: usize, value: u32) {
            assert!(
                [word::SEQUENCE, word::COMMAND, word::BOOT_ADDRESS, word::STOP_REQUEST].contains(&offset),
                "{offset:#x} is not ours"
            );
            self.writes.push((offset, value));
            self.set(offset, value);
        }
    }

    fn core() -> RemoteCore<FakePage> {
        RemoteCore::new(FakePage::ready())
    }

    fn running() -> RemoteCore<FakePage> {
        let mut core = core();
        assert_eq!(core.release(BOOT), Ok(DriverProgress::Pending));
        core.page.obey(1, 0);
        assert_eq!(core.release(BOOT), Ok(DriverProgress::Done));
        core.page.writes.clear();
        core
    }

    #[test]
    fn release_writes_address_command_and_last_the_sequence() {
        let mut core = core();
        assert_eq!(core.release(BOOT), Ok(DriverProgress::Pending));
        assert_eq!(core.page.writes, [(0x30, 0), (0x10, 0x8000_0000), (0x0c, 1), (0x08, 1)]);
        assert_eq!(core.release(BOOT), Ok(DriverProgress::Pending), "polling");
        assert_eq!(core.page.writes.len(), 4, "orders nothing twice");
        core.page.obey(1, 0);
        assert_eq!(core.release(BOOT), Ok(DriverProgress::Done));
        assert_eq!(core.observe(), Ok(Observed::Running));
    }

    #[test]
    fn hold_writes_command_and_last_the_sequence() {
        let mut core = running();
        assert_eq!(core.hold(), Ok(DriverProgress::Pending));
        assert_eq!(core.page.writes, [(0x0c, 2), (0x08, 2)]);
        assert_eq!(core.hold(), Ok(DriverProgress::Pending));
        core.page.obey(0, 0);
        assert_eq!(core.hold(), Ok(DriverProgress::Done));
        assert_eq!(core.observe(), Ok(Observed::Held));
    }

    #[test]
    fn a_held_processor_is_not_held_again() {
        let mut core = core();
        assert_eq!(core.hold(), Ok(DriverProgress::Done));
        assert!(core.page.writes.is_empty());
    }

    #[test]
    fn hold_overtakes_a_release_that_is_not_acknowledged() {
        let mut core = core();
        assert_eq!(core.release(BOOT), Ok(DriverProgress::Pending));
        assert_eq!(core.hold(), Ok(DriverProgress::Pending), "the state word still says held");
        assert_eq!(core.page.writes[4..], [(0x0c, 2), (0x08, 2)]);
        // The supervisor answers the release first.
        core.page.set(word::STATE, 1);
        core.page.set(word::ACKNOWLEDGED, 1);
        assert_eq!(core.hold(), Ok(DriverProgress::Pending));
        core.page.obey(0, 0);
        assert_eq!(core.hold(), Ok(DriverProgress::Done));
    }

    #[test]
    fn an_order_of_an_earlier_life_is_overtaken() {
        let mut page = FakePage::ready();
        page.set(word::SEQUENCE, u32::MAX);
        let mut core = RemoteCore::new(page);
        assert_eq!(
            core.hold(),
            Ok(DriverProgress::Pending),
            "not acknowledged: the state word is not to be believed"
        );
        assert_eq!(core.page.writes, [(0x0c, 2), (0x08, 1)], "0 is the last one acknowledged");
    }

    #[test]
    fn the_firmware_is_asked_once_and_its_own_answer_counts() {
        let mut core = running();
        assert!(core.can_ask_to_stop());
        let stale = [0, 1, 0x8000_0000, 0x8000_0002, u32::MAX];
        for answer in stale {
            core.page.set(word::STOP_ANSWER, answer);
            assert_eq!(core.ask_to_stop(), Ok(DriverProgress::Pending), "{answer:#x} answers something else");
        }
        assert_eq!(core.page.writes, [(0x30, 0x8000_0001)]);
        core.page.set(word::STOP_ANSWER, 0x8000_0001);
        assert_eq!(core.ask_to_stop(), Ok(DriverProgress::Done));
        assert_eq!(core.hold(), Ok(DriverProgress::Pending));
        core.page.obey(0, 0);
        assert_eq!(core.hold(), Ok(DriverProgress::Done));
        // The next release takes the request back, and the old answer is none to the next request.
        assert_eq!(core.release(BOOT), Ok(DriverProgress::Pending));
        core.page.obey(1, 0);
        assert_eq!(core.page.words[word::STOP_REQUEST / 4], 0);
        assert_eq!(core.ask_to_stop(), Ok(DriverProgress::Pending));
        core.page.set(word::MAGIC, 0);
        assert_eq!(core.ask_to_stop(), Err(DriverError));
    }

    #[test]
    fn failures_are_failures() {
        let mut core = running();
        assert_eq!(core.hold(), Ok(DriverProgress::Pending));
        core.page.obey(1, 5);
        assert_eq!(core.hold(), Err(DriverError), "the supervisor says so");
        assert_eq!(core.hold(), Ok(DriverProgress::Pending), "and may be told again");
        core.page.obey(1, 0);
        assert_eq!(core.hold(), Err(DriverError), "acknowledged, but running");

        let mut core = self::core();
        assert_eq!(core.release(BOOT), Ok(DriverProgress::Pending));
        core.page.obey(0, 0);
        assert_eq!(core.release(BOOT), Err(DriverError), "acknowledged, but held");

        let mut core = self::core();
        assert_eq!(core.release(Boot { secure: true, ..BOOT }), Err(DriverError));
        assert!(core.page.writes.is_empty());
    }

    #[test]
    fn without_a_supervisor_nothing_is_ordered() {
        for (offset, value) in [(word::MAGIC, 0), (word::VERSION, 2)] {
            let mut core = core();
            core.page.set(offset, value);
            assert_eq!(core.hold(), Err(DriverError));
            assert_eq!(core.release(BOOT), Err(DriverError));
            assert_eq!(core.observe(), Err(DriverError));
            assert!(core.page.writes.is_empty());
        }
    }

    #[test]
    fn observes_crashes_and_refuses_nonsense() {
        let mut core = running();
        core.page.set(word::STATE, 2);
        let reasons =
            [Crash::Unknown, Crash::Reset, Crash::Watchdog, Crash::HardFault, Crash::Lockup, Crash::Gone];
        for (event, reason) in (0..).zip(reasons).chain([(6, Crash::Unknown), (u32::MAX, Crash::Unknown)]) {
            core.page.set(word::EVENT, event);
            assert_eq!(core.observe(), Ok(Observed::Crashed(reason)));
        }
        core.page.set(word::STATE, 3);
        assert_eq!(core.observe(), Err(DriverError));
    }
}
