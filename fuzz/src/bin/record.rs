//! Fuzzes `dbt_controller_adapters_helm::fuzzing::record`.

fn main() {
    afl::fuzz!(|bytes: &[u8]| dbt_controller_adapters_helm::fuzzing::record(bytes));
}
