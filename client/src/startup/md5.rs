//! The `md5` password method (manual, "Password Authentication"; the server's
//! `common/md5_common.c`).

use md5::{Digest, Md5};

/// The answer to AuthenticationMD5Password: `md5` and the hexadecimal MD5 of the
/// hexadecimal MD5 of password and user, and the server's salt.
///
/// Password and user are taken as the bytes that they are: this method knows no SASLprep.
pub fn md5_password(user: &[u8], password: &[u8], salt: [u8; 4]) -> String {
    let secret = hexadecimal(Md5::new_with_prefix(password).chain_update(user));
    let salted = hexadecimal(Md5::new_with_prefix(secret).chain_update(salt));
    format!("md5{salted}")
}

fn hexadecimal(digest: Md5) -> String {
    let mut text = String::with_capacity(32);
    for byte in digest.finalize() {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are the server's: `select 'md5' || md5(convert_to(md5(password
    /// || user), 'UTF8') || salt)`.
    #[test]
    fn answers_are_those_that_the_server_computes() {
        let check = |user: &str, password: &str, salt: [u8; 4], expected: &str| {
            assert_eq!(
                md5_password(user.as_bytes(), password.as_bytes(), salt),
                expected
            );
        };
        check(
            "user",
            "password",
            [1, 2, 3, 4],
            "md5a3576f1ae039b8996bc4fc2720f9c71a",
        );
        check("", "", [0; 4], "md591b86670dcd47857d222fa05653500aa");
        check(
            "größe",
            "Straße",
            [0xff, 0, 0x80, 0x7f],
            "md5e027b148a67ad7a019ef18f50c514430",
        );
    }
}
