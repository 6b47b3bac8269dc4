//! Base64 as SCRAM has it (RFC 4648, section 4): padded, and without anything else in it.

/// Appends `bytes` as text to `out`.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let [a, b, c] = group.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for place in 0..4 {
            out.push(if place <= chunk.len() {
                ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]
            } else {
                b'='
            });
        }
    }
}

/// The bytes that `text` stands for, or `None` unless it is exactly what [`encode`] writes:
/// padding is required, spaces and stray bits are not allowed.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() % 4 != 0 {
        return None;
    }
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.chunks(4) {
        let mut bits = 0_u32;
        for &digit in chunk {
            bits = bits << 6 | value(digit)?;
        }
        bits <<= 6 * (4 - chunk.len());
        let [_, group @ ..] = bits.to_be_bytes();
        let (kept, stray) = group.split_at(chunk.len() - 1);
        if stray.iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            encode(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn all_bytes_survive() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..bytes.len() {
            let mut out = Vec::new();
            encode(&bytes[length..], &mut out);
            assert_eq!(decode(&out).as_deref(), Some(&bytes[length..]));
        }
    }

    #[test]
    fn s12_base64_is_strict() {
        for text in [
            "Z",
            "Zg",
            "Zg=",
            "Zg===",
            "=",
            "==",
            "====",
            "Zm9v=",
            "Zm9v==",
            "Zm9v====",
            "Zh==",
            "Zm9=",
            "Zm 9v",
            "Zm9v\n",
            " Zm9v",
            "Zm9v ",
            "Z-_v",
            "Zg==Zg==",
            "Z===",
            "Zm=v",
            "Zm9\u{e4}",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }

    /// Whatever is decoded is what encodes to the same text.
    #[test]
    fn short_texts_decode_to_what_they_encode_or_not_at_all() {
        let digits: Vec<u8> = (0..=255).collect();
        for &a in &digits {
            for &b in &digits {
                for text in [[b'Z', b'm', a, b], [a, b, b'=', b'='], [b'Z', a, b, b'=']] {
                    if let Some(bytes) = decode(&text) {
                        let mut out = Vec::new();
                        encode(&bytes, &mut out);
                        assert_eq!(out, text);
                    }
                }
            }
        }
    }
}
