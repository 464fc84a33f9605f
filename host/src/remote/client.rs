//! A client of the admin server of a running host.

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::StatusCode;

use crate::admin::read_token;
use mapper_api::pipelines::PipelineSummary;
use mapper_api::versions::ErrorBody;
use mapper_api::versions::RollbackPlan;
use mapper_api::versions::TermView;
use mapper_api::versions::{Report, ShadowStatus};
use mapper_api::{PIPELINES_PATH, PLUGIN_MEDIA_TYPE};

/// The timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of an answer: the host compiles and waits for its workers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// The host can refuse a plugin before the client sends it.
const CONTINUE: &str = "100-continue";

/// The error of a request.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The host cannot be reached.
    #[error(
        "the admin server cannot be reached: {url}: {reason}. Check that a host runs there, or give another address with --admin URL"
    )]
    Unreachable {
        /// The URL of the host.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The token is missing or wrong.
    #[error("the host at {url} rejected the request: {reason}. Give the token with --admin-token-file FILE")]
    Token {
        /// The URL of the host.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The token file is invalid.
    #[error("{0:#}")]
    TokenFile(anyhow::Error),
    /// The host refused the plugin.
    #[error("refused at the step {step}: {reason}")]
    Refused {
        /// The step.
        step: &'static str,
        /// The reason.
        reason: String,
    },
    /// Another answer: the host is busy or ending, or the server is not a host.
    #[error("the host at {url} answers {status}: {reason}")]
    Answer {
        /// The URL of the host.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The reason in the body.
        reason: String,
    },
}

/// A client of one host.
pub struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
    /// The pipeline of the requests; `None` is the only one.
    pipeline: Option<String>,
}

impl Client {
    /// Creates a client of the admin server at this URL, `http://HOST:PORT`.
    ///
    /// # Errors
    /// If the token file cannot be read.
    pub fn new(url: &str, token_file: Option<&Path>) -> Result<Self, RemoteError> {
        let token = token_file.map(read_token).transpose().map_err(RemoteError::TokenFile)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            // The host is not behind the proxy of this machine.
            .proxy(None)
            .max_redirects(0);
        Ok(Self { agent: config.build().into(), url: url.trim_end_matches('/').to_owned(), token, pipeline: None })
    }

    /// Sets the pipeline of the requests.
    #[must_use]
    pub fn about(self, pipeline: Option<String>) -> Self {
        Self { pipeline, ..self }
    }

    /// All pipelines of the host.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn pipelines(&self) -> Result<Vec<PipelineSummary>, RemoteError> {
        self.read(self.agent.get(format!("{}{PIPELINES_PATH}", self.url)).call())
    }

    /// Swaps to this plugin, or only tries it out. A refusal is a report, too.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn swap(&self, plugin: Vec<u8>, dry_run: bool, force: bool) -> Result<Report, RemoteError> {
        let url = self.at(&format!("/swap?dry-run={dry_run}&force={force}"));
        let request = self.agent.post(&url).content_type(PLUGIN_MEDIA_TYPE).header("Expect", CONTINUE);
        self.read(self.authorised(request).send(&plugin[..]))
    }

    /// Plans a rollback to the version `to`, or to the version before.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn rollback_plan(&self, to: Option<&str>) -> Result<RollbackPlan, RemoteError> {
        let request = self.agent.get(self.at("/rollback"));
        self.read(to.into_iter().fold(request, |request, to| request.query("to", to)).call())
    }

    /// Rolls back as planned. The host refuses it if another version is active by now.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn rollback_as_planned(&self, plan: &RollbackPlan) -> Result<Report, RemoteError> {
        let request = self.agent.post(self.at("/rollback"));
        let request = request.query("to", &plan.to.digest).query("from", &plan.from.digest);
        self.read(self.authorised(request).send_empty())
    }

    /// Rolls back to the version before.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn rollback(&self) -> Result<Report, RemoteError> {
        self.read(self.authorised(self.agent.post(self.at("/rollback"))).send_empty())
    }

    /// All versions, the latest first.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn history(&self) -> Result<Vec<TermView>, RemoteError> {
        self.read(self.agent.get(self.at("/history")).call())
    }

    /// Starts a shadow.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn start_shadow(&self, plugin: Vec<u8>) -> Result<Option<ShadowStatus>, RemoteError> {
        let request = self.agent.post(self.at("/shadow")).content_type(PLUGIN_MEDIA_TYPE).header("Expect", CONTINUE);
        self.read(self.authorised(request).send(&plugin[..]))
    }

    /// The results of the shadow.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn shadow(&self) -> Result<Option<ShadowStatus>, RemoteError> {
        self.read(self.agent.get(self.at("/shadow")).call())
    }

    /// Ends the shadow.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn stop_shadow(&self) -> Result<Option<ShadowStatus>, RemoteError> {
        self.read(self.authorised(self.agent.delete(self.at("/shadow"))).call())
    }

    fn at(&self, path: &str) -> String {
        match &self.pipeline {
            Some(pipeline) => format!("{}{PIPELINES_PATH}/{pipeline}{path}", self.url),
            None => format!("{}{path}", self.url),
        }
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, RemoteError> {
        let unreachable =
            |error: ureq::Error| RemoteError::Unreachable { url: self.url.clone(), reason: error.to_string() };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.body_mut().read_to_string().map_err(unreachable)?;
        // The host answers a refused swap with a report, too.
        if let Ok(read) = serde_json::from_str(&body) {
            return Ok(read);
        }
        let error = serde_json::from_str::<ErrorBody>(&body).ok();
        let step = error.as_ref().and_then(|error| error.step);
        let reason = error.map_or_else(|| body.trim().to_owned(), |error| error.reason);
        let url = self.url.clone();
        Err(match (status, step) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => RemoteError::Token { url, reason },
            (_, Some(step)) => RemoteError::Refused { step: step.name(), reason },
            _ => RemoteError::Answer { url, status: status.as_u16(), reason },
        })
    }
}
