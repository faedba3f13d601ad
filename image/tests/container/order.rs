//! The reader's calls: their order, giving up, starting again, bounded work, bounded size.
use crate::board::{BOARD, Driver, Memory, answer, trusted};
use crate::elf::{File, Part, R};
use crate::forge::Forge;
use remoteproc_image::reader::{MAX_IMAGES, Progress, Reader};
use remoteproc_image::software::{Software, SoftwareHasher};
use remoteproc_refusal::Refusal;

fn simple() -> Forge {
    Forge::new(&[File::simple()])
}

#[test]
fn calls_out_of_order_are_refused() {
    type Call = fn(&mut Reader<SoftwareHasher>, &[u8]) -> Option<Refusal>;
    let calls: [Call; 6] = [
        |reader, container| {
            let mut at = 0;
            while !reader.metadata_complete() {
                match reader.push_metadata(&container[at..]) {
                    Ok(taken) => at += taken,
                    Err(rejection) => return Some(rejection.refusal),
                }
            }
            reader.push_metadata(container).err().map(|rejection| rejection.refusal)
        },
        |reader, _| reader.authenticate(&Software, &trusted()).err().map(|rejection| rejection.refusal),
        |reader, _| reader.plan(&BOARD).err().map(|rejection| rejection.refusal),
        |reader, container| {
            let images = container.len() - simple().images[0].len();
            reader.push(&container[images..], &mut memory()).err().map(|rejection| rejection.refusal)
        },
        |reader, _| match reader.verify_segments(&Software, &mut memory(), 1 << 20) {
            Ok(progress) => {
                assert_eq!(progress, Progress::Done);
                None
            }
            Err(rejection) => Some(rejection.refusal),
        },
        |reader, _| reader.finish(&Software, &BOARD, &mut memory()).err().map(|rejection| rejection.refusal),
    ];
    let container = simple().sign();
    let mut reader = Box::new(Reader::new());
    for right in 0..=calls.len() {
        for wrong in 0..calls.len() {
            reader.reset();
            assert_eq!(reader.position(), 0);
            if right > 0 || wrong > 0 {
                reader.begin(container.len() as u64).unwrap();
            }
            for call in &calls[..right] {
                assert_eq!(call(&mut reader, &container), None);
            }
            if wrong == right && right > 0 {
                continue;
            }
            // More metadata than there is is not taken; a verification that is done stays done.
            let harmless = (wrong == 0 && right == 1) || (wrong == 4 && right == 5);
            let expected = if harmless { None } else { Some(Refusal::CallOutOfOrder) };
            // Without metadata the first call is the right one, except before `begin`.
            if right == 0 && wrong == 0 {
                assert_eq!(reader.push_metadata(&container).unwrap_err().refusal, Refusal::CallOutOfOrder);
                continue;
            }
            assert_eq!(calls[wrong](&mut reader, &container), expected, "call {wrong} after {right} calls");
            if !harmless {
                for call in &calls[1..] {
                    assert_eq!(
                        call(&mut reader, &container),
                        Some(Refusal::CallOutOfOrder),
                        "it stays refused"
                    );
                }
                reader.begin(container.len() as u64).unwrap();
                assert!(
                    calls.iter().all(|call| call(&mut reader, &container).is_none()),
                    "begin starts again"
                );
            }
        }
    }
}

/// A memory that the calls of the test above share.
fn memory() -> impl remoteproc_image::provider::Destination {
    Shared
}

#[derive(Clone, Copy)]
struct Shared;

thread_local! {
    static MEMORY: std::cell::RefCell<Memory> = std::cell::RefCell::default();
}

impl remoteproc_image::provider::Destination for Shared {
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), remoteproc_image::provider::Fault> {
        MEMORY.with_borrow_mut(|memory| memory.write(address, bytes))
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), remoteproc_image::provider::Fault> {
        MEMORY.with_borrow_mut(|memory| memory.read(address, into))
    }
}

