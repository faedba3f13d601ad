//! The machine under the service: crypto, the processors' memory and drivers, time.
use crate::ffa::notification::Notifications;
use crate::memory::map::MapFailure;
use crate::mmio::Mmio;
use crate::remote_memory::MappedMemory;
use crate::time;
use heapless::Vec;
use remoteproc_image::software::Software;
use remoteproc_platform::registry::Driver;
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_service::configuration::{Board, MAX_PROCESSORS};
use remoteproc_service::hardware::{Machine, Notifier, ProcessorDriver};

/// A processor's driver.
#[cfg(not(feature = "fault-injection"))]
type AnyDriver = Driver<Mmio>;
#[cfg(feature = "fault-injection")]
type AnyDriver = crate::fault::Unreliable<Driver<Mmio>>;

/// The hardware of a board.
pub struct Hardware {
    crypto: Software,
    memory: MappedMemory,
    drivers: Vec<Option<AnyDriver>, MAX_PROCESSORS>,
    notifications: Option<Notifications>,
}

impl Hardware {
    /// Maps the memory and registers of a board's processors. A processor without a driver stays without: its requests fail.
    ///
    /// # Errors
    /// Memory that can't be mapped.
    pub fn new(board: &Board<'_>, notifications: Option<Notifications>) -> Result<Self, MapFailure> {
        let mut memory = MappedMemory::new();
        let mut drivers = Vec::new();
        for processor in &board.processors {
            for region in &processor.regions {
                memory.add(PhysicalRange { start: region.physical_address, size: region.size.into() })?;
            }
            let driver = Driver::for_processor(processor, Mmio::map)
                .inspect_err(|error| log::error!("{}: {}: {error}", processor.name, processor.compatible))
                .ok();
            #[cfg(feature = "fault-injection")]
            let driver = driver.map(crate::fault::Unreliable);
            // Both lists have the same capacity.
            let _ = drivers.push(driver);
        }
        Ok(Self { crypto: Software, memory, drivers, notifications })
    }
}

impl Machine for Hardware {
    type Crypto = Software;
    type Memory = MappedMemory;

    fn crypto(&self) -> &Software {
        &self.crypto
    }

    fn memory(&mut self) -> &mut MappedMemory {
        &mut self.memory
    }

    fn crypto_and_memory(&mut self) -> (&Software, &mut MappedMemory) {
        (&self.crypto, &mut self.memory)
    }

    fn driver(&mut self, index: usize) -> Option<&mut dyn ProcessorDriver> {
        let driver = self.drivers.get_mut(index)?.as_mut()?;
        Some(driver)
    }

    fn milliseconds(&self) -> u64 {
        time::milliseconds()
    }

    fn notifier(&mut self) -> Option<&mut dyn Notifier> {
        self.notifications.as_mut().map(|notifications| notifications as &mut dyn Notifier)
    }
}
