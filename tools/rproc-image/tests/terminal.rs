//! Passphrases typed at a terminal: the real program on a pseudo-terminal, which `script` of util-linux makes.
mod support;

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Answer, Scratch, pem, run_or_skip, vector};

const TESTS: [(&str, fn()); 7] = [
    ("the_right_passphrase_opens_a_key", right),
    ("a_wrong_passphrase_opens_none", wrong),
    ("an_answer_for_a_machine_has_no_prompt_in_it", for_a_machine),
    ("keygen_takes_a_passphrase_typed_twice", twice),
    ("keygen_refuses_two_different_passphrases", different),
    ("keygen_refuses_an_empty_passphrase", empty),
    ("other_ways_come_before_the_prompt", other_ways),
];

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let missing = match Command::new("script").arg("--version").output() {
        Err(error) => Some(format!("the command script can't be run: {error}")),
        Ok(output) if !String::from_utf8_lossy(&output.stdout).contains("util-linux") => {
            Some("the command script is not that of util-linux".into())
        }
        Ok(_) => None,
    };
    run_or_skip("terminal", &TESTS, missing)
}

/// The program at a terminal.
struct Terminal<'a> {
    scratch: &'a Scratch,
    script: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
}

impl<'a> Terminal<'a> {
    /// Starts the tool; `more` goes behind the arguments: a redirection.
    fn run(scratch: &'a Scratch, line: &str, more: &str) -> Self {
        let _ = std::fs::remove_file(scratch.path("tty"));
        let program = env!("CARGO_BIN_EXE_rproc-image");
        let command = format!("tty > tty.new; mv tty.new tty; exec '{program}' {line} {more}");
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).current_dir(scratch.path(""));
        script.env_remove("RPROC_IMAGE_KEY_PWD").env("SHELL", "/bin/sh");
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keyboard, mut output) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut piece = [0; 256];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        Self { scratch, script, keyboard, screen }
    }

    fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < PATIENCE, "no {what}: {}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types a line once the prompt is there and the terminal shows nothing of what is typed.
    fn type_at(&mut self, prompt: &str, line: &str) {
        self.wait(prompt, || self.screen().ends_with(prompt));
        self.wait("hidden input", || {
            let name = String::from_utf8(self.scratch.read("tty")).unwrap();
            let modes = Command::new("stty").args(["-a", "-F", name.trim()]).output().unwrap();
            String::from_utf8_lossy(&modes.stdout).split_whitespace().any(|mode| mode == "-echo")
        });
        self.keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for the program's end. Nothing that was typed may have been shown.
    fn end(mut self, typed: &[&str]) -> Answer {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.script.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "no end: {}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        };
        // The reader ends with the pipe, and drops its half.
        self.wait("end of the output", || Arc::strong_count(&self.screen) == 1);
        let stdout = self.screen();
        for line in typed {
            assert!(!stdout.contains(line), "shown: {stdout}");
        }
        Answer { code: status.code().unwrap_or(-1), stdout, stderr: String::new() }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        // Only a test that failed leaves it running.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

const SIGN: &str = "sign --in v/elf/fw_m4.elf --key locked.pem --out out.sig";

fn with_locked_key() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("locked.pem", pem("ENCRYPTED PRIVATE KEY", &vector("keys/rsa2048-enc.pk8.der")));
    scratch
}

fn right() {
    let scratch = with_locked_key();
    let mut terminal = Terminal::run(&scratch, SIGN, "");
    terminal.type_at("Passphrase of locked.pem: ", "golden-pass");
    let answer = terminal.end(&["golden-pass"]).good();
    assert!(answer.stdout.contains("out.sig: signed"), "{}", answer.stdout);
    assert!(scratch.read("out.sig") == vector("01-rsa2048-m4.sig"));
}

fn wrong() {
    let scratch = with_locked_key();
    for line in ["golden-pas", "golden-pass ", ""] {
        let mut terminal = Terminal::run(&scratch, SIGN, "");
        terminal.type_at("Passphrase of locked.pem: ", line);
        let answer = terminal.end(&["golden-pas"]);
        assert_eq!(answer.code, 1, "{}", answer.stdout);
        assert!(
            answer.stdout.contains("error: the passphrase does not open locked.pem"),
            "{}",
            answer.stdout
        );
        assert!(!scratch.path("out.sig").exists());
    }
}

fn for_a_machine() {
    let scratch = with_locked_key();
    let mut terminal = Terminal::run(&scratch, &format!("{SIGN} --json"), "> answer.json 2> errors");
    terminal.type_at("Passphrase of locked.pem: ", "golden-pass");
    terminal.end(&["golden-pass"]).good();
    let answer: serde_json::Value = serde_json::from_slice(&scratch.read("answer.json")).unwrap();
    assert_eq!((&answer["result"], scratch.read("errors")), (&"signed".into(), Vec::new()));
}

const KEYGEN: &str = "keygen --out new.pem --encrypt";

fn twice() {
    let scratch = Scratch::new();
    let mut terminal = Terminal::run(&scratch, KEYGEN, "");
    terminal.type_at("Passphrase for new.pem: ", "two words");
    terminal.type_at("The same again: ", "two words");
    terminal.end(&["two words"]).good();
    scratch.write("right.txt", "two words\n");
    scratch.write("wrong.txt", "two word\n");
    scratch.run("pubkey --key new.pem --key-pwd-file right.txt").good();
    assert_eq!(scratch.run("pubkey --key new.pem --key-pwd-file wrong.txt").code, 1);
}

fn different() {
    let scratch = Scratch::new();
    let mut terminal = Terminal::run(&scratch, KEYGEN, "");
    terminal.type_at("Passphrase for new.pem: ", "first words");
    terminal.type_at("The same again: ", "first word");
    let answer = terminal.end(&["first word"]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    assert!(answer.stdout.contains("error: the two passphrases differ"), "{}", answer.stdout);
    assert!(!scratch.path("new.pem").exists());
}

fn empty() {
    let scratch = Scratch::new();
    let mut terminal = Terminal::run(&scratch, KEYGEN, "");
    terminal.type_at("Passphrase for new.pem: ", "");
    terminal.type_at("The same again: ", "");
    let answer = terminal.end(&[]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    assert!(answer.stdout.contains("error: the passphrase is empty"), "{}", answer.stdout);
    assert!(!scratch.path("new.pem").exists());
}

fn other_ways() {
    let scratch = with_locked_key();
    scratch.write("pass.txt", "golden-pass\n");
    let terminal = Terminal::run(&scratch, &format!("{SIGN} --key-pwd-file pass.txt"), "");
    let answer = terminal.end(&["Passphrase"]).good();
    assert!(answer.stdout.contains("out.sig: signed"), "{}", answer.stdout);
}
