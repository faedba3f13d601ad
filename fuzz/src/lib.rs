//! What the fuzz targets share: a provider that believes every signature, a board whose memory counts what is done to it, and a
//! load that checks what has to hold for any bytes.
#![forbid(unsafe_code)]

use remoteproc_image::provider::{
    Algorithm, CipherKey, Destination, Fault, Provider, PublicKey, Signed, TrustedKey,
};
use remoteproc_image::reader::{Loaded, MOST_LOADED, Progress, Reader, Rejection, Segment};
use remoteproc_image::software::{Software, SoftwareDecryption, SoftwareHasher};
use remoteproc_image::target::{Access, BootSecurity, Region, Target};
use remoteproc_image::write::{Container, EncryptionKey, Order};
use sha2::{Digest, Sha256};

/// Believes every signature, so that what lies behind the check is reached.
pub struct Trusting;

impl Provider for Trusting {
    type Hasher = SoftwareHasher;
    type Decryption = SoftwareDecryption;

    fn sha256(&self) -> SoftwareHasher {
        Software.sha256()
    }

    fn supports(&self, _algorithm: Algorithm) -> bool {
        true
    }

    fn verify(&self, _key: &PublicKey<'_>, _signed: &Signed<'_>) -> bool {
        true
    }

    fn decryption(&self, key: &CipherKey<'_>) -> Option<SoftwareDecryption> {
        Software.decryption(key)
    }
}

/// Trusted, of the length that the targets sign with.
const KEYS: [TrustedKey<'static>; 2] = [
    TrustedKey::new("rsa", PublicKey::Rsa { modulus: &[0xFF; 256], exponent: 65537 }),
    TrustedKey::new("p256", PublicKey::P256 { point: &[1; 64] }),
];

/// Bytes of a signature that the provider believes.
pub const SIGNATURE: [u8; 64] = [0x5A; 64];
/// The SIGNTYPE that belongs to it.
pub const SIGNATURE_TYPE: u8 = 2;

const fn region(device_address: u32, physical_address: u64, size: u32, access: Access) -> Region {
    Region { device_address, physical_address, size, access }
}

/// Where shared memory begins, device address.
pub const SHARED: u32 = 0x80a0_0000;

/// The board that the vectors are for, with less memory.
const REGIONS: [Region; 5] = [
    region(0x8000_0000, 0x0000, 0x0011_0000, Access::Private),
    region(SHARED, 0x0011_0000, 0x0001_0000, Access::Shared),
    region(0x0000_0000, 0x0012_0000, 0x0001_0000, Access::Private),
    region(0x1000_0000, 0x0013_0000, 0x0002_0000, Access::Private),
    region(0x1002_0000, 0x0015_0000, 0x0001_0000, Access::Shared),
];
const BOARD: Target<'static> = Target {
    regions: &REGIONS,
    default_boot_address: Some(0x8000_0000),
    boot_security: BootSecurity::RunsNonSecure,
    strict_platform_tlvs: false,
    processor: 0,
    board: "board",
    security_counter: 0,
    most_security_counter: 9,
    decryption_key: Some(CipherKey::Bytes(&CIPHER_KEY)),
};

/// What the board decrypts with.
pub const CIPHER_KEY: [u8; 16] = [7; 16];

/// Most bytes that a look at a resource table reads.
const TABLE: u64 = 64 * 1024;

/// The board's memory, cleared, as far as anything was written.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    written: u64,
    read: u64,
}

impl Memory {
    const SIZE: usize = 0x0016_0000;

    fn range(&mut self, address: u64, size: usize) -> &mut [u8] {
        let start = usize::try_from(address).expect("an address of the board");
        let end = start + size;
        assert!(end <= Self::SIZE, "{start:#x} to {end:#x} lies in no region");
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[start..end]
    }
}

impl Destination for Memory {
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.written += bytes.len() as u64;
        self.range(address, bytes.len()).copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        self.read += into.len() as u64;
        into.copy_from_slice(self.range(address, into.len()));
        Ok(())
    }
}

