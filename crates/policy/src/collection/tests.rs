use terms::Problem;

use crate::example::{COLLECTION, Files};
use crate::{Calendar, ColumnKind, Domain, RowFilter};

const PATH: &str = "collections/breast-cancer.toml";

/// Edits the collection and returns the report of loading it.
fn refused(from: &str, to: &str) -> (Problem, String, String) {
    let report = Files::new().edit(PATH, from, to).compile().unwrap_err();
    (report.problem, report.message, report.remedy)
}

/// The line, from 1, of a piece of the collection.
fn line_of(piece: &str) -> usize {
    COLLECTION[..COLLECTION.find(piece).unwrap()].matches('\n').count() + 1
}

#[track_caller]
fn is_invalid(from: &str, to: &str, at: &str, says: &str) {
    let (problem, message, _) = refused(from, to);
    assert_eq!(message, format!("{PATH}, line {}: {says}", line_of(at)));
    assert_eq!(problem, Problem::PolicyInvalid);
}

#[test]
fn personal_data_needs_a_person() {
    let says = "personal data needs `privacy_unit`, the column of the person";
    is_invalid("privacy_unit = \"patient_id\"\n", "", "id  ", says);
    let says = "`privacy_unit` names a column that is not there";
    is_invalid(
        "privacy_unit = \"patient_id\"",
        "privacy_unit = \"patient\"",
        "privacy_unit",
        says,
    );
    let says = "`privacy_unit` names column grade, whose role is not \"identifier\"";
    is_invalid(
        "privacy_unit = \"patient_id\"",
        "privacy_unit = \"grade\"",
        "privacy_unit",
        says,
    );
}

#[test]
fn data_without_people_has_no_privacy_unit() {
    is_invalid(
        "= true",
        "= false",
        "privacy_unit",
        "`privacy_unit` is for `personal = true`",
    );
    let files = Files::new().edit(
        "collections/beds.toml",
        "personal = false",
        "personal = false\nrows_per_person_max = 2",
    );
    let message = files.compile().unwrap_err().message;
    assert_eq!(
        message,
        "collections/beds.toml, line 5: `rows_per_person_max` is for `personal = true`"
    );
}

#[test]
fn group_and_filter_columns_of_people_need_a_finite_domain() {
    let says = "column grade: role \"group\" or \"filter\" of personal data needs a finite domain";
    is_invalid("values = [\"1\", \"2\", \"3\"]\n", "", "columns.grade", says);
    let says = "column diagnosed_on: role \"group\" or \"filter\" of personal data needs a finite domain";
    is_invalid("bins   = \"month\"\n", "", "columns.diagnosed_on", says);
}

#[test]
fn an_identifier_is_nothing_else() {
    let says = "column patient_id: an identifier can have no other role";
    is_invalid(
        "role = \"identifier\"",
        "role = [\"identifier\", \"group\"]",
        "columns.patient_id",
        says,
    );
    let says = "column patient_id: is an identifier: `values`, `bins` and `bounds` would say which there are";
    is_invalid(
        "role = \"identifier\"",
        "role = \"identifier\"\nvalues = [\"a\"]",
        "columns.patient_id",
        says,
    );
}

#[test]
fn only_numbers_are_measures() {
    let says = "column meno: role \"measure\" needs type integer or number, not boolean";
    is_invalid(
        "\"boolean\"\nrole   = [",
        "\"boolean\"\nrole   = [\"measure\", ",
        "columns.meno",
        says,
    );
    let says = "column grade: bounds needs type integer or number, not text";
    is_invalid("values =", "bounds = [1, 3]\nvalues =", "columns.grade", says);
}

#[test]
fn roles_are_known_and_named_once() {
    let says = "column age: names a role twice";
    is_invalid(
        "[\"group\", \"filter\", \"measure\"]",
        "[\"group\", \"group\"]",
        "columns.age",
        says,
    );
    let (problem, message, remedy) = refused("\"identifier\"", "\"identifyer\"");
    assert_eq!(
        (problem, remedy.as_str()),
        (Problem::FileValue, "did you mean `identifier`?")
    );
    assert!(
        message.starts_with(&format!("{PATH}, line {}: unknown variant", line_of("role = \"id"))),
        "{message}"
    );
    let (problem, message, _) = refused("\"identifier\"", "7");
    assert_eq!(problem, Problem::FileValue);
    assert!(message.contains("expected a role or a list of roles"), "{message}");
}

