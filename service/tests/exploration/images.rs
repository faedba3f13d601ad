//! Small signed images, which fit into one page of client memory and take four requests to load.
use remoteproc_image::write::{Container, Order, RsaKey};

/// Where the images go: device and physical addresses are the same, for the first processor.
pub const CODE: u32 = 0x1000;
/// Bytes of it in the file.
const CODE_SIZE: usize = 128;
/// In shared memory.
pub const DATA: u32 = 0x2000;
const DATA_SIZE: usize = 32;

/// An image that a client may ask to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    /// Loads; its security counter is 1.
    Good,
    /// Loads, too; it has no security counter.
    Other,
    /// Its signature is wrong.
    Forged,
    /// Signed, but a byte of the data was changed.
    Changed,
    /// The same with a byte of the code.
    ChangedCode,
    /// The first one, shared by ranges that are not the client's.
    Elsewhere,
}

impl Image {
    /// Without the changed code: where nothing closes memory, the check before the start finds that, too.
    pub const ALL: [Self; 5] = [Self::Good, Self::Other, Self::Forged, Self::Changed, Self::Elsewhere];

    /// The code of images that may run, and the security counter.
    pub const TRUSTED: [(Self, u32); 2] = [(Self::Good, 1), (Self::Other, 0)];

    /// The image that the signer meant. Header, TLVs and signature are all that LOAD_FW looks at if it is loaded already.
    pub fn as_signed(self) -> Self {
        match self {
            Self::Changed | Self::ChangedCode | Self::Elsewhere => Self::Good,
            other => other,
        }
    }

    /// Its data, in shared memory.
    pub fn data(self) -> [u8; DATA_SIZE] {
        [0x33; DATA_SIZE]
    }

    /// Its code, in private memory.
    pub fn code(self) -> [u8; CODE_SIZE] {
        let byte = match self {
            Self::Other => 0x22,
            Self::Forged => 0x44,
            _ => 0x11,
        };
        [byte; CODE_SIZE]
    }
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A file with two segments and no sections.
fn elf(image: Image) -> Vec<u8> {
    let start = 52 + 2 * 32;
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([2, 0, 40, 0]);
    // Version, entry, program headers, section headers, flags.
    file.extend(words(&[1, CODE, 52, 0, 0]));
    // Sizes and numbers of headers, halves.
    file.extend([52, 0, 32, 0, 2, 0, 40, 0, 0, 0, 0, 0]);
    let (code, data) = (CODE_SIZE as u32, DATA_SIZE as u32);
    file.extend(words(&[1, start, CODE, CODE, code, code, 5, 4]));
    file.extend(words(&[1, start + code, DATA, DATA, data, data, 6, 4]));
    file.extend(image.code());
    file.extend(image.data());
    file
}

/// Signs it, and makes of it what its name says.
pub fn container(image: Image, key: &RsaKey) -> Vec<u8> {
    let mut container = Container::new(Order::Mainline).image(&elf(image)).boot_address(CODE);
    if image != Image::Other {
        container = container.security_counter(1);
    }
    let mut bytes = container.sign(key).expect("the key signs");
    match image {
        Image::Forged => {
            // The last byte of the signature: the file ends with the image.
            let at = bytes.len() - elf(image).len().next_multiple_of(8) - 1;
            bytes[at] ^= 1;
        }
        Image::Changed | Image::ChangedCode => {
            // The last byte of a segment; the rest is a pad.
            let end = bytes.len() - (elf(image).len().next_multiple_of(8) - elf(image).len());
            let at = if image == Image::Changed { end - 1 } else { end - DATA_SIZE - 1 };
            bytes[at] ^= 1;
        }
        Image::Good | Image::Other | Image::Elsewhere => {}
    }
    bytes
}
