//! Nodes and properties of the manifest, with errors that name them.
use super::{ManifestError, Ranges};
use dtoolkit::fdt::FdtNode;
use dtoolkit::{FromPropertyValue, Node, Property};
use heapless::Vec;
use remoteproc_service::client_memory::{EndpointId, PhysicalRange};
use remoteproc_service::configuration::MAX_MEMORY_RANGES;

/// A cell is a big-endian word.
const CELL_BYTES: usize = 4;

/// One node, and what to call it in an error.
pub(super) struct Reader<'a> {
    node: FdtNode<'a>,
    name: &'a str,
}

impl<'a> Reader<'a> {
    pub fn new(node: FdtNode<'a>, name: &'a str) -> Self {
        Self { node, name }
    }

    /// What to call it in an error.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The child with this name.
    pub fn child(&self, child: &'static str) -> Result<Self, ManifestError<'a>> {
        self.optional_child(child).ok_or(ManifestError::NodeMissing { parent: self.name, child })
    }

    /// The child with this name, if there is one.
    pub fn optional_child(&self, child: &'static str) -> Option<Self> {
        let found = self.node.children().find(|node| node.name_without_address() == child);
        found.map(|node| Self::new(node, child))
    }

    /// What every child of this node says; at least one, at most `N`.
    pub fn list<T, const N: usize>(
        &self,
        read: impl Fn(&Self) -> Result<T, ManifestError<'a>>,
    ) -> Result<Vec<T, N>, ManifestError<'a>> {
        let mut list = Vec::new();
        for node in self.node.children() {
            let entry = read(&Self::new(node, node.name()))?;
            list.push(entry).map_err(|_| ManifestError::TooMany { node: self.name, limit: N })?;
        }
        if list.is_empty() { Err(ManifestError::Empty(self.name)) } else { Ok(list) }
    }

    pub fn u32(&self, property: &'static str) -> Result<u32, ManifestError<'a>> {
        self.value(property)
    }

    pub fn optional_u32(&self, property: &'static str) -> Result<Option<u32>, ManifestError<'a>> {
        if self.flag(property) { self.value(property).map(Some) } else { Ok(None) }
    }

    pub fn u64(&self, property: &'static str) -> Result<u64, ManifestError<'a>> {
        self.value(property)
    }

    pub fn bytes(&self, property: &'static str) -> Result<&'a [u8], ManifestError<'a>> {
        self.value(property)
    }

    /// Text that can go to the log as it is: printable ASCII, not empty.
    pub fn string(&self, property: &'static str) -> Result<&'a str, ManifestError<'a>> {
        let text: &str = self.value(property)?;
        let printable = !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if printable { Ok(text) } else { Err(self.malformed(property)) }
    }

    /// Tells whether a property is there.
    pub fn flag(&self, property: &'static str) -> bool {
        self.node.property(property).is_some()
    }

    /// A list of physical ranges; none without the property.
    pub fn ranges(&self, property: &'static str) -> Result<Ranges, ManifestError<'a>> {
        let mut ranges = Ranges::new();
        if !self.flag(property) {
            return Ok(ranges);
        }
        for [high, low, size] in self.entries::<3>(property)? {
            let range = PhysicalRange { start: u64::from(high) << 32 | u64::from(low), size: size.into() };
            let limit = MAX_MEMORY_RANGES;
            ranges.push(range).map_err(|_| ManifestError::TooMany { node: property, limit })?;
        }
        Ok(ranges)
    }

    /// A list of entries of so many cells.
    pub fn entries<const CELLS: usize>(
        &self,
        property: &'static str,
    ) -> Result<impl Iterator<Item = [u32; CELLS]> + use<'a, CELLS>, ManifestError<'a>> {
        let (cells, rest) = self.bytes(property)?.as_chunks::<CELL_BYTES>();
        let (entries, incomplete) = cells.as_chunks::<CELLS>();
        if !rest.is_empty() || !incomplete.is_empty() {
            return Err(self.malformed(property));
        }
        Ok(entries.iter().map(|entry| entry.map(u32::from_be_bytes)))
    }

    /// A list of endpoint ids, one cell each; none without the property.
    pub fn endpoints<const N: usize>(
        &self,
        property: &'static str,
    ) -> Result<Vec<EndpointId, N>, ManifestError<'a>> {
        let mut endpoints = Vec::new();
        if !self.flag(property) {
            return Ok(endpoints);
        }
        for [cell] in self.entries::<1>(property)? {
            let id = cell.try_into().map_err(|_| self.malformed(property))?;
            endpoints.push(id).map_err(|_| ManifestError::TooMany { node: property, limit: N })?;
        }
        Ok(endpoints)
    }

    /// The same, where a list that is there and names nobody would be read as no list.
    pub fn some_endpoints<const N: usize>(
        &self,
        property: &'static str,
    ) -> Result<Vec<EndpointId, N>, ManifestError<'a>> {
        let endpoints = self.endpoints(property)?;
        if endpoints.is_empty() && self.flag(property) {
            Err(self.malformed(property))
        } else {
            Ok(endpoints)
        }
    }

    /// A list of at least one physical range.
    pub fn required_ranges(&self, property: &'static str) -> Result<Ranges, ManifestError<'a>> {
        let ranges = self.ranges(property)?;
        if ranges.is_empty() { Err(self.missing(property)) } else { Ok(ranges) }
    }

    pub fn malformed(&self, property: &'static str) -> ManifestError<'a> {
        ManifestError::PropertyMalformed { node: self.name, property }
    }

    fn missing(&self, property: &'static str) -> ManifestError<'a> {
        ManifestError::PropertyMissing { node: self.name, property }
    }

    fn value<T: FromPropertyValue<'a>>(&self, property: &'static str) -> Result<T, ManifestError<'a>> {
        let found = self.node.properties().find(|found| found.name() == property);
        let found = found.ok_or_else(|| self.missing(property))?;
        found.value_as::<T>().map_err(|_| self.malformed(property))
    }
}
