//! `person init` and `person vouch`: how somebody comes to a key and to a credential.
//!
//! The key never leaves the person's machine, and nobody but the institution can vouch. A credential grants nothing by itself: the
//! roster says who may vouch, and the policy what a role may do.

use std::path::PathBuf;

use federation::Profile;
use terms::{Clock as _, ExitCode, Problem, Report, SystemClock};
use trust::{Credential, PublicKeyFile, SigningKey};
use wire::PeerConfig;

use crate::args::person::{InitArgs, VouchArgs};
use crate::sandbox::found::whole_seconds;
use crate::sandbox::layout::{make_folder, write_private};
use crate::show;

/// Makes a person's key and profile.
///
/// # Errors
/// If one is there already, the root document is not there, or a file cannot be written.
pub(crate) fn init(args: &InitArgs, json: bool) -> Result<ExitCode, Report> {
    let (key_file, profile_file) = (args.dir.join("person.key"), args.dir.join("person.toml"));
    let public_file = args.dir.join(format!("{}.pub", args.person));
    if let Some(there) = [&key_file, &profile_file, &public_file]
        .into_iter()
        .find(|file| file.exists())
    {
        let message = format!("{} is there already, and keys are never replaced", there.display());
        return Err(Problem::Usage.report(message).remedy("name another folder with --dir"));
    }
    let root = std::fs::read(&args.root);
    let root = root.map_err(|error| Problem::FileMissing.report(format!("{}: {error}", args.root.display())))?;
    let profile = Profile {
        space: args.space.clone(),
        member: args.member.clone(),
        person: args.person.clone(),
        key: PathBuf::from("person.key"),
        credential: PathBuf::from("credential.jwt"),
        root: PathBuf::from("root.json"),
        data: PathBuf::from("cache"),
        broker: PeerConfig::direct(args.broker.clone(), args.broker_key),
    };
    let text = toml::to_string(&profile).map_err(|error| Problem::Internal.report(error.to_string()))?;
    make_folder(&args.dir)?;
    let key = SigningKey::generate()?;
    key.save_new(&key_file)?;
    let public = PublicKeyFile {
        name: args.person.clone(),
        key: key.public(),
    };
    write_private(&args.dir.join("root.json"), &root)?;
    write_private(
        &profile_file,
        format!("# Who asks. Paths are relative to this file.\n\n{text}").as_bytes(),
    )?;
    write_private(&public_file, public.to_string().as_bytes())?;
    if json {
        show::json(
            &serde_json::json!({ "person": public.name, "key": public.key, "public": public_file, "profile": profile_file }),
        )?;
        return Ok(ExitCode::Ok);
    }
    show::text(format!(
        "{}  keep it: nobody else may have it\n{}  send it to {}; read them the key by telephone, so that nobody puts another in its place:\n{}\n\
         their credential belongs into {}",
        key_file.display(),
        public_file.display(),
        args.member,
        public.key,
        args.dir.join("credential.jwt").display()
    ))?;
    Ok(ExitCode::Ok)
}

/// Issues a credential.
///
/// # Errors
/// If a key cannot be read, or the file cannot be written.
pub(crate) fn vouch(args: &VouchArgs, json: bool) -> Result<ExitCode, Report> {
    let person = PublicKeyFile::load(&args.person)?;
    let institution = SigningKey::load(&args.key)?;
    let not_before = whole_seconds(SystemClock.now(), 0);
    let credential = Credential {
        space: args.space.clone(),
        member: args.member.clone(),
        person: person.name,
        roles: args.roles.iter().cloned().collect(),
        key: person.key,
        not_before,
        expires: whole_seconds(not_before, i64::from(args.hours) * 3600),
    };
    let (person, roles, until) = (credential.person.clone(), &args.roles, credential.expires);
    write_private(&args.out, format!("{}\n", credential.issue(&institution)?).as_bytes())?;
    if json {
        show::json(&serde_json::json!({ "person": person, "roles": roles, "expires": until, "credential": args.out }))?;
        return Ok(ExitCode::Ok);
    }
    let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
    let (member, roles, file) = (&args.member, roles.join(", "), args.out.display());
    show::text(format!(
        "{file}  {member} vouches for {person} as {roles} until {until:.0}"
    ))?;
    Ok(ExitCode::Ok)
}
