//! Every refusal of the reader, provoked by its own defect, and the limits from both sides.
use crate::board::{
    BOARD, Driver, Memory, REGIONS, Refused, answer, modulus, public_key, test_key, trusted, vector,
};
use crate::elf::{File, Part, R, Section, W, X, resource_table, trace};
use crate::forge::*;
use remoteproc_image::provider::{PublicKey, TrustedKey};
use remoteproc_image::reader::MAX_METADATA;
use remoteproc_image::target::{BootSecurity, Target};
use remoteproc_refusal::Refusal;
use std::collections::BTreeSet;

/// What has been provoked: number and phase.
#[derive(Default)]
struct Seen(BTreeSet<u16>);

impl Seen {
    fn refused<T>(&mut self, what: &str, expected: &str, result: Result<T, Refused>) {
        let refused = result.err().unwrap_or_else(|| panic!("{what} was loaded, not refused as {expected}"));
        assert_eq!(refused.answer(), expected, "{what}");
        if !refused.after {
            assert_eq!(refused.memory.written, 0, "{what}");
        }
        self.0.insert(refused.rejection.refusal.number());
    }
}

fn simple() -> Forge {
    Forge::new(&[File::simple()])
}

/// A container whose image is `file` changed.
fn changed(change: impl FnOnce(&mut File)) -> Forge {
    let mut file = File::simple();
    change(&mut file);
    Forge::new(&[file])
}

/// A container whose TLVs are changed.
fn tlvs(change: impl FnOnce(&mut Forge) -> &mut Forge) -> Forge {
    let mut forge = simple();
    change(&mut forge);
    forge
}

/// A container whose signed table alone is changed: word `word` of entry `entry`.
fn table(entry: usize, word: usize, value: u32) -> Forge {
    tlvs(|forge| {
        let (_, table) = forge.tlvs.iter_mut().find(|(kind, _)| *kind == HASH_TABLE).unwrap();
        let at = entry * 64 + word * 4;
        table[at..at + 4].copy_from_slice(&value.to_le_bytes());
        forge
    })
}

fn bytes(container: &[u8]) -> Result<(), Refused> {
    Driver::new(&trusted()).load(container).map(|_| ())
}

fn framing(seen: &mut Seen) {
    let good = simple().sign();
    let header = |word: usize, value: u32| {
        let mut container = good.clone();
        container[word * 4..word * 4 + 4].copy_from_slice(&value.to_le_bytes());
        bytes(&container)
    };
    seen.refused("nothing", "before:TOO_SHORT", bytes(&[]));
    seen.refused("19 bytes", "before:TOO_SHORT", bytes(&good[..19]));
    seen.refused("an ELF file", "before:BAD_MAGIC", bytes(&vector("elf/fw_m4.elf")));
    seen.refused("version 0", "before:BAD_VERSION", header(1, 0));
    seen.refused("version 2", "before:BAD_VERSION", header(1, 2));
    seen.refused("no TLVs", "before:EMPTY_TLV_AREA", header(2, 0));
    seen.refused("no signature", "before:EMPTY_SIGNATURE", header(3, 0));
    for word in 2..5 {
        for value in [1, 1 << 31, u32::MAX - 7, u32::MAX - 6, u32::MAX] {
            seen.refused("a wrong length", "before:SIZE_MISMATCH", header(word, value));
        }
    }
    seen.refused("a header alone", "before:SIZE_MISMATCH", bytes(&good[..20]));
    seen.refused("a tail", "before:SIZE_MISMATCH", bytes(&[good.clone(), vec![0]].concat()));
    seen.refused("a byte missing", "before:SIZE_MISMATCH", bytes(&good[..good.len() - 1]));

    // Metadata of exactly the limit loads, 8 bytes more do not.
    let with_filler = |more: usize| {
        let mut forge = simple();
        let used = forge.raw().signed_part(256).unwrap().len() + 256;
        forge.tlvs.push((0x77, vec![0; MAX_METADATA / 8 * 8 - used - 8 - 4 + more]));
        let images = forge.raw().signed_part(256).unwrap().len() + 256;
        (images, forge.load())
    };
    let (images, result) = with_filler(0);
    assert!(images <= MAX_METADATA && images > MAX_METADATA - 8, "{images}");
    assert_eq!(answer(&result), "load");
    seen.refused("metadata beyond the limit", "before:METADATA_TOO_LARGE", with_filler(8).1);

    let malformed = |area: &[u8]| {
        let mut raw = simple().raw();
        raw.tlv_area.extend(area);
        let length = raw.tlv_area.len() as u32;
        raw.tlv_length = Some(length);
        bytes(&raw.sign(test_key()).unwrap())
    };
    seen.refused("a TLV beyond its area", "after:TLV_MALFORMED", malformed(&[0x77, 0, 0, 0, 1, 0, 0, 0]));
    seen.refused(
        "a TLV of 4 GiB",
        "after:TLV_MALFORMED",
        malformed(&[0x77, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]),
    );
    seen.refused("half a TLV", "after:TLV_MALFORMED", malformed(&[0x77, 0, 0, 0]));
    assert!(malformed(&[0x77, 0, 0, 0, 1, 0, 0, 0, 5]).is_ok(), "the area may end without the last pad");
}

