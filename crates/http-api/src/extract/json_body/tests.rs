use super::super::body_budget::BodyBudget;
use super::*;

#[test]
fn a_body_is_read_as_it_came_whatever_its_chunks() {
    let sent: Vec<u8> = (0..3 * PIECE_BYTES).map(|index| (index % 251) as u8).collect();
    for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
        for chunk in [1000, PIECE_BYTES, sent.len()] {
            let mut body = JsonBody::new(BodyBudget::new().share());
            sent[..length].chunks(chunk).try_for_each(|chunk| body.extend(chunk)).unwrap();
            body.read(|bytes| assert_eq!(bytes, &sent[..length], "{length} bytes in chunks of {chunk}"));
        }
    }
}

#[test]
fn one_byte_more_than_the_largest_is_too_large() {
    let mut body = JsonBody::new(BodyBudget::new().share());
    body.extend(&vec![b' '; MAX_BYTES]).unwrap();
    assert_eq!(body.extend(b" ").unwrap_err().code(), ErrorCode::BodyTooLarge);
}
