//! From a processor's `compatible` to its driver.
use crate::qemu::{self, RemoteCore};
use crate::registers::Registers;
use remoteproc_image::target::Region;
use remoteproc_service::client_memory::PhysicalRange;
use remoteproc_service::configuration::Processor;
use remoteproc_service::hardware::{
    Boot, DriverError, DriverProgress, Isolation, Observed, ProcessorDriver, SecurityCounter,
};
use thiserror::Error;

/// The drivers of this build, one variant each.
#[derive(Debug)]
pub enum Driver<R> {
    /// [`qemu::COMPATIBLE`].
    RemoteCore(RemoteCore<R>),
}

/// Why a processor has no driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// No driver of this build has this `compatible`.
    #[error("no driver has this compatible")]
    UnknownCompatible,
    /// The driver needs another number of register windows, or larger ones.
    #[error("the driver needs {needed} register window(s) of at least {size} bytes")]
    WrongRegisters {
        /// Windows.
        needed: usize,
        /// Bytes of each.
        size: usize,
    },
    /// The partition could not map the registers.
    #[error("the registers could not be mapped")]
    NotMapped,
}

impl<R: Registers> Driver<R> {
    /// Makes the driver of a processor. `map` is called once for each register window.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn for_processor(
        processor: &Processor<'_>,
        mut map: impl FnMut(PhysicalRange) -> Option<R>,
    ) -> Result<Self, RegistryError> {
        match processor.compatible {
            qemu::COMPATIBLE => {
                let wrong = RegistryError::WrongRegisters { needed: 1, size: qemu::CONTROL_PAGE_SIZE };
                let [window] = *processor.registers.as_slice() else { return Err(wrong) };
                if window.size < qemu::CONTROL_PAGE_SIZE as u64 {
                    return Err(wrong);
                }
                map(window)
                    .map(|page| Self::RemoteCore(RemoteCore::new(page)))
                    .ok_or(RegistryError::NotMapped)
            }
            _ => Err(RegistryError::UnknownCompatible),
        }
    }

    fn inner(&mut self) -> &mut dyn ProcessorDriver {
        match self {
            Self::RemoteCore(driver) => driver,
        }
    }
}

impl<R: Registers> ProcessorDriver for Driver<R> {
    fn limit_ms(&self) -> u64 {
        match self {
            Self::RemoteCore(driver) => driver.limit_ms(),
        }
    }

    fn hold(&mut self) -> Result<DriverProgress, DriverError> {
        self.inner().hold()
    }

    fn release(&mut self, boot: Boot) -> Result<DriverProgress, DriverError> {
        self.inner().release(boot)
    }

    fn can_ask_to_stop(&self) -> bool {
        match self {
            Self::RemoteCore(driver) => driver.can_ask_to_stop(),
        }
    }

    fn ask_to_stop(&mut self) -> Result<DriverProgress, DriverError> {
        self.inner().ask_to_stop()
    }

    fn observe(&mut self) -> Result<Observed, DriverError> {
        self.inner().observe()
    }

    fn isolate(&mut self, region: &Region, isolation: Isolation) -> Result<(), DriverError> {
        self.inner().isolate(region, isolation)
    }

    fn enforces_isolation(&self) -> bool {
        match self {
            Self::RemoteCore(driver) => driver.enforces_isolation(),
        }
    }

    fn security_counter(&mut self) -> Result<SecurityCounter, DriverError> {
        self.inner().security_counter()
    }

    fn raise_security_counter(&mut self, value: u32) -> Result<(), DriverError> {
        self.inner().raise_security_counter(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::tests::FakePage;
    use heapless::Vec;
    use remoteproc_image::target::BootSecurity;

    fn processor(compatible: &str, registers: &[PhysicalRange]) -> Processor<'static> {
        Processor {
            id: 0,
            name: "m33",
            compatible: if compatible == qemu::COMPATIBLE { qemu::COMPATIBLE } else { "somebody,else" },
            regions: Vec::new(),
            registers: Vec::from_slice(registers).unwrap(),
            default_boot_address: None,
            boot_security: BootSecurity::RunsNonSecure,
            endpoints: Vec::new(),
            attach_endpoints: Vec::new(),
            counter_on_confirm: false,
        }
    }

    #[test]
    fn finds_the_driver_by_compatible_and_gives_it_its_window() {
        let page = PhysicalRange { start: 0x80ff_0000, size: 0x1000 };
        let mut mapped = std::vec::Vec::new();
        let driver = Driver::for_processor(&processor(qemu::COMPATIBLE, &[page]), |window| {
            mapped.push(window);
            Some(FakePage::ready())
        });
        assert!(!driver.unwrap().enforces_isolation());
        assert_eq!(mapped, [page]);
    }

    #[test]
    fn says_why_there_is_none() {
        let page = PhysicalRange { start: 0x80ff_0000, size: 0x1000 };
        let small = PhysicalRange { start: 0x80ff_0000, size: 0x800 };
        let find = |compatible, registers: &[PhysicalRange], page: Option<FakePage>| {
            Driver::for_processor(&processor(compatible, registers), |_| page.clone())
                .map(|_| ())
                .unwrap_err()
        };
        let ready = || Some(FakePage::ready());
        let wrong = RegistryError::WrongRegisters { needed: 1, size: 0x1000 };
        assert_eq!(find("somebody,else", &[page], ready()), RegistryError::UnknownCompatible);
        assert_eq!(find(qemu::COMPATIBLE, &[], ready()), wrong);
        assert_eq!(find(qemu::COMPATIBLE, &[page, page], ready()), wrong);
        assert_eq!(find(qemu::COMPATIBLE, &[small], ready()), wrong);
        assert_eq!(find(qemu::COMPATIBLE, &[page], None), RegistryError::NotMapped);
    }
}