fn authenticity(seen: &mut Seen) {
    let good = simple().sign();
    let missing = "before:SIGNATURE_TYPE_MISSING";
    seen.refused("no SIGNTYPE", missing, tlvs(|forge| forge.remove(SIGNATURE_TYPE).set(0x77, b"a")).load());
    seen.refused(
        "empty SIGNTYPE",
        missing,
        tlvs(|forge| forge.set(SIGNATURE_TYPE, &[]).set(0x77, b"a")).load(),
    );
    seen.refused(
        "long SIGNTYPE",
        missing,
        tlvs(|forge| forge.set(SIGNATURE_TYPE, &[1, 0]).set(0x77, b"a")).load(),
    );
    for kind in [0, 3, 4, 255] {
        let result = tlvs(|forge| forge.set(SIGNATURE_TYPE, &[kind]).set(0x77, b"a")).load();
        seen.refused("another SIGNTYPE", "before:SIGNATURE_TYPE_UNKNOWN", result);
    }
    let with_keys = |keys: &[PublicKey<'_>]| {
        let keys: Vec<_> = keys.iter().map(|key| TrustedKey::new("", *key)).collect();
        Driver::new(&keys).load(&good)
    };
    seen.refused("no key", "before:NO_TRUSTED_KEY", with_keys(&[]));
    let own = modulus("rsa2048");
    let short = PublicKey::Rsa { modulus: &own[..255], exponent: 65537 };
    let long = [vec![1], modulus("rsa4096")].concat();
    let long = PublicKey::Rsa { modulus: &long, exponent: 65537 };
    let exponents = [0, 1, 2].map(|exponent| PublicKey::Rsa { modulus: &own, exponent });
    for key in [short, long].into_iter().chain(exponents) {
        assert!(!key.is_acceptable());
        seen.refused("a key that nobody should trust", "before:NO_TRUSTED_KEY", with_keys(&[key]));
    }
    let other = public_key("rsa4096");
    seen.refused("only a longer key", "before:SIGNATURE_LENGTH", with_keys(&[other.as_key()]));
    for length in [1, 255, 257, 264] {
        let container = simple().raw().with_signature(&vec![1; length]).unwrap();
        seen.refused("a signature of another length", "before:SIGNATURE_LENGTH", bytes(&container));
    }
    let mut changed = own.clone();
    changed[0] ^= 1;
    let another = PublicKey::Rsa { modulus: &changed, exponent: 65537 };
    seen.refused("another key", "before:SIGNATURE_INVALID", with_keys(&[another]));
    for signature in [[0; 256], [1; 256], [0xff; 256]] {
        let container = simple().raw().with_signature(&signature).unwrap();
        seen.refused("no signature at all", "before:SIGNATURE_INVALID", bytes(&container));
    }
    seen.refused(
        "long HASHTYPE",
        "after:HASH_TYPE_MISSING",
        tlvs(|forge| forge.set(HASH_TYPE, &[1, 1])).load(),
    );
    seen.refused("empty HASHTYPE", "after:HASH_TYPE_MISSING", tlvs(|forge| forge.set(HASH_TYPE, &[])).load());
    for kind in [0, 2, 99] {
        let result = tlvs(|forge| forge.set(HASH_TYPE, &[kind])).load();
        seen.refused("another HASHTYPE", "after:HASH_TYPE_UNKNOWN", result);
    }
    assert_eq!(answer(&tlvs(|forge| forge.remove(HASH_TYPE)).load()), "load", "no HASHTYPE");
}

