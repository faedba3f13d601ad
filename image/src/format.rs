//! What the bytes look like: container version 1 and little-endian ELF of 32 and 64 bits. Numbers and layouts only, no decisions.
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First word of a container.
pub const MAGIC: u32 = 0x3543_a468;
/// The only container version.
pub const VERSION: u32 = 1;
/// Bytes of the container header.
pub const HEADER_SIZE: usize = 20;
/// Bytes of one entry of the signed table.
pub const TABLE_ENTRY_SIZE: usize = 64;
/// Bytes of one entry of the table of encrypted images.
pub const ENCRYPTED_ENTRY_SIZE: usize = 80;
/// Bytes of an AES block, and of an initialization vector.
pub const BLOCK_SIZE: usize = 16;
/// Bytes of a 32-bit ELF header.
pub const ELF_HEADER_SIZE: usize = 52;
/// Bytes of a 64-bit ELF header.
pub const ELF64_HEADER_SIZE: usize = 64;
/// Bytes of a 32-bit ELF program header.
pub const PROGRAM_HEADER_SIZE: usize = 32;
/// Bytes of a 64-bit ELF program header.
pub const PROGRAM_HEADER64_SIZE: usize = 56;
/// Bytes of a 32-bit ELF section header.
pub const SECTION_HEADER_SIZE: usize = 40;
/// Bytes of a 64-bit ELF section header.
pub const SECTION_HEADER64_SIZE: usize = 64;

/// TLV: signature algorithm, one byte.
pub const TLV_SIGNATURE_TYPE: u32 = 0x01;
/// TLV: hash algorithm, one byte.
pub const TLV_HASH_TYPE: u32 = 0x02;
/// TLV: number of images, one byte.
pub const TLV_IMAGE_COUNT: u32 = 0x03;
/// TLV: one byte per image.
pub const TLV_IMAGE_TYPE: u32 = 0x04;
/// TLV: one 32-bit size per image, its pad to 8 included.
pub const TLV_IMAGE_SIZE: u32 = 0x05;
/// TLV: cipher, one byte; absent when nothing is encrypted.
pub const TLV_ENCRYPTION_TYPE: u32 = 0x06;
/// TLV: the signed table of program headers and hashes.
pub const TLV_HASH_TABLE: u32 = 0x10;
/// TLV: the signing key as DER SubjectPublicKeyInfo; believed only where the platform trusts its hash.
pub const TLV_KEY_INFORMATION: u32 = 0x11;
/// TLV: the table of encrypted images.
pub const TLV_ENCRYPTION_TABLE: u32 = 0x12;
/// Own TLV: security counter, 32-bit.
pub const TLV_SECURITY_COUNTER: u32 = 0x8001;
/// Own TLV: 32-bit processor id, then the board's name.
pub const TLV_TARGET: u32 = 0x8002;
/// Own TLV: 32-bit device address and size of the resource table, and SHA-256 of it.
pub const TLV_RESOURCE_TABLE: u32 = 0x8003;
/// Own TLV: SHA-256 of the signing key's DER SubjectPublicKeyInfo.
pub const TLV_KEY_ID: u32 = 0x8004;
/// Own TLV: version of the firmware, for people.
pub const TLV_VERSION: u32 = 0x8005;
/// Own TLV: 32-bit, 1 = the memory of an encrypted image may be read for a dump.
pub const TLV_COREDUMP: u32 = 0x8006;
/// Processor id of an image for any processor.
pub const ANY_PROCESSOR: u32 = u32::MAX;
/// Longest name of a board, bytes.
pub const MAX_BOARD_NAME: usize = 32;
/// Longest version string, bytes.
pub const MAX_VERSION: usize = 64;
/// First type of the platforms' range.
pub const TLV_PLATFORM_FIRST: u32 = 0x10000;
/// Last type of the platforms' range.
#[cfg(feature = "write")]
pub const TLV_PLATFORM_LAST: u32 = 0x1_ffff;
/// Platform TLV: boot address, 32-bit device address.
pub const TLV_BOOT_ADDRESS: u32 = 0x10001;
/// Platform TLV: 32-bit, not zero = boot secure.
pub const TLV_BOOT_SECURITY: u32 = 0x10002;

/// SIGNTYPE: RSASSA-PKCS1-v1_5 with SHA-256.
pub const SIGNATURE_RSA_PKCS1_SHA256: u8 = 1;
/// SIGNTYPE: ECDSA P-256 with SHA-256.
pub const SIGNATURE_ECDSA_P256_SHA256: u8 = 2;
/// SIGNTYPE: RSASSA-PSS with SHA-256, MGF1 with SHA-256, salt of 32 bytes.
pub const SIGNATURE_RSA_PSS_SHA256: u8 = 0x81;
/// SIGNTYPE: ECDSA P-384 with SHA-384.
pub const SIGNATURE_ECDSA_P384_SHA384: u8 = 0x82;
/// SIGNTYPE: Ed25519 over the signed bytes themselves.
pub const SIGNATURE_ED25519: u8 = 0x83;
/// HASHTYPE: SHA-256.
pub const HASH_SHA256: u8 = 1;
/// ENCTYPE: AES-CBC, no padding.
pub const ENCRYPTION_AES_CBC: u8 = 1;
/// IMGTYPE: plain ELF.
pub const IMAGE_ELF: u8 = 1;
/// IMGTYPE: ELF with encrypted segments.
pub const IMAGE_ENCRYPTED_ELF: u8 = 2;

