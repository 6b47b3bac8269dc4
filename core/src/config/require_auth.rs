//! [`RequireAuth`]: which ways of authentication the user accepts.

use std::fmt;
use std::str::FromStr;

use super::choice::not_a_choice;
use super::value::{InvalidValue, Value};
use crate::error::Error;

/// A way in which a server lets a client in, as `require_auth` names it.
///
/// ```
/// use kornak::config::AuthMethod;
///
/// assert_eq!(AuthMethod::ScramSha256.as_str(), "scram-sha-256");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMethod {
    /// The server asks for no proof at all: `trust`, `peer`, a certificate.
    None,
    /// The password as it is.
    Password,
    /// MD5 of the password.
    Md5,
    /// Kerberos by GSSAPI; not supported by this driver.
    Gss,
    /// Windows' SSPI; not supported by this driver.
    Sspi,
    /// SCRAM-SHA-256, with or without channel binding.
    ScramSha256,
    /// An OAuth bearer token; not supported by this driver.
    OAuth,
}

impl AuthMethod {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Password,
        Self::Md5,
        Self::Gss,
        Self::Sspi,
        Self::ScramSha256,
        Self::OAuth,
    ];

    /// The word that stands for it in `require_auth`.
    ///
    /// ```
    /// # use kornak::config::AuthMethod;
    /// assert_eq!(AuthMethod::Md5.as_str(), "md5");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password => "password",
            Self::Md5 => "md5",
            Self::Gss => "gss",
            Self::Sspi => "sspi",
            Self::ScramSha256 => "scram-sha-256",
            Self::OAuth => "oauth",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The ways of authentication that are accepted from the server (`require_auth`): a list
/// of the accepted ones, or, each with a `!` before it, of the refused ones.
///
/// A client that accepts anything can be asked for its password in the clear by whoever
/// answers in the server's place; this is the way to refuse that. `none` stands for a
/// server that asks for nothing, and is accepted only where the list says so or says only
/// what it refuses.
///
/// ```
/// use kornak::config::{AuthMethod, RequireAuth};
///
/// let scram: RequireAuth = "scram-sha-256".parse()?;
/// assert!(scram.allows(AuthMethod::ScramSha256));
/// assert!(!scram.allows(AuthMethod::None));
///
/// let no_plain: RequireAuth = "!password,!md5".parse()?;
/// assert!(no_plain.allows(AuthMethod::None));
/// assert!(!no_plain.allows(AuthMethod::Password));
/// # Ok::<(), kornak::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequireAuth {
    allowed: u8,
    /// Only how it is written.
    negative: bool,
}

impl RequireAuth {
    /// Everything is accepted: the default.
    ///
    /// ```
    /// # use kornak::config::{AuthMethod, RequireAuth};
    /// assert!(RequireAuth::any().allows(AuthMethod::None));
    /// ```
    pub fn any() -> Self {
        Self {
            allowed: EVERY_METHOD,
            negative: true,
        }
    }

    /// Only these are accepted.
    ///
    /// ```
    /// # use kornak::config::{AuthMethod, RequireAuth};
    /// let scram = RequireAuth::only([AuthMethod::ScramSha256]);
    /// assert_eq!(scram.to_string(), "scram-sha-256");
    /// ```
    pub fn only(methods: impl IntoIterator<Item = AuthMethod>) -> Self {
        Self {
            allowed: methods.into_iter().fold(0, |all, one| all | one.bit()),
            negative: false,
        }
    }

    /// All but these are accepted.
    ///
    /// ```
    /// # use kornak::config::{AuthMethod, RequireAuth};
    /// let no_plain = RequireAuth::all_but([AuthMethod::Password]);
    /// assert_eq!(no_plain.to_string(), "!password");
    /// ```
    pub fn all_but(methods: impl IntoIterator<Item = AuthMethod>) -> Self {
        let refused = methods.into_iter().fold(0, |all, one| all | one.bit());
        Self {
            allowed: EVERY_METHOD & !refused,
            negative: true,
        }
    }

