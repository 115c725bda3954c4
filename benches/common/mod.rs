//! What the bench programs share: transport stream packets and a file paced by its PCR.
//!
//! It knows ISO/IEC 13818-1 and the clock; nothing of SRT or of the service. Each program uses a part
//! of it, so what one leaves unused is no mistake.
#![allow(dead_code, unreachable_pub)]

pub mod paced;
pub mod pictures;
pub mod ts;