fn signed_tables(seen: &mut Seen) {
    let mut set = |what: &str, expected: &str, kind: u32, value: &[u8]| {
        seen.refused(what, expected, tlvs(|forge| forge.set(kind, value)).load());
    };
    set("NUM_IMG 0", "after:IMAGE_COUNT_MISSING", IMAGE_COUNT, &[0]);
    set("empty NUM_IMG", "after:IMAGE_COUNT_MISSING", IMAGE_COUNT, &[]);
    set("long NUM_IMG", "after:IMAGE_COUNT_MALFORMED", IMAGE_COUNT, &[1, 0]);
    set("NUM_IMG 9", "after:TOO_MANY_IMAGES", IMAGE_COUNT, &[9]);
    set("NUM_IMG 255", "after:TOO_MANY_IMAGES", IMAGE_COUNT, &[255]);
    set("NUM_IMG 2 with one type", "after:IMAGE_TYPE_MALFORMED", IMAGE_COUNT, &[2]);
    set("empty IMGTYPE", "after:IMAGE_TYPE_MISSING", IMAGE_TYPE, &[]);
    set("long IMGTYPE", "after:IMAGE_TYPE_MALFORMED", IMAGE_TYPE, &[1, 1]);
    set("IMGTYPE 0", "after:IMAGE_TYPE_UNKNOWN", IMAGE_TYPE, &[0]);
    set("IMGTYPE 255", "after:IMAGE_TYPE_UNKNOWN", IMAGE_TYPE, &[255]);
    set("IMGTYPE 2", "after:ENCRYPTION_MIXED", IMAGE_TYPE, &[2]);
    set("ENCTYPE", "after:NO_DECRYPTION_KEY", ENCRYPTION_TYPE, &[1]);
    set("empty ENCTYPE", "after:ENCRYPTION_TYPE_UNKNOWN", ENCRYPTION_TYPE, &[]);
    set("ENCTYPE 2", "after:ENCRYPTION_TYPE_UNKNOWN", ENCRYPTION_TYPE, &[2]);
    set("ENCTABLE", "after:ENCRYPTION_MIXED", ENCRYPTION_TABLE, &[0; 80]);
    set("empty IMGSIZE", "after:IMAGE_SIZE_MISSING", IMAGE_SIZE, &[]);
    set("short IMGSIZE", "after:IMAGE_SIZE_MALFORMED", IMAGE_SIZE, &[8, 0, 0]);
    set("long IMGSIZE", "after:IMAGE_SIZE_MALFORMED", IMAGE_SIZE, &[8, 0, 0, 0, 8, 0, 0, 0]);
    set("odd IMGSIZE", "after:IMAGE_SIZE_MALFORMED", IMAGE_SIZE, &[4, 1, 0, 0]);
    set("IMGSIZE of another file", "after:IMAGE_SIZES_MISMATCH", IMAGE_SIZE, &[0, 1, 0, 0]);
    set("largest IMGSIZE", "after:IMAGE_SIZES_MISMATCH", IMAGE_SIZE, &[0xf8, 0xff, 0xff, 0xff]);
    set("empty HASHTABLE", "after:HASH_TABLE_MISSING", HASH_TABLE, &[]);
    set("short HASHTABLE", "after:HASH_TABLE_MALFORMED", HASH_TABLE, &[0; 63]);
    set("129 entries", "after:TOO_MANY_SEGMENTS", HASH_TABLE, &[0; 64 * 129]);
    set("128 entries that load nothing", "after:NOTHING_TO_LOAD", HASH_TABLE, &[0; 64 * 128]);
    let mut missing = |expected: &str, kind: u32| {
        seen.refused("a TLV is missing", expected, tlvs(|forge| forge.remove(kind)).load());
    };
    missing("after:IMAGE_COUNT_MISSING", IMAGE_COUNT);
    missing("after:IMAGE_TYPE_MISSING", IMAGE_TYPE);
    missing("after:IMAGE_SIZE_MISSING", IMAGE_SIZE);
    missing("after:HASH_TABLE_MISSING", HASH_TABLE);

    let mut wrapped = Forge::new(&[File::simple(), File::simple()]);
    let size = wrapped.images[0].len() as u32 * 2 + 8;
    wrapped.set(IMAGE_SIZE, &[size.to_le_bytes(), 0xffff_fff8u32.to_le_bytes()].concat());
    seen.refused("sizes whose 32-bit sum fits", "after:IMAGE_SIZES_MISMATCH", wrapped.load());

    let mut raw = simple().raw();
    raw.image_length = Some(raw.images.len() as u32 - 1);
    let container = raw.sign(test_key()).unwrap();
    seen.refused(
        "a length that only rounds to the sizes' sum",
        "after:IMAGE_SIZES_MISMATCH",
        bytes(&container),
    );

    let strict = |tlv| {
        let mut driver = Driver::new(&[]);
        let keys = trusted();
        driver.keys = &keys;
        driver.target = Target { strict_platform_tlvs: true, ..BOARD };
        let mut forge = simple();
        forge.set(BOOT_ADDRESS, &0x8000_0000u32.to_le_bytes()).set(tlv, &[0; 4]);
        driver.load(&forge.sign())
    };
    for kind in [0x10000, 0x10003, 0x1ffff, u32::MAX] {
        seen.refused("an unknown platform TLV", "after:PLATFORM_TLV_UNKNOWN", strict(kind));
        assert_eq!(answer(&tlvs(|forge| forge.set(kind, &[0; 4])).load()), "load", "{kind:#x}");
    }
    for kind in [BOOT_SECURITY, 0x11, 0x77, 0xffff] {
        assert_eq!(answer(&strict(kind)), "load", "{kind:#x}");
    }
}

