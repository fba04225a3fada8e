use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const WORDS: &str = "correct horse battery staple";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// An encrypted key of `WORDS`, and where it is.
fn encrypted(folder: &tempfile::TempDir) -> (SigningKey, PathBuf) {
    let (key, path) = (SigningKey::generate().unwrap(), folder.path().join("ana.key"));
    key.save_encrypted(&path, &passphrase(WORDS)).unwrap();
    (key, path)
}

fn problem(result: Result<SigningKey, KeyError>) -> Problem {
    Report::from(result.unwrap_err()).problem
}

/// A file of another content under the same rules.
fn private(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(format!("{}.key", crate::Digest::of(bytes).hex()));
    durable::create_private(&path, bytes).unwrap();
    path
}

#[test]
fn an_encrypted_key_is_not_opened_without_its_passphrase() {
    let folder = folder();
    let (_, path) = encrypted(&folder);
    assert_eq!(
        SigningKey::load(&path).unwrap_err(),
        KeyError::PassphraseMissing { path: path.clone() }
    );
    for wrong in [
        "",
        "correct horse battery stapl",
        "Correct horse battery staple",
        "correct horse battery staple ",
    ] {
        let refused = SigningKey::load_with(&path, Some(&passphrase(wrong)));
        assert_eq!(
            refused.unwrap_err(),
            KeyError::PassphraseWrong { path: path.clone() },
            "{wrong:?}"
        );
    }
    assert_eq!(problem(SigningKey::load(&path)), Problem::KeyPassphrase);
    assert_eq!(
        problem(SigningKey::load_with(&path, Some(&passphrase("x")))),
        Problem::KeyPassphrase
    );
}

#[test]
fn a_short_passphrase_makes_no_key() {
    let folder = folder();
    let path = folder.path().join("ana.key");
    let refused = SigningKey::generate()
        .unwrap()
        .save_encrypted(&path, &passphrase("ääääääääääa\n"));
    assert_eq!(refused, Err(KeyError::PassphraseShort));
    assert_eq!(Report::from(refused.unwrap_err()).problem, Problem::Usage);
    assert!(!path.exists());
}

#[test]
fn empty_truncated_and_changed_files_are_refused() {
    let folder = folder();
    let (_, path) = encrypted(&folder);
    let pem = std::fs::read_to_string(&path).unwrap();
    for length in [0, 1, 30, pem.len() / 2, pem.len() - 30, pem.len() - 2] {
        let cut = private(&folder, &pem.as_bytes()[..length]);
        assert_eq!(
            problem(SigningKey::load_with(&cut, Some(&passphrase(WORDS)))),
            Problem::FileValue,
            "{length}"
        );
    }
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(body).unwrap();
    let last = der.len() - 1;
    der[last] ^= 1;
    let lines = STANDARD
        .encode(&der)
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join("\n");
    let changed = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{lines}\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let changed = private(&folder, changed.as_bytes());
    assert_eq!(
        problem(SigningKey::load_with(&changed, Some(&passphrase(WORDS)))),
        Problem::KeyPassphrase
    );
    let large = private(&folder, &vec![b'\n'; 5 * 1024]);
    assert_eq!(problem(SigningKey::load(&large)), Problem::FileValue);
}

/// An encrypted file that names this cost and holds nothing that could be opened.
fn of_cost(folder: &tempfile::TempDir, kdf: pbes2::Kdf) -> PathBuf {
    let parameters = pbes2::Parameters {
        kdf,
        encryption: pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] },
    };
    let encrypted = pkcs8::EncryptedPrivateKeyInfo {
        encryption_algorithm: parameters.into(),
        encrypted_data: pkcs8::der::asn1::OctetStringRef::new(&[0; 48]).unwrap(),
    };
    let document: SecretDocument = encrypted.try_into().unwrap();
    let pem = document
        .to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)
        .unwrap();
    private(folder, pem.as_bytes())
}

#[test]
fn a_file_that_asks_for_too_much_work_or_for_another_cipher_is_not_tried() {
    let folder = folder();
    let dear = scrypt::Params::new(24, 8, 1).unwrap();
    let dear = pbes2::ScryptParams::from_params_and_salt(dear, &[0; 16]).unwrap();
    let other = pbes2::Pbkdf2Params::hmac_sha256(100_000_000, &[0; 16]).unwrap();
    for kdf in [dear.into(), other.into()] {
        let path = of_cost(&folder, kdf);
        let begun = std::time::Instant::now();
        let refused = SigningKey::load_with(&path, Some(&passphrase(WORDS))).unwrap_err();
        assert_eq!(refused, KeyError::Cipher { path });
        assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    }
}

