//! (being written)

pub mod timeline;
