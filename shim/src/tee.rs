//! What a TEE has to offer so that the client can use the service behind it.
use core::fmt::{Debug, Display};
use remoteproc_abi::door_d::{Answer, Request};

/// Image memory that the service can read until it is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// What LOAD_FW names it by.
    pub handle: u64,
    /// Bytes of the image that it holds, from the offset it was made for.
    pub length: u64,
    /// The memory was lent rather than shared: LOAD_FW has to say so.
    pub lent: bool,
}

/// A TEE that offers the service. Makes each call once: what to repeat, and how often, is the client's business.
pub trait Tee {
    /// What a call can fail with before the service has answered.
    type Error: Copy + Debug + Display;
    /// Where the bytes of an image lie, in this TEE's terms.
    type Image: ?Sized;

    /// Makes bytes of the image readable for the service, from `offset` on, at most to `total` (the image's length, bytes). The
    /// share may hold fewer bytes than that, and at least one.
    ///
    /// # Errors
    /// Then nothing is shared.
    fn share(&mut self, image: &Self::Image, offset: u64, total: u64) -> Result<Share, Self::Error>;

    /// Takes the memory back.
    ///
    /// # Errors
    /// The memory may still be shared: its owner must not use it for anything else.
    fn reclaim(&mut self, share: Share) -> Result<(), Self::Error>;

    /// Sends one request and returns the service's answer.
    ///
    /// # Errors
    /// The service has not answered.
    fn invoke(&mut self, request: &Request) -> Result<Answer, Self::Error>;

    /// Lets some time pass before a request is repeated.
    fn pause(&mut self) {
        core::hint::spin_loop();
    }
}
