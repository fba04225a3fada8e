use std::io::{BufReader, Read};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tests::read;

fn people() -> View {
    View::compile(
        r#"{"resource": "Patient", "where": [{"path": "where(active = false).empty()"}], "select": [{"column": [
            {"name": "person", "path": "getResourceKey()", "type": "id"},
            {"name": "children", "path": "children", "type": "integer"}]}]}"#,
    )
    .unwrap()
}

#[test]
fn what_is_wrong_is_left_out_counted_and_named_without_a_value() {
    let file = [
        r#"{"resourceType": "Patient", "id": "p1", "children": 1}"#,
        r#"{"resourceType": "Patient", "id": "p2", "children": "secret"}"#,
        r#"{"resourceType": "Patient", "id": "p3", "children": 1"#,
        r#"{"id": "p4"}"#,
        "",
        r#"{"resourceType": "Patient", "id": "secret secret", "children": 1.5}"#,
        r#"{"resourceType": "secret", "id": "p6"}"#,
        r#"{"resourceType": "Observation", "id": "o1"}"#,
        r#"{"resourceType": "Patient", "id": "p7", "active": false}"#,
        r#"[{"resourceType": "Patient"}]"#,
        r#"{"resourceType": "Patient", "id": "p8", "id": "p9"}"#,
        r#"{"resourceType": "Patient", "id": "p10", "children": 2}"#,
    ];
    let (rows, counts, skipped) = read(&people(), file.join("\n").as_bytes());
    assert_eq!(
        rows,
        [
            json!({"person": "p1", "children": 1}),
            json!({"person": "p10", "children": 2})
        ]
    );
    let told: Vec<String> = skipped.iter().map(Skipped::to_string).collect();
    let expected = [
        "line 2, Patient/p2: the column children is a text, which the column cannot hold",
        "line 3: is not JSON: it ends too early at byte 53",
        "line 4: is no resource: it lacks resourceType",
        "line 6, Patient: the column children is no whole number of 64 bits",
        "line 10: is no resource: it lacks resourceType",
        "line 11: is not JSON: it has a name twice in one object at byte 44",
    ];
    assert_eq!(told, expected);
    let expected = Counts {
        read: 2,
        rows: 2,
        other: 2,
        unmet: 1,
        skipped: 6,
    };
    assert_eq!(counts, expected);
    assert_eq!(skipped[0].report().problem, Problem::FhirResource);
    assert_eq!(skipped[1].report().problem, Problem::FhirFile);
}

#[test]
fn bundles_that_are_no_list_of_present_resources_are_left_out() {
    let bundle = |kind: serde_json::Value| {
        let entry = json!([{"resource": {"resourceType": "Patient", "id": "p1"}}, {"request": {"method": "DELETE"}}, {"resource": {"id": "x"}}]);
        let mut bundle = json!({"resourceType": "Bundle", "entry": entry});
        bundle["type"] = kind;
        serde_json::to_string_pretty(&bundle).unwrap()
    };
    for (kind, expected) in [
        ("history", "is a history"),
        ("message", "is of a type other than"),
        ("batch-response", "is of a type"),
    ] {
        let (rows, _, skipped) = read(&people(), bundle(json!(kind)).as_bytes());
        assert!(
            rows.is_empty() && skipped[0].to_string().contains(expected),
            "{}",
            skipped[0]
        );
    }
    assert!(
        read(&people(), bundle(json!(null)).as_bytes()).2[0]
            .to_string()
            .contains("lacks its type")
    );
    for kind in ["collection", "searchset", "transaction", "batch", "document"] {
        let (rows, _, skipped) = read(&people(), bundle(json!(kind)).as_bytes());
        assert_eq!(rows.len(), 1, "{kind}");
        assert_eq!(
            skipped[0].to_string(),
            "line 1, entry 2: is no resource: it lacks resourceType"
        );
    }
}

