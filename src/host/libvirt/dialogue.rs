//! The conversation about one domain: log in, open, look the domain up, ask its state and its
//! figures, close. Procedures and their arguments: libvirt's `remote_protocol.x`.

use crate::host::libvirt::description::{self, Vnic};
use crate::host::libvirt::state::State;
use crate::host::libvirt::xdr::{Frames, Reader, Reply, Writer};
use crate::host::libvirt::{About, Answer, Cause, Domain, Figures, Refusal, Uuid, Wanted};
use crate::host::talk::{Dialogue, Heard};
use std::cell::Cell;
use std::time::Duration;

/// What is asked, by libvirt's number of the procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Step {
    AuthList = 66,
    AuthPolkit = 70,
    Open = 1,
    ByUuid = 24,
    ByName = 23,
    State = 212,
    Figures = 16,
    Description = 14,
    Close = 2,
}

/// Ways to log in.
const AUTH_NONE: u32 = 0;
const AUTH_POLKIT: u32 = 2;
/// `VIR_CONNECT_RO`
const READ_ONLY: u32 = 1;
/// `VIR_ERR_NO_DOMAIN`
const NO_DOMAIN: i32 = 42;
/// `VIR_ERR_OPERATION_DENIED`, `_AUTH_FAILED`, `_AUTH_CANCELLED`, `_ACCESS_DENIED`,
/// `_AUTH_UNAVAILABLE`
const ABOUT_RIGHTS: [i32; 5] = [29, 45, 79, 88, 94];

/// `VIR_ERR_SYSTEM_ERROR` from `VIR_FROM_RPC`: virtproxyd found nobody at the socket of virtqemud.
const NOT_CONNECTED: (i32, i32) = (38, 7);

/// Our side of the conversation, and what has been heard.
#[derive(Debug)]
pub(super) struct Conversation<'c> {
    uri: String,
    wanted: Wanted,
    about: About,
    frames: Frames,
    /// Calls without a reply, by serial number.
    unanswered: Vec<(u32, Step)>,
    serial: u32,
    /// The domain as it was looked up, to name it in further calls.
    found: Option<Found>,
    state: Option<(State, i32)>,
    /// Raised as soon as all that counts is known: what is still to come is of less weight.
    told: &'c Cell<bool>,
    figures: Option<Figures>,
    vnics: Option<Vec<Vnic>>,
    /// Why there is no state.
    end: Option<Answer>,
}

#[derive(Debug)]
struct Found {
    name: String,
    uuid: Uuid,
    id: i32,
}

impl<'c> Conversation<'c> {
    pub(super) fn new(uri: &str, wanted: &Wanted, about: About, told: &'c Cell<bool>) -> Self {
        Self {
            uri: uri.to_owned(),
            wanted: wanted.clone(),
            about,
            frames: Frames::default(),
            // The opening.
            unanswered: vec![(0, Step::AuthList)],
            serial: 0,
            found: None,
            state: None,
            told,
            figures: None,
            vnics: None,
            end: None,
        }
    }

    /// What libvirt said, as far as it got.
    pub(super) fn answer(self) -> Option<Answer> {
        if self.end.is_some() {
            return self.end;
        }
        let Found { name, uuid, id } = self.found?;
        let (state, reason) = self.state?;
        let reason = state.reason(reason);
        let id = u32::try_from(id).ok();
        let (figures, vnics) = (self.figures, self.vnics);
        if self.about == About::Vnics && vnics.is_none() {
            return None;
        }
        Some(Answer::Domain(Domain { name, uuid, id, state, reason, figures, vnics }))
    }

    fn call(&mut self, step: Step, arguments: Writer) -> Vec<u8> {
        self.serial += 1;
        self.unanswered.push((self.serial, step));
        arguments.call(step as u32, self.serial)
    }

