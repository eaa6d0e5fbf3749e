//! VPP itself: its version, how far it is with its start, how its threads and its memory do.

use super::session::{Said, Session};
use crate::host::Trouble;
use std::time::Duration;

/// What `show version` and `show runtime` say; neither stops a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Vitals {
    /// `25.10-release`.
    pub version: String,
    /// From connecting to the complete answer to `show version`.
    pub rtt: Duration,
    /// What the process that runs the startup configuration does.
    pub startup: Result<Startup, Trouble>,
    /// VPP's threads: the main one, and workers.
    pub threads: Vec<Thread>,
}

/// How far the startup configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    /// It was run to its end, or there is none. Whether its commands succeeded VPP does not say.
    Done,
    /// Its process waits, in this state.
    Running(String),
    /// Not listed: `clear runtime` was said after it had ended.
    NotVisible,
}

/// One thread.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread {
    /// `vpp_main`, `vpp_wk_0`.
    pub name: String,
    /// Packets per call of a node, lately.
    pub vector_rate: Option<f64>,
    /// Turns of its loop per second (19.08 and later).
    pub loops: Option<f64>,
}

/// What a command that only a metric needs came to: where VPP does not know it, its refusal.
pub type Optional<T> = Result<T, String>;

/// A pool of buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// `default-numa-0`.
    pub name: String,
    /// Buffers it has.
    pub total: u64,
    /// Buffers in use.
    pub used: u64,
}

/// An error counter of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCounter {
    /// `ip4-input: ip4 ttl <= 1`.
    pub name: String,
    /// Since VPP started or they were cleared.
    pub count: u64,
}

impl Session<'_> {
    /// Version and runtime.
    ///
    /// # Errors
    /// There is no VPP, or what answers is none.
    pub fn vitals(&mut self) -> Result<Vitals, Trouble> {
        let mut version = None;
        let answer = self.ask("show version", &mut |line| {
            if version.is_none() {
                version = version_in(line);
            }
        })?;
        let Some(version) = version else {
            return Err(self.unreadable("show version", &answer.first));
        };
        let mut runtime = Runtime::default();
        let said = self.table_with_preamble("show runtime", &mut runtime);
        let startup = said.map(|()| runtime.startup.unwrap_or(Startup::NotVisible));
        Ok(Vitals { version, rtt: answer.rtt, startup, threads: runtime.threads })
    }

    fn table_with_preamble(&mut self, command: &str, runtime: &mut Runtime) -> Result<(), Trouble> {
        let answer = self.ask(command, &mut |line| runtime.take(line))?;
        if runtime.tables == 0 {
            return Err(self.unreadable(command, &answer.first));
        }
        Ok(())
    }

    /// Seconds since VPP started, by its own clock. Stops the workers for a moment.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn uptime(&mut self) -> Result<Optional<f64>, Trouble> {
        let mut seconds = None;
        let answer = self.ask("show clock", &mut |line| {
            seconds = seconds.or_else(|| uptime_in(line));
        })?;
        Ok(seconds.ok_or_else(|| missing("show clock", &answer.first)))
    }

    /// Use of the main heap in per cent. Stops the workers.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn main_heap(&mut self) -> Result<Optional<f64>, Trouble> {
        let heap = self.heap("show memory main-heap")?;
        // Until 20.01 the main heap was what `show memory` showed.
        if heap.is_err() { self.heap("show memory") } else { Ok(heap) }
    }

    /// Use of the statistics segment in per cent. Stops the workers.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn stats_segment(&mut self) -> Result<Optional<f64>, Trouble> {
        self.heap("show memory stats-segment")
    }

    fn heap(&mut self, command: &str) -> Result<Optional<f64>, Trouble> {
        let mut used = None;
        let answer = self.ask(command, &mut |line| used = used.or_else(|| use_in(line)))?;
        Ok(used.ok_or_else(|| missing(command, &answer.first)))
    }

    /// Pools of buffers. Stops the workers.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn buffers(&mut self) -> Result<Optional<Vec<Pool>>, Trouble> {
        const COMMAND: &str = "show buffers";
        let mut pools = None;
        let answer = self.ask(COMMAND, &mut |line| match &mut pools {
            // Tables of 18.x are per thread and say nothing of a total.
            None if line.contains("Total") && line.contains("Used") => {
                pools = Some((Columns::of(line), Vec::new()));
            }
            None => {}
            Some((columns, pools)) => pools.extend(columns.pool(line)),
        })?;
        let pools = pools.map(|(_, pools)| pools);
        Ok(pools.ok_or_else(|| missing(COMMAND, &answer.first)))
    }

    /// Error counters that are not zero, of all threads together. Stops the workers.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn error_counters(&mut self) -> Result<Optional<Vec<ErrorCounter>>, Trouble> {
        const COMMAND: &str = "show errors";
        let mut counters: Vec<ErrorCounter> = Vec::new();
        let said = self.table(COMMAND, &["Count", "Node", "Reason"], &mut |line| {
            let Some(counter) = error_in(&String::from_utf8_lossy(line)) else { return };
            // Until 22.x a line per thread.
            match counters.iter_mut().find(|known| known.name == counter.name) {
                Some(known) => known.count = known.count.saturating_add(counter.count),
                None => counters.push(counter),
            }
        })?;
        Ok(match said {
            Said::Asked => Ok(counters),
            Said::Refused(what) => Err(missing(COMMAND, &format!("unknown input `{what}'"))),
        })
    }
}