/// The same firmware at other addresses, for a second image.
fn other_simple() -> File {
    let mut file = File::simple();
    for (part, address) in file.parts.iter_mut().zip([0x8020_0000, 0x8020_1000, 0x8020_2000]) {
        part.address = address;
    }
    file
}

/// Memory that no file byte fills.
fn zeros(address: u32, memory_size: u32) -> Part {
    Part { memory_size, ..Part::load(address, R | W, b"") }
}

fn segments(seen: &mut Seen) {
    let with = |part: Part| changed(|file| file.parts.push(part)).load();
    let mut refused = |what: &str, expected: &str, part: Part| seen.refused(what, expected, with(part));
    let loads = |what: &str, part: Part| assert_eq!(answer(&with(part)), "load", "{what}");

    let sizes = "after:SEGMENT_SIZES";
    refused(
        "a file longer than memory",
        sizes,
        Part { memory_size: 3, ..Part::load(0x8020_0000, R, b"four") },
    );
    refused("file bytes, no memory", sizes, Part { memory_size: 0, ..Part::load(0x8020_0000, R, b"four") });
    loads("no memory, anywhere", zeros(0xffff_ffff, 0));
    loads("no memory, on another segment", zeros(0x8000_0000, 0));

    let outside = "after:SEGMENT_OUTSIDE_REGIONS";
    loads("all of a region", zeros(0x80a0_0000, 0x20_0000));
    refused("one byte more than a region", outside, zeros(0x80a0_0000, 0x20_0001));
    refused("from one region into the next", outside, zeros(0x809f_fffc, 8));
    refused("before a region", outside, zeros(0x7fff_fffc, 8));
    refused("in no region", outside, zeros(0x9000_0000, 1));
    refused("the last byte of the addresses", outside, zeros(0xffff_ffff, 1));
    let overflow = "after:SEGMENT_ADDRESS_OVERFLOW";
    refused("one byte beyond the addresses", overflow, zeros(0xffff_ffff, 2));
    refused("twice around", overflow, zeros(0x8000_0000, u32::MAX));

    let overlap = "after:SEGMENTS_OVERLAP";
    refused("on another's last byte", overlap, zeros(0x8000_000f, 1));
    refused("on another's first byte", overlap, zeros(0x800f_fff0, 17));
    refused("around another", overlap, zeros(0x800f_fff0, 0x1000));
    refused("inside another's zeros", overlap, zeros(0x8010_0020, 1));
    loads("behind another", zeros(0x8000_0010, 16));
    loads("before another", zeros(0x800f_fff0, 16));
    refused("code in shared memory", "after:EXECUTABLE_IN_SHARED", Part::load(0x80a0_0000, R | X, b"code"));

    // Two device addresses of one physical address.
    let mut regions = REGIONS.to_vec();
    regions.push(remoteproc_image::target::Region { device_address: 0x2000_0000, ..REGIONS[0] });
    let keys = trusted();
    let mut driver = Driver::new(&keys);
    driver.target = Target { regions: &regions, ..BOARD };
    let alias = changed(|file| file.parts.push(zeros(0x2000_0000, 1))).sign();
    seen.refused("an alias of another", overlap, driver.load(&alias));

    let nothing = changed(|file| file.parts = vec![zeros(0x8000_0000, 0)]).load();
    seen.refused("nothing to load", "after:NOTHING_TO_LOAD", nothing);

    let outside = "after:SEGMENT_OUTSIDE_IMAGE";
    let end = simple().images[0].len() as u32;
    for offset in [end - 3, end, u32::MAX - 3, u32::MAX] {
        seen.refused("bytes outside the image", outside, table(1, 1, offset).load());
    }
    // All of the image is allowed; that the file then has another program header is another matter.
    assert_eq!(answer(&table(1, 1, end - 4).load()), "after:PROGRAM_HEADERS_MISMATCH");
    // With two images nobody knows which is meant before the first one's header was taken.
    let mut both = Forge::new(&[File::simple(), other_simple()]);
    assert_eq!(answer(&both.load()), "load");
    let (_, entries) = both.tlvs.iter_mut().find(|(kind, _)| *kind == HASH_TABLE).unwrap();
    entries[4 * 64 + 4..4 * 64 + 8].copy_from_slice(&end.to_le_bytes());
    seen.refused("bytes outside the second image", outside, both.load());
}

