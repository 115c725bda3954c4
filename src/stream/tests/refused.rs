//! Destinations that the operator forbids: a literal address is given up, a name may move.

use super::*;
use crate::model::destination::Destinations;
use crate::model::endpoint::{Cause, EndpointState};

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_address_is_given_up_and_a_name_is_tried_again() {
    let retry = RetryPolicy { min: Duration::from_millis(100), max: Duration::from_secs(1) };
    let loopback = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a network"));
    let destinations = Destinations::deny(&loopback);
    let app = "live".parse().expect("name");
    let context =
        Arc::new(StreamContext::new(1, app, retry, Duration::from_secs(3), destinations).expect("a UDP port"));
    let stream = stream(&context).await;
    let _source = Source::start(&stream.input(stream.begin()));
    for (url, state) in
        [("srt://127.0.0.1:9000", EndpointState::Failed), ("srt://localhost:9000", EndpointState::Waiting)]
    {
        let record = EndpointRecord::new(EndpointId::generate(), url.parse().expect("URL"));
        let board = Board::new(stream.0.key.clone(), record.id.clone(), crate::events::EventBus::default());
        let mut seen = board.watch();
        stream.add_endpoint(record, board);
        let failed = seen.wait_for(|seen| seen.failure.is_some());
        let seen = tokio::time::timeout(WAIT, failed).await.expect("in time").expect("open").clone();
        let failure = seen.failure.expect("a failure");
        assert_eq!((seen.state, failure.cause), (state, Cause::RefusedByPolicy), "{url}");
        assert_eq!(failure.next_retry_at.is_some(), state == EndpointState::Waiting, "{url}");
    }
    stream.close().await;
}
