//! Resource tables, where they may lie and what they must hold, read through a whole load.
use crate::board::{answer, vector};
use crate::elf::{File, Part, R, Section, W, X, memory, resource_table, trace, vdev};
use crate::forge::Forge;

fn answer_to(table: &[u8]) -> String {
    answer(&Forge::new(&[File::with_table(table)]).load())
}

fn patched(table: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut table = table.to_vec();
    table[offset..offset + bytes.len()].copy_from_slice(bytes);
    table
}

#[test]
fn tables_that_linux_knows_load() {
    let vendor = |kind: u32| [kind.to_le_bytes(), [1, 2, 3, 4]].concat();
    let whole =
        [trace(), memory(0), memory(1), vdev(2, 0), vdev(0, 12), vdev(1, 4), vendor(128), vendor(512)];
    for entries in [&[][..], &[trace()], &whole] {
        let table = resource_table(entries);
        let success = Forge::new(&[File::with_table(&table)]).load().unwrap();
        let found = success.loaded.resource_table.unwrap();
        assert_eq!((found.device_address, found.physical_address), (0x80a0_0000, 0x80a0_0000));
        assert_eq!(found.size as usize, table.len());
    }
}

#[test]
fn malformed_tables_are_refused() {
    let table = resource_table(&[trace()]);
    let malformed = "after:RESOURCE_TABLE_MALFORMED";
    assert_eq!(answer_to(&table[..12]), malformed, "no room for the header");
    assert_eq!(answer_to(&table[..16]), malformed, "no room for the offsets");
    assert_eq!(answer_to(&patched(&table, 0, &[2])), malformed, "version");
    assert_eq!(answer_to(&patched(&table, 8, &[1])), malformed, "first reserved word");
    assert_eq!(answer_to(&patched(&table, 15, &[1])), malformed, "second reserved word");
    assert_eq!(answer_to(&patched(&table, 4, &[0xff; 4])), malformed, "number of entries");
    assert_eq!(answer_to(&patched(&table, 16, &[0xff; 4])), malformed, "offset beyond the end");
    assert_eq!(
        answer_to(&patched(&table, 16, &[0xfe, 0xff, 0xff, 0xff])),
        malformed,
        "offset that would wrap"
    );
    let last = (table.len() as u32 - 3).to_le_bytes();
    assert_eq!(answer_to(&patched(&table, 16, &last)), malformed, "no room for the type");
    assert_eq!(answer_to(&patched(&table, 16, &[4, 0, 0, 0])), malformed, "entry in the header");
}

#[test]
fn malformed_entries_are_refused() {
    let malformed = "after:RESOURCE_ENTRY_MALFORMED";
    let with = |entry: Vec<u8>, offset: usize, bytes: &[u8]| {
        answer_to(&resource_table(&[patched(&entry, offset, bytes)]))
    };
    for entry in [trace(), memory(0), memory(1), vdev(2, 4), vdev(0, 0)] {
        for missing in 1..=4 {
            let cut = entry[..entry.len() - missing].to_vec();
            assert_eq!(answer_to(&resource_table(&[cut])), malformed, "{missing} bytes missing of {entry:?}");
        }
    }
    assert_eq!(with(trace(), 12, &[1]), malformed, "reserved word of a trace");
    assert_eq!(with(memory(0), 20, &[1]), malformed, "reserved word of a carveout");
    assert_eq!(with(vdev(2, 0), 26, &[1]), malformed, "reserved bytes of a vdev");
    assert_eq!(with(vdev(2, 0), 27, &[1]), malformed, "reserved bytes of a vdev");
    assert_eq!(with(vdev(2, 0), 25, &[255]), malformed, "more vrings than there are");
    assert_eq!(answer_to(&resource_table(&[vdev(3, 0)])), malformed, "more vrings than Linux knows");
    assert_eq!(with(vdev(2, 0), 20, &[0xff; 4]), malformed, "configuration space");
    assert_eq!(with(vdev(2, 0), 28 + 4, &[0, 0]), malformed, "vring without alignment");
    assert_eq!(with(vdev(2, 0), 48 + 8, &[0]), malformed, "vring without descriptors");
}

