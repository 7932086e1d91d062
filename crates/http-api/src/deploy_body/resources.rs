//! Requests and limits of a server, from what the body gives and what stands for the rest.

use std::str::FromStr;

use dbt_controller_domain::model::{ByteQuantity, CpuQuantity, Resources, TextError};

use super::fields::{self, Text};
use super::reader::Reader;
use super::{RequestDefaults, SizePreset};

/// The resources of the body. Each given field wins over the preset that `size` names, and over the contract's defaults.
pub(super) fn resources(reader: &mut Reader, defaults: &RequestDefaults) -> Option<Resources> {
    let base = preset(reader, defaults).unwrap_or_else(contract_defaults);
    let cpu = Base { request: base.cpu_request, limit: base.cpu_limit, amount: CpuQuantity::millicores };
    let memory = Base { request: base.memory_request, limit: base.memory_limit, amount: ByteQuantity::bytes };
    let cpu = cpu.read(reader, &fields::CPU_REQUEST, &fields::CPU_LIMIT);
    let memory = memory.read(reader, &fields::MEMORY_REQUEST, &fields::MEMORY_LIMIT);
    let storage_size = reader.parsed(&fields::STORAGE_SIZE);

    let (cpu_request, cpu_limit) = cpu?;
    let (memory_request, memory_limit) = memory?;
    Some(Resources { cpu_request, cpu_limit, memory_request, memory_limit, storage_size: storage_size.unwrap_or(base.storage_size) })
}

/// What a server gets when the body names neither a size nor an amount.
pub(super) fn contract_defaults() -> SizePreset {
    SizePreset {
        cpu_request: constant("1500m"),
        cpu_limit: constant("3500m"),
        memory_request: constant("2Gi"),
        memory_limit: constant("6Gi"),
        storage_size: constant("1Gi"),
    }
}

/// The preset that `size` names.
fn preset(reader: &mut Reader, defaults: &RequestDefaults) -> Option<SizePreset> {
    let name = reader.text(&fields::SIZE)?;
    if let Some(preset) = defaults.sizes.get(&name) {
        return Some(preset.clone());
    }
    let known: Vec<_> = defaults.sizes.keys().map(|name| format!("`{name}`")).collect();
    let message = if known.is_empty() {
        "must be absent, because the setting `SERVER_SIZES` names no size".to_owned()
    } else {
        format!("must be one of the sizes of this service: {}", known.join(", "))
    };
    reader.refuse(fields::SIZE.name, message)
}

fn constant<T: FromStr<Err = TextError>>(text: &str) -> T {
    text.parse().expect("the defaults are amounts, because a test reads them all")
}

/// What stands for an absent request or limit.
struct Base<T> {
    request: T,
    limit: T,
    /// Amounts are compared by this: their own order tells `2` from `2000m`.
    amount: fn(&T) -> u64,
}

impl<T: FromStr<Err = TextError> + Clone> Base<T> {
    /// The request and the limit. What is given holds, what is absent gives way: a limit is raised to a higher request, a
    /// request is lowered to a smaller limit.
    fn read(self, reader: &mut Reader, request: &'static Text, limit: &'static Text) -> Option<(T, T)> {
        let given_request = reader.parsed(request);
        let given_limit = reader.parsed(limit);
        let is_given = given_request.is_some() && given_limit.is_some();
        let has_limit = given_limit.is_some();
        let (least, most) = (given_request.unwrap_or(self.request), given_limit.unwrap_or(self.limit));
        if (self.amount)(&least) <= (self.amount)(&most) {
            return Some((least, most));
        }
        if is_given {
            return reader.refuse(request.name, format!("must not be above `{}`", limit.name));
        }
        let kept = if has_limit { most } else { least };
        Some((kept.clone(), kept))
    }
}
