//! A listener's TCP connection, held beside the HTTP server, which has no way to end one that is not read: it waits
//! for room to write, and asks its handler nothing meanwhile.

use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream as AsyncTcpStream;

use crate::os;

/// What the kernel keeps for a listener, in bytes: some ticks of a large service. A listener that does not read is
/// noticed when this is full.
const SEND_BUFFER: u32 = 128 * 1024;

/// A second handle to a connection's socket; clones share it.
#[derive(Debug, Clone)]
pub(in crate::api) struct Connection(Arc<TcpStream>);

/// Keeps the handle with a connection that was accepted, for its requests.
pub(in crate::api) fn remember(accepted: &dyn Any, data: &mut Extensions) {
    let plain = accepted.downcast_ref::<AsyncTcpStream>();
    let secure = || accepted.downcast_ref::<TlsStream<AsyncTcpStream>>().map(|tls| tls.get_ref().0);
    let socket = plain.or_else(secure).and_then(|socket| socket.as_fd().try_clone_to_owned().ok());
    if let Some(socket) = socket {
        data.insert(Connection(Arc::new(socket.into())));
    }
}

impl Connection {
    /// Lets the kernel keep no more than [`SEND_BUFFER`] from now on.
    pub(super) fn limit_buffer(&self) {
        if let Err(error) = os::limit_send_buffer(&*self.0, SEND_BUFFER) {
            tracing::debug!(%error, "the send buffer of a listener to events stays as it is");
        }
    }

    /// Ends the connection at once; the server finds it closed.
    pub(super) fn cut(&self) {
        // One that is closed already is no error.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