#[test]
fn values_fit_the_type_and_are_distinct() {
    let values = "values = [\"1\", \"2\", \"3\"]";
    let cases = [
        ("values = [1, 2]", "type text needs `values` that are strings"),
        ("values = [\"1\", 2]", "type text needs `values` that are strings"),
        ("values = []", "`values` is empty"),
        ("values = [\"1\", \"1\"]", "`values` has an entry twice"),
        ("values = [\"1\"]\nbins = \"year\"", "has both `values` and `bins`"),
        (
            "values = [\"a\\u001bb\"]",
            "each of `values` must be 1 to 200 characters on one line",
        ),
        (
            "bins = [1, 2]",
            "`bins` of numbers needs type integer or number, not text",
        ),
        (
            "bins = \"year\"",
            "`bins = \"year\"` is for dates and timestamps, not for type text",
        ),
    ];
    for (to, says) in cases {
        is_invalid(values, to, "columns.grade", &format!("column grade: {says}"));
    }
    let says = "column age: type integer needs `values` that are integers";
    is_invalid(
        "bins   = [18, 40, 50, 60, 70, 120]",
        "values = [\"18\"]",
        "columns.age",
        says,
    );
    let says = "column meno: type boolean takes no `values`: it has two";
    is_invalid("\"boolean\"", "\"boolean\"\nvalues = [\"yes\"]", "columns.meno", says);
    let says = "column diagnosed_on: type date takes `bins`, not `values`";
    is_invalid(
        "bins   = \"month\"",
        "values = [\"2026\"]",
        "columns.diagnosed_on",
        says,
    );
    let (problem, message, _) = refused(values, "values = [1.5]");
    assert_eq!(problem, Problem::FileValue);
    assert!(message.contains("expected a string or an integer"), "{message}");
}

#[test]
fn bins_and_bounds_ascend_and_end() {
    let bins = "bins   = [18, 40, 50, 60, 70, 120]";
    let cases = [
        ("bins = [18]", "`bins` needs two edges or more"),
        ("bins = [18, 18]", "`bins` must be finite and ascending"),
        ("bins = [40, 18]", "`bins` must be finite and ascending"),
        ("bins = [18, inf]", "`bins` must be finite and ascending"),
        ("bins = [nan, nan]", "`bins` must be finite and ascending"),
        (
            "bins = [9007199254740992, 9007199254740994]",
            "`bins` must be finite and ascending",
        ),
        (
            "bins = \"month\"",
            "`bins = \"month\"` is for dates and timestamps, not for type integer",
        ),
    ];
    for (to, says) in cases {
        is_invalid(bins, to, "columns.age", &format!("column age: {says}"));
    }
    for to in ["bounds = [120, 18]", "bounds = [18, inf]", "bounds = [nan, 1]"] {
        is_invalid(
            "bounds = [18, 120]",
            to,
            "columns.age",
            "column age: `bounds` must be finite and ascending",
        );
    }
    let (problem, message, _) = refused("bounds = [18, 120]", "bounds = [18]");
    assert_eq!(problem, Problem::FileValue, "{message}");
    let (problem, message, remedy) = refused("\"month\"", "\"months\"");
    assert_eq!(
        (problem, remedy.as_str()),
        (Problem::FileValue, "did you mean `month`?"),
        "{message}"
    );
}

#[test]
fn names_need_no_quotes_and_are_not_ours() {
    let says = "column \"Age\": a name starts with a letter and goes on with a-z, 0-9 and _";
    is_invalid("[columns.age]", "[columns.Age]", "columns.age", says);
    for name in ["__row", "_a", "1a", "\"a b\"", "\"a'\"", "\"\"", "a-b", "\"\u{e4}\""] {
        let (problem, message, _) = refused("[columns.age]", &format!("[columns.{name}]"));
        assert!(
            problem == Problem::PolicyInvalid && message.contains("a name starts"),
            "{name}: {message}"
        );
    }
    let says = "column \"node\": the name is kept for the institution that answered";
    is_invalid("[columns.age]", "[columns.node]", "columns.age", says);
    let says = "filter \"A\": a name starts with a letter and goes on with a-z, 0-9 and _";
    is_invalid("[filters.research_consent]", "[filters.A]", "[filters", says);
    let says = "filter research_consent: sql must be 1 to 65536 bytes";
    is_invalid("\"consent_research\"", "\" \"", "[filters", says);
}

