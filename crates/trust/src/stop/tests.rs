use super::*;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&[byte; 32]).unwrap()
}

fn space() -> SpaceId {
    "oncology".parse().unwrap()
}

fn board() -> [PublicKey; 2] {
    [key(1).public(), key(2).public()]
}

fn person() -> Stopped {
    Stopped::Person("university".parse().unwrap(), "ada".parse().unwrap())
}

fn stop(stopped: Stopped) -> Stop {
    let at = "2026-11-24T12:00:00Z".parse().unwrap();
    Stop::new(space(), stopped, "the key was lost", at).unwrap()
}

fn refusal(envelope: &Envelope) -> Problem {
    Stop::open(envelope, &board(), &space()).unwrap_err().problem
}

fn kinds() -> [(Stopped, &'static str); 4] {
    [
        (
            Stopped::Policy("breast-cancer".parse().unwrap()),
            r#"{"policy":"breast-cancer"}"#,
        ),
        (Stopped::Permit("p-7".parse().unwrap()), r#"{"permit":"p-7"}"#),
        (
            Stopped::Member("university".parse().unwrap()),
            r#"{"member":"university"}"#,
        ),
        (person(), r#"{"person":"university/ada"}"#),
    ]
}

#[test]
fn a_stop_of_somebody_outside_the_board_is_refused() {
    assert_eq!(
        refusal(&stop(person()).seal(&key(3)).unwrap()),
        Problem::PolicySignature
    );
    let envelope = stop(person()).seal(&key(1)).unwrap();
    assert_eq!(
        Stop::open(&envelope, &[], &space()).unwrap_err().problem,
        Problem::PolicySignature
    );
}

#[test]
fn a_stop_that_names_a_board_member_who_did_not_sign_is_refused() {
    let of = |byte| stop(person()).seal(&key(byte)).unwrap();
    let mut json = serde_json::to_value(of(3)).unwrap();
    json["signatures"][0]["keyid"] = key(1).public().key_id().into();
    assert_eq!(
        refusal(&serde_json::from_value(json).unwrap()),
        Problem::PolicySignature
    );
    // Signed by one member, named as of another: would be the same stop under a second digest.
    let mut json = serde_json::to_value(of(1)).unwrap();
    for keyid in [
        key(2).public().key_id(),
        String::new(),
        key(1).public().key_id().to_uppercase(),
    ] {
        json["signatures"][0]["keyid"] = keyid.into();
        assert_eq!(
            refusal(&serde_json::from_value(json.clone()).unwrap()),
            Problem::PolicySignature
        );
    }
}

#[test]
fn a_stop_for_another_data_space_is_refused() {
    let other = Stop {
        space: "cardiology".parse().unwrap(),
        ..stop(person())
    };
    assert_eq!(refusal(&other.seal(&key(1)).unwrap()), Problem::PolicyScope);
}

#[test]
fn what_the_board_signed_as_something_else_is_no_stop() {
    let other = Envelope::seal("application/vnd.datenraum.receipt.v1+json", &stop(person()), &key(1));
    assert_eq!(refusal(&other.unwrap()), Problem::PolicyInvalid);
}

#[test]
fn a_signed_stop_with_odd_content_is_refused() {
    let good = serde_json::to_value(stop(person())).unwrap();
    for (field, value) in [
        ("stopped", serde_json::json!({"person": "ada"})),
        ("stopped", serde_json::json!({"person": "university/ada/eve"})),
        ("stopped", serde_json::json!({"person": ["university", "ada"]})),
        ("stopped", serde_json::json!({"person": "university/../x"})),
        ("stopped", serde_json::json!({"space": "oncology"})),
        ("stopped", serde_json::json!({"policy": "x", "permit": "y"})),
        ("stopped", serde_json::json!("policy")),
        ("reason", "".into()),
        ("reason", "two\nlines".into()),
        ("reason", "x".repeat(201).into()),
        ("at", "yesterday".into()),
        ("more", 1.into()),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let envelope = Envelope::seal(STOP_TYPE, &body, &key(1)).unwrap();
        assert_eq!(refusal(&envelope), Problem::PolicyInvalid, "{body}");
    }
    assert!(Stop::open(&Envelope::seal(STOP_TYPE, &good, &key(1)).unwrap(), &board(), &space()).is_ok());
}

#[test]
fn a_stop_without_a_reason_in_one_line_is_not_made() {
    for reason in ["", "  ", "a\nb", "a\u{2028}b", "a\u{1b}[2Jb", &"ä".repeat(201)] {
        let made = Stop::new(space(), person(), reason, stop(person()).at);
        assert_eq!(made.unwrap_err().problem, Problem::Usage, "{reason:?}");
        let reason = reason.to_owned();
        let sealed = Stop {
            reason,
            ..stop(person())
        }
        .seal(&key(1));
        assert_eq!(sealed, Err(EnvelopeError::Body));
    }
    assert!(Stop::new(space(), person(), &"ä".repeat(200), stop(person()).at).is_ok());
}

#[test]
fn any_member_of_the_board_stops_alone() {
    for (byte, (stopped, json)) in [1, 2, 1, 2].into_iter().zip(kinds()) {
        let envelope = stop(stopped.clone()).seal(&key(byte)).unwrap();
        let accepted = Stop::open(&Envelope::parse(&envelope.to_bytes()).unwrap(), &board(), &space()).unwrap();
        assert_eq!(accepted.stop, stop(stopped.clone()));
        assert_eq!(accepted.signer, key(byte).public());
        assert_eq!((accepted.digest, accepted.envelope), (envelope.digest(), envelope));
        assert_eq!(serde_json::to_string(&stopped).unwrap(), json);
    }
    assert_eq!(person().to_string(), "person university/ada");
}

#[test]
fn a_list_that_is_no_list_of_stops_or_too_long_is_refused() {
    let many = |count: usize| format!(r#"{{"stops":[{}]}}"#, vec!["1"; count].join(","));
    let large = format!(r#"{{"stops":["{}"]}}"#, "x".repeat(STOPS_BYTES_MAX));
    for text in [
        "",
        "[]",
        "{}",
        r#"{"stops":{}}"#,
        r#"{"stops":[],"more":1}"#,
        r#"{"stops":[],"stops":[]}"#,
    ]
    .into_iter()
    .chain([many(STOPS_MAX + 1).as_str(), &large])
    {
        assert_eq!(
            StopList::parse(text.as_bytes()).unwrap_err().problem,
            Problem::PolicyInvalid
        );
    }
    assert_eq!(StopList::parse(many(STOPS_MAX).as_bytes()).unwrap().ignored, STOPS_MAX);
    let envelope = stop(person()).seal(&key(1)).unwrap();
    let stops = vec![envelope; STOPS_MAX + 1];
    assert_eq!(
        StopList { stops, ignored: 0 }.to_bytes().unwrap_err().problem,
        Problem::PolicyInvalid
    );
}

#[test]
fn garbage_in_a_list_does_not_hide_the_stops_beside_it() {
    let envelope = stop(person()).seal(&key(1)).unwrap();
    let text = String::from_utf8(envelope.to_bytes()).unwrap();
    let list = format!(r#"{{"stops":[7,{text},{{"payload":"x"}},null,{text}]}}"#);
    let read = StopList::parse(list.as_bytes()).unwrap();
    assert_eq!((read.stops.len(), read.ignored), (2, 3));
    assert!(read.stops.iter().all(|read| read == &envelope));
}

#[test]
fn a_full_list_is_read_as_it_was_written() {
    let long = Stop {
        reason: "x".repeat(STOP_REASON_CHARS_MAX),
        ..stop(person())
    };
    let list = StopList {
        stops: vec![long.seal(&key(1)).unwrap(); STOPS_MAX],
        ignored: 0,
    };
    assert_eq!(StopList::parse(&list.to_bytes().unwrap()), Ok(list));
}
