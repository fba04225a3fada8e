use std::fs;

use super::*;

const PERMIT: &str = "2.16.840.1.113883.3.1937.777.24.5.3.8";

fn consent(person: &str, kind: &str, status: &str) -> String {
    format!(
        "{{\"resourceType\": \"Consent\", \"id\": \"SECRET-{person}\", \"status\": \"{status}\", \"dateTime\": \"2024-02-01\", \
         \"patient\": {{\"reference\": \"Patient/{person}\"}}, \"provision\": {{\"type\": \"deny\", \"provision\": [{{\"type\": \"{kind}\", \
         \"period\": {{\"start\": \"2024-02-23\", \"end\": \"2054-01-31\"}}, \"code\": [{{\"coding\": [{{\
         \"system\": \"urn:oid:2.16.840.1.113883.3.1937.777.24.5.3\", \"code\": \"{PERMIT}\"}}]}}]}}]}}}}\n"
    )
}

fn read(files: &[(&str, String)]) -> Result<(Vec<Provision>, Read), Report> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    provisions(folder.path(), "Europe/Berlin")
}

#[test]
fn what_could_be_somebodys_withdrawal_keeps_all_out_and_is_named_by_its_place() {
    let good = consent("p1", "permit", "active");
    let torn = good[..good.len() / 2].to_owned();
    let nobodys = good.replace("Patient/p1", "#SECRET");
    for bad in [torn, nobodys] {
        let report = read(&[("a.ndjson", good.clone()), ("b.ndjson", bad)]).unwrap_err();
        assert_eq!(report.problem, Problem::FhirFile);
        assert!(report.message.starts_with("line 1 of b.ndjson: "), "{report}");
        assert!(
            !report.to_string().contains("SECRET") && !report.to_string().contains("p1"),
            "{report}"
        );
    }
    assert_eq!(
        provisions(Path::new("/nowhere"), "Europe/Berlin").unwrap_err().problem,
        Problem::FileMissing
    );
    assert_eq!(
        provisions(Path::new("/nowhere"), "Berlin").unwrap_err().problem,
        Problem::FileValue
    );
}

#[test]
fn consents_of_all_files_are_weighed_together_on_the_calendar_of_the_zone() {
    let (kept, told) = read(&[
        (
            "a.ndjson",
            consent("p1", "permit", "active") + &consent("p2", "permit", "active"),
        ),
        ("b.json", consent("p2", "deny", "active")),
        ("c.ndjson", consent("p3", "permit", "inactive")),
    ])
    .unwrap();
    let kept: Vec<String> = kept
        .iter()
        .map(|one| format!("{} {} {}", one.person, one.permits, one.valid_from))
        .collect();
    assert_eq!(
        kept,
        [
            "p1 true 2024-02-22T23:00:00Z",
            "p2 false 2024-02-22T23:00:00Z",
            "p2 true 2024-02-22T23:00:00Z"
        ]
    );
    assert_eq!((told.consents, told.inactive, told.withheld), (3, 1, 0));
}

#[test]
fn who_said_something_that_is_not_understood_has_no_permission() {
    let unclear = consent("p1", "perhaps", "active");
    let (kept, told) = read(&[("a.ndjson", consent("p1", "permit", "active")), ("b.ndjson", unclear)]).unwrap();
    assert_eq!((kept.len(), told.withheld), (0, 1));
    assert_eq!(told.not_kept.len(), 1);
    assert!(
        told.not_kept[0].starts_with("line 1 of b.ndjson: ") && !told.not_kept[0].contains("p1"),
        "{told:?}"
    );
}