#[test]
fn references_in_a_bundle_are_followed_by_their_urn_and_only_there() {
    let view = r#"{"resource": "Condition", "select": [{"column": [
        {"name": "person", "path": "subject.getReferenceKey(Patient)", "type": "id"}]}]}"#;
    let view = View::compile(view).unwrap();
    let condition = |of: &str| json!({"resource": {"resourceType": "Condition", "subject": {"reference": of}}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        condition("urn:uuid:1"), condition("urn:uuid:2"), condition("urn:uuid:3"), condition("Patient/p4"),
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "p1"}},
        {"fullUrl": "urn:uuid:2", "resource": {"resourceType": "Group", "id": "g1"}}]});
    let people = |text: String| -> Vec<serde_json::Value> {
        read(&view, text.as_bytes())
            .0
            .into_iter()
            .map(|row| row["person"].clone())
            .collect()
    };
    assert_eq!(
        people(bundle.to_string()),
        [json!("p1"), json!(null), json!(null), json!("p4")]
    );
    assert_eq!(people(condition("urn:uuid:1")["resource"].to_string()), [json!(null)]);
}

/// Hands out the same bytes again and again, then fails or ends.
struct Again {
    bytes: Vec<u8>,
    times: usize,
    then: Option<io::ErrorKind>,
    at: usize,
}

impl Read for Again {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.times == 0 {
            return self.then.map_or(Ok(0), |kind| Err(kind.into()));
        }
        let count = into.len().min(self.bytes.len() - self.at);
        into[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        if self.at == self.bytes.len() {
            self.at = 0;
            self.times -= 1;
        }
        Ok(count)
    }
}

fn again(line: String, times: usize, then: Option<io::ErrorKind>) -> BufReader<Again> {
    BufReader::new(Again {
        bytes: line.into_bytes(),
        times,
        then,
        at: 0,
    })
}

#[test]
fn a_file_that_cannot_be_read_on_ends_with_an_error_and_not_as_if_it_were_whole() {
    let line = "{\"resourceType\": \"Patient\", \"id\": \"p\"}\n".to_owned();
    let view = people();
    let mut batches = view.read(again(line, 10_000, Some(io::ErrorKind::UnexpectedEof)), |skipped| {
        panic!("{skipped}")
    });
    assert_eq!(batches.next().unwrap().unwrap().num_rows(), 8 * 1024);
    assert_eq!(batches.next().unwrap().unwrap_err().problem, Problem::FhirFile);
    assert!(batches.next().is_none());
}

#[test]
fn a_batch_is_bounded_in_rows_and_in_bytes() {
    let sizes = |line: String, times: usize| -> Vec<usize> {
        let view =
            View::compile(r#"{"resource": "Patient", "select": [{"column": [{"name": "x", "path": "x"}]}]}"#).unwrap();
        view.read(again(line, times, None), |skipped| panic!("{skipped}"))
            .map(|batch| batch.unwrap().num_rows())
            .collect()
    };
    assert_eq!(
        sizes("{\"resourceType\": \"Patient\", \"x\": \"a\"}\n".to_owned(), 20_000),
        [8192, 8192, 3616]
    );
    let long = format!(
        "{{\"resourceType\": \"Patient\", \"x\": \"{}\"}}\n",
        "a".repeat(1024 * 1024)
    );
    assert_eq!(sizes(long, 20), [8, 8, 4]);
    assert_eq!(sizes(String::new(), 0), [0; 0]);
}

proptest! {
    /// Whatever is broken in a file, all else of it is read, and what is told has nothing of its content.
    #[test]
    fn a_broken_file_is_read_to_its_end(breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), at_once: bool) {
        let mut file = String::new();
        for number in 0..12 {
            let children = if number == 3 { "\"zq3\"" } else { "2" };
            file += &format!("{{\"resourceType\": \"Patient\", \"id\": \"p{number}\", \"name\": [{{\"family\": \"zq\"}}], \"children\": {children}}}\n");
        }
        // A byte that is broken can be the end of a line, between two resources.
        let lost = 1 + 2 * breaks.len() as u64;
        let mut bytes = file.into_bytes();
        for (at, byte) in breaks {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let reader = BufReader::with_capacity(if at_once { 64 * 1024 } else { 5 }, bytes.as_slice());
        let mut told = Vec::new();
        let view = people();
        let mut batches = view.read(reader, |skipped| told.push(skipped.to_string()));
        let rows: usize = batches.by_ref().map(|batch| batch.unwrap().num_rows()).sum();
        let counts = batches.counts();
        prop_assert_eq!((rows as u64, told.len() as u64), (counts.rows, counts.skipped));
        prop_assert!(counts.read + counts.other + counts.unmet + lost >= 12, "{counts:?}: {told:?}");
        prop_assert!(told.iter().all(|message| !message.contains("zq")), "{:?}", told);
    }
}
