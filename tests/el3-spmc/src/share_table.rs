//! The shares that exist: who owns them, who borrowed them.
use heapless::Vec;

use crate::descriptor::{
    ATTRIBUTE_NON_SECURE, Constituent, Entry, Header, Kind, NORMAL_WRITE_BACK, NOT_EXECUTABLE, READ_ONLY,
    READ_WRITE, Response, Share, TYPE_LEND, TYPE_SHARE,
};
use crate::error::{FfaError, Refusal};
use crate::memory_map::Range;
use crate::spmc::is_normal_world;

/// Ranges of all shares together.
const MAXIMUM_RANGES: usize = 16 << 10;
/// Shares at a time, as many as Hafnium has.
pub const MAXIMUM_SHARES: usize = 100;

/// Permissions: the bits of data access.
const DATA_ACCESS: u8 = 0b11;

/// One share or lend.
#[derive(Clone, Debug)]
struct Record {
    handle: u64,
    share: Share,
    /// Index of its first range in the table's list.
    first: usize,
    /// Whether the borrower is told that the memory is non-secure (false only under the fixture's control call).
    non_secure: bool,
    /// Data access that the borrower was granted; `None` while it has not retrieved the memory.
    granted: Option<u8>,
}

const FULL: Refusal = Refusal::new(FfaError::NoMemory, "share-table", "too many shares or ranges");

/// The ranges of a share in the list of all.
fn ranges_of<'r>(ranges: &'r [Constituent], record: &Record) -> &'r [Constituent] {
    ranges.get(record.first..record.first + record.share.range_count()).unwrap_or_default()
}

/// All shares.
#[derive(Debug, Default)]
pub struct ShareTable {
    records: Vec<Record, MAXIMUM_SHARES>,
    /// The ranges of all shares, those of one side by side.
    ranges: Vec<Constituent, MAXIMUM_RANGES>,
    made: u32,
}

impl ShareTable {
    /// An empty table.
    pub const fn new() -> Self {
        Self { records: Vec::new(), ranges: Vec::new(), made: 0 }
    }

    /// Shares that exist now.
    pub fn shared(&self) -> usize {
        self.records.len()
    }

    /// Shares that are retrieved now.
    pub fn retrieved(&self) -> usize {
        self.records.iter().filter(|record| record.granted.is_some()).count()
    }