    fn take(&mut self, reply: &Reply) -> Result<Vec<u8>, String> {
        let asked = |(serial, step): &(u32, Step)| {
            *serial == reply.serial && *step as u32 == reply.procedure
        };
        let Some(at) = self.unanswered.iter().position(asked) else {
            return Err(format!("a reply to call {} that was not made", reply.serial));
        };
        let (_, step) = self.unanswered.swap_remove(at);
        if reply.failed {
            return self.refused(step, &reply.body);
        }
        let mut body = Reader(&reply.body);
        let short = || format!("the reply to procedure {} is too short", reply.procedure);
        match step {
            Step::AuthList => {
                let ways = auth_ways(&mut body).ok_or_else(short)?;
                Ok(self.log_in(&ways))
            }
            Step::AuthPolkit => Ok(self.open_driver()),
            Step::Open => Ok(self.look_up()),
            Step::ByUuid | Step::ByName => {
                let found = found(&mut body).ok_or_else(short)?;
                Ok(self.look_at(found))
            }
            Step::State => {
                let state = body.number().map(State::of).zip(body.number()).ok_or_else(short)?;
                self.state = Some(state);
                Ok(self.close_if_done())
            }
            Step::Description => {
                let text = body.string().ok_or_else(short)?;
                self.vnics = Some(description::vnics(&text)?);
                Ok(self.close_if_done())
            }
            Step::Figures => {
                self.figures = Some(figures(&mut body).ok_or_else(short)?);
                Ok(self.close_if_done())
            }
            Step::Close => Ok(Vec::new()),
        }
    }

    /// libvirt's own user, and root where polkit guards the socket, needs no log-in.
    fn log_in(&mut self, ways: &[u32]) -> Vec<u8> {
        if ways.is_empty() || ways.contains(&AUTH_NONE) {
            return self.open_driver();
        }
        if ways.contains(&AUTH_POLKIT) {
            return self.call(Step::AuthPolkit, Writer::default());
        }
        let message = "the socket wants a password (SASL)".to_owned();
        self.end = Some(Answer::Refused(Refusal { message, cause: Cause::Rights }));
        Vec::new()
    }

    fn open_driver(&mut self) -> Vec<u8> {
        let name = Writer::default().word(1).string(&self.uri);
        self.call(Step::Open, name.word(READ_ONLY))
    }

    fn look_up(&mut self) -> Vec<u8> {
        match self.wanted.uuid() {
            Some(uuid) => self.call(Step::ByUuid, Writer::default().fixed(&uuid.0)),
            None => self.by_name(),
        }
    }

    fn by_name(&mut self) -> Vec<u8> {
        let name = Writer::default().string(self.wanted.as_str());
        self.call(Step::ByName, name)
    }

    /// All questions at once; the daemon may answer them in any order.
    fn look_at(&mut self, found: Found) -> Vec<u8> {
        const NO_FLAGS: u32 = 0;
        let domain = || {
            let named = Writer::default().string(&found.name).fixed(&found.uuid.0);
            named.word(found.id.cast_unsigned())
        };
        let (state, figures) = (domain().word(NO_FLAGS), domain());
        let described = self.about == About::Vnics;
        let description = described.then(|| domain().word(NO_FLAGS));
        let mut calls = self.call(Step::State, state);
        calls.extend(self.call(Step::Figures, figures));
        if let Some(description) = description {
            calls.extend(self.call(Step::Description, description));
        }
        self.found = Some(found);
        calls
    }

    /// A client that just hangs up leaves an error in libvirt's log.
    fn close_if_done(&mut self) -> Vec<u8> {
        let described = self.about == About::State || self.vnics.is_some();
        self.told.set(self.state.is_some() && described);
        if self.unanswered.is_empty() {
            self.call(Step::Close, Writer::default())
        } else {
            Vec::new()
        }
    }

    fn refused(&mut self, step: Step, body: &[u8]) -> Result<Vec<u8>, String> {
        let (number, domain, message) =
            error(&mut Reader(body)).ok_or("an error without its text")?;
        match step {
            // What has no UUID like that may have a name like that: so do virsh and others.
            Step::ByUuid if number == NO_DOMAIN => return Ok(self.by_name()),
            Step::ByName | Step::State | Step::Description if number == NO_DOMAIN => {
                self.end = Some(Answer::Absent)
            }
            // Not all drivers have figures.
            Step::Figures | Step::Close => {}
            _ => {
                let logging_in = matches!(step, Step::AuthList | Step::AuthPolkit);
                let cause = match step {
                    _ if logging_in || ABOUT_RIGHTS.contains(&number) => Cause::Rights,
                    Step::Open if (number, domain) == NOT_CONNECTED => Cause::DriverDead,
                    _ => Cause::Other,
                };
                self.end = Some(Answer::Refused(Refusal { message, cause }));
                if logging_in {
                    // Whoever is not logged in may not close either.
                    return Ok(Vec::new());
                }
            }
        }
        Ok(if step == Step::Close { Vec::new() } else { self.close_if_done() })
    }
}

