//! Resource quantities in the two spellings that the contract takes.

use std::fmt;
use std::str::FromStr;

use super::TextError;

/// An amount of processor time, written `500m` or `2`. Compared by value, written back as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuQuantity {
    text: String,
    millicores: u64,
}

/// An amount of memory or storage, written `512Mi` or `2Gi`. Compared by value, written back as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteQuantity {
    text: String,
    bytes: u64,
}

impl CpuQuantity {
    /// Thousandths of a core, at least 1.
    pub fn millicores(&self) -> u64 {
        self.millicores
    }

    /// The spelling of the request.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl ByteQuantity {
    /// The amount in bytes, at least 1 Mi.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The spelling of the request.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for CpuQuantity {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, scale) = match text.strip_suffix('m') {
            Some(digits) => (digits, 1),
            None => (text, 1000),
        };
        let millicores = parse_amount(digits, scale)
            .ok_or_else(|| TextError::new("must be a whole number above 0 of cores, or of thousandths with `m`, such as `2` or `500m`"))?;
        Ok(Self { text: text.to_owned(), millicores })
    }
}

impl FromStr for ByteQuantity {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match (text.strip_suffix("Mi"), text.strip_suffix("Gi")) {
            (Some(digits), _) => parse_amount(digits, 1 << 20),
            (_, Some(digits)) => parse_amount(digits, 1 << 30),
            _ => None,
        };
        let bytes = parsed.ok_or_else(|| TextError::new("must be a whole number above 0 with `Mi` or `Gi`, such as `512Mi` or `2Gi`"))?;
        Ok(Self { text: text.to_owned(), bytes })
    }
}

/// Decimal digits without sign or leading zero, times `scale`, above 0 and within the `int64` of Kubernetes' own quantities.
fn parse_amount(digits: &str, scale: u64) -> Option<u64> {
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(scale).filter(|amount| i64::try_from(*amount).is_ok())
}

impl PartialOrd for CpuQuantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CpuQuantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.millicores.cmp(&other.millicores).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for ByteQuantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByteQuantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes.cmp(&other.bytes).then_with(|| self.text.cmp(&other.text))
    }
}

impl fmt::Display for CpuQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for ByteQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_spellings_compare_by_value() {
        assert_eq!("1500m".parse::<CpuQuantity>().unwrap().millicores(), 1500);
        assert!("2".parse::<CpuQuantity>().unwrap() > "1500m".parse().unwrap());
        assert!("1Gi".parse::<ByteQuantity>().unwrap() > "1023Mi".parse().unwrap());
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in ["", "m", "0", "0m", "-1", "1.5", "1e3", "2Gb", "500M", "01", "99999999999999999999"] {
            assert!(bad.parse::<CpuQuantity>().is_err(), "{bad}");
        }
        for bad in ["", "Mi", "0Gi", "2Gb", "2G", "1.5Gi", "2gi", "512", "9999999999999Gi", " 1Gi"] {
            assert!(bad.parse::<ByteQuantity>().is_err(), "{bad}");
        }
    }
}
