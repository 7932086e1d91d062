//! The command line.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{Server, program, run};

#[test]
fn the_version_is_told_in_short_and_with_the_build() {
    let short = run(&["-V"], &[]);
    assert_eq!((short.code, short.stdout.as_str()), (Some(0), concat!("dbt-api-service-controller ", env!("CARGO_PKG_VERSION"), "\n")));
    let long = run(&["--version"], &[]);
    assert!(long.stdout.starts_with(short.stdout.trim_end()) && long.stdout.contains("rustc"), "{}", long.stdout);
}

#[test]
fn the_help_lists_commands_and_settings() {
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        let help = run(arguments, &[]);
        assert_eq!(help.code, Some(0));
        for expected in
            ["--embedded", "SECRET_KEY", "EMBEDDED_READY_AFTER"].iter().filter(|word| arguments.len() == 2 || **word != "--embedded")
        {
            assert!(help.stdout.contains(expected), "{expected} in {}", help.stdout);
        }
    }
    let help = run(&["--help"], &[]).stdout;
    for command in ["serve", "openapi", "names", "healthcheck"] {
        assert!(help.contains(command), "{command} in {help}");
    }
}

#[test]
fn a_wrong_call_ends_with_2() {
    for arguments in [&[][..], &["deploy"], &["names"], &["serve", "--embeded"]] {
        let outcome = run(arguments, &[]);
        assert_eq!(outcome.code, Some(2), "{arguments:?}");
        assert!(!outcome.stderr.is_empty());
    }
}

#[test]
fn names_prints_every_candidate_in_order() {
    let outcome = run(&["names", "test-project", "main"], &[]);
    let expected = "release_name   dbt-server-test-project-main\n\
                    release_name   dbt-server-test-project-main-7679bf0a\n\
                    release_name   dbt-server-test-project-main-";
    assert!(outcome.stdout.starts_with(expected), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("\nconnection_id  test_project_main\nconnection_id  test_project_main_7679bf0a\n"),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.code, Some(0));
}

#[test]
fn names_takes_an_empty_branch_for_none_as_a_request_does() {
    let without = run(&["names", "test-project"], &[]);
    assert!(without.stdout.starts_with("release_name   dbt-server-test-project\n"), "{}", without.stdout);
    assert_eq!(run(&["names", "test-project", ""], &[]).stdout, without.stdout);
}

#[test]
fn names_says_what_is_wrong_with_the_project() {
    let outcome = run(&["names", ""], &[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert_eq!(outcome.stderr, "error: the project is not usable: must not be empty\n");
}

#[test]
fn openapi_prints_the_document() {
    let outcome = run(&["openapi"], &[]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with('3'));
    assert!(document["paths"]["/api/v1/deployments"]["post"].is_object());
}

#[test]
fn a_reader_who_has_read_enough_is_no_error() {
    let mut process = program(&["openapi"], &[]).spawn().unwrap();
    drop(process.stdout.take());
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn without_a_cluster_it_says_how_to_name_one() {
    let outcome = run(&["serve"], &[("SECRET_KEY", "a-key-for-this-test-1"), ("PORT", "0")]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert!(outcome.stderr.contains("KUBECONFIG"), "{}", outcome.stderr);
    let absent = [("SECRET_KEY", "a-key-for-this-test-1"), ("PORT", "0"), ("KUBERNETES_CONTEXT", "staging")];
    let outcome = run(&["serve"], &absent);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("kubeconfig"), "{}", outcome.stderr);
}

#[test]
fn all_wrong_settings_are_named_at_once_and_without_their_values() {
    let settings = [("PORT", "CANARY"), ("DEPLOY_TIMEOUT", "CANARY"), ("SECRET_KEY", ""), ("SECRET_KEY_PREVIOUS", "CANARY with a space")];
    let outcome = run(&["serve", "--embedded"], &settings);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    for (name, _) in settings {
        assert!(outcome.stderr.contains(&format!("\n  {name}: ")), "{name} in {}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("CANARY"), "{}", outcome.stderr);
}

#[test]
fn a_port_that_is_taken_is_said_with_its_settings() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let outcome = run(&["serve", "--embedded"], &[("PORT", &port)]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert!(outcome.stderr.contains("HOST and PORT"), "{}", outcome.stderr);
}

#[test]
fn healthcheck_tells_a_running_service_from_anything_else() {
    let server = Server::start();
    let port = server.address().split_once(':').unwrap().1.to_owned();
    // Only where the service listens is asked for: the key of the service is not needed.
    let alive = run(&["healthcheck"], &[("PORT", &port)]);
    assert_eq!(alive.code, Some(0), "{}", alive.stderr);
    assert_eq!(alive.stdout.lines().count(), 1);
    drop(server);
    let gone = run(&["healthcheck"], &[("PORT", &port)]);
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(1), ""));
    assert_eq!(gone.stderr.lines().count(), 1, "{}", gone.stderr);
}

#[test]
fn healthcheck_knows_no_exit_code_but_0_and_1() {
    let outcome = run(&["healthcheck"], &[("PORT", "high"), ("SECRET_KEY_FILE", "/not/readable")]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.stderr, "error: cannot tell where the service listens: PORT must be a whole number from 0 to 65535\n");
}

#[test]
fn healthcheck_does_not_take_any_listener_for_the_service() {
    for (answer, said) in [("SSH-2.0-OpenSSH\r\n", "does not speak HTTP"), ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "not alive")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let other = std::thread::spawn(move || {
            let mut caller = listener.accept().unwrap().0;
            caller.read_exact(&mut [0; 16]).unwrap();
            caller.write_all(answer.as_bytes()).unwrap();
            // Closing at once would throw away what is not read yet, and with it what was written.
            let _ = caller.read_to_end(&mut Vec::new());
        });
        let outcome = run(&["healthcheck"], &[("PORT", &port)]);
        other.join().unwrap();
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    }
}