impl Dialogue for Conversation<'_> {
    fn opening(&self) -> Vec<u8> {
        Writer::default().call(Step::AuthList as u32, 0)
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        self.frames.feed(bytes);
        let mut calls = Vec::new();
        loop {
            match self.frames.next().and_then(|reply| reply.map(|r| self.take(&r)).transpose()) {
                Ok(Some(more)) => calls.extend(more),
                Ok(None) if self.unanswered.is_empty() => return Heard::Done,
                Ok(None) if calls.is_empty() => return Heard::More,
                Ok(None) => return Heard::Reply(calls),
                Err(what) => return Heard::Nonsense(what),
            }
        }
    }
}

fn auth_ways(body: &mut Reader) -> Option<Vec<u32>> {
    let ways = body.word()?;
    // `REMOTE_AUTH_TYPE_LIST_MAX`
    if ways > 20 {
        return None;
    }
    (0..ways).map(|_| body.word()).collect()
}

/// `remote_nonnull_domain`
fn found(body: &mut Reader) -> Option<Found> {
    Some(Found { name: body.string()?, uuid: Uuid(body.fixed()?), id: body.number()? })
}

/// `remote_domain_get_info_ret`: KiB and nanoseconds.
fn figures(body: &mut Reader) -> Option<Figures> {
    let (_state, _most, kib) = (body.word()?, body.long()?, body.long()?);
    let (cpus, nanoseconds) = (body.word()?, body.long()?);
    Some(Figures {
        memory: kib.saturating_mul(1024),
        cpus,
        cpu_time: Duration::from_nanos(nanoseconds),
    })
}

