//! A client that changes its memory between any two reads: what is loaded is what was signed, or nothing.
mod support;

use proptest::prelude::*;
use proptest::sample::Index;
use remoteproc_abi::door_d::{Answer, Request};
use remoteproc_abi::result::TeeResult;
use remoteproc_image::provider::CipherKey;
use remoteproc_image::write::{Container, Order, RsaKey};
use remoteproc_service::configuration::Board;
use remoteproc_service::lifecycle::State;
use support::door_t::PLACE;
use support::*;

/// How an image gets to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// In one share.
    Share,
    /// The same, encrypted.
    Encrypted,
    /// In shares of a page each.
    Shares,
    /// In chunks, in a buffer of door T.
    Chunks,
}

/// Bytes of a chunk.
const CHUNK: usize = 5000;
/// Bytes of a share, if there are several.
const PART: usize = 4096;

impl Way {
    const ALL: [Self; 4] = [Self::Share, Self::Encrypted, Self::Shares, Self::Chunks];

    fn bench(self) -> Bench {
        if self != Self::Encrypted {
            return Bench::new();
        }
        let key = CipherKey::Bytes(Box::leak(vector("keys/aes256.bin").into_boxed_slice()));
        Bench::with(
            Board { decryption_key: Some(key), accept_no_isolation_encrypted: true, ..board() },
            |_| (),
        )
    }

    fn image(self) -> Vec<u8> {
        if self == Self::Encrypted { vector("06-st-enc-aes256cbc-rsa2048.sig") } else { firmware(0, true) }
    }

    /// Loads the image. The client does with its memory what it likes before each read, counted from 0.
    fn load(self, bench: &mut Bench, hostility: Option<Hostility>) -> Answer {
        let image = self.image();
        let buffer = if self == Self::Chunks { bench.buffer(0, 8) } else { 0 };
        bench.client.reads = 0;
        bench.client.hostility = hostility;
        match self {
            Self::Share | Self::Encrypted => bench.load(KERNEL, M33, &image),
            Self::Shares => {
                let mut answer = Answer::of(TeeResult::InProgress);
                for (index, part) in image.chunks(PART).enumerate() {
                    let (offset, end) = (index * PART, index * PART + part.len());
                    let handle = bench.share(KERNEL, part);
                    let is_last = end == image.len();
                    for _ in 0..1000 {
                        answer = bench.load_once(KERNEL, handle, image.len() as u64, offset as u64);
                        let goes_on = answer.tee_result() == Some(TeeResult::InProgress);
                        if !goes_on || (!is_last && answer.values[0] == end as u64) {
                            break;
                        }
                    }
                    if answer.tee_result() != Some(TeeResult::InProgress) {
                        break;
                    }
                }
                answer
            }
            Self::Chunks => {
                let answer = bench.load_in_chunks(0, buffer, M33, &image, CHUNK);
                if answer.tee_result() != Some(TeeResult::Success) {
                    // A request that was spoilt is refused, and the load stands.
                    bench.client.hostility = None;
                    succeeded(bench.call_out(0, buffer, &Request::Release { processor: M33 }));
                }
                assert_eq!(bench.give_back(0, buffer), 0);
                answer
            }
        }
    }

    /// The window after an honest load, and how many reads that takes.
    fn honest(self) -> (Vec<u8>, usize) {
        let mut bench = self.bench();
        succeeded(self.load(&mut bench, None));
        (bench.machine().memory.bytes.clone(), bench.client.reads)
    }

    /// What the container has at the place of the share or buffer.
    fn offset_of(self, handle: u64) -> usize {
        if self == Self::Shares { (handle as usize - 1) * PART } else { 0 }
    }
}

type Hostility = Box<dyn FnMut(usize, &mut Vec<u8>)>;

/// Firmware of which the first byte of code is changed by this, validly signed or not.
fn firmware(change: u8, signed: bool) -> Vec<u8> {
    let key = RsaKey::from_pkcs8_der(&vector("keys/rsa2048.pk8.der")).unwrap();
    let mut elf = vector("elf/fw_m33_ns.elf");
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap()) as usize;
    let first = word(word(28) + 4);
    elf[first + 8] ^= change;
    let mut bytes = Container::new(Order::Mainline).image(&elf).boot_address(0x8010_0000).sign(&key).unwrap();
    let end = bytes.len() - elf.len().next_multiple_of(8);
    if !signed {
        bytes[end - 100] ^= 1;
    }
    bytes
}

