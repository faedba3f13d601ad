//! What the fuzz targets begin with, made from the test vectors: each target wants its inputs in a form of its own.
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a container's header.
const HEADER: usize = 20;

/// Writes the seeds of every target into a folder of its name.
pub fn write(vectors: &Path, into: &Path) -> Result<()> {
    let mut containers = files(vectors, "sig")?;
    containers.extend(files(&vectors.join("edge"), "sig")?);
    containers.extend(files(&vectors.join("negative"), "sig")?);
    let elf_files = files(&vectors.join("elf"), "elf")?;
    anyhow::ensure!(!containers.is_empty() && !elf_files.is_empty(), "no vectors in {}", vectors.display());

    let mut writer = Writer { into };
    for path in &containers {
        let container = fs::read(path)?;
        writer.seed("container", path, &container)?;
        if let Some((tlv_area, images)) = parts(&container)
            && let Ok(length) = u16::try_from(tlv_area.len())
        {
            writer.seed("plan", path, &[&length.to_le_bytes(), tlv_area, images].concat())?;
        }
    }
    for path in &elf_files {
        let elf = fs::read(path)?;
        // Nothing is changed behind the signature.
        writer.seed("elf", path, &[&[0; 3], elf.as_slice()].concat())?;
        writer.seed("decrypt", path, &[&[0; 4], elf.as_slice()].concat())?;
        if let Some(table) = resource_table(&elf)? {
            writer.seed("resource_table", path, &table)?;
        }
    }
    Ok(())
}

struct Writer<'a> {
    into: &'a Path,
}

impl Writer<'_> {
    fn seed(&mut self, target: &str, source: &Path, bytes: &[u8]) -> Result<()> {
        let folder = self.into.join(target);
        fs::create_dir_all(&folder)?;
        let name = source.file_name().context("a vector without a name")?;
        fs::write(folder.join(name), bytes).with_context(|| format!("cannot write into {}", folder.display()))
    }
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// TLV area and images of a container whose header tells the truth.
fn parts(container: &[u8]) -> Option<(&[u8], &[u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(container.get(at..at + 4)?.try_into().ok()?) as usize);
    let (tlv_length, signature_length) = (word(8)?, word(12)?);
    let tlv_area = container.get(HEADER..)?.get(..tlv_length)?;
    let images = HEADER + tlv_length.checked_next_multiple_of(8)?;
    let images = images.checked_add(signature_length.checked_next_multiple_of(8)?)?;
    Some((tlv_area, container.get(images..)?))
}

/// The bytes of `.resource_table`, if there are any.
fn resource_table(elf: &[u8]) -> Result<Option<Vec<u8>>> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(elf)?;
    let Some(section) = file.section_by_name(".resource_table") else { return Ok(None) };
    Ok(Some(section.data()?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_gets_seeds() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folder = std::env::temp_dir().join(format!("remoteproc-seeds-{}", std::process::id()));
        write(&root.join("tests/vectors"), &folder).unwrap();
        let targets = files(&root.join("fuzz/fuzz_targets"), "rs").unwrap();
        for target in &targets {
            let seeds = fs::read_dir(folder.join(target.file_stem().unwrap())).unwrap().count();
            assert!(seeds > 0, "{}", target.display());
        }
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(targets.len(), 5);
    }

    #[test]
    fn a_container_falls_into_its_parts() {
        let mut container = vec![0; HEADER];
        container[8] = 5;
        container[12] = 3;
        container.extend([1; 8]);
        container.extend([2; 8]);
        container.extend([3; 16]);
        assert_eq!(parts(&container), Some((&[1; 5][..], &[3; 16][..])));
        container[8] = 0xFF;
        assert_eq!(parts(&container), None);
        assert_eq!(parts(&[0; 11]), None);
    }
}
