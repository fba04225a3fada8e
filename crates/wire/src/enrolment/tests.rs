use super::*;

fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

fn space() -> SpaceId {
    "oncology".parse().unwrap()
}

fn now() -> UtcTime {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn enrolment(key: &SigningKey) -> Enrolment {
    Enrolment {
        space: space(),
        member: "gbsg".parse().unwrap(),
        title: "German Breast Cancer Study Group".to_owned(),
        key: key.public(),
        issued: now(),
        expires: UtcTime::from_second(now().as_second() + ENROLMENT_SECONDS_MAX).unwrap(),
    }
}

#[test]
fn a_21_a_broker_that_exchanges_the_key_has_a_request_with_another_code() {
    let (key, other) = (key(), key());
    let sealed = seal(&enrolment(&key), &key).unwrap();
    let exchanged = seal(&enrolment(&other), &other).unwrap();
    let code = Code::of(&sealed);
    assert_eq!(
        open_fetched(&exchanged, &space(), code, now()).unwrap_err().problem,
        Problem::Answer
    );
    assert_eq!(*open_fetched(&sealed, &space(), code, now()).unwrap(), enrolment(&key));
}

#[test]
fn a_21_a_request_that_its_own_key_did_not_sign_is_refused() {
    let (key, other) = (key(), key());
    let sealed = seal(&enrolment(&key), &other).unwrap();
    assert_eq!(open(&sealed).unwrap_err().problem, Problem::Answer);
    for sealed in [&b""[..], b"{}", &vec![b' '; ENROLMENT_BYTES_MAX + 1]] {
        assert!(open(sealed).is_err());
    }
}

#[test]
fn a_21_a_request_for_elsewhere_for_later_for_too_long_or_with_an_odd_title_is_refused() {
    let key = key();
    let good = enrolment(&key);
    let refused = |change: &dyn Fn(&mut Enrolment)| {
        let mut changed = good.clone();
        change(&mut changed);
        let report = changed.require_valid(&space(), now()).unwrap_err();
        assert_eq!(report.problem, Problem::Answer, "{report}");
        report.message
    };
    let after = |seconds: i64| UtcTime::from_second(now().as_second() + seconds).unwrap();
    assert!(refused(&|e| e.space = "cardiology".parse().unwrap()).contains("another data space"));
    assert!(refused(&|e| e.issued = after(31)).contains("in the future"));
    assert!(refused(&|e| e.expires = now()).contains("expired"));
    assert!(refused(&|e| e.expires = after(ENROLMENT_SECONDS_MAX + 1)).contains("seven days"));
    for title in [
        "",
        " ",
        "a\nb",
        "a\u{202e}b",
        "\u{1b}[2J",
        &"a".repeat(TITLE_CHARS_MAX + 1),
    ] {
        assert!(
            refused(&|e| title.clone_into(&mut e.title)).contains("title"),
            "{title:?}"
        );
    }
    good.require_valid(&space(), now()).unwrap();
}

#[test]
fn what_is_no_code_is_refused_and_a_code_is_read_as_people_write_it() {
    for text in [
        "",
        "7Q2M",
        "7Q2M-0XKD-94TZ-HB3U",
        "7Q2M-0XKD-94TZ-HB3E-0",
        "7Q2M-0XKD-94TZ-HB3é",
    ] {
        assert_eq!(text.parse::<Code>(), Err(CodeError), "{text}");
    }
    assert!(Code::try_from(&[0; 9][..]).is_err());
    let code = Code::of(b"a request");
    let written = code.to_string();
    assert_eq!(written.split('-').map(str::len).collect::<Vec<_>>(), [4; 4]);
    for text in [written.clone(), written.to_lowercase(), written.replace('-', "")] {
        assert_eq!(text.parse(), Ok(code), "{text}");
    }
    let zeroes: Code = "0000-0000-0000-1111".parse().unwrap();
    assert_eq!("oooo-OOOO-0o0o-iIlL".parse(), Ok(zeroes));
    assert_eq!(zeroes.bytes()[9], 0b0010_0001);
}
