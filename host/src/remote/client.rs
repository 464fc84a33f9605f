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

/// How long the host may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to answer: it compiles, and waits for its workers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// A host that refuses before it has read the plugin says so, instead of closing while it is sent.
const CONTINUE: &str = "100-continue";

/// Why there is no answer, or none that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nobody is there.
    #[error(
        "the admin server of the host at {url} can't be reached: {reason}; is a host running there? Another address: --admin URL"
    )]
    Unreachable {
        /// Where it was asked.
        url: String,
        /// Why.
        reason: String,
    },
    /// The token is missing, or another one.
    #[error("the host at {url} does not let this be done: {reason}; the token: --admin-token-file FILE")]
    Token {
        /// Where it was asked.
        url: String,
        /// Why.
        reason: String,
    },
    /// The file of the token is not as it should be.
    #[error("{0:#}")]
    TokenFile(anyhow::Error),
    /// The host does not take the plugin.
    #[error("refused at the step {step}: {reason}")]
    Refused {
        /// The step.
        step: &'static str,
        /// Why.
        reason: String,
    },
    /// Another answer: busy, ending, or not of a host at all.
    #[error("the host at {url} answers {status}: {reason}")]
    Answer {
        /// Where it was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        reason: String,
    },
}

/// Asks one host.
pub struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
    /// The pipeline that is asked about; `None`: the only one.
    pipeline: Option<String>,
}

impl Client {
    /// A client of the host whose admin server is at this URL, `http://HOST:PORT`.
    ///
    /// # Errors
    /// When the file of the token can't be read.
    pub fn new(url: &str, token_file: Option<&Path>) -> Result<Self, RemoteError> {
        let token = token_file.map(read_token).transpose().map_err(RemoteError::TokenFile)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            // A proxy is for the world outside.
            .proxy(None)
            .max_redirects(0);
        Ok(Self { agent: config.build().into(), url: url.trim_end_matches('/').to_owned(), token, pipeline: None })
    }

    /// The same, about this pipeline of the host.
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

    /// Swaps this plugin in, or only tries it out. A refusal of the try-out is a report, too.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn swap(&self, plugin: Vec<u8>, dry_run: bool, force: bool) -> Result<Report, RemoteError> {
        let url = self.at(&format!("/swap?dry-run={dry_run}&force={force}"));
        let request = self.agent.post(&url).content_type(PLUGIN_MEDIA_TYPE).header("Expect", CONTINUE);
        self.read(self.authorised(request).send(&plugin[..]))
    }

    /// What a rollback would do; `to`: the version that it is to return to, or the one before.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn rollback_plan(&self, to: Option<&str>) -> Result<RollbackPlan, RemoteError> {
        let request = self.agent.get(self.at("/rollback"));
        self.read(to.into_iter().fold(request, |request, to| request.query("to", to)).call())
    }

    /// Does what was planned, unless another version has become active meanwhile.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn rollback_as_planned(&self, plan: &RollbackPlan) -> Result<Report, RemoteError> {
        let request = self.agent.post(self.at("/rollback"));
        let request = request.query("to", &plan.to.digest).query("from", &plan.from.digest);
        self.read(self.authorised(request).send_empty())
    }

    /// Returns to the version before, whichever that is.
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

    /// What the shadow has seen.
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
        // A refusal is told as fully as a success, where it came so far.
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
