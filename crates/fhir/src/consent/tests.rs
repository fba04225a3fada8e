use serde_json::{Value as Json, json};

use super::*;

const USE: &str = "2.16.840.1.113883.3.1937.777.24.5.3.8";

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

/// A consent as the MII has them: everything is denied but what is permitted inside.
fn broad(inside: Json) -> Json {
    json!({"resourceType": "Consent", "id": "c1", "status": "active", "patient": {"reference": "Patient/p1"},
        "provision": {"type": "deny", "period": {"start": "2024-02-23", "end": "2054-01-31"}, "provision": inside}})
}

fn about(kind: &str, more: Json) -> Json {
    let mut provision = json!({"type": kind, "code": [{"coding": [{"system": POLICIES, "code": USE}]}]});
    let more = more.as_object().unwrap().clone();
    provision.as_object_mut().unwrap().extend(more);
    provision
}

fn read(resources: &[Json]) -> (Result<Consents, Report>, Vec<String>) {
    let lines: Vec<String> = resources.iter().map(Json::to_string).collect();
    let mut told = Vec::new();
    let consents = consents([Ok(lines.join("\n").as_bytes())], &berlin(), |_, skipped| {
        told.push(skipped.to_string())
    });
    (consents, told)
}

/// `+` or `-`, from, until.
fn kept(resources: &[Json]) -> Vec<String> {
    let consents = read(resources).0.unwrap();
    let shown = consents.provisions.iter().map(|provision| {
        let sign = if provision.permits { '+' } else { '-' };
        assert_eq!((provision.person.as_str(), provision.code.as_str()), ("p1", USE));
        format!("{sign} {} {}", provision.valid_from, provision.valid_until)
    });
    shown.collect()
}

#[test]
fn without_an_active_consent_nothing_is_permitted() {
    for status in [
        "draft",
        "proposed",
        "rejected",
        "inactive",
        "entered-in-error",
        "ACTIVE",
    ] {
        let mut consent = broad(json!([about("permit", json!({}))]));
        consent["status"] = json!(status);
        let consents = read(&[consent]).0.unwrap();
        assert_eq!((consents.provisions.len(), consents.counts.unmet), (0, 1), "{status}");
    }
    assert!(
        kept(&[broad(json!([]))]).is_empty(),
        "the rule that all else is denied names no code"
    );
}

#[test]
fn what_names_nobody_keeps_everything_out() {
    let good = broad(json!([about("permit", json!({}))]));
    let patients = [
        json!({"identifier": {"value": "secret"}}),
        json!({"reference": "Group/p1"}),
        json!({"reference": "#p1"}),
        json!({"reference": "urn:uuid:5"}),
        json!({"reference": "Patient?identifier=secret"}),
    ];
    for patient in patients {
        let mut consent = good.clone();
        consent["patient"] = patient;
        let (result, told) = read(&[good.clone(), consent]);
        assert_eq!(result.unwrap_err().problem, Problem::FhirFile);
        assert_eq!(
            told,
            ["line 2, Consent/c1: is a consent that does not say by its key whose it is"]
        );
    }
    let mut told = Vec::new();
    let lines = format!("{good}\n{{\"resourceType\": \"Consent\", ");
    let result = consents([Ok(lines.as_bytes())], &berlin(), |_, skipped| {
        told.push(skipped.to_string())
    });
    assert!(result.unwrap_err().message.contains("could be a withdrawal"));
    assert_eq!(told.len(), 1);
}

#[test]
fn what_cannot_be_understood_takes_all_permissions_of_that_person() {
    let unclear = [
        broad(json!([about("allow", json!({}))])),
        broad(json!([about("permit", json!({"modifierExtension": [{"url": "u"}]}))])),
        broad(json!(["permit"])),
        {
            let mut consent = broad(json!([about("permit", json!({}))]));
            consent["provision"]["period"]["end"] = json!("soon");
            consent
        },
        {
            let mut consent = broad(json!([]));
            consent["modifierExtension"] = json!([{"url": "u"}]);
            consent
        },
    ];
    for consent in unclear {
        let good = broad(json!([about("permit", json!({})), about("deny", json!({}))]));
        let mut others = good.clone();
        others["patient"]["reference"] = json!("Patient/p2");
        let (result, told) = read(&[good, consent.clone(), others]);
        let consents = result.unwrap();
        let people: Vec<_> = consents
            .provisions
            .iter()
            .map(|kept| (kept.person.as_str(), kept.permits))
            .collect();
        assert_eq!(people, [("p1", false), ("p2", false), ("p2", true)], "{consent}");
        assert_eq!((consents.withheld, told.len()), (1, 1), "{told:?}");
    }
}

#[test]
fn what_one_file_says_counts_against_what_another_does() {
    let good = broad(json!([about("permit", json!({}))])).to_string();
    let unclear = broad(json!([about("allow", json!({}))])).to_string();
    let mut told = Vec::new();
    let both = consents(
        [Ok(good.as_bytes()), Ok(unclear.as_bytes())],
        &berlin(),
        |file, skipped| told.push((file, skipped.line)),
    );
    assert_eq!((both.unwrap().provisions, told), (vec![], vec![(1, 1)]));
    assert!(consents([Ok(good.as_bytes()), Ok(b"{")], &berlin(), |_, _| ()).is_err());
}

