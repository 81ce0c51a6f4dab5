//! TLS for SIPp, which speaks TCP here: a bridge takes its connections and carries their bytes over TLS, or the other way round. It
//! reads nothing of them.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::authority::{Authority, Signed};

/// Carries connections until it is dropped.
pub struct Bridge {
    pub address: SocketAddr,
    lead: watch::Sender<Option<SocketAddr>>,
    runtime: Option<Runtime>,
}

enum Ends {
    /// TCP comes in, TLS goes out.
    Client(TlsConnector),
    /// TLS comes in, TCP goes out.
    Server(TlsAcceptor),
}

impl Bridge {
    /// Towards a proxy, whose certificate is verified, showing one for the address that SIPp has.
    pub fn client(authority: &Authority, own: &Signed, proxy: SocketAddr) -> Self {
        let connector = TlsConnector::from(authority.client(Some(own)));
        let bridge = Self::start("127.0.0.1", Ends::Client(connector));
        bridge.lead(proxy);
        bridge
    }

    /// A trunk's side: shows this certificate. Leads nowhere until [`Bridge::lead`].
    pub fn server(ip: &str, own: &Signed) -> Self {
        Self::start(ip, Ends::Server(TlsAcceptor::from(own.server())))
    }

    /// Where connections go from now on.
    pub fn lead(&self, to: SocketAddr) {
        self.lead.send_replace(Some(to));
    }

    fn start(ip: &str, ends: Ends) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((ip, 0))).expect("a port");
        let address = listener.local_addr().expect("bound");
        let (lead, to) = watch::channel(None);
        let ends = Arc::new(ends);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, Arc::clone(&ends), to.clone()));
            }
        });
        Self {
            address,
            lead,
            runtime: Some(runtime),
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One connection; however it ends, so does the other side of it.
async fn carry(stream: TcpStream, ends: Arc<Ends>, mut to: watch::Receiver<Option<SocketAddr>>) {
    let Ok(to) = to.wait_for(Option::is_some).await.map(|to| *to) else {
        return;
    };
    let Some(to) = to else { return };
    let Ok(onward) = TcpStream::connect(to).await else {
        return;
    };
    match &*ends {
        Ends::Client(connector) => {
            let name = ServerName::try_from("proxy.example").expect("a name");
            if let Ok(onward) = connector.connect(name, onward).await {
                both_ways(stream, onward).await;
            }
        }
        Ends::Server(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                both_ways(stream, onward).await;
            }
        }
    }
}

async fn both_ways(mut one: impl AsyncRead + AsyncWrite + Unpin, mut other: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = copy_bidirectional(&mut one, &mut other).await;
}
