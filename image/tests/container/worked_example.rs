//! The worked example of docs/image-format.md is what the writer writes, byte for byte, and it loads.
use crate::board::{BOARD, Driver, answer, test_key, trusted};
use crate::elf::{File, Part, R};
use remoteproc_image::target::Target;
use remoteproc_image::write::{Container, Order};

/// The container of the example.
fn example() -> Vec<u8> {
    let part = Part::load(0x8000_0000, R, &[0, 0, 0x10, 0x80, 0x81, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]);
    let elf = File { parts: vec![part], ..File::default() }.build();
    Container::new(Order::Mainline)
        .image(&elf)
        .security_counter(3)
        .target(Some(0), "qemu-virt")
        .unwrap()
        .no_resource_table()
        .key_id(&test_key().public().id())
        .version("1.0.3")
        .unwrap()
        .coredump(false)
        .boot_address(0x8000_0000)
        .sign(test_key())
        .unwrap()
}

/// The lines `OFFSET  BYTES  ...` of the page: four hex digits, two blanks, bytes of two hex digits.
fn lines(page: &str) -> impl Iterator<Item = (usize, Vec<u8>)> {
    page.lines().filter_map(|line| {
        let (offset, rest) = line.split_once("  ")?;
        let offset = usize::from_str_radix(offset, 16).ok().filter(|_| offset.len() == 4)?;
        let bytes = rest.split("  ").next()?.split(' ');
        Some((offset, bytes.map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>().ok()?))
    })
}

#[test]
fn the_page_shows_what_the_writer_writes() {
    let path = format!("{}/../docs/image-format.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).unwrap();
    let container = example();
    let mut next = 0;
    for (offset, bytes) in lines(&page) {
        assert_eq!(offset, next, "the lines follow each other");
        next = offset + bytes.len();
        assert_eq!(bytes, container[offset..next], "at {offset:#06x}");
    }
    assert_eq!(next, container.len(), "the whole file is shown: {}", shown(&container));
}

/// The lines of the page, to be written into it.
fn shown(container: &[u8]) -> String {
    let line = |(index, bytes): (usize, &[u8])| {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\n{:04x}  {}", index * 16, hex.join(" "))
    };
    container.chunks(16).enumerate().map(line).collect()
}

#[test]
fn the_example_loads_where_it_says() {
    let keys = trusted();
    let target = Target { board: "qemu-virt", security_counter: 3, ..BOARD };
    let result = Driver { target, ..Driver::new(&keys) }.load(&example());
    assert_eq!(answer(&result), "load");
    assert_eq!(answer(&Driver::new(&keys).load(&example())), "after:TARGET_MISMATCH");
}
