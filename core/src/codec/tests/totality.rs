//! Every decoder over bytes that are no values.

use super::registry::{Decoder, decoders, seeds, types};
use super::{decode_value, from_hex};
use crate::codec::{Uuid, type_hint};
use crate::types::{Format, Kind, Type};

/// Numbers that are the same each time (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }
}

#[test]
fn s27_every_decoder_is_total() {
    let mut random = Random(27);
    let decoders = decoders();
    let mut values = 0;
    for ty in types() {
        let mut inputs: Vec<Vec<u8>> = Vec::new();
        for length in 0..=40 {
            inputs.push(vec![0; length]);
            inputs.push(vec![0xff; length]);
            inputs.push(vec![1; length]);
            inputs.push(random.bytes(length));
        }
        for seed in seeds(&ty) {
            distort(&from_hex(seed), &mut random, &mut inputs);
        }
        for decoder in &decoders {
            for format in [Format::Text, Format::Binary] {
                if !(decoder.accepts)(&ty, format) {
                    continue;
                }
                for input in &inputs {
                    let is_value = (decoder.run)(input, &ty, format);
                    let is_value_again = (decoder.decode)(input, &ty, format);
                    assert_eq!(is_value_again, is_value, "{} of {ty}", decoder.rust);
                    values += usize::from(is_value);
                }
            }
        }
    }
    assert!(values > 1000, "only {values} of the inputs were values");
}

/// The same bytes cut short, with more behind, and with each byte changed.
fn distort(seed: &[u8], random: &mut Random, inputs: &mut Vec<Vec<u8>>) {
    inputs.push(seed.to_vec());
    for end in 0..seed.len() {
        inputs.push(seed[..end].to_vec());
    }
    inputs.push([seed, &[0]].concat());
    inputs.push([seed, seed].concat());
    for index in 0..seed.len() {
        for change in [0, 1, 0x7f, 0x80, 0xff, random.next() as u8] {
            let mut bytes = seed.to_vec();
            bytes[index] = change;
            inputs.push(bytes);
        }
        if let Some(word) = seed.get(index..index + 4) {
            let word = u32::from_be_bytes(word.try_into().expect("four bytes"));
            for change in [
                u32::MAX,
                0x7fff_ffff,
                0x8000_0000,
                word.wrapping_add(1),
                word.wrapping_sub(1),
            ] {
                let mut bytes = seed.to_vec();
                bytes[index..index + 4].copy_from_slice(&change.to_be_bytes());
                inputs.push(bytes);
            }
        }
    }
}

#[test]
fn a_type_that_is_not_accepted_is_not_decoded_by_chance() {
    let bytes = [7; 16];
    assert!(!super::accepts::<Uuid>(&Type::TEXT, Format::Binary));
    assert!(decode_value::<Uuid>(Some(&bytes), &Type::UUID, Format::Binary).is_ok());
}

/// An error's advice must not be to cast a column to text that can be read as it is.
#[test]
fn every_type_that_can_be_read_is_advised() {
    // A `Value` reads everything, which is no advice.
    let mut decoders = decoders();
    let reads = |decoder: &Decoder, ty: &Type| (decoder.accepts)(ty, Format::Binary);
    decoders.retain(|one| !reads(one, &Type::ACLITEM) && !reads(one, &Type::ACLITEM_ARRAY));
    for ty in types() {
        let is_read = decoders.iter().any(|decoder| reads(decoder, &ty));
        let hint = type_hint(&ty);
        if is_read {
            assert!(!hint.contains("cast to text"), "{ty}: {hint}");
        }
    }
    assert_eq!(type_hint(&Type::ACLITEM), "String");
    assert_eq!(type_hint(&Type::ACLITEM_ARRAY), "Vec<String>");
    let unknown = Type::custom(1, "public", "geometry", Kind::Simple, true, true).unwrap();
    assert!(type_hint(&unknown).contains("cast to text"));
}