/// The evidence for a metric that is absent.
fn missing(command: &str, first: &str) -> String {
    let first = if first.is_empty() { "nothing" } else { first };
    format!("`{command}' is not understood here: {first}")
}

/// `vpp v25.10-release built by root on vm at ...`
fn version_in(line: &str) -> Option<String> {
    let (before, _) = line.split_once(" built by ")?;
    let version = before.split_ascii_whitespace().next_back()?;
    Some(version.strip_prefix('v').unwrap_or(version).to_owned())
}

/// `Time now 45.666594, Mon, 23 Nov 2026 06:43:52 GMT`; older ones end after the number.
fn uptime_in(line: &str) -> Option<f64> {
    let rest = line.trim_start().strip_prefix("Time now ")?;
    let number = rest.split([',', ' ']).next()?;
    number.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
}

/// What `show runtime` says of threads and of the startup configuration.
#[derive(Default)]
struct Runtime {
    threads: Vec<Thread>,
    startup: Option<Startup>,
    tables: usize,
}

impl Runtime {
    fn take(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("Thread ") {
            // `Thread 1 vpp_wk_0 (lcore 2)`; with one thread there is no such line.
            let name = rest.split_ascii_whitespace().nth(1).unwrap_or(rest);
            self.threads.push(Thread { name: name.to_owned(), vector_rate: None, loops: None });
        } else if line.starts_with("Time ") {
            self.rates(line);
        } else if line.split_ascii_whitespace().take(3).eq(["Name", "State", "Calls"]) {
            self.tables += 1;
        } else if let Some(rest) = line.strip_prefix("startup-config-process") {
            self.startup = self.startup.take().or_else(|| startup_in(rest));
        }
    }

    /// `Time 44.8, 10 sec internal node vector rate 1.00 loops/sec 6403598.05`, until 19.04
    /// `Time 5.6, average vectors/node 1.00, last 128 main loops 0.00 per node 0.00`.
    fn rates(&mut self, line: &str) {
        let after = |words: &str| -> Option<f64> {
            let (_, rest) = line.split_once(words)?;
            rest.split([' ', ',']).next()?.parse().ok().filter(|n: &f64| n.is_finite())
        };
        let vector_rate = after(" vector rate ").or_else(|| after(" per node "));
        let loops = after(" loops/sec ");
        match self.threads.last_mut() {
            Some(thread) if thread.vector_rate.is_none() => {
                (thread.vector_rate, thread.loops) = (vector_rate, loops);
            }
            _ => self.threads.push(Thread { name: "vpp_main".to_owned(), vector_rate, loops }),
        }
    }
}

/// State and calls. While it waits it was not called to its end: `time wait`, `any wait`,
/// `event wait`, `suspended`. Afterwards older ones say `done`, those from 25.02 on `not started`.
fn startup_in(rest: &str) -> Option<Startup> {
    let mut state = Vec::new();
    let calls: u64 = rest.split_ascii_whitespace().find_map(|word| {
        let number = word.parse().ok();
        if number.is_none() {
            state.push(word.trim_matches('"'));
        }
        number
    })?;
    let state = state.join(" ");
    let waits = state.contains("wait") || state.contains("suspended");
    Some(if calls >= 1 && !waits { Startup::Done } else { Startup::Running(state) })
}

