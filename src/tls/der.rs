//! As much of DER (X.690) as certificates need. Total: any bytes give elements or `None`.

/// A cursor over consecutive elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a> {
    rest: &'a [u8],
}

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    #[cfg(test)]
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The next element: its tag and its contents.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, header, length) = self.header()?;
        let element = self.rest.get(..header.checked_add(length)?)?;
        self.rest = &self.rest[element.len()..];
        Some((tag, &element[header..]))
    }

    /// The contents of the next element, which must have `tag`.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|&(found, _)| found == tag)
            .map(|(_, contents)| contents)
    }

    /// The whole of the next element, tag and length included, which must have `tag`.
    pub(super) fn expect_whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.rest;
        self.expect(tag)?;
        Some(&before[..before.len() - self.rest.len()])
    }

    /// The contents of the next element, if it has `tag`. Another one stays where it is.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.rest.first() == Some(&tag) {
            self.expect(tag).map(Some)
        } else {
            Some(None)
        }
    }

    /// Tag, length of the header, and length of the contents, in bytes.
    fn header(self) -> Option<(u8, usize, usize)> {
        let (&tag, rest) = self.rest.split_first()?;
        // Certificates have no tags of several bytes.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        if first < 0x80 {
            return Some((tag, 2, usize::from(first)));
        }
        // No indefinite length (0x80), and nothing beyond 24 bits.
        let count = usize::from(first & 0x7f);
        if !(1..=3).contains(&count) {
            return None;
        }
        let length = rest
            .get(..count)?
            .iter()
            .fold(0, |length, &byte| length << 8 | usize::from(byte));
        // The shortest form is the only one.
        let is_shortest = length >= 0x80 && length >> (8 * (count - 1)) != 0;
        is_shortest.then_some((tag, 2 + count, length))
    }
}

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const TELETEX_STRING: u8 = 0x14;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of a structure, `[number]`, that stands in a context.
pub(super) const fn structure(number: u8) -> u8 {
    0xa0 | number
}

/// The tag of a plain value, `[number]`, that stands in a context.
pub(super) const fn value(number: u8) -> u8 {
    0x80 | number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_one_after_the_other() {
        let long = [&[OCTET_STRING, 0x81, 0x80][..], &[7; 0x80]].concat();
        let bytes = [&[INTEGER, 1, 5, SEQUENCE, 0][..], &long].concat();
        let mut der = Der::new(&bytes);
        assert_eq!(der.optional(SEQUENCE), Some(None));
        assert_eq!(der.expect(INTEGER), Some(&[5][..]));
        assert_eq!(der.optional(SEQUENCE), Some(Some(&[][..])));
        assert_eq!(der.expect_whole(OCTET_STRING), Some(&long[..]));
        assert!(der.is_empty());
        assert_eq!(der.next(), None);
        assert_eq!(der.optional(SEQUENCE), Some(None));
    }

    #[test]
    fn lengths_that_lie_and_forms_that_are_not_der_are_refused() {
        for bytes in [
            &[][..],
            &[INTEGER],
            &[INTEGER, 1],
            &[INTEGER, 2, 0],
            &[INTEGER, 0x80, 0, 0],
            &[INTEGER, 0x81],
            &[INTEGER, 0x81, 1, 0],
            &[INTEGER, 0x81, 0x7f, 0],
            &[INTEGER, 0x82, 0, 1, 0],
            &[INTEGER, 0x84, 0, 0, 0, 1, 0],
            &[INTEGER, 0x83, 0xff, 0xff, 0xff],
            &[
                INTEGER, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ],
            &[INTEGER, 0xff],
            &[0x1f, 0x1f, 0],
            &[0xbf, 1, 0],
        ] {
            assert_eq!(Der::new(bytes).next(), None, "{bytes:x?}");
        }
        // Another tag.
        assert_eq!(Der::new(&[INTEGER, 0]).expect(SEQUENCE), None);
        assert_eq!(Der::new(&[SEQUENCE, 1]).optional(SEQUENCE), None);
    }
}
