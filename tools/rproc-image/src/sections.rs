//! The resource table's section in an ELF file that nobody vouches for. Looks at each section header once, and at 16 bytes of
//! its name: a forged string table costs no more.

const NAME: &[u8] = b".resource_table\0";

/// Reads a little-endian number of up to 8 bytes.
fn number(bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Where the fields of the two classes stand: in the ELF header those of the section headers, and in a section header.
struct Class {
    table: usize,
    sizes: usize,
    entry: usize,
    word: usize,
}

const CLASS_32: Class = Class { table: 32, sizes: 46, entry: 40, word: 4 };
const CLASS_64: Class = Class { table: 40, sizes: 58, entry: 64, word: 8 };

/// Device address and size of the first `.resource_table` that is not empty. `Err`: not a little-endian ELF file, or its section
/// headers lie outside of it.
pub fn resource_table(elf: &[u8]) -> Result<Option<(u64, u64)>, ()> {
    let class = match elf.get(..7) {
        Some(b"\x7fELF\x01\x01\x01") => CLASS_32,
        Some(b"\x7fELF\x02\x01\x01") => CLASS_64,
        _ => return Err(()),
    };
    let field = |offset, size| number(elf, offset, size).ok_or(());
    let table = field(class.table, class.word)?;
    let (size, count, names) =
        (field(class.sizes, 2)?, field(class.sizes + 2, 2)?, field(class.sizes + 4, 2)?);
    if table == 0 || count == 0 {
        return Ok(None);
    }
    if size != class.entry as u64 {
        return Err(());
    }
    let start = usize::try_from(table).map_err(|_| ())?;
    let end = start.checked_add(class.entry * count as usize).ok_or(())?;
    let headers = elf.get(start..end).ok_or(())?;
    // Behind name and type: flags, address, offset, size.
    let value = |header: &[u8], index: usize| number(header, 8 + index * class.word, class.word);
    let strings = headers.chunks_exact(class.entry).nth(names as usize).and_then(|header| value(header, 2));
    let strings = strings.and_then(|strings| elf.get(usize::try_from(strings).ok()?..)).unwrap_or_default();
    let found = headers.chunks_exact(class.entry).find_map(|header| {
        let name = usize::try_from(number(header, 0, 4)?).ok()?;
        let place = (value(header, 1)?, value(header, 3)?);
        (strings.get(name..)?.starts_with(NAME) && place.1 > 0).then_some(place)
    });
    Ok(found)
}
