//! Child processes: started so that they end with xtask, read line by line, bounded in time, always waited for.
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a wait looks up: for an interrupt, for the time limit.
const POLL: Duration = Duration::from_millis(50);

/// Makes Ctrl-C, SIGTERM and SIGHUP end xtask in order: children killed, files removed.
pub fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst)).context("cannot catch interrupts")
}

/// Fails if the user wants to stop.
pub fn check_interrupt() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}

/// Looks for a program on the search path.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// A command whose process is killed by the kernel when xtask's main thread ends, where `setpriv` is there to arrange it.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    if find_program("setpriv").is_none() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Which output of the child a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Output,
    /// Its standard error.
    Error,
}

/// A child in a process group of its own. Dropping it kills the group and waits for the child.
struct Job {
    child: Child,
    ended: bool,
}

impl Job {
    fn kill(&mut self) {
        if self.ended {
            return;
        }
        // The child has not been waited for, so its number still names its group.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        self.ended = true;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to its end, gives every line to `on_line`, and returns the exit status.
///
/// Call it from the main thread: the child dies with the thread that started it.
///
/// # Errors
/// If the program can't be started, does not end within `limit`, or the user interrupts. The child is gone in every case.
pub fn run(
    mut command: Command,
    limit: Duration,
    on_line: impl FnMut(Stream, &str) -> Result<()>,
) -> Result<ExitStatus> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (sender, receiver) = channel();
    supervise(command, limit, &receiver, on_line, |child| {
        let output = child.stdout.take().context("no output pipe")?;
        let error = child.stderr.take().context("no error pipe")?;
        read_lines(output, Stream::Output, sender.clone());
        read_lines(error, Stream::Error, sender);
        Ok(())
    })
}

/// As [`run`], with both streams in one pipe: lines come in the order in which they were written.
pub fn run_merged(
    mut command: Command,
    limit: Duration,
    mut on_line: impl FnMut(&str) -> Result<()>,
) -> Result<ExitStatus> {
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let (sender, receiver) = channel();
    supervise(
        command,
        limit,
        &receiver,
        |_, line| on_line(line),
        |_| {
            read_lines(reader, Stream::Output, sender);
            Ok(())
        },
    )
}

fn supervise(
    mut command: Command,
    limit: Duration,
    receiver: &Receiver<(Stream, String)>,
    mut on_line: impl FnMut(Stream, &str) -> Result<()>,
    read: impl FnOnce(&mut Child) -> Result<()>,
) -> Result<ExitStatus> {
    check_interrupt()?;
    let name = describe(&command);
    command.stdin(Stdio::null()).process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    // It may hold the writing end of the pipe that is read until nobody can write any more.
    drop(command);
    let mut job = Job { child, ended: false };
    read(&mut job.child)?;
    let deadline = Instant::now() + limit;
    wait_for_end(&mut job, receiver, deadline, &mut on_line)
        .with_context(|| format!("{name} did not end in order"))
}

fn wait_for_end(
    job: &mut Job,
    receiver: &Receiver<(Stream, String)>,
    deadline: Instant,
    on_line: &mut impl FnMut(Stream, &str) -> Result<()>,
) -> Result<ExitStatus> {
    let mut open = true;
    loop {
        if open {
            match receiver.recv_timeout(POLL) {
                Ok((stream, line)) => on_line(stream, &line)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => open = false,
            }
        } else {
            if let Some(status) = job.child.try_wait()? {
                job.ended = true;
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        check_interrupt()?;
        if Instant::now() > deadline {
            bail!("time limit exceeded");
        }
    }
}

/// Runs `command` quietly and returns what it wrote to its standard output.
///
/// # Errors
/// As [`run`], and if the exit status is not zero: then with what it wrote to its standard error.
pub fn capture(command: Command, limit: Duration) -> Result<String> {
    let name = describe(&command);
    let (mut output, mut error) = (String::new(), String::new());
    let status = run(command, limit, |stream, line| {
        let text = if stream == Stream::Output { &mut output } else { &mut error };
        text.push_str(line);
        text.push('\n');
        Ok(())
    })?;
    if !status.success() {
        bail!("{name} failed ({status})\n{error}");
    }
    Ok(output)
}

/// Runs `command`, showing its lines on a terminal only.
///
/// # Errors
/// As [`run`], and if the exit status is not zero: then with the last lines that it wrote.
pub fn run_quietly(command: Command, limit: Duration, step: &Step) -> Result<()> {
    let mut log = String::new();
    let status = run(command, limit, |_, line| {
        step.detail(line);
        log.push_str(line);
        log.push('\n');
        Ok(())
    })?;
    if !status.success() {
        let tail: Vec<&str> = log.lines().rev().take(8).collect();
        bail!("{status}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    if words.first().is_some_and(|word| word == "setpriv") {
        words.drain(..4.min(words.len()));
    }
    words.truncate(4);
    words.join(" ")
}

fn read_lines(pipe: impl Read + Send + 'static, stream: Stream, sender: Sender<(Stream, String)>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            match reader.read_until(b'\n', &mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&bytes);
            if sender.send((stream, line.trim_end_matches(['\r', '\n']).to_owned())).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = command("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_of_both_streams_arrive() {
        let mut seen = Vec::new();
        let status = run(shell("echo one; echo two >&2; exit 3"), Duration::from_secs(20), |stream, line| {
            seen.push((stream, line.to_owned()));
            Ok(())
        })
        .unwrap();
        assert_eq!(status.code(), Some(3));
        seen.sort_by_key(|(_, line)| line.clone());
        assert_eq!(seen, [(Stream::Output, "one".to_owned()), (Stream::Error, "two".to_owned())]);
    }

    #[test]
    fn merged_lines_keep_their_order() {
        let mut seen = String::new();
        let script = "for i in 1 2 3 4 5 6 7 8; do echo o$i; echo e$i >&2; done";
        run_merged(shell(script), Duration::from_secs(20), |line| {
            seen.push_str(line);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, "o1e1o2e2o3e3o4e4o5e5o6e6o7e7o8e8");
    }

    #[test]
    fn a_child_that_hangs_is_killed_with_its_group() {
        let begun = Instant::now();
        let mut numbers = Vec::new();
        let result = run(shell("sleep 60 & echo $!; wait"), Duration::from_millis(300), |_, line| {
            numbers.push(line.to_owned());
            Ok(())
        });
        assert!(format!("{:#}", result.unwrap_err()).contains("time limit"));
        assert!(begun.elapsed() < Duration::from_secs(20));
        let grandchild = numbers.first().unwrap();
        for _ in 0..200 {
            let state = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("process {grandchild} is still there");
    }

    #[test]
    fn a_failure_carries_the_error_text() {
        let error = capture(shell("echo broken >&2; exit 1"), Duration::from_secs(20)).unwrap_err();
        assert!(error.to_string().contains("broken"));
    }
}
