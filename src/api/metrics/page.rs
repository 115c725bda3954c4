//! The exposition format, one metric after the other.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// Where metrics are written. A unit goes behind the name, and `total` behind a counter's.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

/// What the metric is: name without unit, unit, and a sentence.
pub(super) type About = (&'static str, Option<Unit>, &'static str);

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// Something that only grows.
    pub(super) fn counter<L: EncodeLabelSet>(
        &mut self,
        (name, unit, help): About,
        samples: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in samples {
            let mut sample = metric.encode_family(&labels)?;
            // Whole numbers are written as such.
            if value.fract() == 0.0 {
                sample.encode_counter::<NoLabelSet, u64, u64>(&(value as u64), None)?;
            } else {
                sample.encode_counter::<NoLabelSet, f64, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    /// Something that goes up and down.
    pub(super) fn gauge<L: EncodeLabelSet>(
        &mut self,
        (name, unit, help): About,
        samples: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