#[test]
fn a_filter_says_one_thing_that_a_node_can_apply() {
    let sql = "sql = \"consent_research\"";
    let says = "filter research_consent: needs either `sql` or `consent`";
    is_invalid(sql, &format!("{sql}\nconsent = [\"2.16.840\"]"), "[filters", says);
    is_invalid(sql, "", "[filters", says);
    let says =
        "filter research_consent: consent needs codes of provisions, each once: letters, digits, '.', '-', '_' and ':'";
    for codes in [
        "",
        "\"\"",
        "\"a b\"",
        "\"a'b\"",
        "\"1.2\", \"1.2\"",
        "\"\u{430}\"",
        &format!("\"{}\"", "1".repeat(129)),
    ] {
        is_invalid(sql, &format!("consent = [{codes}]"), "[filters", says);
    }
    let beds = "collections/beds.toml";
    let filter = "personal = false\n\n[filters.agreed]\nconsent = [\"2.16.840\"]\n";
    let report = Files::new()
        .edit(beds, "personal = false\n", filter)
        .compile()
        .unwrap_err();
    assert_eq!(
        report.message,
        format!("{beds}, line 6: filter agreed: consent is for `personal = true`")
    );
    assert_eq!(refused("sql =", "sgl =").0, Problem::FileKey);
    assert_eq!(refused(sql, "consent = \"2.16.840\"").0, Problem::FileValue);
}

#[test]
fn a_consent_filter_names_all_provisions_that_a_person_must_consent_to() {
    let codes = "consent = [\"2.16.840.1.113883.3.1937.777.24.5.3.8\", \"2.16.840.1.113883.3.1937.777.24.5.3.6\"]";
    let rules = Files::new().edit(PATH, "sql = \"consent_research\"", codes).rules();
    let collection = &rules.collections[&"breast-cancer".parse().unwrap()];
    let expected = [
        "2.16.840.1.113883.3.1937.777.24.5.3.6",
        "2.16.840.1.113883.3.1937.777.24.5.3.8",
    ];
    assert_eq!(
        collection.filters["research_consent"],
        RowFilter::Consent(expected.map(str::to_owned).into())
    );
}

#[test]
fn rows_per_person_is_one_or_more() {
    let key = "rows_per_person_max";
    is_invalid(
        &format!("{key} = 1"),
        &format!("{key} = 0"),
        key,
        "`rows_per_person_max` must be 1 or more",
    );
    assert_eq!(
        refused(&format!("{key} = 1"), &format!("{key} = -1")).0,
        Problem::FileValue
    );
}

#[test]
fn a_file_is_named_by_its_id_and_has_no_unknown_key() {
    let says = "id \"breast\" does not match the file name";
    is_invalid("\"breast-cancer\"", "\"breast\"", "id  ", says);
    let (problem, message, remedy) = refused("privacy_unit", "privcy_unit");
    assert_eq!(
        (problem, remedy.as_str()),
        (Problem::FileKey, "did you mean `privacy_unit`?")
    );
    assert!(
        message.starts_with(&format!("{PATH}, line {}: unknown field", line_of("privacy_unit"))),
        "{message}"
    );
    assert_eq!(
        refused("[columns.meno]\n", "[columns.meno]\nhidden = true\n").0,
        Problem::FileKey
    );
    assert_eq!(refused("[columns.meno]", "[columns.grade]").0, Problem::FileKey);
    is_invalid(
        "\"Breast cancer, relapse-free survival\"",
        "\" \"",
        "title",
        "title must be 1 to 200 characters on one line",
    );
}

#[test]
fn a_collection_keeps_what_its_file_says_in_its_order() {
    let rules = Files::new().rules();
    let collection = &rules.collections[&"breast-cancer".parse().unwrap()];
    let names: Vec<&str> = collection.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "patient_id",
            "age",
            "diagnosed_on",
            "grade",
            "meno",
            "relapse_free_days",
            "note"
        ]
    );
    assert_eq!(collection.sql_name(), "breast_cancer");
    assert_eq!(collection.privacy_unit.as_deref(), Some("patient_id"));
    assert_eq!(collection.rows_per_person_max, Some(1));
    assert_eq!(
        collection.filters["research_consent"],
        RowFilter::Sql("consent_research".to_owned())
    );
    let age = collection.column("age").unwrap();
    assert_eq!(age.kind, ColumnKind::Integer);
    assert!(age.roles.group && age.roles.filter && age.roles.measure && !age.roles.identifier);
    assert_eq!((age.bounds, age.unit.as_deref()), (Some([18.0, 120.0]), Some("a")));
    assert_eq!(
        collection.column("diagnosed_on").unwrap().domain,
        Some(Domain::Calendar(Calendar::Month))
    );
    assert!(collection.column("node").is_none());
}

