//! Which credentials go to which origin.

use std::fmt;

use crate::error::Invalid;
use crate::headers::Headers;
use crate::origin::Origin;
use crate::target::{Credentials, Target};

/// Credentials of a pool, each for one origin; `Debug` shows none of them.
///
/// They are looked up for each attempt anew and never kept with the headers of a call. So no hop can carry
/// them elsewhere, and one that comes to an origin with credentials of its own gets those.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keyring(Vec<(Origin, String)>);

impl Keyring {
    /// Sends basic credentials to the origin of this URL, replacing those it had.
    ///
    /// # Errors
    ///
    /// Those of [`Target::parse`], and [`Invalid::Username`] when the username holds a colon.
    pub fn set_basic(&mut self, url: &str, username: &str, password: &str) -> Result<(), Invalid> {
        let (target, _) = Target::parse(url)?;
        self.set(target.origin(), Credentials::new(username, password)?.authorization());
        Ok(())
    }

    /// Sends a bearer token to the origin of this URL, replacing the credentials it had.
    ///
    /// # Errors
    ///
    /// Those of [`Target::parse`], and [`Invalid::HeaderValue`] when the token holds a control character other than a tab.
    pub fn set_bearer(&mut self, url: &str, token: &str) -> Result<(), Invalid> {
        let (target, _) = Target::parse(url)?;
        let authorization = format!("Bearer {token}");
        Headers::default().append("Authorization", authorization.as_bytes())?;
        self.set(target.origin(), authorization);
        Ok(())
    }

    /// Sends this `Authorization` to an origin.
    pub(crate) fn set(&mut self, origin: &Origin, authorization: String) {
        self.0.retain(|(other, _)| other != origin);
        self.0.push((origin.clone(), authorization));
    }

    /// The `Authorization` for an origin.
    pub(crate) fn get(&self, origin: &Origin) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == origin).map(|(_, authorization)| authorization.as_str())
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(origin, _)| origin.to_string())).finish()
    }
}
