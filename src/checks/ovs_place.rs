//! Which Open vSwitch a check is about: the arguments that every check of one has.

use crate::host::ovs::{self, Database, Place};
use crate::host::words;
use crate::rights;
use std::path::PathBuf;

/// Where an Open vSwitch is, for every check of one.
#[derive(Debug, clap::Args)]
pub struct PlaceArgs {
    /// Run directory [default: $OVS_RUNDIR, /var/run/openvswitch]
    #[arg(long, value_name = "DIR", value_parser = words::absolute)]
    pub rundir: Option<PathBuf>,
    /// Database, unix:PATH or tcp:ADDRESS:PORT [default: unix:RUNDIR/db.sock]
    #[arg(long, value_name = "REMOTE")]
    pub db: Option<Database>,
}

impl PlaceArgs {
    /// The place. Rights that the caller does not have are not lent to a path of the caller's.
    ///
    /// # Errors
    /// `OVS_RUNDIR` is no path.
    pub fn place(&self) -> Result<Place, String> {
        let rundir = match (&self.rundir, std::env::var_os("OVS_RUNDIR")) {
            (Some(rundir), _) => rundir.clone(),
            (None, Some(dir)) if !dir.is_empty() => words::absolute(&dir.to_string_lossy())
                .map_err(|why| format!("OVS_RUNDIR: {why}"))?,
            (None, _) => PathBuf::from(ovs::RUNDIR),
        };
        if self.is_the_callers() {
            rights::give_up(rights::DAC_OVERRIDE);
        }
        Ok(Place::new(rundir, self.db.clone()))
    }

    fn is_the_callers(&self) -> bool {
        self.rundir.is_some() || self.db.is_some()
    }

    /// Lays down what is not needed to connect to the place: where it is the caller's, all and for good,
    /// though there be another look.
    pub fn lay_down_other_rights(&self) {
        if self.is_the_callers() {
            rights::give_up_all();
        } else {
            rights::renounce_all_but(&[rights::DAC_OVERRIDE]);
        }
    }
}
