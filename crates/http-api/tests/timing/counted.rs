use std::process::{Child, Command};

use actix_web::http::header::HeaderValue;
use dbt_controller_http_api::Tokens;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

const TOKEN: &str = "the-secret-key-of-the-service-0123456789";
/// The other one, while the service takes two.
const PREVIOUS: &str = "the-previous-key-of-the-service-98765432";
/// `getppid` of x86-64, by which the program speaks. Nothing else calls it.
const SPEAKS: u64 = 110;
/// The instruction `syscall`, little-endian.
const SYSCALL: i64 = 0x050f;

/// Wrong tokens as long as a right one, of which 0, 1, … characters are right.
fn guesses(token: &str) -> Vec<String> {
    (0..token.len()).map(|right| format!("{}{}", &token[..right], "~".repeat(token.len() - right))).collect()
}

/// What is guessed at: the one token, or one of two.
fn all_guesses(previous: bool) -> Vec<String> {
    let tokens = if previous { &[TOKEN, PREVIOUS][..] } else { &[TOKEN][..] };
    tokens.iter().flat_map(|token| guesses(token)).collect()
}

/// The program that is looked at.
fn check_all(previous: bool) {
    let second = previous.then(|| PREVIOUS.into());
    let tokens = Tokens::new(&TOKEN.into(), second.as_ref()).unwrap();
    let headers: Vec<_> = all_guesses(previous).iter().map(|guess| HeaderValue::from_str(&format!("Bearer {guess}")).unwrap()).collect();
    // What is done only once is done here.
    assert!(tokens.check(headers.first()).is_none());
    ptrace::traceme().unwrap();
    nix::sys::signal::raise(Signal::SIGSTOP).unwrap();
    for header in &headers {
        getppid();
        let found = tokens.check(Some(header));
        getppid();
        assert!(found.is_none());
    }
}

/// How many instructions each check takes.
fn count(previous: bool) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap()).arg(if previous { TWO } else { ONE }).spawn().unwrap();
    let counts = follow(&child, all_guesses(previous).len());
    end(&mut child);
    counts
}

fn follow(child: &Child, checks: usize) -> Vec<u64> {
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // It stops itself when everything is ready.
    assert_eq!(waitpid(process, None).unwrap(), WaitStatus::Stopped(process, Signal::SIGSTOP));
    ptrace::setoptions(process, ptrace::Options::PTRACE_O_EXITKILL).unwrap();
    (0..checks)
        .map(|_| {
            until_it_speaks(process);
            let count = steps(process);
            until_it_speaks(process);
            count
        })
        .collect()
}

/// Lets it go until it has spoken.
fn until_it_speaks(process: Pid) {
    loop {
        // Each system call stops it twice, at its begin and at its end.
        let begins = next_call(process);
        next_call(process);
        if begins == SPEAKS {
            return;
        }
    }
}

/// Lets it go to the begin or the end of its next system call, and says which one it is.
fn next_call(process: Pid) -> u64 {
    loop {
        ptrace::syscall(process, None).unwrap();
        match waitpid(process, None).unwrap() {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => return ptrace::getregs(process).unwrap().orig_rax,
            WaitStatus::Stopped(..) => {}
            other => panic!("it has ended before its last check: {other:?}"),
        }
    }
}

/// Lets it go one instruction at a time until it is about to make a system call.
fn steps(process: Pid) -> u64 {
    for count in 0.. {
        let at = ptrace::getregs(process).unwrap().rip;
        let word = ptrace::read(process, std::ptr::without_provenance_mut(usize::try_from(at).unwrap())).unwrap();
        if word & 0xffff == SYSCALL {
            return count;
        }
        ptrace::step(process, None).unwrap();
        waitpid(process, None).unwrap();
    }
    0
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
}

/// The arguments of the program that is looked at.
const ONE: &str = "checks-of-one-token";
const TWO: &str = "checks-of-two-tokens";

pub(crate) fn main() {
    match std::env::args().nth(1).as_deref() {
        Some(ONE) => return check_all(false),
        Some(TWO) => return check_all(true),
        _ => {}
    }
    for (previous, name) in [(false, "the_token_check"), (true, "the_check_of_two_tokens")] {
        let counts = count(previous);
        assert!(counts.iter().all(|count| *count > 500), "a check takes more than that: {counts:?}");
        assert!(counts.iter().all(|count| *count == counts[0]), "how much is right makes a difference: {counts:?}");
        println!("test {name}_takes_the_same_instructions_however_much_is_right ... ok ({} instructions)", counts[0]);
    }
}
