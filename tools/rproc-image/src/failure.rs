//! How a command ends: its report, or why there is none.
use remoteproc_image::reader::Rejection;
use remoteproc_image::write::WriteError;
use remoteproc_refusal::Refusal;
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
    /// Number and name in the catalogue, and the place.
    pub rejection: Rejection,
    /// What exactly is wrong, what the file seems to be instead, or other help.
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
    /// A file that the reader refused.
    pub fn rejected(file: &Path, rejection: Rejection, hint: Option<String>) -> Self {
        let file = file.display().to_string();
        Self::Refused(Box::new(Refused { file, rejection, hint }))
    }

    /// A file that the tool itself refuses.
    pub fn refused(file: &Path, refusal: Refusal, hint: Option<String>) -> Self {
        Self::rejected(file, Rejection { refusal, offset: None }, hint)
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
                "number": format!("{:#06x}", refused.rejection.refusal.number()),
                "name": refused.rejection.refusal.name(),
                "offset": refused.rejection.offset,
                "sentence": refused.rejection.refusal.sentence(),
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
                let Rejection { refusal, offset } = refused.rejection;
                write!(formatter, "{}: refused: {refusal}", refused.file)?;
                if let Some(offset) = offset {
                    write!(formatter, " at offset {offset} ({offset:#x})")?;
                }
                writeln!(formatter, "\n  {}", refusal.sentence())?;
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
