//! What reading, checking and planning a container of 1 MiB costs, beside what can't be saved: one SHA-256 of its bytes and one
//! check of its signature. Prints the ratio, and fails if it is above the limit.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use remoteproc_image::provider::{Algorithm, Destination, Fault, Hasher, Provider, Signed, TrustedKey};
use remoteproc_image::reader::{Loaded, Progress, Reader};
use remoteproc_image::software::{Software, SoftwareHasher};
use remoteproc_image::target::{Access, BootSecurity, Region, Target};
use remoteproc_image::write::{Container, Order, RsaKey, digest};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The most that a load may cost, in units of the floor.
const LIMIT: f64 = 1.15;
/// Bytes of the image's segment.
const SIZE: u32 = 1 << 20;
/// Bytes pushed at once, and hashed in one call.
const PIECE: usize = 64 << 10;
/// How often both are measured.
const ROUNDS: u32 = 5;

const REGIONS: [Region; 1] =
    [Region { device_address: 0x8000_0000, physical_address: 0, size: SIZE, access: Access::Private }];
const TARGET: Target<'static> = Target {
    regions: &REGIONS,
    default_boot_address: Some(0x8000_0000),
    boot_security: BootSecurity::Refused,
    strict_platform_tlvs: false,
    processor: 0,
    board: "",
    security_counter: 0,
    most_security_counter: 0,
    decryption_key: None,
};

/// Plain memory.
struct Memory(Vec<u8>);

impl Memory {
    fn range(&mut self, address: u64, size: usize) -> Result<&mut [u8], Fault> {
        let start = usize::try_from(address).map_err(|_| Fault)?;
        self.0.get_mut(start..start + size).ok_or(Fault)
    }
}

impl Destination for Memory {
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.range(address, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        into.copy_from_slice(self.range(address, into.len())?);
        Ok(())
    }
}

/// An ELF file with one segment of pseudo-random bytes, and section headers behind it, so that their names are searched for.
fn elf() -> Vec<u8> {
    const NAMES: &[u8] = b"\0.text\0.shstrtab\0\0\0";
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let halves = |halves: &[u16]| halves.iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<u8>>();
    let (names, size) = (84 + SIZE, NAMES.len() as u32);
    let mut elf = b"\x7fELF\x01\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend(halves(&[2, 40]));
    elf.extend(words(&[1, 0x8000_0001, 52, names + size, 0]));
    elf.extend(halves(&[52, 32, 1, 40, 3, 2]));
    elf.extend(words(&[1, 84, 0x8000_0000, 0x8000_0000, SIZE, SIZE, 5, 4]));
    let mut seed = 1u32;
    elf.extend((0..SIZE).map(|_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    }));
    elf.extend(NAMES);
    elf.extend(words(&[0; 10]));
    elf.extend(words(&[1, 1, 6, 0x8000_0000, 84, SIZE, 0, 0, 4, 0]));
    elf.extend(words(&[7, 3, 0, 0, names, size, 0, 0, 1, 0]));
    elf
}

fn load(
    reader: &mut Reader<SoftwareHasher>,
    container: &[u8],
    keys: &[TrustedKey<'_>],
    memory: &mut Memory,
) -> Loaded {
    reader.begin(container.len() as u64).unwrap();
    let mut rest = container;
    while !reader.metadata_complete() {
        let taken = reader.push_metadata(&rest[..reader.metadata_missing()]).unwrap();
        rest = &rest[taken..];
    }
    reader.authenticate(&Software, keys).unwrap();
    reader.plan(&TARGET).unwrap();
    for piece in rest.chunks(PIECE) {
        reader.push(piece, memory).unwrap();
    }
    while reader.verify_segments(&Software, memory, PIECE).unwrap() == Progress::Pending {}
    reader.finish(&Software, &TARGET, memory).unwrap()
}

/// The quickest sample of a measurement that criterion has just made, over all rounds, nanoseconds an iteration.
fn quickest(output: &Path, name: &str) -> f64 {
    let of_round = |round: u32| {
        let path = output.join("image").join(name).join(round.to_string()).join("new/sample.json");
        let text = std::fs::read_to_string(path).unwrap();
        let sample: serde_json::Value = serde_json::from_str(&text).unwrap();
        let numbers = |key: &str| -> Vec<f64> {
            sample[key].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let times = numbers("times").into_iter().zip(numbers("iters"));
        times.map(|(time, iterations)| time / iterations).min_by(f64::total_cmp).unwrap()
    };
    (0..ROUNDS).map(of_round).min_by(f64::total_cmp).unwrap()
}

fn main() -> ExitCode {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keys");
    let key = RsaKey::from_pkcs8_der(&std::fs::read(vectors.join("rsa2048.pk8.der")).unwrap()).unwrap();
    let container = Container::new(Order::Mainline).image(&elf()).sign(&key).unwrap();
    let public = key.public();
    let keys = [TrustedKey::new("test", public.as_key())];
    let mut reader = Box::new(Reader::new());

    // The floor: the same bytes, the same signature, nothing around them.
    let bytes = elf()[84..][..SIZE as usize].to_vec();
    let image_length = elf().len().next_multiple_of(8);
    let signature = &container[container.len() - image_length - 256..][..256];
    let digest = digest(&container[..container.len() - image_length - 256], &[]);
    let bytes_signed = &container[..container.len() - image_length - 256];
    let algorithm = Algorithm::RsaPkcs1Sha256;
    let signed = Signed { algorithm, bytes: bytes_signed, digest: &digest, signature };
    assert!(Software.verify(&public.as_key(), &signed));

    let output = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let mut criterion = Criterion::default().output_directory(&output).configure_from_args();
    let mut group = criterion.benchmark_group("image");
    group.throughput(Throughput::Bytes(SIZE.into()));
    // Many short samples: a few of them meet a quiet machine.
    group.sampling_mode(SamplingMode::Flat).sample_size(300);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let mut held = Vec::new();
    for round in 0..ROUNDS {
        let (bytes, container) = (bytes.clone(), container.clone());
        let mut memory = Memory(vec![0; SIZE as usize]);
        group.bench_function(BenchmarkId::new("floor", round), |bencher| {
            bencher.iter(|| {
                let mut hasher = Software.sha256();
                hasher.update(black_box(&bytes));
                (hasher.finish(), Software.verify(&public.as_key(), black_box(&signed)))
            });
        });
        group.bench_function(BenchmarkId::new("load", round), |bencher| {
            bencher.iter(|| load(&mut reader, black_box(&container), &keys, &mut memory));
        });
        // Not given back, so that the next round's memory is another.
        held.push((bytes, container, memory));
    }
    group.finish();
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let (floor, load) = (quickest(&output, "floor"), quickest(&output, "load"));
    let ratio = load / floor;
    println!(
        "load of 1 MiB: {:.0} us; hash and signature alone: {:.0} us; ratio {ratio:.3}, at most {LIMIT}",
        load / 1e3,
        floor / 1e3
    );
    if ratio <= LIMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
