//! The FF-A back end: talks to the partition by direct messages and gives it image memory to read by
//! FFA_MEM_SHARE or FFA_MEM_LEND.
//!
//! Follows FF-A 1.2 (DEN0077) and its memory management protocol (DEN0140). Every answer is checked against what the
//! specification allows for the call; numbers from the SPMC and the partition steer nothing unchecked.
mod discovery;
mod error;
mod memory;
mod message;
mod rpc;
mod transport;

pub use discovery::{
    PROPERTY_AARCH64, PROPERTY_RECEIVES_DIRECT_REQUESTS, PROPERTY_RECEIVES_DIRECT_REQUESTS_2, Service,
};
pub use error::{Error, Status, function_name};
pub use rpc::{RpcTee, SharedBuffer};
pub use transport::{BufferPair, FfaTransport, Registers};

use crate::tee::{Share, Tee};
use arm_ffa::FuncId;
use remoteproc_abi::MAX_RANGES;
use remoteproc_abi::door_d::{Answer, Request};
use remoteproc_abi::memory_descriptor::Constituent;

/// The version that this client speaks.
pub const VERSION: arm_ffa::Version = arm_ffa::Version(1, 2);

/// How the back end behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most ranges of one share: 1 to [`MAX_RANGES`], with which the descriptor fits one buffer of 4 KiB.
    pub ranges_per_share: usize,
    /// Most FFA_RUN in one request, after FFA_INTERRUPT or FFA_YIELD. A request that is given up so is still the partition's: before
    /// this client sends another one, it is resumed until it is answered.
    pub resumes: u32,
    /// Most repetitions of a call that is answered BUSY.
    pub busy: u32,
    /// Lend image memory (FFA_MEM_LEND) instead of sharing it.
    pub lend: bool,
    /// Which direct messages to send.
    pub family: Family,
}

/// A family of direct messages that the service takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// FFA_MSG_SEND_DIRECT_REQ, 64 bit.
    #[default]
    Direct,
    /// FFA_MSG_SEND_DIRECT_REQ2, which names the service's UUID. Only where [`Service::takes_second_family`] says so.
    Direct2,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ranges_per_share: MAX_RANGES,
            resumes: 1_000_000,
            busy: 10_000,
            lend: false,
            family: Family::Direct,
        }
    }
}

/// A connection to the partition that offers the service.
#[derive(Debug)]
pub struct FfaTee<T: FfaTransport, B: BufferPair> {
    transport: T,
    buffers: B,
    options: Options,
    answered_version: arm_ffa::Version,
    own_id: u16,
    spmc_id: u16,
    service: Service,
    unanswered: message::Unanswered,
}

impl<T: FfaTransport, B: BufferPair> FfaTee<T, B> {
    /// Asks for FF-A 1.2, maps the buffers and finds the service. FFA_VERSION is asked once: call this before any other FF-A call,
    /// and once.
    ///
    /// # Errors
    /// Says which call failed. The buffers are unmapped again; where that fails, too, they are forgotten, because the SPMC may still
    /// write them.
    pub fn connect(mut transport: T, buffers: B) -> Result<Self, Error> {
        let answered_version = discovery::version(&mut transport)?;
        let own_id = discovery::id(&mut transport, FuncId::IdGet)?;
        let spmc_id = discovery::id(&mut transport, FuncId::SpmIdGet)?;
        memory::map_buffers(&mut transport, &buffers)?;
        match discovery::find_service(&mut transport, &buffers, discovery::Search::door_d()) {
            Ok(service) => Ok(Self {
                transport,
                buffers,
                options: Options::default(),
                answered_version,
                own_id,
                spmc_id,
                service,
                unanswered: None,
            }),
            Err(error) => {
                // The first error is the one to report.
                if memory::unmap_buffers(&mut transport).is_err() {
                    core::mem::forget(buffers);
                }
                Err(error)
            }
        }
    }

    /// Unmaps the buffers and gives them back.
    ///
    /// # Errors
    /// The SPMC may still write the buffers: they are forgotten, so that nobody gets their memory.
    pub fn disconnect(self) -> Result<(T, B), Error> {
        let Self { mut transport, buffers, .. } = self;
        match memory::unmap_buffers(&mut transport) {
            Ok(()) => Ok((transport, buffers)),
            Err(error) => {
                core::mem::forget(buffers);
                Err(error)
            }
        }
    }

    /// Sets how the back end behaves.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Returns the version that the SPMC answered; both sides then speak [`VERSION`].
    pub fn answered_version(&self) -> arm_ffa::Version {
        self.answered_version
    }

    /// Returns the endpoint in whose name requests and shares are made: this client, unless [`Self::speak_for`] names another.
    pub fn own_id(&self) -> u16 {
        self.own_id
    }

    /// Names the endpoint in whose name requests and shares are made from now on. A hypervisor speaks so for its virtual
    /// machines; from anybody else the SPMC takes no other id than the one it gave.
    pub fn speak_for(&mut self, endpoint: u16) {
        self.own_id = endpoint;
    }

    /// Returns the SPMC's endpoint id.
    pub fn spmc_id(&self) -> u16 {
        self.spmc_id
    }

    /// Returns the partition that offers the service.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Returns the transport, for calls that this back end does not make.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Returns the buffers.
    pub fn buffers(&mut self) -> &mut B {
        &mut self.buffers
    }

    /// Sends payload registers (x3 to x7 of a 64-bit direct request, x4 to x8 of the second family) and returns those of the
    /// answer, resuming the partition where it was interrupted.
    ///
    /// # Errors
    /// The partition has not answered, or not by the rules.
    pub fn direct_request(&mut self, payload: [u64; 5]) -> Result<[u64; 5], Error> {
        message::direct_request(
            &mut self.transport,
            &mut self.unanswered,
            self.options,
            self.own_id,
            self.service.partition,
            payload,
        )
    }
}

impl<T: FfaTransport, B: BufferPair> Tee for FfaTee<T, B> {
    type Error = Error;
    /// Physical memory, in the order of the image's bytes. The owner keeps it unchanged while it is shared.
    type Image = [Constituent];

    fn share(&mut self, image: &[Constituent], offset: u64, total: u64) -> Result<Share, Error> {
        let piece = memory::piece(image, offset, total, self.options.ranges_per_share)?;
        let parties = memory::Parties { owner: self.own_id, borrower: self.service.partition };
        let handle = memory::share(
            &mut self.transport,
            &mut self.buffers,
            parties,
            self.options.lend,
            piece.ranges(),
        )?;
        Ok(Share { handle, length: piece.length(), lent: self.options.lend })
    }

    fn reclaim(&mut self, share: Share) -> Result<(), Error> {
        memory::reclaim(&mut self.transport, share.handle)
    }

    fn invoke(&mut self, request: &Request) -> Result<Answer, Error> {
        self.direct_request(request.encode()).map(|payload| Answer::decode(&payload))
    }

    fn pause(&mut self) {
        self.transport.pause();
    }
}
