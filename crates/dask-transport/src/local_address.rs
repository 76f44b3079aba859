use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
    address(format!("tcp://{}", SocketAddr::new(route_to(remote).await?, 0)))
}

/// Where others reach what listens at an address: there, unless it listens on all interfaces
/// (`0.0.0.0`), which is no address that anybody could connect to. Then it is that of the interface
/// from which the scheduler is reached; for a scheduler itself, the rest of the world (Dask's
/// `get_ip`), or this machine alone if there is no network. What listens on `[::]` is reached by
/// IPv4 too.
pub async fn contact_address(listening: &Address, scheduler: Option<&Address>) -> Address {
    let socket = listening.rest().parse::<SocketAddr>();
    let everywhere = socket.ok().filter(|socket| socket.ip().is_unspecified());
    let Some(everywhere) = everywhere.filter(|_| listening.scheme() == "tcp") else {
        return listening.clone();
    };
    let mut remotes = Vec::new();
    if let Some(scheduler) = scheduler {
        remotes.extend(lookup_host(scheduler.rest()).await.into_iter().flatten());
    }
    remotes.sort_by_key(SocketAddr::is_ipv4);
    // Nothing is sent there.
    let world = ["[2001:4860:4860::8888]:80", "8.8.8.8:80"];
    remotes.extend(world.iter().flat_map(|remote| remote.parse::<SocketAddr>()));
    remotes.retain(|remote| remote.is_ipv4() || everywhere.is_ipv6());
    let mut ip: IpAddr = match everywhere {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    for remote in remotes {
        if let Ok(local) = route_to(remote).await {
            ip = local;
            break;
        }
    }
    let reached = format!("tcp://{}", SocketAddr::new(ip, everywhere.port()));
    reached.parse().unwrap_or_else(|_| listening.clone())
}

/// The address from which another is reached.
async fn route_to(remote: SocketAddr) -> io::Result<IpAddr> {
    let any = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    // Connecting a datagram socket sends nothing: it only asks for the route.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(remote).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn contact(listening: &str, scheduler: Option<&str>) -> String {
        let address = |text: &str| text.parse().expect("an address");
        let scheduler = scheduler.map(address);
        contact_address(&address(listening), scheduler.as_ref()).await.to_string()
    }

    #[tokio::test]
    async fn what_listens_everywhere_is_reached_at_an_interface() {
        for address in ["tcp://10.0.0.1:80", "tcp://[fe80::1]:80", "inproc://0", "tcp://host:80"] {
            assert_eq!(contact(address, None).await, address);
        }
        let scheduler = Some("tcp://127.0.0.1:8786");
        for address in ["tcp://0.0.0.0:4000", "tcp://[::]:4000"] {
            assert_eq!(contact(address, scheduler).await, "tcp://127.0.0.1:4000");
        }
        assert_eq!(contact("tcp://[::]:4000", Some("tcp://[::1]:1")).await, "tcp://[::1]:4000");
        let scheduler = contact("tcp://0.0.0.0:8786", None).await;
        let ip = scheduler.strip_prefix("tcp://").and_then(|rest| rest.strip_suffix(":8786"));
        let ip = ip.and_then(|ip| ip.parse::<Ipv4Addr>().ok()).expect("an address of this machine");
        assert!(!ip.is_unspecified());
    }
}