    /// Whether the server may ask for this.
    ///
    /// ```
    /// # use kornak::config::{AuthMethod, RequireAuth};
    /// assert!(!RequireAuth::only([AuthMethod::Md5]).allows(AuthMethod::Password));
    /// ```
    pub fn allows(self, method: AuthMethod) -> bool {
        self.allowed & method.bit() != 0
    }
}

impl Default for RequireAuth {
    fn default() -> Self {
        Self::any()
    }
}

/// The grammar of `pqConnectOptions2` in fe-connect.c: all elements carry a `!` or none
/// does, and none comes twice.
impl Value for RequireAuth {
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() {
            return Ok(Self::any());
        }
        let negative = text.starts_with('!');
        let mut named = 0;
        for element in text.split(',') {
            let name = match element.strip_prefix('!') {
                Some(name) if negative => name,
                None if !negative => element,
                _ => {
                    return Err(InvalidValue::new(
                        "methods with ! and without can't be mixed",
                    ));
                }
            };
            let method = AuthMethod::ALL
                .into_iter()
                .find(|method| method.as_str() == name)
                .ok_or_else(|| not_a_choice(name, &AuthMethod::ALL.map(AuthMethod::as_str)))?;
            if named & method.bit() != 0 {
                return Err(InvalidValue::new(format!(
                    "{} is named more than once",
                    method.as_str()
                )));
            }
            named |= method.bit();
        }
        Ok(Self {
            allowed: if negative {
                EVERY_METHOD & !named
            } else {
                named
            },
            negative,
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl FromStr for RequireAuth {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Value::parse(text).map_err(|invalid| invalid.of("require_auth"))
    }
}

impl fmt::Display for RequireAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for method in AuthMethod::ALL {
            if self.allows(method) != self.negative {
                let sign = if self.negative { "!" } else { "" };
                write!(f, "{separator}{sign}{}", method.as_str())?;
                separator = ",";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RequireAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequireAuth({self})")
    }
}

const EVERY_METHOD: u8 = (1 << AuthMethod::ALL.len()) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s15_the_grammar_of_require_auth_is_libpqs() {
        #[track_caller]
        fn check(text: &str, expected: Result<&[AuthMethod], &str>) {
            match (text.parse::<RequireAuth>(), expected) {
                (Ok(found), Ok(expected)) => {
                    for method in AuthMethod::ALL {
                        assert_eq!(
                            found.allows(method),
                            expected.contains(&method),
                            "{text:?} {method:?}"
                        );
                    }
                    assert_eq!(found.to_string().parse::<RequireAuth>().ok(), Some(found));
                }
                (Err(found), Err(expected)) => {
                    assert!(found.to_string().contains(expected), "{text:?}: {found}");
                }
                (found, _) => panic!("{text:?}: {found:?}"),
            }
        }
        use AuthMethod::{Gss, Md5, OAuth, Password, ScramSha256, Sspi};
        check("", Ok(&AuthMethod::ALL));
        check("scram-sha-256", Ok(&[ScramSha256]));
        check("md5,none", Ok(&[Md5, AuthMethod::None]));
        check(
            "!password,!md5",
            Ok(&[AuthMethod::None, Gss, Sspi, ScramSha256, OAuth]),
        );
        check("!none", Ok(&[Password, Md5, Gss, Sspi, ScramSha256, OAuth]));
        check("gss,sspi,oauth", Ok(&[Gss, Sspi, OAuth]));
        check("md5,!password", Err("mixed"));
        check("!md5,password", Err("mixed"));
        check("md5,md5", Err("md5 is named more than once"));
        check("!none,!none", Err("none is named more than once"));
        check("md5,", Err("expected one of"));
        check("!", Err("expected one of"));
        check(" md5", Err("did you mean md5?"));
        check("scram", Err("expected one of"));
        check("MD5", Err("did you mean md5?"));
    }
}
