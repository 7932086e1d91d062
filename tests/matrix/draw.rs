//! A draw that a seed repeats.

/// How many are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    All,
    Some(usize),
}

/// So many of these, in an order that depends on the seed alone.
pub(crate) fn draw<T>(mut from: Vec<T>, size: Size, seed: u64) -> Vec<T> {
    let mut state = seed;
    for end in (1..from.len()).rev() {
        let at = next(&mut state) % (u64::try_from(end).unwrap() + 1);
        from.swap(end, usize::try_from(at).unwrap());
    }
    if let Size::Some(count) = size {
        from.truncate(count);
    }
    from
}

/// SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
