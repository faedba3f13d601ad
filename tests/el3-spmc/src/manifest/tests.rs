//! Manifests, good and bad, built token by token.
use super::*;

/// Builds a flattened device tree (version 17) from tokens; enough for a manifest.
#[derive(Default)]
struct Tree {
    structure: std::vec::Vec<u8>,
    strings: std::vec::Vec<u8>,
}

impl Tree {
    fn word(&mut self, value: u32) {
        self.structure.extend(value.to_be_bytes());
    }
    fn padded(&mut self, bytes: &[u8]) {
        self.structure.extend(bytes);
        while !self.structure.len().is_multiple_of(4) {
            self.structure.push(0);
        }
    }
    fn begin(&mut self, name: &str) {
        self.word(1);
        self.padded(&[name.as_bytes(), &[0]].concat());
    }
    fn end(&mut self) {
        self.word(2);
    }
    fn property(&mut self, name: &str, value: &[u8]) {
        let offset = self.strings.len() as u32;
        self.strings.extend([name.as_bytes(), &[0]].concat());
        self.word(3);
        self.word(value.len() as u32);
        self.word(offset);
        self.padded(value);
    }
    fn finish(mut self) -> std::vec::Vec<u8> {
        self.word(9);
        let structure = 40 + 16;
        let strings = structure + self.structure.len();
        let total = strings + self.strings.len();
        let mut blob = std::vec::Vec::new();
        for value in [
            0xd00d_feed,
            total as u32,
            structure as u32,
            strings as u32,
            40,
            17,
            16,
            0,
            self.strings.len() as u32,
            self.structure.len() as u32,
        ] {
            blob.extend(u32::to_be_bytes(value));
        }
        blob.extend([0; 16]);
        blob.extend(self.structure);
        blob.extend(self.strings);
        blob
    }
}

fn cells(values: &[u32]) -> std::vec::Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

type Region3 = (u32, u32, u32);
/// A whole good manifest; `change` replaces (or with `None` removes) root properties by name.
fn manifest(change: &[(&str, Option<std::vec::Vec<u8>>)], regions: &[Region3]) -> std::vec::Vec<u8> {
    manifest_with(change, regions, None)
}

/// The same, with a device whose interrupts are these cells.
fn manifest_with(
    change: &[(&str, Option<std::vec::Vec<u8>>)],
    regions: &[Region3],
    interrupts: Option<&[u8]>,
) -> std::vec::Vec<u8> {
    let mut tree = Tree::default();
    tree.begin("");
    let good: [(&str, std::vec::Vec<u8>); 12] = [
        ("compatible", b"arm,ffa-manifest-1.0\0".to_vec()),
        ("ffa-version", cells(&[0x10002])),
        ("uuid", cells(&[1, 2, 3, 4])),
        ("execution-ctx-count", cells(&[1])),
        ("exception-level", cells(&[2])),
        ("execution-state", cells(&[0])),
        ("load-address", cells(&[0, 0x0e30_0000])),
        ("entrypoint-offset", cells(&[0, 0x4000])),
        ("xlat-granule", cells(&[0])),
        ("messaging-method", cells(&[1])),
        ("ns-interrupts-action", cells(&[0])),
        ("gp-register-num", cells(&[0])),
    ];
    for (name, value) in &good {
        match change.iter().find(|(changed, _)| changed == name) {
            Some((_, Some(value))) => tree.property(name, value),
            Some((_, None)) => {}
            None => tree.property(name, value),
        }
    }
    for (name, value) in change {
        if let Some(value) = value
            && !good.iter().any(|(known, _)| known == name)
        {
            tree.property(name, value);
        }
    }
    tree.begin("boot-info");
    tree.property("compatible", b"arm,ffa-manifest-boot-info\0");
    tree.property("ffa_manifest", &[]);
    tree.end();
    tree.begin("memory-regions");
    tree.property("compatible", b"arm,ffa-manifest-memory-regions\0");
    for (index, (base, pages, attributes)) in regions.iter().enumerate() {
        tree.begin(&format!("region{index}"));
        tree.property("base-address", &cells(&[0, *base]));
        tree.property("pages-count", &cells(&[*pages]));
        tree.property("attributes", &cells(&[*attributes]));
        tree.end();
    }
    tree.end();
    if let Some(interrupts) = interrupts {
        tree.begin("device-regions");
        tree.property("compatible", b"arm,ffa-manifest-device-regions\0");
        tree.begin("device");
        tree.property("base-address", &cells(&[0, 0x0904_0000]));
        tree.property("pages-count", &cells(&[1]));
        tree.property("attributes", &cells(&[3]));
        tree.property("interrupts", interrupts);
        tree.end();
        tree.end();
    }
    tree.end();
    tree.finish()
}

