//! Tests of the endpoint URL.
