//! What the previous run saw, so that counters become rates and changes are noticed.
//!
//! One small file per check and object set, in memory-backed `/run/calipso-checks/UID/` (or
//! `$XDG_RUNTIME_DIR/calipso-checks/` for people), read and written only when asked for.

use crate::plugin::report::Report;
use nix::dir::Dir;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The readings of an earlier moment.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Which boot they belong to.
    boot: String,
    /// Seconds since that boot, suspended time included.
    at: f64,
    /// By metric key or remembered name.
    values: BTreeMap<String, f64>,
    /// Why there is none, for the evidence.
    #[serde(skip)]
    pub missing: Option<String>,
}

impl Past {
    /// The present, from the counters and remembered values of a report.
    pub fn of(report: &Report) -> Self {
        let mut values: BTreeMap<_, _> = report.remember.iter().cloned().collect();
        let counters = report.metrics.iter().filter(|m| m.is_counter());
        values.extend(counters.map(|m| (m.key(), m.value)));
        Self { boot: boot_id(), at: since_boot(), values, missing: None }
    }

    /// A remembered value.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// Adds the rates of a report's counters since then; says why where there is none.
    pub fn add_rates(&self, report: &mut Report, wanted: impl Fn(&str) -> bool) {
        if let Some(why) = &self.missing {
            report.note(format!("no rates yet: {why}"));
            return;
        }
        let seconds = since_boot() - self.at;
        if self.boot != boot_id() || seconds < 0.05 {
            report.note("no rates: the previous reading is less than 50 ms old or of another boot");
            return;
        }
        let mut rates = Vec::new();
        let mut resets = 0;
        for metric in report.metrics.iter().filter(|m| m.is_counter()) {
            let listed = metric.spec.listed_with.is_some_and(|with| self.values.contains_key(with));
            match self.value(&metric.key()).or(listed.then_some(0.0)) {
                Some(before) if metric.value < before => resets += 1,
                Some(before) => rates.push(metric.rate((metric.value - before) / seconds)),
                None => {}
            }
        }
        rates.retain(|rate| wanted(&rate.name()));
        report.fine(format!("rates over {seconds:.1} s"));
        if resets > 0 {
            report.note(format!("{resets} counters were reset since: no rate of them"));
        }
        report.metrics.extend(rates);
    }

    fn absent(why: impl Into<String>) -> Self {
        Self { missing: Some(why.into()), ..Self::default() }
    }
}

/// What was loaded in this process, by name. Where many checks run in one, two of one set of objects
/// compare with the run before, and not with each other.
static LOADED: Mutex<Option<BTreeMap<String, Past>>> = Mutex::new(None);

/// From now on each past is loaded once.
pub fn load_once() {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
}

/// Where one check keeps its past for one set of objects.
pub struct Store {
    name: String,
}

impl Store {
    /// The place of a check whose arguments print as `object_set`.
    pub fn new(check: &str, object_set: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        object_set.hash(&mut hasher);
        Self { name: format!("{check}-{:016x}", hasher.finish()) }
    }

    /// What the previous run saw.
    pub fn load(&self) -> Past {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded.as_mut() {
            None => self.read(),
            Some(known) => known.entry(self.name.clone()).or_insert_with(|| self.read()).clone(),
        }
    }