#[test]
fn a_permission_with_a_condition_or_without_a_beginning_is_none() {
    let mut open = broad(json!([about("permit", json!({}))]));
    open["provision"].as_object_mut().unwrap().remove("period");
    let cases = [
        (
            broad(json!([about("permit", json!({"purpose": [{"code": "HRESCH"}]}))])),
            "with a condition",
        ),
        (
            broad(json!([about("permit", json!({"actor": [{"role": {}}]}))])),
            "with a condition",
        ),
        (
            broad(json!([about("permit", json!({"period": {"start": "soon"}}))])),
            "a period that cannot be read",
        ),
        (open.clone(), "since when"),
    ];
    for (consent, expected) in cases {
        let (result, told) = read(&[consent]);
        assert!(result.unwrap().provisions.is_empty());
        assert!(told[0].contains(expected), "{told:?}");
    }
    open["dateTime"] = json!("2024-03-01T10:00:00+01:00");
    assert_eq!(kept(&[open]), ["+ 2024-03-01T09:00:00Z 9999-12-30T22:00:00.999999999Z"]);
}

#[test]
fn a_permission_holds_in_its_own_period_and_in_that_around_it() {
    let period = |start: &str, end: &str| {
        broad(json!([about(
            "permit",
            json!({"period": {"start": start, "end": end}})
        )]))
    };
    // Days of Berlin's calendar, the last one to its end.
    assert_eq!(
        kept(&[broad(json!([about("permit", json!({}))]))]),
        ["+ 2024-02-22T23:00:00Z 2054-01-31T23:00:00Z"]
    );
    assert_eq!(
        kept(&[period("2024-07-01", "2024-07-31")]),
        ["+ 2024-06-30T22:00:00Z 2024-07-31T22:00:00Z"]
    );
    assert_eq!(
        kept(&[period("2020-01-01", "2099-12-31")]),
        ["+ 2024-02-22T23:00:00Z 2054-01-31T23:00:00Z"]
    );
    assert_eq!(
        kept(&[period("2025-01-01T12:00:00Z", "2025-01-02T12:00:00Z")]),
        ["+ 2025-01-01T12:00:00Z 2025-01-02T12:00:00Z"]
    );
    // Of a month or a year, the least.
    assert_eq!(
        kept(&[period("2025-02", "2026")]),
        ["+ 2025-02-27T23:00:00Z 2026-01-01T23:00:00Z"]
    );
    assert!(kept(&[period("2019-01-01", "2020-01-01")]).is_empty());
    assert!(kept(&[period("2025", "2025")]).is_empty());
}

#[test]
fn a_denial_is_kept_whatever_it_leaves_open() {
    let deny = |more: Json| kept(&[broad(json!([about("deny", more)]))]);
    let forever = ["- -009999-01-02T01:59:59Z 9999-12-30T22:00:00.999999999Z"];
    assert_eq!(deny(json!({})), forever);
    assert_eq!(deny(json!({"period": {"start": "soon"}})), forever);
    assert_eq!(deny(json!({"purpose": [{"code": "HRESCH"}], "actor": [{}]})), forever);
    assert_eq!(
        deny(json!({"period": {"start": "2025", "end": "2025"}})),
        ["- 2024-12-31T23:00:00Z 2025-12-31T23:00:00Z"]
    );
    assert_eq!(
        deny(json!({"period": {"end": "2025-01-01T12:00:00Z"}})),
        ["- -009999-01-02T01:59:59Z 2025-01-01T12:00:01Z"]
    );
}

#[test]
fn codes_of_other_systems_are_none_of_ours() {
    let mut provision = about("permit", json!({}));
    provision["code"][0]["coding"][0]["system"] = json!("https://other.example/policies");
    assert!(kept(&[broad(json!([provision.clone()]))]).is_empty());
    provision["code"][0]["coding"][0]
        .as_object_mut()
        .unwrap()
        .remove("system");
    assert!(kept(&[broad(json!([provision]))]).is_empty());
}

#[test]
fn a_permission_beside_a_rule_without_nesting_is_kept_too() {
    let mut consent = broad(json!([]));
    consent["provision"] = about(
        "permit",
        json!({"period": {"start": "2022-01-13T13:55:12+01:00", "end": "2052-01-13T13:55:12+01:00"}}),
    );
    assert_eq!(kept(&[consent]), ["+ 2022-01-13T12:55:12Z 2052-01-13T12:55:12Z"]);
}

#[test]
fn the_consents_of_the_mii_bundles_are_ten_peoples() {
    let Some(folder) = crate::tests::shared("fhir/mii_kds_bundles") else {
        return;
    };
    let files: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    let all = consents(files.iter().map(|file| Ok(file.as_slice())), &berlin(), |_, skipped| {
        panic!("{skipped}")
    });
    let provisions = all.unwrap().provisions;
    assert_eq!(provisions.len(), 57, "counted by a walk in Python");
    let at = |day: &str| format!("{day}T12:00:00Z").parse::<UtcTime>().unwrap();
    let may_use = |now: UtcTime| {
        let holds = |one: &&Provision| one.permits && one.code == USE && one.valid_from <= now && now < one.valid_until;
        provisions
            .iter()
            .filter(holds)
            .map(|one| one.person.as_str())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(may_use(at("2026-01-01")).len(), 9, "one of the ten ended");
    assert!(may_use(at("2023-11-15")).contains("mii-exa-test-data-patient-8"));
    assert!(!may_use(at("2023-11-16")).contains("mii-exa-test-data-patient-8"));
    assert_eq!(may_use(at("2019-01-01")).len(), 0);
}