fn elf_files(seen: &mut Seen) {
    let patched = |offset: usize, bytes: &[u8]| simple().patch(offset, bytes).load();
    let mut refused = |what: &str, expected: &str, offset: usize, bytes: &[u8]| {
        seen.refused(what, expected, patched(offset, bytes));
    };
    let malformed = "after:ELF_MALFORMED";
    refused("no ELF magic", malformed, 0, b"X");
    refused("64 bit", malformed, 4, &[2]);
    refused("big-endian", malformed, 5, &[2]);
    refused("another ELF version", malformed, 6, &[0]);
    refused("program headers of another size", malformed, 42, &[33]);
    let outside = "after:PROGRAM_HEADERS_OUTSIDE";
    refused("program headers behind the image", outside, 28, &[0xff, 0xff, 0, 0]);
    refused("program headers around the addresses", outside, 28, &[0xf0, 0xff, 0xff, 0xff]);
    let end = simple().images[0].len() as u32;
    refused("program headers up to one byte too far", outside, 28, &(end - 95).to_le_bytes());
    let mismatch = "after:PROGRAM_HEADERS_MISMATCH";
    refused("program headers up to the end", mismatch, 28, &(end - 96).to_le_bytes());
    refused("program headers elsewhere", mismatch, 28, &[56]);
    refused("one more program header", mismatch, 44, &[4, 0]);
    refused("the first program header's type", mismatch, 52, &[0]);
    refused("the last program header's last byte", mismatch, 52 + 95, &[1]);
    refused("no program headers", "after:SEGMENT_NOT_IN_FILE", 44, &[0, 0]);
    refused("one program header less", "after:SEGMENT_NOT_IN_FILE", 44, &[2, 0]);
    let sections = "after:SECTION_HEADERS_MALFORMED";
    refused("section headers behind the image", sections, 32, &[0xff, 0xff, 0, 0]);
    refused("section headers around the addresses", sections, 32, &[0xf0, 0xff, 0xff, 0xff]);
    refused("section headers up to one byte too far", sections, 32, &(end - 79).to_le_bytes());
    refused("section headers of another size", sections, 46, &[41]);
    refused("name section behind the last", sections, 50, &[2, 0]);
    refused("name section elsewhere", sections, 50, &[0xff, 0xff]);
    let image = &simple().images[0];
    let headers = u32::from_le_bytes(image[32..36].try_into().unwrap()) as usize;
    refused("names behind the image", sections, headers + 40 + 16, &[0xff, 0xff, 0, 0]);
    refused("names around the addresses", sections, headers + 40 + 16, &[0xff; 4]);
    refused("a name behind the names", sections, headers + 40, &[0xff, 0, 0, 0]);
    refused("a name around the addresses", sections, headers + 40, &[0xff; 4]);

    let mut short = simple();
    short.images[0].truncate(48);
    short.set(IMAGE_SIZE, &48u32.to_le_bytes());
    seen.refused("an image without room for a header", malformed, short.load());

    // A second image that is no ELF file.
    let mut second = Forge::new(&[File::simple(), other_simple()]);
    second.images[1][4] = 2;
    seen.refused("a second image of 64 bit", malformed, second.load());

    // Only what loads nothing may be missing from the file, and only what is signed may be there.
    let stack = Part { kind: 0x6474_e551, ..zeros(0, 0) };
    let with_stack = |at: usize| changed(|file| file.parts.insert(at, stack.clone()));
    for at in 0..=3 {
        assert_eq!(answer(&with_stack(at).load()), "load", "a signed header that loads nothing, present");
        let mut absent = with_stack(at);
        absent.images = simple().images;
        absent.set(IMAGE_SIZE, &(absent.images[0].len() as u32).to_le_bytes());
        // The segments' places in the file moved by one program header: sign the places of the file.
        let own = simple().tlvs.into_iter().find(|(kind, _)| *kind == HASH_TABLE).unwrap().1;
        let mut entries = own.clone();
        let stack_entry =
            with_stack(0).tlvs.into_iter().find(|(kind, _)| *kind == HASH_TABLE).unwrap().1[..64].to_vec();
        entries.splice(at * 64..at * 64, stack_entry);
        absent.set(HASH_TABLE, &entries);
        assert_eq!(answer(&absent.load()), "load", "a signed header that loads nothing, absent");
        let mut unsigned = with_stack(at);
        let (_, table) = unsigned.tlvs.iter_mut().find(|(kind, _)| *kind == HASH_TABLE).unwrap();
        table.drain(at * 64..at * 64 + 64);
        seen.refused("a header that was not signed", mismatch, unsigned.load());
    }
    for (entry, expected) in [mismatch, mismatch, "after:SEGMENT_NOT_IN_FILE"].into_iter().enumerate() {
        let mut dropped = simple();
        let image = &mut dropped.images[0];
        image.copy_within(52 + entry * 32 + 32..52 + 96, 52 + entry * 32);
        image[44] = 2;
        seen.refused("a signed segment that the file drops", expected, dropped.load());
    }
    for entry in 0..3 {
        let mut dropped = simple();
        let (_, table) = dropped.tlvs.iter_mut().find(|(kind, _)| *kind == HASH_TABLE).unwrap();
        table.drain(entry * 64..entry * 64 + 64);
        seen.refused("a segment that was not signed", mismatch, dropped.load());
    }

    let many = |count: usize| {
        changed(|file| file.sections = vec![Section { name: ".a", address: 0, size: 1 }; count]).load()
    };
    assert_eq!(answer(&many(255)), "load", "256 sections with the names");
    seen.refused("257 sections", "after:TOO_MANY_SECTIONS", many(256));
    let names = |count: usize| changed(|file| file.filler = b".resource_table\0".repeat(count)).load();
    assert_eq!(answer(&names(64)), "load", "64 names");
    seen.refused("65 names", "after:TOO_MANY_SECTIONS", names(65));
    let behind = changed(|file| {
        file.headers_first = true;
        file.parts.push(Part::load(0x8020_0000, R, &b".resource_table\0".repeat(60)));
        file.sections = vec![Section { name: ".resource_table", address: 0, size: 0 }; 200];
    });
    assert_eq!(answer(&behind.load()), "after:TOO_MANY_SECTIONS", "names in the name table count");
}

