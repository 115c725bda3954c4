//! The service as a whole: everything is bound before anything serves, and ended in the order in which
//! nothing is lost.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::api::tls::Tls;
use crate::config::Settings;
use crate::endpoint::state::RetryPolicy;
use crate::hooks;
use crate::ingest::srt::SrtIngest;
use crate::ingest::webrtc::WebRtc;
use crate::ingest::{pull, rtmp, rtsp};
use crate::manager::Manager;
use crate::model::destination::Destinations;
use crate::store::Store;
use crate::stream::StreamContext;

/// From the signal to the end of the process, at most: what hangs then is left behind.
const STOP_MAX: Duration = Duration::from_millis(4_500);

/// The service, prepared: every port is bound, the store is open.
pub struct App {
    manager: Manager,
    srt: SrtIngest,
    rtmp: tokio::net::TcpListener,
    rtsp: rtsp::Listeners,
    http: TcpListener,
    https: TcpListener,
    tls: Tls,
    settings: Arc<Settings>,
    addresses: Addresses,
    shutdown: CancellationToken,
}

/// Where it listens, with the ports that were taken.
#[derive(Clone, Copy)]
struct Addresses {
    http: SocketAddr,
    https: SocketAddr,
    rtmp: SocketAddr,
    rtsp: SocketAddr,
    rtsps: Option<SocketAddr>,
    srt: SocketAddr,
}

impl Addresses {
    /// Where nothing can be pulled from.
    fn own(&self) -> pull::OwnPorts {
        let tcp = [Some(self.http), Some(self.https), Some(self.rtmp), Some(self.rtsp), self.rtsps];
        pull::OwnPorts { tcp: tcp.into_iter().flatten().collect(), udp: vec![self.srt] }
    }

    fn ports(&self) -> api::Ports {
        api::Ports {
            http: self.http.port(),
            https: self.https.port(),
            rtmp: self.rtmp.port(),
            rtsp: self.rtsp.port(),
            rtsps: self.rtsps.map(|address| address.port()),
            srt: self.srt.port(),
        }
    }
}

