//! Runs programs in turn (A B C A B C ...) and prints what each costs.
//!
//! `measure [--runs N] [--warm N] PROGRAM [--vs PROGRAM]...`
//! with PROGRAM: `[--name NAME] [--baseline NAME] PATH [ARGUMENT]...`
//!
//! Columns: name; wall time from before the spawn to after the wait, median and 90th percentile;
//! the median as a multiple of the first program's and of its baseline's; CPU time, user and
//! system, median; peak memory, the largest of all runs; exit codes.
//!
//! The kernel counts the launcher's memory as the child's at the moment of its exec. So this is
//! tiny, and the figure for an empty program is the floor of that column: no program can show less.
use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Instant;

#[repr(C)]
#[derive(Default)]
struct TimeVal {
    seconds: c_long,
    micros: c_long,
}

/// `struct rusage` of Linux.
#[repr(C)]
#[derive(Default)]
struct Usage {
    user: TimeVal,
    system: TimeVal,
    max_rss_kib: c_long,
    others: [c_long; 13],
}

/// `posix_spawn_file_actions_t`, with room to spare: glibc has 80 bytes, musl 80.
#[repr(C, align(16))]
struct FileActions([u8; 256]);

unsafe extern "C" {
    static environ: *const *mut c_char;
    fn posix_spawn_file_actions_init(actions: *mut FileActions) -> c_int;
    fn posix_spawn_file_actions_addopen(
        actions: *mut FileActions,
        fd: c_int,
        path: *const c_char,
        flags: c_int,
        mode: u32,
    ) -> c_int;
    fn posix_spawn(
        pid: *mut c_int,
        path: *const c_char,
        actions: *const FileActions,
        attributes: *const c_void,
        argv: *const *mut c_char,
        envp: *const *mut c_char,
    ) -> c_int;
    fn wait4(pid: c_int, status: *mut c_int, options: c_int, usage: *mut Usage) -> c_int;
}

const O_RDWR: c_int = 2;

struct Program {
    name: String,
    baseline: Option<String>,
    words: Vec<CString>,
    /// Nanoseconds.
    wall: Vec<u64>,
    /// Microseconds.
    cpu: Vec<u64>,
    peak_kib: i64,
    /// Exit codes seen, 128 and more for signals.
    codes: Vec<i32>,
}

impl Program {
    fn parse(words: &[String]) -> Result<Self, String> {
        let (mut name, mut baseline, mut rest) = (None, None, words);
        loop {
            match rest {
                [option, value, more @ ..] if option == "--name" => (name, rest) = (Some(value), more),
                [option, value, more @ ..] if option == "--baseline" => {
                    (baseline, rest) = (Some(value), more);
                }
                [] => return Err("a program is missing".to_owned()),
                _ => break,
            }
        }
        let c_words = rest.iter().map(|word| CString::new(word.as_str()));
        Ok(Self {
            name: name.unwrap_or(&rest[0]).clone(),
            baseline: baseline.cloned(),
            words: c_words.collect::<Result<_, _>>().map_err(|e| e.to_string())?,
            wall: Vec::new(),
            cpu: Vec::new(),
            peak_kib: 0,
            codes: Vec::new(),
        })
    }

