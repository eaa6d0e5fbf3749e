//! The deadline of the whole run.
//!
//! All waiting for sockets ends at the deadline by itself. The watchdog is for what does not: a
//! read of `/proc` that blocks, a computation that never ends, a reader of stdout that stopped
//! reading. It is a timer whose signal handler writes a line that was prepared beforehand and
//! ends the process; a thread would be a `clone` in every check.

use nix::sys::signal::sigaction;
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};
use std::time::Duration;

/// How long after the deadline the watchdog strikes: a run that ends by itself has finished by
/// then, and one that does not still ends within 100 ms.
pub const GRACE: Duration = Duration::from_millis(70);

/// How long after the deadline a process that could not be ended otherwise is killed.
pub const LAST: Duration = Duration::from_secs(1);

/// What is printed and what is exited with if the deadline strikes.
pub struct LastWords {
    /// The whole output.
    pub text: Vec<u8>,
    /// The exit code.
    pub exit: u8,
}

type Compose = Box<dyn Fn(&str) -> LastWords + Send + Sync>;

static COMPOSE: OnceLock<Compose> = OnceLock::new();
static WORDS: AtomicPtr<LastWords> = AtomicPtr::new(std::ptr::null_mut());
static WRITING: AtomicBool = AtomicBool::new(false);
static EXIT_WHILE_WRITING: AtomicU8 = AtomicU8::new(3);

/// Arms the watchdog, and takes the signals that ask a check to end: it then says what it was
/// waiting for, and ends by a code, not by the signal. `compose` makes the output for what is being waited for.
pub fn arm(limit: Duration, compose: Compose) -> nix::Result<()> {
    if COMPOSE.set(compose).is_err() {
        return Ok(());
    }
    waiting_for("the start of the check");
    let action = SigAction::new(SigHandler::Handler(strike), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGALRM, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        // SAFETY: the handler uses atomics, poll, write and _exit only, all async-signal-safe.
        unsafe { sigaction(signal, &action)? };
    }
    // The caller's signal mask is inherited; a blocked SIGALRM would be no watchdog.
    SigSet::from(Signal::SIGALRM).thread_unblock()?;
    set_timer(Signal::SIGALRM, limit + GRACE)?;
    // What sleeps in the kernel where only its death can wake it, in a dead file system for example,
    // hears no handler. To end by this signal is bad, and to stay for ever worse.
    set_timer(Signal::SIGKILL, limit + LAST)
}

fn set_timer(signal: Signal, after: Duration) -> nix::Result<()> {
    let notify = SigevNotify::SigevSignal { signal, si_value: 0 };
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))?;
    timer.set(Expiration::OneShot(after.into()), TimerSetTimeFlags::empty())?;
    // Dropping it would delete it.
    std::mem::forget(timer);
    Ok(())
}

static HUSHED: AtomicBool = AtomicBool::new(false);

/// From now on nobody's waiting is noted, or everybody's again: while many checks run at once, what one
/// waits for says little, and each note costs memory.
pub fn hush(on: bool) {
    HUSHED.store(on, Ordering::Release);
}

/// Says what the run waits for from now on.
pub fn waiting_for(what: &str) {
    if let Some(compose) = COMPOSE.get().filter(|_| !HUSHED.load(Ordering::Acquire)) {
        // Leaked on purpose: the handler may be reading the old one, and a run says few of them.
        WORDS.store(Box::into_raw(Box::new(compose(what))), Ordering::Release);
    }
}

/// Says that output has begun: from now on the watchdog ends the process without a word.
pub fn writing(exit_if_stuck: u8) {
    EXIT_WHILE_WRITING.store(exit_if_stuck, Ordering::Release);
    WRITING.store(true, Ordering::Release);
}

/// Ends the process at once, from places that cannot return to `main`.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit takes any number and touches no memory of ours.
    unsafe { libc::_exit(i32::from(code)) }
}

extern "C" fn strike(_signal: libc::c_int) {
    if WRITING.load(Ordering::Acquire) {
        exit_now(EXIT_WHILE_WRITING.load(Ordering::Acquire));
    }
    let words = WORDS.load(Ordering::Acquire);
    if words.is_null() {
        exit_now(3);
    }
    // SAFETY: only ever set to a leaked Box, never changed afterwards.
    let words = unsafe { &*words };
    let mut stdout = libc::pollfd { fd: 1, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid pollfd; a pipe that polls writable takes PIPE_BUF bytes without blocking.
    if unsafe { libc::poll(&raw mut stdout, 1, 0) } == 1 {
        let length = words.text.len().min(libc::PIPE_BUF);
        // SAFETY: the buffer is alive and at least `length` bytes long.
        unsafe { libc::write(1, words.text.as_ptr().cast(), length) };
    }
    exit_now(words.exit);
}