/// `total: 512.00M, used: 66.93M, ...`, until 18.07
/// `22043 objects, 17878k of 20826k used, 2427k free, ..., 1048572k capacity`; in per cent.
fn use_in(line: &str) -> Option<f64> {
    let dlmalloc = || {
        let (_, rest) = line.split_once("total: ")?;
        let (total, rest) = rest.split_once(", used: ")?;
        Some((bytes(rest.split(',').next()?)?, bytes(total)?))
    };
    let mheap = || {
        let (_, rest) = line.split_once(" objects, ")?;
        let (used, rest) = rest.split_once(" of ")?;
        let (before, _) = rest.split_once(" capacity")?;
        Some((bytes(used)?, bytes(before.rsplit(' ').next()?)?))
    };
    let (used, total) = dlmalloc().or_else(mheap)?;
    (total > 0.0).then_some(used / total * 100.0)
}

/// `66.93M`, `17878k`, `1.00G`, `512`.
fn bytes(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * factor)
}

/// Where in `show buffers` the numbers stand, counted from the end: names may hold spaces.
struct Columns {
    total: usize,
    used: usize,
}

impl Columns {
    fn of(header: &str) -> Self {
        let from_end = |name: &str| {
            let at = header.split_ascii_whitespace().rev().position(|word| word == name);
            at.unwrap_or(usize::MAX)
        };
        Self { total: from_end("Total"), used: from_end("Used") }
    }

    fn pool(&self, row: &str) -> Option<Pool> {
        let number = |at: usize| row.split_ascii_whitespace().rev().nth(at)?.parse().ok();
        let name = row.split_ascii_whitespace().next()?;
        Some(Pool { name: name.to_owned(), total: number(self.total)?, used: number(self.used)? })
    }
}

/// `51  ip4-icmp-input  unknown type  error`: what is no error, or only information, is left out.
fn error_in(line: &str) -> Option<ErrorCounter> {
    let (count, rest) = line.trim().split_once(' ')?;
    let (node, reason) = rest.trim_start().split_once(' ')?;
    let reason = reason.trim();
    let (reason, severity) = match reason.rsplit_once(' ') {
        Some((reason, word @ ("error" | "warn" | "info" | "unknown"))) if reason.ends_with(' ') => {
            (reason.trim_end(), word)
        }
        _ => (reason, "error"),
    };
    if severity == "info" || reason == "no error" {
        return None;
    }
    Some(ErrorCounter { name: format!("{node}: {reason}"), count: count.parse().ok()? })
}

