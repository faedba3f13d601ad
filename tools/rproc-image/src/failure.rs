//! How a command ends: its report, or why there is none.
use remoteproc_image::reader::Rejection;
use remoteproc_image::write::WriteError;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

/// What a command has to say when all went well.
pub struct Report {
    /// For people; ends with a newline.
    pub text: String,
    /// For machines.
    pub json: Value,
}

/// Something was looked at and refused.
#[derive(Debug)]
pub struct Refused {
    /// Which file.
    pub file: String,
    /// Number, name and place, where the refusal is one of the catalogue.
    pub rejection: Option<Rejection>,
    /// What is wrong and what to do, in a sentence.
    pub sentence: String,
    /// What the file seems to be instead, or other help.
    pub hint: Option<String>,
}

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// A wrong command line, or a file that can't be read or written.
    Trouble(anyhow::Error),
    /// Something was refused.
    Refused(Box<Refused>),
}

impl Failure {
    /// A file refused for a reason of the catalogue.
    pub fn rejected(file: &Path, rejection: Rejection, hint: Option<String>) -> Self {
        let sentence = rejection.refusal.sentence().to_owned();
        Self::refused(file, Some(rejection), sentence, hint)
    }

    /// A file refused for a reason of its own.
    pub fn refused(
        file: &Path,
        rejection: Option<Rejection>,
        sentence: String,
        hint: Option<String>,
    ) -> Self {
        let file = file.display().to_string();
        Self::Refused(Box::new(Refused { file, rejection, sentence, hint }))
    }

    /// The process's exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Trouble(_) => 1,
            Self::Refused(_) => 3,
        }
    }

    /// For machines.
    pub fn json(&self) -> Value {
        match self {
            Self::Trouble(error) => json!({ "result": "failed", "error": format!("{error:#}") }),
            Self::Refused(refused) => json!({
                "result": "refused",
                "file": refused.file,
                "number": refused.rejection.map(|rejection| format!("{:#06x}", rejection.refusal.number())),
                "name": refused.rejection.map(|rejection| rejection.refusal.name()),
                "offset": refused.rejection.and_then(|rejection| rejection.offset),
                "sentence": refused.sentence,
                "hint": refused.hint,
            }),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(error) => writeln!(formatter, "error: {error:#}"),
            Self::Refused(refused) => {
                write!(formatter, "{}: refused", refused.file)?;
                if let Some(rejection) = refused.rejection {
                    write!(formatter, ": {}", rejection.refusal)?;
                    if let Some(offset) = rejection.offset {
                        write!(formatter, " at offset {offset} ({offset:#x})")?;
                    }
                }
                writeln!(formatter, "\n  {}", refused.sentence)?;
                if let Some(hint) = &refused.hint {
                    writeln!(formatter, "  {hint}")?;
                }
                Ok(())
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Trouble(error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::Trouble(error.into())
    }
}
