//! FF-A memory transaction descriptors, as the two endpoints of a share need them (DEN0140, section 1.11 "Descriptors").
//!
//! Our own codec, because arm-ffa 0.5 can neither write a retrieve request without a composite descriptor, nor read endpoint
//! descriptors of 32 bytes.
