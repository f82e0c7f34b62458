//! The system's random numbers. That there are none is this computer's fault, and is said of no device and no password.

use crate::Error;

/// So many random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    #[cfg(test)]
    if tests::BROKEN.get() {
        return Err(Error::NoRandomNumbers);
    }
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::NoRandomNumbers)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use hyper::{HeaderMap, header::WWW_AUTHENTICATE};
    use time::OffsetDateTime;

    use super::*;
    use crate::{Credentials, digest::Digest, form, onvif};

    thread_local! {
        /// Whether there are none in this thread.
        pub(super) static BROKEN: Cell<bool> = const { Cell::new(false) };
    }

    #[test]
    fn a_random_source_that_fails_is_called_so() {
        BROKEN.set(true);
        assert_eq!(random::<8>(), Err(Error::NoRandomNumbers));
        let by = Credentials::new("admin", "password".to_owned().into());
        let challenge = r#"Digest realm="r", nonce="n", qop="auth""#.parse().unwrap();
        let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge)]);
        let mut digest = Digest::choose(&headers, None).unwrap();
        assert_eq!(digest.authorization(&by, "GET", "/").err(), Some(Error::NoRandomNumbers));
        assert_eq!(
            onvif::username_token(&by, Some(OffsetDateTime::UNIX_EPOCH)).err(),
            Some(Error::NoRandomNumbers)
        );
        assert_eq!(form::boundary().err(), Some(Error::NoRandomNumbers));
        BROKEN.set(false);
        assert_ne!(random::<16>(), random::<16>());
    }
}
