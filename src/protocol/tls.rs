//! Who may talk: TLS 1.3 with one pinned certificate, and a token that both parties have.
//!
//! The client trusts exactly one certificate, that of the server, which proves in the handshake that it has the key. Names, validity and issuers
//! are not looked at: nobody vouches for anybody. Then the server sends a challenge, 32 bytes that were never used before, and the client answers
//! with a keyed hash (BLAKE3, the token as key) of the challenge and of keying material that only the two ends of this TLS session have
//! (RFC 8446, section 7.5). So the token itself never travels, and what was recorded is of no use in another session. One byte of the server's ends the
//! greeting. A greeting's frames come before those of [`crate::protocol::message`] and are not counted.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{TryRngCore, rngs::OsRng};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, PeerIncompatible, ServerConfig,
    ServerConnection, SignatureScheme,
};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::protocol::channel::{Channel, ChannelError, Tcp, dial};

/// Bytes of a token, of a challenge and of the answer to it.
const TOKEN_BYTES: usize = 32;
/// What a hash in a greeting is for, so that it serves for nothing else.
const PURPOSE: &[u8] = b"henn: a client that has the token, 1";
/// Under this label both ends of a TLS session derive what binds a greeting to it.
const BINDING: &[u8] = b"EXPORTER-henn-token-1";
/// Both sides must mean this protocol.
const APPLICATION: &[u8] = b"henn/1";
/// The name in the handshake, which nobody looks at.
const NAME: &str = "henn.invalid";
/// A server that does not greet within this time is given up.
const GREETING_LIMIT: Duration = Duration::from_secs(30);
/// A client that is turned away tries again for so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before the second attempt; twice as long before every other.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The server's last words of a greeting.
mod verdict {
    pub(super) const REFUSED: u8 = 0;
    pub(super) const ADMITTED: u8 = 1;
    pub(super) const FULL: u8 = 2;
}

/// Why a certificate, a key or a token cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// No certificate, or several: which one is meant?
    #[error("{found} certificates in PEM; exactly 1 expected")]
    Certificates {
        /// how many there are
        found: usize,
    },
    /// What stands between PEM's lines is broken.
    #[error("no PEM: {0}")]
    Pem(rustls::pki_types::pem::Error),
    /// Certificate and key are not for TLS, or not for each other.
    #[error("TLS cannot use it: {0}")]
    Unusable(rustls::Error),
    /// Not the length of a token.
    #[error("a token of {found} characters; {} hexadecimal digits expected", 2 * TOKEN_BYTES)]
    Length {
        /// characters, blanks at the ends left out
        found: usize,
    },
    /// Something else than digits. Which they are is not said: it may be somebody's secret.
    #[error("a token with other characters than {} hexadecimal digits", 2 * TOKEN_BYTES)]
    Digits,
    /// A certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Generation(rcgen::Error),
    /// The operating system has no randomness to give.
    #[error("no entropy from the operating system: {0}")]
    Entropy(rand::rand_core::OsError),
}

