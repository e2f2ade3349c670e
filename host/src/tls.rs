//! How servers prove who they are, and how we do.

use crate::error::Error;
use crate::route::Versions;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// How TLS connections are opened: whose certificates are trusted, and which one is shown.
///
/// Clones share the sessions that may be resumed. Two of them are equal when one is a clone of the other.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    recipe: Arc<TlsBuilder>,
}

impl Tls {
    /// The bundled roots and no certificate of our own, to be changed.
    pub fn builder() -> TlsBuilder {
        TlsBuilder { roots: Roots::Bundled, added: RootCertStore::empty(), identity: None }
    }

    /// The same, trusting also the certificates of a PEM file.
    ///
    /// # Errors
    ///
    /// Those of [`TlsBuilder::add_roots_pem`].
    pub(crate) fn with_roots_pem(&self, pem: &[u8]) -> Result<Self, Error> {
        TlsBuilder::clone(&self.recipe).add_roots_pem(pem)?.build()
    }

    /// The same with sessions of its own, so that a server cannot tell that two tenants come from one place by the tickets
    /// they show.
    pub(crate) fn isolated(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::default();
        Self { config: Arc::new(config), recipe: Arc::clone(&self.recipe) }
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for Tls {}

impl Hash for Tls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.config).hash(state);
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("roots", &self.recipe.roots).finish_non_exhaustive()
    }
}

/// Whose certificates are trusted, besides those that are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Roots {
    /// The roots of Mozilla, as built into the program. The default.
    #[default]
    Bundled,
    /// Those of the system, or of the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    Native,
    /// Both.
    BundledAndNative,
    /// None: only those that are added.
    Only,
}

/// The settings of a [`Tls`].
#[derive(Clone)]
#[must_use]
pub struct TlsBuilder {
    roots: Roots,
    added: RootCertStore,
    identity: Option<Arc<Identity>>,
}

/// A certificate of our own.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl TlsBuilder {
    /// Whose certificates are trusted, besides those that are added. Default: [`Roots::Bundled`].
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Trusts the certificates of a PEM file, too.
    ///
    /// # Errors
    ///
    /// [`Error::Roots`] when there is no certificate in it, or one that cannot be used.
    pub fn add_roots_pem(mut self, pem: &[u8]) -> Result<Self, Error> {
        let before = self.added.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| Error::Roots(error.to_string()))?;
            self.added.add(certificate).map_err(|error| Error::Roots(error.to_string()))?;
        }
        if self.added.len() == before {
            return Err(Error::Roots("no certificate found".into()));
        }
        Ok(self)
    }

    /// Shows a certificate to servers that ask for one: the chain, beginning with the certificate itself, and its private key,
    /// each in PEM. Default: none is shown.
    ///
    /// # Errors
    ///
    /// [`Error::Identity`] when there is no certificate or no key in them. Whether they fit each other shows in
    /// [`build`](Self::build).
    pub fn identity_pem(mut self, chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::Identity(error.to_string()))?;
        if chain.is_empty() {
            return Err(Error::Identity("no certificate found".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| Error::Identity(format!("key: {error}")))?;
        self.identity = Some(Arc::new(Identity { chain, key }));
        Ok(self)
    }

    /// The configuration. Reads the system's roots where they are wanted.
    ///
    /// # Errors
    ///
    /// [`Error::Roots`] when nobody would be trusted, [`Error::Identity`] when the certificate and the key do not belong
    /// together.
    pub fn build(self) -> Result<Tls, Error> {
        let mut roots = self.added.clone();
        if matches!(self.roots, Roots::Bundled | Roots::BundledAndNative) {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if matches!(self.roots, Roots::Native | Roots::BundledAndNative) {
            let native = rustls_native_certs::load_native_certs();
            for error in &native.errors {
                tracing::warn!(%error, "root certificates of the system");
            }
            // Stores of systems hold certificates that rustls cannot read. Nobody misses them.
            let (_read, _skipped) = roots.add_parsable_certificates(native.certs);
        }
        if roots.is_empty() {
            return Err(Error::Roots("none to trust".into()));
        }
        // With several providers in one program there is no default one, so it is named.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_root_certificates(roots);
        let config = match self.identity.as_deref() {
            None => config.with_no_client_auth(),
            Some(identity) => config
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(|error| Error::Identity(error.to_string()))?,
        };
        Ok(Tls { config: Arc::new(config), recipe: Arc::new(self) })
    }
}

/// What is offered by ALPN (RFC 7301, RFC 9113 §3.2).
pub(crate) fn offer(versions: Versions) -> Vec<Vec<u8>> {
    match versions {
        Versions::Http1 => vec![b"http/1.1".to_vec()],
        Versions::Negotiated => vec![H2.to_vec(), b"http/1.1".to_vec()],
        Versions::Http2 => vec![H2.to_vec()],
    }
}

pub(crate) const H2: &[u8] = b"h2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clones_are_equal() {
        let tls = Tls::builder().build().unwrap();
        assert_eq!(tls, tls.clone());
        assert_ne!(tls, Tls::builder().build().unwrap());
        assert_ne!(tls, tls.isolated());
    }

    #[test]
    fn trusting_nobody_is_refused() {
        assert!(matches!(Tls::builder().roots(Roots::Only).build(), Err(Error::Roots(_))));
    }

    #[test]
    fn files_without_certificate_or_key_are_refused() {
        for (chain, key) in [("", ""), ("nothing", "nothing"), ("-----BEGIN CERTIFICATE-----\nA\n", "")] {
            let refused = Tls::builder().identity_pem(chain.as_bytes(), key.as_bytes());
            assert!(matches!(refused, Err(Error::Identity(_))), "{chain}");
        }
    }
}
