//! Writes a policy of a data space as ODRL 2.2 in JSON-LD to the standard output:
//! `cargo run -p policy --example odrl -- FOLDER POLICY`. A folder that has no roster yet is read as one without members.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use policy::Rules;
use trust::Digest;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, policy] = arguments.as_slice() else {
        return Err("name the folder of a data space and the id of one of its policies".into());
    };
    let rules = Rules::compile_files(1, Digest::of(b""), &documents(Path::new(folder))?)?;
    let odrl = policy::odrl::export(&rules, &policy.parse()?).ok_or("the data space has no such policy")?;
    writeln!(std::io::stdout(), "{odrl:#}")?;
    Ok(())
}

fn documents(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files: BTreeMap<String, Vec<u8>> = [("members.toml".to_owned(), Vec::new())].into();
    for name in ["space.toml", "members.toml"] {
        let path = folder.join(name);
        if path.exists() {
            files.insert(name.to_owned(), std::fs::read(path)?);
        }
    }
    for kind in ["collections", "policies", "permits"] {
        let inside = folder.join(kind);
        if !inside.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(inside)? {
            let entry = entry?;
            let name = format!("{kind}/{}", entry.file_name().to_string_lossy());
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}