/// A reader that is used again and again, as the partition's is.
pub struct Bench {
    reader: Box<Reader<SoftwareHasher>>,
}

impl Default for Bench {
    fn default() -> Self {
        Self { reader: Box::new(Reader::new()) }
    }
}

impl Bench {
    /// Loads a container, in pieces that its own bytes choose. Panics if anything is done that must never be done.
    pub fn load(&mut self, container: &[u8]) -> Result<Loaded, Rejection> {
        self.load_encrypted(container, None)
    }

    /// Encrypts and signs an ELF file, changes that by a little, and loads it. The first four bytes say where TLVs and file are changed
    /// after the encryption, and how; the others are the ELF file. `None`: it can't be encrypted.
    pub fn load_sealed(&mut self, bytes: &[u8]) -> Option<Result<Loaded, Rejection>> {
        let ([low, high, in_tlvs, in_image], elf) = bytes.split_first_chunk::<4>()?;
        let key = EncryptionKey::new(&CIPHER_KEY).ok()?;
        let container = Container::new(Order::Vendor).image(elf).security_counter(1);
        let mut raw = container.encrypt_with_vectors(key, &[[3; 16]; 128]).layout(SIGNATURE_TYPE).ok()?;
        let at = usize::from(u16::from_le_bytes([*low, *high]));
        if let Some(byte) = raw.tlv_area.get_mut(at) {
            *byte ^= in_tlvs;
        }
        if let Some(byte) = raw.images.get_mut(at) {
            *byte ^= in_image;
        }
        let container = raw.with_signature(&SIGNATURE).ok()?;
        // Whatever was changed in the file: what loads is what was encrypted. Of a changed table nobody knows what it says.
        let mut plain = elf.to_vec();
        plain.resize(plain.len().next_multiple_of(8), 0);
        let plain = (*in_tlvs == 0).then_some(plain.as_slice());
        Some(self.load_encrypted(&container, plain))
    }

    /// The same of an encrypted container whose images, decrypted, are `plain`, if that is known.
    pub fn load_encrypted(&mut self, container: &[u8], plain: Option<&[u8]>) -> Result<Loaded, Rejection> {
        let mut memory = Memory::default();
        let outcome = self.steps(container, &mut memory);
        let length = container.len() as u64;
        // An encrypted image is read and written a second time.
        let passes = MOST_LOADED * if self.reader.is_encrypted() { 2 } else { 1 };
        assert!(memory.written <= length * passes, "{} bytes written for {length}", memory.written);
        // Each loaded byte is hashed once; the entries of a resource table, which may overlap, are read once each.
        assert!(memory.read <= length * passes + TABLE, "{} bytes read for {length}", memory.read);
        if let Ok(loaded) = &outcome {
            self.check(loaded, container.len(), plain, &mut memory);
        }
        outcome
    }

