//! A network device of the host: exists, is switched on, has link.

use crate::checks::Check;
use crate::checks::device::{self, DeviceCodes};
use crate::host::link::{DeviceName, Link};
use crate::host::{Host, Trouble};
use crate::manifest::check_pnic_ovs::{SPEC, code, fact, metric};
use crate::plugin::code::UNREADABLE;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;

/// See [`SPEC`].
pub struct PnicOvs;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Device name, as `ip link` shows it (eth1, eth1@if3, bond0.100)
    pub nic: DeviceName,
}

/// The facts.
#[derive(Debug)]
pub struct Facts {
    /// The device, if there is one.
    pub link: Result<Option<Link>, Trouble>,
    /// The name of the device it is enslaved to.
    pub master: Option<String>,
}

const CODES: DeviceCodes = DeviceCodes {
    admin_down: code::ADMIN_DOWN,
    link_down: code::LINK_DOWN,
    not_ready: code::NOT_READY,
};

impl Check for PnicOvs {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn gather(args: &Args, host: &Host) -> Facts {
        let mut link = host.link(args.nic.as_str());
        if let (Ok(None), Some(name)) = (&link, args.nic.without_partner()) {
            link = host.link(name.as_str());
        }
        let mut master = None;
        if let Ok(Some(link)) = &mut link {
            host.ask_driver(link);
            master = link.master.and_then(|index| host.link_by_index(index).ok()?);
        }
        Facts { link, master: master.map(|link| link.name) }
    }

    fn judge(facts: &Facts, args: &Args, _past: &Past) -> Report {
        let mut report = Report::about(args.nic.as_str());
        match &facts.link {
            Ok(Some(link)) => judge_link(&mut report, link, facts.master.as_deref()),
            Ok(None) => {
                report.find(
                    code::ABSENT,
                    format!("{} does not exist in this network namespace", args.nic),
                );
            }
            Err(trouble) => report.find(&UNREADABLE, trouble.to_string()),
        }
        report
    }
}

fn judge_link(report: &mut Report, link: &Link, master: Option<&str>) {
    let name = &link.name;
    let fault = device::fault(link, &CODES);
    let works = fault.is_none();
    if let Some((code, what)) = fault {
        report.find(code, format!("{name} {what}"));
    }
    report.when_ok = format!("{name} is up{}, MTU {}", speed_words(link), link.mtu);
    report.fine(evidence(link, master));
    measure(report, link, works);
    report.fact(fact::OPERSTATE.name, None, link.operstate.to_string());
    report.fact(fact::KIND.name, None, kind(link));
    if link.master.is_none() || master.is_some() {
        report.fact(fact::MASTER.name, None, master.unwrap_or("none"));
    }
    if let Some(duplex) = link.duplex {
        report.fact(fact::DUPLEX.name, None, duplex);
    }
}

fn speed_words(link: &Link) -> String {
    let duplex = link.duplex.map(|duplex| format!(" {duplex} duplex")).unwrap_or_default();
    match link.speed {
        Some(speed) if speed % 1000 == 0 => format!(", {} Gbit/s{duplex}", speed / 1000),
        Some(speed) => format!(", {speed} Mbit/s{duplex}"),
        None => String::new(),
    }
}

fn kind(link: &Link) -> &str {
    let unnamed = if link.loopback { "loopback" } else { "physical" };
    link.kind.as_deref().unwrap_or(unnamed)
}

fn evidence(link: &Link, master: Option<&str>) -> String {
    let onoff = |up| if up { "up" } else { "down" };
    let kind = kind(link);
    let master = master.map(|master| format!(", enslaved to {master}")).unwrap_or_default();
    format!(
        "{}: {kind}, admin {}, carrier {}, operstate {}{}{master} (netlink)",
        link.name,
        onoff(link.admin_up),
        onoff(link.lower_up),
        link.operstate,
        speed_words(link),
    )
}

fn measure(report: &mut Report, link: &Link, works: bool) {
    let name = link.name.as_str();
    report.measure_of(name, metric::LINK_STATE, f64::from(u8::from(works)));
    report.measure_of(name, metric::SPEED, link.speed.map(f64::from));
    report.measure_of(name, metric::MTU, f64::from(link.mtu));
    report.measure_of(name, metric::CARRIER_CHANGES, link.carrier_changes.map(f64::from));
    let Some(counters) = link.counters else { return };
    for (spec, value) in [
        (metric::RX_BYTES, counters.rx_bytes),
        (metric::TX_BYTES, counters.tx_bytes),
        (metric::RX_PACKETS, counters.rx_packets),
        (metric::TX_PACKETS, counters.tx_packets),
        (metric::RX_ERRORS, counters.rx_errors),
        (metric::TX_ERRORS, counters.tx_errors),
        (metric::RX_DROPPED, counters.rx_dropped),
        (metric::TX_DROPPED, counters.tx_dropped),
    ] {
        report.measure_of(name, spec, value as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::link::OperState;

    fn judged(link: Option<Link>) -> Report {
        let args = Args { nic: "eth1".parse().expect("a name") };
        PnicOvs::judge(&Facts { link: Ok(link), master: None }, &args, &Past::default())
    }

    fn link(admin_up: bool, lower_up: bool, operstate: OperState) -> Option<Link> {
        Some(Link { name: "eth1".into(), admin_up, lower_up, operstate, ..Link::default() })
    }

    #[test]
    fn works_is_admin_up_carrier_and_operstate_up_or_unknown() {
        for state in [OperState::Up, OperState::Unknown] {
            assert_eq!(judged(link(true, true, state)).findings, [], "{state}");
        }
    }

    #[test]
    fn each_way_of_not_working_has_its_code() {
        let cases = [
            (None, "absent"),
            (link(false, false, OperState::Down), "admin-down"),
            (link(true, false, OperState::Down), "link-down"),
            (link(true, false, OperState::LowerLayerDown), "link-down"),
            (link(true, false, OperState::Unknown), "link-down"),
            (link(true, true, OperState::Down), "link-down"),
            (link(true, true, OperState::NotPresent), "link-down"),
            (link(true, true, OperState::Dormant), "not-ready"),
            (link(true, true, OperState::Testing), "not-ready"),
        ];
        for (link, code) in cases {
            let codes: Vec<_> = judged(link.clone()).findings.iter().map(|f| f.code.name).collect();
            assert_eq!(codes, [code], "{link:?}");
        }
    }
}