/// Linux leaves them out, with a warning.
#[test]
fn entries_of_unknown_types_are_left_alone() {
    for kind in [4u32, 5, 127, 128, 512, 513, u32::MAX] {
        assert_eq!(
            answer_to(&resource_table(&[patched(&trace(), 0, &kind.to_le_bytes())])),
            "load",
            "type {kind}"
        );
        let only_its_type = kind.to_le_bytes().to_vec();
        assert_eq!(answer_to(&resource_table(&[trace(), only_its_type])), "load", "type {kind}");
    }
    assert_eq!(answer_to(&resource_table(&[vec![4, 0, 0]])), "after:RESOURCE_TABLE_MALFORMED");
}

#[test]
fn a_table_of_64_entries_loads_and_one_of_65_does_not() {
    let vendor = vec![128, 0, 0, 0];
    assert_eq!(answer_to(&resource_table(&vec![vendor.clone(); 64])), "load");
    assert_eq!(answer_to(&resource_table(&vec![vendor; 65])), "after:RESOURCE_TABLE_TOO_LARGE");
}

fn place(file: &File, address: u32, size: u32) -> String {
    let mut file = file.clone();
    file.sections = vec![Section { name: ".resource_table", address, size }];
    answer(&Forge::new(&[file]).load())
}

#[test]
fn a_table_lies_in_one_authenticated_shared_segment() {
    let table = resource_table(&[trace()]);
    let size = table.len() as u32;
    let file = File::with_table(&table);
    let outside = "after:RESOURCE_TABLE_OUTSIDE";
    assert_eq!(place(&file, 0x80a0_0000, size), "load");
    assert_eq!(place(&file, 0x80a0_0000, size + 1), outside, "one byte too long");
    assert_eq!(place(&file, 0x80a0_0000, u32::MAX), outside, "as long as can be");
    assert_eq!(place(&file, 0x809f_fffc, size), outside, "four bytes too low");
    assert_eq!(place(&file, 0x8050_0000, size), outside, "in no segment");
    assert_eq!(place(&file, 0xffff_fffc, size), outside, "at the end of addresses");
    assert_eq!(place(&file, 0x8000_1000, 4), outside, "in code");
    assert_eq!(place(&file, 0x8000_0000, 16), "after:RESOURCE_TABLE_NOT_SHARED");
    assert_eq!(place(&file, 0x80a0_0002, size - 4), "after:RESOURCE_TABLE_MISALIGNED");

    let mut zeros = file.clone();
    zeros.parts.push(Part { memory_size: 0x100, ..Part::load(0x80a1_0000, R | W, b"") });
    assert_eq!(place(&zeros, 0x80a1_0000, 16), outside, "in memory that no file byte fills");
    let mut neighbors = file;
    neighbors.parts[3] = Part::load(0x80a0_0000, R, &table[..16]);
    neighbors.parts.push(Part::load(0x80a0_0010, R, &table[16..]));
    assert_eq!(place(&neighbors, 0x80a0_0000, size), outside, "in two segments");
}

#[test]
fn names_are_found_wherever_the_name_table_stands() {
    let table = resource_table(&[trace()]);
    for headers_first in [false, true] {
        for program_headers_last in [false, true] {
            let mut file = File { headers_first, program_headers_last, ..File::with_table(&table) };
            let success = Forge::new(&[file.clone()]).load().unwrap();
            assert!(success.loaded.resource_table.is_some(), "{headers_first} {program_headers_last}");
            // A name that ends in the table's name holds it, but is not it; partial names confuse nobody.
            file.sections[0].name = ".rel.resource_table";
            file.filler = b"..resource_tabl.resource_table.resource_table\0.resource_table".to_vec();
            let success = Forge::new(&[file.clone()]).load().unwrap();
            assert_eq!(success.loaded.resource_table, None, "{headers_first} {program_headers_last}");
            file.sections.push(Section {
                name: ".resource_table",
                address: 0x80a0_0000,
                size: table.len() as u32,
            });
            let success = Forge::new(&[file]).load().unwrap();
            assert!(success.loaded.resource_table.is_some(), "{headers_first} {program_headers_last}");
        }
    }
}