const WINDOW: Region3 = (0x8000_0000, 4096, 0xb);

#[test]
fn a_good_manifest() {
    let decoded = Manifest::decode(&manifest(&[], &[WINDOW]), 1).unwrap();
    assert_eq!(decoded.version, 0x10002);
    assert_eq!(decoded.uuids[..], [[1, 2, 3, 4]]);
    assert_eq!(decoded.load_address, Some(0x0e30_0000));
    assert_eq!(decoded.entry_offset, 0x4000);
    assert_eq!(decoded.boot_register, Some(0));
    assert_eq!(decoded.interrupts, InterruptAction::Queued);
    let signaled = manifest(&[("ns-interrupts-action", Some(cells(&[2])))], &[WINDOW]);
    assert_eq!(Manifest::decode(&signaled, 1).unwrap().interrupts, InterruptAction::Signaled);
    let silent = manifest(&[("ns-interrupts-action", None)], &[WINDOW]);
    assert_eq!(Manifest::decode(&silent, 1).unwrap().interrupts, InterruptAction::Queued);
    assert_eq!(decoded.memory.len(), 1);
    assert_eq!(decoded.memory[0].range, Range { start: 0x8000_0000, end: 0x8100_0000 });
    // One cell is a number too, and what nobody knows is ignored.
    let other =
        manifest(&[("entrypoint-offset", Some(cells(&[0x4000]))), ("surprise", Some(cells(&[1])))], &[]);
    assert_eq!(Manifest::decode(&other, 1).unwrap().entry_offset, 0x4000);
}

#[test]
fn mandatory_properties() {
    for name in [
        "compatible",
        "ffa-version",
        "uuid",
        "execution-ctx-count",
        "exception-level",
        "execution-state",
        "entrypoint-offset",
        "messaging-method",
    ] {
        let error = Manifest::decode(&manifest(&[(name, None)], &[WINDOW]), 1).unwrap_err();
        assert_eq!(error.property, name);
    }
    let error = Manifest::decode(&manifest(&[("gp-register-num", None)], &[WINDOW]), 1).unwrap_err();
    assert_eq!(error.property, "boot-info");
}

#[test]
fn execution_contexts_are_one_or_enough() {
    let decode = |contexts, processors| {
        let blob = manifest(&[("execution-ctx-count", Some(cells(&[contexts])))], &[WINDOW]);
        Manifest::decode(&blob, processors).map(|decoded| decoded.contexts)
    };
    for (contexts, processors) in [(1, 1), (1, 4), (4, 1), (4, 4), (8, 4), (8, 8)] {
        assert_eq!(decode(contexts, processors), Ok(contexts));
    }
    for (contexts, processors) in [(2, 4), (3, 4), (4, 8)] {
        assert_eq!(decode(contexts, processors).unwrap_err().property, "execution-ctx-count");
    }
    assert_eq!(Manifest::decode(&manifest(&[], &[WINDOW]), 1).unwrap().power_messages, 0);
    let told = manifest(&[("power-management-messages", Some(cells(&[1])))], &[WINDOW]);
    assert_eq!(Manifest::decode(&told, 1).unwrap().power_messages, 1);
    assert_eq!(told_of_machines(None).unwrap(), 0);
    for messages in 0..4 {
        assert_eq!(told_of_machines(Some(messages)).unwrap(), messages);
    }
    assert_eq!(told_of_machines(Some(4)).unwrap_err().property, "vm-availability-messages");
}

fn told_of_machines(messages: Option<u32>) -> Result<u32, ManifestError> {
    let blob = match messages {
        Some(messages) => manifest(&[("vm-availability-messages", Some(cells(&[messages])))], &[WINDOW]),
        None => manifest(&[], &[WINDOW]),
    };
    Manifest::decode(&blob, 1).map(|decoded| decoded.machine_messages)
}