/// What both parties know and nobody else does: 32 bytes.
///
/// # Security
/// It is compared in constant time, wiped when dropped, and has neither `Debug` nor `Clone`.
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// From its hexadecimal digits, with blanks at the ends.
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        let digits = text.trim();
        if digits.len() != 2 * TOKEN_BYTES {
            return Err(CredentialError::Length { found: digits.chars().count() });
        }
        let mut token = Self([0; TOKEN_BYTES]);
        hex::decode_to_slice(digits, &mut token.0).map_err(|_| CredentialError::Digits)?;
        Ok(token)
    }

    /// What only somebody with the token can say to a challenge in a session.
    fn answer(&self, challenge: &[u8], binding: &[u8; 32]) -> [u8; TOKEN_BYTES] {
        let mut hash = blake3::Hasher::new_keyed(&self.0);
        hash.update(PURPOSE);
        hash.update(binding);
        hash.update(challenge);
        hash.finalize().into()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A new certificate with its key and a new token, as the files that hold them.
pub struct Credentials {
    /// For everybody, in PEM.
    pub certificate: String,
    /// The server's secret, in PEM.
    pub key: Zeroizing<String>,
    /// The secret of both parties, in hexadecimal digits.
    pub token: Zeroizing<String>,
}

impl Credentials {
    /// Makes them from the operating system's randomness.
    pub fn generate() -> Result<Self, CredentialError> {
        let names = vec![NAME.to_owned()];
        let mut made = rcgen::generate_simple_self_signed(names).map_err(CredentialError::Generation)?;
        let key = Zeroizing::new(made.signing_key.serialize_pem());
        made.signing_key.zeroize();
        let token = Zeroizing::new(random().map_err(CredentialError::Entropy)?);
        let token = Zeroizing::new(format!("{}\n", Zeroizing::new(hex::encode(*token)).as_str()));
        Ok(Self { certificate: made.cert.pem(), key, token })
    }
}

fn random() -> Result<[u8; TOKEN_BYTES], rand::rand_core::OsError> {
    let mut bytes = [0; TOKEN_BYTES];
    OsRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The one certificate in a PEM file.
fn certificate(pem: &str) -> Result<CertificateDer<'static>, CredentialError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let mut found = found.map_err(CredentialError::Pem)?;
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(CredentialError::Certificates { found: 0 }),
        (Some(_), others) => Err(CredentialError::Certificates { found: others + 1 }),
    }
}

/// The server's side: its certificate with the key, and the token that it asks for.
pub struct Identity {
    config: Arc<ServerConfig>,
    token: Token,
}

impl Identity {
    /// From the certificate and its key, both in PEM.
    pub fn new(certificate_pem: &str, key_pem: &str, token: Token) -> Result<Self, CredentialError> {
        let chain = vec![certificate(certificate_pem)?];
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(CredentialError::Pem)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(CredentialError::Unusable)?;
        // Every session shakes hands in full: there is nothing that could be taken up or replayed.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![APPLICATION.to_vec()];
        Ok(Self { config: Arc::new(config), token })
    }

    /// Shakes hands with a client and asks it for the token. The client still waits for a verdict then: [`Identity::admit`] or
    /// [`Identity::turn_away`]; one with a wrong token has had it.
    ///
    /// The client has `within` for all of this and for its first message, and may be silent for `silence` later on.
    ///
    /// # Errors
    /// [`ChannelError::WrongToken`] and what TLS says.
    pub fn greet(
        &self,
        stream: Arc<TcpStream>,
        silence: Duration,
        within: Duration,
    ) -> Result<Tcp, ChannelError> {
        let session = ServerConnection::new(Arc::clone(&self.config))?;
        let mut tcp = Tcp::tls_server(stream, session, silence, within)?;
        let challenge =
            random().map_err(|error| ChannelError::Io(std::io::Error::other(error.to_string())))?;
        tcp.accept_at_most(TOKEN_BYTES);
        tcp.send(challenge.to_vec())?;
        let found = tcp.receive()?;
        let binding = tcp.binding(BINDING).ok_or(ChannelError::WithoutTls)??;
        let expected = self.token.answer(&challenge, &binding);
        if bool::from(expected[..].ct_eq(&found)) {
            Ok(tcp)
        } else {
            // The client may be gone already; then nobody is left to be told.
            drop(tcp.send(vec![verdict::REFUSED]));
            Err(ChannelError::WrongToken)
        }
    }

    /// Tells a client that it may go on.
    pub fn admit(tcp: &mut Tcp) -> Result<(), ChannelError> {
        tcp.send(vec![verdict::ADMITTED])
    }

    /// Tells a client that it has to come again.
    pub fn turn_away(tcp: &mut Tcp) -> Result<(), ChannelError> {
        tcp.send(vec![verdict::FULL])
    }
}

/// What a server says to somebody for whom it has not even time to shake hands: TLS's alert `internal_error`.
pub const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 80];

/// The client's side: the certificate that it trusts, and the token.
pub struct Access {
    config: Arc<ClientConfig>,
    token: Token,
}

