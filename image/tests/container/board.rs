//! What the tests share: the test board, its memory, its keys, and a driver of the reader.

use remoteproc_image::provider::{
    Algorithm, CipherKey, Destination, Fault, Provider, PublicKey, Signed, TrustedKey,
};
use remoteproc_image::reader::{Loaded, Progress, Reader, Rejection, Segment, Signer};
use remoteproc_image::software::{Software, SoftwareDecryption, SoftwareHasher};
use remoteproc_image::target::{Access, BootSecurity, Region, Target};
use remoteproc_image::write::{OwnedPublicKey, P256Key, RsaKey};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

const PAGE: usize = 4096;

/// A directory or file among the test vectors.
pub fn vectors(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(path)
}

/// A test vector.
pub fn vector(path: &str) -> Vec<u8> {
    let path = vectors(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A public test key, by the name that the tables use.
pub fn public_key(name: &str) -> OwnedPublicKey {
    OwnedPublicKey::from_der(&vector(&format!("keys/{name}.pub.der"))).unwrap()
}

/// The private test key of P-256.
pub fn p256_key() -> P256Key {
    P256Key::from_pkcs8_der(&vector("keys/p256.pk8.der")).unwrap()
}

/// The modulus of a public RSA test key.
pub fn modulus(name: &str) -> Vec<u8> {
    match public_key(name) {
        OwnedPublicKey::Rsa { modulus, .. } => modulus,
        other => panic!("{name} is {other:?}"),
    }
}

/// A private RSA test key.
pub fn private_key(name: &str) -> RsaKey {
    RsaKey::from_pkcs8_der(&vector(&format!("keys/{name}.pk8.der"))).unwrap()
}

/// The key that most tests sign with.
pub fn test_key() -> &'static RsaKey {
    static KEY: OnceLock<RsaKey> = OnceLock::new();
    KEY.get_or_init(|| private_key("rsa2048"))
}

/// The keys that most tests trust.
pub fn trusted() -> [TrustedKey<'static>; 1] {
    [TrustedKey::new("test", test_key().public().as_key())]
}

const fn region(device_address: u32, physical_address: u64, size: u32, access: Access) -> Region {
    Region { device_address, physical_address, size, access }
}

/// The test board's memory.
pub const REGIONS: [Region; 5] = [
    region(0x8000_0000, 0x8000_0000, 0x00a0_0000, Access::Private),
    region(0x80a0_0000, 0x80a0_0000, 0x0020_0000, Access::Shared),
    region(0x0000_0000, 0x80c0_0000, 0x0001_0000, Access::Private),
    region(0x1000_0000, 0x80c1_0000, 0x0002_0000, Access::Private),
    region(0x1002_0000, 0x80c3_0000, 0x0004_0000, Access::Shared),
];

/// The test board's processor.
pub const BOARD: Target<'static> = Target {
    regions: &REGIONS,
    default_boot_address: Some(0x8000_0000),
    boot_security: BootSecurity::RunsNonSecure,
    strict_platform_tlvs: false,
    processor: 0,
    board: "test-board",
    security_counter: 0,
    most_security_counter: u32::MAX,
    decryption_key: None,
};

/// Cleared memory that exists where it is written.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Memory {
    pub pages: HashMap<u64, Box<[u8]>>,
    /// Number of bytes written.
    pub written: u64,
    /// Writes beyond this number of bytes fault.
    pub write_limit: Option<u64>,
    /// Number of bytes read.
    pub bytes_read: u64,
    /// Most bytes read in one call.
    pub most_read_at_once: usize,
    /// Reads beyond this number of bytes fault.
    pub read_limit: Option<u64>,
}

impl Memory {
    /// Bytes as the processor would see them.
    pub fn bytes(&self, address: u64, size: u32) -> Vec<u8> {
        (address..address + u64::from(size)).map(|at| self.byte(at)).collect()
    }

    fn byte(&self, address: u64) -> u8 {
        self.pages.get(&(address / PAGE as u64)).map_or(0, |page| page[address as usize % PAGE])
    }

    /// What has been written, for comparing.
    pub fn same_contents(&self, other: &Self) -> bool {
        self.pages == other.pages
    }
}

impl Destination for Memory {
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.written += bytes.len() as u64;
        if self.write_limit.is_some_and(|limit| self.written > limit) {
            return Err(Fault);
        }
        for (at, byte) in (address..).zip(bytes) {
            let inside = REGIONS.iter().any(|region| {
                at >= region.physical_address && at - region.physical_address < u64::from(region.size)
            });
            assert!(inside, "written outside every region: {at:#x}");
            let page = self.pages.entry(at / PAGE as u64).or_insert_with(|| vec![0; PAGE].into());
            page[at as usize % PAGE] = *byte;
        }
        Ok(())
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Fault> {
        self.bytes_read += into.len() as u64;
        self.most_read_at_once = self.most_read_at_once.max(into.len());
        if self.read_limit.is_some_and(|limit| self.bytes_read > limit) {
            return Err(Fault);
        }
        for (at, byte) in (address..).zip(into) {
            *byte = self.byte(at);
        }
        Ok(())
    }
}