#[test]
fn bytes_beyond_the_end_are_refused() {
    let container = simple().sign();
    let images = container.len() - simple().images[0].len();
    let mut reader = Box::new(Reader::new());
    let start = |reader: &mut Reader<SoftwareHasher>| {
        reader.begin(container.len() as u64).unwrap();
        while !reader.metadata_complete() {
            let at = reader.position() as usize;
            reader.push_metadata(&container[at..]).unwrap();
        }
        assert_eq!(reader.position() as usize, images);
        reader.authenticate(&Software, &trusted()).unwrap();
        reader.plan(&BOARD).unwrap();
    };
    start(&mut reader);
    let long = [&container[images..], &[0]].concat();
    assert_eq!(reader.push(&long, &mut Memory::default()).unwrap_err().refusal, Refusal::CallOutOfOrder);
    start(&mut reader);
    reader.push(&container[images..], &mut Memory::default()).unwrap();
    assert!(reader.is_complete());
    assert_eq!(reader.push(&[], &mut Memory::default()).unwrap_err().refusal, Refusal::CallOutOfOrder);
}

#[test]
fn a_load_may_be_given_up_anywhere() {
    let container = simple().sign();
    let images = container.len() - simple().images[0].len();
    let keys = trusted();
    let mut reader = Box::new(Reader::new());
    for cut in [0, 10, 20, 100, images, images + 30, images + 60, images + 200, container.len()] {
        reader.begin(container.len() as u64).unwrap();
        let mut given = 0;
        while given < cut.min(images) {
            given += reader.push_metadata(&container[given..cut.min(images)]).unwrap();
        }
        if cut >= images {
            reader.authenticate(&Software, &keys).unwrap();
            reader.plan(&BOARD).unwrap();
            let mut memory = Memory::default();
            reader.push(&container[images..cut], &mut memory).unwrap();
            if reader.is_complete() {
                let progress = reader.verify_segments(&Software, &mut memory, 5).unwrap();
                assert_eq!(progress, Progress::Pending);
            }
        }
        assert_eq!(reader.position(), cut as u64);
        assert_eq!(
            answer(&Driver::new(&keys).load_with(&mut reader, &container)),
            "load",
            "after {cut} bytes"
        );
    }
    reader.reset();
    let nothing = reader.identity(&Software);
    assert_eq!(nothing, <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest([])), "reset forgets");
}

#[test]
fn the_reader_stays_small() {
    let size = size_of::<Reader<SoftwareHasher>>();
    assert!(size < 28 * 1024, "{size}");
    println!("{size} bytes");
}

#[test]
fn as_many_images_load_as_the_limit_says() {
    let file = |index: u32| File {
        parts: vec![Part::load(0x8000_0000 + index * 0x1000, R, &[index as u8 + 1; 16])],
        ..File::default()
    };
    let files: Vec<_> = (0..MAX_IMAGES as u32).map(file).collect();
    assert_eq!(answer(&Forge::new(&files).load()), "load");
    let one_more = [files, vec![file(MAX_IMAGES as u32)]].concat();
    assert_eq!(answer(&Forge::new(&one_more).load()), "after:TOO_MANY_IMAGES");
}

#[test]
fn verification_is_bounded_by_its_budget() {
    let file = {
        let mut file = File::simple();
        file.parts.push(Part::load(0x8020_0000, R, &[7; 5000]));
        file.parts.push(Part::load(0x8030_0000, R, b""));
        file.parts[4].memory_size = 64;
        file
    };
    let container = Forge::new(&[file]).sign();
    for budget in [1, 7, 1023, 1024, 1025, 4096] {
        let keys = trusted();
        let mut driver = Driver::new(&keys);
        driver.budget = budget;
        let success = driver.load(&container).unwrap();
        assert_eq!(success.memory.bytes_read, success.memory.written);
        assert!(success.memory.most_read_at_once <= budget.min(1024), "{budget}");
    }
}
