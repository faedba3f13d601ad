//! Door T: what lies in the shared buffer of a service call, requests and answers (`docs/abi.md`).
use crate::door_d::{Answer, DecodeError, LoadArguments, Request};
use zerocopy::little_endian::U64;
use zerocopy::transmute;

/// Bytes of a request.
pub const REQUEST_LENGTH: usize = 32;
/// Bytes of an answer, but GET_PROCESSOR's.
pub const ANSWER_LENGTH: usize = 32;
/// Bytes of the longest answer: GET_PROCESSOR's with [`MAX_REGIONS`].
pub const MAX_ANSWER_LENGTH: usize = ANSWER_LENGTH + NAME_LENGTH + MAX_REGIONS * REGION_LENGTH;
/// Longest chunk of a container, bytes.
pub const MAX_CHUNK_LENGTH: u32 = 4 << 20;
/// Most regions that GET_PROCESSOR tells.
pub const MAX_REGIONS: usize = 8;
/// Bytes of a processor's name.
pub const NAME_LENGTH: usize = 32;
/// Bytes of a region.
const REGION_LENGTH: usize = 24;

/// The part of the container that LOAD_FW finds in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins in the buffer, bytes.
    pub place: u32,
    /// Bytes.
    pub length: u32,
}

impl Chunk {
    /// Reads LOAD_FW's first argument, which over door D is a handle.
    #[must_use]
    pub const fn of_argument(argument: u64) -> Self {
        Self { place: (argument & 0xFFFF_FFFF) as u32, length: (argument >> 32) as u32 }
    }

    /// Returns LOAD_FW's first argument.
    #[must_use]
    pub const fn argument(self) -> u64 {
        (self.length as u64) << 32 | self.place as u64
    }

    /// Tells whether it lies behind the request, in a buffer of this many bytes, and is not longer than it may be.
    #[must_use]
    pub fn fits(self, buffer: u64) -> bool {
        u64::from(self.place) >= REQUEST_LENGTH as u64
            && self.length <= MAX_CHUNK_LENGTH
            && u64::from(self.place).saturating_add(self.length.into()) <= buffer
    }
}

/// Decodes a request: the opcode of the call, and a copy of the buffer's first bytes. LOAD_FW's handle is a [`Chunk::argument`].
///
/// # Errors
/// Says what is wrong. Never panics, whatever the bytes are.
pub fn decode(opcode: u16, body: &[u8; REQUEST_LENGTH]) -> Result<Request, DecodeError> {
    let [target, argument1, argument2, argument3] = decode_values(body);
    let (processor, flags) = (target & 0xFFFF_FFFF, target >> 32);
    let request = Request::decode(&[opcode.into(), processor, argument1, argument2, argument3])?;
    if flags != 0 { Err(DecodeError::ReservedBits) } else { Ok(request) }
}

/// Encodes a request: the opcode of the call, and what goes to the beginning of the buffer. The bytes that LOAD_FW names lie in
/// `chunk`; its handle has no meaning here. `None`: it has a flag that this door does not have.
#[must_use]
pub fn encode(request: &Request, chunk: Chunk) -> Option<(u16, [u8; REQUEST_LENGTH])> {
    let request = match *request {
        Request::Load { processor, arguments } => {
            Request::Load { processor, arguments: LoadArguments { handle: chunk.argument(), ..arguments } }
        }
        other => other,
    };
    let [first, target, argument1, argument2, argument3] = request.encode();
    let opcode = u16::try_from(first).ok()?;
    Some((opcode, transmute!([target, argument1, argument2, argument3].map(U64::new))))
}

/// Encodes the values of an answer.
#[must_use]
pub fn encode_values(answer: &Answer) -> [u8; ANSWER_LENGTH] {
    transmute!(answer.values.map(U64::new))
}

/// Decodes the values of an answer.
#[must_use]
pub fn decode_values(bytes: &[u8; ANSWER_LENGTH]) -> [u64; 4] {
    let words: [U64; 4] = transmute!(*bytes);
    words.map(U64::get)
}

/// One region of a processor's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Where the processor sees it: device address.
    pub device_address: u32,
    /// Bytes.
    pub size: u32,
    /// Physical address.
    pub physical_address: u64,
    /// The normal world may use it, too, once firmware is loaded.
    pub shared: bool,
}

impl Region {
    fn encode(self) -> [u8; REGION_LENGTH] {
        let first = u64::from(self.size) << 32 | u64::from(self.device_address);
        transmute!([first, self.physical_address, self.shared.into()].map(U64::new))
    }

    fn decode(bytes: &[u8; REGION_LENGTH]) -> Option<Self> {
        let words: [U64; 3] = transmute!(*bytes);
        let [first, physical_address, access] = words.map(U64::get);
        let shared = match access {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (device_address, size) = ((first & 0xFFFF_FFFF) as u32, (first >> 32) as u32);
        Some(Self { device_address, size, physical_address, shared })
    }
}

/// What GET_PROCESSOR tells behind its values: the processor's name and its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Details {
    name: [u8; NAME_LENGTH],
    regions: [Region; MAX_REGIONS],
    count: usize,
}

