use std::path::Path;

use super::*;
use crate::example::Files;
use crate::mapping::SourceForm;
use crate::source::Opened;

const VIEW: &str = r#"{"resource": "Condition", "where": [{"path": "abatement.empty()"}], "select": [{"column": [
    {"name": "person", "path": "subject.getReferenceKey(Patient)", "type": "id"},
    {"name": "code", "path": "code.coding.first().code", "type": "code"},
    {"name": "onset", "path": "onset.ofType(dateTime)", "type": "date", "tag": [{"name": "ansi/type", "value": "DATE"}]}]}]}"#;

fn condition(id: &str, onset: &str) -> String {
    format!(
        r#"{{"resourceType": "Condition", "id": "{id}", "subject": {{"reference": "Patient/SECRET-{id}"}}, "code": {{"coding": [{{"code": "E11"}}]}}, "onsetDateTime": "{onset}"}}"#
    )
}

fn form(files: &Files) -> SourceForm {
    SourceForm {
        view: Some(files.path("view.json").to_string_lossy().into_owned()),
        ..SourceForm::default()
    }
}

fn read(path: &Path, form: &SourceForm) -> Result<(usize, Resources), Report> {
    let opened = Opened::open(path, form)?;
    let wanted = [opened.position("onset").unwrap(), opened.position("person").unwrap()];
    let (mut rows, mut resources) = (0, Resources::default());
    for piece in opened.batches(&wanted)? {
        let piece = piece?;
        assert_eq!(piece.batch.schema().field(0).name(), "onset");
        rows += piece.batch.num_rows();
        resources.add(&piece.resources);
    }
    Ok((rows, resources))
}

/// What is said of a view, from a folder with one condition.
fn refused(view: &str) -> Report {
    let files = Files::of(&[("a.ndjson", condition("c", "2024-05-01").as_bytes())]);
    let form = SourceForm {
        view: Some(view.to_owned()),
        ..SourceForm::default()
    };
    Opened::open(&files.path("a.ndjson"), &form).unwrap_err()
}

#[test]
fn a_view_that_is_not_there_or_is_none_is_refused_by_name() {
    let report = refused("diagnoses");
    assert_eq!(
        (report.problem, report.remedy.as_str()),
        (Problem::FhirView, "did you mean diagnosis?")
    );
    assert!(refused("zebra").remedy.contains("laboratory"));
    assert_eq!(refused("/nowhere/v.json").problem, Problem::FileMissing);
    let files = Files::of(&[(
        "v.json",
        br#"{"resource": "Condition", "select": [{"column": [{"name": "a", "path": "lower()"}]}]}"#,
    )]);
    let report = refused(&files.path("v.json").to_string_lossy());
    assert_eq!(report.problem, Problem::FhirView);
    assert!(report.message.contains("v.json: "), "{report}");
}

#[test]
fn a_document_that_cannot_be_read_refuses_the_source_because_nobody_knows_what_is_in_it() {
    let whole = format!(
        r#"{{"resourceType": "Bundle", "type": "collection", "entry": [{{"resource": {}}}]}}"#,
        condition("c", "2024-05-01")
    );
    let history = whole.replace("collection", "history");
    let torn = &whole[..whole.len() - 5];
    for (name, text, says) in [
        ("b.json", torn, "line 1 of b.json: is not JSON"),
        ("b.json", "{}", "line 1 of b.json: is no resource"),
        (
            "b.json",
            &history,
            "line 1 of b.json, Bundle: is a bundle that is a history",
        ),
        ("b.ndjson", &history, "Bundle: is a bundle that is a history"),
    ] {
        let files = Files::of(&[
            ("view.json", VIEW.as_bytes()),
            ("in/a.json", whole.as_bytes()),
            (&format!("in/{name}"), text.as_bytes()),
        ]);
        let report = read(&files.path("in"), &form(&files)).unwrap_err();
        assert_eq!(report.problem, Problem::FhirFile, "{report}");
        assert!(report.message.contains(says), "{report}");
        assert!(!report.to_string().contains("SECRET"), "{report}");
    }
}

#[test]
fn what_is_wrong_is_left_out_counted_and_named_without_its_key() {
    let lines = [
        condition("c-1", "2024-05-01"),
        condition("c-2", "2024"),
        "not json SECRET".to_owned(),
        r#"{"resourceType": "Patient", "id": "SECRET"}"#.to_owned(),
        condition("c-3", "2024-05-02").replace("\"onset", "\"abatementString\": \"gone\", \"onset"),
        condition("c-4", "2024-05-03"),
        condition("c-5", "2024-13-01"),
    ];
    let files = Files::of(&[
        ("view.json", VIEW.as_bytes()),
        ("a.ndjson", lines.join("\n").as_bytes()),
    ]);
    let (rows, resources) = read(&files.path("a.ndjson"), &form(&files)).unwrap();
    let counts = (resources.read, resources.unmet, resources.other, resources.left_out);
    assert_eq!((rows, counts), (2, (2, 1, 1, 3)));
    assert!(
        resources.named[0].starts_with("line 2, Condition: the column onset is a date without a day"),
        "{resources:?}"
    );
    assert!(resources.named[1].starts_with("line 3: is not JSON"), "{resources:?}");
    assert!(
        resources.named[2].starts_with("line 7, Condition: the column onset"),
        "{resources:?}"
    );
    assert!(!format!("{resources:?}").contains("SECRET") && !format!("{resources:?}").contains("c-2"));
    assert!((resources.share_left_out() - 0.5).abs() < 1e-12);
}

#[test]
fn a_folder_of_bundles_and_compressed_lines_is_one_source() {
    let bundle = format!(
        "{{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"transaction\",\n  \"entry\": [{{\"resource\": {}}}, {{\"resource\": {}}}]\n}}\n",
        condition("a", "2024-05-01"),
        condition("b", "2023-05-01")
    );
    let lines: String = (0..20_000)
        .map(|n| condition(&format!("n{n}"), "2024-05-01") + "\n")
        .collect();
    let packed = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    let files = Files::of(&[
        ("view.json", VIEW.as_bytes()),
        ("in/p1/Bundle.json", bundle.as_bytes()),
        ("in/Condition.ndjson.zst", &packed),
        ("in/README.txt", b"SECRET"),
    ]);
    let (rows, resources) = read(&files.path("in"), &form(&files)).unwrap();
    assert_eq!((rows, resources.read, resources.left_out), (20_002, 20_002, 0));
    assert!(
        read(&files.path("in/README.txt"), &form(&files))
            .unwrap_err()
            .remedy
            .contains(".ndjson")
    );
}

#[test]
fn of_many_things_that_are_wrong_the_first_are_named_and_all_counted() {
    let lines: String = (0..5_000).map(|n| condition(&format!("n{n}"), "2024") + "\n").collect();
    let files = Files::of(&[("view.json", VIEW.as_bytes()), ("a.ndjson", lines.as_bytes())]);
    let (rows, resources) = read(&files.path("a.ndjson"), &form(&files)).unwrap();
    assert_eq!((rows, resources.left_out, resources.named.len()), (0, 5_000, NAMED_MAX));
}
