//! The raw files that are part of the program.

/// The bytes of a raw file, or `None` where the program does not carry it.
pub(crate) fn bytes(dataset: &str, file: &str) -> Option<&'static [u8]> {
    let bytes: &'static [u8] = match (dataset, file) {
        ("iris", "iris.dat") => include_bytes!("../../datasets/iris/iris.dat"),
        ("diabetes", "pima.dat") => include_bytes!("../../datasets/diabetes/pima.dat"),
        ("kr_vs_kp", "chess.dat") => include_bytes!("../../datasets/kr_vs_kp/chess.dat"),
        ("wine", "wine.dat") => include_bytes!("../../datasets/wine/wine.dat"),
        ("sonar", "sonar.dat") => include_bytes!("../../datasets/sonar/sonar.dat"),
        ("vowel", "vowel.dat") => include_bytes!("../../datasets/vowel/vowel.dat"),
        ("crabs", "crabs.csv") => include_bytes!("../../datasets/crabs/crabs.csv"),
        ("fertility", "fertility_Diagnosis.txt") => {
            include_bytes!("../../datasets/fertility/fertility_Diagnosis.txt")
        }
        ("digits", "digits.csv.gz") => include_bytes!("../../datasets/digits/digits.csv.gz"),
        _ => return None,
    };
    Some(bytes)
}