/// After a load from hostile memory: either the signed firmware and nothing else, or no firmware at all.
#[track_caller]
fn assert_signed_or_nothing(bench: &mut Bench, result: Option<TeeResult>, signed: &[&[u8]]) {
    if result == Some(TeeResult::Success) {
        assert_eq!(bench.state(), State::Loaded);
        let loaded = &bench.machine().memory.bytes;
        assert!(signed.contains(&loaded.as_slice()), "something is loaded that was not signed");
    } else {
        assert_eq!(bench.state(), State::Offline);
        if !bench.machine().memory.is_untouched() {
            bench.assert_clear();
        }
    }
}

/// What happens to the memory just before a read. The read's first byte and the byte behind its last one are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// All of it becomes another image that is validly signed.
    AnotherImage,
    /// Or one that is not.
    Unsigned,
    /// Everything that was read before is spoilt: whoever looks again would notice.
    AllBehind,
    /// Everything that was not read yet is spoilt.
    AllAhead,
    /// The read's first byte, for good.
    First,
    /// The read's last byte, for good.
    Last,
    /// A byte so many quarters behind the first one, for good.
    Inside(usize),
    /// The read's first byte, for this read only: who compares later would see nothing.
    FirstForOnce,
    /// The same with the last byte.
    LastForOnce,
}

impl Change {
    const ALL: [Self; 11] = [
        Self::AnotherImage,
        Self::Unsigned,
        Self::Inside(1),
        Self::Inside(2),
        Self::Inside(3),
        Self::AllBehind,
        Self::AllAhead,
        Self::First,
        Self::Last,
        Self::FirstForOnce,
        Self::LastForOnce,
    ];

    /// Before read `turn` this change happens; before the next one, what was for once is undone.
    fn at(self, turn: usize, way: Way, seen: Record) -> Hostility {
        let other = firmware(0x10, self == Self::AnotherImage);
        let mut undo = None;
        Box::new(move |read, bytes: &mut Vec<u8>| {
            if let Some((at, byte)) = undo.take() {
                bytes[at] = byte;
            }
            if read != turn {
                return;
            }
            let (handle, start, end) = last_read(&seen);
            let mut flip = |at: usize, once: bool| {
                undo = once.then_some((at, bytes[at]));
                bytes[at] ^= 0x40;
            };
            match self {
                Self::AnotherImage | Self::Unsigned => {
                    // In a buffer, the part that is in it now.
                    let from = &other[way.offset_of(handle).min(other.len())..];
                    let (place, from) = match way {
                        Way::Chunks => (PLACE, &from[..from.len().min(CHUNK)]),
                        _ => (0, from),
                    };
                    let length = from.len().min(bytes.len() - place);
                    bytes[place..place + length].copy_from_slice(&from[..length]);
                }
                Self::AllBehind => bytes[..start].fill(0x66),
                Self::AllAhead => bytes[start..].fill(0x66),
                Self::First => flip(start, false),
                Self::Last => flip(end - 1, false),
                Self::Inside(quarters) => flip(start + (end - start) * quarters / 4, false),
                Self::FirstForOnce => flip(start, true),
                Self::LastForOnce => flip(end - 1, true),
            }
        })
    }
}

/// The handle of the read that is about to be served, its first byte, and the byte behind it.
fn last_read(seen: &Record) -> (u64, usize, usize) {
    let seen = seen.borrow();
    let read = seen.iter().rev().find_map(|seen| match seen {
        Seen::ClientRead(handle, offset, size) => Some((*handle, *offset as usize, *offset as usize + size)),
        _ => None,
    });
    read.expect("this is a read")
}