/// `remote_error`: its number, the part of libvirt it is from, and its message, which may be left out.
fn error(body: &mut Reader) -> Option<(i32, i32, String)> {
    let (number, domain) = (body.number()?, body.number()?);
    let message = if body.word()? == 0 { String::new() } else { body.string()? };
    Some((number, domain, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of all that a daemon said, and what was said to it.
    fn heard(wanted: &str, bytes: &[u8]) -> (Heard, Option<Answer>) {
        let told = Cell::new(false);
        let wanted = wanted.parse().expect("a domain");
        let mut conversation = Conversation::new("qemu:///system", &wanted, About::State, &told);
        let heard = conversation.hear(bytes);
        assert_eq!(told.get(), conversation.state.is_some());
        (heard, conversation.answer())
    }

    fn fixture(name: &str) -> Vec<u8> {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/libvirt");
        std::fs::read(format!("{dir}/{name}")).expect("a fixture")
    }

    fn state(wanted: &str, bytes: &[u8]) -> (String, Option<u32>, State, &'static str) {
        match heard(wanted, bytes) {
            (Heard::Done, Some(Answer::Domain(d))) => (d.name, d.id, d.state, d.reason.word),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_calls_are_those_of_libvirts_own_client() {
        // But for the serial numbers: virsh asks for other things in between.
        let call = |hex: &str| format!("{}{}", &hex[..40], &hex[48..]);
        let theirs: Vec<String> = ["virsh-domstate.hex", "virsh-dominfo.hex"]
            .into_iter()
            .flat_map(|name| {
                String::from_utf8(fixture(name)).expect("hex").lines().map(call).collect::<Vec<_>>()
            })
            .collect();
        let told = Cell::new(false);
        let wanted = "vm-running".parse().expect("a domain");
        let mut ours = Conversation::new("test:///run/node.xml", &wanted, About::State, &told);
        let uuid = "11111111-abcd-4000-8000-000000000001".parse().expect("a UUID");
        let mut calls = vec![ours.opening(), ours.open_driver(), ours.look_up()];
        let mut both = ours.look_at(Found { name: "vm-running".into(), uuid, id: 1 });
        let figures = both.split_off(68);
        ours.unanswered.clear();
        calls.extend([both, figures, ours.close_if_done()]);
        for bytes in calls {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(theirs.contains(&call(&hex)), "virsh does not say {hex}");
        }
    }

    #[test]
    fn the_call_for_a_description_is_that_of_libvirts_own_client() {
        let theirs = String::from_utf8(fixture("virsh-dumpxml.hex")).expect("hex");
        let told = Cell::new(false);
        let wanted = "instance-00000001".parse().expect("a domain");
        let mut ours = Conversation::new("test:///run/node.xml", &wanted, About::Vnics, &told);
        let uuid = "11111111-abcd-4000-8000-000000000001".parse().expect("a UUID");
        let calls = ours.look_at(Found { name: "instance-00000001".into(), uuid, id: 1 });
        let hex: String = calls.iter().map(|byte| format!("{byte:02x}")).collect();
        let call = theirs.lines().find(|call| call[24..32] == *"0000000e").expect("procedure 14");
        // But for the serial number.
        let (head, body) = (&call[..40], &call[48..]);
        assert!(hex.contains(head) && hex.ends_with(body), "virsh says {call}, we {hex}");
    }

    #[test]
    fn a_domain_is_not_told_before_its_description() {
        let told = Cell::new(false);
        let wanted = "vm-running".parse().expect("a domain");
        let mut conversation = Conversation::new("x:///", &wanted, About::Vnics, &told);
        // The reply to the description would be the sixth; a close is not asked for before.
        let whole = fixture("running.bin");
        conversation.hear(&whole[..whole.len() - 28]);
        assert!(conversation.state.is_some() && !told.get());
        assert_eq!(conversation.answer(), None);
    }

    #[test]
    fn captured_states_are_understood() {
        let running = |name: &str, reason| (name.to_owned(), Some(1), State::Running, reason);
        assert_eq!(state("vm-running", &fixture("running.bin")), running("vm-running", "unknown"));
        assert_eq!(state("vm-qemu", &fixture("qemu-running.bin")), running("vm-qemu", "booted"));
        let paused = ("vm-paused".to_owned(), Some(3), State::Paused, "unknown");
        assert_eq!(state("vm-paused", &fixture("paused.bin")), paused);
        let suspended = ("test".to_owned(), Some(1), State::Paused, "user");
        assert_eq!(state("test", &fixture("suspended.bin")), suspended);
        let shut_off = ("vm-shut-off".to_owned(), None, State::ShutOff, "unknown");
        assert_eq!(state("vm-shut-off", &fixture("shut-off.bin")), shut_off);
        let crashed = ("vm-crashed".to_owned(), Some(5), State::Crashed, "unknown");
        assert_eq!(state("vm-crashed", &fixture("crashed.bin")), crashed);
        // Here the figures come before the state.
        let killed = ("vm-qemu".to_owned(), None, State::ShutOff, "crashed");
        assert_eq!(state("vm-qemu", &fixture("qemu-killed.bin")), killed);
        let by_uuid = ("vm-pmsuspended".to_owned(), Some(6), State::PmSuspended, "unknown");
        assert_eq!(state("77777777-ABCD-4000-8000-000000000001", &fixture("by-uuid.bin")), by_uuid);
    }

    #[test]
    fn captured_figures_are_bytes_cpus_and_time() {
        let (_, answer) = heard("vm-qemu", &fixture("qemu-running.bin"));
        let Some(Answer::Domain(domain)) = answer else { panic!("{answer:?}") };
        let cpu_time = Duration::from_millis(490);
        assert_eq!(domain.figures, Some(Figures { memory: 32 << 20, cpus: 1, cpu_time }));
        assert_eq!(domain.uuid.to_string(), "aaaaaaaa-abcd-4000-8000-000000000001");
    }

    #[test]
    fn captured_refusals_are_told_apart() {
        let absent = (Heard::Done, Some(Answer::Absent));
        assert_eq!(heard("no-such", &fixture("absent.bin")), absent);
        let uuid = "99999999-abcd-4000-8000-000000000001";
        assert_eq!(heard(uuid, &fixture("absent-uuid.bin")), absent);
        let refused = |message: &str, cause| {
            let message = message.to_owned();
            (Heard::Done, Some(Answer::Refused(Refusal { message, cause })))
        };
        let no_driver = refused("no connection driver available for foo:///x", Cause::Other);
        assert_eq!(heard("no-such", &fixture("no-driver.bin")), no_driver);
        let denied = "internal error: Unable to get system bus connection: \
                      Could not connect: No such file or directory";
        assert_eq!(
            heard("vm-running", &fixture("polkit-denied.bin")),
            refused(denied, Cause::Rights)
        );
        // libvirtd 9.0 as a proxy: it was told where the daemon of the driver listens.
        let dead = "Failed to connect socket to '/run/libvirt/virtqemud-sock-ro': \
                    No such file or directory";
        let behind_proxy = heard("vm-running", &fixture("proxy-without-driver.bin"));
        assert_eq!(behind_proxy, refused(dead, Cause::DriverDead));
    }

    #[test]
    fn the_state_counts_though_the_rest_stays_out() {
        // Without the replies to the figures and the close: the last 60 and 28 bytes.
        let whole = fixture("running.bin");
        let (heard, answer) = heard("vm-running", &whole[..whole.len() - 88]);
        assert!(wants_more(&heard), "{heard:?}");
        let Some(Answer::Domain(domain)) = answer else { panic!("{answer:?}") };
        assert_eq!((domain.state, domain.figures), (State::Running, None));
    }

    /// The message of a reply.
    fn reply(procedure: u32, serial: u32, failed: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(28 + body.len()).expect("short");
        let words = [length, 0x2000_8086, 1, procedure, 1, serial, failed];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_driver_without_figures_has_a_state() {
        let whole = fixture("running.bin");
        // The error of `absent.bin`, with the number of `VIR_ERR_NO_SUPPORT`.
        let mut error = fixture("absent.bin")[92..176].to_vec();
        error[3] = 3;
        let before = &whole[..whole.len() - 88];
        let said = [before, &reply(16, 4, 1, &error), &reply(2, 5, 0, &[])].concat();
        let (name, id) = ("vm-running".to_owned(), Some(1));
        assert_eq!(state("vm-running", &said), (name, id, State::Running, "unknown"));
    }

    fn wants_more(heard: &Heard) -> bool {
        matches!(heard, Heard::More | Heard::Reply(_))
    }

    #[test]
    fn what_is_cut_short_is_waited_for() {
        for whole in ["running.bin", "absent.bin", "polkit-denied.bin"].map(fixture) {
            for length in 0..whole.len() {
                let (heard, _) = heard("vm-running", &whole[..length]);
                assert!(wants_more(&heard), "{length} bytes: {heard:?}");
            }
        }
    }

    #[test]
    fn no_byte_can_make_it_fall_over() {
        for whole in ["running.bin", "absent-uuid.bin", "no-driver.bin"].map(fixture) {
            for at in 0..whole.len() {
                for byte in [0, 1, 3, 0x7f, 0x80, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] = byte;
                    // Whatever is made of it, it is made.
                    heard("vm-running", &bytes);
                    heard("99999999-abcd-4000-8000-000000000001", &bytes);
                }
            }
        }
    }

    #[test]
    fn replies_too_short_for_their_fields_are_nonsense() {
        let open = [reply(66, 0, 0, &[0; 4]), reply(1, 1, 0, &[])].concat();
        let domain = fixture("running.bin")[64..128].to_vec();
        for (bytes, what) in [
            (reply(66, 0, 0, &[]), "no list of ways to log in"),
            (reply(66, 0, 0, &[0, 0, 0, 21]), "a list that is too long"),
            (reply(66, 0, 1, &[0; 4]), "an error without its text"),
            (reply(66, 1, 0, &[0; 4]), "a call that was not made"),
            (reply(67, 0, 0, &[0; 4]), "another procedure"),
            ([open.clone(), reply(23, 2, 0, &[0; 8])].concat(), "half a domain"),
            ([open.clone(), domain.clone(), reply(212, 3, 0, &[0; 4])].concat(), "half a state"),
            ([open, domain, reply(16, 4, 0, &[0; 8])].concat(), "half the figures"),
        ] {
            let (heard, _) = heard("vm-running", &bytes);
            assert!(matches!(heard, Heard::Nonsense(_)), "{what}: {heard:?}");
        }
    }

    #[test]
    fn a_password_is_not_tried() {
        let sasl = [0, 0, 0, 0x24, 0x20, 0, 0x80, 0x86, 0, 0, 0, 1, 0, 0, 0, 66, 0, 0, 0, 1];
        let sasl = [&sasl[..], &[0; 8], &[0, 0, 0, 1], &[0, 0, 0, 1]].concat();
        let (heard, answer) = heard("vm-running", &sasl);
        assert_eq!(heard, Heard::Done);
        assert!(matches!(answer, Some(Answer::Refused(Refusal { cause: Cause::Rights, .. }))));
    }
}