    /// Ranges of all shares that `receiver` holds now, each with whether it may write there.
    pub fn held(&self, receiver: u16) -> impl Iterator<Item = (Range, bool)> + '_ {
        self.records.iter().filter(move |record| record.share.entry.receiver == receiver).flat_map(|record| {
            let writable = record.granted.map(|data| data == READ_WRITE);
            self.ranges_of(record).iter().filter_map(move |constituent| constituent.range().zip(writable))
        })
    }

    fn ranges_of(&self, record: &Record) -> &[Constituent] {
        ranges_of(&self.ranges, record)
    }

    /// Whether any page of `range` is shared already.
    pub fn overlaps(&self, range: &Range) -> bool {
        self.ranges.iter().filter_map(Constituent::range).any(|other| other.overlaps(range))
    }

    /// Makes a handle. None is ever given out twice, and both of its halves are needed.
    pub fn make_handle(&mut self) -> Result<u64, Refusal> {
        if self.records.is_full() {
            return Err(FULL);
        }
        self.made = self.made.checked_add(1).ok_or(FULL)?;
        // Bit 63 is clear: the SPMC made it (DEN0140, table 1.18).
        Ok((u64::from(self.made) << 32) | 0x5350_0000 | u64::from(self.made & 0xffff))
    }

    /// Adds a share, decoded from `bytes`, under a handle that was made for it.
    pub fn add(&mut self, handle: u64, share: Share, bytes: &[u8], non_secure: bool) -> Result<(), Refusal> {
        let first = self.ranges.len();
        if self.records.is_full() || share.range_count() > MAXIMUM_RANGES - first {
            return Err(FULL);
        }
        self.ranges.extend(share.constituents(bytes));
        self.records.push(Record { handle, share, first, non_secure, granted: None }).map_err(|_| FULL)
    }

    fn find(&mut self, handle: u64) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.handle == handle)
    }

    /// Checks a retrieve request of `caller` against the share, marks it retrieved and returns the response to encode.
    pub fn retrieve(&mut self, caller: u16, header: &Header, entry: &Entry) -> Result<Response<'_>, Refusal> {
        let record =
            self.records.iter_mut().find(|record| record.handle == header.handle).ok_or(
                Refusal::invalid("retrieve-handle", "there is no share with this handle").provoked(),
            )?;
        let share = &record.share;
        if header.sender != share.header.sender {
            // The partition names the client that gave it the handle; that it is another one's is the client's doing.
            let refusal = Refusal::invalid("retrieve-sender", "the sender is not the owner of the memory");
            return Err(if is_normal_world(header.sender) { refusal.provoked() } else { refusal });
        }
        if header.tag != share.header.tag {
            // The partition retrieves with tag 0 or, over door T, with the one that the client names: another one is the client's doing.
            return Err(Refusal::invalid("retrieve-tag", "the tag is not the sender's").provoked());
        }
        if entry.receiver != caller || share.entry.receiver != caller {
            return Err(Refusal::invalid(
                "retrieve-receiver",
                "the receiver is not the caller or not the borrower",
            ));
        }
        if ![0, TYPE_SHARE, TYPE_LEND].contains(&header.flags) {
            return Err(Refusal::invalid(
                "retrieve-flags",
                "flags must be zero or the transaction type SHARE or LEND alone",
            ));
        }
        if header.flags != 0 && header.flags != share.kind.flags() {
            return Err(Refusal::invalid(
                "retrieve-type",
                "the memory was shared and not lent, or lent and not shared",
            )
            .provoked());
        }
        if header.attributes & ATTRIBUTE_NON_SECURE != 0 {
            return Err(Refusal::invalid("retrieve-ns", "the NS bit of a retrieve request must be zero"));
        }
        if header.attributes != 0 && header.attributes != NORMAL_WRITE_BACK {
            return Err(Refusal::invalid(
                "retrieve-attributes",
                "attributes must be not specified or Normal write-back inner shareable",
            ));
        }
        if entry.flags != 0 {
            return Err(Refusal::invalid(
                "retrieve-entry-flags",
                "flags of the endpoint descriptor must be zero",
            ));
        }
        if entry.implementation != share.entry.implementation {
            return Err(Refusal::invalid(
                "retrieve-implementation",
                "implementation defined bytes are not what the sender gave",
            ));
        }
        // The borrower of lent memory says whether it executes it, which it may not with non-secure memory; that of shared memory
        // says nothing.
        let instruction = entry.permissions & !DATA_ACCESS;
        match share.kind {
            Kind::Share if instruction != 0 => {
                return Err(Refusal::invalid(
                    "retrieve-permissions",
                    "instruction access of a share must be not specified",
                ));
            }
            Kind::Lend if instruction == 0 => {
                return Err(Refusal::invalid(
                    "retrieve-lend-instruction",
                    "instruction access of lent memory must be specified",
                ));
            }
            Kind::Lend if instruction != NOT_EXECUTABLE => {
                return Err(Refusal::denied(
                    "retrieve-executable",
                    "memory of the normal world is not executable for a partition",
                ));
            }
            _ => {}
        }
        let data = match entry.permissions & DATA_ACCESS {
            0 => share.entry.permissions,
            READ_ONLY => READ_ONLY,
            READ_WRITE if share.entry.permissions == READ_WRITE => READ_WRITE,
            READ_WRITE => {
                return Err(
                    Refusal::denied("retrieve-more", "more access than the sender granted").provoked()
                );
            }
            _ => {
                return Err(Refusal::invalid("retrieve-permissions", "data access must be one of three"));
            }
        };
        if record.granted.is_some() {
            return Err(Refusal::denied("retrieve-twice", "the share is retrieved already"));
        }
        record.granted = Some(data);
        let non_secure = if record.non_secure { ATTRIBUTE_NON_SECURE } else { 0 };
        let share = &record.share;
        Ok(Response {
            kind: share.kind,
            sender: share.header.sender,
            receiver: caller,
            attributes: NORMAL_WRITE_BACK | non_secure,
            permissions: data | NOT_EXECUTABLE,
            handle: record.handle,
            tag: share.header.tag,
            implementation: share.entry.implementation,
            constituents: ranges_of(&self.ranges, record),
        })
    }

    /// Takes `handle` back from `caller`.
    pub fn relinquish(&mut self, caller: u16, handle: u64) -> Result<(), Refusal> {
        match self.find(handle) {
            Some(record) if record.share.entry.receiver == caller && record.granted.is_some() => {
                record.granted = None;
                Ok(())
            }
            _ => Err(Refusal::invalid("relinquish-handle", "the caller has not retrieved this handle")),
        }
    }

    /// Ends the share `handle` of `owner`.
    pub fn reclaim(&mut self, owner: u16, handle: u64) -> Result<(), Refusal> {
        let index = self
            .records
            .iter()
            .position(|record| record.handle == handle && record.share.header.sender == owner)
            .ok_or(Refusal::invalid("reclaim-handle", "the caller has no share with this handle"))?;
        if self.records[index].granted.is_some() {
            return Err(Refusal::denied("reclaim-retrieved", "the memory is still retrieved"));
        }
        let gone = self.records.swap_remove(index);
        let count = gone.share.range_count();
        self.ranges.copy_within(gone.first + count.., gone.first);
        self.ranges.truncate(self.ranges.len() - count);
        for record in self.records.iter_mut().filter(|record| record.first > gone.first) {
            record.first -= count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::tests::{retrieve_bytes, share_bytes};
    use crate::descriptor::{decode_retrieve_request, decode_share};

    /// A share of one range, and the descriptor it comes from.
    fn share(address: u64, pages: u32) -> (Share, std::vec::Vec<u8>) {
        let bytes = share_bytes(32, &[(address, pages)]);
        (decode_share(&bytes, 32, Kind::Share).unwrap(), bytes)
    }

    fn add(table: &mut ShareTable, (share, bytes): (Share, std::vec::Vec<u8>), non_secure: bool) -> u64 {
        let handle = table.make_handle().unwrap();
        table.add(handle, share, &bytes, non_secure).unwrap();
        handle
    }

    fn request(handle: u64) -> (Header, Entry) {
        decode_retrieve_request(&retrieve_bytes(32, handle), 32).unwrap()
    }

    #[test]
    fn life_of_a_share() {
        let mut table = ShareTable::new();
        let handle = add(&mut table, share(0x4100_0000, 4), true);
        assert!(table.overlaps(&Range::pages(0x4100_3000, 8).unwrap()));
        assert!(!table.overlaps(&Range::pages(0x4100_4000, 8).unwrap()));
        let (header, entry) = request(handle);
        let response = table.retrieve(0x8001, &header, &entry).unwrap();
        assert_eq!((response.attributes, response.permissions), (0x6f, 6));
        assert_eq!(
            table.held(0x8001).collect::<std::vec::Vec<_>>(),
            [(Range::pages(0x4100_0000, 4).unwrap(), true)]
        );
        assert_eq!(table.retrieve(0x8001, &header, &entry).unwrap_err().rule, "retrieve-twice");
        assert_eq!(table.reclaim(0, handle).unwrap_err().error, FfaError::Denied);
        assert_eq!(table.relinquish(0x8002, handle).unwrap_err().rule, "relinquish-handle");
        table.relinquish(0x8001, handle).unwrap();
        assert_eq!(table.relinquish(0x8001, handle).unwrap_err().rule, "relinquish-handle");
        assert_eq!(table.held(0x8001).count(), 0);
        assert_eq!(table.reclaim(1, handle).unwrap_err().rule, "reclaim-handle");
        table.reclaim(0, handle).unwrap();
        assert_eq!(table.reclaim(0, handle).unwrap_err().rule, "reclaim-handle");
        assert_eq!(table.retrieve(0x8001, &header, &entry).unwrap_err().rule, "retrieve-handle");
        assert_ne!(add(&mut table, share(0x4100_0000, 4), true), handle);
    }

    #[test]
    fn each_rule_of_a_retrieve() {
        type Change = fn(&mut Header, &mut Entry);
        let cases: [(&str, Change); 13] = [
            ("retrieve-handle", |header, _| header.handle ^= 1 << 32),
            ("retrieve-sender", |header, _| header.sender = 1),
            ("retrieve-tag", |header, _| header.tag = 1),
            ("retrieve-receiver", |_, entry| entry.receiver = 0x8002),
            ("retrieve-type", |header, _| header.flags = TYPE_LEND),
            ("retrieve-flags", |header, _| header.flags = TYPE_SHARE | 1),
            ("retrieve-ns", |header, _| header.attributes = 0x6f),
            ("retrieve-ns", |header, _| header.attributes = 0x40),
            ("retrieve-attributes", |header, _| header.attributes = 0x27),
            ("retrieve-entry-flags", |_, entry| entry.flags = 1),
            ("retrieve-implementation", |_, entry| entry.implementation[3] = 1),
            ("retrieve-permissions", |_, entry| entry.permissions = 6),
            ("retrieve-permissions", |_, entry| entry.permissions = 3),
        ];
        for (rule, change) in cases {
            let mut table = ShareTable::new();
            let handle = add(&mut table, share(0x4100_0000, 4), true);
            let (mut header, mut entry) = request(handle);
            change(&mut header, &mut entry);
            assert_eq!(table.retrieve(0x8001, &header, &entry).unwrap_err().rule, rule);
            assert_eq!(table.retrieved(), 0);
        }
    }

    #[test]
    fn each_rule_of_lent_memory() {
        for (flags, permissions, rule) in [
            (TYPE_SHARE, 6, "retrieve-type"),
            (TYPE_LEND | 1, 6, "retrieve-flags"),
            (TYPE_LEND, 2, "retrieve-lend-instruction"),
            (TYPE_LEND, 0, "retrieve-lend-instruction"),
            (TYPE_LEND, 10, "retrieve-executable"),
            (TYPE_LEND, 14, "retrieve-executable"),
            (TYPE_LEND, 7, "retrieve-permissions"),
        ] {
            let mut table = ShareTable::new();
            let mut lent = share(0x4100_0000, 4);
            lent.0.kind = Kind::Lend;
            let handle = add(&mut table, lent, true);
            let (mut header, mut entry) = request(handle);
            (header.flags, entry.permissions) = (flags, permissions);
            assert_eq!(
                table.retrieve(0x8001, &header, &entry).unwrap_err().rule,
                rule,
                "{flags} {permissions}"
            );
            (header.flags, entry.permissions) = (0, 6);
            let response = table.retrieve(0x8001, &header, &entry).unwrap();
            assert_eq!((response.kind, response.attributes, response.permissions), (Kind::Lend, 0x6f, 6));
        }
    }

    #[test]
    fn permissions_never_rise() {
        let mut table = ShareTable::new();
        let mut read_only = share(0x4100_0000, 4);
        read_only.0.entry.permissions = READ_ONLY;
        let handle = add(&mut table, read_only, false);
        let (header, mut entry) = request(handle);
        let refusal = table.retrieve(0x8001, &header, &entry).unwrap_err();
        assert_eq!(
            (refusal.error, refusal.rule, refusal.provoked),
            (FfaError::Denied, "retrieve-more", true)
        );
        entry.permissions = 0;
        let response = table.retrieve(0x8001, &header, &entry).unwrap();
        assert_eq!((response.attributes, response.permissions), (0x2f, 5));
        assert!(table.held(0x8001).all(|(_, writable)| !writable));
    }

    #[test]
    fn the_table_has_an_end() {
        let mut table = ShareTable::new();
        for index in 0..MAXIMUM_SHARES as u64 {
            add(&mut table, share(0x4100_0000 + index * 0x1000, 1), true);
        }
        assert_eq!(table.make_handle().unwrap_err().error, FfaError::NoMemory);
    }

    #[test]
    fn ranges_stay_with_their_share_when_another_goes() {
        let mut table = ShareTable::new();
        let pages = |first: u64| {
            let ranges: std::vec::Vec<(u64, u32)> = (0..3).map(|index| (first + index * 0x2000, 1)).collect();
            let bytes = share_bytes(32, &ranges);
            (decode_share(&bytes, 32, Kind::Share).unwrap(), bytes)
        };
        let handles =
            [0x4100_0000, 0x4200_0000, 0x4300_0000].map(|first| add(&mut table, pages(first), true));
        table.reclaim(0, handles[0]).unwrap();
        assert!(!table.overlaps(&Range::pages(0x4100_0000, 16).unwrap()));
        let (header, entry) = request(handles[2]);
        let response = table.retrieve(0x8001, &header, &entry).unwrap();
        assert_eq!(response.constituents.len(), 3);
        assert_eq!(response.constituents[2].address, 0x4300_4000);
        table.reclaim(0, handles[1]).unwrap();
        assert_eq!(table.held(0x8001).count(), 3);
        assert!(table.overlaps(&Range::pages(0x4300_4000, 1).unwrap()));
    }
}
