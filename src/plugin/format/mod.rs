//! How a verdict is written. The only place that makes output text.

mod json;
mod lines;
mod nagios;

use crate::plugin::verdict::{Measured, Verdict};
use clap::ValueEnum;

/// The forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people, with Nagios perfdata on the last line.
    Nagios,
    /// One JSON object on one line.
    Json,
    /// Prometheus text, the status as a comment.
    Prometheus,
    /// `InfluxDB` line protocol, floats only.
    Influxdb,
    /// Graphite plaintext.
    Graphite,
    /// `OpenTSDB` telnet lines without `put`.
    Opentsdb,
}

/// What the person who calls decides about the output.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// The form.
    pub format: Format,
    /// Whether finding codes are shown in text.
    pub verbose: bool,
    /// Bytes of output at the most.
    pub max_output: usize,
    /// Seconds since 1970, for the formats that carry a time.
    pub now: u64,
}

/// Writes a verdict, newline at the end.
pub fn render(verdict: &Verdict, style: Style) -> String {
    match style.format {
        Format::Nagios => nagios::render(verdict, style),
        Format::Json => json::render(verdict, style),
        Format::Prometheus => lines::prometheus(verdict, style),
        Format::Influxdb => lines::influxdb(verdict, style),
        Format::Graphite => lines::graphite(verdict, style),
        Format::Opentsdb => lines::opentsdb(verdict, style),
    }
}

/// Writes pieces until they are more than could ever fit; how many are left then. Of thousands of
/// metrics a few hundred fit: to write the others would take longer than to measure them.
fn as_many_as_fit<T>(
    of: impl IntoIterator<Item = T>,
    max: usize,
    mut write: impl FnMut(T) -> String,
) -> (Vec<String>, usize) {
    let mut of = of.into_iter();
    let mut size = 0;
    let mut pieces = Vec::new();
    while size <= max
        && let Some(next) = of.next()
    {
        let piece = write(next);
        size += piece.len() + 1;
        pieces.push(piece);
    }
    (pieces, of.count())
}

/// The pieces of one output before they are joined, and what had to be left out of it.
#[derive(Debug, Default)]
struct Page {
    /// Findings, worst first.
    findings: Vec<String>,
    /// Lines about what is not in order.
    notes: Vec<String>,
    /// Lines about what is.
    fine: Vec<String>,
    /// Whole metrics, those of the whole first.
    metrics: Vec<String>,
    /// How many of them are of the whole, and not of one object among many.
    own: usize,
    /// Pieces left out, evidence and metrics.
    dropped: (usize, usize),
}

impl Page {
    /// Evidence and metrics of a verdict, as many of each as could fit.
    fn fill(
        &mut self,
        verdict: &Verdict,
        room: usize,
        line: impl Fn(&str) -> String,
        metric: impl Fn(&Measured) -> String,
    ) {
        let lines = |fine| {
            let evidence = verdict.evidence.iter().filter(move |e| e.fine == fine);
            as_many_as_fit(evidence, room, |evidence| line(&evidence.text))
        };
        let (fine, more_fine) = lines(true);
        let (notes, more_notes) = lines(false);
        let (metrics, more_metrics) =
            as_many_as_fit(verdict.measured(), room, |measured| metric(&measured));
        self.dropped.0 += more_fine + more_notes;
        self.dropped.1 += more_metrics;
        self.own = verdict.metrics.iter().filter(|metric| metric.label.is_none()).count();
        (self.fine, self.notes, self.metrics) = (fine, notes, metrics);
    }

    /// Leaves out pieces until the rest fits: evidence of what is in order first, then metrics of
    /// single objects from the end, then other evidence and findings. Where most is broken, what was
    /// counted of the whole tells more than the hundredth finding.
    fn fit(mut self, max: usize) -> Self {
        const SEPARATOR: usize = 1;
        const NOTICE: usize = 80;
        let size = |pieces: &[String]| pieces.iter().map(|p| p.len() + SEPARATOR).sum::<usize>();
        let mut total = size(&self.findings) + size(&self.notes) + size(&self.fine);
        total += size(&self.metrics);
        if total <= max {
            return self;
        }
        let room = max.saturating_sub(NOTICE);
        let mut drop = |pieces: &mut Vec<String>, keep: usize, dropped: &mut usize| {
            while total > room
                && pieces.len() > keep
                && let Some(piece) = pieces.pop()
            {
                total -= piece.len() + SEPARATOR;
                *dropped += 1;
            }
        };
        drop(&mut self.fine, 0, &mut self.dropped.0);
        drop(&mut self.metrics, self.own, &mut self.dropped.1);
        drop(&mut self.notes, 0, &mut self.dropped.0);
        drop(&mut self.findings, 1, &mut self.dropped.0);
        drop(&mut self.metrics, 0, &mut self.dropped.1);
        drop(&mut self.findings, 0, &mut self.dropped.0);
        self
    }