/// Every change at every read, in turn, on every way. Nothing is ever loaded but what was signed; and some loads do succeed, so that it
/// was not for want of loads.
#[test]
fn memory_that_changes_at_any_read() {
    let another = {
        let mut bench = Bench::new();
        succeeded(bench.load(KERNEL, M33, &firmware(0x10, true)));
        bench.machine().memory.bytes.clone()
    };
    for way in Way::ALL {
        let (honest, reads) = way.honest();
        let (mut accepted, mut refused) = (0, 0);
        for turn in 0..reads {
            for change in Change::ALL {
                let mut bench = way.bench();
                // A request that is spoilt itself may name the same chunk bytes again.
                bench.client.rereads = way == Way::Chunks && change != Change::AllBehind;
                let hostility = change.at(turn, way, bench.seen.clone());
                let result = way.load(&mut bench, Some(hostility)).tee_result();
                // What has become another signed image before its first byte was looked at is that image.
                let signed: &[&[u8]] =
                    if change == Change::AnotherImage { &[&honest, &another] } else { &[&honest] };
                assert_signed_or_nothing(&mut bench, result, signed);
                let loads = result == Some(TeeResult::Success);
                if change == Change::AllBehind {
                    assert!(loads, "{way:?}: what was read is not looked at again, at read {turn}");
                }
                if loads {
                    accepted += 1;
                } else {
                    refused += 1;
                }
                bench.assert_nothing_left();
            }
        }
        println!(
            "{way:?}: {reads} reads, {} changes at each: {accepted} loads accepted, {refused} refused",
            Change::ALL.len()
        );
        assert!(accepted >= reads && refused >= reads, "{accepted} accepted, {refused} refused");
    }
}

/// The same with a service that copies header, TLVs and signature once more after they were authenticated, or the segments after they
/// were hashed: it loads what nobody signed. Metadata in a share of its own, or segments there, are not looked at twice.
#[cfg(feature = "exploration")]
#[test]
fn control_a_second_look_is_found() {
    use remoteproc_service::Guard;
    for (way, guard, change) in [
        (Way::Share, Guard::CopyOnce, Change::First),
        (Way::Share, Guard::CopyOnce, Change::Unsigned),
        (Way::Share, Guard::MetadataOnce, Change::Unsigned),
        (Way::Encrypted, Guard::CopyOnce, Change::First),
        (Way::Shares, Guard::CopyOnce, Change::First),
        (Way::Chunks, Guard::CopyOnce, Change::First),
    ] {
        let (honest, reads) = way.honest();
        let mut holes = 0;
        for turn in 0..2 * reads {
            let mut bench = way.bench();
            bench.service.remove(Some(guard));
            bench.client.rereads = true;
            let hostility = change.at(turn, way, bench.seen.clone());
            let result = way.load(&mut bench, Some(hostility)).tee_result();
            let is_signed = bench.machine().memory.bytes == honest;
            holes += usize::from(result == Some(TeeResult::Success) && !is_signed);
        }
        println!("{way:?} without {guard:?}, {change:?}: {holes} loads of what was not signed");
        assert!(holes > 0, "{way:?} without {guard:?}, {change:?}: the hole is not found");
    }
}

/// The window after an honest load of the sample.
fn honest() -> &'static [u8] {
    static WINDOW: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    WINDOW.get_or_init(|| {
        let mut bench = Bench::new();
        succeeded(bench.load(KERNEL, M33, &sample()));
        bench.machine().memory.bytes.clone()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Bytes flip at any places before any reads.
    #[test]
    fn flipping_bytes(flips in prop::collection::vec((0usize..8, any::<Index>(), 1u8..), 1..4)) {
        let (honest, mut bench) = (honest(), Bench::new());
        let length = sample().len();
        bench.client.hostility = Some(Box::new(move |read, bytes| {
            for (at, index, change) in &flips {
                if read == *at {
                    bytes[index.index(length)] ^= change;
                }
            }
        }));
        let result = bench.load(KERNEL, M33, &sample()).tee_result();
        assert_signed_or_nothing(&mut bench, result, &[honest]);
    }
}

#[test]
fn every_read_is_counted() {
    let mut bench = Bench::new();
    let image = sample();
    succeeded(bench.load(KERNEL, M33, &image));
    assert_eq!(bench.service.counters().client_bytes_read, image.len() as u64, "each byte once");
}
