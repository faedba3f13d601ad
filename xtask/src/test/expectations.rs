//! The list of signed containers and what has to happen to each: tests/vectors/answers.json.
use anyhow::{Context, Result, bail};
use remoteproc_refusal::Refusal;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Files that are no container of this list's kind are in none of these.
const DIRECTORIES: [&str; 3] = ["", "negative/", "edge/"];

/// One container.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Answer {
    /// Path below tests/vectors.
    pub file: String,
    /// Name of the key to trust: `keys/NAME.pub.pem`.
    pub key: String,
    /// `load`, `before:REFUSAL` or `after:REFUSAL`, before or after the signature was verified.
    pub expect: String,
}

/// Reads the list, checked against the files that are there, grouped by key.
pub fn read(vectors: &Path) -> Result<BTreeMap<String, Vec<Answer>>> {
    let path = vectors.join("answers.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let answers = parse(&text).with_context(|| format!("in {}", path.display()))?;
    for directory in DIRECTORIES {
        for entry in std::fs::read_dir(vectors.join(directory))? {
            let name = format!("{directory}{}", entry?.file_name().to_string_lossy());
            if name.ends_with(".sig") && !answers.iter().any(|answer| answer.file == name) {
                bail!("{name} has no answer");
            }
        }
    }
    let mut groups: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
    for answer in answers {
        groups.entry(answer.key.clone()).or_default().push(answer);
    }
    Ok(groups)
}

fn parse(text: &str) -> Result<Vec<Answer>> {
    let answers: Vec<Answer> = serde_json::from_str(text)?;
    for answer in &answers {
        check(&answer.expect).with_context(|| answer.file.clone())?;
    }
    Ok(answers)
}

/// An answer names a refusal of the catalogue, or a misspelled one would look like a defect of the partition.
fn check(expect: &str) -> Result<()> {
    let name = match expect.split_once(':') {
        None if expect == "load" => return Ok(()),
        Some(("before" | "after", name)) => name,
        _ => bail!("{expect:?} is neither load nor before:REFUSAL nor after:REFUSAL"),
    };
    if !Refusal::ALL.iter().any(|refusal| refusal.name() == name) {
        bail!("no refusal is called {name}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_checked() {
        assert!(check("load").is_ok());
        assert!(check("before:BAD_MAGIC").is_ok());
        assert!(check("after:SEGMENT_HASH_MISMATCH").is_ok());
        for bad in ["", "loads", "before:", "during:BAD_MAGIC", "before:NO_SUCH_REFUSAL"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_with_a_wrong_answer_is_refused() {
        let list =
            |expect: &str| format!(r#"[{{"file": "a", "key": "k", "expect": "{expect}", "note": "x"}}]"#);
        assert!(parse(&list("load")).is_ok());
        assert!(parse(&list("after:NOTHING")).is_err());
        assert!(parse(r#"[{"file": "a", "key": "k"}]"#).is_err());
    }

    #[test]
    fn the_list_is_complete() {
        let groups = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")).unwrap();
        assert!(groups.values().flatten().any(|answer| answer.expect == "load"));
        assert!(groups.values().flatten().any(|answer| answer.expect.starts_with("after:")));
    }
}
