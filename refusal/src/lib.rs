//! The catalogue of refusals: every reason for which the service, the image reader or the signing tool says no.
//!
//! One table: a stable number, a name, a class and a sentence that tells the reader what to do. The number never changes its
//! meaning and is never used again; a new reason gets a new number. This crate is a leaf: everybody may know it, it knows nobody.
#![no_std]
#![forbid(unsafe_code)]

use core::fmt;

/// What kind of no a refusal is. The service turns it into the result code of the wire (`docs/abi.md`, "Results").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request or the container's framing is malformed.
    BadParameters,
    /// The contents are malformed.
    BadFormat,
    /// Something that has to be there is missing.
    NoData,
    /// A known thing that this build or platform can't do.
    NotSupported,
    /// A known command that is not implemented.
    NotImplemented,
    /// The signature does not verify.
    SignatureInvalid,
    /// Authenticated data and the bytes that came with it disagree.
    Security,
    /// An address outside what the caller or the image may touch.
    AccessDenied,
    /// The request does not fit the processor's state or owner.
    BadState,
    /// A stated limit of this implementation is exceeded.
    OutOfMemory,
    /// The hardware did not do what it was told.
    Generic,
    /// Data that should have been aligned or consistent is not.
    CorruptObject,
}

macro_rules! refusals {
    ($( $number:literal $variant:ident $name:literal $class:ident $sentence:literal )*) => {
        /// One reason to refuse. The discriminant is the stable number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Refusal {
            $(
                #[doc = $sentence]
                $variant = $number,
            )*
        }

        impl Refusal {
            /// The whole catalogue, in the order of the numbers.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// Returns the refusal with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$variant), )*
                    _ => None,
                }
            }

            /// Names and kinds, in the order of [`Self::ALL`]: as tables they take less room than as a match.
            const NAMES: &'static [&'static str] = &[ $( $name, )* ];
            const CLASSES: &'static [Class] = &[ $( Class::$class, )* ];

            /// Returns this one's entry of a table; each has one.
            fn entry<T: Copy>(self, table: &[T], otherwise: T) -> T {
                let mut all = Self::ALL.iter().zip(table);
                all.find(|(refusal, _)| **refusal == self).map_or(otherwise, |(_, entry)| *entry)
            }

            /// Returns the stable name, as logs and tools print it.
            #[must_use]
            pub fn name(self) -> &'static str {
                self.entry(Self::NAMES, "")
            }

            /// Returns the kind of no.
            #[must_use]
            pub fn class(self) -> Class {
                self.entry(Self::CLASSES, Class::Generic)
            }

            /// Returns what is wrong and what to do about it.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $( Self::$variant => $sentence, )* }
            }
        }
    };
}

