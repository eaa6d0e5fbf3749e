//! Nagios: per host its services, and for the NRPE on that host the commands they mean. The server
//! sends a name and no argument, so that NRPE needs no `dont_blame_nrpe`.

use crate::plugin::text;
use crate::provision::emit::{Content, INTERVAL, Programs, Tree, seconds};
use crate::provision::inventory::Trouble;
use crate::provision::plan::{HostPlan, Plan};
use std::fmt::Write as _;

/// What NRPE reads of a line (MAX_INPUT_BUFFER of its common.h, with its end).
const NRPE_LINE: usize = 2047;

/// Host check: NRPE itself answers. Times are in units of Nagios' interval_length, 60 s.
const COMMON: &str = "\
define command {
    command_name    calipso_nrpe_alive
    command_line    $USER1$/check_nrpe -H $HOSTADDRESS$
}

define command {
    command_name    calipso_nrpe
    command_line    $USER1$/check_nrpe -H $HOSTADDRESS$ -t $ARG2$ -c $ARG1$
}

define host {
    name                    calipso-host
    register                0
    check_command           calipso_nrpe_alive
    max_check_attempts      3
    check_interval          1
    retry_interval          1
}

define service {
    name                    calipso-service
    register                0
    max_check_attempts      1
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
        tree.insert(format!("host/{}/nrpe.cfg", host.directory), Content::open(commands));
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
        let line = format!("command[{name}]={}", programs.line(check));
        if line.len() > NRPE_LINE {
            let object = format!("{} '{}'", check.kind, check.id);
            let why = format!("its command is longer than NRPE reads, {NRPE_LINE} bytes");
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