/// Where the section headers of an image are.
fn section_headers(image: &[u8]) -> usize {
    u32::from_le_bytes(image[32..36].try_into().unwrap()) as usize
}

#[test]
fn a_linker_may_share_the_tail_of_a_name() {
    // ".rel.resource_table" and ".resource_table" may be one string: the section's name starts in its middle.
    for (name, skipped) in
        [(".rel.resource_table", 4), ("..resource_table", 1), (".resource.resource_table", 9)]
    {
        let mut file = File::with_table(&resource_table(&[trace()]));
        file.sections[0].name = name;
        let mut forge = Forge::new(&[file]);
        let header = section_headers(&forge.images[0]) + 40;
        let start = u32::from_le_bytes(forge.images[0][header..header + 4].try_into().unwrap());
        forge.patch(header, &(start + skipped).to_le_bytes());
        assert!(forge.load().unwrap().loaded.resource_table.is_some(), "{name}");
    }
}

#[test]
fn names_behind_the_section_headers_count_only_in_the_name_table() {
    let table = resource_table(&[trace()]);
    for headers_first in [false, true] {
        let mut image = File { headers_first, ..File::with_table(&table) }.build();
        image.extend(b".resource_table\0".repeat(100));
        let success = Forge::of_bytes(vec![image]).load().unwrap();
        assert!(success.loaded.resource_table.is_some());
    }
}

#[test]
fn a_name_ends_inside_the_name_table() {
    let mut forge = Forge::new(&[File::with_table(&resource_table(&[trace()]))]);
    let names = section_headers(&forge.images[0]) + 80;
    forge.patch(names, &[0; 4]);
    forge.patch(names + 20, &17u32.to_le_bytes());
    assert!(forge.load().unwrap().loaded.resource_table.is_some());
    forge.patch(names + 20, &16u32.to_le_bytes());
    assert_eq!(forge.load().unwrap().loaded.resource_table, None);
}

#[test]
fn no_sections_no_names_and_empty_tables_mean_no_table() {
    let table = resource_table(&[trace()]);
    let none = |forge: &mut Forge| assert_eq!(forge.load().unwrap().loaded.resource_table, None);
    none(Forge::new(&[File::with_table(&table)]).patch(48, &[0, 0]));
    none(Forge::new(&[File::with_table(&table)]).patch(50, &[0, 0]));
    let mut file = File::with_table(&table);
    file.sections[0].size = 0;
    none(&mut Forge::new(&[file]));
}

#[test]
fn two_tables_are_one_too_many() {
    let table = resource_table(&[trace()]);
    let twice = "after:RESOURCE_TABLE_TWICE";
    let mut file = File::with_table(&table);
    file.sections.push(file.sections[0].clone());
    assert_eq!(answer(&Forge::new(&[file]).load()), twice, "in one image");

    let mut other = File::with_table(&table);
    for (part, address) in other.parts.iter_mut().zip([0x8020_0000, 0x8020_1000, 0x8020_2000, 0x80a8_0000]) {
        part.address = address;
    }
    other.sections[0].address = 0x80a8_0000;
    let mut both = [File::with_table(&table), other];
    assert_eq!(answer(&Forge::new(&both).load()), twice, "in two images");
    both[0].sections[0].size = 0;
    let success = Forge::new(&both).load().unwrap();
    assert_eq!(
        success.loaded.resource_table.unwrap().device_address,
        0x80a8_0000,
        "an empty one does not count"
    );
}

#[test]
fn real_firmware_names_its_table_where_readelf_finds_it() {
    let success = Forge::of_bytes(vec![vector("elf/fw_m33_ns.elf")]).load().unwrap();
    assert_eq!(success.loaded.resource_table.unwrap().device_address, 0x80a0_0210);
    assert_eq!(success.segments.iter().filter(|segment| segment.flags & X != 0).count(), 1);
}