#[cfg(any(test, fuzzing))]
pub(super) fn read_all(lines: &[String]) {
    let mut runtime = Runtime::default();
    for line in lines {
        runtime.take(line);
        Columns::of(line).pool(line);
        use_in(line);
        error_in(line);
        version_in(line);
        uptime_in(line);
        startup_in(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(text: &str) -> Runtime {
        let mut runtime = Runtime::default();
        text.lines().for_each(|line| runtime.take(line));
        runtime
    }

    fn thread(name: &str, vector_rate: f64, loops: Option<f64>) -> Thread {
        Thread { name: name.into(), vector_rate: Some(vector_rate), loops }
    }

    #[test]
    fn captured_runtimes_give_threads_and_the_end_of_the_start() {
        let one =
            runtime(include_str!("../../../tests/fixtures/vpp/25.10-healthy/show_runtime.txt"));
        assert_eq!(one.threads, [thread("vpp_main", 1.0, Some(6_403_598.05))]);
        assert_eq!(one.startup, Some(Startup::Done));
        let two = runtime(include_str!(
            "../../../tests/fixtures/vpp/25.10-healthy_1worker/show_runtime.txt"
        ));
        assert_eq!(two.threads[1], thread("vpp_wk_0", 1.0, Some(9_893_415.23)));
        assert_eq!((two.threads.len(), two.startup), (2, Some(Startup::Done)));
        let old = runtime(include_str!("../../../tests/fixtures/vpp/21.06/show_runtime.txt"));
        assert_eq!(old.threads, [thread("vpp_main", 0.0, Some(2_258_383.36))]);
        assert_eq!(old.startup, Some(Startup::Done));
    }

    /// As VPP printed it until 19.04, with the column of a plugin that measures.
    #[test]
    fn older_runtimes_have_no_loops() {
        let text = "Thread 0 vpp_main (lcore 1)\n\
            Time 3.8, average vectors/node 0.00, last 128 main loops 1.50 per node 2.25\n\
            \x20 vector rates in 0.0000e0, out 0.0000e0, drop 0.0000e0, punt 0.0000e0\n\
            \x20            Name                 State         Calls          Vectors        Suspends         Clocks       Vectors/Call     Perf Ticks   \n\
            acl-plugin-fa-worker-cleaner-pinterrupt wa               7               0               0          9.18e2            0.00            1\n\
            startup-config-process            done                   1               0               1          4.28e3            0.00            1\n\
            ---------------\n\
            Thread 1 vpp_wk_0 (lcore 2)\n\
            Time 3.8, average vectors/node 0.00, last 128 main loops 0.00 per node 0.00\n\
            \x20 vector rates in 0.0000e0, out 0.0000e0, drop 0.0000e0, punt 0.0000e0\n";
        let old = runtime(text);
        assert_eq!(old.threads, [thread("vpp_main", 2.25, None), thread("vpp_wk_0", 0.0, None)]);
        assert_eq!(old.startup, Some(Startup::Done));
    }

    #[test]
    fn a_start_that_waits_is_not_done_whatever_was_called() {
        for (row, startup) in [
            ("  \"suspended\"  0 0 1 7.48e3 0.00", Startup::Running("suspended".into())),
            ("  \"any wait\"  1 0 2 3.58e5 0.00", Startup::Running("any wait".into())),
            ("  time wait  0 0 2 3.58e5 0.00", Startup::Running("time wait".into())),
            ("  active  0 0 2 3.58e5 0.00", Startup::Running("active".into())),
            (" \"not started  1 0 1 1.15e4 0.00", Startup::Done),
            ("  done  1 0 1 1.35e7 0.00", Startup::Done),
        ] {
            assert_eq!(startup_in(row), Some(startup), "{row}");
        }
        assert_eq!(startup_in(" something else"), None);
    }

    #[test]
    fn versions_and_clocks_of_all_times() {
        let version = version_in("vpp v25.10-release built by root on vm at 2026-11-23T06:09:33");
        assert_eq!(version.as_deref(), Some("25.10-release"));
        let version = version_in("vpp v17.10-rc1~7-gab123 built by a b on c at Mon Aug 28");
        assert_eq!(version.as_deref(), Some("17.10-rc1~7-gab123"));
        assert_eq!(version_in("SSH-2.0-OpenSSH"), None);
        assert_eq!(
            uptime_in("Time now 45.666594, Mon, 23 Nov 2026 06:43:52 GMT"),
            Some(45.666_594)
        );
        assert_eq!(uptime_in("Time now 12.5"), Some(12.5));
        assert_eq!(uptime_in("0: Time now 45.6"), None);
    }

    #[test]
    fn memory_of_each_allocator_is_a_share_of_the_whole() {
        let near = |line: &str, percent: f64| {
            let used = use_in(line).unwrap_or(-1.0);
            assert!((used - percent).abs() < 0.01, "{line}: {used}");
        };
        near("    total: 512.00M, used: 66.93M, free: 445.07M, trimmable: 433.92M", 13.07);
        near("  total: 32.00M, used: 549.67K, free: 31.46M, trimmable: 31.39M", 1.68);
        near(
            "22043 objects, 17878k of 20826k used, 2427k free, 2396k reclaimed, 346k overhead, 1048572k capacity",
            1.70,
        );
        near("total: 1.00G, used: 512.00M, free: 512.00M, trimmable: 0", 50.0);
        for line in
            ["", "total: 0, used: 0,", "total: x, used: y,", "numa 0: 19989 pages, 78.08m bytes"]
        {
            assert_eq!(use_in(line), None, "{line}");
        }
    }

    #[test]
    fn pools_are_read_by_the_names_of_their_columns() {
        let header =
            "Pool Name            Index NUMA  Size  Data Size  Total  Avail  Cached   Used  ";
        let row = "default-numa-0         0     0   2304     2048    5978   5466     98      414  ";
        let pool = Pool { name: "default-numa-0".into(), total: 5978, used: 414 };
        assert_eq!(Columns::of(header).pool(row), Some(pool));
        assert_eq!(Columns::of(header).pool(""), None);
    }

    #[test]
    fn errors_are_errors_only() {
        let counter = |line| error_in(line).map(|counter| (counter.name, counter.count));
        assert_eq!(
            counter(
                "        51           ip4-icmp-input                      unknown type              error  "
            ),
            Some(("ip4-icmp-input: unknown type".into(), 51))
        );
        assert_eq!(
            counter("         5              ip4-input               ip4 ttl <= 1"),
            Some(("ip4-input: ip4 ttl <= 1".into(), 5))
        );
        for line in [
            "         2             arp-reply                       ARP replies sent            info   ",
            "        29             bond-input                          no error                error  ",
            "Thread 0 (vpp_main):",
            "",
        ] {
            assert_eq!(counter(line), None, "{line}");
        }
    }
}