fn contents(seen: &mut Seen) {
    for part in 0..3 {
        let mut forge = simple();
        let (_, table) = forge.tlvs.iter_mut().find(|(kind, _)| *kind == HASH_TABLE).unwrap();
        let offset = u32::from_le_bytes(table[part * 64 + 4..part * 64 + 8].try_into().unwrap()) as usize;
        table[part * 64 + 32] ^= 1;
        seen.refused("another digest", "after:SEGMENT_HASH_MISMATCH", forge.load());
        let byte = simple().images[0][offset] ^ 0x80;
        let result = simple().patch(offset, &[byte]).load();
        seen.refused("another byte", "after:SEGMENT_HASH_MISMATCH", result);
    }
    // Memory that does not keep what was written.
    let keys = trusted();
    let limited = |write_limit, read_limit| {
        let mut driver = Driver::new(&keys);
        driver.memory = Memory { write_limit, read_limit, ..Memory::default() };
        driver.load(&Forge::new(&[File::with_table(&resource_table(&[trace()]))]).sign())
    };
    let abort = "after:DESTINATION_ABORT";
    seen.refused("a write that aborts", abort, limited(Some(20), None));
    seen.refused("a read that aborts while hashing", abort, limited(None, Some(20)));
    let file_bytes = limited(None, None).unwrap().memory.written;
    seen.refused("a read that aborts in the table", abort, limited(None, Some(file_bytes + 20)));
}

