//! Tokens, headers and paths that are made up: nothing in them but a credential and a proof that hold says who asks, and what holds not is
//! refused before anything is done for it.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use terms::{Problem, UtcTime};
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Status};
use trust::{Digest, Proof, SigningKey};
use wire::Connection;

use super::apart::{Apart, NODE, Process, Reach, Role, SQL, strace_is_there, times};
use super::raw::ticket;
use super::sound::Before;

/// What nobody but who made up a token knows.
const CANARY: &str = "zz-made-up-zz";

/// Whoever may sign for the university, and does so for anything.
struct Forger {
    connection: Connection,
    person: SigningKey,
    issuer: SigningKey,
    header: Value,
    claims: Value,
}

fn part(token: &str, number: usize) -> Value {
    let text = token.trim().split('.').nth(number).unwrap();
    serde_json::from_slice(&BASE64URL.decode(text).unwrap()).unwrap()
}

fn signed(header: &str, claims: &str, key: &SigningKey) -> String {
    let text = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let der = key.to_pkcs8_der();
    let signer = any_eddsa_type(&PrivatePkcs8KeyDer::from(der.as_slice())).unwrap();
    let signer = signer.choose_scheme(&[SignatureScheme::ED25519]).unwrap();
    let signature = signer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64URL.encode(signature))
}

impl Forger {
    async fn at(apart: &Apart) -> Self {
        let folder = apart.sandbox.dir();
        let credential = fs::read_to_string(folder.join("people/ada/credential.jwt")).unwrap();
        let config = apart.config();
        let address = config.listen.unwrap();
        apart.listens(&address).await;
        let key = SigningKey::load(&config.key).unwrap().public();
        Self {
            connection: wire::connect(&address, NODE, &key).await.unwrap(),
            person: SigningKey::load(&folder.join("people/ada/person.key")).unwrap(),
            issuer: SigningKey::load(&folder.join("members/university/member.key")).unwrap(),
            header: part(&credential, 0),
            claims: part(&credential, 1),
        }
    }

    fn proof(&self) -> String {
        let proof = Proof {
            node: NODE.to_owned(),
            query: Digest::of(SQL.as_bytes()),
            purpose: Some("ehds-53-1-e".parse().unwrap()),
            permit: None,
            request: None,
            channel: self.connection.binding().unwrap(),
        };
        proof.issue(&self.person, UtcTime::now()).unwrap()
    }

