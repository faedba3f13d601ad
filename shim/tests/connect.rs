//! Finding the service: the order of the calls, both ways of asking, and what stops a connection.
mod fake;
use fake::*;
use remoteproc_shim::ffa::{Error, FfaTee, Status};

fn connect(steps: impl IntoIterator<Item = Step>) -> Result<FfaTee<Script, Pages>, Error> {
    connect_with(Pages::new(), steps)
}

fn connect_with(pages: Pages, steps: impl IntoIterator<Item = Step>) -> Result<FfaTee<Script, Pages>, Error> {
    let mut script = Script::default();
    script.then(steps);
    FfaTee::connect(script, pages)
}

/// The opening, then `steps`.
fn opened(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    opening().into_iter().chain(steps).collect()
}

fn unmap() -> Step {
    (registers(&[RXTX_UNMAP]), registers(&[SUCCESS]))
}

#[test]
fn service_is_found_by_registers() {
    let tee = connected([unmap()]);
    assert_eq!(tee.answered_version(), arm_ffa::Version(1, 3));
    assert_eq!((tee.own_id(), tee.spmc_id()), (0, 0x8000));
    let service = tee.service();
    assert_eq!((service.partition, service.contexts, service.properties), (0x8001, 1, 0x101));
    tee.disconnect().expect("unmaps");
}

/// Descriptors of 48 bytes, over two calls; partitions without direct requests or in AArch32 are passed over.
#[test]
fn registers_are_read_by_the_answers_descriptor_size() {
    let first = registers(&[
        SUCCESS_64,
        0,
        48 << 48 | 7 << 32 | 1 << 16 | 2,
        head(0x8005, 0x100),
        0,
        0,
        0,
        0,
        0,
        head(0x8006, 0x1),
    ]);
    let second = registers(&[SUCCESS_64, 0, 48 << 48 | 7 << 32 | 2 << 16 | 2, head(0x8007, 0x101)]);
    let steps = opened([(ask_registers(0, 0), first), (ask_registers(2, 7), second)]);
    assert_eq!(connect(steps).unwrap().service().partition, 0x8007);
}

#[test]
fn service_is_found_through_the_buffer_where_registers_are_not_supported() {
    let mut pages = Pages::new();
    // Descriptors of 48 bytes: the size is the answer's.
    pages.receive[..8].copy_from_slice(&head(0x8005, 0x100).to_le_bytes());
    pages.receive[48..56].copy_from_slice(&head(0x8006, 0x101).to_le_bytes());
    let ask = [PARTITION_INFO_GET, 0x75c2_a480, 0x0549_470a, 0x8614_8582, 0x081a_77a9, 0];
    let steps = opened([
        (ask_registers(0, 0), error(NOT_SUPPORTED)),
        (registers(&ask), registers(&[SUCCESS, 0, 2, 48])),
        (registers(&[RX_RELEASE]), registers(&[SUCCESS])),
    ]);
    assert_eq!(connect_with(pages, steps).unwrap().service().partition, 0x8006);
}

/// Counts and sizes that reach beyond the buffer must not be read there, and the buffer is given back all the same.
#[test]
fn partitions_beyond_the_buffer_are_an_error() {
    let ask = [PARTITION_INFO_GET, 0x75c2_a480, 0x0549_470a, 0x8614_8582, 0x081a_77a9, 0];
    for (count, size) in [(2, 4096), (3, 2048), (u64::from(u32::MAX), 0xFFFF_FFF0), (1, 4), (1, 0)] {
        let steps = opened([
            (ask_registers(0, 0), error(NOT_SUPPORTED)),
            (registers(&ask), registers(&[SUCCESS, 0, count, size])),
            (registers(&[RX_RELEASE]), registers(&[SUCCESS])),
            unmap(),
        ]);
        match connect(steps).unwrap_err() {
            Error::Buffer => assert!(size >= 8),
            Error::Answer { .. } => assert!(size < 8),
            other => panic!("{count} descriptors of {size} bytes: {other}"),
        }
    }
}

#[test]
fn missing_service_is_told_and_the_buffers_are_unmapped() {
    let empty = registers(&[SUCCESS_64, 0, 24 << 48, head(0x8001, 0x100)]);
    for answer in [error(INVALID_PARAMETERS), empty] {
        let outcome = connect(opened([(ask_registers(0, 0), answer), unmap()]));
        assert_eq!(outcome.unwrap_err(), Error::NoService);
    }
}

/// Answers that would let the client read beyond the registers, or ask for ever.
#[test]
fn malformed_register_answers_are_refused() {
    let sizes = [0, 4, 12, 0xFFF8].map(|size: u64| size << 48);
    // Index and last index: behind the question, and more descriptors than registers.
    let indices = [24 << 48 | 5 << 16 | 4, 24 << 48 | 9 << 16 | 9, 24 << 48 | 0xFFFF << 16 | 0xFFFF];
    for word in sizes.into_iter().chain(indices) {
        let answer = registers(&[SUCCESS_64, 0, word, head(0x8001, 0x101)]);
        let outcome = connect(opened([(ask_registers(0, 0), answer), unmap()]));
        assert!(matches!(outcome, Err(Error::Answer { .. })), "{word:#x}: {:?}", outcome.err());
    }
}

#[test]
fn other_versions_are_refused_with_one_call() {
    for answer in [0xFFFF_FFFF, 0x1_0001, 0x1_0000, 0x2_0000, 0x8001_0002, 0] {
        let outcome = connect([(registers(&[VERSION, 0x1_0002]), registers(&[answer]))]);
        assert_eq!(outcome.unwrap_err(), Error::Version(answer as u32), "{answer:#x}");
    }
}

/// An SPMC that sign-extends its statuses to 64 bits is understood.
#[test]
fn failing_calls_are_named() {
    let mut steps = opening();
    steps[3].1 = registers(&[ERROR, 0, (-6i64).cast_unsigned()]);
    let outcome = connect(steps).unwrap_err();
    assert!(matches!(outcome, Error::Call { status: Status::DENIED, .. }));
    assert_eq!(outcome.to_string(), "FFA_RXTX_MAP was answered DENIED (-6)");

    let mut steps = opening();
    steps.truncate(2);
    steps[1].1 = registers(&[0xFFFF_FFFF]);
    assert_eq!(connect(steps).unwrap_err().to_string(), "FFA_ID_GET was answered NOT_SUPPORTED (-1)");
}
