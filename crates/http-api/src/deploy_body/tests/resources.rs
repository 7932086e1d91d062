//! Requests, limits and sizes.

use super::*;
use crate::deploy_body::resources::contract_defaults;

/// CPU request and limit, memory request and limit, storage of the smallest body with these members.
#[track_caller]
fn check(members: Value, expected: [&str; 5]) {
    let resources = accepted(members).resources;
    let actual = [
        resources.cpu_request.as_str(),
        resources.cpu_limit.as_str(),
        resources.memory_request.as_str(),
        resources.memory_limit.as_str(),
        resources.storage_size.as_str(),
    ];
    assert_eq!(actual, expected);
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    check(json!({}), ["1500m", "3500m", "2Gi", "6Gi", "1Gi"]);
    assert_eq!(contract_defaults(), accepted(json!({})).resources);
}

#[test]
fn given_fields_win_over_the_size_and_the_size_over_the_defaults() {
    check(json!({ "size": "large" }), ["4", "8", "8Gi", "16Gi", "20Gi"]);
    check(json!({ "size": "large", "cpu_request": "5", "storage_size": "30Gi" }), ["5", "8", "8Gi", "16Gi", "30Gi"]);
}

#[test]
fn a_request_above_the_standing_limit_raises_the_limit() {
    check(json!({ "cpu_request": "5" }), ["5", "5", "2Gi", "6Gi", "1Gi"]);
    check(json!({ "memory_request": "7Gi" }), ["1500m", "3500m", "7Gi", "7Gi", "1Gi"]);
    check(json!({ "size": "large", "cpu_request": "9" }), ["9", "9", "8Gi", "16Gi", "20Gi"]);
    check(json!({ "cpu_request": "3500m" }), ["3500m", "3500m", "2Gi", "6Gi", "1Gi"]);
}

#[test]
fn a_limit_below_the_standing_request_lowers_the_request() {
    check(json!({ "cpu_limit": "500m" }), ["500m", "500m", "2Gi", "6Gi", "1Gi"]);
    check(json!({ "memory_limit": "512Mi" }), ["1500m", "3500m", "512Mi", "512Mi", "1Gi"]);
    check(json!({ "size": "large", "memory_limit": "4Gi" }), ["4", "8", "4Gi", "4Gi", "20Gi"]);
    check(json!({ "cpu_limit": "20" }), ["1500m", "20", "2Gi", "6Gi", "1Gi"]);
}

#[test]
fn a_given_request_above_a_given_limit_is_refused() {
    let errors = errors_of(read(&body_with(json!({
        "cpu_request": "2", "cpu_limit": "1999m", "memory_request": "1025Mi", "memory_limit": "1Gi",
    }))));
    assert_eq!(errors["cpu_request"], ["must not be above `cpu_limit`"]);
    assert_eq!(errors["memory_request"], ["must not be above `memory_limit`"]);
    assert_eq!(errors.len(), 2);
}

#[test]
fn equal_amounts_in_two_spellings_are_not_above_each_other() {
    for (request, limit) in [("2000m", "2"), ("2", "2000m")] {
        check(json!({ "cpu_request": request, "cpu_limit": limit }), [request, limit, "2Gi", "6Gi", "1Gi"]);
    }
    for (request, limit) in [("1024Mi", "1Gi"), ("1Gi", "1024Mi")] {
        check(json!({ "memory_request": request, "memory_limit": limit }), ["1500m", "3500m", request, limit, "1Gi"]);
    }
}

#[test]
fn amounts_are_written_as_the_contract_says() {
    let cpu = "must be a whole number above 0 of cores, or of thousandths with `m`, such as `2` or `500m`";
    let bytes = "must be a whole number above 0 with `Mi` or `Gi`, such as `512Mi` or `2Gi`";
    for wrong in ["1.5", "2Gi", "0", "-1", "500M", "1 ", "1e3"] {
        refused("cpu_request", wrong, cpu);
        refused("cpu_limit", wrong, cpu);
    }
    for wrong in ["2Gb", "2G", "2", "1.5Gi", "0Gi", "2gi", "Gi"] {
        refused("memory_request", wrong, bytes);
        refused("memory_limit", wrong, bytes);
        refused("storage_size", wrong, bytes);
    }
    refused("cpu_request", 2, "must be a string");
    refused("cpu_request", "", "must not be empty");
    refused("cpu_request", "1".repeat(16), "must have at most 15 characters");
    refused("storage_size", "1000000000Gi", "must have at most 11 characters");
    check(json!({ "storage_size": "999999999Gi" }), ["1500m", "3500m", "2Gi", "6Gi", "999999999Gi"]);
}

#[test]
fn an_unknown_size_is_refused_with_the_known_ones() {
    refused("size", "huge", "must be one of the sizes of this service: `large`");
    refused("size", "", "must not be empty");
    let none = RequestDefaults { sizes: BTreeMap::new(), ..defaults() };
    let errors = errors_of(read_with(&none, &body_with(json!({ "size": "large" }))));
    assert_eq!(errors["size"], ["must be absent, because the setting `SERVER_SIZES` names no size"]);
}
