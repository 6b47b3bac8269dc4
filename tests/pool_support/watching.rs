//! What is shown to whoever watches: spans, events and measurements, kept for a look.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata,
    SharedString, Unit,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};

/// What a span or an event said.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub target: String,
    pub name: String,
    pub fields: BTreeMap<String, String>,
    pub level: Option<Level>,
    handles: usize,
}

/// Keeps all spans and events.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Heard>>);

#[derive(Default)]
pub struct Heard {
    pub spans: Vec<Said>,
    pub events: Vec<Said>,
}

impl Recorder {
    /// One that hears what is said on this thread until the guard is dropped.
    pub fn install() -> (Self, DefaultGuard) {
        let recorder = Self::default();
        let guard = tracing::subscriber::set_default(recorder.clone());
        (recorder, guard)
    }

    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spans of operations whose text is `text`.
    pub fn queries(&self, text: &str) -> Vec<Said> {
        let heard = self.heard();
        let is_meant = |span: &&Said| span.field("db.query.text") == text;
        heard.spans.iter().filter(is_meant).cloned().collect()
    }

    /// Everything that was said, for a search.
    pub fn everything(&self) -> String {
        let heard = self.heard();
        let mut text = String::new();
        for said in heard.spans.iter().chain(&heard.events) {
            writeln!(text, "{said:?}").unwrap();
        }
        text
    }
}

impl Said {
    /// Whether nobody has the span any more.
    pub fn is_closed(&self) -> bool {
        self.handles == 0
    }

    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields
            .insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields
            .insert(field.name().to_owned(), value.to_owned());
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("kornak")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let metadata = attributes.metadata();
        let mut said = Said {
            target: metadata.target().to_owned(),
            name: metadata.name().to_owned(),
            level: Some(*metadata.level()),
            handles: 1,
            ..Said::default()
        };
        attributes.record(&mut said);
        let mut heard = self.heard();
        heard.spans.push(said);
        Id::from_u64(heard.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let index = span.into_u64() as usize - 1;
        values.record(&mut self.heard().spans[index]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said {
            target: event.metadata().target().to_owned(),
            level: Some(*event.metadata().level()),
            ..Said::default()
        };
        event.record(&mut said);
        self.heard().events.push(said);
    }

    fn clone_span(&self, span: &Id) -> Id {
        let index = span.into_u64() as usize - 1;
        self.heard().spans[index].handles += 1;
        span.clone()
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn try_close(&self, span: Id) -> bool {
        let index = span.into_u64() as usize - 1;
        let mut heard = self.heard();
        heard.spans[index].handles -= 1;
        heard.spans[index].is_closed()
    }
}

/// Keeps all measurements, by name and labels.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

struct Instrument(String, Meter);

impl Meter {
    fn key(&self, key: &Key) -> Arc<Instrument> {
        let mut name = key.name().to_owned();
        for label in key.labels() {
            write!(name, " {}={}", label.key(), label.value()).unwrap();
        }
        Arc::new(Instrument(name, self.clone()))
    }

    fn note(&self, name: &str, value: f64) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.entry(name.to_owned()).or_default().push(value);
    }

    /// The values of all instruments with this name and labels like these.
    pub fn values(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |key: &str| {
            let mut words = key.split(' ');
            words.next() == Some(name) && labels.iter().all(|label| key.contains(label))
        };
        let meant = noted.iter().filter(|(key, _)| is_meant(key));
        meant.flat_map(|(_, values)| values.clone()).collect()
    }

    pub fn everything(&self) -> String {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{noted:?}")
    }
}

impl CounterFn for Instrument {
    fn increment(&self, value: u64) {
        self.1.note(&self.0, value as f64);
    }

    fn absolute(&self, value: u64) {
        self.1.note(&self.0, value as f64);
    }
}

impl GaugeFn for Instrument {
    fn increment(&self, value: f64) {
        self.1.note(&self.0, value);
    }

    fn decrement(&self, value: f64) {
        self.1.note(&self.0, -value);
    }

    fn set(&self, value: f64) {
        self.1.note(&self.0, value);
    }
}

impl HistogramFn for Instrument {
    fn record(&self, value: f64) {
        self.1.note(&self.0, value);
    }
}

impl metrics::Recorder for Meter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.key(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.key(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.key(key))
    }
}
