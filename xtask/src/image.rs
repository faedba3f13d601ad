//! `cargo xtask image`: what the partition's image consists of, beside what it may have.
use crate::elf::Layout;
use crate::firmware::{self, Built, PARTITION};
use crate::report;
use crate::setup;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The raw image may have this many bytes.
const RAW_LIMIT: u64 = 192 << 10;
/// The partition may use this many bytes of RAM, image included: 528 KiB, and 4 KiB for each of 8 execution contexts.
const RAM_LIMIT: u64 = (528 + 4 * 8) << 10;

/// What the image command takes from the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Build the partition with each optional feature too, and tell what that costs
    #[arg(long)]
    features: bool,
}

/// The partition's optional features: the name, how to build with it or without it, and whether it is usual.
const FEATURES: [(&str, &[&str], bool); 4] = [
    ("encryption (AES-CBC)", &["--no-default-features"], true),
    ("pss (RSASSA-PSS)", &["--features", "pss"], false),
    ("p384 (ECDSA P-384)", &["--features", "p384"], false),
    ("ed25519", &["--features", "ed25519"], false),
];

/// What a feature costs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cost {
    name: &'static str,
    usual: bool,
    /// Bytes of code and constants with it, less those without it.
    bytes: i64,
    /// Bytes of the raw image of the variant that was built: whole pages.
    raw: u64,
}

/// Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Parts of the RAM, in the order of their addresses.
    parts: Vec<(&'static str, u64)>,
    raw: u64,
    ram: u64,
}

impl Sizes {
    /// Builds the partition and measures it.
    pub fn measure(workspace: &Workspace, toolchain: &Toolchain) -> Result<Self> {
        Self::of(&firmware::build(workspace, toolchain, &PARTITION)?)
    }

    fn of(built: &Built) -> Result<Self> {
        let raw = built.raw(&PARTITION)?.bytes.len() as u64;
        Self::from_layout(&Layout::read(&built.elf)?, raw)
    }

    fn from_layout(layout: &Layout, raw: u64) -> Result<Self> {
        let main_stack = layout.between("__stack_bottom", "__stack_top")?;
        let exception_stack = layout.between("__exception_stack_bottom", "__exception_stack_top")?;
        let context_stacks = layout.between("__contexts_start", "__contexts_end")? / 2;
        let mut parts = vec![
            ("text", layout.section(".text")),
            ("rodata", layout.between("__text_end", "__rodata_end")?),
            ("data", layout.section(".data")),
            ("page tables, buffers (zeroed)", layout.between("__bss_start", "__bss_end")?),
            ("service's stack", main_stack),
            ("stack of the end", exception_stack),
            ("execution contexts' stacks", context_stacks),
            ("heap", layout.between("__heap_start", "__heap_end")?),
        ];
        let ram = layout.between("__image_start", "__ram_end")?;
        let named: u64 = parts.iter().map(|(_, size)| size).sum();
        let rest = ram.checked_sub(named).context("the parts are larger than the whole")?;
        parts.push(("guard pages, alignment", rest));
        Ok(Self { parts, raw, ram })
    }

    /// Bytes of code and constants: what a feature adds to.
    fn contents(&self) -> i64 {
        let wanted = |name: &str| matches!(name, "text" | "rodata" | "data");
        let total: u64 = self.parts.iter().filter(|(name, _)| wanted(name)).map(|(_, size)| size).sum();
        i64::try_from(total).unwrap_or(i64::MAX)
    }

    /// What exceeds its limit.
    pub fn excess(&self) -> Option<String> {
        let mut over = Vec::new();
        for (name, size, limit) in [("raw image", self.raw, RAW_LIMIT), ("RAM", self.ram, RAM_LIMIT)] {
            if size > limit {
                over.push(format!("{name} {size} bytes, limit {limit}, {} too many", size - limit));
            }
        }
        if over.is_empty() { None } else { Some(over.join("; ")) }
    }

    fn to_json(&self) -> Value {
        let parts: Vec<Value> =
            self.parts.iter().map(|(name, size)| json!({"name": name, "bytes": size})).collect();
        json!({
            "parts": parts,
            "raw": {"bytes": self.raw, "limit": RAW_LIMIT},
            "ram": {"bytes": self.ram, "limit": RAM_LIMIT},
            "within_limits": self.excess().is_none(),
        })
    }

    fn print(&self) {
        println!("The partition's image, bytes:");
        for (name, size) in &self.parts {
            println!("  {name:<32} {size:>8}");
        }
        for (name, size, limit) in [("raw image", self.raw, RAW_LIMIT), ("RAM", self.ram, RAM_LIMIT)] {
            println!("{} {name:<32} {size:>8} of {limit:>6}", report::mark(size <= limit));
        }
    }
}

/// Measures, prints, and returns the exit code.
pub fn run(options: &Options) -> Result<u8> {
    let workspace = Workspace::find()?;
    let toolchain = setup::ensure_toolchain()?;
    let sizes = Sizes::measure(&workspace, &toolchain)?;
    let costs = if options.features { costs(&workspace, &toolchain, &sizes)? } else { Vec::new() };
    if options.json {
        let mut json = sizes.to_json();
        if options.features {
            let cost = |cost: &Cost| json!({"name": cost.name, "usual": cost.usual, "bytes": cost.bytes, "variant_raw": cost.raw});
            json["features"] = costs.iter().map(cost).collect();
        }
        println!("{json:#}");
    } else {
        sizes.print();
        for Cost { name, usual, bytes, raw } in &costs {
            let built = if *usual { "without it" } else { "with it" };
            println!("  {name:<32} {bytes:>8}, the raw image has {raw} {built}");
        }
    }
    match sizes.excess() {
        None => Ok(0),
        Some(text) => {
            eprintln!("xtask: too large: {text}");
            Ok(1)
        }
    }
}

/// Builds each variant, and takes the difference.
fn costs(workspace: &Workspace, toolchain: &Toolchain, sizes: &Sizes) -> Result<Vec<Cost>> {
    let mut costs = Vec::new();
    for (name, arguments, usual) in FEATURES {
        let variant = Sizes::of(&firmware::build_variant(workspace, toolchain, arguments)?)?;
        let more = variant.contents() - sizes.contents();
        costs.push(Cost { name, usual, bytes: if usual { -more } else { more }, raw: variant.raw });
    }
    Ok(costs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_to_the_byte() {
        let sizes = |raw, ram| Sizes { parts: Vec::new(), raw, ram };
        assert_eq!(sizes(RAW_LIMIT, RAM_LIMIT).excess(), None);
        assert!(
            sizes(RAW_LIMIT + 1, 0)
                .excess()
                .is_some_and(|text| text.contains(&format!("raw image {}", RAW_LIMIT + 1)))
        );
        assert!(
            sizes(0, RAM_LIMIT + 1)
                .excess()
                .is_some_and(|text| text.contains(&format!("RAM {}", RAM_LIMIT + 1)))
        );
    }
}