/// What a load that succeeded left behind.
#[derive(Debug)]
pub struct Success {
    pub loaded: Loaded,
    pub segments: Vec<Segment>,
    pub signer: Signer,
    pub identity: [u8; 32],
    pub memory: Memory,
}

/// What a load that was refused left behind.
#[derive(Debug)]
pub struct Refused {
    /// The signature had verified.
    pub after: bool,
    pub rejection: Rejection,
    pub memory: Memory,
}

impl Refused {
    /// `before:NAME` or `after:NAME`, as the table of answers has it.
    pub fn answer(&self) -> String {
        format!("{}:{}", if self.after { "after" } else { "before" }, self.rejection.refusal.name())
    }
}

/// `load`, `before:NAME` or `after:NAME`.
pub fn answer(result: &Result<Success, Refused>) -> String {
    match result {
        Ok(_) => "load".into(),
        Err(refused) => refused.answer(),
    }
}

/// How a load is driven.
pub struct Driver<'a, P> {
    pub provider: P,
    pub keys: &'a [TrustedKey<'a>],
    pub target: Target<'a>,
    /// Sizes of the pieces, in turn, again and again.
    pub pieces: &'a [usize],
    /// Bytes hashed per call.
    pub budget: usize,
    pub memory: Memory,
}

impl<'a> Driver<'a, Software> {
    /// The test board, everything in one piece.
    pub fn new(keys: &'a [TrustedKey<'a>]) -> Self {
        Self {
            provider: Software,
            keys,
            target: BOARD,
            pieces: &[usize::MAX],
            budget: 1 << 20,
            memory: Memory::default(),
        }
    }
}

impl<P: Provider<Hasher = SoftwareHasher>> Driver<'_, P> {
    /// Loads a container into the memory.
    pub fn load(self, container: &[u8]) -> Result<Success, Refused> {
        let mut reader = Box::new(Reader::new());
        self.load_with(&mut reader, container)
    }

    /// The same with a reader that exists.
    pub fn load_with(
        mut self,
        reader: &mut Reader<SoftwareHasher>,
        container: &[u8],
    ) -> Result<Success, Refused> {
        let mut after = false;
        match self.steps(reader, container, &mut after) {
            Ok((loaded, signer, identity)) => Ok(Success {
                loaded,
                segments: reader.segments().to_vec(),
                signer,
                identity,
                memory: self.memory,
            }),
            Err(rejection) => {
                // A reader that refused goes on refusing.
                let mut nowhere = Memory::default();
                assert_eq!(reader.push(&[0], &mut nowhere), Err(rejection));
                assert_eq!(reader.push_metadata(&[0]), Err(rejection));
                assert_eq!(nowhere.written, 0);
                Err(Refused { after, rejection, memory: self.memory })
            }
        }
    }

    fn steps(
        &mut self,
        reader: &mut Reader<SoftwareHasher>,
        container: &[u8],
        after: &mut bool,
    ) -> Result<(Loaded, Signer, [u8; 32]), Rejection> {
        let mut pieces = self.pieces.iter().cycle().copied();
        let mut rest = container;
        reader.begin(container.len() as u64)?;
        while !reader.metadata_complete() {
            let piece = &rest[..pieces.next().unwrap().min(rest.len())];
            let mut taken = 0;
            while taken < piece.len() && !reader.metadata_complete() {
                taken += reader.push_metadata(&piece[taken..])?;
            }
            assert!(taken > 0, "a container that is shorter than its metadata was not refused");
            rest = &rest[taken..];
        }
        let identity = reader.identity(&self.provider);
        let signer = reader.authenticate(&self.provider, self.keys)?;
        *after = true;
        reader.plan(&self.target)?;
        while !reader.is_complete() {
            let (piece, later) = rest.split_at(pieces.next().unwrap().min(rest.len()));
            assert!(!piece.is_empty(), "a container that is shorter than its images was not refused");
            reader.push(piece, &mut self.memory)?;
            rest = later;
        }
        assert!(rest.is_empty());
        assert_eq!(reader.position(), reader.total());
        while reader.verify_segments(&self.provider, &mut self.memory, self.budget)? == Progress::Pending {}
        while reader.decrypt_segments(&self.provider, &self.target, &mut self.memory, self.budget.max(16))?
            == Progress::Pending
        {}
        let loaded = reader.finish(&self.provider, &self.target, &mut self.memory)?;
        Ok((loaded, signer, identity))
    }
}

/// Loads a container on the test board, trusting one key.
pub fn load(container: &[u8], key: &OwnedPublicKey) -> Result<Success, Refused> {
    Driver::new(&[TrustedKey::new("test", key.as_key())]).load(container)
}

/// Believes every signature: for tests of what comes after it.
#[derive(Clone, Copy)]
pub struct Believer;

impl Provider for Believer {
    type Hasher = SoftwareHasher;
    type Decryption = SoftwareDecryption;

    fn sha256(&self) -> SoftwareHasher {
        Software.sha256()
    }

    fn supports(&self, _: Algorithm) -> bool {
        true
    }

    fn verify(&self, _: &PublicKey<'_>, _: &Signed<'_>) -> bool {
        true
    }

    fn decryption(&self, key: &CipherKey<'_>) -> Option<SoftwareDecryption> {
        Software.decryption(key)
    }
}
