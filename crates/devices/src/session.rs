//! Requests in the name of a user: which authentication, and when to stop.
//!
//! Cameras lock accounts after a few wrong passwords, so there is at most one wrong try: a refused user is
//! remembered, and the session never touches the network again. The password goes out only as the answer to
//! a Digest challenge, and a private key only once such a challenge is there.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    Credentials, Error,
    digest::Digest,
    http::{Answer, Http, Request},
};

/// After a pause as long as this (a camera that makes its key takes minutes) a new challenge is asked for: some
/// firmware forgets its nonces and then answers as to a wrong password, without `stale`.
const IDLE: Duration = Duration::from_secs(10);

/// One user's way to one device.
pub(crate) struct Session {
    http: Http,
    credentials: Credentials,
    /// The challenge, and when it was last used.
    digest: Option<(Digest, Instant)>,
    /// Why nothing is sent any more.
    refused: Option<Error>,
    /// The device has accepted these credentials at least once.
    proven: bool,
}

impl Session {
    pub(crate) fn new(http: Http, credentials: Credentials) -> Session {
        Session { http, credentials, digest: None, refused: None, proven: false }
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Whether a challenge was met; without one the device answered without asking who is there.
    pub(crate) fn challenged(&self) -> bool {
        self.digest.is_some()
    }

    /// Sends `request`, with credentials as soon as the device asks for them.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<Answer, Error> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        if self.digest.as_ref().is_some_and(|(_, used)| used.elapsed() > IDLE) && !request.secret {
            self.digest = None;
        }
        if self.digest.is_none() {
            if request.secret {
                return Err(Error::NoDigest { offered: "none".to_owned() });
            }
            let answer = self.http.send(request, None).await?;
            if answer.status != 401 {
                return Ok(answer);
            }
            let digest = Digest::choose(&answer.headers).map_err(|offered| Error::NoDigest { offered })?;
            self.digest = Some((digest, Instant::now()));
        }
        let answer = self.send_with_credentials(request).await?;
        if answer.status != 401 {
            return self.accepted(request, answer);
        }
        // The one repeat: the user was right, only the nonce was too old.
        if let Some(digest) = self.digest.as_ref().and_then(|(digest, _)| digest.renewed(&answer.headers)) {
            self.digest = Some((digest, Instant::now()));
            let answer = self.send_with_credentials(request).await?;
            if answer.status != 401 {
                return self.accepted(request, answer);
            }
        }
        Err(self.refuse(Error::WrongPassword { user: self.credentials.user.clone() }))
    }

    /// User and password, for a dialect that has a login of its own and sends them as they are: only where nobody can
    /// read along, and not after they were refused.
    pub(crate) fn for_login(&self) -> Result<&Credentials, Error> {
        match &self.refused {
            Some(refused) => Err(refused.clone()),
            None if self.http.scheme() == "http" => {
                Err(Error::PasswordInClear { host: self.http.host.clone() })
            }
            None => Ok(&self.credentials),
        }
    }

    /// The error for a login that was refused. From here on nothing is sent any more.
    pub(crate) fn wrong_password(&mut self) -> Error {
        self.refuse(Error::WrongPassword { user: self.credentials.user.clone() })
    }

    /// The error for a device that says "not authorised" by other means than 401. Before anything else
    /// succeeded that may mean the password, and then nothing is sent any more.
    pub(crate) fn not_allowed(&mut self, operation: &str) -> Error {
        let user = self.credentials.user.clone();
        let error = Error::NotAllowed { user, operation: operation.to_owned() };
        if self.proven { error } else { self.refuse(error) }
    }

    async fn send_with_credentials(&mut self, request: &Request) -> Result<Answer, Error> {
        let header = self.digest.as_mut().and_then(|(digest, used)| {
            *used = Instant::now();
            digest.authorization(&self.credentials, request.method.as_str(), &request.place.path)
        });
        // A user name that cannot stand in a header is no user of the device.
        match header {
            Some(header) => self.http.send(request, Some(header)).await,
            None => Err(self.refuse(Error::WrongPassword { user: self.credentials.user.clone() })),
        }
    }

    fn accepted(&mut self, request: &Request, answer: Answer) -> Result<Answer, Error> {
        if answer.status == 403 {
            return Err(self.not_allowed(&request.operation));
        }
        self.proven |= answer.status.is_success();
        Ok(answer)
    }

    fn refuse(&mut self, error: Error) -> Error {
        self.refused = Some(error.clone());
        error
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;
    use crate::fake::{Fake, answer, challenge};

    fn request(secret: bool) -> Request {
        let mut request = Request::get(crate::http::Place { port: 0, path: "/x?y".into() });
        request.method = hyper::Method::POST;
        request.body = Bytes::from_static(b"the key");
        request.secret = secret;
        request
    }

    async fn send(fake: &Fake, session: &mut Session, secret: bool) -> Result<Answer, Error> {
        let mut request = request(secret);
        request.place.port = fake.port;
        session.send(&request).await
    }

    fn with_credentials(fake: &Fake) -> usize {
        fake.requests().iter().filter(|r| r.contains("Authorization:")).count()
    }

    #[tokio::test]
    async fn credentials_follow_a_challenge_and_stay() {
        let fake = Fake::start(|request| {
            if request.contains("Authorization: Digest") {
                answer("200 OK", "", "fine")
            } else {
                challenge(r#"nonce="n", qop="auth""#)
            }
        })
        .await;
        let mut session = fake.session();
        for _ in 0..2 {
            assert_eq!(send(&fake, &mut session, false).await.unwrap().text(), "fine");
        }
        let requests = fake.requests();
        assert_eq!((requests.len(), with_credentials(&fake)), (3, 2));
        assert!(requests[1].contains(r#"uri="/x?y""#) && requests[1].contains("nc=00000001"));
        assert!(requests[2].contains("nc=00000002"));
        assert!(requests.iter().all(|r| !r.contains("sesame")));
    }

    #[tokio::test]
    async fn a_wrong_password_is_tried_once_and_never_again() {
        let fake = Fake::start(|_| challenge(r#"nonce="n", qop="auth""#)).await;
        let mut session = fake.session();
        let wrong = Error::WrongPassword { user: "admin".into() };
        for _ in 0..3 {
            assert_eq!(send(&fake, &mut session, false).await.err(), Some(wrong.clone()));
        }
        assert_eq!((fake.requests().len(), with_credentials(&fake)), (2, 1));
    }

    #[tokio::test]
    async fn a_stale_nonce_is_the_one_repeat() {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let fake = Fake::start(move |_| {
            let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            challenge(&format!(r#"nonce="n{n}", stale=true"#))
        })
        .await;
        let mut session = fake.session();
        let answer = send(&fake, &mut session, false).await;
        assert_eq!(answer.err(), Some(Error::WrongPassword { user: "admin".into() }));
        assert_eq!(with_credentials(&fake), 2);
    }

    #[tokio::test]
    async fn a_key_goes_out_only_after_a_challenge() {
        let fake = Fake::start(|_| answer("200 OK", "", "")).await;
        let mut session = fake.session();
        send(&fake, &mut session, false).await.unwrap();
        let answer = send(&fake, &mut session, true).await;
        assert_eq!(answer.err(), Some(Error::NoDigest { offered: "none".into() }));
        assert_eq!(fake.requests().len(), 1);
    }

    #[tokio::test]
    async fn basic_is_never_answered() {
        let fake = Fake::start(|_| answer("401 No", "WWW-Authenticate: Basic realm=\"cam\"\r\n", "")).await;
        let answer = send(&fake, &mut fake.session(), false).await;
        assert_eq!(answer.err(), Some(Error::NoDigest { offered: "Basic".into() }));
        assert_eq!((fake.requests().len(), with_credentials(&fake)), (1, 0));
    }

    #[tokio::test]
    async fn forbidden_ends_all_only_while_nothing_was_allowed() {
        let fake = Fake::start(|request| match request {
            r if !r.contains("Authorization:") => challenge(r#"nonce="n""#),
            r if r.starts_with("POST /allowed") => answer("200 OK", "", ""),
            _ => answer("403 Forbidden", "", ""),
        })
        .await;
        let mut session = fake.session();
        assert!(matches!(send(&fake, &mut session, false).await, Err(Error::NotAllowed { .. })));
        assert!(matches!(send(&fake, &mut session, false).await, Err(Error::NotAllowed { .. })));
        assert_eq!(with_credentials(&fake), 1);

        let mut session = fake.session();
        let mut allowed = request(false);
        allowed.place = fake.http().place("/allowed");
        session.send(&allowed).await.unwrap();
        assert!(matches!(send(&fake, &mut session, false).await, Err(Error::NotAllowed { .. })));
        session.send(&allowed).await.unwrap();
    }
}
