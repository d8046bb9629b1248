//! The HTTP listener: binding, serving, and draining when the server stops.

use super::door::Door;
use crate::app::App;
use crate::http::line::Peer;
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Binds the API's address; port 0 picks a free one.
///
/// # Errors
/// A sentence that names the address.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}; choose another address with --listen"))
}

/// Serves the API until shutdown begins, then lets the open requests end.
///
/// # Errors
/// When the table of routes can't be made.
pub async fn serve(listener: TcpListener, app: Arc<App>) -> anyhow::Result<JoinHandle<std::io::Result<()>>> {
    let door = Door::new(listener, &app.config);
    let stop = app.shutdown.clone();
    // Making the table of routes takes some megabytes for a moment. The allocator gives them back when their thread ends,
    // and a thread of this pool ends soon; this one would keep them.
    let router = tokio::task::spawn_blocking(move || crate::http::router(app)).await.context("the table of routes can't be made")?;
    let service = router.into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(door, service).with_graceful_shutdown(stop.cancelled_owned());
    Ok(tokio::spawn(async move { server.await }))
}

/// The URL under which a listener is reached from this machine.
#[must_use]
pub fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_every_interface_is_shown_as_one_that_can_be_opened() {
        for (address, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("192.168.1.7:9", "http://192.168.1.7:9"),
        ] {
            assert_eq!(local_url(address.parse().expect("address")), url);
        }
    }
}
