//! Requests in the name of a user: which authentication, and when to stop.
//!
//! Cameras lock accounts after a few wrong passwords, so there is at most one wrong try, and of a user who was accepted
//! before at most two: a refused user is remembered by session and admission, and nothing more is sent in this run.
//!
//! The password goes out only as the answer to a Digest challenge, or, where the device offers Basic alone, inside TLS that is pinned to its key; in a way that the
//! [`Admission`] permits; and a private key only once a challenge is there.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use domain::{Clock, SignIn};

use crate::{
    Admission, Credentials, Error, PublicKeyPin,
    digest::{self, Digest},
    http::{Answer, Http, Request},
};

/// After a pause as long as this (a camera that makes its key takes minutes) a new challenge is asked for: some
/// firmware forgets its nonces and then answers as to a wrong password, without `stale`.
const IDLE: Duration = Duration::from_secs(10);

/// One user's way to one device.
pub(crate) struct Session {
    http: Http,
    clock: Clock,
    admission: Admission,
    credentials: Credentials,
    /// How the device's challenge is answered.
    way: Option<Way>,
    /// Why nothing is sent any more.
    refused: Option<Error>,
    /// The device has accepted these credentials at least once.
    proven: bool,
}

enum Way {
    /// The challenge, and when it was last used.
    Digest(Digest, Instant),
    /// Shows the password: inside pinned TLS alone.
    Basic,
}

impl Session {
    /// Fails where the admission is not for whoever has this key, and where the device has refused the user in this run.
    pub(crate) fn new(
        http: Http,
        clock: Clock,
        admission: Admission,
        credentials: Credentials,
    ) -> Result<Session, Error> {
        if let Some(refusal) = admission.refusal() {
            return Err(refusal);
        }
        if !admission.speaks_over(http.endpoint.pin) {
            return Err(Error::NotThePinnedKey { host: http.host.clone() });
        }
        Ok(Session { http, clock, admission, credentials, way: None, refused: None, proven: false })
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// From now on the server may have the key of this certificate too: it is about to be given it, and the next
    /// connection may meet the old one or the new one.
    pub(crate) fn expect(&self, certificate: &[u8]) {
        if let Some(key) = PublicKeyPin::of_certificate(certificate) {
            self.admission.gives(key);
            self.http.accept_key(key);
        }
    }

    /// Learns the key that the server shows now, if the device may have it ([`Admission::meets`]). Sends nothing.
    pub(crate) async fn meet(&self) -> Result<(), Error> {
        let Some(key) = self.http.shown_key().await? else { return Ok(()) };
        if !self.admission.meets(key) {
            return Err(Error::NotThePinnedKey { host: self.http.host.clone() });
        }
        self.http.accept_key(key);
        Ok(())
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Whether a challenge was met; without one the device answered without asking who is there.
    pub(crate) fn challenged(&self) -> bool {
        self.way.is_some()
    }

    /// Forgets the challenge: the next request goes out without credentials, and what it is asked for counts from then
    /// on. For devices whose pages ask for different things.
    pub(crate) fn ask_anew(&mut self) {
        self.way = None;
    }

    /// Sends `request`, with credentials as soon as the device asks for them.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<Answer, Error> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        if matches!(&self.way, Some(Way::Digest(_, used)) if used.elapsed() > IDLE) && !request.secret {
            self.way = None;
        }
        if self.way.is_none() {
            if request.secret {
                return Err(Error::NoDigest { offered: "none".into() });
            }
            let answer = self.http.send(request, None).await?;
            if answer.status != 401 {
                return Ok(answer);
            }
            self.way = Some(self.answering(&answer)?);
        }
        let answer = self.send_with_credentials(request).await?;
        if answer.status != 401 {
            return self.accepted(request, answer);
        }
        // The one repeat of a question: the user was right, and the nonce was too old, was for one use, or for another path
        // (RFC 7616, section 3.3). A user who was accepted before need not be told so.
        if let Some(Way::Digest(digest, _)) = &self.way
            && let Some(digest) = digest.renewed(&answer.headers, self.proven)
        {
            self.way = Some(Way::Digest(digest, Instant::now()));
            let answer = self.send_with_credentials(request).await?;
            if answer.status != 401 {
                return self.accepted(request, answer);
            }
        }
        Err(self.wrong_password())
    }

