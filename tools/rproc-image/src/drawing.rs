//! Segments as a picture: device addresses from low to high, each block with its rights and sizes, the gaps between them.
use crate::layout::{Layout, Segment};
use std::fmt::Write;

/// A size for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 if bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// ELF p_flags as `rwx`.
pub fn rights(flags: u32) -> String {
    let letter = |bit, letter| if flags & bit != 0 { letter } else { '-' };
    [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].iter().collect()
}

/// Draws the memory map.
pub fn memory_map(layout: &Layout) -> String {
    let mut segments: Vec<&Segment> =
        layout.segments.iter().filter(|segment| segment.memory_size > 0).collect();
    segments.sort_by_key(|segment| segment.device_address);
    let edge = format!("+{}+", "-".repeat(44));
    let mut text = String::new();
    let mut end: Option<u64> = None;
    for segment in segments {
        let start = u64::from(segment.device_address);
        match end {
            Some(end) if end < start => {
                let _ = writeln!(text, "  {end:#010x} {edge}");
                let _ = writeln!(text, "             : {:<42} :", format!("{} free", size(start - end)));
            }
            Some(end) if end > start => {
                let _ = writeln!(text, "             ! {:<42} !", "these two overlap");
            }
            _ => {}
        }
        let _ = writeln!(text, "  {start:#010x} {edge}");
        let line = format!(
            "image {}  {}  {}",
            segment.image,
            rights(segment.flags),
            size(segment.memory_size.into())
        );
        let _ = writeln!(text, "             | {line:<42} |");
        let fill = segment.memory_size.saturating_sub(segment.file_size);
        if fill > 0 {
            let line =
                format!("{} from the file, {} of zeros", size(segment.file_size.into()), size(fill.into()));
            let _ = writeln!(text, "             | {line:<42} |");
        }
        let behind = start + u64::from(segment.memory_size);
        if let Some(table) = &layout.resource_table {
            let address = u64::from(table.device_address);
            if (start..behind).contains(&address) {
                let line = format!("{address:#010x} resource table, {}", size(table.size.into()));
                let _ = writeln!(text, "             | {line:<42} |");
            }
        }
        end = Some(end.map_or(behind, |end| end.max(behind)));
    }
    if let Some(end) = end {
        let _ = writeln!(text, "  {end:#010x} {edge}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rights_are_told_shortly() {
        assert_eq!(size(528), "528 bytes");
        assert_eq!(size(4096), "4 KiB");
        assert_eq!(size(1536 + 100), "1.6 KiB");
        assert_eq!(size(3 << 20), "3.0 MiB");
        assert_eq!([rights(5), rights(6), rights(0)], ["r-x", "rw-", "---"]);
    }
}
