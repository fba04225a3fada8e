//! `board key`: a member's own key, made on the member's own machine.

use std::path::Path;

use terms::{ExitCode, Problem, Report};
use trust::{PublicKeyFile, SigningKey};

use super::{folder, passphrase};
use crate::args::board::KeyArgs;
use crate::show;

/// Makes a key.
///
/// # Errors
/// If a file is there already or cannot be written, or the passphrase is too short.
pub(super) fn run(args: &KeyArgs, json: bool) -> Result<ExitCode, Report> {
    let parent = args.out.parent().unwrap_or(Path::new("."));
    let public_path = parent.join(format!("{}.pub", args.name));
    if public_path.exists() || args.out.exists() {
        let there = if args.out.exists() { &args.out } else { &public_path };
        let message = format!("{} is there already, and keys are never replaced", there.display());
        return Err(Problem::Usage
            .report(message)
            .remedy("name another file with --out, or another folder"));
    }
    let key = if args.machine {
        let key = SigningKey::generate()?;
        key.save_new(&args.out)?;
        key
    } else {
        let passphrase = passphrase::for_new_key(args.passphrase_file.as_deref())?;
        let key = SigningKey::generate()?;
        key.save_encrypted(&args.out, &passphrase)?;
        key
    };
    let public = PublicKeyFile {
        name: args.name.clone(),
        key: key.public(),
    };
    folder::write(&public_path, public.to_string().as_bytes())?;
    if json {
        let files =
            serde_json::json!({ "name": public.name, "key": public.key, "private": args.out, "public": public_path });
        show::json(&files)?;
        return Ok(ExitCode::Ok);
    }
    let (private, shown) = (args.out.display(), public_path.display());
    show::text(format!(
        "{private}  keep it: nobody else may have it, and a copy in a safe place helps when it is lost\n\
         {shown}  send it to the others; read them the key by telephone, so that nobody puts another in its place:\n{}",
        public.key
    ))?;
    Ok(ExitCode::Ok)
}
