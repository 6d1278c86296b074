//! Taking members out of a gzipped tar archive, under bounds.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::{
    error::{DatasetError, Fault, Place, clip},
    gzip,
};

/// An archive is not unpacked beyond this: STL-10's, the largest of the manifest, takes 3.1 GB.
const LARGEST: u64 = 1 << 32;

/// Calls `keep` with the name, the size and the content of every file in the archive, until it says that it has seen
/// enough. Folders are passed over, and so are the headers that extend a name or give times: no name here is long.
///
/// # Errors
/// [`DatasetError::Malformed`] for damaged data, for a link or another thing that is no file, and what `keep` says.
pub(crate) fn walk(
    file: &str,
    packed: &[u8],
    mut keep: impl FnMut(&str, &mut dyn Read) -> Result<bool, DatasetError>,
) -> Result<(), DatasetError> {
    let damaged =
        |error: std::io::Error| Fault::Archive { reason: clip(&error.to_string()) }.at(file, Place::Whole);
    let mut archive = tar::Archive::new(MultiGzDecoder::new(packed).take(LARGEST));
    // Raw, because tar would otherwise read the content of an extension header of any size into memory.
    for member in archive.entries().map_err(damaged)?.raw(true) {
        let mut member = member.map_err(damaged)?;
        let kind = member.header().entry_type();
        if kind.is_dir()
            || kind.is_pax_global_extensions()
            || kind.is_pax_local_extensions()
            || kind.is_gnu_longname()
        {
            continue;
        }
        let name = String::from_utf8_lossy(&member.header().path_bytes()).into_owned();
        let name = name.strip_prefix("./").unwrap_or(&name);
        if !kind.is_file() {
            return Err(refuse(file, name, "files and folders"));
        }
        if !keep(name, &mut member)? {
            break;
        }
    }
    Ok(())
}

/// The members of these names with at most so many bytes each, in the order of `wanted`.
///
/// # Errors
/// [`DatasetError::Malformed`] where one is absent, there twice or too large, or the archive is damaged before the last
/// of them.
pub(crate) fn members(
    file: &str,
    packed: &[u8],
    wanted: &[String],
    limit: u64,
) -> Result<Vec<Vec<u8>>, DatasetError> {
    let mut found: Vec<Option<Vec<u8>>> = vec![None; wanted.len()];
    walk(file, packed, |name, content| {
        if let Some(place) = wanted.iter().position(|wanted| wanted == name) {
            if found[place].is_some() {
                return Err(refuse(file, name, "each file once"));
            }
            found[place] = Some(bounded(file, name, content, limit)?);
        }
        Ok(found.iter().any(Option::is_none))
    })?;
    let absent = |name: &String| Fault::NoMember { name: name.clone() }.at(file, Place::Whole);
    wanted.iter().zip(found).map(|(name, bytes)| bytes.ok_or_else(|| absent(name))).collect()
}

/// The content of a member, at most `limit` bytes of it.
pub(crate) fn bounded(
    file: &str,
    name: &str,
    content: &mut dyn Read,
    limit: u64,
) -> Result<Vec<u8>, DatasetError> {
    let fault = match gzip::read_bounded(content, limit) {
        Ok(Some(bytes)) => return Ok(bytes),
        Ok(None) => Fault::TooLarge { limit },
        Err(error) => Fault::Archive { reason: clip(&error.to_string()) },
    };
    Err(fault.at(&inside(file, name), Place::Whole))
}

/// How messages name a member.
pub(crate) fn inside(file: &str, name: &str) -> String {
    format!("{file}!{}", clip(name))
}

/// The error for a member that does not belong there.
pub(crate) fn refuse(file: &str, name: &str, permitted: &str) -> DatasetError {
    Fault::Member { name: clip(name), permitted: permitted.into() }.at(file, Place::Whole)
}

/// A gzipped tar archive with these files.
#[cfg(test)]
pub(crate) fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    gzip::pack(&builder.into_inner().unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attempt(packed: &[u8]) -> Result<Vec<Vec<u8>>, DatasetError> {
        members("a.tar.gz", packed, &["a/two".to_owned(), "a/one".to_owned()], 10)
    }

    fn fault(packed: &[u8]) -> (String, Fault) {
        match attempt(packed) {
            Err(DatasetError::Malformed { file, place: Place::Whole, fault }) => (file, fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_come_in_the_wanted_order_and_nothing_behind_the_last_is_looked_at() {
        let packed = pack(&[("a/other", b"x"), ("a/one", b"1"), ("a/two", b"22"), ("a/one", b"again")]);
        assert_eq!(attempt(&packed).unwrap(), [b"22".to_vec(), b"1".to_vec()]);
    }

    #[test]
    fn absent_double_large_and_strange_members_are_refused() {
        let whole = |fault| ("a.tar.gz".to_owned(), fault);
        assert_eq!(fault(&pack(&[("a/one", b"1")])), whole(Fault::NoMember { name: "a/two".into() }));
        let double = Fault::Member { name: "a/one".into(), permitted: "each file once".into() };
        assert_eq!(fault(&pack(&[("a/one", b"1"), ("a/one", b"1")])), whole(double));
        let large = ("a.tar.gz!a/one".to_owned(), Fault::TooLarge { limit: 10 });
        assert_eq!(fault(&pack(&[("a/one", &[0; 11])])), large);
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "a/one", "/etc/passwd").unwrap();
        let link = Fault::Member { name: "a/one".into(), permitted: "files and folders".into() };
        assert_eq!(fault(&gzip::pack(&builder.into_inner().unwrap())), whole(link));
        let good = pack(&[("a/one", b"1"), ("a/two", b"22")]);
        for hostile in [&good[..40], b"no archive", b""] {
            assert!(matches!(fault(hostile).1, Fault::Archive { .. } | Fault::NoMember { .. }));
        }
    }

    #[test]
    fn a_member_that_claims_more_than_the_archive_has_costs_nothing() {
        let mut header = tar::Header::new_gnu();
        header.set_path("a/one").unwrap();
        header.set_size(1 << 40);
        header.set_cksum();
        let packed = gzip::pack(&[&header.as_bytes()[..], b"short"].concat());
        let (_, fault) = fault(&packed);
        assert!(matches!(fault, Fault::Archive { .. } | Fault::TooLarge { .. }), "{fault}");
    }

    proptest! {
        #[test]
        fn no_damage_makes_the_walk_panic(place in 0_usize..2048, value in any::<u8>(), cut in 0_usize..3072) {
            let mut builder = tar::Builder::new(Vec::new());
            for name in ["a/one", "a/two"] {
                let mut header = tar::Header::new_gnu();
                header.set_size(2);
                builder.append_data(&mut header, name, &b"12"[..]).unwrap();
            }
            let mut bytes = builder.into_inner().unwrap();
            bytes[place] = value;
            bytes.truncate(cut);
            if let Ok(members) = attempt(&gzip::pack(&bytes)) {
                prop_assert!(members.iter().all(|member| member.len() <= 10));
            }
        }
    }
}
