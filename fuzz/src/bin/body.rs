//! Fuzzes `dbt_controller_http_api::fuzzing::body`.

fn main() {
    afl::fuzz!(|bytes: &[u8]| dbt_controller_http_api::fuzzing::body(bytes));
}