fn boot(seen: &mut Seen) {
    let with = |kind: u32, value: &[u8]| tlvs(|forge| forge.set(kind, value)).load();
    let mut refused = |expected: &str, kind: u32, value: &[u8]| {
        seen.refused("a boot TLV", expected, with(kind, value));
    };
    for value in [&[][..], &[0; 3], &[0; 5]] {
        refused("after:BOOT_ADDRESS_MALFORMED", BOOT_ADDRESS, value);
        refused("after:BOOT_SECURITY_MALFORMED", BOOT_SECURITY, value);
    }
    for address in
        [0u32, 0x7fff_ff80, 0x8000_0010, 0x8000_0080, 0x8010_0004, 0x8010_003f, 0x80a0_0000, u32::MAX]
    {
        refused("after:BOOT_ADDRESS_OUTSIDE", BOOT_ADDRESS, &address.to_le_bytes());
    }
    for address in [0x8000_0001u32, 0x8000_0008, 0x8010_0003] {
        refused("after:BOOT_ADDRESS_MISALIGNED", BOOT_ADDRESS, &address.to_le_bytes());
    }
    let mut shared = Forge::new(&[File::with_table(&resource_table(&[]))]);
    shared.set(BOOT_ADDRESS, &0x80a0_0000u32.to_le_bytes());
    seen.refused("a vector table in shared memory", "after:BOOT_ADDRESS_IN_SHARED", shared.load());

    let target = |target: Target<'_>, value: u32| {
        let keys = trusted();
        let mut driver = Driver::new(&keys);
        driver.target = target;
        let container = tlvs(|forge| forge.set(BOOT_SECURITY, &value.to_le_bytes())).sign();
        driver.load(&container)
    };
    let never = Target { boot_security: BootSecurity::Refused, ..BOARD };
    seen.refused("BOOTSEC", "after:BOOT_SECURITY_UNSUPPORTED", target(never, 0x8000_0000));
    assert_eq!(target(never, 0).unwrap().loaded.boot_address, Some(0x8000_0000));
    for default_boot_address in [None, Some(0x8000_0001), Some(0x9000_0000), Some(0x80a0_0000)] {
        let loaded = target(Target { default_boot_address, ..BOARD }, 0).unwrap().loaded;
        assert_eq!(loaded.boot_address, None, "{default_boot_address:x?}");
    }
    // Of two TLVs of a type the first counts.
    let mut twice = simple();
    twice.set(BOOT_ADDRESS, &0x8010_0000u32.to_le_bytes());
    twice.tlvs.push((BOOT_ADDRESS, vec![0; 9]));
    assert_eq!(twice.load().unwrap().loaded.boot_address, Some(0x8010_0000));
}