    /// Says what was left out, if anything was.
    fn notice(&self) -> Option<String> {
        use crate::plugin::text::count;
        let (lines, metrics) = self.dropped;
        (lines + metrics > 0).then(|| {
            format!(
                "{} and {} left out (--max-output)",
                count(lines, "line"),
                count(metrics, "metric")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::check_ovs_port::{SPEC, code, metric};
    use crate::plugin::limit::Limit;
    use crate::plugin::report::Report;
    use crate::plugin::verdict::Rules;

    fn sample(ports: usize) -> Verdict {
        let mut report = Report::about("tap|1");
        for i in 0..ports {
            let name = format!("tap {i}");
            report.measure_of(&name, metric::LINK_STATE, 1.0);
            report.measure_of(&name, metric::RX_ERRORS, 1e9 + 0.5);
            report.fine(format!("{name}: up, from the \u{fc}ber-switch"));
        }
        report.find_on("tap 0", code::ERROR, "could not open | it");
        report.find_on("tap 0", code::NO_TAG, "no VLAN tag");
        let limit: Limit = "link_state=1:".parse().expect("a limit");
        let rules = Rules::new(&SPEC, &[limit], &[], vec![], vec![], None).expect("rules");
        Verdict::of(&SPEC, report, &rules)
    }

    fn shown(verdict: &Verdict, format: Format) -> String {
        render(verdict, Style { format, verbose: false, max_output: 8192, now: 1_700_000_000 })
    }

    #[test]
    fn text_has_one_pipe_and_all_perfdata_on_the_last_line() {
        assert_eq!(
            shown(&sample(1), Format::Nagios),
            "CheckOvsPort CRITICAL: tap 0: could not open / it; tap 0: no VLAN tag\n\
             CRITICAL tap 0: could not open / it\n\
             WARNING tap 0: no VLAN tag\n\
             tap 0: up, from the ?ber-switch\n\
             |tap_0.link_state=1;1: tap_0.rx_errors=1000000000.5c\n"
        );
    }

    #[test]
    fn verbose_text_shows_codes() {
        let style =
            Style { format: Format::Nagios, verbose: true, max_output: 8192, now: 1_700_000_000 };
        assert!(render(&sample(1), style).contains("WARNING tap 0: no VLAN tag [no-tag]\n"));
    }

    #[test]
    fn json_is_one_line_with_the_documented_keys() {
        assert_eq!(
            shown(&sample(1), Format::Json),
            "{\"check\":\"check_ovs_port\",\"object\":\"tap/1\",\"status\":\"CRITICAL\",\"exit\":2,\
             \"summary\":\"tap 0: could not open / it; tap 0: no VLAN tag\",\
             \"findings\":[{\"code\":\"error\",\"status\":\"CRITICAL\",\"text\":\"could not open / it\",\
             \"object\":\"tap 0\"},{\"code\":\"no-tag\",\"status\":\"WARNING\",\"text\":\"no VLAN tag\",\
             \"object\":\"tap 0\"}],\"advice\":[],\"evidence\":[\"tap 0: up, from the ?ber-switch\"],\
             \"metrics\":[{\"name\":\"link_state\",\"value\":1,\"unit\":\"\",\"labels\":{\"port\":\"tap 0\"},\
             \"warning\":\"1:\",\"critical\":null,\"min\":null,\"max\":null},\
             {\"name\":\"rx_errors\",\"value\":1000000000.5,\"unit\":\"c\",\"labels\":{\"port\":\"tap 0\"},\
             \"warning\":null,\"critical\":null,\"min\":0,\"max\":null}]}\n"
        );
    }

    #[test]
    fn prometheus_names_its_types_and_keeps_the_status_as_a_comment() {
        assert_eq!(
            shown(&sample(1), Format::Prometheus),
            "# CheckOvsPort CRITICAL: tap 0: could not open / it; tap 0: no VLAN tag\n\
             # CRITICAL tap 0: could not open / it\n\
             # WARNING tap 0: no VLAN tag\n\
             # TYPE ovs_interface_link_state gauge\n\
             ovs_interface_link_state{port=\"tap 0\"} 1\n\
             # TYPE ovs_interface_rx_errors_total counter\n\
             ovs_interface_rx_errors_total{port=\"tap 0\"} 1000000000.5\n"
        );
    }

    #[test]
    fn the_line_formats_have_the_fields_their_readers_want() {
        let head = "# CheckOvsPort CRITICAL: tap 0: could not open / it; tap 0: no VLAN tag\n\
                    # CRITICAL tap 0: could not open / it\n# WARNING tap 0: no VLAN tag\n";
        assert_eq!(
            shown(&sample(1), Format::Influxdb),
            format!(
                "{head}check_ovs_port,port=tap_0 link_state=1 1700000000000000000\n\
                 check_ovs_port,port=tap_0 rx_errors=1000000000.5 1700000000000000000\n"
            )
        );
        assert_eq!(
            shown(&sample(1), Format::Graphite),
            format!(
                "{head}check_ovs_port.tap_0.link_state 1 1700000000\n\
                 check_ovs_port.tap_0.rx_errors 1000000000.5 1700000000\n"
            )
        );
        assert_eq!(
            shown(&sample(1), Format::Opentsdb),
            format!(
                "{head}check_ovs_port.link_state 1700000000 1 port=tap_0\n\
                 check_ovs_port.rx_errors 1700000000 1000000000.5 port=tap_0\n"
            )
        );
    }

    #[test]
    fn what_to_do_is_told_of_what_was_found_once() {
        let mut report = Report::about("tap 0");
        for port in ["tap 0", "tap 1"] {
            report.find_on(port, code::DEAD_VLAN, "tag 4095");
        }
        report.find_on("tap 2", code::NO_TAG, "no VLAN tag");
        let verdict = Verdict::of(&SPEC, report, &Rules::default());
        let text = shown(&verdict, Format::Nagios);
        let what = "what to do: the Neutron agent gave up on the port";
        assert_eq!(
            (text.matches("what to do").count(), text.matches(what).count()),
            (1, 1),
            "{text}"
        );
        assert!(shown(&verdict, Format::Json).contains("\"advice\":[\"the Neutron agent gave up"));
        assert!(!shown(&verdict, Format::Graphite).contains("what to do"));
    }

    #[test]
    fn what_is_counted_of_the_whole_outlives_the_hundredth_finding() {
        use crate::manifest::check_otep::{SPEC, code, metric};
        let mut report = Report::about("tunnels");
        for n in 0..500 {
            report.find_on(&format!("10.0.0.{n}"), code::NO_REPLY, "no reply");
            report.measure_of(&format!("10.0.0.{n}"), metric::LOSS, 100.0);
        }
        report.measure(metric::REMOTES_DOWN, 500.0);
        let verdict = Verdict::of(&SPEC, report, &Rules::default());
        for format in Format::value_variants() {
            let text = shown(&verdict, *format);
            assert!(text.contains("remotes_down"), "{format:?}: {text}");
            assert!(text.len() <= 8192, "{format:?}");
        }
    }

    #[test]
    fn what_was_never_written_is_counted_as_left_out() {
        let style = Style { format: Format::Nagios, verbose: false, max_output: 2048, now: 1 };
        let text = render(&sample(200), style);
        let written = text.matches("=").count();
        let notice = format!("200 lines and {} metrics left out", 400 - written);
        assert!(text.contains(&notice), "{written}: {text}");
    }

    #[test]
    fn output_stays_within_its_bound_and_says_what_is_missing() {
        for format in Format::value_variants() {
            let style = Style { format: *format, verbose: true, max_output: 2048, now: 1 };
            let text = render(&sample(200), style);
            assert!(text.len() <= 2048, "{format:?}: {}", text.len());
            assert!(text.contains("left out") || text.contains("\"dropped\""), "{format:?}");
            assert!(text.contains("could not open / it"), "{format:?} keeps the finding");
        }
    }
}
