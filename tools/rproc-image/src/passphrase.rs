//! Where the passphrase of an encrypted key comes from: option, file, environment or prompt, in this order.
use crate::cli::PassphraseArguments;
use crate::files;
use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use zeroize::Zeroizing;

/// The environment variable.
pub const VARIABLE: &str = "RPROC_IMAGE_KEY_PWD";

/// The passphrase that was given, if one was.
fn given(arguments: &PassphraseArguments) -> Result<Option<Zeroizing<Vec<u8>>>> {
    if let Some(passphrase) = &arguments.key_pwd {
        return Ok(Some(Zeroizing::new(passphrase.clone().into_bytes())));
    }
    if let Some(path) = &arguments.key_pwd_file {
        let mut bytes = Zeroizing::new(files::read(path)?);
        // The first line: editors end it with a newline that is not meant.
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len());
        bytes.truncate(end);
        return Ok(Some(bytes));
    }
    let variable = std::env::var(VARIABLE).ok();
    Ok(variable.map(|passphrase| Zeroizing::new(passphrase.into_bytes())))
}

/// Asks on the terminal.
fn ask(prompt: &str) -> Result<Zeroizing<Vec<u8>>> {
    let passphrase = rpassword::prompt_password(prompt).context("cannot ask for the passphrase")?;
    Ok(Zeroizing::new(passphrase.into_bytes()))
}

/// The passphrase that opens a key file.
pub fn to_open(arguments: &PassphraseArguments, file: &str) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(passphrase) = given(arguments)? {
        return Ok(passphrase);
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "{file} is encrypted: give its passphrase with --key-pwd-file FILE, in the environment variable \
             {VARIABLE}, or at a terminal"
        );
    }
    ask(&format!("Passphrase of {file}: "))
}

/// The passphrase for a new key file.
pub fn for_new(arguments: &PassphraseArguments, file: &str) -> Result<Zeroizing<Vec<u8>>> {
    let passphrase = match given(arguments)? {
        Some(passphrase) => passphrase,
        None if std::io::stdin().is_terminal() => {
            let passphrase = ask(&format!("Passphrase for {file}: "))?;
            if ask("The same again: ")? != passphrase {
                bail!("the two passphrases differ");
            }
            passphrase
        }
        None => bail!(
            "--encrypt needs a passphrase: give it with --key-pwd-file FILE, in the environment variable {VARIABLE}, \
             or at a terminal"
        ),
    };
    if passphrase.is_empty() {
        bail!("the passphrase is empty");
    }
    Ok(passphrase)
}
