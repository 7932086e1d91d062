//! Amounts of storage, in all the spellings of Kubernetes.

use dbt_controller_domain::model::ByteQuantity;

/// The bytes of a quantity such as `1Gi`, `1.5G`, `1e9` or `1073741824`, rounded up. None for what is no quantity or below zero.
///
/// See `apimachinery/pkg/api/resource/quantity.go`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (base, power): (u128, i32) = match suffix {
        "Ki" => (1024, 1),
        "Mi" => (1024, 2),
        "Gi" => (1024, 3),
        "Ti" => (1024, 4),
        "Pi" => (1024, 5),
        "Ei" => (1024, 6),
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        _ => (10, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let (whole, fraction) = number.strip_prefix('+').unwrap_or(number).split_once('.').unwrap_or((number, ""));
    let whole = whole.strip_prefix('+').unwrap_or(whole);
    let digits = format!("{whole}{fraction}");
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let factor = base.checked_pow(power.unsigned_abs())?;
    let digits = digits.parse::<u128>().ok()?;
    let amount = if power >= 0 { digits.checked_mul(factor)?.div_ceil(scale) } else { digits.div_ceil(scale.checked_mul(factor)?) };
    u64::try_from(amount).ok()
}

/// The domain's spelling of so many bytes; none when they are no whole number of Mi.
pub(super) fn size(bytes: u64) -> Option<ByteQuantity> {
    const MI: u64 = 1 << 20;
    const GI: u64 = 1 << 30;
    if bytes.is_multiple_of(GI) {
        format!("{}Gi", bytes / GI).parse().ok()
    } else if bytes.is_multiple_of(MI) {
        format!("{}Mi", bytes / MI).parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_kubernetes_is_read() {
        let cases = [
            ("1Gi", 1 << 30),
            ("1.5Gi", 3 << 29),
            ("512Mi", 512 << 20),
            ("2Ti", 2 << 40),
            ("1G", 1_000_000_000),
            ("1e9", 1_000_000_000),
            ("1E3", 1_000),
            ("5E", 5_000_000_000_000_000_000),
            ("1500m", 2),
            ("+1k", 1_000),
            ("1073741824", 1 << 30),
            ("0", 0),
        ];
        for (text, promised) in cases {
            assert_eq!(bytes(text), Some(promised), "{text}");
        }
        for text in ["", "Gi", "-1Gi", "1gi", "1 Gi", "1.2.3", "99999999999999999999Ei", "1e99"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_keeps_its_value() {
        for (text, promised) in [("2Ti", "2048Gi"), ("1Gi", "1Gi"), ("1.5Gi", "1536Mi")] {
            assert_eq!(bytes(text).and_then(size).map(|size| size.to_string()).as_deref(), Some(promised));
        }
        assert_eq!(bytes("1G").and_then(size), None);
    }
}