#[test]
fn rejected_values() {
    for (name, value) in [
        ("compatible", b"arm,ffa-manifest-1.1\0".to_vec()),
        ("ffa-version", cells(&[0x10003])),
        ("ffa-version", cells(&[0x20000])),
        ("ffa-version", cells(&[1, 2])),
        ("uuid", cells(&[0, 0, 0, 0])),
        ("uuid", cells(&[1, 2, 3])),
        ("uuid", cells(&[1; 20])),
        ("execution-ctx-count", cells(&[0])),
        ("execution-ctx-count", cells(&[9])),
        ("exception-level", cells(&[0])),
        ("exception-level", cells(&[1])),
        ("execution-state", cells(&[1])),
        ("xlat-granule", cells(&[1])),
        ("boot-order", cells(&[0x10000])),
        ("messaging-method", cells(&[0])),
        ("messaging-method", cells(&[0x611])),
        ("ns-interrupts-action", cells(&[1])),
        ("ns-interrupts-action", cells(&[3])),
        ("gp-register-num", cells(&[4])),
    ] {
        let error = Manifest::decode(&manifest(&[(name, Some(value))], &[WINDOW]), 1).unwrap_err();
        assert_eq!(error.property, name);
    }
    let old = manifest(
        &[("ffa-version", Some(cells(&[0x10001]))), ("messaging-method", Some(cells(&[0x201])))],
        &[WINDOW],
    );
    assert_eq!(Manifest::decode(&old, 1).unwrap_err().property, "messaging-method");
}

#[test]
fn rejected_regions() {
    for regions in [
        &[(0x8000_0000, 0, 0xb)][..],
        &[(0x8000_0800, 1, 0xb)],
        &[(0x8000_0000, 1, 0xa)],
        &[(0x8000_0000, 1, 0x1b)],
        &[(0x8000_0000, 1, 0xd)],
        &[(0x8000_0000, 1, 0x3)],
        &[(0x8000_0000, 0x1001, 0xb)],
        &[(0x0e00_0000, 1, 0x3)],
        &[(0x0eb0_0000, 1, 0xb)],
        &[WINDOW, (0x80ff_f000, 1, 0xb)],
        &[(0xffff_f000, u32::MAX, 0xb)],
    ] {
        assert!(Manifest::decode(&manifest(&[], regions), 1).is_err(), "{regions:x?}");
    }
    let nine: std::vec::Vec<Region3> = (0..9).map(|index| (0x8000_0000 + index * 0x1000, 1, 0xb)).collect();
    assert!(Manifest::decode(&manifest(&[], &nine[1..]), 1).is_ok());
    assert!(Manifest::decode(&manifest(&[], &nine), 1).is_err());
}

#[test]
fn interrupts_of_devices() {
    let decode = |interrupts: &[u32]| {
        let blob = manifest_with(&[], &[WINDOW], Some(&cells(interrupts)));
        Manifest::decode(&blob, 1).map(|manifest| manifest.secure_interrupts)
    };
    assert_eq!(decode(&[40, 0x900, 41, 0x9ff]).unwrap(), [40, 41]);
    assert!(!Manifest::decode(&manifest(&[], &[WINDOW]), 1).unwrap().notifications);
    let notifying = manifest(&[("notification-support", Some(cells(&[])))], &[WINDOW]);
    assert!(Manifest::decode(&notifying, 1).unwrap().notifications);
    for wrong in [
        &[40][..],
        &[40, 0x800],
        &[40, 0xb00],
        &[40, 0x500],
        &[40, 0x1900],
        &[31, 0x900],
        &[1020, 0x900],
        &[40, 0x900, 40, 0x900],
    ] {
        assert_eq!(decode(wrong).unwrap_err().property, "device-regions", "{wrong:x?}");
    }
    let nine: std::vec::Vec<u32> = (40..49).flat_map(|id| [id, 0x900]).collect();
    assert!(decode(&nine[..16]).is_ok());
    assert!(decode(&nine).is_err());
}

#[test]
fn broken_blobs_never_panic() {
    let good = manifest_with(&[], &[WINDOW], Some(&cells(&[40, 0x900])));
    for length in 0..good.len() {
        assert!(Manifest::decode(&good[..length], 1).is_err());
    }
    for index in 0..good.len() {
        for bit in [0, 3, 7] {
            let mut blob = good.clone();
            blob[index] ^= 1 << bit;
            // Any answer will do; a panic will not.
            let _ = Manifest::decode(&blob, 1);
        }
    }
}