impl Access {
    /// From the server's certificate in PEM.
    pub fn new(pinned_pem: &str, token: Token) -> Result<Self, CredentialError> {
        let provider = provider();
        let fingerprint = blake3::hash(&certificate(pinned_pem)?);
        let pin = Arc::new(Pin { fingerprint: fingerprint.into(), provider: Arc::clone(&provider) });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(CredentialError::Unusable)?
            .dangerous()
            .with_custom_certificate_verifier(pin)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        config.alpn_protocols = vec![APPLICATION.to_vec()];
        Ok(Self { config: Arc::new(config), token })
    }

    /// Greets the server at the other end.
    ///
    /// # Errors
    /// [`ChannelError::WrongCertificate`], [`ChannelError::WrongToken`], [`ChannelError::Full`] and what TLS says.
    pub fn greet(&self, stream: TcpStream) -> Result<Tcp, ChannelError> {
        let name = ServerName::try_from(NAME).map_err(|_| ChannelError::WithoutTls)?;
        let session = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut tcp = Tcp::tls_client(stream, session, GREETING_LIMIT)?;
        tcp.accept_at_most(TOKEN_BYTES);
        let challenge = tcp.receive()?;
        if challenge.len() != TOKEN_BYTES {
            return Err(ChannelError::Greeting { found: challenge.len(), expected: TOKEN_BYTES });
        }
        let binding = tcp.binding(BINDING).ok_or(ChannelError::WithoutTls)??;
        tcp.send(self.token.answer(&challenge, &binding).to_vec())?;
        match tcp.receive()?[..] {
            [verdict::ADMITTED] => {}
            [verdict::REFUSED] => return Err(ChannelError::WrongToken),
            [verdict::FULL] => return Err(ChannelError::Full),
            ref other => return Err(ChannelError::Greeting { found: other.len(), expected: 1 }),
        }
        tcp.accept_at_most(usize::MAX);
        tcp.all_within(None);
        Ok(tcp)
    }
}

/// Trusts one certificate.
#[derive(Debug)]
struct Pin {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let same = blake3::hash(end_entity).as_bytes().ct_eq(&self.fingerprint);
        if bool::from(same) && intermediates.is_empty() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // A certificate is public: only this shows that the server has the key to it.
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Where a serving party is, and how it is spoken to.
pub struct Remote {
    address: String,
    access: Option<Access>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tls = self.access.is_some();
        formatter.debug_struct("Remote").field("address", &self.address).field("tls", &tls).finish()
    }
}

impl Remote {
    /// Without TLS.
    pub fn plain(address: impl Into<String>) -> Self {
        Self { address: address.into(), access: None }
    }

    /// Under TLS.
    pub fn secured(address: impl Into<String>, access: Access) -> Self {
        Self { address: address.into(), access: Some(access) }
    }