    fn read(&self) -> Past {
        let dir = match open_place(false) {
            Ok(Some(dir)) => dir,
            Ok(None) => return Past::absent("this is the first run"),
            Err(why) => return Past::absent(why),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let Ok(file) = openat(&dir, self.name.as_str(), flags, Mode::empty()) else {
            return Past::absent("this is the first run");
        };
        let mut text = String::new();
        match File::from(file).take(1 << 20).read_to_string(&mut text) {
            Ok(_) => serde_json::from_str(&text)
                .unwrap_or_else(|_| Past::absent("the previous reading is damaged")),
            Err(e) => Past::absent(format!("the previous reading: {e}")),
        }
    }

    /// Keeps a past for the next run: a new file, renamed into place.
    ///
    /// # Errors
    /// Why it could not be kept, for the evidence.
    pub fn save(&self, past: &Past) -> Result<(), String> {
        let dir = open_place(true)?.ok_or("no place to keep a reading")?;
        let text = serde_json::to_string(past).map_err(|e| e.to_string())?;
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let new = format!("{}.{}.{number}", self.name, std::process::id());
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(&dir, new.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|e| format!("{}: {e}", self.name))?;
        let written = File::from(file).write_all(text.as_bytes());
        let kept = written.map_err(|e| e.to_string()).and_then(|()| {
            renameat(&dir, new.as_str(), &dir, self.name.as_str()).map_err(|e| e.to_string())
        });
        if kept.is_err() {
            unlinkat(&dir, new.as_str(), UnlinkatFlags::NoRemoveDir).ok();
        }
        kept.map_err(|e| format!("{}: {e}", self.name))
    }
}

/// The first place that is ours and nobody else's; `None` where there is none yet and none is to be
/// made.
fn open_place(make: bool) -> Result<Option<Dir>, String> {
    let uid = geteuid();
    let run = PathBuf::from("/run/calipso-checks");
    // Like /tmp: each user makes one of their own, and whose it is is checked.
    if make && uid.is_root() && DirBuilder::new().create(&run).is_ok() {
        let sticky = Permissions::from_mode(0o1777);
        std::fs::set_permissions(&run, sticky).map_err(|e| format!("{}: {e}", run.display()))?;
    }
    let mut places = vec![run.join(uid.to_string())];
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    places.extend(runtime.map(|runtime| PathBuf::from(runtime).join("calipso-checks")));
    let mut why = Vec::new();
    for place in places {
        if make {
            // Existing already is the usual case; any other failure shows in the open below.
            DirBuilder::new().mode(0o700).create(&place).ok();
        }
        match open_own(&place) {
            Ok(Some(dir)) => return Ok(Some(dir)),
            Ok(None) => {}
            Err(trouble) => why.push(trouble),
        }
    }
    match (why.is_empty(), make) {
        (true, false) => Ok(None),
        (true, true) => Err(format!(
            "no place to keep a reading: make /run/calipso-checks/{uid} for user {uid} (mode 700)"
        )),
        (false, _) => Err(format!("no place to keep a reading: {}", why.join("; "))),
    }
}

fn open_own(path: &Path) -> Result<Option<Dir>, String> {
    let say = |why: &str| format!("{}: {why}", path.display());
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let dir = match Dir::open(path, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(nix::errno::Errno::ENOENT) => return Ok(None),
        Err(e) => return Err(say(e.desc())),
    };
    let stat = fstat(&dir).map_err(|e| say(e.desc()))?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(say("belongs to another user"));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(say("others may write there"));
    }
    Ok(Some(dir))
}

fn since_boot() -> f64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map_or(0.0, |now| std::time::Duration::from(now).as_secs_f64())
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::check_ovs_port::metric;

    fn report(errors: f64) -> Report {
        let mut report = Report::about("tap1");
        report.measure_of("tap1", metric::RX_ERRORS, errors);
        report.measure_of("tap1", metric::MTU, 1500.0);
        report
    }

    #[test]
    fn counters_become_rates_and_levels_do_not() {
        let mut past = Past::of(&report(100.0));
        past.at -= 10.0;
        let mut now = report(150.0);
        past.add_rates(&mut now, |_| true);
        let rates: Vec<_> = now.metrics.iter().filter(|m| m.is_rate).collect();
        assert_eq!(rates.len(), 1);
        assert!((rates[0].value - 5.0).abs() < 0.1, "{}", rates[0].value);
        assert_eq!(rates[0].name(), "rx_errors_rate");
    }

    #[test]
    fn a_counter_that_is_listed_only_when_it_counts_was_0_before() {
        use crate::manifest::check_vedge_vpp::metric;
        let report = |errors: &[(&str, f64)]| {
            let mut report = Report::about("VPP");
            report.measure(metric::ERRORS, errors.iter().map(|(_, count)| count).sum::<f64>());
            for (counter, count) in errors {
                report.measure_of(counter, metric::ERROR_COUNT, *count);
            }
            report
        };
        let rate_since = |mut past: Past| {
            past.at -= 10.0;
            let mut now = report(&[("ip4-input.ttl", 100.0)]);
            past.add_rates(&mut now, |name| name == "error_count_rate");
            now.metrics.iter().find(|metric| metric.is_rate).map(|metric| metric.value.round())
        };
        assert_eq!(rate_since(Past::of(&report(&[]))), Some(10.0));
        // Errors were not read then: nothing is known of any.
        assert_eq!(rate_since(Past::of(&Report::about("VPP"))), None);
    }

    #[test]
    fn a_reset_another_boot_or_no_reading_give_no_rate() {
        let mut reset = Past::of(&report(100.0));
        reset.at -= 10.0;
        let mut other_boot = reset.clone();
        other_boot.boot = "another".into();
        let now = Past::of(&report(1.0));
        for past in [reset, other_boot, now, Past::absent("this is the first run")] {
            let mut report = report(50.0);
            past.add_rates(&mut report, |_| true);
            assert!(!report.metrics.iter().any(|m| m.is_rate), "{past:?}");
            assert!(report.evidence.iter().any(|e| !e.fine), "it says why: {past:?}");
        }
    }
}