    fn run(&mut self, actions: &FileActions, counts: bool) -> Result<(), String> {
        let mut argv: Vec<*mut c_char> = self.words.iter().map(|w| w.as_ptr().cast_mut()).collect();
        argv.push(std::ptr::null_mut());
        let (mut pid, mut status, mut usage) = (0, 0, Usage::default());
        let start = Instant::now();
        // SAFETY: all pointers are valid for the calls; argv and environ end with a null.
        let (spawned, waited) = unsafe {
            let path = self.words[0].as_ptr();
            let spawned =
                posix_spawn(&mut pid, path, actions, std::ptr::null(), argv.as_ptr(), environ);
            (spawned, if spawned == 0 { wait4(pid, &mut status, 0, &mut usage) } else { 0 })
        };
        let wall = start.elapsed();
        if spawned != 0 || waited != pid {
            let e = std::io::Error::from_raw_os_error(spawned);
            return Err(format!("{}: {e}", self.words[0].to_string_lossy()));
        }
        let code = if status & 0x7f == 0 { status >> 8 & 0xff } else { 128 + (status & 0x7f) };
        if !self.codes.contains(&code) {
            self.codes.push(code);
        }
        if counts {
            self.wall.push(wall.as_nanos() as u64);
            let micros = |t: &TimeVal| t.seconds * 1_000_000 + t.micros;
            self.cpu.push((micros(&usage.user) + micros(&usage.system)) as u64);
            self.peak_kib = self.peak_kib.max(usage.max_rss_kib);
        }
        Ok(())
    }
}

/// The value that this share of all values does not exceed; sorted values.
fn quantile(sorted: &[u64], hundredths: usize) -> u64 {
    sorted[(sorted.len() - 1) * hundredths / 100]
}

fn number(text: &str, least: usize) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n >= least).ok_or(format!("'{text}' is no number of runs"))
}

fn measured() -> Result<String, String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (mut runs, mut warm, mut rest) = (300, 3, args.as_slice());
    loop {
        match rest {
            [option, n, more @ ..] if option == "--runs" => (runs, rest) = (number(n, 1)?, more),
            [option, n, more @ ..] if option == "--warm" => (warm, rest) = (number(n, 0)?, more),
            _ => break,
        }
    }
    let programs = rest.split(|arg| arg == "--vs").map(Program::parse);
    let mut programs = programs.collect::<Result<Vec<_>, _>>()?;

    let mut actions = FileActions([0; 256]);
    // SAFETY: the actions outlive their use, the path is a constant.
    let prepared = unsafe {
        let null = c"/dev/null".as_ptr();
        posix_spawn_file_actions_init(&mut actions) == 0
            && (0..3).all(|fd| posix_spawn_file_actions_addopen(&mut actions, fd, null, O_RDWR, 0) == 0)
    };
    if !prepared {
        return Err("posix_spawn_file_actions".to_owned());
    }
    for program in &mut programs {
        program.wall.reserve_exact(runs);
        program.cpu.reserve_exact(runs);
    }
    for round in 0..warm + runs {
        for program in &mut programs {
            program.run(&actions, round >= warm)?;
        }
    }
    for program in &mut programs {
        program.wall.sort_unstable();
        program.cpu.sort_unstable();
    }
    table(&programs)
}

fn table(programs: &[Program]) -> Result<String, String> {
    let median = |p: &Program| quantile(&p.wall, 50) as f64;
    let width = programs.iter().map(|p| p.name.len()).max().unwrap_or(0).max(4);
    let mut text = format!(
        "{:width$} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8}  exit\n",
        "name", "median_us", "p90_us", "x_first", "x_base", "cpu_us", "peak_KiB"
    );
    for p in programs {
        let of_baseline = match &p.baseline {
            None => "-".to_owned(),
            Some(name) => {
                let base = programs.iter().find(|other| other.name == *name);
                let base = base.ok_or(format!("no program has the name {name}"))?;
                format!("{:.3}", median(p) / median(base))
            }
        };
        let codes: Vec<String> = p.codes.iter().map(i32::to_string).collect();
        writeln!(
            text,
            "{:width$} {:>10.1} {:>10.1} {:>8.3} {:>8} {:>8} {:>8}  {}",
            p.name,
            median(p) / 1000.0,
            quantile(&p.wall, 90) as f64 / 1000.0,
            median(p) / median(&programs[0]),
            of_baseline,
            quantile(&p.cpu, 50),
            p.peak_kib,
            codes.join(",")
        )
        .map_err(|e| e.to_string())?;
    }
    Ok(text)
}

fn main() -> ExitCode {
    match measured() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("measure: {why}");
            ExitCode::FAILURE
        }
    }
}
