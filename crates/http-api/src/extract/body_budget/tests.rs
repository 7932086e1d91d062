use super::{BodyBudget, FREE_BYTES, SHARED_BYTES};
use crate::error::ErrorCode;

#[test]
fn a_small_body_gets_through_when_large_ones_have_all() {
    let budget = BodyBudget::new();
    let (mut large, mut other) = (budget.share(), budget.share());
    large.grow(FREE_BYTES).unwrap();
    large.grow(SHARED_BYTES / 2).unwrap();
    large.grow(SHARED_BYTES + FREE_BYTES).unwrap();
    other.grow(FREE_BYTES).unwrap();
    assert_eq!(other.grow(FREE_BYTES + 1).unwrap_err().code(), ErrorCode::Overloaded);
    drop(large);
    other.grow(SHARED_BYTES + FREE_BYTES).unwrap();
}