// 0x01xx framing of the container; 0x02xx authenticity; 0x03xx signed tables; 0x04xx the ELF files; 0x05xx segment contents;
// 0x06xx resource table; 0x07xx boot; 0x08xx use of the reader; 0x09xx what the signing tool is given; 0x10xx state and owner; 0x11xx memory a client names; 0x12xx messages; 0x13xx hardware;
// 0x14xx events; 0x15xx calls of door T.
refusals! {
    0x0101 TooShort "TOO_SHORT" BadParameters "The file is shorter than a container header (20 bytes): pass the whole signed file."
    0x0102 BadMagic "BAD_MAGIC" BadParameters "The file does not start with the container's magic number: an unsigned ELF file has to be signed first."
    0x0103 BadVersion "BAD_VERSION" BadParameters "The container version is not 1: sign the firmware again with a tool that writes version 1."
    0x0104 EmptyTlvArea "EMPTY_TLV_AREA" BadParameters "The header says that there are no TLVs: the file is damaged, sign it again."
    0x0105 EmptySignature "EMPTY_SIGNATURE" BadParameters "The header says that there is no signature: the file is damaged, sign it again."
    0x0106 MetadataTooLarge "METADATA_TOO_LARGE" OutOfMemory "Header, TLVs and signature exceed 16 KiB: sign fewer or smaller program headers and TLVs."
    0x0107 SizeMismatch "SIZE_MISMATCH" BadParameters "The lengths in the header do not add up to the length of the file: it is truncated, has a tail, or is of the older vendor layout."
    0x0108 TlvMalformed "TLV_MALFORMED" BadFormat "A TLV does not fit the TLV area: sign the firmware again."
    0x0109 ImageSizesMismatch "IMAGE_SIZES_MISMATCH" BadFormat "The IMGSIZE values do not add up to the header's image length: sign the firmware again."

    0x0201 SignatureTypeMissing "SIGNATURE_TYPE_MISSING" BadParameters "The SIGNTYPE TLV is missing or not one byte long: sign the firmware again."
    0x0202 SignatureTypeUnknown "SIGNATURE_TYPE_UNKNOWN" NotSupported "This SIGNTYPE is not supported here: sign with an algorithm that the platform lists."
    0x0203 SignatureInvalid "SIGNATURE_INVALID" SignatureInvalid "No trusted key verifies the signature: it was made by another key, or header or TLVs were changed afterwards."
    0x0204 SignatureLength "SIGNATURE_LENGTH" SignatureInvalid "The signature's length fits no trusted key of its algorithm: sign with the key that the platform trusts."
    0x0205 NoTrustedKey "NO_TRUSTED_KEY" SignatureInvalid "The platform trusts no key of this algorithm: sign with another algorithm, or add a key to the partition's manifest."
    0x0206 HashTypeMissing "HASH_TYPE_MISSING" BadFormat "The HASHTYPE TLV is not one byte long: sign the firmware again."
    0x0207 HashTypeUnknown "HASH_TYPE_UNKNOWN" NotSupported "The HASHTYPE is not SHA-256: sign the firmware again with SHA-256."
    0x0208 KeyRevoked "KEY_REVOKED" SignatureInvalid "The key that signed this image has been revoked on this platform: sign with its successor."
    0x0209 KeyIdUnknown "KEY_ID_UNKNOWN" SignatureInvalid "The KEY_ID TLV names a key that this platform does not trust: sign with a trusted key, or add the key to the partition's manifest."
    0x020a KeyInformationMissing "KEY_INFORMATION_MISSING" SignatureInvalid "The platform knows its keys by their hash only and the image does not carry its key: sign with --key_info and the DER public key."
    0x020b KeyInformationUntrusted "KEY_INFORMATION_UNTRUSTED" SignatureInvalid "The key in PKEYINFO has a hash that this platform does not trust: sign with the trusted key, and give its DER public key to --key_info."
    0x020c KeyInformationMalformed "KEY_INFORMATION_MALFORMED" BadFormat "PKEYINFO has a trusted hash but is no DER public key of a known algorithm: correct the hash in the partition's manifest."

    0x0301 ImageCountMissing "IMAGE_COUNT_MISSING" NoData "The NUM_IMG TLV is missing or zero: sign the firmware again."
    0x0302 ImageCountMalformed "IMAGE_COUNT_MALFORMED" BadFormat "The NUM_IMG TLV is not one byte long: sign the firmware again."
    0x0303 TooManyImages "TOO_MANY_IMAGES" OutOfMemory "The container holds more than 8 images: sign fewer at once."
    0x0304 ImageTypeMissing "IMAGE_TYPE_MISSING" NoData "The IMGTYPE TLV is missing: sign the firmware again."
    0x0305 ImageTypeMalformed "IMAGE_TYPE_MALFORMED" BadParameters "The IMGTYPE TLV does not hold one byte per image: sign the firmware again."
    0x0306 ImageTypeUnknown "IMAGE_TYPE_UNKNOWN" BadFormat "An image is not of a type that this platform loads: ELF files are, plain (type 1) or encrypted (type 2)."
    0x0307 ImageSizeMissing "IMAGE_SIZE_MISSING" NoData "The IMGSIZE TLV is missing: sign the firmware again."
    0x0308 ImageSizeMalformed "IMAGE_SIZE_MALFORMED" BadParameters "The IMGSIZE TLV does not hold one 32-bit size per image, each a multiple of 8: sign the firmware again."
    0x0309 HashTableMissing "HASH_TABLE_MISSING" NoData "The HASHTABLE TLV is missing or empty: sign the firmware again."
    0x030a HashTableMalformed "HASH_TABLE_MALFORMED" BadParameters "The HASHTABLE's length is not a multiple of 64: sign the firmware again."
    0x030b TooManySegments "TOO_MANY_SEGMENTS" OutOfMemory "The signed table holds more than 128 program headers: link the firmware with fewer."
    0x030c EncryptionUnsupported "ENCRYPTION_UNSUPPORTED" NotSupported "The image is encrypted and this platform can't decrypt with its key: sign it without encryption, or for a platform whose cipher is compiled in."
    0x030d NothingToLoad "NOTHING_TO_LOAD" NoData "No signed program header loads a byte: link the firmware with PT_LOAD segments."
    0x030e SegmentSizes "SEGMENT_SIZES" BadFormat "A segment has more bytes in the file than in memory: link the firmware again."
    0x030f SegmentOutsideRegions "SEGMENT_OUTSIDE_REGIONS" AccessDenied "A segment's device addresses lie outside every region of the processor: link the firmware for this processor's memory."
    0x0310 SegmentsOverlap "SEGMENTS_OVERLAP" BadFormat "Two segments overlap in memory: link the firmware again."
    0x0311 ExecutableInShared "EXECUTABLE_IN_SHARED" AccessDenied "An executable segment lies in a shared region: link code into private memory."
    0x0312 SegmentOutsideImage "SEGMENT_OUTSIDE_IMAGE" BadFormat "A segment's file bytes lie outside its image: sign the firmware again."
    0x0313 PlatformTlvUnknown "PLATFORM_TLV_UNKNOWN" NotSupported "A platform TLV is unknown and the manifest is strict about them: remove it from the signing command."
    0x0314 SegmentAddressOverflow "SEGMENT_ADDRESS_OVERFLOW" BadFormat "A segment's device address and size exceed 32 bits: link the firmware again."
    0x0315 NoDecryptionKey "NO_DECRYPTION_KEY" NotSupported "The image is encrypted and this platform has no key to decrypt it with: give the manifest a decryption key, or sign without --enc_key."
    0x0316 EncryptionTypeUnknown "ENCRYPTION_TYPE_UNKNOWN" NotSupported "The ENCTYPE is not AES-CBC: encrypt the firmware again with AES-CBC."
    0x0317 EncryptionMixed "ENCRYPTION_MIXED" BadFormat "ENCTYPE, IMGTYPE and the signed table disagree: the images are all plain and have a HASHTABLE, or all encrypted and have an ENCTABLE."
    0x0318 EncryptionTableMissing "ENCRYPTION_TABLE_MISSING" NoData "The image is encrypted and its ENCTABLE TLV is missing or empty: sign the firmware again."
    0x0319 EncryptionTableMalformed "ENCRYPTION_TABLE_MALFORMED" BadParameters "The ENCTABLE is not whole entries of 80 bytes, or an entry is neither PT_LOAD nor all zero: sign the firmware again."
    0x031a EncryptedSegmentSize "ENCRYPTED_SEGMENT_SIZE" BadFormat "An encrypted segment's size in the file is not a multiple of 16: pad the sections and sign the firmware again."
    0x031b OwnTlvMalformed "OWN_TLV_MALFORMED" BadFormat "A TLV from 0x8001 to 0x8006 does not have its length or contents (docs/image-format.md): sign the firmware again."
    0x031c TargetMismatch "TARGET_MISMATCH" Security "The image was signed for another processor or board: load the one for this processor, or sign it for this one."
    0x031d CounterTooLow "COUNTER_TOO_LOW" Security "The image's security counter is below the platform's: newer firmware ran here, load that or a later one."
    0x031e CounterTooHigh "COUNTER_TOO_HIGH" NotSupported "The image's security counter is higher than this platform can hold: sign it with a lower one."
    0x031f EncryptionNotAllowed "ENCRYPTION_NOT_ALLOWED" NotSupported "The image is encrypted and this platform can't keep the plaintext from the normal world: sign it without encryption, or set accept-no-isolation-encrypted in the manifest."
    0x0320 SegmentsShareBytes "SEGMENTS_SHARE_BYTES" BadFormat "The segments load more than four times the image's bytes, because they share bytes of the file: link the firmware so that each segment has its own."

    0x0401 ElfMalformed "ELF_MALFORMED" BadFormat "An image is not a little-endian ELF file of 32 or 64 bits and version 1: build the firmware for the remote processor."
    0x0402 ProgramHeadersOutside "PROGRAM_HEADERS_OUTSIDE" BadFormat "The ELF program headers lie outside the image: the file was changed after it was linked."
    0x0403 ProgramHeadersMismatch "PROGRAM_HEADERS_MISMATCH" Security "The ELF program headers are not the signed ones: the file was changed after it was signed."
    0x0404 SegmentNotInFile "SEGMENT_NOT_IN_FILE" Security "The ELF files hold fewer program headers than were signed: the file was changed after it was signed."
    0x0405 SectionHeadersMalformed "SECTION_HEADERS_MALFORMED" BadFormat "The ELF section headers lie outside the image or have a wrong size: link the firmware again, do not edit it afterwards."
    0x0406 TooManySections "TOO_MANY_SECTIONS" OutOfMemory "An image has more section headers than are read, or names resource tables too often: strip the debug sections."

    0x0501 SegmentHashMismatch "SEGMENT_HASH_MISMATCH" Security "A segment's bytes are not the signed ones: the file was changed after it was signed, or while it was loaded."

    0x0601 ResourceTableTwice "RESOURCE_TABLE_TWICE" BadFormat "More than one resource table was found: keep one .resource_table section in one image."
    0x0602 ResourceTableOutside "RESOURCE_TABLE_OUTSIDE" AccessDenied "The resource table does not lie inside one authenticated, non-executable segment: the section header was changed, or the linker script puts the table outside the segments."
    0x0603 ResourceTableNotShared "RESOURCE_TABLE_NOT_SHARED" AccessDenied "The resource table lies in a private region, where the normal world could not read it: link it into shared memory."
    0x0604 ResourceTableMisaligned "RESOURCE_TABLE_MISALIGNED" CorruptObject "The resource table's address is not a multiple of 4: align the section."
    0x0605 ResourceTableMalformed "RESOURCE_TABLE_MALFORMED" BadFormat "The resource table's header or offsets are wrong: check version 1, the two reserved words and the offsets."
    0x0606 ResourceEntryMalformed "RESOURCE_ENTRY_MALFORMED" BadFormat "An entry of the resource table is truncated, or a field of it has a value that Linux refuses: check its length, reserved words and vrings."
    0x0607 ResourceTableTooLarge "RESOURCE_TABLE_TOO_LARGE" OutOfMemory "The resource table has more than 64 entries or, where the image signs its place, more than 16 KiB: list less."
    0x0608 ResourceTableHashMismatch "RESOURCE_TABLE_HASH_MISMATCH" Security "The loaded resource table is not the one whose hash was signed: sign the firmware again, with the table it is linked with."

    0x0701 BootAddressMalformed "BOOT_ADDRESS_MALFORMED" BadFormat "The BOOTADDR TLV is not a 32-bit value: sign with --plat-tlv BOOTADDR 0x..."
    0x0702 BootAddressOutside "BOOT_ADDRESS_OUTSIDE" AccessDenied "The boot address lies in no segment's bytes of the file: set BOOTADDR to the vector table's device address."
    0x0703 BootAddressMisaligned "BOOT_ADDRESS_MISALIGNED" BadFormat "The boot address is not a multiple of 128: align the vector table."
    0x0704 BootSecurityMalformed "BOOT_SECURITY_MALFORMED" BadFormat "The BOOTSEC TLV is not a 32-bit value: sign with --plat-tlv BOOTSEC 0 or 1."
    0x0705 BootSecurityUnsupported "BOOT_SECURITY_UNSUPPORTED" NotSupported "The image asks for a secure boot that this processor can't do: sign it with BOOTSEC 0."
    0x0706 NoBootAddress "NO_BOOT_ADDRESS" NoData "Neither the image nor the manifest names a boot address: sign with --plat-tlv BOOTADDR."
    0x0707 BootAddressInShared "BOOT_ADDRESS_IN_SHARED" AccessDenied "The boot address lies in a shared region, where the normal world could change the vector table: link the vector table into private memory."

    0x0801 CallOutOfOrder "CALL_OUT_OF_ORDER" BadState "The image reader was used out of order: this is a defect of the program that uses it, report it."

    0x0901 InputAlreadySigned "INPUT_ALREADY_SIGNED" BadParameters "The file to be signed is signed already: give the ELF file that the linker made."
    0x0902 InputStaticLibrary "INPUT_STATIC_LIBRARY" BadParameters "The file to be signed is a static library: link it first."
    0x0903 InputNotElf "INPUT_NOT_ELF" BadParameters "The file to be signed is no ELF file: give the file that the linker made, not a raw binary or hex file."
    0x0904 InputOtherArchitecture "INPUT_OTHER_ARCHITECTURE" NotSupported "The file to be signed is not for Arm (AArch64 if it has 64 bits): give the remote processor's firmware, or add --no-check for another loader."
    0x0905 InputNotExecutable "INPUT_NOT_EXECUTABLE" BadFormat "The file to be signed is no executable linked to fixed addresses: link it so, or add --no-check for another loader."
    0x0906 InputCannotBeSigned "INPUT_CANNOT_BE_SIGNED" BadFormat "The ELF file has headers or segments that the signed table or the encryption can't describe: link it as the tool's message says."
    0x0907 ResourceTableNotSignable "RESOURCE_TABLE_NOT_SIGNABLE" BadFormat "The ELF files' resource table can't be named by a signed TLV: correct the linker script, or sign without --resource-table."
    0x0908 AttachedSignatureInvalid "ATTACHED_SIGNATURE_INVALID" SignatureInvalid "The signature to be attached is not one of the given key over the bytes to be signed: have the .tbs file signed by the private half of this key."
    0x0909 NotToBeAttached "NOT_TO_BE_ATTACHED" BadParameters "The file is no container that a signature could be attached to: give the file that `rproc-image tbs --out` wrote."

    0x1001 UnknownProcessor "UNKNOWN_PROCESSOR" NotSupported "No processor has this id: ask for one that the partition's manifest lists."
    0x1002 NotOwner "NOT_OWNER" BadState "Another client owns this processor: wait until it has released it."
    0x1003 NotLoaded "NOT_LOADED" BadState "No firmware is loaded: LOAD_FW first."
    0x1004 AnotherImageLoaded "ANOTHER_IMAGE_LOADED" BadState "Another image is loaded: RELEASE_FW first."
    0x1005 IsRunning "IS_RUNNING" BadState "The processor runs: STOP_FW first."
    0x1006 IsStopped "IS_STOPPED" BadState "The processor was or is being stopped, or has crashed: STOP_FW to its end, then LOAD_FW again before START_FW."
    0x1007 LoadInProgress "LOAD_IN_PROGRESS" BadState "A load is under way: go on with LOAD_FW or release the processor."
    0x1008 MetadataSlotsFull "METADATA_SLOTS_FULL" OutOfMemory "Too many clients load at once: try again."
    0x1009 EndpointNotAllowed "ENDPOINT_NOT_ALLOWED" AccessDenied "The manifest gives this processor to other endpoints: ask from one of them, or add this one to its list."
    0x100a NotRunning "NOT_RUNNING" BadState "The processor does not run: START_FW first, and confirm the firmware while it runs."

    0x1101 HandleUnknown "HANDLE_UNKNOWN" BadParameters "The memory handle was not shared with this partition by this client: share the image first."
    0x1102 ShareTooSmall "SHARE_TOO_SMALL" BadParameters "The shared memory is smaller than the bytes announced: share the whole image."
    0x1103 TooManyRanges "TOO_MANY_RANGES" OutOfMemory "The memory handle has more than 200 ranges, or a buffer of door T more than 16: split the image over several handles, or share less."
    0x1104 RangeNotNormalWorld "RANGE_NOT_NORMAL_WORLD" AccessDenied "The shared memory is not normal-world memory: share normal memory."
    0x1105 RangeOutsideNormalMemory "RANGE_OUTSIDE_NORMAL_MEMORY" AccessDenied "The shared memory lies outside the normal memory that the manifest lists: share RAM."
    0x1106 RangeOverlapsPartition "RANGE_OVERLAPS_PARTITION" AccessDenied "The shared memory overlaps the partition or the SPMC: share RAM of the normal world."
    0x1107 RangeOverlapsProcessor "RANGE_OVERLAPS_PROCESSOR" AccessDenied "The shared memory overlaps a processor's region or control page: copy the image elsewhere first."
    0x1108 RangeOverlapsDevice "RANGE_OVERLAPS_DEVICE" AccessDenied "The shared memory overlaps a device: share RAM."
    0x1109 MemoryAbort "MEMORY_ABORT" AccessDenied "Reading the shared memory was aborted by the bus: the address has no RAM behind it."
    0x110a ShareMalformed "SHARE_MALFORMED" BadParameters "The SPMC's description of the shared memory is malformed or has wrong attributes: share it as normal, write-back memory."
    0x110b RangeMisaligned "RANGE_MISALIGNED" BadParameters "The shared memory is not whole 4 KiB pages or exceeds the address space: share whole pages."
    0x110c HandleInUse "HANDLE_IN_USE" BadParameters "The memory handle is in use by another load: share memory for each load."
    0x110d SpmcBusy "SPMC_BUSY" OutOfMemory "The SPMC can't hand the memory over now, because it is busy or short of memory: try again."

    0x1201 UnknownCommand "UNKNOWN_COMMAND" BadParameters "The command id is unknown: see docs/abi.md."
    0x1202 OffsetUnexpected "OFFSET_UNEXPECTED" BadParameters "The offset is not the number of bytes done: go on where LOAD_FW said, or start again at 0."
    0x1203 FlagsUnknown "FLAGS_UNKNOWN" BadParameters "A reserved flag or argument is not zero, or ONE_CALL is not for this endpoint: clear it."
    0x1204 NotImplemented "NOT_IMPLEMENTED" NotImplemented "The command is known but not implemented yet."
    0x1205 MeasurementUnknown "MEASUREMENT_UNKNOWN" NoData "No such load is kept: ask GET_MEASUREMENTS for its summary, which loads there are."

    0x1301 HardwareFailed "HARDWARE_FAILED" Generic "The processor's reset control did not answer: look at the platform's hardware or, in emulation, at the supervisor."
    0x1302 DestinationAbort "DESTINATION_ABORT" Generic "Writing the processor's memory was aborted by the bus: check the regions of the manifest."
    0x1303 IsolationFailed "ISOLATION_FAILED" Security "The processor's memory could not be closed to the normal world: look at the firewall's configuration."
    0x1304 CounterWriteFailed "COUNTER_WRITE_FAILED" Generic "The platform's security counter could not be read or raised; a start is undone, firmware that waits for CONFIRM runs on: look at the counter's storage."

    0x1401 NotificationOutOfRange "NOTIFICATION_OUT_OF_RANGE" BadParameters "The notification's id is above 63: bind one that the endpoint has."
    0x1402 NoNotifications "NO_NOTIFICATIONS" NotSupported "The SPMC delivers no notifications: ask GET_STATUS from time to time instead."

    0x1501 RequestLength "REQUEST_LENGTH" BadParameters "The length of a request in a shared buffer is not 32 bytes: see docs/abi.md."
    0x1502 ChunkOutside "CHUNK_OUTSIDE" BadParameters "The chunk is empty, exceeds 4 MiB, or does not lie behind the request in the shared buffer: see docs/abi.md."
    0x1503 BufferHeld "BUFFER_HELD" BadState "The shared buffer is held already: call with it, or give it back with RELINQ_MEM."
    0x1504 BuffersFull "BUFFERS_FULL" OutOfMemory "As many shared buffers are held as can be: give one back with RELINQ_MEM."
}

impl Refusal {
    /// Returns the stable number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({:#06x})", self.name(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn numbers_are_unique_and_ascend() {
        for pair in Refusal::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{} before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn names_are_unique_and_numbers_lead_back() {
        for (index, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(Refusal::from_number(refusal.number()), Some(*refusal));
            assert!(refusal.sentence().ends_with('.') || refusal.sentence().ends_with("..."), "{refusal}");
            for other in &Refusal::ALL[index + 1..] {
                assert_ne!(refusal.name(), other.name());
            }
        }
    }
}
