//! RTSP over TLS: ended here, with the certificate of HTTPS, and handed on inside by a pair of sockets on loopback.
//!
//! Must not know RTSP. Why not gst-rtsp-server's own TLS: it needs another TLS library, of GLib, and takes a new
//! certificate only by a restart of its listener.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// From accept to the end of the handshake, at most.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long the last words to a client may take.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// How long a socket pair on this machine may take.
const PAIR_MAX: Duration = Duration::from_secs(2);

/// A connection from outside and this side's end of the way inside.
pub(super) struct Tunnel {
    outside: TcpStream,
    inside: TcpStream,
    config: Arc<rustls::ServerConfig>,
}

impl Tunnel {
    /// Makes the way inside; gives its other end.
    pub(super) async fn open(outside: TcpStream, config: Arc<rustls::ServerConfig>) -> io::Result<(Self, TcpStream)> {
        let (inside, other) = timeout(PAIR_MAX, pair()).await.map_err(|_| io::ErrorKind::TimedOut)??;
        for socket in [&outside, &inside, &other] {
            socket.set_nodelay(true)?;
        }
        Ok((Self { outside, inside, config }, other))
    }

    /// Carries bytes until either side ends.
    pub(super) async fn run(self, peer: SocketAddr, shutdown: CancellationToken) {
        let Self { outside, inside, config } = self;
        let carried = async {
            match timeout(HANDSHAKE_MAX, TlsAcceptor::from(config).accept(outside)).await {
                Ok(Ok(outside)) => carry(outside, inside).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS with an RTSP client"),
                Err(_) => tracing::debug!(%peer, "an RTSP client did not finish its TLS handshake"),
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = carried => {}
        }
    }
}

/// Carries bytes both ways until either side ends. Not until both do: a client that is gone, or will not close, would
/// keep its socket for ever. How it ends is told by the dialogue inside.
async fn carry(outside: impl AsyncRead + AsyncWrite, inside: impl AsyncRead + AsyncWrite) {
    let ((mut from_outside, mut to_outside), (mut from_inside, mut to_inside)) = (split(outside), split(inside));
    tokio::select! {
        _ = copy(&mut from_outside, &mut to_inside) => {}
        _ = copy(&mut from_inside, &mut to_outside) => {}
    }
    let _ = timeout(FAREWELL_MAX, to_outside.shutdown()).await;
}

/// Two ends of one connection on this machine, nobody else's.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        let (far, from) = listener.accept().await?;
        if from == near.local_addr()? {
            return Ok((near, far));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_close_is_let_go_when_the_dialogue_ends() {
        let (mut client, outside) = duplex(1_024);
        let (mut server, inside) = duplex(1_024);
        let carried = tokio::spawn(carry(outside, inside));
        client.write_all(b"OPTIONS").await.expect("it is carried");
        let mut said = [0; 7];
        server.read_exact(&mut said).await.expect("it arrives");
        server.write_all(b"bye").await.expect("it is carried");
        drop(server);
        timeout(2 * FAREWELL_MAX, carried).await.expect("it ends").expect("no panic");
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.expect("what was said last");
        assert_eq!(heard, b"bye");
    }
}