impl App {
    /// Opens the store and binds every port.
    ///
    /// # Errors
    /// One sentence that names what is in the way: a port in use, a database that cannot be used.
    pub async fn prepare(settings: Settings) -> anyhow::Result<Self> {
        let settings = Arc::new(settings);
        let shutdown = CancellationToken::new();
        let store = Store::open(&settings.store.url).await.context("the store cannot be opened")?;
        let tls = Tls::prepare(&settings.https, &store.directory())?;
        let bind = |listen: SocketAddr, key: &'static str| {
            TcpListener::bind(listen).with_context(|| format!("{key} = \"{listen}\" cannot be bound"))
        };
        let http = bind(settings.http.listen, "http.listen")?;
        let https = bind(settings.https.listen, "https.listen")?;
        let bind_async = |listen, key| -> anyhow::Result<_> {
            let listener = bind(listen, key)?;
            listener.set_nonblocking(true)?;
            Ok(tokio::net::TcpListener::from_std(listener)?)
        };
        let rtmp = bind_async(settings.rtmp.listen, "rtmp.listen")?;
        // A self-signed certificate is of no use to an encoder, which asks nobody.
        let rtsps = settings.rtsp.tls_listen.filter(|_| settings.https.certificate.is_some());
        let rtsps = rtsps.map(|listen| bind_async(listen, "rtsp.tls_listen")).transpose()?;
        let rtsp = rtsp::Listeners {
            plain: bind_async(settings.rtsp.listen, "rtsp.listen")?,
            tls: rtsps.map(|listener| (listener, Arc::new(tls.server_config()))),
        };
        for address in &settings.webrtc.local_addresses {
            // Else no offer could be answered, and nobody would know why.
            std::net::UdpSocket::bind((*address, 0))
                .with_context(|| format!("webrtc.local_addresses: {address} is no address of this host"))?;
        }
        let retry = RetryPolicy {
            min: Duration::from_millis(settings.endpoint.retry_min_ms),
            max: Duration::from_millis(settings.endpoint.retry_max_ms),
        };
        let window = Duration::from_millis(settings.endpoint.delivery_window_ms);
        let destinations = Destinations::deny(&settings.destination.deny);
        let app = settings.srt.default_app.clone();
        let context = StreamContext::new(settings.endpoint.udp_ports, app, retry, window, destinations)
            .context("no UDP port for SRT endpoints")?
            .with_audio_level(settings.stream.audio_level);
        let context = Arc::new(context);
        let (manager, _task) = Manager::spawn(Arc::clone(&settings), store, Arc::clone(&context))
            .await
            .context("the store cannot be read")?;
        let srt = SrtIngest::bind(Arc::clone(&settings), manager.clone(), shutdown.clone())
            .with_context(|| format!("srt.listen = \"{}\" cannot be bound", settings.srt.listen))?;
        context.set_own_srt(srt.local_address());
        let addresses = Addresses {
            http: http.local_addr()?,
            https: https.local_addr()?,
            rtmp: rtmp.local_addr()?,
            rtsp: rtsp.plain.local_addr()?,
            rtsps: rtsp.tls.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?,
            srt: srt.local_address(),
        };
        Ok(Self { manager, srt, rtmp, rtsp, http, https, tls, settings, addresses, shutdown })
    }

    /// Serves until SIGTERM or SIGINT, then ends within 5 s: publishers and endpoints are closed, the
    /// store is whole.
    ///
    /// # Errors
    /// A server could not be started, or broke.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { manager, srt, rtmp, rtsp, http, https, tls, settings, addresses, shutdown } = self;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let webrtc = WebRtc::new(manager.clone(), Arc::clone(&settings), shutdown.clone());
        let state =
            Arc::new(api::ApiState::new(manager.clone(), webrtc.clone(), Arc::clone(&settings), addresses.ports()));
        let secure = Some((https, tls.server_config()));
        let server = api::serve(http, secure, Arc::clone(&state)).context("the HTTP server cannot be started")?;
        let server_handle = server.handle();
        let mut server = tokio::spawn(server);
        let watch = tls.watch(shutdown.clone()).context("SIGHUP cannot be listened to")?;
        tokio::spawn(watch);
        let srt = srt.serve().context("the SRT listener cannot be started")?;
        let pull = pull::serve(manager.clone(), Arc::clone(&settings), addresses.own(), shutdown.clone());
        let pull = tokio::spawn(pull);
        let hooks = hooks::serve(manager.clone(), Arc::clone(&settings), addresses.own().tcp, shutdown.clone());
        let hooks = tokio::spawn(hooks);
        let rtmp = rtmp::serve(rtmp, manager.clone(), Arc::clone(&settings), shutdown.clone());
        let rtmp = tokio::spawn(rtmp);
        let rtsp = rtsp::serve(rtsp, manager.clone(), Arc::clone(&settings), shutdown.clone());
        let rtsp = tokio::spawn(rtsp);
        state.set_ready(true);
        let Addresses { http, https, rtmp: rtmp_at, rtsp: rtsp_at, rtsps, srt: srt_at } = addresses;
        let rtsps = rtsps.map(tracing::field::display);
        tracing::info!(%http, %https, rtmp = %rtmp_at, rtsp = %rtsp_at, rtsps, srt = %srt_at, "ready");

        let ended = tokio::select! {
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            ended = &mut server => Err(match ended {
                Ok(Ok(())) => anyhow::anyhow!("the HTTP server ended by itself"),
                Ok(Err(error)) => anyhow::Error::new(error).context("the HTTP server broke"),
                Err(error) => anyhow::Error::new(error).context("the HTTP server panicked"),
            }),
        };
        let began = Instant::now();
        tracing::info!("stopping");
        state.set_ready(false);
        let stop = async {
            // The signalling before all: it tells browsers why their stream is about to end.
            state.close_sockets().await;
            // Then the manager: it takes no publisher any more and ends those that run.
            manager.shutdown().await;
            shutdown.cancel();
            let _ = rtmp.await;
            let _ = rtsp.await;
            let _ = pull.await;
            let _ = hooks.await;
            webrtc.ended().await;
            let _ = tokio::task::spawn_blocking(move || srt.join()).await;
            server_handle.stop(false).await;
        };
        if tokio::time::timeout(STOP_MAX, stop).await.is_err() {
            tracing::warn!(limit_ms = STOP_MAX.as_millis(), "not everything ended in time");
        }
        tracing::info!(took_ms = began.elapsed().as_millis(), "stopped");
        ended
    }
}
