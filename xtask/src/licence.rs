//! SPDX licence expressions, as manifests of crates hold them.

use anyhow::{Result, bail};

/// Whether a licence expression can be met with licences for which `allowed` says so.
///
/// A licence with an exception, such as `Apache-2.0 WITH LLVM-exception`, is asked for as one name.
///
/// # Errors
///
/// When the text is no expression.
pub(crate) fn is_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool> {
    // Old manifests write a slash for OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    match reader.any() {
        Some(met) if reader.words.is_empty() => Ok(met),
        _ => bail!("`{expression}`: no licence expression"),
    }
}

/// Reads from the front of `words`; each function takes what it understands, and `None` is a word out of place.
struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Reader<'a> {
    // OR binds weaker than AND: SPDX 2.3, annex D.4.
    fn any(&mut self) -> Option<bool> {
        let mut met = self.all()?;
        while self.takes("OR") {
            met |= self.all()?;
        }
        Some(met)
    }

    fn all(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.takes("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.takes("(") {
            let met = self.any()?;
            return self.takes(")").then_some(met);
        }
        let name = self.name()?;
        if self.takes("WITH") {
            let exception = self.name()?;
            return Some((self.allowed)(&format!("{name} WITH {exception}")));
        }
        Some((self.allowed)(name))
    }

    fn name(&mut self) -> Option<&'a str> {
        let (name, rest) = self.words.split_first()?;
        if ["OR", "AND", "WITH", "(", ")"].contains(name) {
            return None;
        }
        self.words = rest;
        Some(name)
    }

    fn takes(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str) -> bool {
        let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"];
        is_met(expression, &|name| allowed.contains(&name)).unwrap()
    }

    #[test]
    fn one_of_the_alternatives_is_enough() {
        assert!(met("MIT"));
        assert!(met("GPL-3.0-only OR MIT"));
        assert!(met("MIT/Apache-2.0"));
        assert!(!met("Apache-2.0 OR GPL-3.0-only"));
    }

    #[test]
    fn all_that_are_joined_are_needed() {
        assert!(met("MIT AND Zlib"));
        assert!(!met("MIT AND GPL-3.0-only"));
        assert!(met("GPL-3.0-only AND Zlib OR MIT"));
        assert!(!met("GPL-3.0-only AND (Zlib OR MIT)"));
        assert!(met("(GPL-3.0-only OR MIT) AND Zlib"));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        assert!(met("Apache-2.0 WITH LLVM-exception"));
        assert!(!met("Apache-2.0"));
        assert!(!met("MIT WITH LLVM-exception"));
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "MIT Zlib", "AND MIT", "MIT WITH OR"] {
            assert!(is_met(text, &|_| true).is_err(), "{text}");
        }
    }
}
