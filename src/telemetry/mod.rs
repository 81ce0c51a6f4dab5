//! The Prometheus registry (every metric in one file) and the tracing set-up. No phone number is ever a label.

mod metrics;

pub use metrics::Metrics;
