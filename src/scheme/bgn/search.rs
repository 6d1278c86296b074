//! How the groups of BGN are searched for small discrete logarithms: as they are.

use blst::p1_affines;
use blstrs::{Fp12, G1Affine, G1Projective, Gt};

use super::group_element::Element;
use crate::scheme::exponential::logarithm::{Searchable, Tables};

/// The generator times a number, whose bits show in the time.
fn multiple<E: Element>(number: u64) -> E {
    let bits = (0..u64::BITS - number.leading_zeros()).rev();
    bits.fold(E::identity(), |sum, bit| {
        let twice = sum.double();
        if number >> bit & 1 == 1 { twice + E::generator() } else { twice }
    })
}

/// What the groups share.
macro_rules! searched_as_it_is {
    ($group:ty, $entry:ty) => {
        type Point = $group;
        type Entry = $entry;

        fn tables() -> &'static Tables<Self> {
            static TABLES: Tables<$group> = Tables::new();
            &TABLES
        }

        fn multiple(number: u64) -> Self {
            multiple(number)
        }

        fn lift(elements: &[Self]) -> Vec<Self> {
            elements.to_vec()
        }

        fn point(number: u64) -> Self {
            multiple(number)
        }

        fn entries(point: Self) -> [$entry; 2] {
            [point.entry(), (-point).entry()]
        }

        fn add(point: &Self, entry: &$entry) -> Self {
            point.plus_entry(entry)
        }
    };
}

impl Searchable for G1Projective {
    searched_as_it_is!(G1Projective, G1Affine);

    /// From the x-coordinate; the identity is given as (0, 0).
    fn fingerprints(elements: &[Self]) -> Vec<u64> {
        if elements.is_empty() {
            return Vec::new();
        }
        let points: Vec<_> = elements.iter().map(|element| *element.as_ref()).collect();
        p1_affines::from(&points).as_slice().iter().map(|point| point.x.l[0]).collect()
    }
}

impl Searchable for Gt {
    searched_as_it_is!(Gt, Fp12);

    /// From the half that conjugation leaves alone.
    fn fingerprints(elements: &[Self]) -> Vec<u64> {
        let number = |element: &Self| {
            let raw: blst::blst_fp12 = Fp12::from(*element).into();
            raw.fp6[0].fp2[0].fp[0].l[0]
        };
        elements.iter().map(number).collect()
    }
}