#[test]
fn an_encrypted_key_is_read_again_and_never_replaced() {
    let folder = folder();
    let (key, path) = encrypted(&folder);
    let before = std::fs::read(&path).unwrap();
    let other = SigningKey::generate().unwrap();
    for again in [other.save_encrypted(&path, &passphrase(WORDS)), other.save_new(&path)] {
        let kind = io::ErrorKind::AlreadyExists;
        assert_eq!(
            again,
            Err(KeyError::Write {
                path: path.clone(),
                kind
            })
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // As it comes out of a file.
    for typed in [WORDS.to_owned(), format!("{WORDS}\n"), format!("{WORDS}\r\n")] {
        let read = SigningKey::load_with(&path, Some(&passphrase(&typed))).unwrap();
        assert_eq!(read.public(), key.public());
    }
    assert_eq!(KeyFile::is_encrypted(&path), Ok(true));
}

#[test]
fn one_key_saved_twice_shows_nothing_in_common() {
    let folder = folder();
    let (key, path) = encrypted(&folder);
    let second = folder.path().join("second.key");
    key.save_encrypted(&second, &passphrase(WORDS)).unwrap();
    let last_line = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().nth_back(1).map(str::to_owned).unwrap()
    };
    assert_ne!(last_line(&path), last_line(&second));
}

#[test]
fn openssl_reads_an_encrypted_key() {
    let folder = folder();
    let (key, path) = encrypted(&folder);
    let read = |words: &str| {
        let mut command = Command::new("openssl");
        command.args([
            "pkey",
            "-noout",
            "-text_pub",
            "-passin",
            &format!("pass:{words}"),
            "-in",
        ]);
        command.arg(&path).output()
    };
    let Ok(read_well) = read(WORDS) else {
        eprintln!("SKIPPED: openssl is not installed, so nothing was compared with it");
        return;
    };
    let shown: String = String::from_utf8_lossy(&read_well.stdout).split_whitespace().collect();
    let public: Vec<String> = key.public().bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let errors = String::from_utf8_lossy(&read_well.stderr);
    assert!(shown.contains(&public.join(":")), "{shown} {errors}");
    assert!(!read("another passphrase").unwrap().status.success());
}

#[test]
fn a_saved_key_is_read_again_and_never_replaced() {
    let folder = folder();
    let path = folder.path().join("node.key");
    let made = SigningKey::generate().unwrap();
    made.save_new(&path).unwrap();
    assert_eq!(SigningKey::load(&path).unwrap().public(), made.public());
    let again = SigningKey::generate().unwrap().save_new(&path).unwrap_err();
    let kind = io::ErrorKind::AlreadyExists;
    assert_eq!(
        again,
        KeyError::Write {
            path: path.clone(),
            kind
        }
    );
    assert_eq!(SigningKey::load(&path).unwrap().public(), made.public());
    assert_eq!(KeyFile::is_encrypted(&path), Ok(false));
}

#[cfg(unix)]
#[test]
fn a_key_file_is_private_and_one_that_is_not_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let (_, encrypted) = encrypted(&folder);
    let plain = folder.path().join("node.key");
    SigningKey::generate().unwrap().save_new(&plain).unwrap();
    for path in [encrypted, plain] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let refused = SigningKey::load_with(&path, Some(&passphrase(WORDS)));
        assert_eq!(refused.unwrap_err(), KeyError::Exposed { path });
    }
}

#[test]
fn a_file_that_is_no_key_is_refused_without_quoting_it() {
    let folder = folder();
    for text in [
        "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nc2VjcmV0\n-----END PUBLIC KEY-----\n",
        "secret",
    ] {
        let path = private(&folder, text.as_bytes());
        let report = Report::from(SigningKey::load_with(&path, Some(&passphrase(WORDS))).unwrap_err());
        assert_eq!(report.problem, Problem::FileValue, "{text}");
        assert!(!report.message.contains("secret") && !report.message.contains("c2Vj"));
    }
}

#[test]
fn debug_shows_neither_passphrase_nor_key() {
    let folder = folder();
    let (key, path) = encrypted(&folder);
    let shown = format!("{:?} {:?}", passphrase(WORDS), KeyFile::read(&path).unwrap());
    assert_eq!(shown, format!("Passphrase(redacted) KeyFile({})", path.display()));
    let wrong = format!(
        "{:?}",
        SigningKey::load_with(&path, Some(&passphrase("a wrong passphrase")))
    );
    assert!(
        !wrong.contains("a wrong") && !wrong.contains(&crate::digest::hex(key.seed())),
        "{wrong}"
    );
}