/// One way to put a resource table wrongly for each refusal; `tables` has the others.
fn resource_tables(seen: &mut Seen) {
    let table = resource_table(&[trace()]);
    let with = |change: fn(&mut File)| {
        let mut file = File::with_table(&resource_table(&[trace()]));
        change(&mut file);
        Forge::new(&[file]).load()
    };
    let bytes = |table: &[u8]| Forge::new(&[File::with_table(table)]).load();
    let twice = with(|file| file.sections.push(file.sections[0].clone()));
    seen.refused("two tables", "after:RESOURCE_TABLE_TWICE", twice);
    let outside = with(|file| file.sections[0].size += 1);
    seen.refused("a table outside", "after:RESOURCE_TABLE_OUTSIDE", outside);
    let private = with(|file| file.sections[0].address = 0x8000_0000);
    seen.refused("a private table, too long", "after:RESOURCE_TABLE_OUTSIDE", private);
    let private =
        with(|file| file.sections[0] = Section { name: ".resource_table", address: 0x8000_0000, size: 16 });
    seen.refused("a private table", "after:RESOURCE_TABLE_NOT_SHARED", private);
    let misaligned =
        with(|file| file.sections[0] = Section { name: ".resource_table", address: 0x80a0_0001, size: 16 });
    seen.refused("a misaligned table", "after:RESOURCE_TABLE_MISALIGNED", misaligned);
    seen.refused("half a table", "after:RESOURCE_TABLE_MALFORMED", bytes(&table[..16]));
    seen.refused("half an entry", "after:RESOURCE_ENTRY_MALFORMED", bytes(&table[..24]));
    let many = bytes(&resource_table(&vec![vec![128, 0, 0, 0]; 65]));
    seen.refused("a long table", "after:RESOURCE_TABLE_TOO_LARGE", many);
}

/// Segments may share bytes of the file, up to a limit: what a load costs is bounded by the file.
fn shared_bytes(seen: &mut Seen) {
    let with_copies = |copies: u32, more: usize| {
        let mut file = File { parts: vec![Part::load(0x8010_0000, R, &vec![1; more])], ..File::simple() };
        let size = file.build().len() as u32 + 32 * copies;
        file.parts.extend((0..copies).map(|copy| Part {
            offset: Some(0),
            file_size: Some(size),
            memory_size: size,
            ..Part::load(0x8020_0000 + copy * 0x1_0000, R, b"")
        }));
        Forge::new(&[file]).load()
    };
    assert_eq!(answer(&with_copies(4, 0)), "load");
    assert_eq!(answer(&with_copies(3, 100)), "load");
    // More than what pads the file.
    seen.refused("four times the file, and more", "after:SEGMENTS_SHARE_BYTES", with_copies(4, 100));
    seen.refused("five times the file", "after:SEGMENTS_SHARE_BYTES", with_copies(5, 0));
}

#[test]
fn every_refusal_of_the_reader_has_its_defect() {
    let mut seen = Seen::default();
    framing(&mut seen);
    authenticity(&mut seen);
    signed_tables(&mut seen);
    segments(&mut seen);
    shared_bytes(&mut seen);
    elf_files(&mut seen);
    contents(&mut seen);
    boot(&mut seen);
    resource_tables(&mut seen);
    // The signing tool's own, before there is a container to read.
    let of_the_tool = |number: u16| number >> 8 == 0x09;
    // The first is START's to give, the second is provoked in `order`.
    // Provoked in `keys`, `encrypted` and `own`.
    let in_other_files = |number: u16| {
        let of_keys = Refusal::KeyRevoked.number()..=Refusal::KeyInformationMalformed.number();
        let of_encryption = Refusal::NoDecryptionKey.number()..=Refusal::EncryptionNotAllowed.number();
        let others = [Refusal::EncryptionUnsupported, Refusal::ResourceTableHashMismatch];
        of_keys.contains(&number)
            || of_encryption.contains(&number)
            || others.map(Refusal::number).contains(&number)
    };
    let elsewhere = [Refusal::NoBootAddress, Refusal::CallOutOfOrder];
    for refusal in Refusal::ALL
        .iter()
        .filter(|refusal| refusal.number() < 0x1000 && !elsewhere.contains(refusal))
        .filter(|refusal| !in_other_files(refusal.number()) && !of_the_tool(refusal.number()))
    {
        assert!(seen.0.contains(&refusal.number()), "{refusal} was not provoked");
    }
}