    /// As it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Opens a connection; a server that is full is asked again for half a minute.
    pub fn connect(&self) -> Result<Tcp, ChannelError> {
        let Some(access) = &self.access else { return Tcp::connect(&self.address) };
        let (start, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            match access.greet(dial(&self.address)?) {
                Err(ChannelError::Full) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                greeted => return greeted,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, Arc<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, Arc::new(listener.accept().unwrap().0))
    }

    fn token(digit: &str) -> Token {
        Token::parse(&digit.repeat(64)).unwrap()
    }

    const LIMIT: Duration = Duration::from_secs(20);

    /// What both sides make of each other.
    fn greet(identity: &Identity, access: &Access) -> [Result<Tcp, ChannelError>; 2] {
        let (near, far) = pair();
        std::thread::scope(|scope| {
            let serving = scope.spawn(move || {
                let mut tcp = identity.greet(far, LIMIT, LIMIT)?;
                Identity::admit(&mut tcp).map(|()| tcp)
            });
            let client = access.greet(near);
            [client, serving.join().unwrap()]
        })
    }

    #[test]
    fn a_token_has_64_digits_and_is_not_printed() {
        assert!(Token::parse(&format!(" {}\n", "0aF".repeat(21) + "9")).is_ok());
        assert!(matches!(Token::parse("abc"), Err(CredentialError::Length { found: 3 })));
        let error = Token::parse(&"xy".repeat(32)).err().unwrap();
        assert!(matches!(error, CredentialError::Digits) && !error.to_string().contains("xy"));
    }

    #[test]
    fn whoever_has_certificate_and_token_is_let_in_and_nobody_else() {
        let [own, other] = [(); 2].map(|()| Credentials::generate().unwrap());
        assert!(own.certificate != other.certificate && own.key != other.key && own.token != other.token);
        let identity = Identity::new(&own.certificate, &own.key, Token::parse(&own.token).unwrap()).unwrap();
        let access = |pin: &Credentials, token: &Credentials| {
            Access::new(&pin.certificate, Token::parse(&token.token).unwrap()).unwrap()
        };
        let [mut client, mut server] = greet(&identity, &access(&own, &own)).map(Result::unwrap);
        server.accept_at_most(1 << 20);
        client.send(vec![7; 100_000]).unwrap();
        assert_eq!(server.receive().unwrap(), vec![7; 100_000]);
        let [client, server] = greet(&identity, &access(&own, &other));
        assert!(matches!(client, Err(ChannelError::WrongToken)), "{client:?}");
        assert!(matches!(server, Err(ChannelError::WrongToken)), "{server:?}");
        let [client, server] = greet(&identity, &access(&other, &own));
        assert!(matches!(client, Err(ChannelError::WrongCertificate)), "{client:?}");
        // The client's alert, unless the end of the connection was seen first.
        assert!(matches!(server, Err(ChannelError::Tls(_) | ChannelError::Closed)), "{server:?}");
    }

    /// A copy of the certificate is no key: whoever shows it must sign.
    #[test]
    fn the_pinned_certificate_without_its_key_is_refused() {
        let [own, other] = [(); 2].map(|()| Credentials::generate().unwrap());
        let access = Access::new(&own.certificate, token("1")).unwrap();
        let honest = Identity::new(&own.certificate, &own.key, token("1")).unwrap();
        // rustls refuses a pair that does not belong together; an impostor does not ask it.
        assert!(Identity::new(&own.certificate, &other.key, token("1")).is_err());
        let key = PrivateKeyDer::from_pem_slice(other.key.as_bytes()).unwrap();
        let signer = ring::sign::any_supported_type(&key).unwrap();
        let chain = vec![certificate(&own.certificate).unwrap()];
        let forged = Arc::new(rustls::sign::CertifiedKey::new(chain, signer));
        let mut config = ServerConfig::clone(&honest.config);
        config.cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(forged));
        let impostor = Identity { config: Arc::new(config), token: token("1") };
        let [client, _] = greet(&impostor, &access);
        let Err(ChannelError::Tls(rustls::Error::InvalidCertificate(CertificateError::BadSignature))) =
            client
        else {
            panic!("{client:?}")
        };
    }

    #[test]
    fn an_answer_serves_in_one_session_alone() {
        let token = token("5");
        let answer = token.answer(&[1; 32], &[2; 32]);
        assert_eq!(answer, token.answer(&[1; 32], &[2; 32]));
        assert_ne!(answer, token.answer(&[3; 32], &[2; 32]));
        assert_ne!(answer, token.answer(&[1; 32], &[3; 32]));
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let made = Credentials::generate().unwrap();
        let new = |certificate: &str| Access::new(certificate, token("0")).err().unwrap();
        assert!(matches!(new("nothing"), CredentialError::Certificates { found: 0 }));
        assert!(matches!(new(&made.certificate.repeat(2)), CredentialError::Certificates { found: 2 }));
        assert!(matches!(new(&made.key), CredentialError::Certificates { found: 0 }));
        assert!(matches!(new(&made.certificate.replace("MII", "!!!")), CredentialError::Pem(_)));
        assert!(matches!(
            Identity::new(&made.certificate, &made.certificate, token("0")),
            Err(CredentialError::Pem(_))
        ));
    }
}
