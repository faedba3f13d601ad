//! The emulator's control protocol, QMP: the few messages that matter here.

use serde_json::{Value, json};

/// A message from the emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The first message.
    Greeting,
    /// A command succeeded.
    Return,
    /// A command failed; the text says why.
    Error(String),
    /// The processor began to run.
    Resume,
    /// The guest asked for a reset. The command line makes the emulator stop there instead of starting over.
    GuestReset,
    /// A watchdog expired.
    Watchdog,
    /// Anything else, which changes nothing.
    Other,
    /// Not a message.
    Unreadable(String),
}

/// Reads one line of the protocol.
pub(crate) fn parse(line: &str) -> Message {
    let Ok(value) = serde_json::from_str::<Value>(line) else {
        return Message::Unreadable(line.to_owned());
    };
    if value.get("QMP").is_some() {
        return Message::Greeting;
    }
    if let Some(error) = value.get("error") {
        let text = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
        return Message::Error(text.to_owned());
    }
    if value.get("return").is_some() {
        return Message::Return;
    }
    let data = |field: &str| value.get("data").and_then(|data| data.get(field));
    let by_guest = data("guest").and_then(Value::as_bool) == Some(true);
    match value.get("event").and_then(Value::as_str) {
        Some("RESUME") => Message::Resume,
        Some("RESET") if by_guest => Message::GuestReset,
        Some("SHUTDOWN") if data("reason").and_then(Value::as_str) == Some("guest-reset") => {
            Message::GuestReset
        }
        Some("WATCHDOG") => Message::Watchdog,
        _ => Message::Other,
    }
}

/// A command without arguments, as the line to send.
pub(crate) fn command(name: &str) -> String {
    format!("{}\n", json!({ "execute": name }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_real_emulator() {
        let cases = [
            (
                r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}"#,
                Message::Greeting,
            ),
            (r#"{"return": {}}"#, Message::Return),
            (
                r#"{"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}"#,
                Message::Error("The command x has not been found".into()),
            ),
            (r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"}"#, Message::Resume),
            (r#"{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}"#, Message::GuestReset),
            (
                r#"{"event": "RESET", "data": {"guest": false, "reason": "host-qmp-system-reset"}}"#,
                Message::Other,
            ),
            (
                r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#,
                Message::GuestReset,
            ),
            (r#"{"event": "SHUTDOWN", "data": {"guest": false, "reason": "host-signal"}}"#, Message::Other),
            (r#"{"event": "WATCHDOG", "data": {"action": "none"}}"#, Message::Watchdog),
            (r#"{"event": "STOP"}"#, Message::Other),
            ("[]", Message::Other),
            ("qemu: fatal", Message::Unreadable("qemu: fatal".into())),
        ];
        for (line, message) in cases {
            assert_eq!(parse(line), message, "{line}");
        }
    }

    #[test]
    fn a_command_is_one_line() {
        assert_eq!(command("cont"), "{\"execute\":\"cont\"}\n");
    }
}