    /// Sends a request that proves in its own body who sends it, as `make` writes it. `is_refused` reads from the answer
    /// whether that proof counted.
    pub(crate) async fn send_proven(
        &mut self,
        make: impl FnOnce(&Credentials) -> Result<Request, Error>,
        is_refused: impl FnOnce(&Answer) -> bool,
    ) -> Result<Answer, Error> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        let request = make(&self.credentials)?;
        self.admission.permits(SignIn::Digest, self.http.is_pinned())?;
        let answer = self.http.send(&request, None).await?;
        if !is_refused(&answer) {
            self.proven = true;
            return Ok(answer);
        }
        Err(if self.proven { self.not_allowed(&request.operation) } else { self.wrong_password() })
    }

    /// How a challenge is answered: in the strongest way that it offers, and in none that is weaker than before.
    fn answering(&self, answer: &Answer) -> Result<Way, Error> {
        let floor = self.admission.floor(self.http.is_pinned());
        let (way, sign_in) = match Digest::choose(&answer.headers, floor) {
            Ok(digest) => {
                let sign_in = digest.sign_in();
                (Way::Digest(digest, Instant::now()), sign_in)
            }
            Err(_) if self.http.is_pinned() && digest::offers_basic(&answer.headers) => {
                (Way::Basic, SignIn::Readable)
            }
            Err(offered) => return Err(Error::NoDigest { offered: offered.into() }),
        };
        self.admission.permits(sign_in, self.http.is_pinned())?;
        Ok(way)
    }

    /// For a dialect that leads nowhere over plain HTTP, whatever it asks for there; and not after a refusal.
    pub(crate) fn inside_tls(&self) -> Result<(), Error> {
        match &self.refused {
            Some(refused) => Err(refused.clone()),
            None if !self.http.is_pinned() => Err(Error::PasswordInClear { host: self.http.host.clone() }),
            None => Ok(()),
        }
    }

    /// User and password, for a dialect that has a login of its own and sends them as they are: only where nobody can
    /// read along, to whom they may be shown, and not after they were refused.
    pub(crate) fn for_login(&self) -> Result<&Credentials, Error> {
        self.inside_tls()?;
        self.admission.permits(SignIn::Readable, true)?;
        Ok(&self.credentials)
    }

    /// The user, for a request that holds the password which this user is to have from now on.
    pub(crate) fn for_new_password(&self) -> Result<&str, Error> {
        self.inside_tls()?;
        match self.admission.takes_new_password(self.http.endpoint.pin) {
            true => Ok(&self.credentials.user),
            false => Err(Error::ReadablePassword { host: self.http.host.clone() }),
        }
    }

    /// Sends this with every request from now on; empty for nothing.
    pub(crate) fn set_cookie(&mut self, cookie: &str) {
        self.http.set_cookie(cookie);
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
        let header = match &mut self.way {
            Some(Way::Digest(digest, used)) => {
                *used = Instant::now();
                digest.authorization(&self.credentials, request.method.as_str(), &request.place.path)?
            }
            Some(Way::Basic) => digest::basic(&self.credentials),
            None => None,
        };
        // A user name that cannot stand in a header is no user of the device.
        match header {
            Some(header) => self.http.send(request, Some(header)).await,
            None => Err(self.wrong_password()),
        }
    }

    fn accepted(&mut self, request: &Request, answer: Answer) -> Result<Answer, Error> {
        if answer.status == 403 {
            return Err(self.not_allowed(&request.operation));
        }
        self.proven |= answer.status.is_success();
        Ok(answer)
    }

    /// From here on nothing is sent any more; every call fails with this error.
    pub(crate) fn refuse(&mut self, error: Error) -> Error {
        self.admission.remember_refusal(&error);
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

    /// Every nonce for one use, as gateways and cameras with small tables have it; called stale by none.
    #[tokio::test]
    async fn a_new_nonce_is_answered_once_where_the_user_was_accepted() {
        let count = std::sync::atomic::AtomicUsize::new(0);
        // The third question is refused, whatever the nonce.
        let fake = Fake::start(move |request| {
            let n = count.load(std::sync::atomic::Ordering::SeqCst);
            if request.contains(&format!("nonce=\"n{n}\"")) && n < 2 {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                return answer("200 OK", "", "fine");
            }
            let n = if n < 2 { n.to_string() } else { format!("{n}-{}", request.len()) };
            challenge(&format!(r#"nonce="n{n}", qop="auth", stale=FALSE"#))
        })
        .await;
        let mut session = fake.session();
        for (secret, sent) in [(false, 1), (true, 3)] {
            assert_eq!(send(&fake, &mut session, secret).await.unwrap().text(), "fine");
            assert_eq!(with_credentials(&fake), sent);
        }
        let wrong = Some(Error::WrongPassword { user: "admin".into() });
        assert_eq!(send(&fake, &mut session, false).await.err(), wrong);
        assert_eq!(with_credentials(&fake), 5);
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

    const BASIC: &str = "WWW-Authenticate: Basic realm=\"cam\"\r\n";

    #[tokio::test]
    async fn basic_is_never_answered_in_the_clear() {
        for offers in
            [BASIC, "WWW-Authenticate: Digest realm=\"c\", nonce=\"n\", algorithm=MD5-sess, Basic\r\n"]
        {
            let fake = Fake::start(|_| answer("401 No", offers, "")).await;
            let mut session = fake.session();
            for _ in 0..2 {
                let answer = send(&fake, &mut session, false).await;
                assert!(
                    matches!(answer.err(), Some(Error::NoDigest { offered }) if offered.contains("Basic"))
                );
            }
            assert_eq!(with_credentials(&fake), 0);
        }
    }

    /// `open sesame` in base64.
    const ANSWER: &str = "Authorization: Basic YWRtaW46b3BlbiBzZXNhbWU=";

    #[tokio::test]
    async fn basic_is_answered_inside_pinned_tls_once() {
        for is_right in [true, false] {
            let (fake, pin) = Fake::start_tls(move |request| {
                if is_right && request.contains(ANSWER) {
                    answer("200 OK", "", "fine")
                } else {
                    answer("401 No", BASIC, "")
                }
            })
            .await;
            let http = Http::new(fake.endpoint(Some(pin)), crate::Limits::default()).unwrap();
            let mut session = crate::fake::session(http);
            for secret in [false, true] {
                let answer = send(&fake, &mut session, secret).await;
                match is_right {
                    true => assert_eq!(answer.unwrap().text(), "fine"),
                    false => assert!(matches!(answer.err(), Some(Error::WrongPassword { .. }))),
                }
            }
            assert_eq!(with_credentials(&fake), if is_right { 2 } else { 1 });
        }
    }

    #[tokio::test]
    async fn digest_goes_before_basic() {
        let (fake, pin) = Fake::start_tls(|request| {
            if request.contains("Authorization: Digest") {
                answer("200 OK", "", "")
            } else {
                answer("401 No", &format!("{BASIC}WWW-Authenticate: Digest realm=\"c\", nonce=\"n\"\r\n"), "")
            }
        })
        .await;
        let http = Http::new(fake.endpoint(Some(pin)), crate::Limits::default()).unwrap();
        let mut session = crate::fake::session(http);
        assert_eq!(send(&fake, &mut session, false).await.unwrap().status, 200);
        assert!(fake.requests().iter().all(|r| !r.contains("Basic")));
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
