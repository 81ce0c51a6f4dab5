//! Every metric, in one place. Names are the contract's.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// All metrics of the process.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Metrics {
    pub registry: Registry,
    pub invites: IntCounterVec,
    pub decision_seconds: Histogram,
    pub reserve_seconds: Histogram,
    pub attempts: IntCounterVec,
    pub sip_messages: IntCounterVec,
    pub sip_retransmissions: IntCounterVec,
    pub transactions: IntGauge,
    pub parse_errors: IntCounterVec,
    pub trunk_up: IntGaugeVec,
    pub trunk_responses: IntCounterVec,
    pub list_age_seconds: IntGaugeVec,
    pub list_numbers: IntGaugeVec,
    pub ledger_commit_seconds: Histogram,
    pub ledger_records: IntGauge,
    pub journal_lag_records: IntGauge,
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
            parse_errors: counters("parse_errors_total", "Messages that could not be read.", &["cause"])?,
            trunk_up: gauges("trunk_up", "1 while a trunk is used.", &["trunk"])?,
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
            registry,
        })
    }

    /// The text exposition.
    pub fn render(&self) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}