/// ELF program header type: loadable.
pub const PT_LOAD: u32 = 1;
/// ELF program header flag: executable.
pub const PF_X: u32 = 1;
/// First seven bytes of `e_ident`: magic, 32 bit, little-endian, version 1.
pub const ELF_IDENT: [u8; 7] = [0x7f, b'E', b'L', b'F', 1, 1, 1];
/// The same of a 64-bit file.
pub const ELF64_IDENT: [u8; 7] = [0x7f, b'E', b'L', b'F', 2, 1, 1];
/// The section that holds the resource table, with the end of its name.
pub const RESOURCE_TABLE_NAME: &[u8; 16] = b".resource_table\0";

/// Container header.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawHeader {
    pub magic: U32,
    pub version: U32,
    pub tlv_length: U32,
    pub signature_length: U32,
    pub image_length: U32,
}

/// What stands before a TLV's value.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawTlv {
    pub kind: U32,
    pub length: U32,
}

/// ELF program header (`Elf32_Phdr`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ProgramHeader {
    pub kind: U32,
    pub offset: U32,
    pub virtual_address: U32,
    pub physical_address: U32,
    pub file_size: U32,
    pub memory_size: U32,
    pub flags: U32,
    pub alignment: U32,
}

/// ELF program header of a 64-bit file (`Elf64_Phdr`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ProgramHeader64 {
    pub kind: U32,
    pub flags: U32,
    pub offset: U64,
    pub virtual_address: U64,
    pub physical_address: U64,
    pub file_size: U64,
    pub memory_size: U64,
    pub alignment: U64,
}

impl ProgramHeader64 {
    /// The same in 32 bits, which is what the signed table carries; nothing if a value exceeds them.
    pub fn narrow(&self) -> Option<ProgramHeader> {
        let narrow = |value: U64| u32::try_from(value.get()).ok().map(U32::new);
        Some(ProgramHeader {
            kind: self.kind,
            offset: narrow(self.offset)?,
            virtual_address: narrow(self.virtual_address)?,
            physical_address: narrow(self.physical_address)?,
            file_size: narrow(self.file_size)?,
            memory_size: narrow(self.memory_size)?,
            flags: self.flags,
            alignment: narrow(self.alignment)?,
        })
    }
}

/// Entry of the signed table: a program header as it stands in the file, and SHA-256 of its file bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TableEntry {
    pub program_header: ProgramHeader,
    pub digest: [u8; 32],
}

/// ELF header (`Elf32_Ehdr`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawElfHeader {
    pub ident: [u8; 16],
    pub kind: U16,
    pub machine: U16,
    pub version: U32,
    pub entry: U32,
    pub program_headers_offset: U32,
    pub section_headers_offset: U32,
    pub flags: U32,
    pub header_size: U16,
    pub program_header_size: U16,
    pub program_header_count: U16,
    pub section_header_size: U16,
    pub section_header_count: U16,
    pub name_section: U16,
}

/// ELF header of a 64-bit file (`Elf64_Ehdr`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RawElfHeader64 {
    pub ident: [u8; 16],
    pub kind: U16,
    pub machine: U16,
    pub version: U32,
    pub entry: U64,
    pub program_headers_offset: U64,
    pub section_headers_offset: U64,
    pub flags: U32,
    pub header_size: U16,
    pub program_header_size: U16,
    pub program_header_count: U16,
    pub section_header_size: U16,
    pub section_header_count: U16,
    pub name_section: U16,
}

/// ELF section header (`Elf32_Shdr`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct SectionHeader {
    pub name: U32,
    pub kind: U32,
    pub flags: U32,
    pub address: U32,
    pub offset: U32,
    pub size: U32,
    pub link: U32,
    pub information: U32,
    pub alignment: U32,
    pub entry_size: U32,
}

/// ELF section header of a 64-bit file (`Elf64_Shdr`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct SectionHeader64 {
    pub name: U32,
    pub kind: U32,
    pub flags: U64,
    pub address: U64,
    pub offset: U64,
    pub size: U64,
    pub link: U32,
    pub information: U32,
    pub alignment: U64,
    pub entry_size: U64,
}

/// Rounds up to a multiple of 8, without overflow.
pub const fn rounded(length: u32) -> u64 {
    (length as u64).saturating_add(7) & !7
}
