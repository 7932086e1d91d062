//! The machine that was measured on.

use std::fmt;
use std::fs;

/// What a reader has to know of a machine to judge figures.
pub(crate) struct Machine {
    cores: usize,
    memory_gib: u64,
    model: String,
}

impl Machine {
    /// This machine. What it does not tell is said so.
    pub(crate) fn this() -> Self {
        let field = |path: &str, name: &str| {
            let text = fs::read_to_string(path).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory_kib = field("/proc/meminfo", "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            memory_gib: memory_kib.unwrap_or_default().div_ceil(1 << 20),
            model: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores of {}, {} GiB of memory", self.cores, self.model, self.memory_gib)
    }
}