    fn steps(&mut self, container: &[u8], memory: &mut Memory) -> Result<Loaded, Rejection> {
        let reader = &mut self.reader;
        let mut seed = container.iter().fold(1u32, |seed, byte| seed.wrapping_mul(31) ^ u32::from(*byte));
        let mut piece = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1 + (seed >> 16) as usize % 5000
        };
        let mut rest = container;
        reader.begin(container.len() as u64)?;
        while !reader.metadata_complete() {
            let taken = reader.push_metadata(&rest[..piece().min(rest.len())])?;
            assert!(taken > 0, "shorter than its metadata, and not refused");
            rest = &rest[taken..];
        }
        reader.authenticate(&Trusting, &KEYS)?;
        reader.plan(&BOARD)?;
        while !reader.is_complete() {
            let (now, later) = rest.split_at(piece().min(rest.len()));
            assert!(!now.is_empty(), "shorter than its images, and not refused");
            reader.push(now, memory)?;
            rest = later;
        }
        assert!(rest.is_empty(), "longer than its images, and not refused");
        while reader.verify_segments(&Trusting, memory, piece())? == Progress::Pending {}
        while reader.decrypt_segments(&Trusting, &BOARD, memory, 16 + piece())? == Progress::Pending {}
        reader.finish(&Trusting, &BOARD, memory)
    }

    /// Bytes of the file that belong to two segments were encrypted twice.
    fn shares_no_bytes(&self, segment: &Segment) -> bool {
        let range = |of: &Segment| of.container_offset..of.container_offset + u64::from(of.file_size);
        let own = range(segment);
        let overlapping = self.reader.segments().iter().map(range);
        overlapping.filter(|other| other.start < own.end && own.start < other.end).count() == 1
    }

    /// What was loaded is what was signed, where it was signed to be, and nothing else.
    fn check(&self, loaded: &Loaded, length: usize, plain: Option<&[u8]>, memory: &mut Memory) {
        let mut elsewhere = memory.bytes.clone();
        for (index, segment) in self.reader.segments().iter().enumerate() {
            let (start, size) = (segment.physical_address, segment.file_size as usize);
            let bytes = memory.range(start, size);
            if !loaded.encrypted || size == 0 {
                let digest: [u8; 32] = Sha256::digest(bytes).into();
                assert_eq!(self.reader.signed_digest(index), Some(&digest), "segment {index}");
            } else if let Some(plain) = plain.filter(|_| self.shares_no_bytes(segment)) {
                // The images end with the container.
                let at = plain.len() - (length - segment.container_offset as usize);
                assert!(bytes == &plain[at..at + size], "segment {index} is not what was encrypted");
            }
            let end = start as usize + size;
            if size > 0 {
                elsewhere[start as usize..end].fill(0);
            }
        }
        assert!(elsewhere.iter().all(|byte| *byte == 0), "bytes outside the segments");
        if let Some(address) = loaded.boot_address {
            assert_eq!(BOARD.access(address), Some(Access::Private), "boots at {address:#x}");
        }
        if let Some(table) = loaded.resource_table {
            assert_eq!(BOARD.access(table.device_address), Some(Access::Shared), "{table:?}");
            assert!(memory.range(table.physical_address, table.size as usize).len() >= 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that never gets behind the first checks would find nothing there.
    #[test]
    fn the_vectors_load() {
        let mut bench = Bench::default();
        for name in
            ["01-rsa2048-m4", "03-ecdsa-p256-m4", "04-rsa2048-platTLV-keyinfo", "05-st-rsa2048-bootaddr-sec"]
        {
            let path = format!("{}/../tests/vectors/{name}.sig", env!("CARGO_MANIFEST_DIR"));
            let container = std::fs::read(&path).expect("a vector");
            let loaded = bench.load(&container).unwrap_or_else(|rejection| panic!("{name}: {rejection:?}"));
            assert!(loaded.resource_table.is_some(), "{name}");
        }
    }

    /// The same for what is encrypted: a vector's ELF file gets to its end, and one whose ciphertext is changed does not.
    #[test]
    fn what_is_encrypted_loads() {
        let path = format!("{}/../tests/vectors/01-rsa2048-m4.sig", env!("CARGO_MANIFEST_DIR"));
        let container = std::fs::read(path).expect("a vector");
        let start = container.windows(4).position(|bytes| bytes == b"\x7fELF").expect("an ELF file");
        let mut input = [&[0; 4], &container[start..]].concat();
        let mut bench = Bench::default();
        let loaded = bench.load_sealed(&input).expect("it can be encrypted").expect("it loads");
        assert!(loaded.encrypted && loaded.resource_table.is_some());
        // A byte of the first segment, behind the ELF header and the program headers.
        let header = &container[start..];
        let first = u32::from_le_bytes(header[52 + 4..52 + 8].try_into().expect("four bytes")) as u16;
        input[..4].copy_from_slice(&[first.to_le_bytes(), [0, 1]].concat());
        let rejection = bench.load_sealed(&input).expect("it can be encrypted").expect_err("it is changed");
        assert_eq!(format!("{:?}", rejection.refusal), "SegmentHashMismatch");
    }
}
