//! The atoms and containers of OVSDB as `serde` types (RFC 7047, 5.1): an optional column is
//! `["set",[]]` when empty and bare when not, so are sets of one; maps are `["map",[[k,v],...]]`;
//! row references are `["uuid","..."]`.

use serde::Deserialize;
use serde::de::{self, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A reference to a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub String);

/// A column that holds one value or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optional<T>(pub Option<T>);

/// A column that holds any number of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set<T>(pub Vec<T>);

/// A column that maps strings to strings or numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map<V>(pub BTreeMap<String, V>);

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Map<V> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.0.get(key)
    }
}

/// A value that may stand in a set.
pub trait Atom: Sized {
    /// From the second half of `["uuid", "..."]`.
    fn from_uuid(uuid: String) -> Option<Self>;
}

macro_rules! plain_atoms {
    ($($atom:ty),*) => { $(impl Atom for $atom {
        fn from_uuid(_: String) -> Option<Self> {
            None
        }
    })* };
}
plain_atoms!(String, i64, u64, bool);

impl Atom for Uuid {
    fn from_uuid(uuid: String) -> Option<Self> {
        Some(Self(uuid))
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (tag, uuid) = <(String, String)>::deserialize(deserializer)?;
        if tag == "uuid" { Ok(Self(uuid)) } else { Err(de::Error::custom("not a uuid")) }
    }
}

impl<'de, T: Atom + Deserialize<'de>> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SetVisitor(PhantomData))
    }
}

impl<'de, T: Atom + Deserialize<'de>> Deserialize<'de> for Optional<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Set::<T>::deserialize(deserializer).map(|set| Self(set.0.into_iter().next()))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (tag, pairs) = <(String, Vec<(String, V)>)>::deserialize(deserializer)?;
        if tag == "map" {
            Ok(Self(pairs.into_iter().collect()))
        } else {
            Err(de::Error::custom("not a map"))
        }
    }
}

struct SetVisitor<T>(PhantomData<T>);

impl<'de, T: Atom + Deserialize<'de>> SetVisitor<T> {
    fn one<D: IntoDeserializer<'de, E>, E: de::Error>(value: D) -> Result<Set<T>, E> {
        T::deserialize(value.into_deserializer()).map(|atom| Set(vec![atom]))
    }
}

impl<'de, T: Atom + Deserialize<'de>> Visitor<'de> for SetVisitor<T> {
    type Value = Set<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an OVSDB value or set")
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Set<T>, E> {
        Self::one(value)
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Set<T>, E> {
        Self::one(value)
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Set<T>, E> {
        Self::one(value)
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Set<T>, E> {
        Self::one(value)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Set<T>, A::Error> {
        let short = || de::Error::custom("a set or uuid without its second half");
        match seq.next_element::<String>()?.as_deref() {
            Some("set") => seq.next_element()?.map(Set).ok_or_else(short),
            Some("uuid") => {
                let atom = T::from_uuid(seq.next_element()?.ok_or_else(short)?);
                atom.map(|a| Set(vec![a])).ok_or_else(|| de::Error::custom("an unexpected uuid"))
            }
            other => Err(de::Error::custom(format!("unexpected value {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(json: &str) -> T {
        serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))
    }

    #[test]
    fn optionals_are_empty_bare_or_a_set_of_one() {
        assert_eq!(read::<Optional<u64>>(r#"["set",[]]"#).0, None);
        assert_eq!(read::<Optional<u64>>("4095").0, Some(4095));
        assert_eq!(read::<Optional<i64>>("-1").0, Some(-1));
        assert_eq!(read::<Optional<bool>>(r#"["set",[true]]"#).0, Some(true));
        assert_eq!(read::<Optional<String>>(r#""up""#).0.as_deref(), Some("up"));
        assert!(serde_json::from_str::<Optional<u64>>(r#""up""#).is_err());
    }

    #[test]
    fn references_stand_alone_or_in_sets() {
        assert_eq!(read::<Set<Uuid>>(r#"["uuid","a"]"#).0, [Uuid("a".into())]);
        let two = read::<Set<Uuid>>(r#"["set",[["uuid","a"],["uuid","b"]]]"#).0;
        assert_eq!(two, [Uuid("a".into()), Uuid("b".into())]);
        assert_eq!(read::<Uuid>(r#"["uuid","a"]"#), Uuid("a".into()));
    }

    #[test]
    fn maps_keep_their_pairs() {
        let map: Map<u64> = read(r#"["map",[["rx_bytes",2838],["tx_bytes",1]]]"#);
        assert_eq!(map.get("rx_bytes"), Some(&2838));
        assert!(read::<Map<String>>(r#"["map",[]]"#).0.is_empty());
    }
}
