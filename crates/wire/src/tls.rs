//! Who is at the other end: TLS 1.3 with self-signed certificates, accepted because a signed roster names the key.
//!
//! There is no CA, no revocation list and no session resumption: removal from the roster is revocation. Nothing
//! in a certificate but its public key is ever read. Signatures of the handshake are checked by rustls; which
//! key may sign is compared here.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, ServerConfig, SignatureScheme};
use trust::{PublicKey, SigningKey};

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be made from the key.
    #[error("cannot make a certificate from the key: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls refused the configuration.
    #[error("cannot configure TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// A server that proves possession of `key`.
///
/// # Errors
/// If no certificate can be made from the key.
pub fn server_config(key: &SigningKey, name: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let der = key.to_pkcs8_der();
    let pair = rcgen::KeyPair::try_from(der.as_slice())?;
    let certificate = rcgen::CertificateParams::new(vec![name.to_owned()])?.self_signed(&pair)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.to_vec()));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// As whom a server shakes hands: it can be exchanged while the server runs, for the handshakes that begin after that.
#[derive(Clone)]
pub struct Identity(Arc<ArcSwap<ServerConfig>>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// As whom it begins.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// As whom it goes on.
    pub fn exchange(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

/// The same server for those too who come by requests: see `polls.rs`.
pub(crate) fn also_by_requests(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols.push(crate::polls::ALPN.to_vec());
    Arc::new(config)
}

/// A client that comes by requests.
pub(crate) fn by_requests(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![crate::polls::ALPN.to_vec()];
    Arc::new(config)
}

/// A client that goes on only if the server holds `expected`.
///
/// # Errors
/// If rustls refuses the configuration.
pub fn client_config(expected: &PublicKey) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = PinnedKey {
        expected_spki: expected.to_spki_der(),
        provider: provider(),
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The value that binds a proof to one connection: RFC 9266, `tls-exporter`.
///
/// # Errors
/// If the handshake is not complete.
pub fn channel_binding<Data>(connection: &rustls::ConnectionCommon<Data>) -> Result<trust::Channel, rustls::Error> {
    let value = connection.export_keying_material([0_u8; 32], b"EXPORTER-Channel-Binding", Some(b""))?;
    Ok(trust::Channel::new(value))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificate presented does not hold the key that the roster names.
#[derive(Debug, thiserror::Error)]
#[error("the server does not hold the key that the roster names")]
struct OtherKey;

/// Whether a handshake ended because the server holds another key than the expected one.
pub(crate) fn says_other_key(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why.is::<OtherKey>(),
        _ => false,
    }
}

#[derive(Debug)]
struct PinnedKey {
    expected_spki: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if parsed.subject_public_key_info().as_ref() != self.expected_spki {
            let other = CertificateError::Other(OtherError(Arc::new(OtherKey)));
            return Err(rustls::Error::InvalidCertificate(other));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
