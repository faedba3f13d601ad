//! GET_MEASUREMENTS (`docs/abi.md`): what was loaded since boot, read in parts of four registers; and the bytes that the chain is
//! made of.
use crate::door_d::Answer;
use crate::result::TeeResult;
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// Entries that are kept.
pub const KEPT: usize = 64;

/// Bytes of an entry, as the chain's digest takes it in.
pub const ENTRY_SIZE: usize = 72;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromPrimitive, IntoPrimitive)]
#[repr(u32)]
pub enum Part {
    /// How many loads there were, and which are kept.
    Summary = 0,
    /// The chain's digest over all loads.
    Chain = 1,
    /// The chain's digest over the loads that are not kept any more; zeros while all are.
    Base = 2,
    /// Of an entry: SHA-256 over what its signature covers.
    Signed = 3,
    /// Of an entry: the id of the key that signed it.
    Signer = 4,
    /// Of an entry: the processor, and the image's security counter.
    Load = 5,
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The part.
    pub part: Part,
    /// Of which entry: loads are counted from 0, from boot on. The first three parts ignore it.
    pub entry: u64,
}

/// The answer to [`Part::Summary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Loads since boot.
    pub count: u64,
    /// The first one that is kept; `count` if none is.
    pub first: u64,
}

/// One load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// SHA-256 over what the signature covers: header and TLVs with their pad.
    pub signed: [u8; 32],
    /// Id of the key that signed: SHA-256 over its DER SubjectPublicKeyInfo.
    pub signer: [u8; 32],
    /// The processor's id.
    pub processor: u32,
    /// The image's security counter; 0 if it has none.
    pub security_counter: u32,
}

impl Entry {
    /// All zeros.
    pub const EMPTY: Self = Self { signed: [0; 32], signer: [0; 32], processor: 0, security_counter: 0 };

    /// Returns the bytes that the chain takes in: the next digest is SHA-256 over the one before and these.
    #[must_use]
    pub fn bytes(&self) -> [u8; ENTRY_SIZE] {
        let Self { signed, signer, processor, security_counter } = self;
        let (processor, counter) = (processor.to_le_bytes(), security_counter.to_le_bytes());
        let mut bytes = [0; ENTRY_SIZE];
        let all = signed.iter().chain(signer).chain(&processor).chain(&counter);
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Makes the answer to a part of this entry; `None` for parts that are not of an entry.
    #[must_use]
    pub fn answer(&self, part: Part) -> Option<Answer> {
        match part {
            Part::Signed => Some(digest_answer(&self.signed)),
            Part::Signer => Some(digest_answer(&self.signer)),
            Part::Load => {
                let values = [self.processor.into(), self.security_counter.into(), 0, 0];
                Some(Answer::with(TeeResult::Success, values))
            }
            Part::Summary | Part::Chain | Part::Base => None,
        }
    }

    /// Puts an entry together from the answers to [`Part::Signed`], [`Part::Signer`] and [`Part::Load`]; `None`: a value is out of
    /// its width.
    #[must_use]
    pub fn of(signed: &Answer, signer: &Answer, load: &Answer) -> Option<Self> {
        let [processor, counter, ..] = load.values;
        Some(Self {
            signed: digest_of(signed),
            signer: digest_of(signer),
            processor: u32::try_from(processor).ok()?,
            security_counter: u32::try_from(counter).ok()?,
        })
    }
}

impl Summary {
    /// Makes the answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer::with(TeeResult::Success, [self.count, self.first, 0, 0])
    }

    /// Reads the values of an answer.
    #[must_use]
    pub const fn of(answer: &Answer) -> Self {
        let [count, first, ..] = answer.values;
        Self { count, first }
    }
}

/// Makes the answer that is a digest: eight bytes a value, the first byte lowest.
#[must_use]
pub fn digest_answer(digest: &[u8; 32]) -> Answer {
    let mut values = [0; 4];
    let (words, _) = digest.as_chunks::<8>();
    values.iter_mut().zip(words).for_each(|(value, word)| *value = u64::from_le_bytes(*word));
    Answer::with(TeeResult::Success, values)
}

/// Reads a digest out of an answer.
#[must_use]
pub fn digest_of(answer: &Answer) -> [u8; 32] {
    let mut digest = [0; 32];
    let (words, _) = digest.as_chunks_mut::<8>();
    words.iter_mut().zip(answer.values).for_each(|(word, value)| *word = value.to_le_bytes());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door_d::{DecodeError, Request};
    use proptest::prelude::*;

    fn counting_from(first: u8) -> [u8; 32] {
        core::array::from_fn(|index| first + index as u8)
    }

    /// Golden values, as docs/abi.md fixes them.
    #[test]
    fn golden() {
        let question = Question { part: Part::Load, entry: 0x1_0000_0007 };
        let request = Request::GetMeasurements(question);
        assert_eq!(request.encode(), [0x14, 5, 0x1_0000_0007, 0, 0]);
        assert_eq!(Request::decode(&[0x14, 5, 0x1_0000_0007, 9, 9]), Ok(request));
        assert_eq!(Request::decode(&[0x14, 6, 0, 0, 0]), Err(DecodeError::BadArgument));

        let summary = Summary { count: 70, first: 6 };
        assert_eq!(summary.answer().encode(), [0, 70, 6, 0, 0]);
        assert_eq!(Summary::of(&summary.answer()), summary);

        let entry = Entry {
            signed: counting_from(0),
            signer: counting_from(0x20),
            processor: 0x0403_0201,
            security_counter: 0x0807_0605,
        };
        let [signed, signer, load] =
            [Part::Signed, Part::Signer, Part::Load].map(|part| entry.answer(part).unwrap());
        let words =
            [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908, 0x1716_1514_1312_1110, 0x1f1e_1d1c_1b1a_1918];
        assert_eq!(signed.encode(), [0, words[0], words[1], words[2], words[3]]);
        assert_eq!(load.encode(), [0, 0x0403_0201, 0x0807_0605, 0, 0]);
        assert_eq!(Entry::of(&signed, &signer, &load), Some(entry));
        let bytes = entry.bytes();
        assert!(bytes[..64].iter().enumerate().all(|(index, byte)| usize::from(*byte) == index));
        assert_eq!(bytes[64..], [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    proptest! {
        #[test]
        fn any_values_are_read_without_panic(values: [u64; 4]) {
            let answer = Answer { result: 0, values };
            prop_assert_eq!(digest_answer(&digest_of(&answer)), answer);
            let _ = Entry::of(&answer, &answer, &answer);
        }
    }
}
