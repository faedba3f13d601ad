//! Every golden, broken and odd container gets its own answer: the table `tests/vectors/answers.json`, held against what
//! `negative.json` and `edge.json` ask for, and against the reader.
use crate::board::{BOARD, Driver, answer, public_key, vector, vectors};
use remoteproc_image::provider::{CipherKey, TrustedKey};
use remoteproc_image::target::Target;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn table(path: &str) -> Vec<Value> {
    serde_json::from_slice(&vector(path)).unwrap()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} of {row}"))
}

/// What each file is answered.
fn answers() -> BTreeMap<String, (String, String)> {
    let rows = table("answers.json");
    let count = rows.len();
    let answers: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            (text(row, "file").to_owned(), (text(row, "key").to_owned(), text(row, "expect").to_owned()))
        })
        .collect();
    assert_eq!(answers.len(), count, "a file stands in the table twice");
    answers
}

#[test]
fn every_file_has_an_answer() {
    let mut files = BTreeSet::new();
    for directory in ["", "negative/", "edge/"] {
        for entry in std::fs::read_dir(vectors(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".sig") {
                files.insert(format!("{directory}{name}"));
            }
        }
    }
    assert_eq!(files, answers().into_keys().collect());
}

#[test]
fn every_file_is_answered_by_its_own_refusal() {
    for (file, (key, expected)) in answers() {
        let cipher = vector("keys/aes256.bin");
        let target = Target { decryption_key: Some(CipherKey::Bytes(&cipher)), ..BOARD };
        let key = public_key(&key);
        let keys = [TrustedKey::new("test", key.as_key())];
        let result = Driver { target, ..Driver::new(&keys) }.load(&vector(&file));
        assert_eq!(answer(&result), expected, "{file}");
        if let Err(refused) = result
            && !refused.after
        {
            assert_eq!(refused.memory.written, 0, "{file} wrote before its signature had verified");
        }
    }
}

#[test]
fn answers_are_what_a_better_service_should_do() {
    let answers = answers();
    for row in [table("negative.json"), table("edge.json")].concat() {
        let (file, should) = (text(&row, "file"), text(&row, "a_better_service_should"));
        let (_, answer) = &answers[file];
        assert!(should.starts_with("accept") || should.starts_with("reject"), "{file}: {should}");
        assert_eq!(answer == "load", should.starts_with("accept"), "{file}: {answer}, but should {should}");
    }
}
