//! Less is enough: what a check may do is trimmed to what its manifest entry names.

use caps::{CapSet, Capability, CapsHashSet};
use std::str::FromStr;

/// Whether the program runs with more rights than its caller (file capabilities), so that
/// the caller's environment must not choose what it opens.
pub fn elevated() -> bool {
    // SAFETY: getauxval reads the auxiliary vector that the kernel passed.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Keeps only these capabilities, named as `setcap` does.
///
/// # Errors
/// Which kernel call refused; the check must then not go on.
pub fn keep_only(names: &[&str]) -> Result<(), String> {
    let failed = |e: caps::errors::CapsError| format!("cannot drop capabilities: {e}");
    let held = caps::read(None, CapSet::Permitted).map_err(failed)?;
    if held.is_empty() {
        return Ok(());
    }
    let wanted: CapsHashSet =
        names.iter().filter_map(|name| Capability::from_str(&name.to_uppercase()).ok()).collect();
    let kept: CapsHashSet = held.intersection(&wanted).copied().collect();
    if kept != held {
        caps::set(None, CapSet::Effective, &kept).map_err(failed)?;
        caps::set(None, CapSet::Permitted, &kept).map_err(failed)?;
    }
    Ok(())
}

/// Drops everything when a caller who has less than us chose the path to be opened.
///
/// # Errors
/// As [`keep_only`].
pub fn before_opening(callers_path: bool) -> Result<(), String> {
    if callers_path && elevated() { keep_only(&[]) } else { Ok(()) }
}

/// Looks at a path that the caller chose without any capability in effect, and goes on with them:
/// for checks that need theirs for something else.
///
/// # Errors
/// As [`keep_only`].
pub fn lowered<T>(look: impl FnOnce() -> T) -> Result<T, String> {
    if !elevated() {
        return Ok(look());
    }
    let failed = |e: caps::errors::CapsError| format!("cannot lower capabilities: {e}");
    let effective = caps::read(None, CapSet::Effective).map_err(failed)?;
    caps::clear(None, CapSet::Effective).map_err(failed)?;
    let seen = look();
    caps::set(None, CapSet::Effective, &effective).map_err(failed)?;
    Ok(seen)
}
