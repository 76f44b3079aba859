use std::io;

use dask_proto::Address;
use tokio::net::{UdpSocket, lookup_host};

/// Where to listen so that whoever reaches a scheduler is likely to reach this side: the same
/// scheme, and for TCP the local address from which the scheduler is reached, with a free port.
///
/// # Errors
/// When there is no way to the scheduler.
pub async fn local_address(scheduler: &Address) -> io::Result<Address> {
    let scheme = scheduler.scheme();
    let address = |text: String| text.parse().map_err(io::Error::other);
    if scheme != "tcp" {
        // A transport over sockets has hosts and ports in its addresses too.
        let port = scheduler.rest().rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        return address(match port {
            Some(Ok(_)) => format!("{scheme}://{}:0", scheduler.host()),
            _ => format!("{scheme}://0"),
        });
    }
    let mut found = lookup_host(scheduler.rest()).await?;
    let remote = found.next().ok_or(io::ErrorKind::NotFound)?;
    let any = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    // Connecting a datagram socket sends nothing: it only asks for the route.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(remote).await?;
    let mut local = socket.local_addr()?;
    local.set_port(0);
    address(format!("tcp://{local}"))
}
