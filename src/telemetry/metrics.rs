//! Every metric, in one place. Names are the contract's.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// All metrics of the process.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Metrics {
    pub registry: Registry,
    pub invites: IntCounterVec,
    pub invites_shed: IntCounterVec,
    pub decision_seconds: Histogram,
    pub reserve_seconds: Histogram,
    pub attempts: IntCounterVec,
    pub sip_messages: IntCounterVec,
    pub sip_retransmissions: IntCounterVec,
    pub transactions: IntGauge,
    pub overload_refused: IntGauge,
    pub overload_unread: IntGauge,
    pub parse_errors: IntCounterVec,
    pub connections: IntGaugeVec,
    pub connections_closed: IntCounterVec,
    pub connections_refused: IntCounterVec,
    pub trunk_up: IntGaugeVec,
    pub trunk_responses: IntCounterVec,
    pub list_age_seconds: IntGaugeVec,
    pub list_numbers: IntGaugeVec,
    pub ledger_commit_seconds: Histogram,
    pub ledger_records: IntGauge,
    pub journal_lag_records: IntGauge,
    pub view_rebuilt: IntGauge,
    lists: Arc<Mutex<()>>,
}

impl Metrics {
    /// Registers them all.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("clapet".into()), None)?;
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let seconds = |name: &str, help: &str, buckets: &[f64]| -> Result<Histogram, prometheus::Error> {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let micro = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2];
        let milli = [5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5];
        let build = gauges("build_info", "Always 1; the version is the label.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            invites: counters(
                "invites_total",
                "Dialog-opening INVITEs judged.",
                &["source", "professional", "verdict", "reason"],
            )?,
            invites_shed: counters(
                "invites_shed_total",
                "INVITEs answered 503 unjudged; cause is load or drain.",
                &["source", "cause"],
            )?,
            decision_seconds: seconds("decision_seconds", "Time of a decision, storage apart.", &micro)?,
            reserve_seconds: seconds("reserve_seconds", "Time until a reservation is durable.", &milli)?,
            attempts: counters(
                "attempts_total",
                "Reserved attempts by what became of them.",
                &["outcome"],
            )?,
            sip_messages: counters(
                "sip_messages_total",
                "SIP messages; kind is a method or a response class.",
                &["direction", "transport", "kind"],
            )?,
            sip_retransmissions: counters("sip_retransmissions_total", "Retransmissions.", &["direction"])?,
            transactions: gauge("transactions", "Transactions in memory.")?,
            parse_errors: counters(
                "parse_errors_total",
                "Messages that could not be read, or not be carried.",
                &["cause"],
            )?,
            overload_refused: gauge(
                "overload_refused_permille",
                "New calls in a thousand turned away because there is too much to do.",
            )?,
            overload_unread: gauge(
                "overload_unread_permille",
                "Those of them dropped unread, of new calls that come over UDP.",
            )?,
            connections: gauges("connections", "Stream connections that are open.", &["transport"])?,
            connections_closed: counters("connections_closed_total", "Stream connections that ended.", &["cause"])?,
            connections_refused: counters(
                "connections_refused_total",
                "Stream connections that were not taken or made, by the bound that was reached.",
                &["bound"],
            )?,
            trunk_up: gauges("trunk_up", "0 while a trunk fails its probes, 1 otherwise.", &["trunk"])?,
            trunk_responses: counters(
                "trunk_responses_total",
                "Final responses of trunks.",
                &["trunk", "class"],
            )?,
            list_age_seconds: gauges("list_age_seconds", "Age of the newest snapshot.", &["list"])?,
            list_numbers: gauges("list_numbers", "Numbers in force.", &["list"])?,
            ledger_commit_seconds: seconds("ledger_commit_seconds", "Time of one journal batch.", &milli)?,
            ledger_records: gauge("ledger_records", "Live (professional, callee) records.")?,
            journal_lag_records: gauge("journal_lag_records", "Records decided but not yet on disk.")?,
            view_rebuilt: gauge(
                "view_rebuilt",
                "1 where the start found the ledger's view damaged, set it aside and built it anew from the journal.",
            )?,
            lists: Arc::default(),
            registry,
        })
    }

    /// Sets age in seconds and numbers of each list by its label; a list not named is gone.
    pub fn set_lists(&self, lists: &[(String, i64, i64)]) {
        // One scrape at a time: another must not see them between the reset and the setting.
        let _one = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        self.list_age_seconds.reset();
        self.list_numbers.reset();
        for (list, age, numbers) in lists {
            self.list_age_seconds.with_label_values(&[list]).set(*age);
            self.list_numbers.with_label_values(&[list]).set(*numbers);
        }
    }

    /// The text exposition.
    pub fn render(&self) -> String {
        let _one = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract's names; a series without labels shows at once, one with labels when first counted.
    #[test]
    fn every_metric_of_the_contract_is_registered() {
        let metrics = Metrics::new().unwrap();
        metrics.invites.with_label_values(&["bpo", "acme", "allow", ""]).inc();
        metrics.attempts.with_label_values(&["answered"]).inc();
        metrics.sip_messages.with_label_values(&["in", "udp", "INVITE"]).inc();
        metrics.sip_retransmissions.with_label_values(&["in"]).inc();
        metrics.parse_errors.with_label_values(&["start-line"]).inc();
        metrics.trunk_up.with_label_values(&["a"]).set(1);
        metrics.invites_shed.with_label_values(&["bpo", "load"]).inc();
        metrics.trunk_responses.with_label_values(&["a", "2xx"]).inc();
        metrics.set_lists(&[("bloctel".to_owned(), 3600, 7)]);
        let text = metrics.render();
        for name in [
            "invites_total{professional=\"acme\",reason=\"\",source=\"bpo\",verdict=\"allow\"} 1",
            "invites_shed_total{cause=\"load\",source=\"bpo\"} 1",
            "decision_seconds_count",
            "reserve_seconds_count",
            "attempts_total{outcome=\"answered\"}",
            "sip_messages_total{direction=\"in\",kind=\"INVITE\",transport=\"udp\"}",
            "sip_retransmissions_total",
            "transactions 0",
            "overload_refused_permille 0",
            "overload_unread_permille 0",
            "parse_errors_total{cause=\"start-line\"}",
            "trunk_up{trunk=\"a\"} 1",
            "trunk_responses_total{class=\"2xx\",trunk=\"a\"}",
            "list_age_seconds{list=\"bloctel\"} 3600",
            "list_numbers{list=\"bloctel\"} 7",
            "ledger_commit_seconds_count",
            "ledger_records 0",
            "view_rebuilt 0",
            "journal_lag_records 0",
            "build_info{version=",
        ] {
            assert!(text.contains(&format!("\nclapet_{name}")), "{name}");
        }
    }

    #[test]
    fn a_list_that_is_gone_is_no_longer_shown() {
        let metrics = Metrics::new().unwrap();
        metrics.set_lists(&[("bloctel".to_owned(), 1, 1), ("opposition".to_owned(), 1, 1)]);
        metrics.set_lists(&[("opposition".to_owned(), 2, 1)]);
        let text = metrics.render();
        assert!(!text.contains("list=\"bloctel\"") && text.contains("list=\"opposition\"} 2"));
    }
}
