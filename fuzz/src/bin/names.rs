//! Fuzzes `dbt_controller_naming::fuzzing::names`.

fn main() {
    afl::fuzz!(|bytes: &[u8]| dbt_controller_naming::fuzzing::names(bytes));
}
