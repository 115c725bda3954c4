//! What GStreamer's depayloaders lack: which packets of H.264 they may see, and AV1 at all.
//!
//! Owns the pads around two pure parts, `h264` and `av1`; must not know peers. The hard thing: a loss is not always
//! seen in the numbers of the packets, for webrtcbin's FEC decoder may write new ones; then the jitter buffer's
//! DISCONT flag says it.

mod av1;
mod h264;

use std::sync::{Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use self::av1::{Depacketizer, Unit};
use self::h264::WholePictures;
use crate::ingest::rtp::packet::Packet;
use crate::ingest::{IngestError, TAKE_OUT};

/// Keeps packets of H.264 from the depayloader with this sink pad, after a loss, until a key frame begins; and tells
/// `wish` when one is of use. The depayloader's own requests are taken out: it makes them at the first packet that
/// it sees after a loss, which is the awaited key frame's.
pub(super) fn keep_pictures_whole(sink: &gst::Pad, wish: impl Fn() + Send + Sync + 'static) {
    let pictures = Mutex::new(WholePictures::default());
    let passes = move |buffer: &mut gst::Buffer| {
        let gap = buffer.flags().contains(gst::BufferFlags::DISCONT);
        let verdict = buffer.map_readable().ok().and_then(|bytes| {
            let packet = Packet::read(&bytes)?;
            // Never half written: go on after a panic.
            Some(pictures.lock().unwrap_or_else(PoisonError::into_inner).take(&packet, gap))
        });
        let Some(verdict) = verdict else { return false };
        if verdict.wish {
            wish();
        }
        if verdict.first {
            // The packet that had the flag may have been kept.
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        verdict.passes
    };
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_UPSTREAM;
    sink.add_probe(what, move |_, info| {
        let goes_on = match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => passes(buffer),
            Some(gst::PadProbeData::BufferList(list)) => {
                let buffers = list.iter_owned().filter_map(|mut buffer| passes(&mut buffer).then_some(buffer));
                *list = buffers.collect();
                !list.is_empty()
            }
            Some(gst::PadProbeData::Event(event)) => !is_named(event, "GstForceKeyUnit"),
            _ => true,
        };
        if goes_on { gst::PadProbeReturn::Ok } else { TAKE_OUT }
    });
}

/// A depayloader of AV1: a bin with the pads `sink` and `src`. After a loss it tells `wish`.
pub(super) fn av1(wish: impl Fn() + Send + Sync + 'static) -> Result<gst::Bin, IngestError> {
    let source = gst::Pad::builder(gst::PadDirection::Src).name("src").build();
    let depacketizer = Mutex::new(Depacketizer::default());
    let (out, caps_out) = (source.clone(), source.clone());
    let sink = gst::Pad::builder(gst::PadDirection::Sink)
        .name("sink")
        .chain_function(move |_, _, buffer| {
            let gap = buffer.flags().contains(gst::BufferFlags::DISCONT);
            let outcome = buffer.map_readable().ok().and_then(|bytes| {
                let packet = Packet::read(&bytes)?;
                Some(depacketizer.lock().unwrap_or_else(PoisonError::into_inner).take(&packet, gap))
            });
            let outcome = outcome.unwrap_or_default();
            if outcome.wish {
                wish();
            }
            for unit in outcome.units.into_iter().flatten() {
                // After a picture that it fails to decode, what av1dec of 1.22 answers has no meaning
                // (`gst_av1_dec_handle_frame`: a variable without a value).
                let pushed = out.push(buffer_of(unit, buffer.pts()));
                if let Err(ended @ (gst::FlowError::Flushing | gst::FlowError::Eos)) = pushed {
                    return Err(ended);
                }
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(move |sink, parent, event| {
            use gst::EventView;
            match event.view() {
                EventView::Caps(_) => {
                    let caps = gst::Caps::builder("video/x-av1")
                        .field("stream-format", "obu-stream")
                        .field("alignment", "tu")
                        .field("parsed", true)
                        .build();
                    caps_out.push_event(gst::event::Caps::new(&caps))
                }
                // The next packet's number says it again.
                EventView::CustomDownstream(_) if is_named(&event, "GstRTPPacketLost") => true,
                _ => gst::Pad::event_default(sink, parent, event),
            }
        })
        .build();
    let bin = gst::Bin::new();
    bin.add_pad(&sink)?;
    bin.add_pad(&source)?;
    Ok(bin)
}

/// Whether a message says no more than that one picture could not be decoded: av1dec before GStreamer 1.26 calls that
/// an error, whatever its `max-errors` says. The next one may be good, as with the other decoders.
pub(super) fn is_broken_picture(message: &gst::MessageRef) -> bool {
    let source = message.src().and_then(|source| source.downcast_ref::<gst::Element>());
    source.and_then(|element| element.factory()).is_some_and(|factory| factory.name() == "av1dec")
}

fn buffer_of(unit: Unit, pts: Option<gst::ClockTime>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(unit.data);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(pts);
        if !unit.key {
            buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
    }
    buffer
}

fn is_named(event: &gst::EventRef, name: &str) -> bool {
    event.structure().is_some_and(|structure| structure.name() == name)
}

#[cfg(test)]
mod tests;
