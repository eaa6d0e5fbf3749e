//! A VPP that answers at once, and a client that asks it and does nothing else.
//!
//! `vpp serve SOCKET INTERFACES`   virtual interfaces and four NICs; the commands of the first
//!                                 visit are written to SOCKET.commands
//! `vpp ask SOCKET`                runs the commands of SOCKET.commands over one connection
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;

const GREETING: &[u8] = b"\xff\xfc\x22\xff\xfe\x22\xff\xfb\x03\xff\xfd\x03\xff\xfb\x01\xff\xfe\x01\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0\xff\xfd\x1f\xff\xfa\x1f\x01\xff\xf0";
const TERMINAL: &[u8] = b"\xff\xfa\x18\x00vppctl\xff\xf0";

struct Vpp {
    interface: String,
    software: HashMap<String, String>,
    hardware: HashMap<String, String>,
}

const SOFTWARE: &str = "              Name               Idx    State  MTU (L3/IP4/IP6/MPLS)     Counter          Count     \r\n";
const HARDWARE: &str = "              Name                Idx   Link  Hardware\r\n";
const RUNTIME: &str = "Time 44.8, 10 sec internal node vector rate 1.00 loops/sec 6403598.05\r\n  vector rates in 2.1651e0, out 1.2500e0, drop 1.0714e0, punt 1.0491e0\r\n             Name                 State         Calls          Vectors        Suspends         Clocks       Vectors/Call  \r\n";

impl Vpp {
    fn new(virtual_interfaces: usize) -> Self {
        let nics = (0..4).map(|i| format!("GigabitEthernet0/{i}/0"));
        let guests = (0..virtual_interfaces).map(|i| format!("VirtualEthernet0/0/{i}"));
        let mut vpp =
            Self { interface: SOFTWARE.to_owned(), software: HashMap::new(), hardware: HashMap::new() };
        let gap = " ".repeat(68);
        for (i, name) in nics.chain(guests).enumerate() {
            let mut row = format!("{name:<32}{:^5}{:^10}{:^21}", i + 1, "up", "9000/0/0/0");
            let counters = ["rx packets", "rx bytes", "tx packets", "tx bytes", "drops", "ip4"];
            for (nth, counter) in counters.into_iter().enumerate() {
                let gap = if nth == 0 { "" } else { gap.as_str() };
                write!(row, "{gap}{counter:<16}{:>16}\r\n", i * 1000 + nth + 1).expect("a String");
            }
            vpp.interface.push_str(&row);
            vpp.software.insert(name.clone(), row);
            let row = format!(
                "{name:<32}{:^6}{:^8}{name}\r\n  Link speed: unknown\r\n  RX Queues:\r\n    queue thread         mode      \r\n    0     main (0)       polling   \r\n",
                i + 1,
                "up"
            );
            vpp.hardware.insert(name, row);
        }
        vpp
    }

    fn reply(&self, command: &str) -> String {
        let named = |head: &str, rows: &HashMap<String, String>, names: &str| {
            let rows = names.split(' ').map(|name| rows.get(name).map_or("", String::as_str));
            std::iter::once(head).chain(rows).collect::<String>()
        };
        if let Some(names) = command.strip_prefix("show hardware-interfaces brief ") {
            return named(HARDWARE, &self.hardware, names);
        }
        if let Some(names) = command.strip_prefix("show interface ") {
            return named(SOFTWARE, &self.software, names);
        }
        match command {
            "show interface" => self.interface.clone(),
            "show version" => "vpp v25.10-release built by root on vm at now\r\n".to_owned(),
            "show runtime" => {
                let nodes = (0..70).map(|i| format!("{:<30}{:^17}{i:>16}{i:>16}{i:>16}{:>16}{:>16}\r\n", format!("node-{i}"), "active", "7.14e3", "1.20"));
                let startup = "startup-config-process        \"not started               1               0               1          1.15e4            0.00\r\n";
                RUNTIME.to_owned() + &nodes.collect::<String>() + startup
            }
            _ => format!("unknown input `{command}'\r\n"),
        }
    }
}

fn serve(socket: &str, interfaces: usize) -> Result<(), String> {
    let vpp = Vpp::new(interfaces);
    let listener = UnixListener::bind(socket).map_err(|e| format!("{socket}: {e}"))?;
    let mut buffer = vec![0; 64 << 10];
    let mut first = Some(String::new());
    for stream in listener.incoming() {
        let mut stream = stream.map_err(|e| e.to_string())?;
        stream.write_all(GREETING).ok();
        loop {
            let length = stream.read(&mut buffer).unwrap_or(0);
            let said = &buffer[..length];
            let said = said.strip_prefix(TERMINAL).unwrap_or(said);
            let command = String::from_utf8_lossy(said).trim_end().to_owned();
            if length == 0 || command == "quit" {
                stream.write_all(b"\0").ok();
                break;
            }
            if let Some(commands) = &mut first {
                writeln!(commands, "{command}").expect("a String");
            }
            let mut reply = vpp.reply(&command);
            reply.push('\0');
            if stream.write_all(reply.as_bytes()).is_err() {
                break;
            }
        }
        if let Some(commands) = first.take() {
            std::fs::write(format!("{socket}.commands"), commands).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

fn ask(socket: &str) -> Result<(), String> {
    let commands = std::fs::read_to_string(format!("{socket}.commands")).map_err(|e| e.to_string())?;
    let mut stream = UnixStream::connect(socket).map_err(|e| format!("{socket}: {e}"))?;
    let mut buffer = vec![0; 64 << 10];
    let mut greeting = GREETING.len();
    let mut opening = TERMINAL.to_vec();
    for command in commands.lines().chain(std::iter::once("quit")) {
        opening.extend_from_slice(command.as_bytes());
        opening.push(b'\n');
        stream.write_all(&opening).map_err(|e| e.to_string())?;
        opening.clear();
        loop {
            let length = stream.read(&mut buffer).map_err(|e| e.to_string())?;
            if length == 0 {
                return Err("hung up".to_owned());
            }
            let skipped = greeting.min(length);
            greeting -= skipped;
            if buffer[skipped..length].ends_with(b"\0") {
                break;
            }
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["serve", socket, interfaces] => match interfaces.parse() {
            Ok(interfaces) => serve(socket, interfaces),
            Err(_) => Err(format!("'{interfaces}' is no number")),
        },
        ["ask", socket] => ask(socket),
        _ => Err("usage: vpp serve SOCKET INTERFACES | vpp ask SOCKET".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("vpp: {why}");
            ExitCode::FAILURE
        }
    }
}
