//! The HTTP client of a schema registry with the API of Confluent. It blocks, within a time-out.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use mapper_schemas::{Answer, LookupError, MEDIA_TYPE, Transport};
use mapper_state::files::{self, Limit};
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::config::{RegistryConfig, RegistryUrl};

/// A file with certificates or a key.
const PEM_FILE: Limit = Limit::new("certificates or a key", 1 << 20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time-out of a request to one server.
const TIMEOUT: Duration = Duration::from_secs(4);
/// After a failure, further requests fail at once for this time: all workers would wait for the same server one after the other.
const COOL_DOWN: Duration = Duration::from_millis(500);
/// The most bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 8 << 20;
/// What the registry may answer in.
const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, application/json";

/// A registry.
pub(super) struct HttpRegistry {
    agent: Agent,
    urls: Vec<RegistryUrl>,
    /// The value of the header Authorization, if it is not in the URL.
    authorization: Option<String>,
    last_failure: Mutex<Option<(Instant, Arc<str>)>>,
}

impl HttpRegistry {
    /// # Errors
    /// If a file can't be read, or is not what it should be.
    pub(super) fn new(config: &RegistryConfig) -> anyhow::Result<Self> {
        let read = |path: &Path, what: &str| {
            files::read(path, PEM_FILE).with_context(|| format!("{what}: {}", path.display()))
        };
        let token = config.token_file.as_deref().map(crate::admin::read_token).transpose()?;
        let roots = match &config.ca_file {
            // The certificate authorities of this machine, so that an own one can be among them.
            None => RootCerts::PlatformVerifier,
            Some(path) => RootCerts::new_with_certs(&certificates(&read(path, "--schema-registry-ca")?, path)?),
        };
        let identity = match &config.identity {
            None => None,
            Some((certificate, key)) => {
                let chain = certificates(&read(certificate, "--schema-registry-cert")?, certificate)?;
                let pem = read(key, "--schema-registry-key")?;
                let parsed = PrivateKey::from_pem(&pem).with_context(|| {
                    format!("--schema-registry-key: {}: it has no private key in PEM form", key.display())
                })?;
                Some(ClientCert::new_with_certs(&chain, parsed))
            }
        };
        let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots).client_cert(identity);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("mapper-host/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            // A redirect would send the credentials elsewhere.
            .max_redirects(0);
        Ok(Self {
            agent: agent.build().into(),
            urls: config.urls.clone(),
            authorization: token.map(|token| format!("Bearer {token}")),
            last_failure: Mutex::new(None),
        })
    }

    /// Asks the servers in turn until one answers. An answer that says that it can't answer now is none.
    fn request(&self, path: &str, body: Option<&[u8]>) -> Result<Answer, LookupError> {
        if let Some((at, reason)) = self.last_failure().as_ref()
            && at.elapsed() < COOL_DOWN
        {
            return Err(LookupError::Unavailable(reason.clone()));
        }
        let mut reason: Arc<str> = "it has no URL".into();
        for url in &self.urls {
            match self.send(url, path, body) {
                Ok(answer) if !answer.is_temporary() => {
                    *self.last_failure() = None;
                    return Ok(answer);
                }
                Ok(answer) => reason = format!("{url}{path}: status {}", answer.status).into(),
                // The error of the client has no credentials: they are in a header.
                Err(error) => reason = format!("{url}{path}: {error}").into(),
            }
        }
        *self.last_failure() = Some((Instant::now(), reason.clone()));
        Err(LookupError::Unavailable(reason))
    }

    fn last_failure(&self) -> MutexGuard<'_, Option<(Instant, Arc<str>)>> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, url: &RegistryUrl, path: &str, body: Option<&[u8]>) -> Result<Answer, ureq::Error> {
        let target = format!("{url}{path}");
        let authorization = url.authorization.as_ref().or(self.authorization.as_ref());
        let mut answer = match body {
            None => {
                let request = self.agent.get(&target).header("Accept", ACCEPT);
                authorization
                    .into_iter()
                    .fold(request, |request, value| request.header("Authorization", value))
                    .call()?
            }
            Some(body) => {
                let request = self.agent.post(&target).header("Accept", ACCEPT).content_type(MEDIA_TYPE);
                let request =
                    authorization.into_iter().fold(request, |request, value| request.header("Authorization", value));
                request.send(body)?
            }
        };
        let status = answer.status().as_u16();
        Ok(Answer { status, body: answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()? })
    }
}

impl Transport for HttpRegistry {
    fn get(&self, path: &str) -> Result<Answer, LookupError> {
        self.request(path, None)
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, LookupError> {
        self.request(path, Some(body))
    }
}

fn certificates(pem: &[u8], path: &Path) -> anyhow::Result<Vec<Certificate<'static>>> {
    let items = parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = items.collect();
    anyhow::ensure!(!found.is_empty(), "{}: it has no certificate in PEM form", path.display());
    Ok(found)
}
