//! Requests over HTTP, and what their answers mean.
use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use ureq::http::Response;
use ureq::{Agent, AsSendBody, Body, RequestBuilder};

use super::service::Failure;
use crate::error::Result;

/// A client with time limits, whose answers are texts or [`Failure`]s: 401, 403 and 407 are `Denied`; 408, 429, 500 and above, and no answer at all, are `Away`;
/// another status that is not a success is `Refused`.
///
/// It waits for a connection for 5 s, and for an answer for 60 s.
///
/// ```
/// use catena_loggers::remote::{Failure, Http};
///
/// let http = Http::new().bearer("secret");
/// assert_eq!(format!("{http:?}"), "Http { headers: [\"Authorization\"] }");
/// // nobody listens there
/// assert!(matches!(http.get("http://127.0.0.1:9", &[]), Err(Failure::Away(_))));
/// ```
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    headers: Vec<(String, String)>,
}

const CONNECT: Duration = Duration::from_secs(5);
const RESPOND: Duration = Duration::from_secs(60);

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // their values are secrets
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Http").field("headers", &names).finish()
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    /// Without headers of its own.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(RESPOND))
            .timeout_recv_body(Some(RESPOND))
            .build();
        Self { agent: config.into(), headers: Vec::new() }
    }

    /// A header of each request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A token that the server wants to see.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// A user and a password that the server wants to see.
    #[must_use]
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", format!("Basic {both}"))
    }

    /// Asks with these names and values in the address.
    ///
    /// # Errors
    ///
    /// See [`Http`].
    pub fn get(&self, url: &str, query: &[(&str, &str)]) -> std::result::Result<String, Failure> {
        let url = match query {
            [] => url.to_owned(),
            query => {
                let pair = |(name, value): &(&str, &str)| format!("{}={}", encode(name), encode(value));
                format!("{url}?{}", query.iter().map(pair).collect::<Vec<_>>().join("&"))
            }
        };
        answer(self.with_headers(self.agent.get(url)).call())
    }

    /// Posts JSON.
    ///
    /// # Errors
    ///
    /// See [`Http`].
    pub fn post(&self, url: &str, body: &Json) -> std::result::Result<String, Failure> {
        let request = self.agent.post(url).header("Content-Type", "application/json");
        answer(self.with_headers(request).send(body.to_string()))
    }

    /// Posts bytes of this type, such as `text/plain`.
    ///
    /// # Errors
    ///
    /// See [`Http`].
    pub fn post_bytes(&self, url: &str, kind: &str, body: &[u8]) -> std::result::Result<String, Failure> {
        answer(self.with_headers(self.agent.post(url).header("Content-Type", kind)).send(body))
    }

    /// Puts bytes at this address.
    ///
    /// # Errors
    ///
    /// See [`Http`].
    pub fn put(&self, url: &str, body: &[u8]) -> std::result::Result<String, Failure> {
        self.put_body(url, body)
    }

    /// Puts a file's content at this address.
    ///
    /// # Errors
    ///
    /// See [`Http`].
    pub fn put_file(&self, url: &str, file: std::fs::File) -> std::result::Result<String, Failure> {
        self.put_body(url, file)
    }

    fn put_body(&self, url: &str, body: impl AsSendBody) -> std::result::Result<String, Failure> {
        let request = self.agent.put(url).header("Content-Type", "application/octet-stream");
        answer(self.with_headers(request).send(body))
    }

    fn with_headers<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

/// Whether it is an address that can be asked: `https` is behind a feature.
pub(super) fn check_address(logger: &str, address: &str) -> Result<()> {
    if address.starts_with("https://") && !cfg!(feature = "https") {
        return Err(format!("{logger}: {address} needs the cargo feature `https` of catena").into());
    }
    if !address.starts_with("http://") && !address.starts_with("https://") {
        return Err(format!(
            "{logger}: `{address}` is no address of a server, such as http://127.0.0.1:5000"
        )
        .into());
    }
    Ok(())
}

/// What the server answers; that it is busy or broken is no answer.
fn answer(
    response: std::result::Result<Response<Body>, ureq::Error>,
) -> std::result::Result<String, Failure> {
    let mut response = response.map_err(|error| Failure::Away(error.to_string()))?;
    let status = response.status();
    let text = response.body_mut().read_to_string().map_err(|error| Failure::Away(error.to_string()))?;
    judge(status.as_u16(), text)
}

/// What an answer means.
pub(crate) fn judge(status: u16, text: String) -> std::result::Result<String, Failure> {
    if (200..300).contains(&status) {
        return Ok(text);
    }
    let told = format!("{status}: {}", text.chars().take(500).collect::<String>());
    Err(match status {
        401 | 403 | 407 => Failure::Denied(told),
        408 | 429 | 500.. => Failure::Away(told),
        _ => Failure::Refused(told),
    })
}

/// Percent-encoded, for a part of an address.
pub fn encode(text: &str) -> String {
    const TAKEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, TAKEN).to_string()
}
