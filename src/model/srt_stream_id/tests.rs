//! Tests of the stream id.