    async fn ask(&self, credential: &str, more: &[(&'static str, String)]) -> Result<(), Status> {
        let mut request = Request::new(ticket(SQL));
        let metadata = request.metadata_mut();
        let value = |text: &str| AsciiMetadataValue::try_from(text).unwrap();
        metadata.insert("authorization", value(&format!("Bearer {credential}")));
        metadata.insert("datenraum-proof", value(&self.proof()));
        for (name, text) in more {
            metadata.append(*name, value(text));
        }
        let mut flight = FlightServiceClient::new(self.connection.grpc.clone());
        flight.do_get(request).await.map(drop)
    }

    /// The problem with which a credential of this header and these claims is refused, which are signed as they should be.
    async fn refused(&self, header: &str, claims: &str) -> Problem {
        let credential = signed(header, claims, &self.issuer);
        match self.ask(&credential, &[]).await {
            Ok(()) => panic!("answered: {header} {claims}"),
            Err(status) if status.code() == Code::Unavailable || status.code() == Code::Internal => {
                panic!("{status:?}: {header} {claims}")
            }
            Err(status) => wire::status::from_status(&status, NODE).report.problem,
        }
    }
}

async fn beside(apart: &Apart) -> (Process, Process, Before) {
    let (broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    tokio::task::block_in_place(|| apart.answered());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Before::of(node.id(), &apart.config());
    (broker, node, before)
}

fn sound(apart: &Apart, before: &Before) {
    tokio::task::block_in_place(|| before.still_sound(|| drop(apart.ask(&[]).returns(0)), Vec::new()));
    let log = apart.log(Role::Node);
    assert!(!log.contains("panicked") && !log.contains(CANARY), "{log}");
}

/// The header with another value, or none.
fn with(object: &Value, name: &str, value: Value) -> String {
    let mut object = object.clone();
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
        value => object[name] = value,
    }
    object.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_15_a_token_of_another_algorithm_or_that_brings_a_key_is_refused_and_nothing_is_fetched_for_it() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, node, before) = beside(&apart).await;
    let forger = Forger::at(&apart).await;
    let good = signed(&forger.header.to_string(), &forger.claims.to_string(), &forger.issuer);
    forger.ask(&good, &[]).await.unwrap();

    let trace = apart.sandbox.place().join("trace");
    let mut strace = strace_is_there().then(|| {
        let strace = Command::new("strace")
            .args([
                "-f",
                "-qqq",
                "-s",
                "200",
                "-e",
                "trace=open,openat,stat,newfstatat,connect,sendto",
                "-o",
            ])
            .arg(&trace)
            .args(["-p", &node.id().to_string()])
            .stderr(Stdio::null())
            .spawn();
        std::thread::sleep(Duration::from_millis(500));
        strace.unwrap()
    });
    let algorithms = [
        "none", "None", "HS256", "RS256", "ES256", "EdDSA ", "eddsa", "Ed25519", "", CANARY,
    ];
    let claims = forger.claims.to_string();
    let mut headers: Vec<String> = algorithms.map(|alg| with(&forger.header, "alg", json!(alg))).into();
    headers.push(with(&forger.header, "alg", Value::Null));
    headers.push(with(&forger.header, "alg", json!(["EdDSA"])));
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64URL.encode(forger.issuer.public().bytes()) });
    let address = format!("http://127.0.0.1:9/{CANARY}");
    for (name, value) in [
        ("jwk", key),
        ("jku", json!(address)),
        ("x5u", json!(address)),
        ("x5c", json!([CANARY])),
        ("crit", json!([CANARY])),
    ] {
        headers.push(with(&forger.header, name, value));
    }
    for header in &headers {
        let problem = forger.refused(header, &claims).await;
        assert_eq!(problem, Problem::TokenMalformed, "{header}");
        // Also with claims that nobody could read.
        assert_eq!(forger.refused(header, "{").await, Problem::TokenMalformed, "{header}");
    }
    // Which key a token is of, its issuer says: what else names one is not looked at, whether the token holds or not.
    for name in [
        format!("../../{CANARY}"),
        format!("/etc/{CANARY}"),
        address,
        format!("' OR 1=1 -- {CANARY}"),
        "k".repeat(3_000),
    ] {
        let header = with(&forger.header, "kid", json!(name));
        forger
            .ask(&signed(&header, &claims, &forger.issuer), &[])
            .await
            .unwrap();
        let refused = forger
            .ask(&signed(&header, &claims, &forger.person), &[])
            .await
            .unwrap_err();
        assert_eq!(
            wire::status::from_status(&refused, NODE).report.problem,
            Problem::TokenSignature
        );
    }
    if let Some(strace) = &mut strace {
        let pid = strace.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        strace.wait().unwrap();
        let trace = fs::read_to_string(&trace).unwrap();
        assert!(!trace.contains(CANARY) && !trace.contains("htons(9)"), "{trace}");
    }
    forger.ask(&good, &[]).await.unwrap();
    sound(&apart, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_16_claims_of_another_type_time_place_or_issuer_are_refused() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let forger = Forger::at(&apart).await;
    let header = forger.header.to_string();
    let names: Vec<String> = forger.claims.as_object().unwrap().keys().cloned().collect();
    let mut told = std::collections::BTreeMap::<Problem, usize>::new();
    let odd = [
        json!("1"),
        json!(1.5),
        json!(-1),
        json!([1]),
        json!({}),
        json!(true),
        json!(1e308),
        json!(u64::MAX),
        Value::Null,
    ];
    for name in &names {
        for value in &odd {
            // A person may have any name; and when it was issued says nothing that when it holds does not.
            if (name == "sub" && *value == json!("1")) || (name == "iat" && *value == json!(-1)) {
                continue;
            }
            let problem = forger
                .refused(&header, &with(&forger.claims, name, value.clone()))
                .await;
            *told.entry(problem).or_default() += 1;
        }
    }
    let now = UtcTime::now().as_second();
    let claims = |changes: &[(&str, Value)]| {
        let mut claims = forger.claims.clone();
        changes.iter().for_each(|(name, value)| claims[*name] = value.clone());
        claims.to_string()
    };
    for (changes, expected) in [
        (
            vec![("exp", json!(now - 120)), ("nbf", json!(now - 600))],
            Problem::TokenExpired,
        ),
        (
            vec![("nbf", json!(now + 600)), ("exp", json!(now + 900))],
            Problem::TokenExpired,
        ),
        (vec![("exp", json!(now + 3 * 24 * 3600))], Problem::TokenExpired),
        (vec![("iss", json!("nobody"))], Problem::TokenIssuer),
        (vec![("iss", json!(NODE))], Problem::TokenSignature),
    ] {
        assert!(
            changes.iter().all(|(name, _)| names.iter().any(|known| known == name)),
            "{names:?}"
        );
        let problem = forger.refused(&header, &claims(&changes)).await;
        assert_eq!(problem, expected, "{changes:?}");
        *told.entry(problem).or_default() += 1;
    }
    println!("refused: {told:?}");
    sound(&apart, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_22_what_a_request_says_of_its_sender_beside_the_tokens_counts_for_nothing_and_twice_is_refused() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let forger = Forger::at(&apart).await;
    let good = signed(&forger.header.to_string(), &forger.claims.to_string(), &forger.issuer);
    let names = [
        "x-forwarded-client-cert",
        "x-identity",
        "x-forwarded-for",
        "forwarded",
        "x-user",
        "member",
        "datenraum-member",
        "datenraum-caller",
    ];
    let foreign = names.map(|name| (name, "By=spiffe://clinic-a;URI=spiffe://university/root".to_owned()));
    forger.ask(&good, &foreign).await.unwrap();
    // Without tokens they open nothing.
    let stranger = signed(&forger.header.to_string(), &forger.claims.to_string(), &forger.person);
    let refused = forger.ask(&stranger, &foreign).await.unwrap_err();
    assert_eq!(
        wire::status::from_status(&refused, NODE).report.problem,
        Problem::TokenSignature
    );
    for twice in [
        ("authorization", format!("Bearer {good}")),
        ("authorization", "Bearer x".to_owned()),
        ("datenraum-proof", forger.proof()),
    ] {
        let refused = forger.ask(&good, std::slice::from_ref(&twice)).await.unwrap_err();
        let problem = wire::status::from_status(&refused, NODE).report.problem;
        assert_eq!(problem, Problem::TokenMalformed, "{twice:?}");
    }
    sound(&apart, &before);
}

/// The 95th percentile of how long a permitted question takes while something else goes on.
async fn p95(apart: &Apart, questions: usize) -> Duration {
    let person = apart.person().await;
    let mut took = Vec::new();
    for _ in 0..questions {
        let since = Instant::now();
        assert!(person.ask(SQL, None).await.refused.is_none());
        took.push(since.elapsed());
    }
    took.sort();
    took[took.len() * 95 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_24_thousands_of_bad_tokens_cost_others_little_and_leave_nothing_behind() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let tokens = times("DATENRAUM_TOKENS", 1_000);
    let quiet = p95(&apart, 40).await;
    let (lines, entries) = (apart.log(Role::Node).lines().count(), recorded(&apart));
    for connections in [1, 20] {
        let mut forgers = Vec::new();
        for _ in 0..connections {
            forgers.push(Arc::new(Forger::at(&apart).await));
        }
        let guessing = forgers.into_iter().map(|forger| {
            tokio::spawn(async move {
                for number in 0..tokens / connections {
                    let claims = with(&forger.claims, "jti", json!(number));
                    // Signed by nobody whom the roster names.
                    let credential = signed(&forger.header.to_string(), &claims, &forger.person);
                    let refused = forger.ask(&credential, &[]).await.unwrap_err();
                    let problem = wire::status::from_status(&refused, NODE).report.problem;
                    assert!(
                        [Problem::TokenSignature, Problem::TokenMalformed].contains(&problem),
                        "{problem}"
                    );
                }
            })
        });
        let (guessing, since) = (guessing.collect::<Vec<_>>(), Instant::now());
        let beside = p95(&apart, 40).await;
        for guessing in guessing {
            guessing.await.unwrap();
        }
        println!(
            "{tokens} bad tokens on {connections} connections in {:.1} s; p95 of others {:.0} ms, {:.0} ms without",
            since.elapsed().as_secs_f64(),
            beside.as_secs_f64() * 1e3,
            quiet.as_secs_f64() * 1e3
        );
        assert!(
            beside < quiet * 20 + Duration::from_millis(500),
            "{beside:?} instead of {quiet:?}"
        );
    }
    // Counted, and neither written down one by one nor recorded.
    assert!(apart.log(Role::Node).lines().count() < lines + 100);
    assert_eq!(recorded(&apart), entries + 80);
    sound(&apart, &before);
    println!("memory peak {} MiB", before.memory_peak() >> 20);
    assert!(before.memory_peak() < 512 << 20);
}

fn recorded(apart: &Apart) -> usize {
    node::audit::entries(&apart.config().ledger_file()).unwrap().len()
}
