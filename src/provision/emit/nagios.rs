//! Nagios: per host its services, and for the NRPE on that host the commands they mean. The server
//! sends a name and no argument, so that NRPE needs no `dont_blame_nrpe`.

use crate::plugin::text;
use crate::provision::emit::{Content, INTERVAL, Programs, Tree, seconds};
use crate::provision::inventory::Trouble;
use crate::provision::plan::{HostPlan, Plan};
use std::fmt::Write as _;

/// What NRPE reads of a line (MAX_INPUT_BUFFER of its common.h, with its end).
const NRPE_LINE: usize = 2047;

/// The host is up when NRPE answers. Who wants to be told joins the contact group from a contact of
/// the site's own (`contactgroups calipso`); the one here is only there because Nagios wants one.
/// Times are in units of Nagios' interval_length, 60 s.
const COMMON: &str = "\
define command {
    command_name    calipso_nrpe_alive
    command_line    $USER1$/check_nrpe -H $HOSTADDRESS$
}

define command {
    command_name    calipso_nrpe
    command_line    $USER1$/check_nrpe -H $HOSTADDRESS$ -t $ARG2$ -c $ARG1$
}

define command {
    command_name    calipso_tell_nobody
    command_line    /bin/true
}

define timeperiod {
    timeperiod_name    calipso-always
    alias              Always
    sunday             00:00-24:00
    monday             00:00-24:00
    tuesday            00:00-24:00
    wednesday          00:00-24:00
    thursday           00:00-24:00
    friday             00:00-24:00
    saturday           00:00-24:00
}

define contact {
    contact_name                     calipso-nobody
    host_notifications_enabled       0
    service_notifications_enabled    0
    host_notification_period         calipso-always
    service_notification_period      calipso-always
    host_notification_options        n
    service_notification_options     n
    host_notification_commands       calipso_tell_nobody
    service_notification_commands    calipso_tell_nobody
}

define contactgroup {
    contactgroup_name    calipso
    alias                Calipso
    members              calipso-nobody
}

define host {
    name                   calipso-host
    register               0
    check_command          calipso_nrpe_alive
    max_check_attempts     3
    check_interval         1
    retry_interval         1
    check_period           calipso-always
    notification_period    calipso-always
    contact_groups         calipso
}

define service {
    name                   calipso-service
    register               0
    max_check_attempts     1
    check_period           calipso-always
    notification_period    calipso-always
    contact_groups         calipso
}
";

/// The files, and what NRPE cannot take.
pub fn files(plan: &Plan, programs: &Programs) -> (Tree, Vec<Trouble>) {
    let mut tree = Tree::new();
    let mut troubles = Vec::new();
    tree.insert("nagios/calipso.cfg".to_owned(), Content::open(COMMON.to_owned()));
    for host in plan.hosts.values() {
        let (services, commands) = services_and_commands(host, programs, &mut troubles);
        let path = format!("nagios/hosts/{}.cfg", host.directory);
        tree.insert(path, Content::open(services));
        tree.insert(format!("host/{}/nrpe.cfg", host.directory), Content::of(commands, host));
    }
    (tree, troubles)
}

fn services_and_commands(
    host: &HostPlan,
    programs: &Programs,
    troubles: &mut Vec<Trouble>,
) -> (String, String) {
    let mut services = format!(
        "define host {{\n    use          calipso-host\n    host_name    {}\n    address      {}\n}}\n",
        host.client, host.address
    );
    let mut commands = String::new();
    for (name, check) in &host.checks {
        // NRPE takes `$NAME$` for one of its macros, and `$$` for a `$`.
        let line = format!("command[{name}]={}", programs.line(check).replace('$', "$$"));
        if line.len() > NRPE_LINE {
            let why = format!("its command is longer than NRPE reads, {NRPE_LINE} bytes");
            let object = format!("{} '{}'", check.kind, check.id);
            troubles.push(Trouble { object, why });
            continue;
        }
        let interval = seconds(check, "interval").unwrap_or(INTERVAL);
        let timeout = seconds(check, "timeout").unwrap_or(interval);
        let minutes = text::number(interval as f64 / 60.0);
        // Writing to a String cannot fail. NRPE must answer before check_nrpe gives up.
        write!(
            services,
            "\ndefine service {{\n    use                    calipso-service\n    \
             host_name              {}\n    service_description    {name}\n    \
             check_command          calipso_nrpe!{name}!{}\n    \
             check_interval         {minutes}\n    retry_interval         {minutes}\n}}\n",
            host.client,
            timeout + 2,
        )
        .ok();
        writeln!(commands, "{line}").ok();
    }
    (services, commands)
}
