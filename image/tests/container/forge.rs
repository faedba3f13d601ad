//! Forges containers: validly signed, whatever they hold.
use crate::board::{Driver, Refused, Success, test_key, trusted};
use crate::elf::File;
use remoteproc_image::write::{RawContainer, SigningKey, hash_table};

pub const SIGNATURE_TYPE: u32 = 0x01;
pub const HASH_TYPE: u32 = 0x02;
pub const IMAGE_COUNT: u32 = 0x03;
pub const IMAGE_TYPE: u32 = 0x04;
pub const IMAGE_SIZE: u32 = 0x05;
pub const ENCRYPTION_TYPE: u32 = 0x06;
pub const HASH_TABLE: u32 = 0x10;
pub const KEY_INFORMATION: u32 = 0x11;
pub const ENCRYPTION_TABLE: u32 = 0x12;
pub const SECURITY_COUNTER: u32 = 0x8001;
pub const TARGET: u32 = 0x8002;
pub const RESOURCE_TABLE: u32 = 0x8003;
pub const KEY_ID: u32 = 0x8004;
pub const VERSION: u32 = 0x8005;
pub const COREDUMP: u32 = 0x8006;
pub const BOOT_ADDRESS: u32 = 0x10001;
pub const BOOT_SECURITY: u32 = 0x10002;

/// What goes into a container, free to be changed before it is signed.
#[derive(Clone)]
pub struct Forge {
    pub tlvs: Vec<(u32, Vec<u8>)>,
    pub images: Vec<Vec<u8>>,
}

impl Forge {
    /// A container that loads, if the files do.
    pub fn new(files: &[File]) -> Self {
        Self::of_bytes(files.iter().map(File::build).collect())
    }

    /// The same of files as bytes.
    pub fn of_bytes(mut images: Vec<Vec<u8>>) -> Self {
        let table = images.iter().flat_map(|image| hash_table(image).unwrap()).collect();
        for image in &mut images {
            image.resize(image.len().next_multiple_of(8), 0);
        }
        let mut forge = Self { tlvs: vec![(SIGNATURE_TYPE, vec![1]), (HASH_TYPE, vec![1])], images };
        let count = forge.images.len();
        forge.set(IMAGE_COUNT, &[count as u8]);
        forge.set(IMAGE_TYPE, &vec![1; count]);
        let sizes: Vec<u8> =
            forge.images.iter().flat_map(|image| (image.len() as u32).to_le_bytes()).collect();
        forge.set(IMAGE_SIZE, &sizes);
        forge.tlvs.push((HASH_TABLE, table));
        forge
    }

    /// Sets the value of a TLV, or adds it.
    pub fn set(&mut self, kind: u32, value: &[u8]) -> &mut Self {
        match self.tlvs.iter_mut().find(|(own, _)| *own == kind) {
            Some((_, own)) => *own = value.to_vec(),
            None => self.tlvs.push((kind, value.to_vec())),
        }
        self
    }

    /// Takes a TLV out.
    pub fn remove(&mut self, kind: u32) -> &mut Self {
        self.tlvs.retain(|(own, _)| *own != kind);
        self
    }

    /// Changes bytes of the first image, behind the signer's back.
    pub fn patch(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.images[0][offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The layer below.
    pub fn raw(&self) -> RawContainer {
        RawContainer::new(&self.tlvs, self.images.concat())
    }

    /// The signed container.
    pub fn sign(&self) -> Vec<u8> {
        self.raw().sign(test_key()).unwrap()
    }

    /// The container with a signature that is none, for a provider that believes everything.
    pub fn unsigned(&self) -> Vec<u8> {
        self.raw().with_signature(&vec![0; test_key().signature_length()]).unwrap()
    }

    /// Signs, and loads on the test board.
    pub fn load(&self) -> Result<Success, Refused> {
        Driver::new(&trusted()).load(&self.sign())
    }
}
