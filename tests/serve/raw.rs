//! A client that speaks the greeting by itself, byte by byte, and can therefore do everything wrong.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    version::TLS13,
};

/// Trusts everybody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A TCP connection from an address of this machine.
pub(crate) fn connect_from(source: IpAddr, address: &str) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    let target: SocketAddr = address.parse().map_err(io::Error::other)?;
    socket.connect_timeout(&target.into(), Duration::from_secs(20))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    Ok(stream)
}

/// A TLS session.
pub(crate) struct Raw {
    pub(crate) tls: StreamOwned<ClientConnection, TcpStream>,
}

impl Raw {
    pub(crate) fn new(mut stream: TcpStream) -> io::Result<Self> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"henn/1".to_vec()];
        let name = ServerName::try_from("anybody.invalid").map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self { tls: StreamOwned::new(session, stream) })
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.announce(u32::try_from(frame.len()).map_err(io::Error::other)?, frame)
    }

    /// A length and other bytes than it says.
    pub(crate) fn announce(&mut self, length: u32, bytes: &[u8]) -> io::Result<()> {
        self.tls.write_all(&[&length.to_le_bytes()[..], bytes].concat())?;
        self.tls.flush()
    }

    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.tls.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_le_bytes(length) as usize];
        self.tls.read_exact(&mut frame)?;
        Ok(frame)
    }

    /// The answer to a challenge: BLAKE3 with the token as key, of what it is for, the session's keying material and the challenge.
    pub(crate) fn answer(&self, token: &str, challenge: &[u8]) -> Vec<u8> {
        let mut key = [0; 32];
        hex::decode_to_slice(token.trim(), &mut key).unwrap();
        let label = b"EXPORTER-henn-token-1";
        let binding = self.tls.conn.export_keying_material([0; 32], label, None).unwrap();
        let text = [&b"henn: a client that has the token, 1"[..], &binding, challenge].concat();
        blake3::keyed_hash(&key, &text).as_bytes().to_vec()
    }

    /// Is let in; returns what it said for that.
    pub(crate) fn greet(&mut self, token: &str) -> io::Result<Vec<u8>> {
        let challenge = self.receive()?;
        let answer = self.answer(token, &challenge);
        self.send(&answer)?;
        let verdict = self.receive()?;
        if verdict == [1] { Ok(answer) } else { Err(io::Error::other(format!("verdict {verdict:?}"))) }
    }
}