impl Details {
    /// Makes them. A name that is too long is cut off between two characters; regions beyond [`MAX_REGIONS`] are left out.
    #[must_use]
    pub fn new(name: &str, all: impl Iterator<Item = Region>) -> Self {
        let mut details =
            Self { name: [0; NAME_LENGTH], regions: [Region::default(); MAX_REGIONS], count: 0 };
        let ends = name.char_indices().map(|(start, character)| start.saturating_add(character.len_utf8()));
        let end = ends.take_while(|end| *end <= NAME_LENGTH).last().unwrap_or(0);
        for (place, byte) in details.name.iter_mut().zip(name.bytes().take(end)) {
            *place = byte;
        }
        for (place, region) in details.regions.iter_mut().zip(all) {
            *place = region;
            details.count = details.count.saturating_add(1);
        }
        details
    }

    /// Returns the name; what is no UTF-8 in it is cut off.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.name.split(|byte| *byte == 0).next().unwrap_or_default();
        let valid = name.utf8_chunks().next();
        valid.map_or("", |chunk| chunk.valid())
    }

    /// Returns the regions.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        self.regions.get(..self.count).unwrap_or_default()
    }

    /// Writes an answer to GET_PROCESSOR, values and all. Returns its length, bytes.
    pub fn encode(&self, answer: &Answer, into: &mut [u8; MAX_ANSWER_LENGTH]) -> usize {
        let (places, _) = into.as_chunks_mut::<ANSWER_LENGTH>();
        for (place, front) in places.iter_mut().zip([encode_values(answer), self.name]) {
            *place = front;
        }
        let mut length = ANSWER_LENGTH + NAME_LENGTH;
        let (places, _) = into.split_at_mut(length).1.as_chunks_mut();
        for (place, region) in places.iter_mut().zip(self.regions()) {
            *place = region.encode();
            length = length.saturating_add(REGION_LENGTH);
        }
        length
    }

    /// Reads what follows the values of an answer to GET_PROCESSOR. `None`: a length or a value that the ABI does not have.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (name, rest) = bytes.split_first_chunk::<NAME_LENGTH>()?;
        let (all, surplus) = rest.as_chunks::<REGION_LENGTH>();
        if !surplus.is_empty() || all.len() > MAX_REGIONS {
            return None;
        }
        let mut details = Self { name: *name, regions: [Region::default(); MAX_REGIONS], count: all.len() };
        for (place, bytes) in details.regions.iter_mut().zip(all) {
            *place = Region::decode(bytes)?;
        }
        Some(details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::door_d::StopMode;
    use crate::result::TeeResult;
    use proptest::prelude::*;

    const CHUNK: Chunk = Chunk { place: 0x1000, length: 0x40_0000 };
    const LOAD: Request = Request::Load {
        processor: 7,
        arguments: LoadArguments {
            handle: 0x0040_0000_0000_1000,
            total: 0x0102_0304_0506_0708,
            offset: 0x1112_1314_1516_1718,
            lent: false,
            one_call: false,
        },
    };

    /// Golden bytes, as docs/abi.md fixes them.
    #[test]
    fn golden_requests() {
        #[rustfmt::skip]
        let load = [
            7, 0, 0, 0, 0, 0, 0, 0,
            0x00, 0x10, 0, 0, 0, 0, 0x40, 0,
            8, 7, 6, 5, 4, 3, 2, 1,
            0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,
        ];
        assert_eq!(encode(&LOAD, CHUNK), Some((1, load)));
        assert_eq!(decode(1, &load), Ok(LOAD));
        assert_eq!(Chunk::of_argument(0x0040_0000_0000_1000), CHUNK);

        let stop = Request::Stop { processor: 1, mode: StopMode::Graceful { milliseconds: 0x0203 } };
        #[rustfmt::skip]
        let body = [
            1, 0, 0, 0, 0, 0, 0, 0,
            1, 0, 0, 0, 0, 0, 0, 0,
            3, 2, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(encode(&stop, CHUNK), Some((3, body)));
        assert_eq!(decode(3, &body), Ok(stop));
    }

    /// Golden bytes, as docs/abi.md fixes them.
    #[test]
    fn golden_answers() {
        let answer = Answer::with(TeeResult::Success, [0x0102_0304_0506_0708, 2, 3, 1 << 63]);
        #[rustfmt::skip]
        let values = [
            8, 7, 6, 5, 4, 3, 2, 1,
            2, 0, 0, 0, 0, 0, 0, 0,
            3, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0x80,
        ];
        assert_eq!(encode_values(&answer), values);
        assert_eq!(decode_values(&values), answer.values);

        let region = Region {
            device_address: 0x1002_0000,
            size: 0x4_0000,
            physical_address: 0x1_80c3_0000,
            shared: true,
        };
        let details = Details::new("m4", [region].into_iter());
        let mut all = [0xEE; MAX_ANSWER_LENGTH];
        assert_eq!(details.encode(&answer, &mut all), 88);
        assert_eq!(all[..32], values);
        assert_eq!(all[32..64], *b"m4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        #[rustfmt::skip]
        let golden = [
            0, 0, 2, 0x10,
            0, 0, 4, 0,
            0, 0, 0xc3, 0x80, 1, 0, 0, 0,
            1, 0, 0, 0,
            0, 0, 0, 0,
        ];
        assert_eq!(all[64..88], golden);
        assert_eq!(all[88..], [0xEE; MAX_ANSWER_LENGTH - 88]);
        assert_eq!(Details::decode(&all[32..88]), Some(details));
        assert_eq!((details.name(), details.regions()), ("m4", &[region][..]));
    }

    #[test]
    fn what_is_not_defined_is_refused() {
        let mut body = [0; REQUEST_LENGTH];
        assert_eq!(decode(2, &body), Ok(Request::Start { processor: 0 }));
        assert_eq!(decode(0x99, &body), Err(DecodeError::UnknownCommand(0x99)));
        for flags in 4..8 {
            body[flags] = 1;
            for opcode in [1, 2, 0x10, 0x13] {
                assert_eq!(decode(opcode, &body), Err(DecodeError::ReservedBits), "{flags} of {opcode:#x}");
            }
            body[flags] = 0;
        }
        body[8] = 2;
        assert_eq!(decode(3, &body), Err(DecodeError::BadArgument));
        // Flags of door D that this door does not have.
        let Request::Load { processor, arguments } = LOAD else { unreachable!() };
        for arguments in
            [LoadArguments { lent: true, ..arguments }, LoadArguments { one_call: true, ..arguments }]
        {
            assert_eq!(encode(&Request::Load { processor, arguments }, CHUNK), None);
        }
    }

    #[test]
    fn chunks_lie_behind_the_request_in_the_buffer() {
        for (place, length, buffer, fits) in [
            (32, 4064, 4096, true),
            (31, 1, 4096, false),
            (32, 4065, 4096, false),
            (0, 0, 4096, false),
            (4096, 0, 4096, true),
            (4097, 0, 4096, false),
            (4096, 4 << 20, u64::MAX, true),
            (4096, (4 << 20) + 1, u64::MAX, false),
            (u32::MAX, 4 << 20, 0x1_0000_0000, false),
            (u32::MAX, u32::MAX, u64::MAX, false),
        ] {
            assert_eq!(Chunk { place, length }.fits(buffer), fits, "{place} {length} {buffer}");
        }
    }

    #[test]
    fn names_are_cut_between_characters() {
        let long = "ein Prozessor mit langem Namen üü";
        let details = Details::new(long, [].into_iter());
        assert_eq!(details.name(), &long[..31]);
        let full = "0123456789abcdef0123456789abcdef";
        assert_eq!(Details::new(full, [].into_iter()).name(), full);
        assert_eq!(Details::new("", [].into_iter()).name(), "");
        let many = [Region { size: 1, ..Region::default() }; 9];
        assert_eq!(Details::new("m", many.into_iter()).regions().len(), 8);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic_and_requests_come_back(opcode in 0u16..0x20, body: [u8; 32], quiet: bool) {
            let mut body = body;
            if quiet {
                body[4..8].fill(0);
            }
            if let Ok(request) = decode(opcode, &body) {
                let chunk = match request {
                    Request::Load { arguments, .. } => Chunk::of_argument(arguments.handle),
                    _ => Chunk { place: 0, length: 0 },
                };
                let (id, again) = encode(&request, chunk).expect("it has no flags");
                prop_assert_eq!(id, opcode);
                prop_assert_eq!(decode(id, &again), Ok(request));
            }
        }

        #[test]
        fn any_details_are_read_without_panic(bytes: Vec<u8>) {
            if let Some(details) = Details::decode(&bytes) {
                let mut all = [0; MAX_ANSWER_LENGTH];
                let length = details.encode(&Answer::of(TeeResult::Success), &mut all);
                prop_assert_eq!(length, bytes.len() + ANSWER_LENGTH);
                let _ = (details.name(), details.regions());
            }
        }

        #[test]
        fn details_come_back(name in "\\PC{0,40}", raw: Vec<(u32, u32, u64, bool)>) {
            let regions: Vec<Region> = raw
                .into_iter()
                .take(MAX_REGIONS)
                .map(|(device_address, size, physical_address, shared)| Region { device_address, size, physical_address, shared })
                .collect();
            let details = Details::new(&name, regions.iter().copied());
            let mut all = [0; MAX_ANSWER_LENGTH];
            let length = details.encode(&Answer::of(TeeResult::Success), &mut all);
            let again = Details::decode(&all[ANSWER_LENGTH..length]);
            prop_assert_eq!(again, Some(details));
            prop_assert_eq!(details.regions(), &regions[..]);
            prop_assert!(name.starts_with(details.name()));
        }
    }

    #[test]
    fn every_command_has_an_opcode() {
        for opcode in 0..=u16::MAX {
            if Command::try_from(opcode).is_ok() {
                assert!(decode(opcode, &[0; REQUEST_LENGTH]).is_ok(), "{opcode:#x}");
            }
        }
    }
}