#[test]
fn domains_read_well_in_a_remedy() {
    let files = Files::new().edit(PATH, "bins   = [18, 40, 50, 60, 70, 120]", "bins = [18, 40.5, 120]");
    let files = files.edit(PATH, "role   = \"measure\"", "role = \"measure\"\nvalues = [1, 2]");
    let rules = files.rules();
    let collection = &rules.collections[&"breast-cancer".parse().unwrap()];
    let words = |name: &str| collection.column(name).unwrap().describe_domain();
    assert_eq!(words("age"), "bin edges 18, 40.5, 120");
    assert_eq!(words("grade"), "values \"1\", \"2\", \"3\"");
    assert_eq!(words("relapse_free_days"), "values 1, 2");
    assert_eq!(words("diagnosed_on"), "whole months: date_trunc('month', diagnosed_on)");
    assert_eq!(words("meno"), "values true, false");
    assert_eq!(words("note"), "any text");
}

/// A collection of stays that refers to both others, as `place` and `person` say.
fn referring(place: &str, person: &str) -> Files {
    let stays = format!(
        "id = \"stays\"\ntitle = \"Stays\"\npersonal = true\nprivacy_unit = \"pid\"\n[columns.pid]\ntype = \"text\"\nrole = \"identifier\"\n{person}\n\
         [columns.place]\ntype = \"text\"\n{place}\n[columns.number]\ntype = \"integer\"\n"
    );
    Files::new().put("collections/stays.toml", &stays).edit(
        "collections/beds.toml",
        "personal = false",
        "personal = false\nkey = \"district\"",
    )
}

#[track_caller]
fn does_not_refer(files: &Files, says: &str) {
    let report = files.compile().unwrap_err();
    assert_eq!(report.problem, Problem::PolicyInvalid);
    assert!(report.message.ends_with(says), "{}", report.message);
}

#[test]
fn what_refers_to_no_key_of_its_kind_is_refused() {
    let to = |collection: &str| format!("references = \"{collection}\"");
    let without_key = referring(&to("beds"), "").edit("collections/beds.toml", "key = \"district\"", "");
    does_not_refer(&without_key, "`references = \"beds\"`: beds declares no `key`");
    does_not_refer(&referring(&to("wards"), ""), "there is no such collection");
    does_not_refer(&referring(&to("stays"), ""), "a collection does not refer to itself");
    let several = referring("", &to("breast-cancer")).edit(PATH, "rows_per_person_max = 1", "rows_per_person_max = 2");
    does_not_refer(&several, "breast-cancer does not say `rows_per_person_max = 1`");
    does_not_refer(
        &referring(&to("breast-cancer"), ""),
        "to whom only the `privacy_unit` refers",
    );
    does_not_refer(
        &referring("", &to("beds")),
        "beds is not about people, and this is the `privacy_unit`",
    );
    let identifier = format!("role = \"identifier\"\n{}", to("beds"));
    does_not_refer(&referring(&identifier, ""), "leave out its role, or give it another");
    let number = referring("", "").edit(
        "collections/stays.toml",
        "[columns.number]\ntype = \"integer\"",
        "[columns.number]\ntype = \"integer\"\nreferences = \"beds\"",
    );
    does_not_refer(&number, "this is integer, and the key district of beds is text");
    let rules = referring(&to("beds"), &to("breast-cancer")).rules();
    let keys = rules
        .collections
        .values()
        .map(|collection| collection.join_key().map(|key| key.name.as_str()));
    assert_eq!(Vec::from_iter(keys), [Some("district"), Some("patient_id"), None]);
}

#[test]
fn a_key_is_a_column_that_queries_may_use_of_data_without_people() {
    let beds = "collections/beds.toml";
    let keyed = |key: &str| Files::new().edit(beds, "personal = false", &format!("personal = false\nkey = \"{key}\""));
    does_not_refer(&keyed("ward"), "`key` names a column that is not there");
    let identifier = keyed("district").edit(beds, "role = [\"group\", \"filter\"]", "role = \"identifier\"");
    does_not_refer(&identifier, "leave out its role, or give it another");
    let truth = keyed("district").edit(beds, "type = \"text\"", "type = \"boolean\"");
    does_not_refer(&truth, "a key is text or integer");
    let personal = Files::new().edit(PATH, "privacy_unit", "key = \"grade\"\nprivacy_unit");
    does_not_refer(&personal, "it is `privacy_unit` with `rows_per_person_max = 1`");
}
