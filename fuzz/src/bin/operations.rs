//! Fuzzes `dbt_controller_adapters_k8s::fuzzing::operations`.

fn main() {
    afl::fuzz!(|bytes: &[u8]| dbt_controller_adapters_k8s::fuzzing::operations(bytes));
}
